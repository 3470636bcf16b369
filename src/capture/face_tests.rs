use super::super::Hint;
use super::super::burst::{Burst, Failure, Plan, Step};
use super::super::gate::{Measures, Meter};
use super::*;
use crate::camera::RawFrame;
use crate::camera::sway::Sway;
use crate::eyes::{Detector, Face, FrameView, Landmarks, Light, Pass, Tracker};
use crate::picture::read::{Upright, decode, read_file};
use crate::picture::{Frame, Pixels};

fn limits() -> FaceLimits {
    FaceLimits::of(&model::Capture { face: model::FaceCheck::Required, ..Default::default() }).unwrap()
}

/// A face as it should be.
fn good() -> FaceMeasure {
    let bounds = Bounds { left: 220.0, top: 140.0, right: 420.0, bottom: 340.0 };
    FaceMeasure {
        face: Face { bounds, score: 0.95, landmarks: Landmarks::default() },
        pose: Some(Pose { yaw: 0.0, pitch: 0.0, roll: 0.0 }),
        area_share: 0.13,
        offset: (0.0, 0.0),
        light: Light { luma_mean: 120.0, sharpness: 0.03, ..Light::default() },
    }
}

fn sight(whole: Option<f32>, best: FaceMeasure) -> Sight {
    let pass = |score| Pass { faces: usize::from(score >= 0.75), score };
    Sight { whole: whole.map(pass), close: pass(best.face.score), best: Some(best) }
}

fn with(change: impl FnOnce(&mut FaceMeasure)) -> Sight {
    let mut face = good();
    change(&mut face);
    sight(Some(0.9), face)
}

#[test]
fn each_measure_has_its_reason() {
    let none = Sight { whole: Some(Pass::default()), close: Pass::default(), best: None };
    let two = Sight { whole: Some(Pass { faces: 2, score: 0.9 }), ..with(|_| ()) };
    let table: [(&str, Option<Sight>, Result<(), Reason>); 17] = [
        ("good", Some(with(|_| ())), Ok(())),
        ("nobody looked", None, Err(Reason::NoFace)),
        ("nobody", Some(none), Err(Reason::NoFace)),
        ("two", Some(two), Err(Reason::SeveralFaces)),
        ("pass 1 in doubt", Some(sight(Some(0.74), good())), Err(Reason::NoFace)),
        ("pass 2 in doubt", Some(with(|face| face.face.score = 0.74)), Err(Reason::NoFace)),
        ("far", Some(with(|face| face.area_share = 0.039)), Err(Reason::FaceTooFar)),
        ("near", Some(with(|face| face.area_share = 0.61)), Err(Reason::FaceTooNear)),
        ("left", Some(with(|face| face.offset.0 = -0.26)), Err(Reason::FaceOffCentre)),
        ("low", Some(with(|face| face.offset.1 = 0.26)), Err(Reason::FaceOffCentre)),
        ("dark skin", Some(with(|face| face.light.luma_mean = 30.0)), Ok(())),
        ("no light", Some(with(|face| face.light.luma_mean = 14.0)), Err(Reason::FaceDark)),
        ("blurred", Some(with(|face| face.light.sharpness = 0.0035)), Err(Reason::FaceBlurred)),
        ("no number", Some(with(|face| face.light.sharpness = f32::NAN)), Err(Reason::FaceBlurred)),
        ("no place", Some(with(|face| face.offset.0 = f32::NAN)), Err(Reason::FaceOffCentre)),
        ("no area", Some(with(|face| face.area_share = f32::NAN)), Err(Reason::FaceTooFar)),
        // A turned head is a liveness picture and no selfie.
        ("turned", Some(with(|face| face.pose = None)), Ok(())),
    ];
    for (name, seen, wanted) in table {
        assert_eq!(limits().judge(seen.as_ref(), false).map(|_| ()), wanted, "{name}");
    }
}

#[test]
fn a_followed_face_may_turn_only_when_both_passes_were_sure_of_it_once() {
    let turning = FaceMeasure { face: Face { score: 0.55, ..good().face }, ..good() };
    let followed = sight(None, turning);
    assert_eq!(limits().judge(Some(&followed), false).unwrap_err(), Reason::NoFace);
    assert!(limits().judge(Some(&followed), true).is_ok());
    let searched = sight(Some(0.9), turning);
    assert_eq!(limits().judge(Some(&searched), true).unwrap_err(), Reason::NoFace);
    let now = BootTime::from_millis(0);
    let mut watch = Watch::default();
    watch.saw(Some(&followed), now);
    assert!(!watch.is_known());
    watch.saw(Some(&sight(Some(0.9), good())), now);
    watch.saw(Some(&searched), now);
    assert!(watch.is_known());
    watch.saw(None, now);
    assert!(!watch.is_known());
}

#[test]
fn a_selfie_looks_into_the_camera() {
    for (yaw, pitch, roll, straight) in [
        (15.0, 20.0, -20.0, true),
        (-15.1, 0.0, 0.0, false),
        (0.0, 20.1, 0.0, false),
        (0.0, 0.0, 20.1, false),
        (f32::NAN, 0.0, 0.0, false),
    ] {
        let face = FaceMeasure { pose: Some(Pose { yaw, pitch, roll }), ..good() };
        assert_eq!(limits().looks_straight(&face), straight, "{yaw} {pitch} {roll}");
    }
    assert!(!limits().looks_straight(&FaceMeasure { pose: None, ..good() }));
}

#[test]
fn a_jump_or_three_seconds_without_a_face_is_another_person() {
    let at = BootTime::from_millis;
    let mut watch = Watch::default();
    assert!(!watch.saw(Some(&with(|_| ())), at(0)));
    let beside = |by: f32| {
        with(|face| {
            face.face.bounds.left += by;
            face.face.bounds.right += by;
        })
    };
    assert!(!watch.saw(Some(&beside(60.0)), at(66)));
    assert!(watch.saw(Some(&beside(260.0)), at(132)));
    assert!(!watch.saw(None, at(3_131)));
    assert!(watch.saw(None, at(3_132)));
    assert!(!watch.saw(None, at(9_000)));
}

fn astronaut() -> Pixels {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");
    read_file(path.as_ref()).and_then(|bytes| decode(&bytes, Upright::AsStored)).unwrap()
}

/// Shows frames at 15 a second until the burst ends or `count` are over.
fn play(count: u32, give_up_ms: u32, mut of: impl FnMut(u32) -> Vec<u8>) -> (Burst, Vec<Step>) {
    let config = model::Capture { give_up_ms, face: model::FaceCheck::Required, ..Default::default() };
    let mut burst = Burst::new(Plan::from(&config), BootTime::from_millis(0));
    let (mut detector, mut tracker, mut meter) =
        (Detector::new().unwrap(), Tracker::new(5), Meter::default());
    let mut steps = Vec::new();
    for number in 0..count {
        let taken = BootTime::from_millis(u64::from(number) * 67);
        let frame = Frame { width: 640, height: 480, rgb: of(number), sequence: number, taken };
        let sight = detector.look(&FrameView::rgb(640, 480, &frame.rgb).unwrap(), tracker.next());
        tracker.saw(&sight);
        let step = burst.step(&meter.measure(&RawFrame::from(&frame), Some(sight)));
        steps.push(step);
        if burst.is_complete() || matches!(step, Step::Failed(_)) {
            break;
        }
    }
    (burst, steps)
}

#[test]
fn the_turning_photograph_passes() {
    let sway = Sway::new(&astronaut(), 640, 480);
    let (burst, steps) = play(120, 30_000, |number| sway.frame(number));
    assert!(burst.is_complete(), "{:?} {steps:?}", burst.hint());
    assert!(!steps.contains(&Step::Restart));
}

/// Moved, scaled and relit, as a photograph before the lens is, but never turned.
#[test]
fn a_photograph_that_is_only_waved_is_refused() {
    let sway = Sway::flat(&astronaut(), 640, 480);
    let (_, steps) = play(120, 6_000, |number| sway.frame(number));
    assert_eq!(steps.last(), Some(&Step::Failed(Failure::Refused(Reason::HeldStill))), "{steps:?}");
}

#[test]
fn when_somebody_else_steps_in_the_burst_begins_anew() {
    let sway = Sway::new(&astronaut(), 640, 480);
    let wall = [[90u8, 95, 100]; 640 * 480].concat();
    let (burst, steps) = play(200, 30_000, |number| match number {
        // Sensor noise, so that the wall is not a frozen picture.
        20..80 => wall.iter().map(|value| value + (number % 3) as u8).collect(),
        _ => sway.frame(number),
    });
    assert_eq!(steps.iter().filter(|step| **step == Step::Restart).count(), 1, "{steps:?}");
    assert!(burst.is_complete());
    let first = steps.iter().filter(|step| **step == Step::TakeLiveness(0)).count();
    assert_eq!(first, 2, "{steps:?}");
}

/// Straight, then whatever is asked for; or straight all the time.
fn play_active(obeys: bool) -> (Vec<Hint>, Step) {
    let config = model::Capture {
        face: model::FaceCheck::Required,
        liveness: model::Liveness::Active,
        ..Default::default()
    };
    let mut burst = Burst::new(Plan::from(&config), BootTime::from_millis(0));
    let (mut hints, mut millis) = (Vec::new(), 0);
    loop {
        millis += 66;
        let (yaw, pitch) = match burst.hint() {
            Some(Hint::TurnLeft) if obeys => (30.0, 0.0),
            Some(Hint::TurnRight) if obeys => (-30.0, 0.0),
            Some(Hint::LookUp) if obeys => (0.0, -20.0),
            _ => (0.0, 0.0),
        };
        let frame = Measures {
            width: 640,
            height: 480,
            overview: None,
            digest: millis,
            sequence: u32::try_from(millis).unwrap(),
            taken: BootTime::from_millis(millis),
            sight: Some(with(|face| face.pose = Some(Pose { yaw, pitch, roll: 0.0 }))),
        };
        let step = burst.step(&frame);
        hints.extend(burst.hint());
        if burst.is_complete() || matches!(step, Step::Failed(_)) {
            hints.dedup();
            return (hints, step);
        }
    }
}

#[test]
fn who_does_what_is_asked_gets_through_and_who_only_stands_there_does_not() {
    let (hints, step) = play_active(true);
    assert!(matches!(step, Step::TakeLiveness(7)), "{step:?}");
    for asked in [Hint::TurnLeft, Hint::TurnRight, Hint::LookUp] {
        assert!(hints.contains(&asked), "{hints:?}");
    }
    let (hints, step) = play_active(false);
    assert_eq!(step, Step::Failed(Failure::Refused(Reason::HeldStill)), "{hints:?}");
}
