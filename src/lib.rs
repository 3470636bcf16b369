//! latchd: a door that knows a face.
//!
//! The data's way, one direction: a claim comes in over [`control`], [`access`] judges it, [`camera`] and
//! [`capture`] make pictures of it, [`queue`] makes a job of them, [`smileid`] brings a verdict, [`access`] makes a
//! decision of that, and [`guard`] moves the strike. [`audit`] keeps what happened. [`agent`] puts the rooms
//! together. Who may import whom is in docs/architecture.md, and a test holds the code against it.

// Bugs that the simulation must find; a build that ships has none of them.
#[cfg(all(test, feature = "sandbox"))]
macro_rules! planted {
    ($bug:ident) => {
        crate::sim::planted::is(crate::sim::planted::Bug::$bug)
    };
}
#[cfg(not(all(test, feature = "sandbox")))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

pub mod access;
pub mod agent;
pub mod audit;
#[cfg(feature = "sandbox")]
pub mod broker;
pub mod callbacks;
pub mod camera;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod doctor;
pub mod eyes;
pub mod guard;
pub mod logging;
pub mod people;
pub mod picture;
pub mod queue;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(all(test, feature = "sandbox"))]
mod sim;
pub mod smileid;
pub mod store;
