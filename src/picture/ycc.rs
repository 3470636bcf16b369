//! A camera's JPEG -> Y Cb Cr, without making colours of it: a frame that is only looked at needs none.
//!
//! The decoder is the one that `image` uses. It can neither decode at a fraction of the size nor hand out the
//! components before they are put side by side, so a frame costs its whole decoding.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::Pixels;
use super::read::{self, PictureError, SIDE_MAX, Upright};

/// What a pixel's three bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Samples {
    /// Full-range Y Cb Cr of ITU-R BT.601.
    Ycc,
    /// Red, green, blue: of a JPEG without colour, or with colours of another kind.
    #[default]
    Rgb,
}

/// The last frame of a stream of JPEGs. Its memory serves the next one.
#[derive(Default)]
pub struct Decoded {
    width: u32,
    height: u32,
    samples: Samples,
    bytes: Vec<u8>,
}

impl Decoded {
    /// Decodes the next one in place of it. After an error there is a frame without pixels.
    ///
    /// # Errors
    /// As `picture::read::decode` of a JPEG.
    pub fn decode(&mut self, jpeg: &[u8]) -> Result<(), PictureError> {
        (self.width, self.height) = (0, 0);
        let whole = read::whole_jpeg(jpeg)?;
        let options = DecoderOptions::default()
            .set_strict_mode(false)
            .set_max_width(side_max())
            .set_max_height(side_max())
            .jpeg_set_out_colorspace(ColorSpace::YCbCr);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*whole), options);
        decoder.decode_headers().map_err(of_decoder)?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        read::check_dimensions(side(width), side(height))?;
        if decoder.input_colorspace() == Some(ColorSpace::YCbCr) {
            // All of it anew: where a damaged frame ends early, nothing may remain of the one before.
            self.bytes.clear();
            self.bytes.resize(width * height * 3, 0);
            decoder.decode_into(&mut self.bytes).map_err(of_decoder)?;
            (self.width, self.height, self.samples) = (side(width), side(height), Samples::Ycc);
        } else {
            let Pixels { width, height, rgb } = read::decode(jpeg, Upright::AsStored)?;
            *self = Self { width, height, samples: Samples::Rgb, bytes: rgb };
        }
        Ok(())
    }

    /// Pixels in a row, and rows.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// What its bytes are.
    pub fn samples(&self) -> Samples {
        self.samples
    }

    /// Three bytes a pixel, row by row without padding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Frames show a person: only the size is printed.
impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoded({}x{} {:?})", self.width, self.height, self.samples)
    }
}

fn side_max() -> usize {
    usize::try_from(SIDE_MAX).unwrap_or(usize::MAX)
}

fn of_decoder(error: DecodeErrors) -> PictureError {
    match error {
        DecodeErrors::ExhaustedData => PictureError::Truncated,
        error => read::damaged_by(&format!("{error:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ExtendedColorType;
    use image::codecs::jpeg::JpegEncoder;

    fn jpeg(width: u32, height: u32, kind: ExtendedColorType) -> Vec<u8> {
        let each = if kind == ExtendedColorType::L8 { 1 } else { 3 };
        let bytes: Vec<u8> = (0..width * height)
            .flat_map(|at| [(at % width * 6) as u8, (at / width * 9) as u8, 90].into_iter().take(each))
            .collect();
        let mut out = Vec::new();
        JpegEncoder::new_with_quality(&mut out, 90).encode(&bytes, width, height, kind).unwrap();
        out
    }

    #[test]
    fn colours_made_later_are_those_that_the_decoder_makes() {
        let mut decoded = Decoded::default();
        for (width, height) in [(40, 24), (17, 9), (1, 1), (33, 16)] {
            let jpeg = jpeg(width, height, ExtendedColorType::Rgb8);
            decoded.decode(&jpeg).unwrap();
            assert_eq!((decoded.size(), decoded.samples()), ((width, height), Samples::Ycc));
            let rgb = crate::camera::convert::ycc_to_pixels(decoded.bytes());
            let wanted = read::decode(&jpeg, Upright::AsStored).unwrap().rgb;
            assert_eq!(rgb.len(), wanted.len());
            let most = rgb.iter().zip(&wanted).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
            assert!(most <= Some(1), "{width}x{height}: off by {most:?}");
        }
    }

    #[test]
    fn a_picture_without_colour_becomes_grey() {
        let mut decoded = Decoded::default();
        let jpeg = jpeg(20, 10, ExtendedColorType::L8);
        decoded.decode(&jpeg).unwrap();
        assert_eq!((decoded.size(), decoded.samples()), ((20, 10), Samples::Rgb));
        assert_eq!(decoded.bytes(), read::decode(&jpeg, Upright::AsStored).unwrap().rgb);
    }

    #[test]
    fn a_damaged_frame_shows_nothing_of_the_one_before() {
        let white = {
            let mut out = Vec::new();
            JpegEncoder::new(&mut out).encode(&[255; 64 * 64 * 3], 64, 64, ExtendedColorType::Rgb8).unwrap();
            out
        };
        let mut decoded = Decoded::default();
        decoded.decode(&white).unwrap();
        assert!(decoded.decode(&white[..white.len() / 2]).is_err());
        assert_eq!(decoded.size(), (0, 0));
        // Of the size of the first, and cut in the middle of its pixels, with an end put behind.
        let whole = jpeg(64, 64, ExtendedColorType::Rgb8);
        let cut = [&whole[..whole.len() - 120], &[0xff, 0xd9]].concat();
        decoded.decode(&white).unwrap();
        if decoded.decode(&cut).is_ok() {
            let fresh = {
                let mut fresh = Decoded::default();
                fresh.decode(&cut).unwrap();
                fresh
            };
            assert_eq!(decoded.bytes(), fresh.bytes());
        }
    }

    #[test]
    fn err_limits_and_damage_are_those_of_the_other_way() {
        let whole = jpeg(40, 30, ExtendedColorType::Rgb8);
        let mut decoded = Decoded::default();
        for cut in 1..whole.len() - 1 {
            assert!(decoded.decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut large = whole;
        let frame = large.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        large[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        assert!(matches!(decoded.decode(&large), Err(PictureError::TooLarge { .. })));
        assert!(matches!(decoded.decode(b"no picture"), Err(PictureError::NotAPicture)));
        assert!(matches!(decoded.decode(b""), Err(PictureError::Empty)));
    }
}
