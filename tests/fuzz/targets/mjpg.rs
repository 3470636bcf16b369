//! A camera's JPEG, or a picture that somebody hands in, to pixels: sizes agree with the bytes, and memory keeps within 16 bytes
//! of each claimed pixel and a megabyte, or without the pixels where `picture::read` refuses them.
#![no_main]

#[path = "../heap.rs"]
mod heap;

use heap::most_held;
use latchd::eyes::FrameView;
use latchd::picture::jpeg::{outline, split};
use latchd::picture::read::{PIXELS_MAX, SIDE_MAX, Upright, decode};
use latchd::picture::ycc::{Decoded, Samples};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Larger claims that are allowed cost a second each and show nothing that smaller ones do not.
const PIXELS_LOOKED_AT: u64 = 1 << 18;
/// What a decoder may hold for itself, and for each pixel: four components twice as wide, once more turned upright.
const HELD_MAX: usize = 1 << 20;
const HELD_PER_PIXEL: usize = 16;

/// The sides that a PNG or a JPEG claims in its head.
fn claimed(data: &[u8]) -> (u64, u64) {
    let png = |at: usize| Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let (width, height) = outline(data)
        .and_then(|outline| outline.dimensions)
        .or_else(|| data.starts_with(latchd::picture::PNG_MAGIC).then(|| png(16).zip(png(20)))?)
        .unwrap_or_default();
    (width.into(), height.into())
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let (width, height) = claimed(data);
    let pixels = width.saturating_mul(height);
    let side_max = u64::from(SIDE_MAX);
    let allowed = width <= side_max && height <= side_max && pixels <= PIXELS_MAX;
    if allowed && pixels > PIXELS_LOOKED_AT {
        return Corpus::Reject;
    }
    let may_hold = HELD_MAX + if allowed { pixels as usize * HELD_PER_PIXEL } else { 0 };

    let mut decoded = Decoded::default();
    let (seen, held) = most_held(|| decoded.decode(data));
    assert!(held <= may_hold, "a frame of {width}x{height} held {held} bytes");
    let (frame_width, frame_height) = decoded.size();
    if seen.is_ok() {
        let (width, height, bytes) = (frame_width, frame_height, decoded.bytes());
        assert_eq!(bytes.len(), width as usize * height as usize * 3);
        let view = match decoded.samples() {
            Samples::Ycc => FrameView::ycc(width, height, bytes),
            Samples::Rgb => FrameView::rgb(width, height, bytes),
        };
        assert_eq!(view.is_ok(), width > 0 && height > 0);
    } else {
        assert_eq!((frame_width, frame_height), (0, 0));
    }

    let (kept, held) = most_held(|| decode(data, Upright::ByExif));
    assert!(held <= may_hold, "a picture of {width}x{height} held {held} bytes");
    if let Ok(pixels) = kept {
        assert_eq!(pixels.rgb.len(), pixels.width as usize * pixels.height as usize * 3);
        // Turned or not, both ways see the same picture.
        let size = (pixels.width, pixels.height);
        assert!(seen.is_err() || size == (frame_width, frame_height) || size == (frame_height, frame_width));
    }

    for range in split(data, 8) {
        assert!(data[range].starts_with(&[0xff, 0xd8]));
    }
    Corpus::Keep
});
