//! Pictures as plain data: what a camera gives and what a job carries. Debug output never shows a pixel.
//!
//! [`read`] turns bytes from outside into pixels within limits; [`ycc`] a camera's JPEGs
//! without making colours of them; [`jpeg`] walks a JPEG's markers.

pub mod jpeg;
pub mod read;
pub mod ycc;

use crate::clock::BootTime;
use std::fmt;

/// One decoded picture, 8-bit RGB, row by row without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
    /// The source's own number of this frame (V4L2 sequence); stands still when the source does.
    pub sequence: u32,
    /// When the frame was taken.
    pub taken: BootTime,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}x{} #{} at {:?})", self.width, self.height, self.sequence, self.taken)
    }
}

/// Decoded pixels without a source or a time: 8-bit RGB, row by row without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pixels({}x{})", self.width, self.height)
    }
}

/// An encoded picture: JPEG, and for a document as it was handed in also PNG.
#[derive(Clone, PartialEq, Eq)]
pub struct Jpeg(pub Vec<u8>);

impl Jpeg {
    /// The ending of its file's name.
    pub fn file_ending(&self) -> &'static str {
        if self.0.starts_with(PNG_MAGIC) { "png" } else { "jpg" }
    }
}

/// What every PNG file begins with.
pub const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";
/// What every JPEG file begins with.
pub const JPEG_MAGIC: &[u8] = &[0xff, 0xd8, 0xff];

impl fmt::Debug for Jpeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jpeg({} bytes)", self.0.len())
    }
}
