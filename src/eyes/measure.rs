//! What is measured of a face beside its place: how large, how bright, how sharp. Luma is BT.601, 0 to 255, whatever
//! range the camera sends.
//!
//! Sharpness and contrast are measured on the box averaged down to 160x160 and divided by its brightness, so that
//! neither the camera's size nor the skin's tone is taken for focus (docs/eyes.md). Noise inflates sharpness, so
//! judge light first.

use super::area::{Sums, each_row};
use super::face::{Bounds, Face};
use super::pose::Pose;
use super::view::FrameView;

/// A face and what is measured of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceMeasure {
    /// Where it is.
    pub face: Face,
    /// Where it is turned; `None` when the landmarks cannot be a face's.
    pub pose: Option<Pose>,
    /// The part of the box that lies on the frame, over the frame's area: 0 to 1.
    pub area_share: f32,
    /// The box's centre beside the frame's, right and down, in frame widths and heights: (0, 0) is the middle and
    /// (0.5, 0.5) the bottom right corner.
    pub offset: (f32, f32),
    /// How it is lit and how sharp it is.
    pub light: Light,
}

/// Light and sharpness of a face's box. All 0 when no part of it lies on the frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Light {
    /// Mean luma, 0 to 255.
    pub luma_mean: f32,
    /// Share of pixels at luma 8 or below, 0 to 1.
    pub dark_share: f32,
    /// Share of pixels at luma 247 or above, 0 to 1.
    pub bright_share: f32,
    /// Mean standard deviation of luma within 16x16 of the 160x160 cells, over the mean luma.
    pub contrast: f32,
    /// Standard deviation of the noise, in luma steps: Immerkaer's estimate (1996), on the pixels as they are.
    pub noise: f32,
    /// Variance of the Laplacian of the 160x160 cells over the squared mean. 0.01 and more is sharp.
    pub sharpness: f32,
}

/// Cells along a side of the picture that sharpness is measured on.
pub const GRID: usize = 160;
/// Cells along a side of a part whose contrast is measured.
const PART: usize = 16;
/// Luma at which a pixel counts as lost in the dark, and in the light.
const DARK_MAX: u8 = 8;
const BRIGHT_MIN: u8 = 247;
/// Rows of the box that are looked at pixel by pixel, at most.
const ROWS_MAX: usize = 160;

/// A picture of 160x160 cells.
type Grid = [[f32; GRID]];

/// Memory for measuring.
pub(super) struct Scratch {
    cells: Vec<[f32; GRID]>,
    /// Luma of three rows.
    rows: [Vec<u8>; 3],
    /// The middle one's difference from its neighbours.
    curve: Vec<i16>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { cells: vec![[0.0; GRID]; GRID], rows: Default::default(), curve: Vec::new() }
    }
}

/// Measures a face.
pub(super) fn measure(
    view: &FrameView<'_>,
    face: Face,
    sums: &mut Sums,
    scratch: &mut Scratch,
) -> FaceMeasure {
    let (width, height) = (view.width as f32, view.height as f32);
    let frame = Bounds { left: 0.0, top: 0.0, right: width, bottom: height };
    let seen = face.bounds.intersection(&frame);
    let centre = face.bounds.centre();
    FaceMeasure {
        face,
        pose: Pose::of(&face.landmarks),
        area_share: seen.area() / frame.area(),
        offset: (centre.x / width - 0.5, centre.y / height - 0.5),
        light: light(view, &seen, sums, scratch),
    }
}

/// Of a rectangle that lies on the frame.
pub(super) fn light(view: &FrameView<'_>, seen: &Bounds, sums: &mut Sums, scratch: &mut Scratch) -> Light {
    if seen.width() < 1.0 || seen.height() < 1.0 {
        return Light::default();
    }
    average(view, seen, sums, &mut scratch.cells, |_, _, _| ());
    let rows = scratch.cells.as_slice();
    let mean = mean(rows);
    let pixels = Pixels::count(view, seen, &mut scratch.rows, &mut scratch.curve);
    Light {
        luma_mean: mean,
        dark_share: pixels.share(pixels.dark),
        bright_share: pixels.share(pixels.bright),
        contrast: if mean > 0.0 { deviation(rows, mean) / mean } else { 0.0 },
        noise: pixels.noise(),
        sharpness: sharpness(rows, mean),
    }
}

/// Luma of a rectangle's cells; 0 beside the frame. `weigh` hears of each row the pixels under it, down and across, and
/// its cells.
fn average(
    view: &FrameView<'_>,
    bounds: &Bounds,
    sums: &mut Sums,
    grid: &mut Grid,
    mut weigh: impl FnMut(usize, &[(usize, usize)], &[f32]),
) {
    grid.as_flattened_mut().fill(0.0);
    each_row(view, view.luma_channels(), bounds, GRID, sums, |cells| {
        let (row, column, rows, columns) = (cells.row, cells.column, cells.rows, cells.columns);
        let into = grid.get_mut(row).and_then(|row| row.get_mut(column..)).unwrap_or_default();
        into.iter_mut().zip(cells.lumas()).for_each(|(cell, luma)| *cell = luma);
        weigh(rows, columns, into);
    });
}

/// Light and sharpness of a whole frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overview {
    /// Mean luma, 0 to 255.
    pub luma_mean: f32,
    /// Luma of the brightest of 160x160 cells, 0 to 255.
    pub brightest: f32,
    /// Variance of the Laplacian of the cells over the squared mean.
    pub sharpness: f32,
}

/// Measures whole frames, whoever is on them.
pub struct Overviews {
    sums: Sums,
    cells: Vec<[f32; GRID]>,
}

impl Default for Overviews {
    fn default() -> Self {
        Self { sums: Sums::default(), cells: vec![[0.0; GRID]; GRID] }
    }
}

impl Overviews {
    /// Measures a frame.
    pub fn of(&mut self, view: &FrameView<'_>) -> Overview {
        let frame = Bounds { left: 0.0, top: 0.0, right: view.width as f32, bottom: view.height as f32 };
        let (mut sums, mut brightest, mut widths) = ([0.0_f32; GRID], [0.0_f32; GRID], [0.0_f32; GRID]);
        let mut height = 0.0;
        average(view, &frame, &mut self.sums, &mut self.cells, |rows, columns, cells| {
            let rows = rows as f32;
            for ((sum, most), cell) in sums.iter_mut().zip(&mut brightest).zip(cells) {
                *sum += *cell * rows;
                *most = if *cell > *most { *cell } else { *most };
            }
            if height == 0.0 {
                let pixels = columns.iter().map(|(left, right)| (right - left) as f32);
                widths.iter_mut().zip(pixels).for_each(|(width, pixels)| *width = pixels);
            }
            height += rows;
        });
        let light: f64 = sums.iter().zip(widths).map(|(sum, width)| f64::from(*sum) * f64::from(width)).sum();
        let pixels = f64::from(height) * f64::from(widths.iter().sum::<f32>());
        let rows = self.cells.as_slice();
        Overview {
            luma_mean: (light / pixels.max(1.0)) as f32,
            brightest: brightest.into_iter().fold(0.0, f32::max),
            sharpness: sharpness(rows, mean(rows)),
        }
    }
}

/// Mean over the parts of the standard deviation within each.
fn deviation(rows: &Grid, mean: f32) -> f32 {
    let mut sum = 0.0;
    for band in rows.chunks_exact(PART) {
        let mut moments = Moments::<GRID>::new();
        for row in band {
            // Less the mean, so that little is lost to rounding.
            moments.add(row.iter().map(|cell| cell - mean));
        }
        sum += moments.variances::<PART>().map(f32::sqrt).sum::<f32>();
    }
    sum / ((GRID / PART) * (GRID / PART)) as f32
}

/// Variance of the 4-neighbour Laplacian over the squared mean; 0 for cells without light.
fn sharpness(rows: &Grid, mean: f32) -> f32 {
    if mean <= 0.0 {
        return 0.0;
    }
    let mut edges = Moments::<{ GRID - 2 }>::new();
    for [above, here, below] in threes(rows) {
        let columns =
            from(above, 1).zip(from(below, 1)).zip(from(here, 0)).zip(from(here, 2)).zip(from(here, 1));
        edges.add(
            columns.map(|((((above, below), left), right), here)| above + below + left + right - 4.0 * here),
        );
    }
    edges.variances::<{ GRID - 2 }>().sum::<f32>() / mean / mean
}

fn from(row: &[f32; GRID], first: usize) -> std::slice::Iter<'_, f32> {
    row.get(first..).unwrap_or_default().iter()
}

fn mean(rows: &Grid) -> f32 {
    let mut sums = [0.0; GRID];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell);
    }
    sums.iter().sum::<f32>() / rows.as_flattened().len().max(1) as f32
}

/// Each three that follow one another.
fn threes<T>(row: &[T]) -> impl Iterator<Item = &[T; 3]> {
    row.windows(3).filter_map(|three| three.first_chunk())
}

/// Sums of values and of their squares, column by column: so many are added at a time.
struct Moments<const WIDTH: usize> {
    rows: u32,
    sums: [f32; WIDTH],
    squares: [f32; WIDTH],
}

impl<const WIDTH: usize> Moments<WIDTH> {
    fn new() -> Self {
        Self { rows: 0, sums: [0.0; WIDTH], squares: [0.0; WIDTH] }
    }

    #[inline(always)]
    fn add(&mut self, values: impl Iterator<Item = f32>) {
        self.rows += 1;
        for ((sum, square), value) in self.sums.iter_mut().zip(&mut self.squares).zip(values) {
            *sum += value;
            *square += value * value;
        }
    }

    /// Of each so many columns.
    fn variances<const COLUMNS: usize>(&self) -> impl Iterator<Item = f32> {
        let total = |columns: &[f32; COLUMNS]| columns.iter().copied().map(f64::from).sum::<f64>();
        let count = f64::from(self.rows.max(1)) * COLUMNS as f64;
        let parts = self.sums.as_chunks::<COLUMNS>().0.iter().zip(self.squares.as_chunks::<COLUMNS>().0);
        parts.map(move |(sums, squares)| {
            let mean = total(sums) / count;
            (total(squares) / count - mean * mean).max(0.0) as f32
        })
    }
}

/// What is counted pixel by pixel.
#[derive(Default)]
struct Pixels {
    count: u64,
    dark: u64,
    bright: u64,
    /// Sum and number of what is left of a pixel when its neighbours explain the rest.
    rest: u64,
    rests: u64,
}

impl Pixels {
    fn count(view: &FrameView<'_>, seen: &Bounds, rows: &mut [Vec<u8>; 3], curve: &mut Vec<i16>) -> Self {
        let (left, right) = (seen.left as usize, (seen.right.ceil() as usize).min(view.width));
        let (top, bottom) = (seen.top as usize, (seen.bottom.ceil() as usize).min(view.height));
        let mut pixels = Self::default();
        for row in (top..bottom).step_by((bottom - top).div_ceil(ROWS_MAX).max(1)) {
            let whole = row + 2 < bottom;
            for (next, luma) in rows.iter_mut().enumerate().take(if whole { 3 } else { 1 }) {
                view.luma_row(row + next, left, right, luma);
            }
            let [first, second, third] = &*rows;
            pixels.clipped(first);
            if whole {
                pixels.noisy([first, second, third], curve);
            }
        }
        pixels
    }

    fn clipped(&mut self, row: &[u8]) {
        let number = |found: usize| u64::try_from(found).unwrap_or(0);
        self.count += number(row.len());
        self.dark += count(row, |luma| luma <= DARK_MAX);
        self.bright += count(row, |luma| luma >= BRIGHT_MIN);
    }

    /// The mask [1 -2 1; -2 4 -2; 1 -2 1], columns first: blind to slopes and to straight edges along rows and columns.
    fn noisy(&mut self, [above, here, below]: [&[u8]; 3], curve: &mut Vec<i16>) {
        let rows = above.iter().zip(here).zip(below);
        curve.clear();
        curve.extend(rows.map(|((above, here), below)| {
            // -510 to 510; wrapping, so that eight are computed at a time.
            i16::from(*above).wrapping_add(i16::from(*below)).wrapping_sub(i16::from(*here) * 2)
        }));
        let (next, last) = (curve.get(1..).unwrap_or_default(), curve.get(2..).unwrap_or_default());
        let rests = curve.iter().zip(next).zip(last).map(|((first, middle), last)| {
            u32::from(first.wrapping_add(*last).wrapping_sub(middle.wrapping_mul(2)).unsigned_abs())
        });
        // A row has at most 8192 of at most 2040.
        self.rest += u64::from(rests.fold(0u32, u32::wrapping_add));
        self.rests += u64::try_from(last.len()).unwrap_or(0);
    }

    fn share(&self, of: u64) -> f32 {
        of as f32 / self.count.max(1) as f32
    }

    /// Of normal noise the mask leaves six standard deviations, whose mean size is sqrt(2 / pi) of them.
    fn noise(&self) -> f32 {
        self.rest as f32 / self.rests.max(1) as f32 / 6.0 * std::f32::consts::FRAC_PI_2.sqrt()
    }
}

/// How many are so.
fn count(row: &[u8], so: impl Fn(u8) -> bool) -> u64 {
    // As many as a byte can count: so many bytes are compared at a time.
    let some = |luma: &[u8]| luma.iter().fold(0_u8, |found, luma| found.wrapping_add(u8::from(so(*luma))));
    row.chunks(usize::from(u8::MAX)).map(|part| u64::from(some(part))).sum()
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
