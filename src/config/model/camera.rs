//! `[camera]`: where pictures come from, and how the camera is set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Camera {
    /// Kind of camera.
    pub source: CameraSource,
    /// The V4L2 device node. `/dev/video0` may be another camera after the next boot; a link below `/dev/v4l/by-id` or `/dev/v4l/by-path` stays, see `latchd camera list`. Not looked at when `card` or `bus` is set.
    pub device: PathBuf,
    /// Find the camera by its name instead of a path, as `latchd camera list` prints it. With `bus` both must be right.
    #[schemars(example = "UVC Camera (046d:0825)")]
    pub card: Option<String>,
    /// Find the camera by where it is plugged in, as `latchd camera list` prints it.
    #[schemars(example = "usb-3f980000.usb-1.2")]
    pub bus: Option<String>,
    /// Pixel format that is asked for first. A camera that lacks it is asked for the others, in the order `mjpg`, `yuyv`, `nv12`.
    pub format: CameraFormat,
    /// Picture, directory of pictures or MJPEG file of the `file` source.
    #[schemars(example = "/etc/latchd/face.jpg")]
    pub file: Option<PathBuf>,
    /// What the `file` source does with its file.
    pub mode: FileMode,
    /// Wanted pixels in a row (160 to 4096). A camera without a choice, such as an HDMI input, keeps its own size.
    #[schemars(range(min = 160, max = 4096))]
    pub width: u32,
    /// Wanted rows (120 to 4096).
    #[schemars(range(min = 120, max = 4096))]
    pub height: u32,
    /// Wanted frames a second (1 to 120).
    #[schemars(range(min = 1, max = 120))]
    pub fps: u32,
    /// No frame for this long is a fault, in milliseconds (100 to 30000). A camera that was unplugged may take as long to come back.
    #[schemars(range(min = 100, max = 30_000))]
    pub frame_timeout_ms: u32,
    /// Who chooses the exposure.
    pub exposure: Exposure,
    /// Exposure time when `exposure` is `manual`, in microseconds (100 to 1000000).
    #[schemars(range(min = 100, max = 1_000_000), example = 10_000)]
    pub exposure_us: Option<u32>,
    /// Gain in the camera's own units (0 to 1000000), its automatic gain switched off; see `latchd camera probe`. Without it gain is left alone.
    #[schemars(range(min = 0, max = 1_000_000), example = 32)]
    pub gain: Option<u32>,
    /// Swap left and right, or do not; without it the camera is left as it is. The picture must not be a mirror's: text before the
    /// camera can be read in it.
    #[schemars(example = true)]
    pub mirror: Option<bool>,
    /// Swap top and bottom, or do not; without it the camera is left as it is.
    #[schemars(example = true)]
    pub flip: Option<bool>,
    /// How the picture is turned, for a camera that is mounted on its side or upside down. It costs a conversion of every frame; `mirror`
    /// and `flip`, where the camera has both, turn it upside down for nothing.
    pub rotate: Rotate,
    /// Frequency of the mains, against flicker under lamps.
    pub power_line: PowerLine,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            source: CameraSource::V4l2,
            device: "/dev/video0".into(),
            card: None,
            bus: None,
            format: CameraFormat::Auto,
            file: None,
            mode: FileMode::Plain,
            width: 1280,
            height: 720,
            fps: 15,
            frame_timeout_ms: 2_000,
            exposure: Exposure::AsIs,
            exposure_us: None,
            gain: None,
            mirror: None,
            flip: None,
            rotate: Rotate::None,
            power_line: PowerLine::AsIs,
        }
    }
}

/// Kind of camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CameraSource {
    /// A Video4Linux camera.
    V4l2,
    /// Files, for a machine without a camera. A real line refuses it (door-rules 4).
    File,
}

/// Pixel format that is asked for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CameraFormat {
    /// The order of the others.
    Auto,
    /// Motion JPEG: full rate over USB 2, costs decoding.
    Mjpg,
    /// 4:2:2, not compressed: no decoding, and over USB 2 a low rate at large sizes.
    Yuyv,
    /// 4:2:0, not compressed.
    Nv12,
}

/// How the pictures of a camera are turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rotate {
    /// Not at all.
    None,
    /// By a quarter, clockwise: what was on the left is at the top.
    Clockwise,
    /// Upside down.
    Half,
    /// By a quarter, counterclockwise: what was on the right is at the top.
    Counterclockwise,
}

/// How the file source plays its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileMode {
    /// Frames as they are, over and over.
    Plain,
    /// One photograph, moved, scaled, relit and, with a face, its head turned from frame to frame, the same way each time.
    StillWithSway,
}

/// Who chooses the exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// The camera is left as it is; for a burst with a dark or burnt face it is asked for more or less light.
    AsIs,
    /// The camera chooses, and is asked likewise.
    Auto,
    /// `exposure_us` chooses; without it the time is left as it is. Nothing is moved for a face.
    Manual,
}

/// Frequency of the mains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerLine {
    /// The camera is left as it is.
    AsIs,
    /// No filter.
    Off,
    /// 50 Hz.
    #[serde(rename = "50hz")]
    Hz50,
    /// 60 Hz.
    #[serde(rename = "60hz")]
    Hz60,
    /// The camera finds out.
    Auto,
}
