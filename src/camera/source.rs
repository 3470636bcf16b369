//! What a camera is to the rest of the house, and how the configured one is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::CameraError;
use super::RawFrame;
use super::exposure::Towards;
use super::file::{FileSource, ParkedWaiter};
use super::negotiate::Remark;
use super::reopen::Reopening;
use super::turned::Turned;
use super::v4l2::V4l2Source;
use crate::clock::Clock;
use crate::config::model::{Camera, CameraSource};

/// Something that gives frames. Dropping it stops the stream and frees the device.
pub trait Source: Send {
    /// Gets the next frame, stamped with the moment it was taken. Blocks at most the configured frame timeout, and as
    /// long twice more when the camera went away and came back.
    ///
    /// # Errors
    /// It may be asked again after each of them.
    fn advance(&mut self) -> Result<(), CameraError>;

    /// The frame that was got last, in the source's own memory: a driver's buffer, where that can be looked at as it
    /// is. One without a pixel before the first, and after an error.
    fn frame(&self) -> RawFrame<'_>;

    /// Both.
    ///
    /// # Errors
    /// As [`Source::advance`].
    fn next_frame(&mut self) -> Result<RawFrame<'_>, CameraError> {
        self.advance()?;
        Ok(self.frame())
    }

    /// Asks for more or less light in the frames to come, by one step. Whether the camera has something for it and went
    /// that way; a few frames pass before it shows.
    fn expose(&mut self, _towards: Towards) -> bool {
        false
    }

    /// One line for people: which camera, which format, which size.
    fn describe(&self) -> String;

    /// What a device and we agreed on; files agree on nothing.
    fn agreed(&self) -> Option<&Agreed> {
        None
    }
}

/// What a device and we agreed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreed {
    /// The node that was opened.
    pub path: PathBuf,
    /// The device's name.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// The kernel's driver.
    pub driver: String,
    /// The pixel format.
    pub format: &'static str,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames a second, where the device says it.
    pub fps: Option<f64>,
    /// Its controls for more or less light, which a dark face moves; none on a camera without such, or where the exposure
    /// is the configured one.
    pub exposure: Vec<String>,
    /// How that differs from the configuration.
    pub remarks: Vec<Remark>,
}

/// Opens the configured camera.
///
/// # Errors
/// Whatever stands between us and a first frame, with its remedy.
pub fn open(config: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn Source>, CameraError> {
    let source: Box<dyn Source> = match config.source {
        CameraSource::V4l2 => {
            let patience = Duration::from_millis(u64::from(config.frame_timeout_ms));
            let (config, its_clock) = (config.clone(), Arc::clone(&clock));
            let opener = move || -> Result<Box<dyn Source>, CameraError> {
                Ok(Box::new(V4l2Source::open(&config, Arc::clone(&its_clock))?))
            };
            Box::new(Reopening::open(Box::new(opener), clock, Box::new(ParkedWaiter), patience)?)
        }
        CameraSource::File => Box::new(FileSource::open(config, clock, Box::new(ParkedWaiter))?),
    };
    Ok(Turned::of(source, config.rotate))
}
