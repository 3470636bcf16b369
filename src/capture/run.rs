//! The shell of a burst: asks the source for frames, lets [`Burst`] judge, encodes what it takes. A frame is looked at
//! in the source's own bytes; only one that is taken becomes RGB.

use super::burst::{Burst, Failure, Step};
use super::encode::{self, View};
use super::gate::{Measures, Meter, Reason};
use super::{CaptureError, CaptureSet, Hint, Origin};
use crate::camera::{RawFrame, Source};
use crate::clock::{BootTime, Clock};
use crate::config::model::{self, FaceCheck};
use crate::eyes::{Detector, EyesError, Sight, Tracker};
use crate::picture::{Frame, Jpeg};

/// What a burst tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The person is asked for something else than before.
    Hint(Hint),
    /// A liveness picture was taken.
    Liveness {
        /// How many there are now.
        taken: u32,
        /// And shall be.
        of: u32,
    },
    /// The selfie is chosen.
    Selfie,
}

/// Pictures that this attempt's own camera took. Only [`Lens::burst`] makes one, and only this may arm the guard
/// (door-rules 4).
#[derive(Debug)]
pub struct CameraCapture(CaptureSet);

impl CameraCapture {
    /// The pictures.
    pub fn set(&self) -> &CaptureSet {
        &self.0
    }

    /// As if a camera had taken them.
    #[cfg(test)]
    pub(crate) fn simulated(set: CaptureSet) -> Self {
        Self(set)
    }

    /// The pictures, for the queue. They cannot arm the guard any more.
    pub fn into_set(self) -> CaptureSet {
        self.0
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// What was measured of it.
    pub measures: Measures,
    /// What was done with it.
    pub step: Step,
    /// Why it was refused, or what the burst still lacks.
    pub reason: Option<Reason>,
    /// What the person was asked to do.
    pub hint: Option<Hint>,
}

/// An open camera, and the eyes that look through it: from the first frame of a burst to the verdict they are the same.
pub struct Lens<'a> {
    pub(super) source: &'a mut dyn Source,
    config: &'a model::Capture,
    pub(super) clock: &'a dyn Clock,
    pub(super) eyes: Option<Eyes>,
}

impl<'a> Lens<'a> {
    /// With eyes, if the configuration looks for a face.
    ///
    /// # Errors
    /// The detector's model is damaged.
    pub fn new(
        source: &'a mut dyn Source,
        config: &'a model::Capture,
        clock: &'a dyn Clock,
    ) -> Result<Self, CaptureError> {
        Ok(Self { source, config, clock, eyes: Eyes::open(config)? })
    }

    /// Takes one burst, and shows each frame and what became of it. Blocks until it is complete, has failed or is
    /// cancelled; `cancelled` is asked before each frame, so a cancellation takes at most the camera's frame timeout.
    ///
    /// # Errors
    /// What the camera or the burst failed with; no picture is kept then.
    pub fn burst(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        cancelled: &dyn Fn() -> bool,
        shown: &mut dyn FnMut(&RawFrame<'_>, &Judged),
    ) -> Result<CameraCapture, CaptureError> {
        let (config, clock) = (self.config, self.clock);
        let started = clock.boot();
        let mut burst = Burst::new(config.into(), started);
        let mut album = Album::new(config);
        let mut meter = Meter::default();
        let mut hint = None;
        loop {
            if cancelled() {
                return Err(CaptureError::Cancelled);
            }
            if let Some(failure) = burst.overdue(clock.boot()) {
                return Err(album.failed(failure, started, clock.boot()));
            }
            let frame = self.source.next_frame()?;
            let sight = self.eyes.as_mut().map(|eyes| eyes.look(&frame)).transpose()?;
            let measures = meter.measure(&frame, sight);
            let step = burst.step(&measures);
            log::trace!(sequence = frame.sequence, sharpness = measures.sharpness(); "frame: {step:?}");
            if burst.hint() != hint {
                hint = burst.hint();
                if let Some(hint) = hint {
                    progress(Progress::Hint(hint));
                }
            }
            shown(&frame, &Judged { measures, step, reason: burst.reason(), hint });
            match step {
                Step::Wait => {}
                Step::TakeLiveness(_) => {
                    let taken = album.take_liveness(&frame.to_frame()?)?;
                    progress(Progress::Liveness { taken, of: config.liveness_count });
                }
                Step::TakeSelfie => album.candidate = Some(frame.to_frame()?),
                Step::Restart => album = Album::new(config),
                Step::Failed(failure) => return Err(album.failed(failure, started, clock.boot())),
            }
            if let Some(towards) = burst.light_wanted()
                && !self.source.expose(towards)
            {
                burst.light_is_spent();
            }
            if burst.selfie_is_settled() && album.settle_selfie()? {
                progress(Progress::Selfie);
            }
            if burst.is_complete()
                && let Some(set) = album.finish()
            {
                return Ok(CameraCapture(set));
            }
        }
    }
}

/// One burst from an open source, as [`Lens::burst`].
///
/// # Errors
/// What the camera or the burst failed with; no picture is kept then.
pub fn capture(
    source: &mut dyn Source,
    config: &model::Capture,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(Progress),
    cancelled: &dyn Fn() -> bool,
) -> Result<CameraCapture, CaptureError> {
    Lens::new(source, config, clock)?.burst(progress, cancelled, &mut |_, _| {})
}

/// Every this many frames the whole of one is searched for a second person.
const SEARCH_EVERY: u32 = 5;

/// Looks for the face in each frame.
pub(super) struct Eyes {
    detector: Detector,
    tracker: Tracker,
}

impl Eyes {
    /// `None` when nobody looks for faces.
    pub(super) fn open(config: &model::Capture) -> Result<Option<Self>, EyesError> {
        let open = || Ok(Self { detector: Detector::new()?, tracker: Tracker::new(SEARCH_EVERY) });
        (config.face == FaceCheck::Required).then(open).transpose()
    }

    pub(super) fn look(&mut self, frame: &RawFrame<'_>) -> Result<Sight, EyesError> {
        let sight = self.detector.look(&frame.view()?, self.tracker.next());
        self.tracker.saw(&sight);
        Ok(sight)
    }
}

/// The pictures taken so far.
struct Album {
    quality: u8,
    wanted: u32,
    liveness: Vec<(Jpeg, BootTime)>,
    candidate: Option<Frame>,
    selfie: Option<(Jpeg, BootTime)>,
}

impl Album {
    fn new(config: &model::Capture) -> Self {
        Self {
            quality: config.jpeg_quality,
            wanted: config.liveness_count,
            liveness: Vec::new(),
            candidate: None,
            selfie: None,
        }
    }

    fn taken(&self) -> u32 {
        u32::try_from(self.liveness.len()).unwrap_or(u32::MAX)
    }

    fn take_liveness(&mut self, frame: &Frame) -> Result<u32, CaptureError> {
        self.liveness.push((encode::liveness(view(frame), self.quality)?, frame.taken));
        Ok(self.taken())
    }

    /// Encodes the chosen frame, once. Whether it did.
    fn settle_selfie(&mut self) -> Result<bool, CaptureError> {
        let Some(frame) = self.candidate.take() else { return Ok(false) };
        self.selfie = Some((encode::selfie(view(&frame), self.quality)?, frame.taken));
        Ok(true)
    }

    fn finish(&mut self) -> Option<CaptureSet> {
        let (selfie, at) = self.selfie.take()?;
        let moments = || self.liveness.iter().map(|(_, moment)| *moment);
        let first = moments().fold(at, BootTime::min);
        let taken = moments().fold(at, BootTime::max);
        let liveness = self.liveness.drain(..).map(|(jpeg, _)| jpeg).collect();
        Some(CaptureSet { selfie, liveness, first, taken, origin: Origin::Camera })
    }

    fn failed(&self, failure: Failure, started: BootTime, now: BootTime) -> CaptureError {
        CaptureError::Burst {
            failure,
            liveness_taken: self.taken(),
            liveness_wanted: self.wanted,
            after_ms: u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn view(frame: &Frame) -> View<'_> {
    View { width: frame.width, height: frame.height, rgb: &frame.rgb }
}
