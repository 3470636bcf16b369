//! latchd: a door that knows a face.
//!
//! The data's way, one direction: a claim comes in over [`control`], [`access`] judges it, the camera's pictures
//! become a job, the service's verdict becomes a decision, and the guard process moves the strike.

pub mod access;
pub mod clock;
pub mod config;
pub mod control;
pub mod logging;
pub mod picture;
pub mod smileid;
