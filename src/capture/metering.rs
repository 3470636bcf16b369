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
    /// The camera can do no more for this face.
    spent: bool,
}

impl Metering {
    /// What to ask of the camera after a frame with this face. What is not a number asks for nothing.
    pub fn wants(&mut self, light: &Light, limits: &FaceLimits, now: BootTime) -> Option<Towards> {
        let towards = if light.bright_share > BURNT_MAX {
            Towards::Darker
        } else if light.luma_mean < limits.luminance_hint {
            Towards::Brighter
        } else {
            return None;
        };
        let noisy = towards == Towards::Brighter && !reaches(NOISE_MAX, light.noise);
        let turns = self.last.is_some_and(|(before, _)| before != towards);
        if self.is_settling(now) {
            return None;
        }
        self.spent |= noisy || turns || self.steps >= STEPS_MAX;
        if self.spent {
            return None;
        }
        self.last = Some((towards, now));
        self.steps += 1;
        Some(towards)
    }

    /// The camera could not.
    pub fn give_up(&mut self) {
        self.spent = true;
    }

    /// A step was made and may not show yet: pictures can wait, and the person need not be asked for light.
    pub fn is_settling(&self, now: BootTime) -> bool {
        !self.spent && self.last.is_some_and(|(_, at)| now.since(at) < SETTLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model;

    fn wants(
        metering: &mut Metering,
        (luma_mean, bright_share, noise): (f32, f32, f32),
        millis: u64,
    ) -> Option<Towards> {
        let limits = FaceLimits::of(&model::Capture::default()).unwrap();
        let light = Light { luma_mean, bright_share, noise, ..Light::default() };
        metering.wants(&light, &limits, BootTime::from_millis(millis))
    }

    const DARK: (f32, f32, f32) = (20.0, 0.0, 2.0);

    fn settles(metering: &Metering, millis: u64) -> bool {
        metering.is_settling(BootTime::from_millis(millis))
    }

    #[test]
    fn a_dark_face_is_lit_step_by_step_until_it_is_enough_or_the_camera_is_at_its_end() {
        let mut metering = Metering::default();
        assert_eq!(wants(&mut metering, (200.0, 0.0, 2.0), 0), None);
        assert_eq!(wants(&mut metering, DARK, 100), Some(Towards::Brighter));
        assert!(settles(&metering, 499) && !settles(&metering, 500));
        assert_eq!(wants(&mut metering, DARK, 499), None);
        assert_eq!(wants(&mut metering, DARK, 500), Some(Towards::Brighter));
        metering.give_up();
        assert_eq!(wants(&mut metering, DARK, 2000), None);
        assert!(!settles(&metering, 501));
    }

    #[test]
    fn it_ends_after_the_last_step_has_shown() {
        let mut metering = Metering::default();
        let asked = (0..100).filter(|at| wants(&mut metering, DARK, at * 100).is_some()).count();
        assert_eq!(asked, 6);
        assert!(metering.spent);
    }

    /// Else the person would never be asked for light.
    #[test]
    fn noise_and_a_change_of_mind_end_it() {
        for second in [(20.0, 0.0, 30.0), (90.0, 0.3, 2.0)] {
            let mut metering = Metering::default();
            assert_eq!(wants(&mut metering, DARK, 0), Some(Towards::Brighter));
            assert_eq!(wants(&mut metering, second, 1000), None);
            assert!(metering.spent && !settles(&metering, 1000), "{second:?}");
        }
    }

    #[test]
    fn what_is_no_number_moves_nothing() {
        assert_eq!(wants(&mut Metering::default(), (f32::NAN, f32::NAN, f32::NAN), 0), None);
    }
}
