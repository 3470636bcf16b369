//! A Video4Linux camera: which format is agreed on, and what the kernel's refusals mean.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::convert::{Format, Layout, to_pixels};
use super::mmap::{Mapped, Node, PictureFormat};
use super::stream::{Stream, StreamError};
use super::{CameraError, Source};
use crate::clock::Clock;
use crate::config::model::Camera;
use crate::picture::read::SIDE_MAX;
use crate::picture::{Frame, Pixels};

/// A camera that streams.
pub(super) struct V4l2Source {
    path: PathBuf,
    card: String,
    layout: Layout,
    stream: Stream<Mapped>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl V4l2Source {
    /// Opens the node, agrees on a format and starts streaming.
    pub fn open(config: &Camera, clock: Arc<dyn Clock>) -> Result<Self, CameraError> {
        let path = config.device.as_path();
        let node = Arc::new(Node::open(path).map_err(|error| of_open(path, error))?);
        // What is no Video4Linux node answers ENOTTY (or EINVAL, some old drivers).
        let capabilities = node.capabilities().map_err(|error| match errno(&error) {
            Some(Errno::NOTTY | Errno::INVAL) => CameraError::NotACamera { path: path.to_owned() },
            _ => of_call(path, "VIDIOC_QUERYCAP", error),
        })?;
        if !capabilities.can_capture() {
            return Err(CameraError::CannotCapture {
                path: path.to_owned(),
                card: capabilities.card,
                capabilities: capabilities.bits,
            });
        }
        let layout = agree(&node, config)?;
        if let Err(error) = node.set_rate(config.fps) {
            // Best effort: the burst plan copes with any rate.
            log::debug!(device:% = path.display(), fps = config.fps; "frame rate not set: {error}");
        }
        let mapped = Mapped::new(node).map_err(|(call, error)| of_call(path, call, error))?;
        let timeout = Duration::from_millis(u64::from(config.frame_timeout_ms));
        let stream = Stream::start(mapped).map_err(|error| of_stream(path, timeout, error))?;
        Ok(Self { path: path.to_owned(), card: capabilities.card, layout, stream, clock, timeout })
    }
}

impl Source for V4l2Source {
    fn next_frame(&mut self) -> Result<Frame, CameraError> {
        let layout = self.layout;
        let clock = &*self.clock;
        let read = |bytes: &[u8]| {
            let taken = clock.boot();
            to_pixels(layout, bytes).map(|pixels| (pixels, taken))
        };
        let ((pixels, taken), sequence) = self
            .stream
            .next(clock, self.timeout, read)
            .map_err(|error| of_stream(&self.path, self.timeout, error))?;
        let Pixels { width, height, rgb } = pixels;
        Ok(Frame { width, height, rgb, sequence, taken })
    }

    fn describe(&self) -> String {
        let Layout { format, width, height, .. } = self.layout;
        format!("{} at {} ({} {width}x{height})", self.card, self.path.display(), format.name())
    }
}

/// Asks for the understood formats one after the other, then takes what the driver has set if we understand it.
fn agree(node: &Node, config: &Camera) -> Result<Layout, CameraError> {
    let path = config.device.as_path();
    for wanted in Format::WANTED {
        match node.set_format(wanted.fourcc(), config.width, config.height) {
            Ok(set) if Format::from_fourcc(set.fourcc) == Some(wanted) => return layout(path, wanted, set),
            // A driver that does not know the format sets another one, or refuses.
            Ok(_) => {}
            Err(error) if errno(&error) == Some(Errno::INVAL) => {}
            Err(error) => return Err(of_call(path, "VIDIOC_S_FMT", error)),
        }
    }
    let set = node.format().map_err(|error| of_call(path, "VIDIOC_G_FMT", error))?;
    match Format::from_fourcc(set.fourcc) {
        Some(format) => layout(path, format, set),
        None => {
            let offered: Vec<String> = node.offered_formats().into_iter().map(code_text).collect();
            let offered = if offered.is_empty() { code_text(set.fourcc) } else { offered.join(", ") };
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

fn code_text(code: u32) -> String {
    code.to_le_bytes()
        .map(|byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' })
        .iter()
        .collect()
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

fn of_open(path: &Path, error: io::Error) -> CameraError {
    let path_owned = path.to_owned();
    match errno(&error) {
        // ENXIO and ENODEV: a node is there and no device behind it.
        Some(Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOTDIR) => {
            CameraError::Missing { path: path_owned }
        }
        Some(Errno::ACCESS | Errno::PERM) => CameraError::Forbidden { path: path_owned },
        Some(Errno::ISDIR) => CameraError::NotACamera { path: path_owned },
        _ => of_call(path, "open", error),
    }
}

fn of_call(path: &Path, call: &'static str, source: io::Error) -> CameraError {
    let path = path.to_owned();
    match errno(&source) {
        Some(Errno::BUSY) => CameraError::Busy { path, call },
        Some(Errno::NODEV | Errno::NXIO) => CameraError::Unplugged { path },
        _ => CameraError::Fault { path, call, source },
    }
}

fn of_stream(path: &Path, timeout: Duration, error: StreamError) -> CameraError {
    let after_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    match error {
        StreamError::Call { call, source } => of_call(path, call, source),
        StreamError::BadAnswer(what) => CameraError::BadAnswer { path: path.to_owned(), what },
        StreamError::Timeout => CameraError::Timeout { path: path.to_owned(), after_ms },
        StreamError::Damaged { count, last } => {
            CameraError::BadFrames { path: path.to_owned(), count, after_ms, last }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_kernels_refusals_have_their_own_names() {
        let path = Path::new("/dev/video0");
        let table = [
            (Errno::BUSY, "camera_busy"),
            (Errno::NODEV, "camera_unplugged"),
            (Errno::IO, "camera_fault"),
            (Errno::NOMEM, "camera_fault"),
        ];
        for (code, reason) in table {
            let call = StreamError::Call { call: "VIDIOC_DQBUF", source: code.into() };
            let error = of_stream(path, Duration::from_secs(2), call);
            assert_eq!(error.reason(), reason, "{error}");
            assert!(error.to_string().contains("/dev/video0"));
        }
        assert_eq!(of_stream(path, Duration::from_secs(2), StreamError::Timeout).reason(), "camera_timeout");
    }

    #[test]
    fn an_unknown_format_is_named_as_text() {
        assert_eq!(code_text(u32::from_le_bytes(*b"H264")), "H264");
        assert_eq!(code_text(u32::from_le_bytes(*b"Y8\n\0")), "Y8??");
    }
}
