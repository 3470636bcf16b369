//! A whole burst from a camera to a capture set, with the gate on: what a good camera gives, and how each bad
//! one ends. The fake camera moves the clock; nothing here waits.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Light is arithmetic.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use latchd::camera::file::{FileSource, Waiter};
use latchd::camera::{CameraError, RawFrame, Source, Towards};
use latchd::capture::{self, CameraCapture, CaptureError, Hint, Origin, Progress};
use latchd::clock::{BootTime, ManualClock, Wall};
use latchd::config::model::{Camera, CameraSource, Capture, FileMode};
use latchd::picture::{Frame, Jpeg};

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");
const START: u64 = 5_000;

struct Moving(Arc<ManualClock>);

impl Waiter for Moving {
    fn wait(&mut self, span: Duration) {
        self.0.advance(span);
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(BootTime::from_millis(START), Wall::Unknown))
}

/// The photograph that sways, on `clock`.
fn sway(clock: &Arc<ManualClock>, width: u32, height: u32) -> FileSource {
    let config = Camera {
        source: CameraSource::File,
        file: Some(ASTRONAUT.into()),
        mode: FileMode::StillWithSway,
        width,
        height,
        ..Camera::default()
    };
    FileSource::open(&config, clock.clone(), Box::new(Moving(clock.clone()))).unwrap()
}

/// A camera in front of another one that changes what it gives.
struct Through<F> {
    inner: FileSource,
    change: F,
    changed: Option<Frame>,
}

impl<F: FnMut(Frame) -> Result<Frame, CameraError> + Send> Source for Through<F> {
    fn advance(&mut self) -> Result<(), CameraError> {
        let frame = self.inner.next_frame()?.to_frame().unwrap();
        self.changed = Some((self.change)(frame)?);
        Ok(())
    }
    fn frame(&self) -> RawFrame<'_> {
        self.changed.as_ref().map_or(RawFrame::NONE, RawFrame::from)
    }
    fn describe(&self) -> String {
        "a camera with a defect".into()
    }
}

type Ending = (Result<CameraCapture, CaptureError>, Vec<Progress>, Arc<ManualClock>);

fn burst(config: &Capture, change: impl FnMut(Frame) -> Result<Frame, CameraError> + Send) -> Ending {
    let clock = clock();
    let mut source = Through { inner: sway(&clock, 640, 480), change, changed: None };
    let mut seen = Vec::new();
    let result =
        capture::capture(&mut source, config, &*clock, &mut |progress| seen.push(progress), &|| false);
    (result, seen, clock)
}

fn failed(ending: Ending) -> (CaptureError, u64) {
    let (result, _, clock) = ending;
    let error = result.expect_err("the burst succeeded");
    assert!(!error.remedy().is_empty() && !error.to_string().contains('\n'));
    (error, latchd::clock::Clock::boot(&*clock).as_millis() - START)
}

fn size(jpeg: &Jpeg) -> (u32, u32) {
    let picture = image::load_from_memory_with_format(&jpeg.0, image::ImageFormat::Jpeg).unwrap();
    (picture.width(), picture.height())
}

#[test]
fn the_swaying_photograph_passes_the_gate_over_a_full_burst() {
    for (width, height, selfie_size, liveness_size) in
        [(640, 480, (640, 480), (320, 240)), (1280, 720, (1138, 640), (320, 180))]
    {
        let clock = clock();
        let mut seen = Vec::new();
        let taken = capture::capture(
            &mut sway(&clock, width, height),
            &Capture::default(),
            &*clock,
            &mut |progress| seen.push(progress),
            &|| false,
        )
        .unwrap();
        let set = taken.set();
        assert_eq!(set.liveness.len(), 8);
        assert_eq!(size(&set.selfie), selfie_size);
        assert!(set.liveness.iter().all(|picture| size(picture) == liveness_size));
        assert_eq!(set.origin, Origin::Camera);
        assert_eq!(set.first, BootTime::from_millis(START));
        // 15 frames a second: each liveness picture is the sixth after the one before.
        assert_eq!(set.taken.since(set.first).as_millis(), 7 * 6 * 1000 / 15 - 1);
        let mut wanted: Vec<_> = (1..=7).map(|taken| Progress::Liveness { taken, of: 8 }).collect();
        wanted.extend([Progress::Selfie, Progress::Liveness { taken: 8, of: 8 }]);
        assert_eq!(seen, wanted);
    }
}

#[test]
fn the_same_photograph_gives_the_same_pictures_each_time() {
    let take = || burst(&Capture::default(), Ok).0.unwrap().into_set();
    let (once, again) = (take(), take());
    assert_eq!(once, again);
    let mut pictures = once.liveness.clone();
    pictures.dedup();
    assert_eq!(pictures.len(), 8);
}

#[test]
fn liveness_pictures_are_at_least_the_interval_apart() {
    for interval in [350, 1000] {
        let config = Capture { liveness_interval_ms: interval, liveness_count: 6, ..Capture::default() };
        let clock = clock();
        let mut moments = Vec::new();
        let at = clock.clone();
        let mut progress = |progress| {
            if let Progress::Liveness { .. } = progress {
                moments.push(latchd::clock::Clock::boot(&*at).as_millis());
            }
        };
        capture::capture(&mut sway(&clock, 640, 480), &config, &*clock, &mut progress, &|| false).unwrap();
        assert_eq!(moments.len(), 6);
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= u64::from(interval)), "{moments:?}");
    }
}

#[test]
fn a_camera_that_gives_the_same_frame_again_and_again_is_frozen() {
    let mut first = None;
    let still = move |frame: Frame| {
        let rgb = first.get_or_insert_with(|| frame.rgb.clone()).clone();
        Ok(Frame { rgb, ..frame })
    };
    let (error, after) = failed(burst(&Capture::default(), still));
    assert_eq!(error.reason(), "frozen");
    assert!((1_000..1_200).contains(&after), "{after} ms");
}

#[test]
fn a_plain_photograph_is_frozen_and_the_remedy_names_the_mode() {
    let clock = clock();
    let config = Camera { source: CameraSource::File, file: Some(ASTRONAUT.into()), ..Camera::default() };
    let mut source = FileSource::open(&config, clock.clone(), Box::new(Moving(clock.clone()))).unwrap();
    let error =
        capture::capture(&mut source, &Capture::default(), &*clock, &mut |_| {}, &|| false).unwrap_err();
    assert_eq!(error.reason(), "frozen");
    assert!(error.remedy().contains("still-with-sway"));
}

#[test]
fn a_sequence_number_that_stands_still_is_frozen() {
    let (error, after) = failed(burst(&Capture::default(), |frame| Ok(Frame { sequence: 3, ..frame })));
    assert_eq!(error.reason(), "frozen");
    assert!((2_000..2_300).contains(&after), "{after} ms");
}

#[test]
fn darkness_is_waited_out_and_asked_about() {
    let mut seen = 0;
    let lit_later = move |mut frame: Frame| {
        seen += 1;
        if seen <= 30 {
            frame.rgb.iter_mut().for_each(|value| *value /= 14);
        }
        Ok(frame)
    };
    let (result, seen, _) = burst(&Capture::default(), lit_later);
    let set = result.unwrap().into_set();
    assert_eq!(set.first, BootTime::from_millis(START).plus(Duration::from_micros(66_666 * 30)));
    assert_eq!(seen.first(), Some(&Progress::Hint(Hint::MoreLight)));
    assert_eq!(seen.iter().filter(|progress| matches!(progress, Progress::Hint(_))).count(), 1);
}

#[test]
fn a_dim_room_is_a_hint_and_no_refusal() {
    let dim = |mut frame: Frame| {
        frame.rgb.iter_mut().for_each(|value| *value = *value / 10 * 3);
        Ok(frame)
    };
    let (result, seen, _) = burst(&Capture::default(), dim);
    result.unwrap();
    assert!(seen.contains(&Progress::Hint(Hint::MoreLight)), "{seen:?}");
}

#[test]
fn the_burst_gives_up_with_the_reason() {
    let dark = |mut frame: Frame| {
        frame.rgb.iter_mut().for_each(|value| *value /= 14);
        Ok(frame)
    };
    let black = |mut frame: Frame| {
        // A covered sensor still has a little noise.
        let number = frame.sequence as usize;
        frame.rgb.iter_mut().enumerate().for_each(|(at, value)| *value = ((at * 7 + number * 3) % 5) as u8);
        Ok(frame)
    };
    let blurred = |mut frame: Frame| {
        let level = 100 + (frame.sequence % 50) as u8;
        frame.rgb.fill(level);
        Ok(frame)
    };
    let config = Capture { give_up_ms: 5_000, ..Capture::default() };
    let large = Capture { side_min: 1_000, ..config.clone() };
    for (ending, reason) in [
        (burst(&config, dark), "face_dark"),
        (burst(&config, black), "black"),
        (burst(&config, blurred), "blurred"),
        (burst(&large, Ok), "too_small"),
    ] {
        let (error, after) = failed(ending);
        assert_eq!(error.reason(), reason, "{error}");
        assert!((5_000..5_100).contains(&after), "{reason}: {after} ms");
        assert!(
            matches!(error, CaptureError::Burst { liveness_taken: 0, liveness_wanted: 8, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_camera_that_is_too_slow_gives_up_as_such() {
    let clock = clock();
    let slow = clock.clone();
    let late = move |frame: Frame| {
        slow.advance(Duration::from_millis(1_500));
        Ok(Frame { taken: latchd::clock::Clock::boot(&*slow), ..frame })
    };
    let mut source = Through { inner: sway(&clock, 640, 480), change: late, changed: None };
    let config = Capture { give_up_ms: 5_000, ..Capture::default() };
    let error = capture::capture(&mut source, &config, &*clock, &mut |_| {}, &|| false).unwrap_err();
    assert_eq!(error.reason(), "gave_up");
}

#[test]
fn a_cancelled_burst_ends_before_the_next_frame() {
    let clock = clock();
    let (asked, frames) = (Cell::new(0), Arc::new(std::sync::atomic::AtomicU32::new(0)));
    let count = frames.clone();
    let counted = move |frame| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(frame)
    };
    let mut source = Through { inner: sway(&clock, 640, 480), change: counted, changed: None };
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 5
    };
    let error =
        capture::capture(&mut source, &Capture::default(), &*clock, &mut |_| {}, &cancelled).unwrap_err();
    assert!(matches!(error, CaptureError::Cancelled), "{error}");
    assert_eq!(error.reason(), "cancelled");
    assert_eq!(frames.load(std::sync::atomic::Ordering::Relaxed), 5);
}

#[test]
fn a_camera_that_fails_in_mid_burst_ends_it_with_its_reason() {
    for (number, reason) in [(0, "camera_unplugged"), (20, "camera_timeout")] {
        let fail = move |frame: Frame| match (frame.sequence == number, number) {
            (false, _) => Ok(frame),
            (true, 0) => Err(CameraError::Unplugged { path: "/dev/video0".into() }),
            (true, _) => Err(CameraError::Timeout { path: "/dev/video0".into(), after_ms: 2_000 }),
        };
        let (error, _) = failed(burst(&Capture::default(), fail));
        assert_eq!(error.reason(), reason);
        assert!(error.remedy().contains("cable"), "{}", error.remedy());
    }
}

#[test]
fn debug_shows_no_picture() {
    let taken = burst(&Capture::default(), Ok).0.unwrap();
    let text = format!("{taken:?}");
    assert!(text.len() < 700 && text.contains("Jpeg("), "{text}");
}

/// A camera that sees its scene with so much of the light, and can be asked for more so many times.
struct Dim {
    inner: FileSource,
    light: f32,
    room: u32,
    changed: Option<Frame>,
}

impl Source for Dim {
    fn advance(&mut self) -> Result<(), CameraError> {
        let mut frame = self.inner.next_frame()?.to_frame().unwrap();
        frame.rgb.iter_mut().for_each(|value| *value = (f32::from(*value) * self.light) as u8);
        self.changed = Some(frame);
        Ok(())
    }
    fn frame(&self) -> RawFrame<'_> {
        self.changed.as_ref().map_or(RawFrame::NONE, RawFrame::from)
    }
    fn expose(&mut self, towards: Towards) -> bool {
        assert_eq!(towards, Towards::Brighter);
        let more = self.room > 0;
        (self.room, self.light) = if more { (self.room - 1, self.light * 1.4) } else { (0, self.light) };
        more
    }
    fn describe(&self) -> String {
        "a camera with a control for light".into()
    }
}

#[test]
fn a_camera_is_asked_for_light_before_the_person_is() {
    for (room, asked) in [(6, false), (0, true)] {
        let clock = clock();
        let mut source = Dim { inner: sway(&clock, 640, 480), light: 0.2, room, changed: None };
        let mut hints = Vec::new();
        let mut progress = |progress| hints.extend(matches!(progress, Progress::Hint(_)).then_some(progress));
        let taken =
            capture::capture(&mut source, &Capture::default(), &*clock, &mut progress, &|| false).unwrap();
        assert_eq!(hints.contains(&Progress::Hint(Hint::MoreLight)), asked, "{hints:?}");
        assert_eq!(source.light > 0.3, room > 0, "{}", source.light);
        // No picture is taken before the light is there.
        let waited = taken.set().first.since(BootTime::from_millis(START));
        assert_eq!(waited >= Duration::from_millis(800), room > 0, "{waited:?}");
    }
}
