//! What a camera is to the rest of the house, and how the configured one is opened.

use std::sync::Arc;

use super::CameraError;
use super::file::{FileSource, ParkedWaiter};
use super::v4l2::V4l2Source;
use crate::clock::Clock;
use crate::config::model::{Camera, CameraSource};
use crate::picture::Frame;

/// Something that gives frames. Dropping it stops the stream and frees the device.
pub trait Source: Send {
    /// The next frame, stamped with the moment it was taken. Blocks at most the configured frame timeout.
    ///
    /// # Errors
    /// After [`CameraError::Unplugged`] or a fault the source is of no more use: drop it and open another.
    /// After [`CameraError::Timeout`] or [`CameraError::BadFrames`] it may be asked again.
    fn next_frame(&mut self) -> Result<Frame, CameraError>;

    /// One line for people: which camera, which format, which size.
    fn describe(&self) -> String;
}

/// Opens the configured camera.
///
/// # Errors
/// Whatever stands between us and a first frame, with its remedy.
pub fn open(config: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn Source>, CameraError> {
    match config.source {
        CameraSource::V4l2 => Ok(Box::new(V4l2Source::open(config, clock)?)),
        CameraSource::File => Ok(Box::new(FileSource::open(config, clock, Box::new(ParkedWaiter))?)),
    }
}
