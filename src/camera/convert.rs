//! Camera pixel formats -> RGB, for frames that are kept.
//!
//! YUYV and NV12 hold ITU-R BT.601 limited-range samples (luma 16 to 235), as UVC cameras send them
//! (`Documentation/userspace-api/media/v4l/colorspaces-details.rst`). Whole numbers in 1/256. The driver's stride
//! and byte count are checked against what the format needs; nothing here trusts them.

use crate::eyes::EyesError;
use crate::picture::Pixels;
use crate::picture::read::{PictureError, Upright, decode};

/// A pixel format that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Motion JPEG: each frame a JPEG, perhaps without Huffman tables.
    Mjpg,
    /// 4:2:2, packed Y U Y V.
    Yuyv,
    /// 4:2:0, a plane of Y, then one of U V pairs.
    Nv12,
}

impl Format {
    /// In the order in which they are asked for: Motion JPEG goes through USB at full rate.
    pub const WANTED: [Self; 3] = [Self::Mjpg, Self::Yuyv, Self::Nv12];

    /// The kernel's four-character codes, the usual one first. `JPEG` is what some drivers call Motion JPEG.
    pub fn codes(self) -> impl Iterator<Item = u32> {
        let codes: &'static [&'static [u8; 4]] = match self {
            Self::Mjpg => &[b"MJPG", b"JPEG"],
            Self::Yuyv => &[b"YUYV"],
            Self::Nv12 => &[b"NV12"],
        };
        codes.iter().map(|code| u32::from_le_bytes(**code))
    }

    /// The format of a four-character code.
    pub fn from_fourcc(code: u32) -> Option<Self> {
        match &code.to_le_bytes() {
            b"MJPG" | b"JPEG" => Some(Self::Mjpg),
            b"YUYV" => Some(Self::Yuyv),
            b"NV12" => Some(Self::Nv12),
            _ => None,
        }
    }

    /// The code as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mjpg => "MJPG",
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
        }
    }
}

/// How the driver lays a frame out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The pixel format.
    pub format: Format,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next (of the luma plane); of no meaning for [`Format::Mjpg`].
    pub stride: u32,
}

/// Why a frame's bytes are no picture.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The driver filled in less than the format needs.
    #[error("{got} bytes, {needed} needed")]
    Short {
        /// Bytes that are there.
        got: usize,
        /// Bytes of a whole frame.
        needed: usize,
    },
    /// A size or stride that no frame has.
    #[error("impossible layout {width}x{height}, stride {stride}")]
    Layout {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes from row to row.
        stride: u32,
    },
    /// Likewise, of a frame that is looked at as it is.
    #[error(transparent)]
    Unseen(#[from] EyesError),
    /// A Motion JPEG frame that does not decode.
    #[error("the JPEG {0}")]
    Jpeg(#[from] PictureError),
}

/// One frame's bytes as the driver gave them -> RGB.
pub fn to_pixels(layout: Layout, bytes: &[u8]) -> Result<Pixels, FrameError> {
    match layout.format {
        Format::Mjpg => Ok(decode(bytes, Upright::AsStored)?),
        Format::Yuyv => yuyv(layout, bytes),
        Format::Nv12 => nv12(layout, bytes),
    }
}

fn yuyv(layout: Layout, bytes: &[u8]) -> Result<Pixels, FrameError> {
    // An odd last pixel shares a macropixel with nobody: the row still holds it whole.
    let (width, height, stride) = checked(layout, layout.width.div_ceil(2).saturating_mul(4))?;
    let row_bytes = width.div_ceil(2) * 4;
    let rows = rows(bytes, stride, row_bytes, height)?;
    let mut rgb = vec![0; width * height * 3];
    for (out, row) in rgb.chunks_exact_mut(width * 3).zip(rows) {
        for (pair, macropixel) in out.chunks_mut(6).zip(row.as_chunks::<4>().0) {
            let [y0, u, y1, v] = *macropixel;
            let chroma = Chroma::of(u, v);
            for (pixel, luma) in pair.as_chunks_mut::<3>().0.iter_mut().zip([y0, y1]) {
                *pixel = chroma.pixel(luma);
            }
        }
    }
    Ok(Pixels { width: layout.width, height: layout.height, rgb })
}

fn nv12(layout: Layout, bytes: &[u8]) -> Result<Pixels, FrameError> {
    let (width, height, stride) = checked(layout, layout.width.div_ceil(2).saturating_mul(2))?;
    let chroma_bytes = width.div_ceil(2) * 2;
    let lumas = rows(bytes, stride, width, height)?;
    let short = |needed| FrameError::Short { got: bytes.len(), needed };
    let plane = bytes.get(stride * height..).ok_or(short(stride * height * 3 / 2))?;
    let chromas: Vec<&[u8]> = rows(plane, stride, chroma_bytes, height.div_ceil(2))
        .map_err(|_| short(stride * height + stride * height.div_ceil(2)))?
        .collect();
    let mut rgb = vec![0; width * height * 3];
    // Two rows of luma share one of chroma.
    let twice = chromas.into_iter().flat_map(|row| [row, row]);
    for ((out, lumas), chromas) in rgb.chunks_exact_mut(width * 3).zip(lumas).zip(twice) {
        for ((pair, lumas), uv) in out.chunks_mut(6).zip(lumas.chunks(2)).zip(chromas.as_chunks::<2>().0) {
            let chroma = Chroma::of(uv[0], uv[1]);
            for (pixel, luma) in pair.as_chunks_mut::<3>().0.iter_mut().zip(lumas) {
                *pixel = chroma.pixel(*luma);
            }
        }
    }
    Ok(Pixels { width: layout.width, height: layout.height, rgb })
}

/// Full-range Y Cb Cr, three bytes a pixel -> RGB, as JPEG (JFIF) has it, in 1/16384.
pub fn ycc_to_pixels(ycc: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; ycc.len() / 3 * 3];
    for (out, [y, cb, cr]) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(ycc.as_chunks::<3>().0) {
        // The decoder's own factors and rounding.
        let light = (i32::from(*y) << 14) + 8191;
        let (cb, cr) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
        let added = [22_970 * cr, -11_700 * cr - 5_638 * cb, 29_032 * cb];
        *out = added.map(|added| u8::try_from(((light + added) >> 14).clamp(0, 255)).unwrap_or(0));
    }
    rgb
}

/// Width, height and stride as indexes, when a row of `row_bytes` fits the stride and all stays within limits.
fn checked(layout: Layout, row_bytes: u32) -> Result<(usize, usize, usize), FrameError> {
    let Layout { width, height, stride, .. } = layout;
    let side_max = crate::picture::read::SIDE_MAX;
    let possible = (1..=side_max).contains(&width)
        && (1..=side_max).contains(&height)
        && (row_bytes..=side_max * 8).contains(&stride);
    let index = |side: u32| usize::try_from(side).ok();
    match (possible, index(width), index(height), index(stride)) {
        (true, Some(width), Some(height), Some(stride)) => Ok((width, height, stride)),
        _ => Err(FrameError::Layout { width, height, stride }),
    }
}

/// `count` rows of `row_bytes`, `stride` apart. The last row need not be filled up to the stride.
fn rows(
    bytes: &[u8],
    stride: usize,
    row_bytes: usize,
    count: usize,
) -> Result<impl Iterator<Item = &[u8]>, FrameError> {
    let needed = stride * count.saturating_sub(1) + row_bytes;
    if bytes.len() < needed {
        return Err(FrameError::Short { got: bytes.len(), needed });
    }
    Ok(bytes.chunks(stride).take(count).map(move |row| row.get(..row_bytes).unwrap_or_default()))
}

/// What one pair of chroma samples adds to each colour, in 1/256.
#[derive(Clone, Copy)]
struct Chroma {
    red: i32,
    green: i32,
    blue: i32,
}

impl Chroma {
    fn of(u: u8, v: u8) -> Self {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        Self { red: 409 * v, green: -100 * u - 208 * v, blue: 516 * u }
    }

    fn pixel(self, luma: u8) -> [u8; 3] {
        let light = 298 * (i32::from(luma) - 16) + 128;
        let colour = |added: i32| u8::try_from(((light + added) >> 8).clamp(0, 255)).unwrap_or(0);
        [colour(self.red), colour(self.green), colour(self.blue)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(format: Format, width: u32, height: u32, stride: u32) -> Layout {
        Layout { format, width, height, stride }
    }

    /// BT.601 by its definition, in floating point.
    fn reference(y: u8, u: u8, v: u8) -> [f64; 3] {
        let (y, u, v) =
            ((f64::from(y) - 16.0) / 219.0, (f64::from(u) - 128.0) / 224.0, (f64::from(v) - 128.0) / 224.0);
        [y + 1.402 * v, y - 0.344_136 * u - 0.714_136 * v, y + 1.772 * u]
            .map(|c| (c * 255.0).clamp(0.0, 255.0))
    }

    #[test]
    fn black_white_and_the_colours_of_a_test_card() {
        let card = [
            ((16, 128, 128), [0, 0, 0]),
            ((235, 128, 128), [255, 255, 255]),
            ((81, 90, 240), [255, 0, 0]),
            ((145, 54, 34), [0, 255, 0]),
            ((41, 240, 110), [0, 0, 255]),
        ];
        for ((y, u, v), wanted) in card {
            let got = Chroma::of(u, v).pixel(y);
            assert!(
                got.iter().zip(wanted).all(|(got, wanted)| got.abs_diff(wanted) <= 2),
                "{got:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn yuyv_with_padded_rows_and_an_odd_width() {
        let row = [16, 128, 235, 128, 235, 128, 99, 128, 7, 7];
        let bytes = [row, row].concat();
        let pixels = to_pixels(layout(Format::Yuyv, 3, 2, 10), &bytes[..18]).unwrap();
        assert_eq!(pixels.rgb, [[0, 0, 0, 255, 255, 255, 255, 255, 255]; 2].concat());
    }

    #[test]
    fn nv12_with_padded_rows_and_odd_sides() {
        let mut bytes = vec![235, 16, 235, 9, 16, 235, 16, 9, 235, 235, 235, 9];
        bytes.extend([128, 128, 128, 128, 128, 128, 128, 128]);
        let pixels = to_pixels(layout(Format::Nv12, 3, 3, 4), &bytes).unwrap();
        let bits: Vec<u8> = pixels.rgb.chunks(3).map(|pixel| pixel[0] / 255).collect();
        assert_eq!(bits, [1, 0, 1, 0, 1, 0, 1, 1, 1]);
    }

    #[test]
    fn chroma_of_nv12_belongs_to_its_square_of_four() {
        let mut bytes = vec![81; 16];
        bytes.extend([90, 240, 128, 128, 128, 128, 128, 128]);
        let pixels = to_pixels(layout(Format::Nv12, 4, 4, 4), &bytes).unwrap();
        for (index, pixel) in pixels.rgb.chunks(3).enumerate() {
            let red = pixel[0] > 250 && pixel[1] < 5;
            assert_eq!(red, index % 4 < 2 && index < 8, "pixel {index}: {pixel:?}");
        }
    }

    #[test]
    fn err_short_or_impossible_frames() {
        for format in [Format::Yuyv, Format::Nv12] {
            let size = if format == Format::Yuyv { 8 * 4 * 2 } else { 8 * 4 * 3 / 2 };
            let stride = if format == Format::Yuyv { 16 } else { 8 };
            assert!(to_pixels(layout(format, 8, 4, stride), &vec![0; size]).is_ok());
            let short = to_pixels(layout(format, 8, 4, stride), &vec![0; size - 1]);
            assert!(
                matches!(short, Err(FrameError::Short { got, needed }) if got == size - 1 && needed == size)
            );
            for (width, height, stride) in [
                (0, 4, 16),
                (8, 0, 16),
                (8, 4, 7),
                (8193, 4, u32::MAX),
                (u32::MAX, 4, u32::MAX),
                (8, u32::MAX, 16),
            ] {
                let refused = to_pixels(layout(format, width, height, stride), &[0; 64]);
                assert!(matches!(refused, Err(FrameError::Layout { .. })), "{width}x{height} {stride}");
            }
        }
        let cut = to_pixels(layout(Format::Mjpg, 8, 8, 0), &[0xff, 0xd8, 0xff]);
        assert!(matches!(cut, Err(FrameError::Jpeg(PictureError::Truncated))));
    }

    #[test]
    fn codes_and_formats_belong_together() {
        for format in Format::WANTED {
            assert!(format.codes().all(|code| Format::from_fourcc(code) == Some(format)));
            let usual = format.codes().next().map(u32::to_le_bytes);
            assert_eq!(usual.as_ref().map(|code| &code[..]), Some(format.name().as_bytes()));
        }
        assert_eq!(Format::from_fourcc(u32::from_le_bytes(*b"H264")), None);
    }

    proptest! {
        #[test]
        fn whole_numbers_are_as_good_as_the_definition(y in 16u8..=235, u in 16u8..=240, v in 16u8..=240) {
            for (got, wanted) in Chroma::of(u, v).pixel(y).iter().zip(reference(y, u, v)) {
                prop_assert!((f64::from(*got) - wanted).abs() <= 2.0, "{} {}", got, wanted);
            }
        }

        #[test]
        fn any_layout_and_any_bytes_give_a_whole_picture_or_an_error(
            yuyv: bool, width in 0u32..40, height in 0u32..40, stride in 0u32..100,
            bytes in prop::collection::vec(any::<u8>(), 0..4000),
        ) {
            let format = if yuyv { Format::Yuyv } else { Format::Nv12 };
            if let Ok(pixels) = to_pixels(layout(format, width, height, stride), &bytes) {
                prop_assert_eq!(pixels.rgb.len(), (width * height * 3) as usize);
            }
        }

        #[test]
        fn yuyv_and_nv12_of_the_same_samples_agree(
            samples in prop::collection::vec(any::<[u8; 2]>(), 8), u: u8, v: u8,
        ) {
            let packed: Vec<u8> = samples.iter().flat_map(|[y0, y1]| [*y0, u, *y1, v]).collect();
            let mut planar: Vec<u8> = samples.iter().flatten().copied().collect();
            planar.extend([u, v].repeat(4));
            let packed = to_pixels(layout(Format::Yuyv, 4, 4, 8), &packed).unwrap();
            let planar = to_pixels(layout(Format::Nv12, 4, 4, 4), &planar).unwrap();
            prop_assert_eq!(packed.rgb, planar.rgb);
        }
    }
}
