//! Why there is no capture set.

use std::path::PathBuf;

use super::burst::Failure;
use super::gate::Reason;
use crate::camera::CameraError;
use crate::eyes::EyesError;
use crate::picture::read::PictureError;

/// Why a capture failed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The camera gave no frame.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The face detector or a frame that it cannot look at.
    #[error(transparent)]
    Eyes(#[from] EyesError),
    /// The burst failed.
    #[error("no usable pictures after {after_ms} ms: {}, {liveness_taken} of {liveness_wanted} liveness pictures taken", .failure.name())]
    Burst {
        /// What was wrong.
        failure: Failure,
        /// Liveness pictures taken until then.
        liveness_taken: u32,
        /// And wanted.
        liveness_wanted: u32,
        /// How long it was tried.
        after_ms: u64,
    },
    /// Somebody or something ended the attempt.
    #[error("cancelled")]
    Cancelled,
    /// A picture could not be encoded.
    #[error("a picture of {width}x{height} could not be encoded")]
    Encode {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A file that was handed in.
    #[error("picture {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: PictureError,
    },
    /// A file that was handed in is too small.
    #[error("picture {}: {width}x{height} pixels, the short side must have at least {side_min}", path.display())]
    FileTooSmall {
        /// The file.
        path: PathBuf,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Least short side.
        side_min: u32,
    },
    /// Too few or too many liveness files.
    #[error("{count} liveness pictures, 6 to 8 are needed")]
    LivenessCount {
        /// How many were named.
        count: usize,
    },
}

impl CaptureError {
    /// The stable word in audit rows and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Camera(error) => error.reason(),
            Self::Eyes(_) => "eyes_failed",
            Self::Burst { failure, .. } => failure.name(),
            Self::Cancelled => "cancelled",
            Self::Encode { .. } => "encode_failed",
            Self::File { .. } => "bad_file",
            Self::FileTooSmall { .. } => "too_small",
            Self::LivenessCount { .. } => "liveness_count",
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Camera(error) => error.remedy(),
            Self::Eyes(error) => error.remedy(),
            Self::Burst { failure, .. } => match failure {
                Failure::Frozen | Failure::Refused(Reason::Frozen) => {
                    "unplug the camera and plug it in again; a file camera with one photograph needs mode = \"still-with-sway\""
                }
                Failure::Refused(Reason::Black) => "uncover the lens, switch a light on",
                Failure::Refused(Reason::TooDark) => {
                    "more light on the person, or lower [capture] luminance_min"
                }
                Failure::Refused(Reason::Blurred) => {
                    "hold still, wipe and focus the lens, or lower [capture] sharpness_min"
                }
                Failure::Refused(Reason::TooSmall) => {
                    "raise [camera] width and height, or lower [capture] side_min"
                }
                Failure::Refused(Reason::NoFace) => {
                    "stand before the camera without a mask; aim the camera at a face"
                }
                Failure::Refused(Reason::SeveralFaces) => "one person at a time before the camera",
                Failure::Refused(Reason::FaceTooFar) => {
                    "come closer, or lower [capture] face_area_min_percent"
                }
                Failure::Refused(Reason::FaceTooNear) => {
                    "step back, or raise [capture] face_area_max_percent"
                }
                Failure::Refused(Reason::FaceOffCentre) => {
                    "aim the camera at faces, or raise [capture] face_offset_max_percent"
                }
                Failure::Refused(Reason::FaceDark) => {
                    "more light on the face, not behind it, or lower [capture] face_luminance_min"
                }
                Failure::Refused(Reason::FaceBlurred) => {
                    "hold still, wipe and focus the lens, or lower [capture] face_sharpness_min"
                }
                Failure::Refused(Reason::FaceTurned) => "look into the camera",
                Failure::Refused(Reason::HeldStill) => {
                    "turn the head a little; a photograph is refused; or lower [capture] turn_min_degrees"
                }
                Failure::TooSlow => {
                    "raise [camera] fps or lower width and height, or raise [capture] give_up_ms"
                }
            },
            Self::Cancelled => "try again",
            Self::Encode { .. } => "report this as a defect",
            Self::File { source, .. } => source.remedy(),
            Self::FileTooSmall { .. } => "hand in larger pictures, or lower [capture] side_min",
            Self::LivenessCount { .. } => "name 6 to 8 liveness pictures",
        }
    }
}
