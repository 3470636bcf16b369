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
    /// Nobody is seen.
    NoFace,
    /// More than one person is seen.
    OnePerson,
    /// The face is too small.
    ComeCloser,
    /// The face is too large.
    StepBack,
    /// The face is at an edge.
    CentreFace,
    /// The selfie is still to be taken, and the head is turned away.
    LookStraight,
    /// The head has not turned yet.
    TurnHead,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::MoreLight,
        Self::HoldStill,
        Self::UncoverCamera,
        Self::PleaseWait,
        Self::NoFace,
        Self::OnePerson,
        Self::ComeCloser,
        Self::StepBack,
        Self::CentreFace,
        Self::LookStraight,
        Self::TurnHead,
    ];

    /// The stable name in JSON, events and screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::MoreLight => "more_light",
            Self::HoldStill => "hold_still",
            Self::UncoverCamera => "uncover_camera",
            Self::PleaseWait => "please_wait",
            Self::NoFace => "no_face",
            Self::OnePerson => "one_person",
            Self::ComeCloser => "come_closer",
            Self::StepBack => "step_back",
            Self::CentreFace => "centre_face",
            Self::LookStraight => "look_straight",
            Self::TurnHead => "turn_head",
        }
    }

    /// English text for a screen.
    pub fn text(self) -> &'static str {
        match self {
            Self::MoreLight => "More light, please",
            Self::HoldStill => "Hold still, please",
            Self::UncoverCamera => "The camera is covered",
            Self::PleaseWait => "One moment, please",
            Self::NoFace => "Please come in front of the camera",
            Self::OnePerson => "One person at a time, please",
            Self::ComeCloser => "Come closer, please",
            Self::StepBack => "Step back a little, please",
            Self::CentreFace => "Move to the middle, please",
            Self::LookStraight => "Look into the camera, please",
            Self::TurnHead => "Turn your head a little, please",
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
