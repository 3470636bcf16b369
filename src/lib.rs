//! latchd: a door that knows a face.

#[allow(missing_docs)]
pub mod access;
pub mod audit;
pub mod clock;
pub mod config;
pub mod people;
pub mod picture;
pub mod queue;
pub mod store;
