//! What the person in front of the camera is asked to do.

use std::fmt;

/// One thing to do. Never more than one is shown at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// The picture is dark.
    MoreLight,
    /// The picture is blurred.
    HoldStill,
    /// The picture is black: something is in front of the lens.
    UncoverCamera,
    /// The camera gives the same picture again and again.
    PleaseWait,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MoreLight, Self::HoldStill, Self::UncoverCamera, Self::PleaseWait];

    /// The stable name in JSON, events and screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::MoreLight => "more_light",
            Self::HoldStill => "hold_still",
            Self::UncoverCamera => "uncover_camera",
            Self::PleaseWait => "please_wait",
        }
    }

    /// English text for a screen.
    pub fn text(self) -> &'static str {
        match self {
            Self::MoreLight => "More light, please",
            Self::HoldStill => "Hold still, please",
            Self::UncoverCamera => "The camera is covered",
            Self::PleaseWait => "One moment, please",
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
