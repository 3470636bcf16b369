//! What a camera shows of a face, without a burst: for whoever sets a door up.

use super::CaptureError;
use super::face::{FaceLimits, Watch};
use super::gate::Reason;
use super::run::Eyes;
use crate::camera::RawFrame;
use crate::config::model;
use crate::eyes::FaceMeasure;

/// What one frame shows, judged as a burst would.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glimpse {
    /// The face; of several the best one.
    pub face: Option<FaceMeasure>,
    /// Why it could not be used.
    pub trouble: Option<Reason>,
    /// It could be used, and more light would make it better.
    pub dim: bool,
}

/// Looks for a face in one frame after another.
pub struct Lookout {
    eyes: Eyes,
    limits: FaceLimits,
    watch: Watch,
}

impl Lookout {
    /// `None` when the configuration looks for no face.
    ///
    /// # Errors
    /// The detector's model is damaged.
    pub fn open(config: &model::Capture) -> Result<Option<Self>, CaptureError> {
        let Some(limits) = FaceLimits::of(config) else { return Ok(None) };
        Ok(Eyes::open(config)?.map(|eyes| Self { eyes, limits, watch: Watch::default() }))
    }

    /// Looks at the next frame.
    ///
    /// # Errors
    /// The detector cannot look at such a frame.
    pub fn look(&mut self, frame: &RawFrame<'_>) -> Result<Glimpse, CaptureError> {
        let sight = self.eyes.look(frame)?;
        self.watch.saw(Some(&sight), frame.taken);
        let judged = self.limits.judge(Some(&sight), self.watch.is_known());
        Ok(Glimpse {
            face: sight.best,
            trouble: judged.err(),
            dim: judged.is_ok_and(|face| self.limits.is_dim(&face)),
        })
    }
}
