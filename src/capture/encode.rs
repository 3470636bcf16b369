//! Frame -> the JPEG that is sent. Encoded from pixels, so nothing of the camera's or a file's metadata remains.
//!
//! Shrinking averages the area under each new pixel, with fractions of pixels at its edges, in whole numbers:
//! sampling single pixels would put a moire over the faces. Nothing is ever enlarged.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::CaptureError;
use crate::picture::Jpeg;
use crate::picture::read::SIDE_MAX;

/// Longest short side of a selfie, in pixels.
pub const SELFIE_SHORT_SIDE_MAX: u32 = 640;
/// Longest side of a liveness picture, in pixels.
pub const LIVENESS_LONG_SIDE_MAX: u32 = 320;

/// A picture to encode: 8-bit RGB rows without padding.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: &'a [u8],
}

/// The selfie: short side at most [`SELFIE_SHORT_SIDE_MAX`].
pub fn selfie(view: View<'_>, quality: u8) -> Result<Jpeg, CaptureError> {
    let short = view.width.min(view.height);
    encode(view, fitted(view, short, SELFIE_SHORT_SIDE_MAX), quality)
}

/// A liveness picture: longest side at most [`LIVENESS_LONG_SIDE_MAX`].
pub fn liveness(view: View<'_>, quality: u8) -> Result<Jpeg, CaptureError> {
    let long = view.width.max(view.height);
    encode(view, fitted(view, long, LIVENESS_LONG_SIDE_MAX), quality)
}

/// The size at which `side` is at most `most`, in proportion, rounded to the nearest pixel.
fn fitted(view: View<'_>, side: u32, most: u32) -> (u32, u32) {
    if side <= most {
        return (view.width, view.height);
    }
    let scaled = |full: u32| {
        let pixels = (u64::from(full) * u64::from(most) + u64::from(side) / 2) / u64::from(side);
        u32::try_from(pixels).unwrap_or(full).max(1)
    };
    (scaled(view.width), scaled(view.height))
}

fn encode(view: View<'_>, (width, height): (u32, u32), quality: u8) -> Result<Jpeg, CaptureError> {
    let refused = || CaptureError::Encode { width: view.width, height: view.height };
    let sides = 1..=SIDE_MAX;
    let possible = sides.contains(&view.width) && sides.contains(&view.height);
    if !possible || view.rgb.len() != index(view.width) * index(view.height) * 3 {
        return Err(refused());
    }
    let shrunk;
    let rgb = if (width, height) == (view.width, view.height) {
        view.rgb
    } else {
        shrunk = shrink(view, width, height);
        &shrunk
    };
    let mut out = Vec::with_capacity(rgb.len() / 8);
    JpegEncoder::new_with_quality(&mut out, quality)
        .encode(rgb, width, height, ExtendedColorType::Rgb8)
        .map_err(|_| refused())?;
    Ok(Jpeg(out))
}

/// Area average. `width` and `height` are at least 1 and at most the view's, whose size is checked.
fn shrink(view: View<'_>, width: u32, height: u32) -> Vec<u8> {
    let (stride, columns) = (index(view.width) * 3, spans(view.width, width));
    let mut out = Vec::with_capacity(index(width) * index(height) * 3);
    // A row of the sums of the rows under one new row, then of their means in 1/256.
    let mut sums = vec![0u32; stride];
    for rows in spans(view.height, height) {
        sums.fill(0);
        let lines = view.rgb.chunks_exact(stride).skip(rows.first);
        for (line, weight) in lines.zip(rows.weights(height)) {
            for (sum, value) in sums.iter_mut().zip(line) {
                // At most 255 * 8192 in a column.
                *sum += u32::from(*value) * weight;
            }
        }
        let scale = (1u64 << 32) / u64::from(view.height);
        for sum in &mut sums {
            // The mean in 1/256, rounded; the scale is at most one part in 2^19 too small.
            *sum = u32::try_from((u64::from(*sum) * 256 * scale + (1 << 31)) >> 32).unwrap_or(u32::MAX);
        }
        let pixels = sums.as_chunks::<3>().0;
        for span in &columns {
            let mut colour = [0u32; 3];
            for (pixel, weight) in pixels.iter().skip(span.first).zip(span.weights(width)) {
                for (sum, value) in colour.iter_mut().zip(pixel) {
                    // At most 255 * 256 * 8192.
                    *sum += value * weight;
                }
            }
            let whole = view.width * 256;
            out.extend(colour.map(|sum| u8::try_from((sum + whole / 2) / whole).unwrap_or(u8::MAX)));
        }
    }
    out
}

/// The old pixels under a new one. Both sides are cut into `old * new` parts: an old pixel has `new` of them and
/// a new one `old`.
struct Span {
    first: usize,
    /// Parts of the first old pixel, and all parts of the new one.
    lead: u32,
    parts: u32,
}

impl Span {
    /// How many parts of each old pixel belong to the new one, in order.
    fn weights(&self, new: u32) -> impl Iterator<Item = u32> {
        let mut left = self.parts;
        let mut next = self.lead.min(left);
        std::iter::from_fn(move || {
            let weight = next;
            left -= weight;
            next = new.min(left);
            (weight > 0).then_some(weight)
        })
    }
}

fn spans(old: u32, new: u32) -> Vec<Span> {
    (0..u64::from(new))
        .map(|number| {
            let start = number * u64::from(old);
            let lead = u64::from(new) - start % u64::from(new);
            Span {
                first: usize::try_from(start / u64::from(new)).unwrap_or(usize::MAX),
                lead: u32::try_from(lead).unwrap_or(new),
                parts: old,
            }
        })
        .collect()
}

fn index(side: u32) -> usize {
    usize::try_from(side).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(jpeg: &Jpeg) -> (u32, u32) {
        let picture = image::load_from_memory(&jpeg.0).unwrap();
        (picture.width(), picture.height())
    }

    #[test]
    fn sides_are_as_the_service_wants_them_and_never_enlarged() {
        let table = [
            ((1280, 720), (1138, 640), (320, 180)),
            ((720, 1280), (640, 1138), (180, 320)),
            ((640, 480), (640, 480), (320, 240)),
            ((512, 512), (512, 512), (320, 320)),
            ((300, 200), (300, 200), (300, 200)),
            ((2000, 3), (2000, 3), (320, 1)),
        ];
        for ((width, height), selfie_size, liveness_size) in table {
            let rgb = vec![77; (width * height * 3) as usize];
            let view = View { width, height, rgb: &rgb };
            assert_eq!(size(&selfie(view, 85).unwrap()), selfie_size);
            assert_eq!(size(&liveness(view, 85).unwrap()), liveness_size);
        }
    }

    #[test]
    fn a_picture_that_is_not_whole_is_refused() {
        for (width, height, bytes) in
            [(0, 10, 0), (10, 10, 299), (10, 10, 301), (u32::MAX, u32::MAX, 3), (8193, 1, 24579)]
        {
            let refused = selfie(View { width, height, rgb: &vec![0; bytes] }, 85);
            assert!(matches!(refused, Err(CaptureError::Encode { .. })), "{width}x{height}");
        }
    }

    #[test]
    fn whole_blocks_are_averaged_exactly() {
        let rgb: Vec<u8> = (0..4 * 2).flat_map(|pixel: u8| [pixel * 10, 255, 0]).collect();
        let half = shrink(View { width: 4, height: 2, rgb: &rgb }, 2, 1);
        assert_eq!(half, [25, 255, 0, 45, 255, 0]);
    }

    #[test]
    fn fractions_of_pixels_are_counted_as_such() {
        let rgb = [[0; 3], [90; 3], [240; 3]].concat();
        // Each new pixel: one and a half old ones.
        assert_eq!(shrink(View { width: 3, height: 1, rgb: &rgb }, 2, 1), [[30; 3], [190; 3]].concat());
    }

    #[test]
    fn quality_matters_and_no_metadata_is_written() {
        let rgb: Vec<u8> =
            (0..200 * 200 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let view = View { width: 200, height: 200, rgb: &rgb };
        let (low, high) = (selfie(view, 60).unwrap(), selfie(view, 95).unwrap());
        assert!(low.0.len() < high.0.len());
        assert!(!low.0.windows(2).any(|pair| pair == [0xff, 0xe1]), "an APP1 segment");
        assert!(low.0.windows(2).any(|pair| pair == [0xff, 0xe0]), "JFIF");
    }

    proptest! {
        #[test]
        fn a_flat_picture_stays_flat_at_any_size(
            width in 1u32..90, height in 1u32..90, to_width in 1u32..90, to_height in 1u32..90, value: u8,
        ) {
            let (to_width, to_height) = (to_width.min(width), to_height.min(height));
            let rgb = vec![value; (width * height * 3) as usize];
            let out = shrink(View { width, height, rgb: &rgb }, to_width, to_height);
            prop_assert_eq!(out, vec![value; (to_width * to_height * 3) as usize]);
        }

        #[test]
        fn the_mean_of_all_is_kept(
            width in 1u32..40, height in 1u32..40, to_width in 1u32..40, to_height in 1u32..40, seed: u32,
        ) {
            let (to_width, to_height) = (to_width.min(width), to_height.min(height));
            let rgb: Vec<u8> =
                (0..width * height * 3).map(|at| ((at ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let out = shrink(View { width, height, rgb: &rgb }, to_width, to_height);
            let mean = |bytes: &[u8]| bytes.iter().map(|b| f64::from(*b)).sum::<f64>() / bytes.len() as f64;
            prop_assert!((mean(&rgb) - mean(&out)).abs() < 0.6);
        }
    }
}
