//! PURE. One frame's measures and whether it may be used.
//!
//! Light is the mean of all pixels' luma. Sharpness is taken from the luma averaged down to 160x160: variance of the
//! Laplacian over the squared mean, so that neither the camera's resolution nor the light moves it much. Noise in the dark
//! inflates it, hence light is judged first. Where a face is seen the whole frame's light and sharpness are neither judged
//! nor measured: a face in good light before a dark yard is a good picture, and [`super::face`] judges it.
//!
//! Frozen means that a quarter of the picture's bytes, from all over it, are those of the one before (sensor noise makes
//! that impossible for a camera that runs), or that the source's sequence number stands still for more than a second.

use std::time::Duration;

use super::Hint;
use crate::camera::RawFrame;
use crate::clock::BootTime;
use crate::config::model;
use crate::eyes::{FaceMeasure, FrameView, Overview, Overviews, Sight};

/// A picture without a cell brighter than this is black: a covered lens or a dead sensor, not a dark room.
const BLACK_CELL_MAX: f32 = 12.0;
/// A sequence number may stand still for this long.
pub const SEQUENCE_STILL_MAX: Duration = Duration::from_secs(1);

/// What is judged of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Light and sharpness of the whole of it; `None` where a face is seen, which is judged in its place.
    pub overview: Option<Overview>,
    /// Tells whether two frames have the same bytes, as far as a quarter of them goes. Not for security: a frame that
    /// only seems to be the same is merely not used.
    pub digest: u64,
    /// The source's number of the frame.
    pub sequence: u32,
    /// When it was taken.
    pub taken: BootTime,
    /// What is seen of faces; `None` when nobody looked.
    pub sight: Option<Sight>,
}

impl Measures {
    /// The face that is seen; of several the best.
    pub fn face(&self) -> Option<&FaceMeasure> {
        self.sight.as_ref().and_then(|sight| sight.best.as_ref())
    }

    /// Sharpness of what is judged: the face, or the whole frame where none is seen.
    pub fn sharpness(&self) -> f32 {
        let face = self.face().map(|face| face.light.sharpness);
        face.or(self.overview.map(|overview| overview.sharpness)).unwrap_or(0.0)
    }
}

/// What a frame is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Shortest side, in pixels.
    pub side_min: u32,
    /// Darkest mean luma that is accepted.
    pub luminance_min: f32,
    /// Below this mean luma more light is asked for.
    pub luminance_hint: f32,
    /// Least sharpness.
    pub sharpness_min: f32,
}

impl From<&model::Capture> for Limits {
    fn from(config: &model::Capture) -> Self {
        Self {
            side_min: config.side_min,
            luminance_min: f32::from(config.luminance_min),
            luminance_hint: f32::from(config.luminance_hint),
            sharpness_min: config.sharpness_min,
        }
    }
}

/// How the light is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// Too dark to be used.
    Dark,
    /// Usable; more is asked for.
    Dim,
    /// As it should be.
    Enough,
}

impl Limits {
    /// Judges a mean luma, 0 to 255. What is not a number is dark.
    pub fn light(&self, luminance_mean: f32) -> Light {
        if !reaches(luminance_mean, self.luminance_min) {
            Light::Dark
        } else if !reaches(luminance_mean, self.luminance_hint) {
            Light::Dim
        } else {
            Light::Enough
        }
    }
}

/// What is remembered of the frames before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trail {
    digest: u64,
    sequence: u32,
    /// Since when the sequence number is this one.
    sequence_since: BootTime,
}

impl Trail {
    /// The memory after `frame`, given the one before it.
    pub fn after(previous: Option<&Self>, frame: &Measures) -> Self {
        let sequence_since = match previous {
            Some(previous) if previous.sequence == frame.sequence => previous.sequence_since,
            _ => frame.taken,
        };
        Self { digest: frame.digest, sequence: frame.sequence, sequence_since }
    }
}

/// Why a frame is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A side is shorter than the least.
    TooSmall,
    /// The same bytes as before, or a sequence number that stands still.
    Frozen,
    /// No light at all.
    Black,
    /// Too little light.
    TooDark,
    /// No edge is sharp, or there is nothing in it.
    Blurred,
    /// No face that both passes of the detector are sure of.
    NoFace,
    /// More than one face.
    SeveralFaces,
    /// The face fills too little of the frame.
    FaceTooFar,
    /// The face fills too much of the frame.
    FaceTooNear,
    /// The face is not in the middle.
    FaceOffCentre,
    /// Too little light on the face to see it.
    FaceDark,
    /// The face is not sharp.
    FaceBlurred,
    /// The head is turned away, and there is no selfie yet.
    FaceTurned,
    /// The head did not turn over the burst, as a photograph's does not.
    HeldStill,
}

impl Reason {
    /// The stable word in audit rows and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooSmall => "too_small",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::TooDark => "too_dark",
            Self::Blurred => "blurred",
            Self::NoFace => "no_face",
            Self::SeveralFaces => "several_faces",
            Self::FaceTooFar => "face_too_far",
            Self::FaceTooNear => "face_too_near",
            Self::FaceOffCentre => "face_off_centre",
            Self::FaceDark => "face_dark",
            Self::FaceBlurred => "face_blurred",
            Self::FaceTurned => "face_turned",
            Self::HeldStill => "held_still",
        }
    }

    /// What the person can do about it, if anything.
    pub fn hint(self) -> Option<Hint> {
        match self {
            Self::TooSmall => None,
            Self::Frozen => Some(Hint::PleaseWait),
            Self::Black => Some(Hint::UncoverCamera),
            Self::TooDark | Self::FaceDark => Some(Hint::MoreLight),
            Self::Blurred | Self::FaceBlurred => Some(Hint::HoldStill),
            Self::NoFace => Some(Hint::NoFace),
            Self::SeveralFaces => Some(Hint::OnePerson),
            Self::FaceTooFar => Some(Hint::ComeCloser),
            Self::FaceTooNear => Some(Hint::StepBack),
            Self::FaceOffCentre => Some(Hint::CentreFace),
            Self::FaceTurned => Some(Hint::LookStraight),
            Self::HeldStill => Some(Hint::TurnHead),
        }
    }
}

/// The judgement of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be used.
    Accept {
        /// And this would make the next one better.
        hint: Option<Hint>,
    },
    /// It may not.
    Refuse(Reason),
}

/// Judges a frame. Whatever is not a number is refused.
pub fn judge(frame: &Measures, limits: &Limits, previous: Option<&Trail>) -> Verdict {
    let frozen = previous.is_some_and(|previous| {
        previous.digest == frame.digest
            || (previous.sequence == frame.sequence
                && frame.taken.since(previous.sequence_since) > SEQUENCE_STILL_MAX)
    });
    if frame.width.min(frame.height) < limits.side_min {
        Verdict::Refuse(Reason::TooSmall)
    } else if frozen {
        Verdict::Refuse(Reason::Frozen)
    } else {
        match &frame.overview {
            Some(overview) => judge_whole(overview, limits),
            None if frame.face().is_some() => Verdict::Accept { hint: None },
            None => Verdict::Refuse(Reason::Black),
        }
    }
}

fn judge_whole(overview: &Overview, limits: &Limits) -> Verdict {
    let light = limits.light(overview.luma_mean);
    if is_black(overview) {
        Verdict::Refuse(Reason::Black)
    } else if light == Light::Dark {
        Verdict::Refuse(Reason::TooDark)
    } else if !reaches(overview.sharpness, limits.sharpness_min) {
        Verdict::Refuse(Reason::Blurred)
    } else {
        Verdict::Accept { hint: (light == Light::Dim).then_some(Hint::MoreLight) }
    }
}

/// No part of a frame is lit.
pub fn is_black(overview: &Overview) -> bool {
    overview.brightest <= BLACK_CELL_MAX
}

/// False for what is not a number.
pub(super) fn reaches(value: f32, least: f32) -> bool {
    value >= least
}

/// The digest reads blocks of so many bytes.
const DIGEST_BLOCK: usize = 4096;
/// And of so many blocks the first.
const DIGEST_EVERY: usize = 4;

/// Measures frames, in memory of its own.
#[derive(Default)]
pub struct Meter(Overviews);

impl Meter {
    /// Measures a frame in the camera's own bytes, given what was seen of faces on it; `None` when nobody looked. A frame
    /// without pixels measures as black.
    pub fn measure(&mut self, frame: &RawFrame<'_>, sight: Option<Sight>) -> Measures {
        let view = frame.view().ok();
        let size = u64::from(frame.width & 0xffff) << 16 | u64::from(frame.height & 0xffff);
        let face = sight.is_some_and(|sight| sight.best.is_some());
        let nothing = Overview { luma_mean: 0.0, brightest: 0.0, sharpness: 0.0 };
        let whole = || view.as_ref().map_or(nothing, |view| self.0.of(view));
        Measures {
            width: frame.width,
            height: frame.height,
            overview: (!face).then(whole),
            digest: size << 32 | view.as_ref().map_or(0, |view| u64::from(digest(view))),
            sequence: frame.sequence,
            taken: frame.taken,
            sight,
        }
    }

    /// Light and sharpness of a whole frame.
    pub fn overview(&mut self, view: &FrameView<'_>) -> Overview {
        self.0.of(view)
    }
}

/// CRC-32 of some of a frame's bytes, from all over it: hardware computes it on all targets that matter.
pub fn digest(view: &FrameView<'_>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let mut passed = 0;
    for block in view.pieces().flat_map(|piece| piece.chunks(DIGEST_BLOCK)) {
        if (passed / DIGEST_BLOCK).is_multiple_of(DIGEST_EVERY) {
            crc.update(block);
        }
        passed += block.len();
    }
    crc.finalize()
}

/// Measures a single frame.
pub fn measure(frame: &RawFrame<'_>) -> Measures {
    Meter::default().measure(frame, None)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
