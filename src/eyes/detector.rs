//! The detector: one or two passes of the network over a frame.
//!
//! Pass 1 sees the whole frame, letterboxed, and counts faces. Pass 2 sees a square of twice the face's box and gives
//! the box and landmarks that everything else uses: a single pass over a whole frame is noisy, and makes the box of a
//! small face far too large.

use super::area::{Sums, each_row};
use super::error::EyesError;
use super::face::{Bounds, Face, Point};
use super::measure::{self, FaceMeasure, Scratch};
use super::model::Model;
use super::network::{Instructions, Network, SIDE};
use super::suppress::Candidates;
use super::view::FrameView;

/// A face counts from this score on. Demand it of both passes ([`Sight::is_sure`]): pictures without a face reached
/// 0.71 in one.
pub const FACE_SCORE_MIN: f32 = 0.75;
/// Below this a face is not reported, and not followed. While a head turns its score falls under [`FACE_SCORE_MIN`]:
/// then this is enough of the face that is followed ([`Sight::close`]).
pub const TURNING_SCORE_MIN: f32 = 0.5;
/// Side of pass 2's square over the longer side of the face's box.
const SQUARE_PER_BOX: f32 = 2.0;

/// What one pass saw.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pass {
    /// Faces of at least [`FACE_SCORE_MIN`].
    pub faces: usize,
    /// The score of the face that was chosen in it, 0 to 1; 0 when none reached [`TURNING_SCORE_MIN`].
    pub score: f32,
}

/// What is seen in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// Pass 1, over the whole frame; `None` while a face was followed, and then nobody else was looked for.
    pub whole: Option<Pass>,
    /// Pass 2, in the square around the face of pass 1 or of the frame before. Its score is that of `best`.
    pub close: Pass,
    /// The face with the best score, or the one that was followed; its score is at least [`TURNING_SCORE_MIN`].
    pub best: Option<FaceMeasure>,
}

impl Sight {
    /// The whole frame was searched, so that [`Sight::faces`] counts all that the detector can see.
    pub fn searched(&self) -> bool {
        self.whole.is_some()
    }

    /// Faces of at least [`FACE_SCORE_MIN`]: the greater count of both passes.
    pub fn faces(&self) -> usize {
        self.whole.map_or(0, |whole| whole.faces).max(self.close.faces)
    }

    /// Each pass that was made is sure of the face: at least [`FACE_SCORE_MIN`].
    pub fn is_sure(&self) -> bool {
        let passes = self.whole.iter().chain([&self.close]);
        self.best.is_some() && passes.into_iter().all(|pass| pass.score >= FACE_SCORE_MIN)
    }
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
        let (close, best) = self.closer(view, &last.bounds);
        Sight { whole: None, close, best }
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
        let first = found.first().copied();
        let whole = Pass::of(found, first.as_ref());
        let (close, best) = first.map(|face| self.closer(view, &face.bounds)).unwrap_or_default();
        Sight { whole: Some(whole), close, best }
    }

    /// Pass 2: the face whose middle lies in the given box and which shares most with it.
    fn closer(&mut self, view: &FrameView<'_>, bounds: &Bounds) -> (Pass, Option<FaceMeasure>) {
        let side = bounds.width().max(bounds.height()) * SQUARE_PER_BOX;
        let found = self.pass(view, &Bounds::square(bounds.centre(), side));
        let same = found.iter().filter(|face| bounds.contains(face.bounds.centre()));
        let face = same.max_by(|a, b| a.bounds.overlap(bounds).total_cmp(&b.bounds.overlap(bounds))).copied();
        let pass = Pass::of(found, face.as_ref());
        let best = face.map(|face| measure::measure(view, face, &mut self.sums, &mut self.scratch));
        (pass, best)
    }

    /// One pass over a square of the frame; what hangs over its edges is black.
    fn pass(&mut self, view: &FrameView<'_>, square: &Bounds) -> &[Face] {
        self.fill(view, square);
        self.network.run();
        self.candidates.faces(self.network.anchors(), square, TURNING_SCORE_MIN)
    }

    fn fill(&mut self, view: &FrameView<'_>, square: &Bounds) {
        let mut input = self.network.black_input();
        each_row(view, &view.channels, square, SIDE, &mut self.sums, |cells| {
            let Some(row) = input.row(cells.row) else { return };
            let pixels = row.get_mut(cells.column..).unwrap_or_default();
            for (pixel, [red, green, blue]) in pixels.iter_mut().zip(cells.colours()) {
                *pixel = [red / 127.5 - 1.0, green / 127.5 - 1.0, blue / 127.5 - 1.0];
            }
        });
    }
}

impl Pass {
    fn of(found: &[Face], chosen: Option<&Face>) -> Self {
        let faces = found.iter().filter(|face| face.score >= FACE_SCORE_MIN).count();
        Self { faces, score: chosen.map_or(0.0, |face| face.score) }
    }
}

/// The frame in the middle of the smallest square that holds it.
fn whole(view: &FrameView<'_>) -> Bounds {
    let (width, height) = (view.width as f32, view.height as f32);
    Bounds::square(Point { x: width / 2.0, y: height / 2.0 }, width.max(height))
}

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
