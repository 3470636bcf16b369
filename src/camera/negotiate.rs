//! PURE but for the calls it makes through [`Formats`]: which pixel format and size are agreed on.

use std::fmt;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::CameraError;
use super::convert::{Format, Layout};
use super::v4l2::{errno, of_call};
use crate::config::model::{Camera, CameraFormat};
use crate::picture::read::SIDE_MAX;

/// A picture format as the driver sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PictureFormat {
    pub fourcc: u32,
    pub width: u32,
    pub height: u32,
    /// Bytes from row to row.
    pub stride: u32,
}

/// What negotiation asks of a node: the kernel's, or one made up in tests.
pub(super) trait Formats {
    /// The codes of the formats that it lists.
    fn offered(&self) -> Vec<u32>;
    /// Whether it lists sizes for a format. An HDMI input does not: the signal has one.
    fn has_sizes(&self, fourcc: u32) -> bool;
    /// What is set now.
    fn format(&self) -> io::Result<PictureFormat>;
    /// Asks for a format and size, gives what the driver made of it.
    fn set_format(&self, fourcc: u32, width: u32, height: u32) -> io::Result<PictureFormat>;
}

/// The formats in the order in which they are asked for: the configured one first. Motion JPEG is before the others
/// because it goes through USB 2 at full rate and size; the rest costs no decoding.
pub(super) fn order(configured: CameraFormat) -> Vec<Format> {
    let first = match configured {
        CameraFormat::Auto => None,
        CameraFormat::Mjpg => Some(Format::Mjpg),
        CameraFormat::Yuyv => Some(Format::Yuyv),
        CameraFormat::Nv12 => Some(Format::Nv12),
    };
    let others = Format::WANTED.into_iter().filter(|format| Some(*format) != first);
    first.into_iter().chain(others).collect()
}

/// Asks for the understood formats one after the other, then takes what the driver has set if that is understood.
///
/// # Errors
/// None of the formats is understood (with what there is), a call failed, or the answer makes no sense.
pub(super) fn agree(node: &dyn Formats, path: &Path, config: &Camera) -> Result<Layout, CameraError> {
    let offered = node.offered();
    for wanted in order(config.format) {
        for code in wanted.codes() {
            if !offered.is_empty() && !offered.contains(&code) {
                continue;
            }
            let (width, height) = if node.has_sizes(code) {
                (config.width, config.height)
            } else {
                let now = node.format().map_err(|error| of_call(path, "VIDIOC_G_FMT", error))?;
                (now.width, now.height)
            };
            match node.set_format(code, width, height) {
                Ok(set) if Format::from_fourcc(set.fourcc) == Some(wanted) => {
                    return layout(path, wanted, set);
                }
                // A driver that does not know the format sets another one, or refuses.
                Ok(_) => {}
                Err(error) if errno(&error) == Some(Errno::INVAL) => {}
                Err(error) => return Err(of_call(path, "VIDIOC_S_FMT", error)),
            }
        }
    }
    let set = node.format().map_err(|error| of_call(path, "VIDIOC_G_FMT", error))?;
    match Format::from_fourcc(set.fourcc) {
        Some(format) => layout(path, format, set),
        None => {
            let offered = if offered.is_empty() { vec![set.fourcc] } else { offered };
            let offered = offered.into_iter().map(code_text).collect::<Vec<_>>().join(", ");
            Err(CameraError::NoFormat { path: path.to_owned(), offered })
        }
    }
}

/// Checks what the driver set.
fn layout(path: &Path, format: Format, set: PictureFormat) -> Result<Layout, CameraError> {
    let PictureFormat { width, height, stride, .. } = set;
    if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
        let what = format!("a picture of {width}x{height}");
        return Err(CameraError::BadAnswer { path: path.to_owned(), what });
    }
    // Old drivers leave the stride of packed rows at 0.
    let least = match format {
        Format::Mjpg => 0,
        Format::Yuyv => width.div_ceil(2) * 4,
        Format::Nv12 => width.next_multiple_of(2),
    };
    let stride = if stride == 0 { least } else { stride };
    if stride < least {
        let what = format!("{stride} bytes for a row of {width} pixels in {}", format.name());
        return Err(CameraError::BadAnswer { path: path.to_owned(), what });
    }
    Ok(Layout { format, width, height, stride })
}

/// A format's code as people write it.
pub(super) fn code_text(code: u32) -> String {
    code.to_le_bytes()
        .map(|byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' })
        .iter()
        .collect()
}

/// Where what was agreed on differs from what was configured: worth a warning, and pictures come all the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Remark {
    /// Another pixel format than the configured one.
    Format {
        /// Agreed on.
        got: &'static str,
    },
    /// Another size than the configured one.
    Size {
        /// Agreed on, pixels in a row.
        width: u32,
        /// Agreed on, rows.
        height: u32,
    },
    /// Another rate than the configured one.
    Rate {
        /// Configured, frames a second.
        wanted: u32,
        /// Agreed on, frames a second.
        got: f64,
    },
    /// The camera has its own rate.
    NoRate,
    /// The camera lacks what a key sets.
    ControlMissing {
        /// The key of `[camera]`.
        key: &'static str,
    },
    /// The camera made another value of it.
    ControlClamped {
        /// The key of `[camera]`.
        key: &'static str,
        /// Configured.
        wanted: i64,
        /// In effect.
        got: i64,
    },
    /// The camera refused it.
    ControlRefused {
        /// The key of `[camera]`.
        key: &'static str,
        /// The kernel's words.
        why: String,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { got } => {
                write!(f, "[camera] format: the camera does not offer it, {got} is used")
            }
            Self::Size { width, height } => {
                write!(f, "[camera] width, height: the camera gives {width}x{height}")
            }
            Self::Rate { wanted, got } => {
                write!(f, "[camera] fps: the camera gives {got:.1} frames a second, not {wanted}")
            }
            Self::NoRate => f.write_str("[camera] fps: the camera has its own rate"),
            Self::ControlMissing { key } => write!(f, "[camera] {key}: the camera has no such control"),
            Self::ControlClamped { key, wanted, got } => {
                write!(f, "[camera] {key}: the camera made {got} of {wanted}")
            }
            Self::ControlRefused { key, why } => write!(f, "[camera] {key}: the camera refused it: {why}"),
        }
    }
}

/// How format and size differ from the configured ones.
pub(super) fn differences(config: &Camera, layout: Layout) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let format = order(config.format).first().copied();
    if config.format != CameraFormat::Auto && format != Some(layout.format) {
        remarks.push(Remark::Format { got: layout.format.name() });
    }
    if (layout.width, layout.height) != (config.width, config.height) {
        remarks.push(Remark::Size { width: layout.width, height: layout.height });
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A camera of some formats, the first of which is set, and some sizes; none is an HDMI input.
    struct Fake {
        offers: Vec<[u8; 4]>,
        sizes: Vec<(u32, u32)>,
        set: RefCell<PictureFormat>,
        asked: RefCell<Vec<String>>,
        fails: Option<Errno>,
    }

    fn fake(offers: &[&[u8; 4]], sizes: &[(u32, u32)]) -> Fake {
        let fourcc = offers.first().map_or(0, |code| u32::from_le_bytes(**code));
        Fake {
            offers: offers.iter().map(|code| **code).collect(),
            sizes: sizes.to_vec(),
            set: RefCell::new(PictureFormat { fourcc, width: 1920, height: 1080, stride: 0 }),
            asked: RefCell::default(),
            fails: None,
        }
    }

    impl Formats for Fake {
        fn offered(&self) -> Vec<u32> {
            self.offers.iter().map(|code| u32::from_le_bytes(*code)).collect()
        }
        fn has_sizes(&self, _: u32) -> bool {
            !self.sizes.is_empty()
        }
        fn format(&self) -> io::Result<PictureFormat> {
            Ok(*self.set.borrow())
        }
        fn set_format(&self, fourcc: u32, width: u32, height: u32) -> io::Result<PictureFormat> {
            self.asked.borrow_mut().push(code_text(fourcc));
            if let Some(errno) = self.fails {
                return Err(errno.into());
            }
            let near = |size: &&(u32, u32)| size.0.abs_diff(width) + size.1.abs_diff(height);
            let (width, height) = self.sizes.iter().min_by_key(near).copied().unwrap_or((1920, 1080));
            *self.set.borrow_mut() = PictureFormat { fourcc, width, height, stride: 0 };
            self.format()
        }
    }

    fn agreed(fake: &Fake, config: &Camera) -> Result<(&'static str, u32, u32), CameraError> {
        let layout = agree(fake, Path::new("/dev/video0"), config)?;
        Ok((layout.format.name(), layout.width, layout.height))
    }

    const SIZES: &[(u32, u32)] = &[(640, 480), (1280, 720)];

    #[test]
    fn the_configured_format_comes_first_and_the_others_after_it() {
        let all: &[&[u8; 4]] = &[b"NV12", b"YUYV", b"MJPG"];
        let table = [
            (CameraFormat::Auto, all, "MJPG"),
            (CameraFormat::Yuyv, all, "YUYV"),
            (CameraFormat::Nv12, all, "NV12"),
            (CameraFormat::Nv12, &[b"H264", b"YUYV"], "YUYV"),
            (CameraFormat::Auto, &[b"H264", b"NV12"], "NV12"),
            // What some drivers call Motion JPEG.
            (CameraFormat::Auto, &[b"YUYV", b"JPEG"], "MJPG"),
        ];
        for (format, offers, expected) in table {
            let config = Camera { format, ..Camera::default() };
            let fake = fake(offers, SIZES);
            assert_eq!(agreed(&fake, &config).unwrap(), (expected, 1280, 720), "{format:?} of {offers:?}");
            // The driver is not made to switch through formats that it does not list.
            assert_eq!(fake.asked.borrow().len(), 1);
        }
    }

    #[test]
    fn a_source_without_sizes_keeps_the_signals() {
        assert_eq!(agreed(&fake(&[b"YUYV"], &[]), &Camera::default()).unwrap(), ("YUYV", 1920, 1080));
    }

    #[test]
    fn an_unknown_format_is_refused_with_what_there_is() {
        let error = agreed(&fake(&[b"H264", b"HEVC"], SIZES), &Camera::default()).unwrap_err();
        assert_eq!(error.reason(), "camera_unfit");
        assert!(error.to_string().contains("offers H264, HEVC, understood are"), "{error}");
        // A driver that lists nothing: what is set.
        let mut silent = fake(&[b"H264"], SIZES);
        silent.offers.clear();
        silent.fails = Some(Errno::INVAL);
        let error = agreed(&silent, &Camera::default()).unwrap_err();
        assert!(error.to_string().contains("offers H264,"), "{error}");
    }

    #[test]
    fn a_camera_that_streams_for_somebody_else_is_busy_and_one_that_is_gone_is_unplugged() {
        for (errno, reason) in [(Errno::BUSY, "camera_busy"), (Errno::NODEV, "camera_unplugged")] {
            let fake = Fake { fails: Some(errno), ..fake(&[b"YUYV"], SIZES) };
            assert_eq!(agreed(&fake, &Camera::default()).unwrap_err().reason(), reason);
        }
    }

    #[test]
    fn differences_are_told_and_sameness_is_not() {
        let config = Camera { format: CameraFormat::Mjpg, ..Camera::default() };
        let layout = |format, width| Layout { format, width, height: 720, stride: 0 };
        assert_eq!(differences(&config, layout(Format::Mjpg, 1280)), []);
        let both = differences(&config, layout(Format::Yuyv, 640));
        let texts: Vec<_> = both.iter().map(Remark::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("YUYV is used") && texts[1].contains("640x720"), "{texts:?}");
    }

    fn set(width: u32, height: u32, stride: u32) -> PictureFormat {
        PictureFormat { fourcc: 0, width, height, stride }
    }

    #[test]
    fn a_layout_that_no_frame_has_is_refused() {
        let path = Path::new("/dev/video0");
        assert_eq!(layout(path, Format::Yuyv, set(641, 480, 0)).unwrap().stride, 1284);
        assert_eq!(layout(path, Format::Nv12, set(640, 480, 704)).unwrap().stride, 704);
        for (format, answer) in [
            (Format::Yuyv, set(640, 480, 1279)),
            (Format::Nv12, set(640, 480, 639)),
            (Format::Mjpg, set(0, 480, 0)),
            (Format::Mjpg, set(640, 9000, 0)),
        ] {
            let refused = layout(path, format, answer);
            assert!(matches!(refused, Err(CameraError::BadAnswer { .. })), "{answer:?}");
        }
    }

    #[test]
    fn an_unknown_format_is_named_as_text() {
        assert_eq!(code_text(u32::from_le_bytes(*b"H264")), "H264");
        assert_eq!(code_text(u32::from_le_bytes(*b"Y8\n\0")), "Y8??");
    }
}
