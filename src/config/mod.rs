//! The configuration: what the files say, loaded, checked and explained.

pub mod guard;
pub mod model;
