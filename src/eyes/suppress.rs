//! The network's 896 anchors -> faces: decoding, and the weighted suppression of several boxes on one face.

use super::face::{Bounds, Face, Landmarks, Point};
use super::network::{Anchor, SIDE};

/// Boxes below this score have no say in where a face is.
const CANDIDATE_SCORE_MIN: f32 = 0.3;
/// Two boxes that share more than this are one face.
const OVERLAP_MAX: f32 = 0.3;
/// More anchors than this there are not.
const ANCHORS: usize = 896;

/// Memory for one pass.
pub(super) struct Candidates {
    open: Vec<Face>,
    faces: Vec<Face>,
}

impl Candidates {
    pub(super) fn new() -> Self {
        Self { open: Vec::with_capacity(ANCHORS), faces: Vec::with_capacity(ANCHORS) }
    }

    /// The faces among the anchors of a pass over `square`, best first, with scores of at least `score_min`.
    pub(super) fn faces(
        &mut self,
        anchors: impl Iterator<Item = Anchor>,
        square: &Bounds,
        score_min: f32,
    ) -> &[Face] {
        self.open.clear();
        self.open.extend(anchors.filter_map(|anchor| face(&anchor, square)));
        self.faces.clear();
        self.open.sort_unstable_by(|a, b| a.score.total_cmp(&b.score));
        // The best is taken out before its cluster is looked for: a box without area overlaps nothing, not even
        // itself, and would stay for ever.
        while let Some(best) = self.open.pop().filter(|best| best.score >= score_min) {
            let mut mean = Mean::of(&best);
            self.open.retain(|other| {
                let same = best.bounds.overlap(&other.bounds) > OVERLAP_MAX;
                if same {
                    mean.add(other);
                }
                !same
            });
            self.faces.push(mean.face(best.score));
        }
        &self.faces
    }
}

/// The face of an anchor in pixels of the frame; `None` for what is no candidate or has a number that is none.
fn face(anchor: &Anchor, square: &Bounds) -> Option<Face> {
    let score = 1.0 / (1.0 + (-anchor.logit.clamp(-100.0, 100.0)).exp());
    if score.is_nan()
        || score < CANDIDATE_SCORE_MIN
        || !anchor.regressors.iter().all(|number| number.is_finite())
    {
        return None;
    }
    let side = square.width();
    let scale = side / SIDE as f32;
    let point = |[x, y]: [f32; 2]| Point {
        x: square.left + anchor.x * side + x * scale,
        y: square.top + anchor.y * side + y * scale,
    };
    let [x, y, width, height, points @ ..] = anchor.regressors;
    let (centre, width, height) = (point([x, y]), width * scale, height * scale);
    let bounds = Bounds {
        left: centre.x - width / 2.0,
        top: centre.y - height / 2.0,
        right: centre.x + width / 2.0,
        bottom: centre.y + height / 2.0,
    };
    let mut landmarks = [Point::default(); 6];
    landmarks.iter_mut().zip(points.as_chunks::<2>().0).for_each(|(to, from)| *to = point(*from));
    let numbers = [bounds.left, bounds.top, bounds.right, bounds.bottom, bounds.area()];
    let finite = numbers.iter().all(|number| number.is_finite())
        && landmarks.iter().all(|point| point.x.is_finite() && point.y.is_finite());
    (finite && bounds.area() > 0.0).then(|| Face {
        bounds,
        score,
        landmarks: Landmarks::from_points(landmarks),
    })
}

/// A mean of faces, weighted by their scores.
struct Mean {
    weight: f32,
    sums: [f32; 16],
}

impl Mean {
    fn of(face: &Face) -> Self {
        let mut mean = Self { weight: 0.0, sums: [0.0; 16] };
        mean.add(face);
        mean
    }

    fn add(&mut self, face: &Face) {
        let Bounds { left, top, right, bottom } = face.bounds;
        let points = face.landmarks.points();
        let numbers = [left, top, right, bottom].into_iter().chain(points.iter().flat_map(|p| [p.x, p.y]));
        self.sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number * face.score);
        self.weight += face.score;
    }

    fn face(self, score: f32) -> Face {
        let [left, top, right, bottom, points @ ..] = self.sums.map(|sum| sum / self.weight);
        let mut landmarks = [Point::default(); 6];
        landmarks
            .iter_mut()
            .zip(points.as_chunks::<2>().0)
            .for_each(|(to, [x, y])| *to = Point { x: *x, y: *y });
        Face {
            bounds: Bounds { left, top, right, bottom },
            score,
            landmarks: Landmarks::from_points(landmarks),
        }
    }
}

#[cfg(test)]
#[path = "suppress_tests.rs"]
mod tests;
