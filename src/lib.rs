//! latchd: a door that knows a face.

#[allow(missing_docs)]
pub mod access;
pub mod camera;
pub mod capture;
pub mod clock;
pub mod config;
pub mod picture;
