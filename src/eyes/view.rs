//! A frame as it lies in the camera's buffer. Its size, stride and byte count are checked here once; nothing behind
//! trusts the driver.
//!
//! Packed and planar formats are described in one way: planes of bytes, and three channels that step through them.

use super::error::EyesError;
use crate::picture::read::SIDE_MAX;

/// A borrowed frame of one of the formats that are understood.
#[derive(Clone, Copy)]
pub struct FrameView<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) planes: [Plane<'a>; 2],
    pub(super) channels: [Channel; 3],
    pub(super) colour: Colour,
}

/// Rows of bytes, as many as the frame has or half as many. Its bytes hold them all.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    /// Bytes of a row that hold pixels.
    row: usize,
    /// Two rows of the frame share one of the plane.
    pub(super) halved: bool,
    /// Bytes that mean the same from group to group: 3 or 4.
    pub(super) group: usize,
}

impl<'a> Plane<'a> {
    const NONE: Self = Self { bytes: &[], stride: 1, row: 0, halved: false, group: 4 };

    /// A row of the frame, from its first byte to the next row's, or to the end.
    pub(super) fn rows(&self, first: usize, end: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (first, end) = if self.halved { (first / 2, end.div_ceil(2)) } else { (first, end) };
        self.bytes.chunks(self.stride).take(end).skip(first)
    }
}

/// One of the three numbers of a pixel: which bytes of a plane's row they are.
#[derive(Clone, Copy)]
pub(super) struct Channel {
    pub(super) plane: usize,
    pub(super) offset: usize,
    pub(super) step: usize,
    /// Two pixels share one.
    pub(super) halved: bool,
}

impl Channel {
    const fn new(plane: usize, offset: usize, step: usize, halved: bool) -> Self {
        Self { plane, offset, step, halved }
    }
}

/// What the three channels mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Rgb,
    /// ITU-R BT.601, luma 16 to 235, as cameras send it (see `camera::convert`).
    Limited,
    /// ITU-R BT.601, luma 0 to 255, as JPEG has it.
    Full,
}

impl<'a> FrameView<'a> {
    /// 8-bit RGB rows without padding.
    pub fn rgb(width: u32, height: u32, bytes: &'a [u8]) -> Result<Self, EyesError> {
        Self::thirds(width, height, bytes, Colour::Rgb)
    }

    /// What a JPEG decoder has before it makes colours of it: full-range Y Cb Cr, three bytes a pixel, rows without
    /// padding.
    pub fn ycc(width: u32, height: u32, bytes: &'a [u8]) -> Result<Self, EyesError> {
        Self::thirds(width, height, bytes, Colour::Full)
    }

    fn thirds(width: u32, height: u32, bytes: &'a [u8], colour: Colour) -> Result<Self, EyesError> {
        let row = width.saturating_mul(3);
        let sides = checked(width, height, row, row)?;
        let plane = Plane { group: 3, ..plane(bytes, sides.stride, sides.stride, sides.height, false)? };
        let channels = [0, 1, 2].map(|offset| Channel::new(0, offset, 3, false));
        Ok(Self::of(sides, [plane, Plane::NONE], channels, colour))
    }

    /// 4:2:2, packed Y U Y V; `stride` bytes from row to row.
    pub fn yuyv(width: u32, height: u32, stride: u32, bytes: &'a [u8]) -> Result<Self, EyesError> {
        let row = width.div_ceil(2).saturating_mul(4);
        let sides = checked(width, height, stride, row)?;
        let plane = plane(bytes, sides.stride, sides.row, sides.height, false)?;
        let channels =
            [Channel::new(0, 0, 2, false), Channel::new(0, 1, 4, true), Channel::new(0, 3, 4, true)];
        Ok(Self::of(sides, [plane, Plane::NONE], channels, Colour::Limited))
    }

    /// 4:2:0, a plane of Y, then one of U V pairs; `stride` bytes from row to row of both.
    pub fn nv12(width: u32, height: u32, stride: u32, bytes: &'a [u8]) -> Result<Self, EyesError> {
        let sides = checked(width, height, stride, width.div_ceil(2).saturating_mul(2))?;
        let lumas = plane(bytes, sides.stride, sides.row, sides.height, false)?;
        let begin = sides.stride * sides.height;
        let rows = sides.height.div_ceil(2);
        let chromas = plane(bytes.get(begin..).unwrap_or_default(), sides.stride, sides.row, rows, true)
            .map_err(|_| EyesError::Short {
                got: bytes.len(),
                needed: begin + sides.stride * (rows - 1) + sides.row,
            })?;
        let channels =
            [Channel::new(0, 0, 1, false), Channel::new(1, 0, 2, true), Channel::new(1, 1, 2, true)];
        Ok(Self::of(sides, [lumas, chromas], channels, Colour::Limited))
    }

    fn of(sides: Sides, planes: [Plane<'a>; 2], channels: [Channel; 3], colour: Colour) -> Self {
        Self { width: sides.width, height: sides.height, planes, channels, colour }
    }
}

/// What is read of a frame beside its cells.
impl<'a> FrameView<'a> {
    /// All bytes that hold pixels, plane by plane: in one piece where no row is padded, else row by row.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.planes.into_iter().flat_map(|plane| {
            let (length, row) = if plane.row == plane.stride {
                (plane.bytes.len(), usize::MAX)
            } else {
                (plane.stride, plane.row)
            };
            plane.bytes.chunks(length.max(1)).map(move |piece| piece.get(..row).unwrap_or(piece))
        })
    }

    /// The channels that luma is made of.
    pub(super) fn luma_channels(&self) -> &[Channel] {
        match self.colour {
            Colour::Rgb => &self.channels,
            Colour::Limited | Colour::Full => self.channels.split_at(1).0,
        }
    }

    /// Luma, 0 to 255, of the pixels from `left` up to `right` of a row; none of them is beside the frame.
    pub(super) fn luma_row(&self, row: usize, left: usize, right: usize, luma: &mut Vec<u8>) {
        let [plane, _] = &self.planes;
        let [first, ..] = self.channels;
        let bytes = plane.bytes.get(row * plane.stride + left * first.step..).unwrap_or_default();
        luma.resize(right.saturating_sub(left), 0);
        match (self.colour, first.step) {
            (Colour::Rgb, _) => fill(luma, bytes.as_chunks::<3>().0, |[red, green, blue]| {
                let of = |value: u8, factor| u16::from(value).wrapping_mul(factor);
                low(of(red, 77).wrapping_add(of(green, 150)).wrapping_add(of(blue, 29)) >> 8)
            }),
            (Colour::Full, _) => fill(luma, bytes.as_chunks::<3>().0, |[luma, _, _]| luma),
            (Colour::Limited, 1) => fill(luma, bytes, full_range),
            (Colour::Limited, _) => fill(luma, bytes.as_chunks::<2>().0, |[luma, _]| full_range(luma)),
        }
    }
}

/// Sets each to what `of` makes of the samples of its pixel.
fn fill<T: Copy>(luma: &mut [u8], samples: &[T], of: impl Fn(T) -> u8) {
    for (luma, sample) in luma.iter_mut().zip(samples) {
        *luma = of(*sample);
    }
}

/// Luma of a camera, 16 to 235 -> 0 to 255, rounded as `camera::convert` does.
fn full_range(luma: u8) -> u8 {
    // At most 298 * 219 + 128, which fits: in 16 bits eight are computed at a time.
    low(u16::from(luma.saturating_sub(16).min(219)).wrapping_mul(298).wrapping_add(128) >> 8)
}

#[allow(clippy::cast_possible_truncation, reason = "at most 255")]
fn low(value: u16) -> u8 {
    value as u8
}

/// Frames show a person: only the size is printed.
impl std::fmt::Debug for FrameView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrameView({}x{})", self.width, self.height)
    }
}

struct Sides {
    width: usize,
    height: usize,
    stride: usize,
    /// Bytes of a row that hold pixels.
    row: usize,
}

fn checked(width: u32, height: u32, stride: u32, row: u32) -> Result<Sides, EyesError> {
    let possible = (1..=SIDE_MAX).contains(&width)
        && (1..=SIDE_MAX).contains(&height)
        && (row..=SIDE_MAX * 8).contains(&stride);
    let index = |side: u32| usize::try_from(side).ok();
    match (possible, index(width), index(height), index(stride), index(row)) {
        (true, Some(width), Some(height), Some(stride), Some(row)) => {
            Ok(Sides { width, height, stride, row })
        }
        _ => Err(EyesError::Layout { width, height, stride }),
    }
}

/// The last row need not be filled up to the stride. What stands behind it is cut off.
fn plane(bytes: &[u8], stride: usize, row: usize, rows: usize, halved: bool) -> Result<Plane<'_>, EyesError> {
    let needed = stride * rows.saturating_sub(1) + row;
    let bytes = bytes.get(..needed).ok_or(EyesError::Short { got: bytes.len(), needed })?;
    Ok(Plane { bytes, stride, row, halved, group: 4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_sizes_and_strides_that_lie_are_refused() {
        let bytes = vec![0; 64 * 48 * 3];
        let layout = |view: Result<FrameView<'_>, EyesError>| {
            assert!(matches!(view, Err(EyesError::Layout { .. })), "{view:?}");
        };
        layout(FrameView::rgb(0, 48, &bytes));
        layout(FrameView::rgb(64, 0, &bytes));
        layout(FrameView::rgb(u32::MAX, u32::MAX, &bytes));
        layout(FrameView::ycc(SIDE_MAX + 1, 1, &bytes));
        layout(FrameView::yuyv(64, 48, 127, &bytes));
        layout(FrameView::yuyv(64, 48, u32::MAX, &bytes));
        layout(FrameView::yuyv(63, 48, 126, &bytes));
        layout(FrameView::nv12(64, 48, 63, &bytes));
        layout(FrameView::nv12(63, 48, 63, &bytes));
        layout(FrameView::nv12(u32::MAX, 48, u32::MAX, &bytes));
    }

    #[test]
    fn pieces_are_the_pixels_and_no_padding() {
        let bytes: Vec<u8> = (0..200).collect();
        let pieces = |view: FrameView<'_>| view.pieces().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let rgb = pieces(FrameView::rgb(4, 5, &bytes).unwrap());
        assert_eq!(rgb, [bytes[..60].to_vec()]);
        let yuyv = pieces(FrameView::yuyv(4, 3, 10, &bytes).unwrap());
        assert_eq!(yuyv, [bytes[..8].to_vec(), bytes[10..18].to_vec(), bytes[20..28].to_vec()]);
        let nv12 = pieces(FrameView::nv12(4, 2, 4, &bytes).unwrap());
        assert_eq!(nv12, [bytes[..8].to_vec(), bytes[8..12].to_vec()]);
        let padded = pieces(FrameView::nv12(4, 2, 6, &bytes).unwrap());
        assert_eq!(padded, [bytes[..4].to_vec(), bytes[6..10].to_vec(), bytes[12..16].to_vec()]);
    }

    #[test]
    fn luma_of_single_pixels_is_that_of_the_cameras_conversion() {
        use crate::camera::convert::{Format, Layout, to_pixels};
        let lumas: Vec<u8> = (0..=255).collect();
        let packed: Vec<u8> = lumas.iter().flat_map(|luma| [*luma, 128]).collect();
        let planar = [lumas.clone(), vec![128; 256]].concat();
        let layout = |format, stride| Layout { format, width: 256, height: 1, stride };
        let wanted = to_pixels(layout(Format::Yuyv, 512), &packed).unwrap().rgb;
        let ycc: Vec<u8> = lumas.iter().flat_map(|luma| [*luma, 1, 2]).collect();
        let mut luma = Vec::new();
        FrameView::yuyv(256, 1, 512, &packed).unwrap().luma_row(0, 3, 250, &mut luma);
        assert!(luma.iter().zip(wanted.chunks(3).skip(3)).all(|(luma, rgb)| *luma == rgb[0]));
        assert_eq!(luma.len(), 247);
        let yuyv = luma.clone();
        FrameView::nv12(256, 1, 256, &planar).unwrap().luma_row(0, 3, 250, &mut luma);
        assert_eq!(luma, yuyv);
        FrameView::ycc(256, 1, &ycc).unwrap().luma_row(0, 3, 250, &mut luma);
        assert_eq!(luma, lumas[3..250]);
        FrameView::rgb(1, 1, &[200, 100, 50]).unwrap().luma_row(0, 0, 1, &mut luma);
        assert_eq!(luma, [124]);
    }

    #[test]
    fn err_a_byte_too_few_is_refused_and_a_byte_more_is_not_looked_at() {
        type Make = fn(&[u8]) -> Result<FrameView<'_>, EyesError>;
        let table: [(usize, Make); 6] = [
            (63 * 47 * 3, |bytes| FrameView::rgb(63, 47, bytes)),
            (64 * 48 * 3, |bytes| FrameView::ycc(64, 48, bytes)),
            (130 * 47 + 128, |bytes| FrameView::yuyv(64, 48, 130, bytes)),
            (128 * 46 + 128, |bytes| FrameView::yuyv(63, 47, 128, bytes)),
            (70 * 48 + 70 * 23 + 64, |bytes| FrameView::nv12(64, 48, 70, bytes)),
            (64 * 47 + 64 * 23 + 64, |bytes| FrameView::nv12(63, 47, 64, bytes)),
        ];
        for (needed, make) in table {
            let bytes = vec![0; needed + 1];
            assert_eq!(make(&bytes[..needed - 1]).unwrap_err(), EyesError::Short { got: needed - 1, needed },);
            make(&bytes[..needed]).unwrap();
            make(&bytes).unwrap();
        }
    }
}
