//! What can go wrong between a lens and a frame, each with a stable word for the audit and a remedy.

use std::io;
use std::path::PathBuf;

use super::stream::Damage;
use crate::picture::read::PictureError;

fn there_is(known: Option<&str>) -> String {
    known.map(|known| format!("; there is {known}")).unwrap_or_default()
}

fn held_by(holders: &str) -> String {
    if holders.is_empty() { "another process uses it".into() } else { format!("held by {holders}") }
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// No such device or file.
    #[error("camera {}: not there{}", path.display(), there_is(.known.as_deref()))]
    Missing {
        /// Device node or file.
        path: PathBuf,
        /// For a device: what there is.
        known: Option<String>,
    },
    /// No camera with that name or at that place.
    #[error("camera with {wanted}: not there{}", there_is(Some(known)))]
    NotFound {
        /// What `[camera]` says.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// More than one camera with that name or at that place.
    #[error("camera with {wanted}: there is more than one: {found}")]
    Ambiguous {
        /// What `[camera]` says.
        wanted: String,
        /// Those that fit.
        found: String,
    },
    /// Not allowed to open it.
    #[error("camera {}: permission denied", path.display())]
    Forbidden {
        /// Device node or file.
        path: PathBuf,
    },
    /// Another process streams from it.
    #[error("camera {}: busy, {} ({call})", path.display(), held_by(.holders))]
    Busy {
        /// Device node.
        path: PathBuf,
        /// The system call that said so.
        call: &'static str,
        /// Who has it open, as far as `/proc` shows; empty when it does not.
        holders: String,
    },
    /// The path is no Video4Linux device.
    #[error("camera {}: not a Video4Linux device", path.display())]
    NotACamera {
        /// What was opened.
        path: PathBuf,
    },
    /// A Video4Linux device that gives no frames by memory mapping: a metadata node, a codec, a radio.
    #[error("camera {}: {card:?} cannot stream single-planar video (capabilities {capabilities:#010x})", path.display())]
    CannotCapture {
        /// Device node.
        path: PathBuf,
        /// The device's own name.
        card: String,
        /// `device_caps` as the kernel gives them.
        capabilities: u32,
    },
    /// None of the formats that are understood.
    #[error("camera {}: offers {offered}, understood are MJPG, YUYV and NV12", path.display())]
    NoFormat {
        /// Device node.
        path: PathBuf,
        /// What the driver lists.
        offered: String,
    },
    /// The driver's answer contradicts itself or the kernel's documentation.
    #[error("camera {}: the driver's answer makes no sense: {what}", path.display())]
    BadAnswer {
        /// Device node.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
    /// A system call failed (EIO and what has no name of its own).
    #[error("camera {}: {call} failed: {source}", path.display())]
    Fault {
        /// Device node.
        path: PathBuf,
        /// The system call.
        call: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It was there and is gone.
    #[error("camera {}: unplugged", path.display())]
    Unplugged {
        /// Device node.
        path: PathBuf,
    },
    /// No frame in time.
    #[error("camera {}: no frame for {after_ms} ms", path.display())]
    Timeout {
        /// Device node or file.
        path: PathBuf,
        /// The configured wait.
        after_ms: u64,
    },
    /// Frames came, and none of them could be used.
    #[error("camera {}: only damaged frames within {after_ms} ms: {damage}", path.display())]
    BadFrames {
        /// Device node.
        path: PathBuf,
        /// How many, and what was wrong with them.
        damage: Damage,
        /// The configured wait.
        after_ms: u64,
    },
    /// `source = "file"` without a file.
    #[error("[camera] source is \"file\", but [camera] file names none")]
    FileNotSet,
    /// A picture of the file source.
    #[error("camera file {}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: PictureError,
    },
    /// A directory without a picture, an MJPEG file without a whole frame.
    #[error("camera file {}: no whole picture in it", path.display())]
    NoPictures {
        /// File or directory.
        path: PathBuf,
    },
    /// More than one picture where one is asked for.
    #[error("camera file {}: mode \"still-with-sway\" plays one photograph", path.display())]
    NotOnePhotograph {
        /// File or directory.
        path: PathBuf,
    },
}

impl CameraError {
    /// The stable word in audit rows and events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::NotFound { .. } => "camera_missing",
            Self::Ambiguous { .. } => "camera_ambiguous",
            Self::Forbidden { .. } => "camera_forbidden",
            Self::Busy { .. } => "camera_busy",
            Self::NotACamera { .. } | Self::CannotCapture { .. } | Self::NoFormat { .. } => "camera_unfit",
            Self::BadAnswer { .. } | Self::Fault { .. } => "camera_fault",
            Self::Unplugged { .. } => "camera_unplugged",
            Self::Timeout { .. } => "camera_timeout",
            Self::BadFrames { .. } => "camera_bad_frames",
            Self::FileNotSet | Self::NotOnePhotograph { .. } => "camera_config",
            Self::Picture { .. } | Self::NoPictures { .. } => "camera_bad_file",
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "plug the camera in, or correct [camera] device or file",
            Self::NotFound { .. } => {
                "plug the camera in, or correct [camera] card and bus (latchd camera list)"
            }
            Self::Ambiguous { .. } => {
                "set both [camera] card and bus, or name a link below /dev/v4l in [camera] device"
            }
            Self::Forbidden { .. } => {
                "let the user latchd runs as read it: group video for a device, file mode for a file"
            }
            Self::Busy { .. } => "stop the other program, or name another device in [camera] device",
            Self::NotACamera { .. } => "name a capture device such as /dev/video0 in [camera] device",
            Self::CannotCapture { .. } => {
                "name the camera's capture node in [camera] device; a camera often has a second node for metadata"
            }
            Self::NoFormat { .. } => "use a camera that offers MJPG, YUYV or NV12",
            Self::BadAnswer { .. } => "update the kernel or the camera's driver, or use another camera",
            Self::Fault { .. } => "look into the kernel's log; check cable, port and power of the camera",
            Self::Unplugged { .. } => "plug the camera in again and check its cable",
            Self::Timeout { .. } => "check cable and power of the camera, or raise [camera] frame_timeout_ms",
            Self::BadFrames { .. } => {
                "check the camera's cable and USB port, or lower [camera] width, height or fps"
            }
            Self::FileNotSet => "set [camera] file, or source = \"v4l2\"",
            Self::Picture { source, .. } => source.remedy(),
            Self::NoPictures { .. } => {
                "put JPEG or PNG files into the directory, or whole frames into the MJPEG file"
            }
            Self::NotOnePhotograph { .. } => {
                "name one JPEG or PNG file in [camera] file, or set mode = \"plain\""
            }
        }
    }

    /// Configuration or usage: trying again cannot help (exit status 2).
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::NotACamera { .. }
                | Self::CannotCapture { .. }
                | Self::Ambiguous { .. }
                | Self::FileNotSet
                | Self::NotOnePhotograph { .. }
        )
    }

    /// Whether the next burst may go better with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Fault { .. } | Self::Timeout { .. } | Self::BadFrames { .. })
    }

    /// Whether closing the device and opening it again may mend it.
    pub(super) fn wants_reopening(&self) -> bool {
        matches!(self, Self::Unplugged { .. } | Self::Fault { .. } | Self::BadAnswer { .. })
    }
}
