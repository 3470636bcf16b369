//! A picture of a submission: bytes in memory, or one that is read piece by piece from where it is kept while it is sent,
//! so that a job of four megabytes needs no four megabytes of memory.

use crate::picture::{JPEG_MAGIC, PNG_MAGIC};
use crate::store::Wiped;
use std::fmt;
use std::io;

/// A picture that is kept in pieces of bounded size.
pub trait Kept: Sync {
    /// Bytes in all.
    fn bytes(&self) -> u64;
    /// Its pieces.
    fn pieces(&self) -> u32;
    /// One of them, from 0.
    ///
    /// # Errors
    /// It cannot be read or unsealed.
    fn piece(&self, index: u32) -> io::Result<Wiped>;
    /// CRC-32 of the whole.
    fn crc32(&self) -> u32;
    /// Its first bytes, at least 8 where it has them: they tell what kind of picture it is.
    fn head(&self) -> &[u8];
}

/// A picture, wherever it is.
#[derive(Clone, Copy)]
pub enum Picture<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// Elsewhere.
    Kept(&'a dyn Kept),
}

impl<'a> From<&'a [u8]> for Picture<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl Picture<'_> {
    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Kept(kept) => kept.bytes(),
        }
    }

    fn head(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Kept(kept) => kept.head(),
        }
    }

    /// Whether it begins as every JPEG does.
    pub(crate) fn is_jpeg(&self) -> bool {
        self.head().starts_with(JPEG_MAGIC)
    }

    /// Whether it begins as every PNG does.
    pub(crate) fn is_png(&self) -> bool {
        self.head().starts_with(PNG_MAGIC)
    }

    /// CRC-32 of the whole, which a zip wants to be told before the bytes.
    pub(crate) fn crc32(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => crc32fast::hash(bytes),
            Self::Kept(kept) => kept.crc32(),
        }
    }
}

impl fmt::Debug for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} bytes)", self.bytes())
    }
}
