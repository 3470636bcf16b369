//! Frames come in: from a Video4Linux device or, on a machine without one, from files.
//!
//! A [`Source`] lends one [`RawFrame`] at a time, in the bytes that the camera gave, blocking at most the configured frame
//! timeout; who keeps a picture converts it. The source is opened for each burst and dropped after it, so that an idle daemon does not stream;
//! opening therefore does no more than it must. Nothing here judges a frame: the `capture` room does.
//! It starts no threads. Whoever calls [`Source::next_frame`] waits.
//!
//! Map: [`source`] the trait and how one is opened; `reopen` a camera that comes back; `file` and `sway` files as a
//! camera; `devices` which cameras there are, `holders` who uses them; `v4l2` a device, `negotiate` its format,
//! `controls` its settings, `exposure` more or less light, `stream` the buffer queue over it, `node` and `mmap` the system
//! calls (all `unsafe` of this room), `raw` a frame on loan, `turned` a camera on its side, `convert` pixel formats to RGB.

mod controls;
pub mod convert;
mod devices;
pub mod error;
mod exposure;
pub mod file;
mod holders;
mod mmap;
mod negotiate;
mod node;
mod raw;
mod reopen;
pub mod source;
mod stream;
pub mod sway;
mod turned;
mod v4l2;

pub use controls::{Control, Kind as ControlKind};
pub use devices::{About, ControlValue, FormatFacts, NodeFacts, controls, list};
pub use error::CameraError;
pub use exposure::Towards;
pub use holders::Holder;
pub use negotiate::Remark;
pub use node::Size;
pub use raw::RawFrame;
pub use source::{Agreed, Source, open};
pub use stream::Damage;
