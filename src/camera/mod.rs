//! Frames come in: from a Video4Linux device or, on a machine without one, from files.
//!
//! A [`Source`] gives one decoded RGB [`crate::picture::Frame`] at a time, blocking at most the configured frame
//! timeout. The source is opened for each burst and dropped after it, so that an idle daemon does not stream;
//! opening therefore does no more than it must. Nothing here judges a frame: the `capture` room does.
//! It starts no threads. Whoever calls [`Source::next_frame`] waits.
//!
//! Map: [`source`] the trait and how one is opened; `file` and `sway` files as a camera; `v4l2` a device and its
//! format, `stream` the buffer queue over it, `mmap` the system calls (all `unsafe` of this room), `convert`
//! pixel formats to RGB.

pub mod convert;
pub mod error;
pub mod file;
mod mmap;
pub mod source;
mod stream;
pub mod sway;
mod v4l2;

pub use error::CameraError;
pub use source::{Source, open};
