//! The forward pass of BlazeFace: 128x128 RGB in, 896 anchors' scores and regressors out. docs/eyes.md describes the
//! layers.
//!
//! Each layer's picture has a border of one pixel of zeros, so that a 3x3 filter needs no cases. A block works row
//! by row: the depthwise row stays in the nearest cache until the dense layer has read it. Two buffers take turns.

use super::kernel::{self, LANES, Lanes, Residual, ZERO};
use super::model::{BLOCKS_COARSE, Block, Model, REGRESSORS, Stride};

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

    /// One of them.
    pub(super) fn row(&mut self, row: usize) -> Option<&mut [[f32; 3]]> {
        self.rows().nth(row)
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

/// One dense layer and what comes before it.
#[derive(Clone, Copy)]
enum Layer<'a> {
    First,
    Block(&'a Block),
    FineHead,
    CoarseHead,
}

/// All layers in one loop: the inner loops are inlined, and should be so in one place.
#[inline(always)]
fn pass<const FUSED: bool, const PIXELS: usize>(model: &Model, buffers: &mut Buffers) {
    let Buffers { input, layers: [from, to], row, pooled, fine, coarse } = buffers;
    let (mut from, mut to) = (from, to);
    let mut side = SIDE / 2;
    let (early, late) = model.blocks.split_at(BLOCKS_COARSE.min(model.blocks.len()));
    let begin = [Layer::First].into_iter().chain(early.iter().map(Layer::Block));
    let end = [Layer::FineHead].into_iter().chain(late.iter().map(Layer::Block));
    for layer in begin.chain(end).chain([Layer::CoarseHead]) {
        let (dense, output, border) = match layer {
            Layer::First => (&model.first, to.as_mut_slice(), 1),
            Layer::Block(block) => (&block.dense, to.as_mut_slice(), 1),
            Layer::FineHead => (&model.fine_head, fine.as_mut_slice(), 0),
            Layer::CoarseHead => (&model.coarse_head, coarse.as_mut_slice(), 0),
        };
        if matches!(layer, Layer::Block(block) if block.stride == Stride::Two) {
            side /= 2;
        }
        let lanes = dense.bias.len();
        let length = (side + 2 * border) * lanes;
        for (number, output) in output.chunks_exact_mut(length).take(side + 2 * border).enumerate() {
            let Some(number) = number.checked_sub(border).filter(|number| *number < side) else {
                output.fill(ZERO);
                continue;
            };
            let (left, rest) = output.split_at_mut(border * lanes);
            let (output, right) = rest.split_at_mut(side * lanes);
            left.fill(ZERO);
            right.fill(ZERO);
            let (pixels, residual) = match layer {
                Layer::First => {
                    patches(input, number, row);
                    (row.as_slice(), Some(Residual { pixels: &[], lanes: 0 }))
                }
                Layer::Block(block) => {
                    let residual = block_row::<FUSED>(block, from, (number, side), row, pooled);
                    (row.as_slice(), Some(residual))
                }
                Layer::FineHead | Layer::CoarseHead => {
                    let row = row_of(from, number + 1, side, dense.inputs);
                    (row.get(dense.inputs..).unwrap_or_default(), None)
                }
            };
            kernel::dense::<FUSED, PIXELS>(dense, pixels, residual.as_ref(), output);
        }
        if border > 0 {
            (from, to) = (to, from);
        }
    }
}

/// The row of a picture with a border, the border included.
#[inline(always)]
fn row_of(picture: &[Lanes], number: usize, side: usize, lanes: usize) -> &[Lanes] {
    let length = (side + 2) * lanes;
    picture.get(number * length..).and_then(|rest| rest.get(..length)).unwrap_or_default()
}

/// The patches of 5x5 pixels, two apart, that a row of the first layer reads.
#[inline(always)]
fn patches(input: &[f32], number: usize, row: &mut [Lanes]) {
    for (pixel, patch) in row.chunks_exact_mut(PATCH_LANES).enumerate() {
        let taps = patch.as_flattened_mut().chunks_exact_mut(15);
        let rows = input.chunks_exact(INPUT_SIDE * 3).skip(number * 2);
        for (taps, row) in taps.zip(rows) {
            if let Some(pixels) = row.get(pixel * 6..).and_then(|rest| rest.get(..15)) {
                taps.copy_from_slice(pixels);
            }
        }
    }
}

/// The depthwise row `number` of `side` pixels, and what is added behind it.
#[inline(always)]
fn block_row<'a, const FUSED: bool>(
    block: &Block,
    input: &'a [Lanes],
    (number, side): (usize, usize),
    row: &mut [Lanes],
    pooled: &'a mut [Lanes],
) -> Residual<'a> {
    let lanes = block.tap_bias.len();
    // With stride 2 the filter reaches behind the picture only: its border before it is left out.
    let (stride, skipped) = match block.stride {
        Stride::One => (1, 0),
        Stride::Two => (2, 1),
    };
    let rows = [0, 1, 2].map(|next| {
        let row = row_of(input, number * stride + skipped + next, side * stride, lanes);
        row.get(skipped * lanes..).unwrap_or_default()
    });
    kernel::depthwise::<FUSED>(block, rows, stride, row.split_at_mut(side * lanes).0);
    let [first, second, _] = rows;
    match block.stride {
        Stride::One => Residual { pixels: second.get(lanes..).unwrap_or_default(), lanes },
        Stride::Two => {
            kernel::pool([first, second], lanes, pooled.split_at_mut(side * lanes).0);
            Residual { pixels: pooled, lanes }
        }
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
pub(super) mod tests;
