//! Between the last picture and the verdict: is the person still there (door-rules 12)?
//!
//! Only sightings are told. Whoever waits for them takes silence for absence: a camera that was unplugged, or a face that the
//! detector lost, keeps the door shut.

use super::face::is_there;
use super::run::Lens;
use crate::clock::BootTime;
use std::time::Duration;

/// Away for so long is gone.
pub const AWAY_MAX: Duration = Duration::from_secs(2);
/// Least time between two looks: a frame between them costs no more than its arrival.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Longest that anybody waits for a verdict: the guard gives no longer window.
const WATCH_MAX: Duration = Duration::from_secs(30);

/// Frames in a row that may be missing.
const DAMAGED_MAX: u32 = 10;

impl Lens<'_> {
    /// After a burst: looks for its face until `over`, and tells each time that it is there.
    pub fn stay(&mut self, seen: &mut dyn FnMut(BootTime), over: &dyn Fn() -> bool) {
        let Some(eyes) = &mut self.eyes else { return };
        // The face that the burst ended with is followed.
        let (started, mut known, mut looked, mut damaged) = (self.clock.boot(), true, None, 0);
        while !over() && self.clock.boot().since(started) < WATCH_MAX {
            let Ok(frame) = self.source.next_frame() else {
                // A frame may be damaged; a camera that gives nothing else shows nobody.
                damaged += 1;
                if damaged > DAMAGED_MAX {
                    return;
                }
                continue;
            };
            damaged = 0;
            if looked.is_some_and(|at: BootTime| frame.taken.since(at) < LOOK_EVERY) {
                continue;
            }
            looked = Some(frame.taken);
            let Ok(sight) = eyes.look(&frame) else { continue };
            known = is_there(&sight, known);
            if known {
                seen(frame.taken);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{CameraError, RawFrame, Source};
    use crate::clock::{Clock, ManualClock, Wall};
    use crate::config::model::{self, Camera, CameraSource, FaceCheck, FileMode};
    use crate::picture::Frame;
    use std::sync::Arc;

    /// Ten frames a second of the test picture, but only grey between the moments given, and no camera after the third.
    struct Played {
        face: Frame,
        shown: Frame,
        clock: Arc<ManualClock>,
        leaves: u64,
        returns: u64,
        unplugged: u64,
    }

    impl Source for Played {
        fn advance(&mut self) -> Result<(), CameraError> {
            self.clock.advance(Duration::from_millis(100));
            let (taken, now) = (self.clock.boot(), self.clock.boot().as_millis());
            if now >= self.unplugged {
                return Err(CameraError::FileNotSet);
            }
            self.shown = Frame { taken, ..self.face.clone() };
            if (self.leaves..self.returns).contains(&now) {
                self.shown.rgb.fill(120);
            }
            Ok(())
        }

        fn frame(&self) -> RawFrame<'_> {
            (&self.shown).into()
        }

        fn describe(&self) -> String {
            "played".into()
        }
    }

    /// door-rules 12
    #[test]
    fn only_a_face_that_is_there_is_told() {
        let clock = Arc::new(ManualClock::new(BootTime::default(), Wall::Unknown));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");
        let camera = Camera {
            source: CameraSource::File,
            file: Some(file.into()),
            mode: FileMode::Plain,
            ..Camera::default()
        };
        let face =
            crate::camera::open(&camera, clock.clone()).unwrap().next_frame().unwrap().to_frame().unwrap();
        let start = clock.boot().as_millis();
        let mut source = Played {
            shown: face.clone(),
            face,
            clock: clock.clone(),
            leaves: start + 2000,
            returns: start + 5000,
            unplugged: start + 7000,
        };
        let mut moments = Vec::new();
        let config = model::Capture { face: FaceCheck::Required, ..model::Capture::default() };
        let over = || clock.boot().as_millis() >= start + 9000;
        let mut lens = Lens::new(&mut source, &config, clock.as_ref()).unwrap();
        lens.stay(&mut |at| moments.push(at.as_millis() - start), &over);
        let there = |at: &u64| (100..2000).contains(at) || (5000..7000).contains(at);
        assert!(moments.iter().all(there), "{moments:?}");
        assert!(moments.len() >= 12, "{moments:?}");
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 300), "{moments:?}");
        // Who looks for no faces sees none, though one is there.
        (source.leaves, source.unplugged) = (u64::MAX, u64::MAX);
        let config = model::Capture { face: FaceCheck::NotLookedAt, ..config };
        let over = || clock.boot().as_millis() >= start + 11_000;
        Lens::new(&mut source, &config, clock.as_ref()).unwrap().stay(&mut |_| panic!("seen"), &over);
    }
}
