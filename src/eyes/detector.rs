//! The detector: one or two passes of the network over a frame.
//!
//! Pass 1 sees the whole frame, letterboxed, and counts faces. Pass 2 sees a square of twice the face's box and gives
//! the box and landmarks that everything else uses: a single pass over a whole frame is noisy, and makes the box of a
//! small face far too large.

use super::area::{Sums, each_cell};
use super::error::EyesError;
use super::face::{Bounds, Face, Point};
use super::measure::{self, FaceMeasure, Scratch};
use super::model::Model;
use super::network::{Instructions, Network, SIDE};
use super::suppress::Candidates;
use super::view::FrameView;

/// A face counts from this score on. Demand it of the measured face too: pictures without a face reached 0.71 in one
/// pass.
pub const FACE_SCORE_MIN: f32 = 0.75;
/// Below this a face is not reported, and not followed. While a head turns its score falls under [`FACE_SCORE_MIN`].
pub const TURNING_SCORE_MIN: f32 = 0.5;
/// Side of pass 2's square over the longer side of the face's box.
const SQUARE_PER_BOX: f32 = 2.0;

/// What is seen in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The whole frame was searched (pass 1), so that `faces` counts all that the detector can see.
    pub searched: bool,
    /// Faces of at least [`FACE_SCORE_MIN`]: in the whole frame when it was searched, else in the square around the
    /// followed face.
    pub faces: usize,
    /// The face with the best score, or the one that was followed; its score is at least [`TURNING_SCORE_MIN`].
    pub best: Option<FaceMeasure>,
}

/// The network and its buffers. About 2 MiB; construction takes some milliseconds, a frame allocates nothing.
pub struct Detector {
    network: Network,
    sums: Sums,
    candidates: Candidates,
    scratch: Scratch,
}

impl Detector {
    /// Checks and unpacks the model. The instructions are the best of this processor.
    pub fn new() -> Result<Self, EyesError> {
        Self::with(Instructions::best())
    }

    /// With the instructions that every processor of this architecture has: for measuring what the others bring.
    pub fn baseline() -> Result<Self, EyesError> {
        Self::with(Instructions::Baseline)
    }

    fn with(instructions: Instructions) -> Result<Self, EyesError> {
        Ok(Self {
            network: Network::new(Model::shipped()?, instructions),
            sums: Sums::default(),
            candidates: Candidates::new(),
            scratch: Scratch::new(),
        })
    }

    /// Looks at a frame. With `last`, the face of the frame before, only the square around it is looked at; without,
    /// the whole frame is searched first. A face that is lost is not searched for here: see [`super::Tracker`].
    pub fn look(&mut self, view: &FrameView<'_>, last: Option<&Face>) -> Sight {
        let Some(last) = last else { return self.search(view) };
        let followed = self.closer(view, &last.bounds);
        Sight { searched: false, faces: followed.faces, best: followed.best }
    }

    /// For measuring: the network alone, over what was looked at last.
    pub fn run_network(&mut self) {
        self.network.run();
    }

    /// For measuring: the averaging of pass 1 alone.
    pub fn average(&mut self, view: &FrameView<'_>) {
        self.fill(view, &whole(view));
    }

    fn search(&mut self, view: &FrameView<'_>) -> Sight {
        let found = self.pass(view, &whole(view));
        let faces = found.iter().filter(|face| face.score >= FACE_SCORE_MIN).count();
        let best = found.first().map(|face| face.bounds);
        let closer = best.map(|bounds| self.closer(view, &bounds)).unwrap_or_default();
        Sight { searched: true, faces: faces.max(closer.faces), best: closer.best }
    }

    /// Pass 2: the face whose middle lies in the given box and which shares most with it.
    fn closer(&mut self, view: &FrameView<'_>, bounds: &Bounds) -> Closer {
        let side = bounds.width().max(bounds.height()) * SQUARE_PER_BOX;
        let found = self.pass(view, &Bounds::square(bounds.centre(), side));
        let faces = found.iter().filter(|face| face.score >= FACE_SCORE_MIN).count();
        let same = found.iter().filter(|face| bounds.contains(face.bounds.centre()));
        let face = same.max_by(|a, b| a.bounds.overlap(bounds).total_cmp(&b.bounds.overlap(bounds))).copied();
        let best = face.map(|face| measure::measure(view, face, &mut self.sums, &mut self.scratch));
        Closer { faces, best }
    }

    /// One pass over a square of the frame; what hangs over its edges is black.
    fn pass(&mut self, view: &FrameView<'_>, square: &Bounds) -> &[Face] {
        self.fill(view, square);
        self.network.run();
        self.candidates.faces(self.network.anchors(), square, TURNING_SCORE_MIN)
    }

    fn fill(&mut self, view: &FrameView<'_>, square: &Bounds) {
        let mut input = self.network.black_input();
        each_cell(view, square, SIDE, &mut self.sums, |column, row, colour| {
            input.set(column, row, colour.map(|value| value / 127.5 - 1.0));
        });
    }
}

#[derive(Default)]
struct Closer {
    faces: usize,
    best: Option<FaceMeasure>,
}

/// The frame in the middle of the smallest square that holds it.
fn whole(view: &FrameView<'_>) -> Bounds {
    let (width, height) = (view.width as f32, view.height as f32);
    Bounds::square(Point { x: width / 2.0, y: height / 2.0 }, width.max(height))
}

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
