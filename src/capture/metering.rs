//! PURE. When the camera is asked for more or less light on a face, before the person is.

use std::time::Duration;

use super::face::FaceLimits;
use super::gate::reaches;
use crate::camera::Towards;
use crate::clock::BootTime;
use crate::eyes::Light;

/// So long a camera takes to follow; frames taken before say nothing new.
const SETTLE: Duration = Duration::from_millis(400);
/// Most steps of a burst: what they do not reach a lamp must.
const STEPS_MAX: u32 = 6;
/// A face with more of its pixels burnt out gets less light. Share of 1.
const BURNT_MAX: f32 = 0.2;
/// With more noise than this a brighter picture is not a better one. Luma steps.
const NOISE_MAX: f32 = 12.0;

/// The light on the face of one burst.
#[derive(Debug, Clone, Default)]
pub(super) struct Metering {
    /// The last step: where to and when. It never turns round, so that it cannot swing.
    last: Option<(Towards, BootTime)>,
    steps: u32,
    /// The camera has no more to give.
    spent: bool,
}

impl Metering {
    /// What to ask of the camera after a frame with this face.
    pub fn wants(&mut self, light: &Light, limits: &FaceLimits, now: BootTime) -> Option<Towards> {
        let towards = if !reaches(BURNT_MAX, light.bright_share) {
            Towards::Darker
        } else if !reaches(light.luma_mean, limits.luminance_hint) && reaches(NOISE_MAX, light.noise) {
            Towards::Brighter
        } else {
            return None;
        };
        let may = self.last.is_none_or(|(before, at)| before == towards && now.since(at) >= SETTLE);
        if self.spent || !may {
            return None;
        }
        self.last = Some((towards, now));
        self.steps += 1;
        self.spent = self.steps >= STEPS_MAX;
        Some(towards)
    }

    /// The camera could not.
    pub fn give_up(&mut self) {
        self.spent = true;
    }

    /// The camera may still help: the person need not be asked for light.
    pub fn is_under_way(&self) -> bool {
        self.last.is_some() && !self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model;

    fn wants(
        metering: &mut Metering,
        luma_mean: f32,
        bright_share: f32,
        noise: f32,
        millis: u64,
    ) -> Option<Towards> {
        let limits = FaceLimits::of(&model::Capture::default()).unwrap();
        let light = Light { luma_mean, bright_share, noise, ..Light::default() };
        metering.wants(&light, &limits, BootTime::from_millis(millis))
    }

    #[test]
    fn a_dark_face_is_lit_step_by_step_until_it_is_enough_or_the_camera_is_at_its_end() {
        let mut metering = Metering::default();
        assert_eq!(wants(&mut metering, 200.0, 0.0, 2.0, 0), None);
        assert!(!metering.is_under_way());
        assert_eq!(wants(&mut metering, 20.0, 0.0, 2.0, 100), Some(Towards::Brighter));
        assert!(metering.is_under_way());
        assert_eq!(wants(&mut metering, 20.0, 0.0, 2.0, 499), None);
        assert_eq!(wants(&mut metering, 20.0, 0.0, 2.0, 500), Some(Towards::Brighter));
        metering.give_up();
        assert_eq!(wants(&mut metering, 20.0, 0.0, 2.0, 2000), None);
        assert!(!metering.is_under_way());
    }

    #[test]
    fn it_ends_and_never_swings() {
        let mut metering = Metering::default();
        let asked = (0..100).filter(|at| wants(&mut metering, 20.0, 0.0, 2.0, at * 500).is_some()).count();
        assert_eq!(asked, 6);
        let mut metering = Metering::default();
        assert_eq!(wants(&mut metering, 90.0, 0.3, 2.0, 0), Some(Towards::Darker));
        assert_eq!(wants(&mut metering, 20.0, 0.0, 2.0, 1000), None);
    }

    #[test]
    fn noise_is_not_lit_and_what_is_no_number_asks_for_nothing_without_end() {
        assert_eq!(wants(&mut Metering::default(), 20.0, 0.0, 30.0, 0), None);
        let mut metering = Metering::default();
        let asked =
            (0..100).filter(|at| wants(&mut metering, f32::NAN, f32::NAN, f32::NAN, at * 500).is_some());
        assert!(asked.count() <= 6);
    }
}
