//! A Video4Linux camera: opened, set and streaming, and what the kernel's refusals mean.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::convert::{Format, FrameError, Layout};
use super::exposure::{Levers, Moved, Towards};
use super::holders::{holders_of, sentence};
use super::mmap::Mapped;
use super::negotiate::{Remark, agree, differences};
use super::node::Node;
use super::source::{Agreed, Source};
use super::stream::{Loan, Stream, StreamError};
use super::{CameraError, RawFrame, controls, devices};
use crate::clock::{BootTime, Clock};
use crate::config::model::Camera;
use crate::picture::ycc::Decoded;

/// A camera that streams.
pub(super) struct V4l2Source {
    agreed: Agreed,
    layout: Layout,
    stream: Stream<Mapped>,
    node: Arc<Node>,
    levers: Levers,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    /// Number and moment of the frame that is lent.
    last: Option<(u32, BootTime)>,
    /// And its pixels, when it came as a JPEG; those of other formats stay in the driver's buffer.
    decoded: Decoded,
}

impl V4l2Source {
    /// Finds and opens the node, agrees on a format, sets the controls and starts streaming.
    pub fn open(config: &Camera, clock: Arc<dyn Clock>) -> Result<Self, CameraError> {
        let path = devices::find(config)?;
        let node = Arc::new(Node::open(&path).map_err(|error| of_open(&path, error))?);
        // What is no Video4Linux node answers ENOTTY (or EINVAL, some old drivers).
        let capabilities = node.capabilities().map_err(|error| match errno(&error) {
            Some(Errno::NOTTY | Errno::INVAL) => CameraError::NotACamera { path: path.clone() },
            _ => of_call(&path, "VIDIOC_QUERYCAP", error),
        })?;
        if !capabilities.can_capture() {
            return Err(CameraError::CannotCapture {
                path,
                card: capabilities.card,
                capabilities: capabilities.bits,
            });
        }
        let layout = agree(&*node, &path, config)?;
        let mut remarks = differences(config, layout);
        let fps = node.set_rate(config.fps).unwrap_or_else(|error| {
            log::debug!(device:% = path.display(), fps = config.fps; "frame rate not set: {error}");
            None
        });
        remarks.extend(rate_remark(config.fps, fps));
        remarks.extend(controls::apply(&*node, config));
        say_once(&path, &remarks);
        let levers = Levers::of(&*node, config);
        let mapped = Mapped::new(Arc::clone(&node)).map_err(|(call, error)| of_call(&path, call, error))?;
        let timeout = Duration::from_millis(u64::from(config.frame_timeout_ms));
        let stream = Stream::start(mapped).map_err(|error| of_stream(&path, timeout, error))?;
        let agreed = Agreed {
            path,
            card: capabilities.card,
            bus: capabilities.bus,
            driver: capabilities.driver,
            format: layout.format.name(),
            width: layout.width,
            height: layout.height,
            fps,
            exposure: levers.names(),
            remarks,
        };
        let decoded = Decoded::default();
        Ok(Self { agreed, layout, stream, node, levers, clock, timeout, last: None, decoded })
    }
}

impl Source for V4l2Source {
    fn advance(&mut self) -> Result<(), CameraError> {
        self.last = None;
        let Self { layout, clock, decoded, .. } = self;
        // Read straight from the driver's buffer.
        let read = |bytes: &[u8]| -> Result<BootTime, FrameError> {
            let taken = clock.boot();
            match RawFrame::of_buffer(*layout, bytes) {
                Some(frame) => drop(frame.view()?),
                None => decoded.decode(bytes)?,
            }
            Ok(taken)
        };
        let loan = if layout.format == Format::Mjpg { Loan::GiveBack } else { Loan::Keep };
        let (taken, sequence) = self
            .stream
            .next(&**clock, self.timeout, loan, read)
            .map_err(|error| of_stream(&self.agreed.path, self.timeout, error))?;
        self.last = Some((sequence, taken));
        Ok(())
    }

    fn frame(&self) -> RawFrame<'_> {
        let Some((sequence, taken)) = self.last else { return RawFrame::NONE };
        let lent = self.stream.lent().and_then(|bytes| RawFrame::of_buffer(self.layout, bytes));
        lent.unwrap_or_else(|| RawFrame::of_decoded(&self.decoded)).at(sequence, taken)
    }

    fn expose(&mut self, towards: Towards) -> bool {
        let moved = self.levers.step(&*self.node, towards);
        match &moved {
            Some(Moved { name, from, to }) => log::info!(
                control = name.as_str(), from = *from, to = *to;
                "the face is not well lit: the camera's {name:?} is set from {from} to {to}"
            ),
            None => log::info!("the face is not well lit, and the camera has no more to give"),
        }
        moved.is_some()
    }

    fn describe(&self) -> String {
        let Agreed { path, card, format, width, height, .. } = &self.agreed;
        format!("{card} at {} ({format} {width}x{height})", path.display())
    }

    fn agreed(&self) -> Option<&Agreed> {
        Some(&self.agreed)
    }
}

/// The next burst begins with the camera as it was.
impl Drop for V4l2Source {
    fn drop(&mut self) {
        self.levers.restore(&*self.node);
    }
}

/// A tenth off is what 29.97 for 30 and the like amount to; more is worth a word.
fn rate_remark(wanted: u32, got: Option<f64>) -> Option<Remark> {
    let Some(got) = got else { return Some(Remark::NoRate) };
    let off = (got - f64::from(wanted)).abs();
    (off > f64::from(wanted) * 0.1).then_some(Remark::Rate { wanted, got })
}

/// The camera is opened for each burst: each remark is logged once a run of the program.
fn say_once(path: &Path, remarks: &[Remark]) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    for text in remarks.iter().map(Remark::to_string) {
        if !said.contains(&text) {
            log::warn!(device:% = path.display(); "{text}");
            said.insert(text);
        }
    }
}

pub(super) fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

pub(super) fn of_open(path: &Path, error: io::Error) -> CameraError {
    let path_owned = path.to_owned();
    match errno(&error) {
        // ENXIO and ENODEV: a node is there and no device behind it.
        Some(Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOTDIR) => {
            CameraError::Missing { path: path_owned, known: Some(devices::known()) }
        }
        Some(Errno::ACCESS | Errno::PERM) => CameraError::Forbidden { path: path_owned },
        Some(Errno::ISDIR) => CameraError::NotACamera { path: path_owned },
        _ => of_call(path, "open", error),
    }
}

pub(super) fn of_call(path: &Path, call: &'static str, source: io::Error) -> CameraError {
    let path = path.to_owned();
    match errno(&source) {
        Some(Errno::BUSY) => {
            let holders = sentence(&holders_of(&path));
            CameraError::Busy { path, call, holders }
        }
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
        StreamError::Damaged(damage) => CameraError::BadFrames { path: path.to_owned(), damage, after_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_rate_that_is_nearly_right_is_no_remark() {
        assert_eq!(rate_remark(30, Some(29.97)), None);
        assert_eq!(rate_remark(15, Some(10.0)), Some(Remark::Rate { wanted: 15, got: 10.0 }));
        assert_eq!(rate_remark(15, None), Some(Remark::NoRate));
    }
}
