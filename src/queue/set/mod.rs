//! Jobs of a device that is dead, on their way to another: encrypted to an operator's public key, read and written as a stream.
//!
//! A set is a line that names the format, the public key it is for, a public key made for it alone, and frames: four bytes of
//! length, of which the topmost bit marks the last frame, and a sealed part. The frames' key comes from the two keys; each
//! frame is bound to its number and to whether it is the last, so that none can be changed, moved, repeated or left out, and a set
//! that was cut off is seen to be. What a frame holds is in [`rows`].

mod frames;
mod rows;

pub use frames::{Private, Public};
pub use rows::{Incoming, SetReader, SetWriter, take_in};
