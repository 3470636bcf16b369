//! The weights of BlazeFace (short range), 16-bit floating point, in the order in which the network uses them.
//!
//! They are part of the program; still their length and SHA-256 are looked at before anything is computed with them,
//! because a damaged weight would not fail but see faces that are not there. Origin, licence and what was changed:
//! docs/eyes.md.

use super::error::EyesError;
use super::kernel::{LANES, Lanes, ZERO};
use sha2::{Digest, Sha256};

/// The file that ships. Apache-2.0, see `LICENSE.Apache-2.0-mediapipe` beside it.
const SHIPPED: &[u8] = include_bytes!("blazeface_short.f16");
const BYTES: usize = 202_780;
const SHA256: [u8; 32] = [
    0xd7, 0x2d, 0xf8, 0x45, 0xae, 0x07, 0xd0, 0x63, 0x69, 0xd6, 0x18, 0xad, 0x82, 0x70, 0xa4, 0x10, 0xdf,
    0xa9, 0xea, 0x21, 0x7a, 0x12, 0xcc, 0x4d, 0x06, 0x41, 0xf3, 0xe5, 0x8f, 0xd7, 0xa0, 0x45,
];

/// Input and output channels of the 16 blocks, and whether a block halves the sides.
const BLOCKS: [(usize, usize, Stride); 16] = [
    (24, 24, Stride::One),
    (24, 28, Stride::One),
    (28, 32, Stride::Two),
    (32, 36, Stride::One),
    (36, 42, Stride::One),
    (42, 48, Stride::Two),
    (48, 56, Stride::One),
    (56, 64, Stride::One),
    (64, 72, Stride::One),
    (72, 80, Stride::One),
    (80, 88, Stride::One),
    (88, 96, Stride::Two),
    (96, 96, Stride::One),
    (96, 96, Stride::One),
    (96, 96, Stride::One),
    (96, 96, Stride::One),
];
/// Blocks before the first head.
pub(super) const BLOCKS_COARSE: usize = 11;
/// Numbers of an anchor: its box and six points.
pub(super) const REGRESSORS: usize = 16;

/// Whether a block halves its sides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stride {
    One,
    Two,
}

/// A dense layer over the channels of one pixel. Channels are padded with zeros to whole [`Lanes`].
pub(super) struct Dense {
    /// Lanes of a pixel that come in.
    pub(super) inputs: usize,
    /// For each lanes of output the rows of all input channels, eight input channels at a time.
    pub(super) weights: Vec<[Lanes; LANES]>,
    pub(super) bias: Vec<Lanes>,
}

/// A depthwise 3x3 layer, a dense one, and the input added to it.
pub(super) struct Block {
    pub(super) stride: Stride,
    /// Nine taps in rows, each of all channels.
    pub(super) taps: Vec<Lanes>,
    pub(super) tap_bias: Vec<Lanes>,
    pub(super) dense: Dense,
}

/// The layers, ready to use.
pub(super) struct Model {
    /// 5x5 pixels of 3 channels as 75 inputs.
    pub(super) first: Dense,
    pub(super) blocks: Vec<Block>,
    /// Scores, then regressors, of the 2 anchors of a cell of 16x16.
    pub(super) fine_head: Dense,
    /// The same of the 6 anchors of a cell of 8x8.
    pub(super) coarse_head: Dense,
}

impl Model {
    /// The one that ships.
    pub(super) fn shipped() -> Result<Self, EyesError> {
        Self::from_bytes(SHIPPED)
    }

    /// Checks and unpacks.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, EyesError> {
        if bytes.len() != BYTES {
            return Err(EyesError::ModelLength { got: bytes.len(), expected: BYTES });
        }
        if Sha256::digest(bytes).as_slice() != SHA256 {
            return Err(EyesError::ModelDamaged);
        }
        let weights: Vec<f32> =
            bytes.as_chunks().0.iter().map(|pair| single(u16::from_le_bytes(*pair))).collect();
        let mut left = Reader(&weights);
        let first = left.dense(75, 24);
        let blocks =
            BLOCKS.iter().map(|(inputs, outputs, stride)| left.block(*inputs, *outputs, *stride)).collect();
        let scores = (left.matrix(88, 2), left.matrix(96, 6));
        let regressors = (left.matrix(88, 2 * REGRESSORS), left.matrix(96, 6 * REGRESSORS));
        Ok(Self {
            first,
            blocks,
            fine_head: packed(&[scores.0, regressors.0]),
            coarse_head: packed(&[scores.1, regressors.1]),
        })
    }
}

/// IEEE 754 half to single precision. The model has no infinities and nothing that is not a number.
fn single(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f32::from(half & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// What is left of the weights. Their number was checked, so nothing is ever missing.
struct Reader<'a>(&'a [f32]);

/// A layer's weights, input by input, and its bias.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    inputs: usize,
    outputs: usize,
    weights: &'a [f32],
    bias: &'a [f32],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [f32] {
        let (taken, left) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = left;
        taken
    }

    fn matrix(&mut self, inputs: usize, outputs: usize) -> Matrix<'a> {
        Matrix { inputs, outputs, weights: self.take(inputs * outputs), bias: self.take(outputs) }
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> Dense {
        packed(&[self.matrix(inputs, outputs)])
    }

    fn block(&mut self, inputs: usize, outputs: usize, stride: Stride) -> Block {
        let taps = self.take(9 * inputs).chunks(inputs).flat_map(lanes).collect();
        let tap_bias = lanes(self.take(inputs)).collect();
        Block { stride, taps, tap_bias, dense: self.dense(inputs, outputs) }
    }
}

/// Channels as whole lanes, zeros behind.
fn lanes(channels: &[f32]) -> impl Iterator<Item = Lanes> {
    channels.chunks(LANES).map(|channels| {
        let mut lanes = ZERO;
        lanes.iter_mut().zip(channels).for_each(|(lane, channel)| *lane = *channel);
        lanes
    })
}

/// Layers over the same inputs side by side, as [`Dense`] wants them.
fn packed(layers: &[Matrix<'_>]) -> Dense {
    let inputs = layers.iter().map(|layer| layer.inputs).max().unwrap_or(0);
    let row = |input: usize| -> Vec<Lanes> {
        let parts = layers.iter().flat_map(|layer| layer.weights.chunks(layer.outputs).nth(input));
        lanes(&parts.flatten().copied().collect::<Vec<_>>()).collect()
    };
    let rows: Vec<Vec<Lanes>> = (0..inputs).map(row).collect();
    let bias: Vec<Lanes> = {
        let all: Vec<f32> = layers.iter().flat_map(|layer| layer.bias).copied().collect();
        lanes(&all).collect()
    };
    let mut weights = Vec::with_capacity(bias.len() * inputs.div_ceil(LANES));
    for output in 0..bias.len() {
        for rows in rows.chunks(LANES) {
            let mut tile = [ZERO; LANES];
            for (to, row) in tile.iter_mut().zip(rows) {
                *to = row.get(output).copied().unwrap_or(ZERO);
            }
            weights.push(tile);
        }
    }
    Dense { inputs: inputs.div_ceil(LANES), weights, bias }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_singles() {
        let table = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
        ];
        for (half, expected) in table {
            assert_eq!(single(half), expected, "{half:#06x}");
        }
    }

    #[test]
    fn the_shipped_weights_are_used_to_the_last_one() {
        let dense = |inputs: usize, outputs: usize| (inputs + 1) * outputs;
        let blocks: usize = BLOCKS.iter().map(|(i, o, _)| 10 * i + dense(*i, *o)).sum();
        let heads = dense(88, 34) + dense(96, 102);
        assert_eq!((dense(75, 24) + blocks + heads) * 2, BYTES);
        let model = Model::shipped().unwrap();
        let last = model.coarse_head.bias.iter().flatten().nth(101).copied().unwrap();
        let end = SHIPPED.last_chunk::<2>().copied().map(u16::from_le_bytes).map(single).unwrap();
        assert_eq!(last, end);
    }

    #[test]
    fn err_any_other_weights_are_refused() {
        let err = |bytes: &[u8]| Model::from_bytes(bytes).err().unwrap();
        assert_eq!(err(&[]), EyesError::ModelLength { got: 0, expected: BYTES });
        assert_eq!(err(&SHIPPED[1..]), EyesError::ModelLength { got: BYTES - 1, expected: BYTES });
        let longer = [SHIPPED, &[0]].concat();
        assert_eq!(err(&longer), EyesError::ModelLength { got: BYTES + 1, expected: BYTES });
        assert_eq!(err(&vec![0; BYTES]), EyesError::ModelDamaged);
        for at in [0, BYTES / 2, BYTES - 1] {
            let mut damaged = SHIPPED.to_vec();
            damaged[at] ^= 1;
            assert_eq!(err(&damaged), EyesError::ModelDamaged);
            assert!(err(&damaged).remedy().contains("install latchd again"));
        }
    }
}
