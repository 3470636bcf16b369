//! Bytes from outside -> [`Pixels`], within limits that are checked before anything is decoded: a picture of a
//! few bytes may claim gigabytes. Only JPEG and PNG.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{Cursor, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::{Pixels, jpeg};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest side of a picture that is decoded, in pixels.
pub const SIDE_MAX: u32 = 8_192;
/// Most pixels of a picture that is decoded. The decoder of JPEGs knows no limit of memory, and keeps two bytes of each
/// component of a pixel beside three of the picture when it comes in several scans; a PNG of 16 bits with alpha takes eight, and three
/// more when it is converted. So, by the decoders' sources, none takes more than 11 bytes a pixel, 176 MB, beside its file; the service
/// has 256 (`MemoryMax`).
pub const PIXELS_MAX: u64 = 16_000_000;
/// Most that the decoder of PNGs may ask for besides the picture, for what else is in the file.
const CHUNKS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why bytes are no picture for us.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// A directory, a pipe, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// No byte in it.
    #[error("is empty (0 bytes)")]
    Empty,
    /// More bytes than [`FILE_BYTES_MAX`].
    #[error("has {bytes} bytes, more than {FILE_BYTES_MAX}")]
    TooManyBytes {
        /// Size seen, at least.
        bytes: u64,
    },
    /// Neither JPEG nor PNG.
    #[error("is neither a JPEG nor a PNG picture")]
    NotAPicture,
    /// The header claims more than is decoded.
    #[error("claims {width}x{height} pixels, more than {SIDE_MAX} in a row or {PIXELS_MAX} in all")]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The data stop before the picture's end.
    #[error("is cut off before the picture's end")]
    Truncated,
    /// The decoder refuses it.
    #[error("is damaged: {0}")]
    Damaged(String),
}

impl PictureError {
    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "check the path and that the user latchd runs as may read it",
            Self::NotAFile => "name a JPEG or PNG file",
            Self::Empty | Self::Truncated => "copy the file again; it was probably not written to its end",
            Self::TooManyBytes { .. } | Self::TooLarge { .. } => {
                "scale the picture down, 1920x1080 is plenty"
            }
            Self::NotAPicture | Self::Damaged(_) => "save the picture again as JPEG or PNG",
        }
    }
}

/// How a picture's EXIF orientation is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upright {
    /// Turn the pixels as the file says (files from phones).
    ByExif,
    /// Leave them as they lie (frames of a camera).
    AsStored,
}

/// Reads a regular file of at most [`FILE_BYTES_MAX`] bytes. Never blocks on a pipe or a device.
pub fn read_file(path: &Path) -> Result<Vec<u8>, PictureError> {
    let no_waiting = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_waiting)
        .open(path)
        .map_err(PictureError::Unreadable)?;
    let facts = file.metadata().map_err(PictureError::Unreadable)?;
    if !facts.is_file() {
        return Err(PictureError::NotAFile);
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(PictureError::TooManyBytes { bytes: facts.len() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or(0));
    // The file may grow while it is read.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(PictureError::Unreadable)?;
    check_size(&bytes)?;
    Ok(bytes)
}

/// Decodes a JPEG or PNG.
pub fn decode(bytes: &[u8], upright: Upright) -> Result<Pixels, PictureError> {
    check_size(bytes)?;
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(bytes, upright),
        Ok(ImageFormat::Png) => {
            if let Some((width, height)) = png_dimensions(bytes) {
                check_dimensions(width, height)?;
            }
            decode_as(bytes, ImageFormat::Png, upright)
        }
        _ => Err(PictureError::NotAPicture),
    }
}

fn decode_jpeg(bytes: &[u8], upright: Upright) -> Result<Pixels, PictureError> {
    decode_as(&whole_jpeg(bytes)?, ImageFormat::Jpeg, upright)
}

/// The JPEG that stands at the beginning, within limits, to its end, with all tables that its decoder needs.
pub(super) fn whole_jpeg(bytes: &[u8]) -> Result<Cow<'_, [u8]>, PictureError> {
    check_size(bytes)?;
    let outline = jpeg::outline(bytes).ok_or(PictureError::NotAPicture)?;
    if let Some((width, height)) = outline.dimensions {
        check_dimensions(width, height)?;
    }
    // The decoder fills what is missing with grey and calls it a picture, so the end is looked for here.
    let Some(whole) = outline.length.and_then(|length| bytes.get(..length)) else {
        return Err(PictureError::Truncated);
    };
    if outline.huffman_tables {
        return Ok(Cow::Borrowed(whole));
    }
    // The decoder takes the tables of T.81 annex K when the picture calls itself a frame of an AVI.
    let avi_frame = [0xff, 0xe0, 0x00, 0x08, b'A', b'V', b'I', b'1', 0, 0];
    let mut with_tables = Vec::with_capacity(whole.len() + avi_frame.len());
    with_tables.extend_from_slice(whole.get(..2).unwrap_or_default());
    with_tables.extend_from_slice(&avi_frame);
    with_tables.extend_from_slice(whole.get(2..).unwrap_or_default());
    Ok(Cow::Owned(with_tables))
}

fn decode_as(bytes: &[u8], format: ImageFormat, upright: Upright) -> Result<Pixels, PictureError> {
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(CHUNKS_BYTES_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check_dimensions(width, height)?;
    let orientation = match upright {
        Upright::ByExif => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        Upright::AsStored => Orientation::NoTransforms,
    };
    // Wide samples go before the picture is turned, which copies it.
    let rgb = DynamicImage::from_decoder(decoder).map_err(damaged)?.into_rgb8();
    let mut decoded = DynamicImage::ImageRgb8(rgb);
    decoded.apply_orientation(orientation);
    let rgb = decoded.into_rgb8();
    Ok(Pixels { width: rgb.width(), height: rgb.height(), rgb: rgb.into_raw() })
}

fn check_size(bytes: &[u8]) -> Result<(), PictureError> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > FILE_BYTES_MAX {
        return Err(PictureError::TooManyBytes { bytes: size });
    }
    if bytes.is_empty() { Err(PictureError::Empty) } else { Ok(()) }
}

pub(super) fn check_dimensions(width: u32, height: u32) -> Result<(), PictureError> {
    let within =
        width <= SIDE_MAX && height <= SIDE_MAX && u64::from(width) * u64::from(height) <= PIXELS_MAX;
    if within { Ok(()) } else { Err(PictureError::TooLarge { width, height }) }
}

/// Width and height of a PNG's IHDR, which stands first, 16 bytes in.
fn png_dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?, number(20)?))
}

/// The decoder's words, one line and short: they may quote the file.
fn damaged(error: image::ImageError) -> PictureError {
    if let image::ImageError::IoError(cause) = &error
        && cause.kind() == std::io::ErrorKind::UnexpectedEof
    {
        return PictureError::Truncated;
    }
    damaged_by(&error.to_string())
}

pub(super) fn damaged_by(words: &str) -> PictureError {
    PictureError::Damaged(words.chars().filter(|c| !c.is_control()).take(120).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, 99]));
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn jpeg_and_png_are_decoded() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let pixels = decode(&encoded(format), Upright::ByExif).unwrap();
            assert_eq!((pixels.width, pixels.height, pixels.rgb.len()), (40, 30, 3600));
        }
    }

    #[test]
    fn a_cut_picture_is_refused_wherever_it_is_cut() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let whole = encoded(format);
            for cut in 1..whole.len() - 1 {
                // A PNG whose pixels are all there may lack the end chunk without a loss.
                match decode(&whole[..cut], Upright::AsStored) {
                    Err(_) => {}
                    Ok(pixels) => {
                        assert_eq!((format, pixels.rgb.len()), (ImageFormat::Png, 3600), "cut at {cut}");
                        assert!(cut + 16 > whole.len(), "cut at {cut}");
                    }
                }
            }
            let half = decode(&whole[..whole.len() / 2], Upright::AsStored).unwrap_err();
            assert!(matches!(half, PictureError::Truncated), "{format:?}: {half}");
        }
    }

    #[test]
    fn a_header_of_20000_squared_is_refused_before_it_is_decoded() {
        let mut png = encoded(ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        let mut jpeg = encoded(ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        for bytes in [png, jpeg] {
            let error = decode(&bytes, Upright::AsStored).unwrap_err();
            assert!(matches!(error, PictureError::TooLarge { width: 20_000, height: 20_000 }), "{error}");
        }
    }

    #[test]
    fn many_pixels_within_the_sides_are_refused_too() {
        assert!(check_dimensions(8_192, 1_953).is_ok());
        assert!(matches!(check_dimensions(8_192, 1_954), Err(PictureError::TooLarge { .. })));
        assert!(matches!(check_dimensions(8_193, 1), Err(PictureError::TooLarge { .. })));
    }

    #[test]
    fn the_largest_picture_of_the_widest_samples_is_decoded() {
        let mut png = Cursor::new(Vec::new());
        image::ImageBuffer::<image::Rgba<u16>, _>::new(4_000, 4_000)
            .write_to(&mut png, ImageFormat::Png)
            .unwrap();
        let pixels = decode(&png.into_inner(), Upright::AsStored).unwrap();
        assert_eq!((pixels.width, pixels.height), (4_000, 4_000));
    }

    #[test]
    fn what_is_no_picture_is_named() {
        assert!(matches!(decode(b"", Upright::AsStored), Err(PictureError::Empty)));
        assert!(matches!(decode(b"%PDF-1.7", Upright::AsStored), Err(PictureError::NotAPicture)));
        assert!(matches!(decode(b"GIF89a......", Upright::AsStored), Err(PictureError::NotAPicture)));
    }

    #[test]
    fn a_picture_without_huffman_tables_is_decoded_with_the_standard_ones() {
        let whole = encoded(ImageFormat::Jpeg);
        let mut bare = whole[..2].to_vec();
        let mut at = 2;
        while whole[at + 1] != 0xda {
            let next = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
            if whole[at + 1] != 0xc4 {
                bare.extend(&whole[at..next]);
            }
            at = next;
        }
        bare.extend(&whole[at..]);
        assert!(bare.len() < whole.len());
        let pixels = decode(&bare, Upright::AsStored).unwrap();
        assert_eq!(pixels, decode(&whole, Upright::AsStored).unwrap());
    }

    #[test]
    fn a_pipe_or_a_device_is_no_file() {
        assert!(matches!(read_file(Path::new("/dev/zero")), Err(PictureError::NotAFile)));
        assert!(matches!(read_file(Path::new("/")), Err(PictureError::NotAFile)));
        assert!(matches!(read_file(Path::new("/no/such/file")), Err(PictureError::Unreadable(_))));
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_BYTES_MAX + 1).unwrap();
        let error = read_file(file.path()).unwrap_err();
        assert!(
            matches!(error, PictureError::TooManyBytes { bytes } if bytes == FILE_BYTES_MAX + 1),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn err_damaged_pictures_never_panic(
            at in 0usize..700, value: u8, png: bool, cut in 0usize..700,
        ) {
            let mut bytes = encoded(if png { ImageFormat::Png } else { ImageFormat::Jpeg });
            let size = bytes.len();
            bytes[at % size] = value;
            bytes.truncate(size - cut % size / 4);
            if let Ok(pixels) = decode(&bytes, Upright::ByExif) {
                prop_assert_eq!(pixels.rgb.len() as u64, u64::from(pixels.width) * u64::from(pixels.height) * 3);
            }
        }
    }
}
