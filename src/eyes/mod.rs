//! Is there a face, where does it look, and is the picture of it good enough: on the device, before anything is sent.
//!
//! The detector is BlazeFace (short range), run by a forward pass of our own over weights that lie in the binary
//! ([`Detector`]). It sees a frame as the camera gave it ([`FrameView`]) and copies none of it. What is measured of
//! a face ([`FaceMeasure`]) is judged elsewhere: nothing here refuses a person, and nothing here can tell a person
//! from a photograph of one.
//!
//! Pure: no I/O, no clock, no threads. All positions are pixels of the unmirrored frame, with the origin in its top
//! left corner; angles are degrees. "Right" and "left" of a face are the person's own. docs/eyes.md has the model's
//! origin, the formulas and what is unproven.

mod area;
mod detector;
mod error;
mod face;
mod kernel;
mod measure;
mod model;
mod network;
mod pose;
mod suppress;
mod tracker;
mod view;

pub use detector::{Detector, FACE_SCORE_MIN, Pass, Sight, TURNING_SCORE_MIN};
pub use error::EyesError;
pub use face::{Bounds, Face, Landmarks, Point};
pub use measure::{FaceMeasure, Light, Overview, Overviews};
pub use pose::Pose;
pub use tracker::Tracker;
pub use view::FrameView;
