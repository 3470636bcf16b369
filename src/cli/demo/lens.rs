//! What else may come before the camera than a person: a photograph that somebody holds up, and nobody.
//!
//! Each is a file of JPEGs one behind the other. No two are alike, as of a camera that runs, and they last longer than a burst
//! looks at them: what refuses them is that no head turns, or that there is none, and not that the camera is frozen.

use super::world::failed;
use crate::cli::Failure;
use crate::picture::read::{Upright, decode};
use image::imageops::{FilterType, crop_imm, resize};
use image::{ExtendedColorType, RgbImage, codecs::jpeg::JpegEncoder};

/// Frames of a file; at 15 a second more than seven seconds.
const FRAMES: u32 = 110;
const SIZE: (u32, u32) = (320, 240);
/// The part of the photograph (512x512) that the lens sees: the head and the shoulders.
const PART: (u32, u32, u32, u32) = (55, 10, 340, 255);
const QUALITY: u8 = 90;

/// A photograph in a hand that is not quite still.
pub fn held_photograph(photograph: &[u8]) -> Result<Vec<u8>, Failure> {
    let pixels = decode(photograph, Upright::AsStored).map_err(|error| failed("photograph", &error))?;
    let whole = RgbImage::from_raw(pixels.width, pixels.height, pixels.rgb)
        .ok_or_else(|| failed("photograph", &"its size is wrong"))?;
    let (left, top, width, height) = PART;
    stream(|number| {
        // A walk over 11 x 10 places: 110 frames, each from another one.
        let part = crop_imm(&whole, left + number % 11, top + number / 11, width, height);
        resize(&*part, SIZE.0, SIZE.1, FilterType::Triangle)
    })
}

/// A wall, in light that flickers.
pub fn empty_room() -> Result<Vec<u8>, Failure> {
    stream(|number| {
        RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            let tile = if (x / 40 + y / 40) % 2 == 0 { 100 } else { 130 };
            let noise = (x * 7 + y * 13 + number * 31) % 9;
            image::Rgb([u8::try_from(tile + noise).unwrap_or(u8::MAX); 3])
        })
    })
}

fn stream(of: impl Fn(u32) -> RgbImage) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for number in 0..FRAMES {
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .encode(&of(number), SIZE.0, SIZE.1, ExtendedColorType::Rgb8)
            .map_err(|error| failed("a picture", &error))?;
    }
    Ok(bytes)
}
