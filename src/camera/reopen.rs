//! A camera that goes away in the middle of a burst and comes back: a loose plug, a driver that resets it.
//!
//! The wrapper drops the source that failed and opens the camera anew, with pauses that grow, for at most the frame
//! timeout. After that the burst fails with the first cause, and the next burst opens the camera anew anyway.

use std::sync::Arc;
use std::time::Duration;

use super::exposure::Towards;
use super::file::Waiter;
use super::source::{Agreed, Source};
use super::{CameraError, RawFrame};
use crate::clock::Clock;

/// First pause before the camera is opened again; each is twice the one before.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
/// Longest pause.
const PAUSE_MOST: Duration = Duration::from_millis(800);

/// How a source is opened.
pub(super) type Opener = Box<dyn FnMut() -> Result<Box<dyn Source>, CameraError> + Send>;

/// A source that is opened again when it is gone.
pub(super) struct Reopening {
    opener: Opener,
    inner: Option<Box<dyn Source>>,
    clock: Arc<dyn Clock>,
    waiter: Box<dyn Waiter>,
    patience: Duration,
    description: String,
}

impl Reopening {
    /// Opens it for the first time: what is not there then is told at once.
    pub fn open(
        mut opener: Opener,
        clock: Arc<dyn Clock>,
        waiter: Box<dyn Waiter>,
        patience: Duration,
    ) -> Result<Self, CameraError> {
        let inner = opener()?;
        let description = inner.describe();
        Ok(Self { opener, inner: Some(inner), clock, waiter, patience, description })
    }

    /// Opens it again within the patience; the error is the one that made it necessary.
    fn again(&mut self, cause: CameraError) -> Result<&mut Box<dyn Source>, CameraError> {
        // The device must be closed before it can be opened anew.
        self.inner = None;
        let began = self.clock.boot();
        let deadline = began.plus(self.patience);
        let mut pause = PAUSE_LEAST;
        loop {
            let left = deadline.since(self.clock.boot());
            if left.is_zero() {
                return Err(cause);
            }
            self.waiter.wait(pause.min(left));
            pause = (pause * 2).min(PAUSE_MOST);
            match (self.opener)() {
                Ok(source) => {
                    let gone_ms =
                        u64::try_from(self.clock.boot().since(began).as_millis()).unwrap_or(u64::MAX);
                    log::warn!(gone_ms = gone_ms; "the camera is back, it was gone: {cause}");
                    self.description = source.describe();
                    return Ok(self.inner.insert(source));
                }
                // Whatever it is, it may be a camera that is not quite back: absent, not yet permitted, busy with itself.
                Err(error) => log::debug!("the camera is not back yet: {error}"),
            }
        }
    }
}

impl Source for Reopening {
    /// At most once a frame: a camera that goes away again at once is broken. So this blocks at most three times the
    /// frame timeout: until the fault, until it is back, until its frame.
    fn advance(&mut self) -> Result<(), CameraError> {
        let first = match &mut self.inner {
            Some(source) => source.advance(),
            None => (self.opener)().and_then(|source| self.inner.insert(source).advance()),
        };
        match first {
            Err(cause) if cause.wants_reopening() => {
                let again = self.again(cause)?.advance();
                if again.as_ref().is_err_and(CameraError::wants_reopening) {
                    self.inner = None;
                }
                again
            }
            other => other,
        }
    }

    fn frame(&self) -> RawFrame<'_> {
        self.inner.as_ref().map_or(RawFrame::NONE, |source| source.frame())
    }

    fn expose(&mut self, towards: Towards) -> bool {
        self.inner.as_mut().is_some_and(|source| source.expose(towards))
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn agreed(&self) -> Option<&Agreed> {
        self.inner.as_ref().and_then(|source| source.agreed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootTime, ManualClock, Wall};
    use std::collections::VecDeque;
    use std::path::PathBuf;
    use std::sync::Mutex;

    struct Moves(Arc<ManualClock>, Arc<Mutex<Vec<u64>>>);

    impl Waiter for Moves {
        fn wait(&mut self, span: Duration) {
            self.0.advance(span);
            self.1.lock().unwrap().push(u64::try_from(span.as_millis()).unwrap());
        }
    }

    struct Scripted(VecDeque<Option<CameraError>>);

    impl Source for Scripted {
        fn advance(&mut self) -> Result<(), CameraError> {
            self.0.pop_front().flatten().map_or(Ok(()), Err)
        }
        fn frame(&self) -> RawFrame<'_> {
            RawFrame::NONE
        }
        fn describe(&self) -> String {
            format!("{} to come", self.0.len())
        }
    }

    fn gone() -> CameraError {
        CameraError::Unplugged { path: PathBuf::from("/dev/video0") }
    }

    fn fault() -> CameraError {
        let source = std::io::Error::from_raw_os_error(5);
        CameraError::Fault { path: PathBuf::from("/dev/video0"), call: "VIDIOC_DQBUF", source }
    }

    fn timeout() -> CameraError {
        CameraError::Timeout { path: PathBuf::from("/dev/video0"), after_ms: 2_000 }
    }

    type Opening = Result<Vec<Option<CameraError>>, CameraError>;

    /// A camera whose openings go like this, one after another, and then fail; and the pauses that were made.
    fn camera(openings: Vec<Opening>) -> (Reopening, Arc<Mutex<Vec<u64>>>) {
        let clock = Arc::new(ManualClock::new(BootTime::from_millis(1_000), Wall::Unknown));
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let waiter = Box::new(Moves(Arc::clone(&clock), Arc::clone(&pauses)));
        let mut openings: VecDeque<_> = openings.into();
        let opener: Opener = Box::new(move || {
            let frames = openings.pop_front().unwrap_or_else(|| Err(gone()))?;
            Ok(Box::new(Scripted(frames.into())) as Box<dyn Source>)
        });
        (Reopening::open(opener, clock, waiter, Duration::from_secs(2)).unwrap(), pauses)
    }

    #[test]
    fn a_camera_that_comes_back_goes_on() {
        for cause in [gone, fault] {
            let (mut camera, pauses) =
                camera(vec![Ok(vec![None, Some(cause())]), Err(gone()), Err(gone()), Ok(vec![])]);
            camera.next_frame().unwrap();
            camera.next_frame().unwrap();
            camera.next_frame().unwrap();
            assert_eq!(*pauses.lock().unwrap(), [50, 100, 200]);
            assert_eq!(camera.describe(), "0 to come");
        }
    }

    #[test]
    fn one_that_stays_away_is_waited_for_so_long_and_no_longer() {
        let (mut camera, pauses) = camera(vec![Ok(vec![Some(gone())])]);
        assert_eq!(camera.next_frame().unwrap_err().reason(), "camera_unplugged");
        let pauses = pauses.lock().unwrap();
        assert_eq!(pauses.iter().sum::<u64>(), 2_000);
        assert!(pauses.len() < 10, "{pauses:?}");
    }

    #[test]
    fn one_that_was_given_up_can_be_asked_again() {
        let mut openings = vec![Ok(vec![Some(fault())])];
        openings.extend((0..6).map(|_| Err(gone())));
        openings.push(Ok(vec![]));
        let (mut camera, pauses) = camera(openings);
        assert_eq!(camera.next_frame().unwrap_err().reason(), "camera_fault");
        assert_eq!(pauses.lock().unwrap().len(), 6);
        camera.next_frame().unwrap();
    }

    #[test]
    fn one_that_goes_away_again_at_once_is_not_opened_for_ever() {
        let (mut camera, pauses) = camera(vec![Ok(vec![Some(gone())]), Ok(vec![Some(fault())]), Ok(vec![])]);
        assert_eq!(camera.next_frame().unwrap_err().reason(), "camera_fault");
        assert_eq!(pauses.lock().unwrap().len(), 1);
        camera.next_frame().unwrap();
    }

    #[test]
    fn slow_or_damaged_frames_do_not_close_the_camera() {
        let (mut camera, pauses) = camera(vec![Ok(vec![Some(timeout()), None])]);
        assert_eq!(camera.next_frame().unwrap_err().reason(), "camera_timeout");
        camera.next_frame().unwrap();
        assert!(pauses.lock().unwrap().is_empty());
    }
}
