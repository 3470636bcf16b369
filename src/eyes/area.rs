//! Any rectangle of a frame, averaged down to a grid of RGB cells, without a copy of the frame.
//!
//! The bytes of the rows under a row of cells are added up as they lie, whatever they mean; only the sums are taken
//! apart into channels, and only the cells' means become colours. So a frame costs about one addition a byte.

use super::face::Bounds;
use super::view::{Channel, Colour, FrameView};
use std::ops::Range;

/// Longest side of a rectangle, in pixels. 128 cells then hold at most 256 rows each, whose bytes fit a u16.
pub(super) const SIDE_MAX: f32 = 32_768.0;

/// Sums of a row of cells, kept so that no frame allocates.
#[derive(Default)]
pub(super) struct Sums {
    planes: [Vec<u16>; 2],
    /// First pixel of each column of cells, and the one behind its last; equal beside the frame.
    columns: Vec<(usize, usize)>,
}

/// Calls `cell(column, row, [red, green, blue])` for each cell of `side` x `side` over `bounds` that lies on the
/// frame, at least in part; colours are 0 to 255. A cell takes the pixels whose edges, rounded, are its own, or the
/// one under its middle. Rectangles that are no rectangle, or larger than [`SIDE_MAX`], have no cells.
pub(super) fn each_cell(
    view: &FrameView<'_>,
    bounds: &Bounds,
    side: usize,
    sums: &mut Sums,
    mut cell: impl FnMut(usize, usize, [f32; 3]),
) {
    let sides = [bounds.width(), bounds.height()];
    if !sides.iter().all(|side| (1.0..=SIDE_MAX).contains(side)) {
        return;
    }
    let across = Steps { begin: bounds.left, length: bounds.width(), side, limit: view.width };
    let down = Steps { begin: bounds.top, length: bounds.height(), side, limit: view.height };
    let Some(reach) = across.reach() else { return };
    sums.columns.clear();
    sums.columns.extend((0..side).map(|column| across.pixels(column).unwrap_or_default()));
    for row in 0..side {
        let Some((top, bottom)) = down.pixels(row) else { continue };
        for (number, (plane, sums)) in view.planes.iter().zip(&mut sums.planes).enumerate() {
            let channels = view.channels.iter().filter(|channel| channel.plane == number);
            let ranges = channels.map(|channel| channel.bytes(reach));
            if let Some(range) = ranges.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) {
                add_rows(plane.rows(top, bottom), range, sums);
            }
        }
        for (column, pixels) in sums.columns.iter().enumerate().filter(|(_, pixels)| pixels.0 < pixels.1) {
            let means = view.channels.map(|channel| {
                let halved = view.planes.get(channel.plane).is_some_and(|plane| plane.halved);
                let rows = if halved { bottom.div_ceil(2) - top / 2 } else { bottom - top };
                let sums = sums.planes.get(channel.plane).map(Vec::as_slice).unwrap_or_default();
                channel.mean(sums, *pixels, rows)
            });
            cell(column, row, view.colour.rgb(means));
        }
    }
}

/// Adds bytes up by column. At most 257 rows of them: a cell is at most 256 pixels high.
fn add_rows<'a>(rows: impl Iterator<Item = &'a [u8]>, range: Range<usize>, sums: &mut Vec<u16>) {
    if sums.len() < range.end {
        sums.resize(range.end, 0);
    }
    let Some(sums) = sums.get_mut(range.clone()) else { return };
    sums.fill(0);
    for row in rows {
        let row = row.get(range.start..).unwrap_or_default();
        for (sum, byte) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(u16::from(*byte));
        }
    }
}

impl Channel {
    /// The samples that the pixels from `left` up to `right` have a share in.
    fn samples(&self, (left, right): (usize, usize)) -> (usize, usize) {
        if self.halved { (left / 2, right.div_ceil(2)) } else { (left, right) }
    }

    /// The bytes of a row that hold them.
    fn bytes(&self, pixels: (usize, usize)) -> Range<usize> {
        let (first, end) = self.samples(pixels);
        first * self.step..end * self.step
    }

    fn mean(&self, sums: &[u16], pixels: (usize, usize), rows: usize) -> f32 {
        let (first, end) = self.samples(pixels);
        let samples = sums.get(first * self.step + self.offset..).unwrap_or_default();
        let total: u32 = samples.iter().step_by(self.step).take(end - first).map(|sum| u32::from(*sum)).sum();
        total as f32 / ((end - first) * rows) as f32
    }
}

impl Colour {
    /// Means of the three channels -> red, green, blue, 0 to 255. The factors are those of `camera::convert`.
    pub(super) fn rgb(self, [y, u, v]: [f32; 3]) -> [f32; 3] {
        let (light, chroma) = match self {
            Self::Rgb => return [y, u, v],
            Self::Limited => (298.0 / 256.0 * (y - 16.0), [409.0, 100.0, 208.0, 516.0]),
            Self::Full => (y, [359.0, 88.0, 183.0, 454.0]),
        };
        let [red, green_u, green_v, blue] = chroma.map(|factor| factor / 256.0);
        let (u, v) = (u - 128.0, v - 128.0);
        [light + red * v, light - green_u * u - green_v * v, light + blue * u]
            .map(|value| value.clamp(0.0, 255.0))
    }
}

/// Luma of a colour, BT.601, 0 to 255.
pub(super) fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Cells along one side.
struct Steps {
    begin: f32,
    length: f32,
    /// How many cells.
    side: usize,
    /// Pixels of the frame.
    limit: usize,
}

impl Steps {
    /// First pixel of a cell and the one behind its last, at least one pixel; `None` beside the frame.
    fn pixels(&self, cell: usize) -> Option<(usize, usize)> {
        let edge = |cell: f32| self.begin + cell * self.length / self.side as f32;
        let (mut first, mut end) = (edge(cell as f32).round(), edge(cell as f32 + 1.0).round());
        if end <= first {
            first = edge(cell as f32 + 0.5).floor();
            end = first + 1.0;
        }
        let limit = self.limit as f32;
        let (first, end) = (first.clamp(0.0, limit) as usize, end.clamp(0.0, limit) as usize);
        (first < end).then_some((first, end))
    }

    /// All pixels that any cell takes.
    fn reach(&self) -> Option<(usize, usize)> {
        let first = (0..self.side).find_map(|cell| self.pixels(cell))?.0;
        let end = (0..self.side).rev().find_map(|cell| self.pixels(cell))?.1;
        Some((first, end))
    }
}

#[cfg(test)]
#[path = "area_tests.rs"]
mod tests;
