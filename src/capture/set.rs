//! The result of a capture, as plain data.

use crate::clock::BootTime;
use crate::picture::Jpeg;

/// Where the pictures of a set come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This attempt's own camera.
    Camera,
    /// Files that were handed in.
    Files,
}

impl Origin {
    /// The stable name in the database and in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Files => "files",
        }
    }
}

/// The pictures of one attempt, encoded anew: they carry no metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureSet {
    /// The sharpest frame, short side at most 640 pixels.
    pub selfie: Jpeg,
    /// In the order taken, longest side at most 320 pixels.
    pub liveness: Vec<Jpeg>,
    /// The moment of the first picture.
    pub first: BootTime,
    /// The moment of the last picture: the guard's window runs from here (door-rules 1).
    pub taken: BootTime,
    /// Where the pictures come from. Informative: the guard is armed by type, not by this.
    pub origin: Origin,
}
