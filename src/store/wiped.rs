//! Bytes of a person that are wiped when they are no longer needed.

use std::ops::{Deref, DerefMut};
use zeroize::zeroize_bytes;

/// As `Zeroizing<Vec<u8>>`, which writes byte by byte: for the pictures of a job that took longer than to open them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        // What lies beyond the length was in use once, perhaps. No room is asked for.
        self.0.resize(self.0.capacity(), 0);
        zeroize_bytes(&mut self.0);
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl std::fmt::Debug for Wiped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wiped({} bytes)", self.0.len())
    }
}
