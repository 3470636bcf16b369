//! Any rectangle of a frame, averaged down to a grid of cells, without a copy of the frame.
//!
//! The bytes of the rows under a row of cells are added up as they lie, whatever they mean; the sums are then added
//! up along the row, four side by side, so that a cell is a difference of two; and only cells' means become colours.
//! So a frame costs about one addition a byte, sixteen bytes at a time.

use super::face::Bounds;
use super::view::{Channel, Colour, FrameView};
use std::ops::Range;

/// Longest side of a rectangle, in pixels. 128 cells then hold at most 256 rows each, whose bytes fit a u16.
pub(super) const SIDE_MAX: f32 = 32_768.0;

/// Sums of a row of cells, kept so that no frame allocates.
#[derive(Default)]
pub(super) struct Sums {
    /// Of the bytes of one plane, column by column.
    bytes: Vec<u16>,
    /// Of each plane: the sums of all groups of bytes before this one, byte by byte of a group.
    planes: [Vec<Group>; 2],
    /// First pixel of each column of cells, and the one behind its last.
    columns: Vec<(usize, usize)>,
    channels: [Row; 3],
}

/// A channel of a row of cells.
#[derive(Default)]
struct Row {
    /// Where the sums before each column stand, and before the column behind it.
    places: [Vec<Places>; 2],
    /// Those sums.
    sums: [Vec<u32>; 2],
    /// Samples across each column.
    samples: Vec<f32>,
    /// The cells' means.
    means: Vec<f32>,
}

/// Numbers of sums, laid end to end; as many as samples of the channel lie in a group.
type Places = [usize; 4];

/// As many sums as a group of a plane has bytes (`Plane::group`); the rest is of no meaning.
type Group = [u32; 4];

/// A row of cells that lies on the frame.
pub(super) struct Cells<'a> {
    /// Its number, from the top.
    pub(super) row: usize,
    /// The first column that lies on the frame.
    pub(super) column: usize,
    /// Pixels under the row, and under each of its columns the first and the one behind the last.
    pub(super) rows: usize,
    pub(super) columns: &'a [(usize, usize)],
    /// Of each channel that was wanted: the mean of each cell, from that column on.
    means: [&'a mut [f32]; 3],
    colour: Colour,
}

/// Calls `each` for each row of `side` x `side` cells over `bounds`, with those that lie on the frame, at least in
/// part. A cell takes the pixels whose edges, rounded, are its own, or the one under its middle. Rectangles that are
/// no rectangle, or larger than [`SIDE_MAX`], have no cells. `wanted` are the first of the view's channels, or all.
pub(super) fn each_row(
    view: &FrameView<'_>,
    wanted: &[Channel],
    bounds: &Bounds,
    side: usize,
    sums: &mut Sums,
    mut each: impl FnMut(Cells<'_>),
) {
    let sides = [bounds.width(), bounds.height()];
    if !sides.iter().all(|side| (1.0..=SIDE_MAX).contains(side)) {
        return;
    }
    let across = Steps { begin: bounds.left, length: bounds.width(), side, limit: view.width };
    let down = Steps { begin: bounds.top, length: bounds.height(), side, limit: view.height };
    let Some(column) = (0..side).find(|column| across.pixels(*column).is_some()) else { return };
    let Sums { bytes, planes, columns, channels } = sums;
    columns.clear();
    columns.extend((column..side).map_while(|column| across.pixels(column)));
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else { return };
    let reach = (first.0, last.1);
    for (channel, row) in wanted.iter().zip(channels.iter_mut()) {
        row.lay_out(channel, view.planes.get(channel.plane).map_or(4, |plane| plane.group), columns);
    }
    for row in 0..side {
        let Some((top, bottom)) = down.pixels(row) else { continue };
        for (number, (plane, totals)) in view.planes.iter().zip(planes.iter_mut()).enumerate() {
            let channels = wanted.iter().filter(|channel| channel.plane == number);
            let ranges = channels.map(|channel| channel.bytes(reach));
            if let Some(range) = ranges.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) {
                let groups = range.start / plane.group..range.end.div_ceil(plane.group);
                add_rows(
                    plane.rows(top, bottom),
                    groups.start * plane.group..groups.end * plane.group,
                    bytes,
                );
                match plane.group {
                    3 => add_along::<3>(bytes, groups, totals),
                    _ => add_along::<4>(bytes, groups, totals),
                }
            }
        }
        for (channel, row) in wanted.iter().zip(channels.iter_mut()) {
            if let (Some(plane), Some(totals)) = (view.planes.get(channel.plane), planes.get(channel.plane)) {
                let rows = if plane.halved { bottom.div_ceil(2) - top / 2 } else { bottom - top };
                row.fill(totals.as_flattened(), plane.group / channel.step, rows);
            }
        }
        each(Cells {
            row,
            column,
            rows: bottom - top,
            columns,
            means: channels.each_mut().map(|row| row.means.as_mut_slice()),
            colour: view.colour,
        });
    }
}

/// Adds bytes up by column. At most 257 rows of them: a cell is at most 256 pixels high.
fn add_rows<'a>(mut rows: impl Iterator<Item = &'a [u8]>, range: Range<usize>, sums: &mut Vec<u16>) {
    if sums.len() < range.end {
        sums.resize(range.end, 0);
    }
    let Some(sums) = sums.get_mut(range.clone()) else { return };
    sums.fill(0);
    let mut next = || rows.next().map(|row| row.get(range.start..).unwrap_or_default());
    loop {
        // Four at a time: each sum is then read and written a fourth as often.
        match [next(), next(), next(), next()] {
            [Some(first), Some(second), Some(third), Some(fourth)] => {
                let rows = first.iter().zip(second).zip(third.iter().zip(fourth));
                for (sum, ((a, b), (c, d))) in sums.iter_mut().zip(rows) {
                    let (upper, lower) = (u16::from(*a) + u16::from(*b), u16::from(*c) + u16::from(*d));
                    *sum = sum.wrapping_add(upper).wrapping_add(lower);
                }
            }
            last => {
                for row in last.into_iter().flatten() {
                    for (sum, byte) in sums.iter_mut().zip(row) {
                        *sum = sum.wrapping_add(u16::from(*byte));
                    }
                }
                return;
            }
        }
    }
}

/// Adds the groups of `GROUP` sums up: `totals` of a number is what stands before that group, from the first on.
fn add_along<const GROUP: usize>(sums: &[u16], groups: Range<usize>, totals: &mut Vec<Group>) {
    if totals.len() <= groups.end {
        totals.resize(groups.end + 1, Group::default());
    }
    let sums = sums.as_chunks::<GROUP>().0.get(groups.clone()).unwrap_or_default();
    let Some([first, totals @ ..]) = totals.get_mut(groups.start..=groups.end) else { return };
    let mut total = Group::default();
    *first = total;
    for (place, group) in totals.iter_mut().zip(sums) {
        for (total, sum) in total.iter_mut().zip(group) {
            *total = total.wrapping_add(u32::from(*sum));
        }
        *place = total;
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

    /// The places of the sums of all samples before one.
    fn places(&self, group: usize, sample: usize) -> Places {
        let each = group / self.step;
        std::array::from_fn(|number| {
            if number < each {
                // So many groups begin before the sample whose `number`-th is taken.
                (sample + each - 1 - number) / each * Group::default().len()
                    + self.offset
                    + self.step * number
            } else {
                0
            }
        })
    }
}

impl Row {
    fn lay_out(&mut self, channel: &Channel, group: usize, columns: &[(usize, usize)]) {
        let [firsts, ends] = &mut self.places;
        firsts.clear();
        ends.clear();
        self.samples.clear();
        for pixels in columns {
            let (first, end) = channel.samples(*pixels);
            firsts.push(channel.places(group, first));
            ends.push(channel.places(group, end));
            self.samples.push((end - first) as f32);
        }
        // Columns mostly begin where the ones before end: those sums are read once.
        if !channel.halved && columns.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.0)) {
            ends.drain(..ends.len().saturating_sub(1));
        }
        self.means.resize(columns.len(), 0.0);
    }

    /// `each` samples of the channel lie in a group, and `rows` of them under a cell.
    fn fill(&mut self, totals: &[u32], each: usize, rows: usize) {
        for (sums, places) in self.sums.iter_mut().zip(&self.places) {
            match each {
                1 => gather::<1>(totals, places, sums),
                2 => gather::<2>(totals, places, sums),
                _ => gather::<4>(totals, places, sums),
            }
        }
        let [firsts, ends] = &mut self.sums;
        if ends.len() < firsts.len() {
            firsts.append(ends);
        }
        let ends = if ends.is_empty() { firsts.get(1..).unwrap_or_default() } else { ends };
        let rows = rows as f32;
        for (((mean, first), end), samples) in
            self.means.iter_mut().zip(&*firsts).zip(ends).zip(&self.samples)
        {
            // It fits: a cell is at most 256 pixels wide and high. Signed, four are converted at a time.
            let total = end.wrapping_sub(*first).cast_signed();
            *mean = total as f32 / (samples * rows);
        }
    }
}

/// The sums of so many numbers each.
fn gather<const EACH: usize>(totals: &[u32], places: &[Places], sums: &mut Vec<u32>) {
    sums.clear();
    sums.extend(places.iter().map(|places| {
        let mut sum = 0_u32;
        for place in places.iter().take(EACH) {
            sum = sum.wrapping_add(totals.get(*place).copied().unwrap_or(0));
        }
        sum
    }));
}

impl Cells<'_> {
    /// Red, green and blue of the cells, 0 to 255; all channels must have been wanted.
    pub(super) fn colours(self) -> impl Iterator<Item = [f32; 3]> {
        let Self { means: [first, second, third], colour, .. } = self;
        if colour != Colour::Rgb {
            for ((first, second), third) in first.iter_mut().zip(&mut *second).zip(&mut *third) {
                [*first, *second, *third] = colour.rgb([*first, *second, *third]);
            }
        }
        first.iter().zip(&*second).zip(&*third).map(|((red, green), blue)| [*red, *green, *blue])
    }

    /// Luma of the cells, 0 to 255; the channels of `FrameView::luma_channels` must have been wanted.
    pub(super) fn lumas(self) -> impl Iterator<Item = f32> {
        let Self { means: [first, second, third], colour, .. } = self;
        match colour {
            Colour::Rgb => {
                for ((red, green), blue) in first.iter_mut().zip(&*second).zip(&*third) {
                    *red = luma([*red, *green, *blue]);
                }
            }
            Colour::Limited => first.iter_mut().for_each(|value| *value = limited(*value).clamp(0.0, 255.0)),
            Colour::Full => {}
        }
        first.iter().copied()
    }
}

impl Colour {
    /// Means of the three channels -> red, green, blue, 0 to 255. The factors are those of `camera::convert`.
    #[inline(always)]
    pub(super) fn rgb(self, [y, u, v]: [f32; 3]) -> [f32; 3] {
        let (light, [red, green_u, green_v, blue]) = match self {
            Self::Rgb => return [y, u, v],
            Self::Limited => (limited(y), [409.0 / 256.0, 100.0 / 256.0, 208.0 / 256.0, 516.0 / 256.0]),
            Self::Full => (y, [359.0 / 256.0, 88.0 / 256.0, 183.0 / 256.0, 454.0 / 256.0]),
        };
        let (u, v) = (u - 128.0, v - 128.0);
        let within = |value: f32| value.clamp(0.0, 255.0);
        [within(light + red * v), within(light - green_u * u - green_v * v), within(light + blue * u)]
    }
}

/// Luma of a camera, 16 to 235 -> 0 to 255; what lies beside stays beside.
fn limited(luma: f32) -> f32 {
    298.0 / 256.0 * (luma - 16.0)
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
}

#[cfg(test)]
#[path = "area_tests.rs"]
mod tests;
