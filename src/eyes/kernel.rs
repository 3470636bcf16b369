//! The inner loops, written for a compiler that vectorises: eight channels side by side, some pixels at a time, so
//! that sums stay in registers.
//!
//! One source for every processor. `FUSED` says whether a multiplication and an addition are one instruction there;
//! without one, `mul_add` would be a call of the C library.

#![allow(
    clippy::indexing_slicing,
    reason = "indexes of arrays of constant size; slices are cut to length first"
)]

/// Channels side by side.
pub(super) const LANES: usize = 8;

/// Eight channels of one pixel.
pub(super) type Lanes = [f32; LANES];

/// Eight zeros.
pub(super) const ZERO: Lanes = [0.0; LANES];

#[inline(always)]
fn each(a: Lanes, b: Lanes, with: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut out = ZERO;
    for lane in 0..LANES {
        out[lane] = with(a[lane], b[lane]);
    }
    out
}

/// The greater of each.
#[inline(always)]
fn greater(a: Lanes, b: Lanes) -> Lanes {
    each(a, b, |a, b| if a > b { a } else { b })
}

#[inline(always)]
fn add_product<const FUSED: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if FUSED { a.mul_add(b, sum) } else { a * b + sum }
}

/// The bias plus the weighted inputs of `PIXELS` pixels, for eight output channels.
#[inline(always)]
fn tile<const FUSED: bool, const PIXELS: usize>(
    pixels: &[&[Lanes]; PIXELS],
    weights: &[[Lanes; LANES]],
    bias: Lanes,
) -> [Lanes; PIXELS] {
    // Of one length, so that no index below is checked again.
    let pixels: [&[Lanes]; PIXELS] = std::array::from_fn(|pixel| &pixels[pixel][..weights.len()]);
    let mut sums = [bias; PIXELS];
    for (input, rows) in weights.iter().enumerate() {
        for (channel, row) in rows.iter().enumerate() {
            for pixel in 0..PIXELS {
                let value = pixels[pixel][input][channel];
                for lane in 0..LANES {
                    sums[pixel][lane] = add_product::<FUSED>(value, row[lane], sums[pixel][lane]);
                }
            }
        }
    }
    sums
}

/// What is added to a layer's output before what is negative becomes zero.
pub(super) struct Residual<'a> {
    pub(super) pixels: &'a [Lanes],
    /// Lanes of a pixel; output channels behind them get nothing.
    pub(super) lanes: usize,
}

/// A dense layer over a row of pixels. `PIXELS` divides their number. With a residual, and only then, what is
/// negative becomes zero.
#[inline(always)]
pub(super) fn dense<const FUSED: bool, const PIXELS: usize>(
    layer: &super::model::Dense,
    input: &[Lanes],
    residual: Option<&Residual<'_>>,
    output: &mut [Lanes],
) {
    let (inputs, outputs) = (layer.inputs, layer.bias.len());
    let blocks = input.chunks_exact(inputs * PIXELS).zip(output.chunks_exact_mut(outputs * PIXELS));
    for (block, (input, output)) in blocks.enumerate() {
        let pixels: [&[Lanes]; PIXELS] = std::array::from_fn(|pixel| &input[pixel * inputs..][..inputs]);
        for (group, (weights, bias)) in layer.weights.chunks_exact(inputs).zip(&layer.bias).enumerate() {
            let sums = tile::<FUSED, PIXELS>(&pixels, weights, *bias);
            for pixel in 0..PIXELS {
                let mut sum = sums[pixel];
                if let Some(residual) = residual {
                    if group < residual.lanes {
                        let added = residual.pixels[(block * PIXELS + pixel) * residual.lanes + group];
                        sum = each(sum, added, |a, b| a + b);
                    }
                    sum = greater(sum, ZERO);
                }
                output[pixel * outputs + group] = sum;
            }
        }
    }
}

/// A row of the depthwise 3x3 layer. Each output pixel reads three pixels of `lanes` lanes from each of the rows,
/// `stride` pixels further than the one before.
#[inline(always)]
pub(super) fn depthwise<const FUSED: bool>(
    block: &super::model::Block,
    rows: [&[Lanes]; 3],
    stride: usize,
    output: &mut [Lanes],
) {
    let lanes = block.tap_bias.len();
    let taps: [&[Lanes]; 9] = std::array::from_fn(|tap| &block.taps[tap * lanes..][..lanes]);
    for (pixel, output) in output.chunks_exact_mut(lanes).enumerate() {
        let begin = pixel * stride * lanes;
        let inputs: [&[Lanes]; 9] =
            std::array::from_fn(|tap| &rows[tap / 3][begin + tap % 3 * lanes..][..lanes]);
        for (lane, (output, bias)) in output.iter_mut().zip(&block.tap_bias).enumerate() {
            let mut sum = *bias;
            for tap in 0..9 {
                sum = add_taps::<FUSED>(inputs[tap][lane], taps[tap][lane], sum);
            }
            *output = sum;
        }
    }
}

#[inline(always)]
fn add_taps<const FUSED: bool>(input: Lanes, tap: Lanes, mut sum: Lanes) -> Lanes {
    for lane in 0..LANES {
        sum[lane] = add_product::<FUSED>(input[lane], tap[lane], sum[lane]);
    }
    sum
}

/// The greatest of each 2x2 pixels of two rows.
#[inline(always)]
pub(super) fn pool(rows: [&[Lanes]; 2], lanes: usize, output: &mut [Lanes]) {
    let [above, below] = rows.map(|row| row.chunks_exact(2 * lanes));
    for ((above, below), output) in above.zip(below).zip(output.chunks_exact_mut(lanes)) {
        for (lane, output) in output.iter_mut().enumerate() {
            let left = greater(above[lane], below[lane]);
            *output = greater(left, greater(above[lanes + lane], below[lanes + lane]));
        }
    }
}
