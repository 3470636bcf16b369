//! Whether bytes are a JPEG picture: its start mark and a header that decodes. The pixels are not looked at.

use image::{ImageFormat, ImageReader};
use std::io::Cursor;

/// Whether `bytes` begin as a JPEG and their header gives a size.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
        && ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg)
            .into_dimensions()
            .is_ok_and(|(width, height)| width > 0 && height > 0)
}

/// Whether `bytes` are a JPEG or a PNG whose header gives a size.
pub(super) fn is_jpeg_or_png(bytes: &[u8]) -> bool {
    is_jpeg(bytes)
        || ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png)
            .into_dimensions()
            .is_ok_and(|(width, height)| width > 0 && height > 0)
}

#[cfg(test)]
mod tests {
    use super::is_jpeg;

    #[test]
    fn a_header_is_needed_not_only_the_mark() {
        let mut good = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut good)
            .encode(&[0; 12], 2, 2, image::ColorType::Rgb8.into())
            .unwrap();
        assert!(is_jpeg(&good));
        assert!(!is_jpeg(&good[..4]));
        assert!(!is_jpeg(&[0xff, 0xd8, 0xff, 0xd9]));
        assert!(!is_jpeg(b"\x89PNG\r\n\x1a\n"));
        assert!(!is_jpeg(&[]));
    }
}
