//! Files as a camera, for a machine without one, for the demo and for tests. Never with a real line (door-rules 4).
//!
//! A photograph (JPEG, PNG), a directory of photographs by name, or an MJPEG file: JPEGs one behind the other.
//! A file named `.jpg`, `.jpeg` or `.png` is a photograph whatever follows its first picture. They play over and
//! over at `fps`; the sequence counts the frames given. In mode `plain` a single photograph gives the same bytes
//! each time, which the capture gate rightly takes for a frozen camera.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::sway::Sway;
use super::{CameraError, RawFrame, Source};
use crate::clock::{BootTime, Clock};
use crate::config::model::{Camera, FileMode};
use crate::picture::read::{PictureError, Upright, decode, read_file};
use crate::picture::ycc::Decoded;
use crate::picture::{Pixels, jpeg};

/// Most pictures of a directory or an MJPEG file that are played; the rest is left out with a warning.
const PICTURES_MAX: usize = 10_000;

/// How the source waits for its next frame. Tests and the simulation move their clock instead.
pub trait Waiter: Send {
    /// Lets `span` pass.
    fn wait(&mut self, span: Duration);
}

/// Waits for real.
#[derive(Debug, Clone, Copy)]
pub struct ParkedWaiter;

impl Waiter for ParkedWaiter {
    fn wait(&mut self, span: Duration) {
        // A channel that nothing ever comes from: only the timeout ends it.
        let _ = crossbeam_channel::never::<()>().recv_timeout(span);
    }
}

/// A file, a directory or an MJPEG file that plays as a camera.
pub struct FileSource {
    path: PathBuf,
    reel: Reel,
    clock: Arc<dyn Clock>,
    waiter: Box<dyn Waiter>,
    interval: Duration,
    timeout: Duration,
    /// When the last frame was due.
    last_due: Option<BootTime>,
    next: u32,
    /// When the last frame was taken, once there was one.
    taken: Option<BootTime>,
    /// The last frame, where the reel does not hold it.
    shown: Shown,
}

/// The last frame.
enum Shown {
    /// The reel's photograph.
    Photograph,
    Pixels(Pixels),
    Decoded(Decoded),
}

/// What is played.
enum Reel {
    Photograph(Pixels),
    Swaying(Sway, (u32, u32)),
    Directory(Vec<PathBuf>),
    Stream(Vec<u8>, Vec<Range<usize>>),
}

impl FileSource {
    /// Opens `[camera] file`. The first photograph or frame header is not checked for a directory or a stream:
    /// each is decoded when its turn comes.
    ///
    /// # Errors
    /// The file is missing, no picture, too large, or not one photograph in mode `still-with-sway`.
    pub fn open(
        config: &Camera,
        clock: Arc<dyn Clock>,
        waiter: Box<dyn Waiter>,
    ) -> Result<Self, CameraError> {
        let path = config.file.clone().ok_or(CameraError::FileNotSet)?;
        let reel = match (load(&path)?, config.mode) {
            (Reel::Photograph(photograph), FileMode::StillWithSway) => Reel::Swaying(
                Sway::new(&photograph, config.width, config.height),
                (config.width, config.height),
            ),
            (_, FileMode::StillWithSway) => return Err(CameraError::NotOnePhotograph { path }),
            (reel, FileMode::Plain) => reel,
        };
        Ok(Self {
            path,
            reel,
            clock,
            waiter,
            interval: Duration::from_secs(1) / config.fps.max(1),
            timeout: Duration::from_millis(u64::from(config.frame_timeout_ms)),
            last_due: None,
            next: 0,
            taken: None,
            shown: Shown::Photograph,
        })
    }

    /// Waits until the next frame is due. A caller that comes late gets its frame at once, and the following
    /// ones are counted from then.
    fn pace(&mut self) -> Result<BootTime, CameraError> {
        let now = self.clock.boot();
        let due = self.last_due.map_or(now, |last| last.plus(self.interval)).max(now);
        let ahead = due.since(now);
        if ahead > self.timeout {
            self.waiter.wait(self.timeout);
            let after_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
            return Err(CameraError::Timeout { path: self.path.clone(), after_ms });
        }
        if ahead > Duration::ZERO {
            self.waiter.wait(ahead);
        }
        self.last_due = Some(due);
        Ok(self.clock.boot())
    }

    fn show(&mut self) -> Result<(), CameraError> {
        let turn = |count: usize| usize::try_from(self.next).unwrap_or(0).checked_rem(count).unwrap_or(0);
        match &self.reel {
            Reel::Photograph(_) => {}
            Reel::Swaying(sway, (width, height)) => {
                let rgb = sway.frame(self.next);
                self.shown = Shown::Pixels(Pixels { width: *width, height: *height, rgb });
            }
            Reel::Directory(files) => match files.get(turn(files.len())) {
                Some(file) => {
                    let pixels = read_file(file)
                        .and_then(|bytes| decode(&bytes, Upright::ByExif))
                        .map_err(|source| CameraError::Picture { path: file.clone(), source })?;
                    self.shown = Shown::Pixels(pixels);
                }
                None => return Err(CameraError::NoPictures { path: self.path.clone() }),
            },
            Reel::Stream(bytes, frames) => {
                let frame = frames.get(turn(frames.len())).and_then(|range| bytes.get(range.clone()));
                let mut decoded = match std::mem::replace(&mut self.shown, Shown::Photograph) {
                    Shown::Decoded(decoded) => decoded,
                    _ => Decoded::default(),
                };
                let done = decoded.decode(frame.unwrap_or_default());
                self.shown = Shown::Decoded(decoded);
                done.map_err(|source| CameraError::Picture { path: self.path.clone(), source })?;
            }
        }
        Ok(())
    }
}

impl Source for FileSource {
    fn advance(&mut self) -> Result<(), CameraError> {
        self.taken = None;
        let taken = self.pace()?;
        self.show()?;
        self.taken = Some(taken);
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    fn frame(&self) -> RawFrame<'_> {
        let Some(taken) = self.taken else { return RawFrame::NONE };
        let frame = match (&self.shown, &self.reel) {
            (Shown::Pixels(pixels), _) | (Shown::Photograph, Reel::Photograph(pixels)) => {
                RawFrame::of_pixels(pixels)
            }
            (Shown::Decoded(decoded), _) => RawFrame::of_decoded(decoded),
            (Shown::Photograph, _) => RawFrame::NONE,
        };
        frame.at(self.next.wrapping_sub(1), taken)
    }

    fn describe(&self) -> String {
        let what = match &self.reel {
            Reel::Photograph(picture) => format!("photograph {}x{}", picture.width, picture.height),
            Reel::Swaying(_, (width, height)) => format!("swaying photograph {width}x{height}"),
            Reel::Directory(files) => format!("{} photographs", files.len()),
            Reel::Stream(_, frames) => format!("MJPEG file of {} frames", frames.len()),
        };
        format!("file camera {} ({what})", self.path.display())
    }
}

fn load(path: &Path) -> Result<Reel, CameraError> {
    let facts = std::fs::metadata(path).map_err(|source| of_io(path, source))?;
    if facts.is_dir() {
        return Ok(Reel::Directory(pictures_of(path)?));
    }
    let picture = |source| match source {
        PictureError::Unreadable(source) => of_io(path, source),
        source => CameraError::Picture { path: path.to_owned(), source },
    };
    let bytes = read_file(path).map_err(picture)?;
    if !is_photograph_name(path) && bytes.starts_with(&[0xff, 0xd8]) {
        let frames = jpeg::split(&bytes, PICTURES_MAX);
        match frames.len() {
            0 => return Err(CameraError::Picture { path: path.to_owned(), source: PictureError::Truncated }),
            1 => {}
            PICTURES_MAX => {
                log::warn!(file:% = path.display(); "only the first {PICTURES_MAX} frames are played");
                return Ok(Reel::Stream(bytes, frames));
            }
            _ => return Ok(Reel::Stream(bytes, frames)),
        }
    }
    decode(&bytes, Upright::ByExif).map(Reel::Photograph).map_err(picture)
}

/// The JPEG and PNG files of a directory by name, hidden ones left out.
fn pictures_of(directory: &Path) -> Result<Vec<PathBuf>, CameraError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|source| of_io(directory, source))? {
        let file = entry.map_err(|source| of_io(directory, source))?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && is_photograph_name(&file) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(CameraError::NoPictures { path: directory.to_owned() });
    }
    files.sort();
    if files.len() > PICTURES_MAX {
        log::warn!(directory:% = directory.display(); "only the first {PICTURES_MAX} pictures are played");
        files.truncate(PICTURES_MAX);
    }
    Ok(files)
}

fn is_photograph_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ["jpg", "jpeg", "png"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn of_io(path: &Path, source: std::io::Error) -> CameraError {
    let path = path.to_owned();
    match source.kind() {
        std::io::ErrorKind::NotFound => CameraError::Missing { path, known: None },
        std::io::ErrorKind::PermissionDenied => CameraError::Forbidden { path },
        _ => CameraError::Picture { path, source: PictureError::Unreadable(source) },
    }
}
