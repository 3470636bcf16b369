//! When the whole frame is searched and when the last face is followed: a small machine without a clock.
//!
//! Searching costs a second forward pass; only it sees that a second person has come. So a face that is followed is
//! searched anew every few frames, and at once when it is lost.

use super::detector::Sight;
use super::face::Face;

/// Follows one face from frame to frame.
#[derive(Debug, Clone)]
pub struct Tracker {
    search_every: u32,
    /// Frames since the whole frame was searched.
    since: u32,
    last: Option<Face>,
}

impl Tracker {
    /// Searches the whole of at least every `search_every`-th frame; 0 and 1 search each.
    pub fn new(search_every: u32) -> Self {
        Self { search_every, since: 0, last: None }
    }

    /// What to hand to [`super::Detector::look`] with the next frame: the face to follow, or `None` to search.
    pub fn next(&self) -> Option<&Face> {
        self.last.as_ref().filter(|_| self.since + 1 < self.search_every)
    }

    /// Takes what was seen in that frame.
    pub fn saw(&mut self, sight: &Sight) {
        self.since = if sight.searched() { 0 } else { self.since.saturating_add(1) };
        self.last = sight.best.as_ref().map(|best| best.face);
    }

    /// Forgets the face: another person, another camera.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eyes::{Bounds, FaceMeasure, Landmarks, Light, Pass};

    fn sight(searched: bool, seen: bool) -> Sight {
        let bounds = Bounds { left: 0.0, top: 0.0, right: 9.0, bottom: 9.0 };
        let face = Face { bounds, score: 0.9, landmarks: Landmarks::default() };
        let best = seen.then(|| FaceMeasure {
            face,
            pose: None,
            area_share: 0.1,
            offset: (0.0, 0.0),
            light: Light::default(),
        });
        let pass = Pass { faces: usize::from(seen), score: if seen { 0.9 } else { 0.0 } };
        Sight { whole: searched.then_some(pass), close: pass, best }
    }

    #[test]
    fn a_seen_face_is_followed_and_every_nth_frame_is_searched() {
        let mut tracker = Tracker::new(3);
        let mut searched = Vec::new();
        for _ in 0..7 {
            let search = tracker.next().is_none();
            searched.push(search);
            tracker.saw(&sight(search, true));
        }
        assert_eq!(searched, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_lost_face_is_searched_at_once() {
        let mut tracker = Tracker::new(10);
        tracker.saw(&sight(true, true));
        assert!(tracker.next().is_some());
        tracker.saw(&sight(false, false));
        assert!(tracker.next().is_none());
        tracker.saw(&sight(true, true));
        tracker.reset();
        assert!(tracker.next().is_none());
    }

    #[test]
    fn zero_and_one_search_each_frame() {
        for every in [0, 1] {
            let mut tracker = Tracker::new(every);
            tracker.saw(&sight(true, true));
            assert!(tracker.next().is_none());
        }
    }
}
