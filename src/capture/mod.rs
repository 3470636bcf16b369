//! Frames -> a capture set: one selfie and 6 to 8 liveness pictures of this attempt.
//!
//! Quality is judged on the device before anything is stored or sent: size, light, sharpness, a covered lens, a
//! frozen camera, and of the face ([`face`]) that there is one, near, lit, sharp and turning. The judgement ([`gate`]) and the
//! plan of a burst ([`burst`]) are pure; [`run`] asks the source for frames and does what they say; [`files`]
//! makes a set from pictures that were handed in.
//!
//! Pictures that this attempt's own camera took ([`CameraCapture`]) and pictures handed in ([`FileCapture`]) are
//! different types without a way from one to the other, because only the first may arm the guard (door-rules 4):
//!
//! ```
//! use latchd::capture::{CaptureSet, FileCapture};
//! fn submit(pictures: FileCapture) -> CaptureSet { pictures.into_set() }
//! ```
//! ```compile_fail
//! use latchd::capture::{CameraCapture, FileCapture};
//! fn arm(pictures: FileCapture) -> CameraCapture { CameraCapture(pictures.into_set()) }
//! ```
//!
//! It starts no threads; time comes from the frames and the clock that is handed in. No picture touches the disk
//! here.

pub mod burst;
pub mod encode;
pub mod error;
pub mod face;
pub mod files;
pub mod gate;
mod glimpse;
pub mod hint;
mod metering;
mod presence;
pub mod run;
mod set;
pub mod sheet;
mod survey;
pub mod tasks;

pub use error::CaptureError;
pub use files::FileCapture;
pub use glimpse::{Glimpse, Lookout};
pub use hint::Hint;
pub use presence::AWAY_MAX;
pub use run::{CameraCapture, Judged, Lens, Progress, capture};
pub use set::{CaptureSet, Origin};
pub use survey::Survey;
