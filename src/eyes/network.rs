//! The forward pass of BlazeFace: 128x128 RGB in, 896 anchors' scores and regressors out. docs/eyes.md describes the
//! layers.
//!
//! Each layer's picture has a border of one pixel of zeros, so that a 3x3 filter needs no cases. A block works row
//! by row: the depthwise row stays in the nearest cache until the dense layer has read it. Two buffers take turns.

use super::kernel::{self, LANES, Lanes, Residual, ZERO};
use super::model::{BLOCKS_COARSE, Block, Dense, Model, REGRESSORS, Stride};

/// Pixels in a row of the input, and rows.
pub(super) const SIDE: usize = 128;
/// The first layer's filter reaches one pixel before the picture and two behind.
const INPUT_SIDE: usize = SIDE + 3;
/// Lanes of a 5x5 patch of three channels, padded.
const PATCH_LANES: usize = 75usize.div_ceil(LANES);
/// The largest picture between two layers: 64x64 pixels of 32 channels, and the border.
const BUFFER_LANES: usize = 66 * 66 * 4;

/// What the network says of one anchor.
#[derive(Clone, Copy)]
pub(super) struct Anchor {
    /// Of the input's side, 0 to 1.
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) logit: f32,
    pub(super) regressors: [f32; REGRESSORS],
}

/// Which instructions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    /// What every processor of this architecture has.
    Baseline,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Instructions {
    /// The best that this processor has.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Self::Avx2;
        }
        Self::Baseline
    }
}

/// The layers and all memory that a pass needs.
pub(super) struct Network {
    model: Model,
    instructions: Instructions,
    buffers: Buffers,
}

/// 128x128 pixels of red, green, blue, -1 to 1.
pub(super) struct Input<'a>(&'a mut [f32]);

impl Input<'_> {
    /// Its rows.
    pub(super) fn rows(&mut self) -> impl Iterator<Item = &mut [[f32; 3]]> {
        let rows = self.0.chunks_exact_mut(INPUT_SIDE * 3).skip(1).take(SIDE);
        rows.filter_map(|row| row.as_chunks_mut::<3>().0.get_mut(1..=SIDE))
    }

    /// Sets one pixel.
    pub(super) fn set(&mut self, column: usize, row: usize, colour: [f32; 3]) {
        let row = self.0.as_chunks_mut::<3>().0.chunks_exact_mut(INPUT_SIDE).nth(row + 1);
        if let Some(pixel) = row.and_then(|row| row.get_mut(column + 1)) {
            *pixel = colour;
        }
    }
}

struct Buffers {
    /// Rows of the input with its border, three channels a pixel.
    input: Vec<f32>,
    /// The pictures between the layers.
    layers: [Vec<Lanes>; 2],
    /// A row on its way from one layer to the next.
    row: Vec<Lanes>,
    /// A pooled row.
    pooled: Vec<Lanes>,
    /// What the heads say, cell by cell: 16x16 and 8x8.
    fine: Vec<Lanes>,
    coarse: Vec<Lanes>,
}

impl Network {
    pub(super) fn new(model: Model, instructions: Instructions) -> Self {
        let zeros = |lanes: usize| vec![ZERO; lanes];
        let buffers = Buffers {
            input: vec![0.0; INPUT_SIDE * INPUT_SIDE * 3],
            layers: [zeros(BUFFER_LANES), zeros(BUFFER_LANES)],
            row: zeros(64 * PATCH_LANES),
            pooled: zeros(32 * LANES),
            fine: zeros(16 * 16 * model.fine_head.bias.len()),
            coarse: zeros(8 * 8 * model.coarse_head.bias.len()),
        };
        Self { model, instructions, buffers }
    }

    /// The input, black. Its border stays as it is: zeros, which is grey.
    pub(super) fn black_input(&mut self) -> Input<'_> {
        let mut input = Input(self.buffers.input.as_mut_slice());
        input.rows().for_each(|row| row.fill([-1.0; 3]));
        input
    }

    /// Runs the network over the input.
    pub(super) fn run(&mut self) {
        let (model, buffers) = (&self.model, &mut self.buffers);
        match self.instructions {
            Instructions::Baseline => pass::<FUSED_BASELINE, PIXELS_BASELINE>(model, buffers),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: `Instructions::best` is where this variant comes from, and it asked the processor for both
            // features; the function is safe otherwise.
            Instructions::Avx2 => unsafe { pass_avx2(model, buffers) },
        }
    }

    /// All anchors, in the model's order: two of each cell of 16x16, then six of each of 8x8.
    pub(super) fn anchors(&self) -> impl Iterator<Item = Anchor> {
        let fine = cells::<16, 2>(&self.buffers.fine, self.model.fine_head.bias.len());
        let coarse = cells::<8, 6>(&self.buffers.coarse, self.model.coarse_head.bias.len());
        fine.chain(coarse)
    }
}

fn cells<const GRID: usize, const EACH: usize>(head: &[Lanes], lanes: usize) -> impl Iterator<Item = Anchor> {
    head.chunks_exact(lanes).enumerate().flat_map(|(cell, pixel)| {
        let at = |step: usize| (step as f32 + 0.5) / GRID as f32;
        let (x, y) = (at(cell % GRID), at(cell / GRID));
        let numbers = pixel.as_flattened();
        let (logits, rest) = numbers.split_at(EACH.min(numbers.len()));
        let regressors = rest.as_chunks::<REGRESSORS>().0;
        logits.iter().zip(regressors).map(move |(logit, regressors)| Anchor {
            x,
            y,
            logit: *logit,
            regressors: *regressors,
        })
    })
}

/// aarch64 always has fused multiplication; so has a build for a processor that is known to.
const FUSED_BASELINE: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
/// Sums must fit the registers: 16 of four lanes on x86-64, 32 on aarch64.
const PIXELS_BASELINE: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn pass_avx2(model: &Model, buffers: &mut Buffers) {
    pass::<true, 8>(model, buffers);
}

#[inline(always)]
fn pass<const FUSED: bool, const PIXELS: usize>(model: &Model, buffers: &mut Buffers) {
    let Buffers { input, layers, row, pooled, fine, coarse } = buffers;
    let [from, to] = layers.each_mut().map(Vec::as_mut_slice);
    let (mut from, mut to) = (from, to);
    first::<FUSED, PIXELS>(&model.first, input, row, from);
    let mut side = SIDE / 2;
    for (number, block) in model.blocks.iter().enumerate() {
        if number == BLOCKS_COARSE {
            head::<FUSED, PIXELS>(&model.fine_head, from, side, fine);
        }
        if block.stride == Stride::Two {
            side /= 2;
        }
        run_block::<FUSED, PIXELS>(block, from, side, (row, pooled), to);
        (from, to) = (to, from);
    }
    head::<FUSED, PIXELS>(&model.coarse_head, from, side, coarse);
}

/// A picture's rows without its border, which is set to zero.
#[inline(always)]
fn framed(picture: &mut [Lanes], side: usize, lanes: usize) -> impl Iterator<Item = &mut [Lanes]> {
    let row = (side + 2) * lanes;
    let (above, rest) = picture.split_at_mut(row);
    let (inside, rest) = rest.split_at_mut(row * side);
    above.fill(ZERO);
    rest.iter_mut().take(row).for_each(|lanes| *lanes = ZERO);
    inside.chunks_exact_mut(row).map(move |row| {
        let (left, rest) = row.split_at_mut(lanes);
        let (inside, right) = rest.split_at_mut(side * lanes);
        left.fill(ZERO);
        right.fill(ZERO);
        inside
    })
}

/// The row of a picture with a border, the border included.
#[inline(always)]
fn row_of(picture: &[Lanes], number: usize, side: usize, lanes: usize) -> &[Lanes] {
    let length = (side + 2) * lanes;
    picture.get(number * length..).and_then(|rest| rest.get(..length)).unwrap_or_default()
}

/// The first layer, 5x5 with stride 2: its patches are laid out in a row, then it is a dense layer.
#[inline(always)]
fn first<const FUSED: bool, const PIXELS: usize>(
    layer: &Dense,
    input: &[f32],
    patches: &mut [Lanes],
    output: &mut [Lanes],
) {
    let side = SIDE / 2;
    for (number, output) in framed(output, side, layer.bias.len()).enumerate() {
        for (pixel, patch) in patches.chunks_exact_mut(PATCH_LANES).take(side).enumerate() {
            let taps = patch.as_flattened_mut().chunks_exact_mut(15);
            let rows = input.chunks_exact(INPUT_SIDE * 3).skip(number * 2);
            for (taps, row) in taps.zip(rows) {
                if let Some(pixels) = row.get(pixel * 6..).and_then(|rest| rest.get(..15)) {
                    taps.copy_from_slice(pixels);
                }
            }
        }
        kernel::dense::<FUSED, PIXELS>(layer, patches, Some(&NOTHING), output);
    }
}

/// Nothing to add, but what is negative becomes zero.
const NOTHING: Residual<'static> = Residual { pixels: &[], lanes: 0 };

#[inline(always)]
fn run_block<const FUSED: bool, const PIXELS: usize>(
    block: &Block,
    input: &[Lanes],
    side: usize,
    (row, pooled): (&mut [Lanes], &mut [Lanes]),
    output: &mut [Lanes],
) {
    let lanes = block.tap_bias.len();
    let row = row.split_at_mut(side * lanes).0;
    for (number, output) in framed(output, side, block.dense.bias.len()).enumerate() {
        match block.stride {
            Stride::One => {
                let rows = [0, 1, 2].map(|next| row_of(input, number + next, side, lanes));
                kernel::depthwise::<FUSED>(block, rows, 1, row);
                let pixels = rows.get(1).and_then(|row| row.get(lanes..)).unwrap_or_default();
                kernel::dense::<FUSED, PIXELS>(&block.dense, row, Some(&Residual { pixels, lanes }), output);
            }
            Stride::Two => {
                // Without the border before the picture: this filter reaches behind it only.
                let rows = [1, 2, 3].map(|next| {
                    row_of(input, number * 2 + next, side * 2, lanes).get(lanes..).unwrap_or_default()
                });
                kernel::depthwise::<FUSED>(block, rows, 2, row);
                let [first, second, _] = rows;
                let pooled = pooled.split_at_mut(side * lanes).0;
                kernel::pool([first, second], lanes, pooled);
                let residual = Residual { pixels: pooled, lanes };
                kernel::dense::<FUSED, PIXELS>(&block.dense, row, Some(&residual), output);
            }
        }
    }
}

#[inline(always)]
fn head<const FUSED: bool, const PIXELS: usize>(
    layer: &Dense,
    input: &[Lanes],
    side: usize,
    output: &mut [Lanes],
) {
    let rows = output.chunks_exact_mut(side * layer.bias.len());
    for (number, output) in rows.enumerate() {
        let row = row_of(input, number + 1, side, layer.inputs);
        let pixels = row.get(layer.inputs..).and_then(|rest| rest.get(..side * layer.inputs));
        kernel::dense::<FUSED, PIXELS>(layer, pixels.unwrap_or_default(), None, output);
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
pub(super) mod tests;
