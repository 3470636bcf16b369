//! `[capture]`: what a burst takes and what its pictures are judged by.

use super::{GIVE_UP_MS, LIVENESS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How pictures are taken and what is refused on the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Liveness pictures of a burst (6 to 8).
    #[schemars(range(min = 6, max = 8))]
    pub liveness_count: u32,
    /// Least time between two liveness pictures, in milliseconds (350 to 2000).
    #[schemars(range(min = 350, max = 2000))]
    pub liveness_interval_ms: u32,
    /// When the selfie is taken.
    pub order: Order,
    /// Give up when a burst is not complete after this long, in milliseconds (5000 to 120000).
    #[schemars(range(min = 5000, max = 120_000))]
    pub give_up_ms: u32,
    /// The language of what the person in front of the camera is asked to do.
    pub language: Language,
    /// Darkest mean luminance that is accepted of a frame without a face, or when no face is looked for (0 to 255).
    #[schemars(range(min = 0, max = 255))]
    pub luminance_min: u8,
    /// Below this mean luminance of such a frame the person is asked for more light (0 to 255).
    #[schemars(range(min = 0, max = 255))]
    pub luminance_hint: u8,
    /// Least sharpness of such a frame: variance of the Laplacian over the squared mean, of the picture at 160x160 (0 to 10).
    #[schemars(range(min = 0, max = 10))]
    pub sharpness_min: f32,
    /// Shortest side of a camera frame that is accepted, in pixels (160 to 2048).
    #[schemars(range(min = 160, max = 2048))]
    pub side_min: u32,
    /// JPEG quality of selfie and liveness pictures (60 to 95).
    #[schemars(range(min = 60, max = 95))]
    pub jpeg_quality: u8,
    /// Whether a burst looks for a face before anything is stored or sent.
    pub face: FaceCheck,
    /// Least share of the frame that the face's box fills, in percent (1 to 50).
    #[schemars(range(min = 1, max = 50))]
    pub face_area_min_percent: u8,
    /// Greatest share of the frame that the face's box fills, in percent (10 to 100).
    #[schemars(range(min = 10, max = 100))]
    pub face_area_max_percent: u8,
    /// Farthest that the face may lie from the frame's middle, in percent of its width and height (5 to 50).
    #[schemars(range(min = 5, max = 50))]
    pub face_offset_max_percent: u8,
    /// Most that the head of the selfie may be turned to a side, in degrees (5 to 45).
    #[schemars(range(min = 5, max = 45))]
    pub yaw_max_degrees: u8,
    /// Most that the head of the selfie may be bent down or back, in degrees (5 to 45).
    #[schemars(range(min = 5, max = 45))]
    pub pitch_max_degrees: u8,
    /// Most that the head of the selfie may be tilted, in degrees (5 to 45).
    #[schemars(range(min = 5, max = 45))]
    pub roll_max_degrees: u8,
    /// Darkest mean luminance of the face that is accepted (0 to 255).
    #[schemars(range(min = 0, max = 255))]
    pub face_luminance_min: u8,
    /// Below this mean luminance of the face more light is asked for, first of the camera, then of the person (0 to 255).
    #[schemars(range(min = 0, max = 255))]
    pub face_luminance_hint: u8,
    /// Least sharpness of the face, measured as that of the frame (0 to 10).
    #[schemars(range(min = 0, max = 10))]
    pub face_sharpness_min: f32,
    /// How the head has to move before the last picture.
    pub liveness: Liveness,
    /// Least turn of the head from side to side over a burst, in degrees (0 to 60).
    #[schemars(range(min = 0, max = 60))]
    pub turn_min_degrees: u8,
}

/// When a burst takes its selfie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The sharpest frame between the first liveness picture and the last.
    Best,
    /// Before the liveness pictures.
    SelfieFirst,
    /// After the liveness pictures.
    LivenessFirst,
}

/// How the head has to move over a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Liveness {
    /// A little, to whichever side: `turn_min_degrees`.
    Passive,
    /// To the left, to the right and up, in an order that differs from burst to burst.
    Active,
}

/// A language that hints are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// French.
    #[serde(rename = "fr")]
    French,
    /// Swahili.
    #[serde(rename = "sw")]
    Swahili,
    /// Portuguese.
    #[serde(rename = "pt")]
    Portuguese,
    /// Arabic.
    #[serde(rename = "ar")]
    Arabic,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::English, Self::French, Self::Swahili, Self::Portuguese, Self::Arabic];

    /// Its code of two letters (ISO 639-1).
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::Swahili => "sw",
            Self::Portuguese => "pt",
            Self::Arabic => "ar",
        }
    }
}

/// Whether a burst looks for a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaceCheck {
    /// One face, near, lit, sharp, turning: without one no picture is kept, and a photograph held still is refused.
    Required,
    /// Pictures are taken of whatever is there. Only for a camera that is tried out, or a board that is too slow.
    NotLookedAt,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            liveness_count: LIVENESS.0,
            liveness_interval_ms: LIVENESS.1,
            order: Order::Best,
            give_up_ms: GIVE_UP_MS,
            language: Language::English,
            luminance_min: 20,
            luminance_hint: 50,
            sharpness_min: 0.002,
            side_min: 240,
            jpeg_quality: 85,
            face: FaceCheck::Required,
            face_area_min_percent: 4,
            face_area_max_percent: 60,
            face_offset_max_percent: 25,
            yaw_max_degrees: 15,
            pitch_max_degrees: 20,
            roll_max_degrees: 20,
            face_luminance_min: 15,
            face_luminance_hint: 50,
            face_sharpness_min: 0.004,
            liveness: Liveness::Passive,
            turn_min_degrees: 8,
        }
    }
}
