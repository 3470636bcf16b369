//! PURE. What is judged of the face in a frame, and what is remembered of it from frame to frame.
//!
//! Whether a picture shows a living person is not decided here. That a head turns is more than a photograph held still
//! or waved can do, for the turn is read from how far the nose lies between the ears, which a plane keeps; a screen
//! that plays a turning head, a mask and a bent print can (docs/eyes.md).

use std::time::Duration;

use super::gate::{Reason, reaches};
use crate::clock::BootTime;
use crate::config::model;
use crate::eyes::{Bounds, FaceMeasure, Pose, Sight, TURNING_SCORE_MIN};

/// Without a face for this long the burst begins anew.
pub const ABSENT_MAX: Duration = Duration::from_secs(3);
/// Boxes of two frames that share less than this are two faces. A walk past the camera at 15 frames a second keeps
/// more than 0.5.
pub const SAME_OVERLAP_MIN: f32 = 0.2;
/// Frames whose middle yaw is believed: a single one is up to 5 degrees off.
const YAWS: usize = 5;

/// What a face is judged by. Degrees, and shares of 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceLimits {
    /// Least and most of the frame's area.
    pub area: (f32, f32),
    /// Farthest from the frame's middle, in its widths and heights.
    pub offset_max: f32,
    /// Most turn to a side, of the selfie.
    pub yaw_max: f32,
    /// Most bow, of the selfie.
    pub pitch_max: f32,
    /// Most tilt, of the selfie.
    pub roll_max: f32,
    /// Darkest mean luma of the face.
    pub luminance_min: f32,
    /// Below this mean luma of the face more light is asked for.
    pub luminance_hint: f32,
    /// Least sharpness of the face.
    pub sharpness_min: f32,
    /// Least turn from one side to the other over the burst.
    pub turn_min: f32,
    /// The person is asked to turn to both sides and to look up.
    pub active: bool,
}

impl FaceLimits {
    /// `None` when nobody looks for faces.
    pub fn of(config: &model::Capture) -> Option<Self> {
        let share = |percent: u8| f32::from(percent) / 100.0;
        (config.face == model::FaceCheck::Required).then(|| Self {
            area: (share(config.face_area_min_percent), share(config.face_area_max_percent)),
            offset_max: share(config.face_offset_max_percent),
            yaw_max: f32::from(config.yaw_max_degrees),
            pitch_max: f32::from(config.pitch_max_degrees),
            roll_max: f32::from(config.roll_max_degrees),
            luminance_min: f32::from(config.face_luminance_min),
            luminance_hint: f32::from(config.face_luminance_hint),
            sharpness_min: config.face_sharpness_min,
            turn_min: f32::from(config.turn_min_degrees),
            active: config.liveness == model::Liveness::Active,
        })
    }

    /// Whether more light would make a better picture of this face.
    pub fn is_dim(&self, face: &FaceMeasure) -> bool {
        !reaches(face.light.luma_mean, self.luminance_hint)
    }

    /// Whether the face looks into the camera, as a selfie's must.
    pub fn looks_straight(&self, face: &FaceMeasure) -> bool {
        face.pose.is_some_and(|Pose { yaw, pitch, roll }| {
            yaw.abs() <= self.yaw_max && pitch.abs() <= self.pitch_max && roll.abs() <= self.roll_max
        })
    }

    /// The face of a frame, or why it cannot be used. What is not a number is refused.
    pub fn judge(&self, sight: Option<&Sight>, known: bool) -> Result<FaceMeasure, Reason> {
        let sight = sight.ok_or(Reason::NoFace)?;
        if sight.faces() > 1 {
            return Err(Reason::SeveralFaces);
        }
        let face = sight.best.filter(|_| is_there(sight, known)).ok_or(Reason::NoFace)?;
        let (left, down) = face.offset;
        let (least, most) = self.area;
        if !reaches(face.area_share, least) {
            Err(Reason::FaceTooFar)
        } else if !reaches(most, face.area_share) {
            Err(Reason::FaceTooNear)
        } else if ![left, down].iter().all(|by| reaches(self.offset_max, by.abs())) {
            Err(Reason::FaceOffCentre)
        } else if !reaches(face.light.luma_mean, self.luminance_min) {
            Err(Reason::FaceDark)
        } else if !reaches(face.light.sharpness, self.sharpness_min) {
            Err(Reason::FaceBlurred)
        } else {
            Ok(face)
        }
    }
}

/// Whether a face is there. While a head turns its score falls: half is enough of one that is followed and that both passes
/// were sure of before (`known`).
pub(super) fn is_there(sight: &Sight, known: bool) -> bool {
    let followed = known && !sight.searched() && sight.close.score >= TURNING_SCORE_MIN;
    sight.best.is_some() && (sight.is_sure() || followed)
}

/// What is remembered of the face in front of the camera.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    last: Option<(Bounds, BootTime)>,
    /// Both passes were sure of this face in some frame.
    known: bool,
    yaws: Vec<f32>,
    /// Least and greatest middle yaw.
    turned: Option<(f32, f32)>,
}

impl Watch {
    /// Takes what was seen in a frame. Whether the pictures so far may be of somebody else: the face jumped, or was
    /// away for too long. Then all that was remembered is forgotten.
    pub fn saw(&mut self, sight: Option<&Sight>, now: BootTime) -> bool {
        let face = sight.and_then(|sight| sight.best);
        let other = match (&self.last, &face) {
            (Some((before, _)), Some(face)) => face.face.bounds.overlap(before) < SAME_OVERLAP_MIN,
            (Some((_, at)), None) => now.since(*at) >= ABSENT_MAX,
            (None, _) => false,
        };
        if other {
            *self = Self::default();
        }
        match face {
            Some(face) => self.last = Some((face.face.bounds, now)),
            // Whoever comes next is looked at with both passes first.
            None => self.known = false,
        }
        self.known |= sight.is_some_and(|sight| sight.searched() && sight.is_sure());
        other
    }

    /// Both passes were sure of the face that is followed.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Takes the pose of a frame that was accepted.
    pub fn turns(&mut self, pose: Option<Pose>) {
        let Some(pose) = pose else { return };
        if self.yaws.len() == YAWS {
            self.yaws.remove(0);
        }
        self.yaws.push(pose.yaw);
        let mut sorted = self.yaws.clone();
        sorted.sort_by(f32::total_cmp);
        if let (YAWS, Some(middle)) = (sorted.len(), sorted.get(YAWS / 2)) {
            let (least, most) = self.turned.unwrap_or((*middle, *middle));
            self.turned = Some((least.min(*middle), most.max(*middle)));
        }
    }

    /// How far the head turned from side to side, in degrees.
    pub fn turned(&self) -> f32 {
        self.turned.map_or(0.0, |(least, most)| most - least)
    }
}

#[cfg(test)]
#[path = "face_tests.rs"]
mod tests;
