//! The camera as a burst would use it: what it is, how fast it is, the light in front of it, and whose face it shows.

use super::{Finding, Patient};
use crate::camera::{self, CameraError, Source};
use crate::capture::gate::{self, Light, Limits, Measures, Reason};
use crate::capture::{Glimpse, Lookout, Survey};
use crate::config::model::{CameraSource, Capture, FaceCheck, Language};
use std::time::Duration;

/// Frames that are looked at.
const FRAMES: usize = 20;
/// Longest look.
const LOOK: Duration = Duration::from_secs(4);
/// Cameras need some frames to find their exposure; light is judged after these.
const SETTLING: usize = 8;
/// Frames in which a face is looked for: people blink and move.
const LOOKS: usize = 5;

pub(super) fn examine(patient: &Patient<'_>, each: &mut dyn FnMut(Finding)) {
    let config = &patient.config.camera;
    let clock = patient.clock;
    let mut source = match camera::open(config, clock.clone()) {
        Ok(source) => source,
        Err(error @ CameraError::Busy { .. }) => {
            let remedy =
                "wait until nobody stands at the door, or stop who else uses the camera, and look again";
            return each(Finding::warning("camera", error.to_string(), remedy));
        }
        Err(error) => return each(Finding::failure("camera", error.to_string(), error.remedy())),
    };
    let what = source.describe();
    let begin = clock.boot();
    let mut measures: Vec<Measures> = Vec::new();
    let mut meter = gate::Meter::default();
    while measures.len() < FRAMES && clock.boot().since(begin) < LOOK {
        match source.next_frame() {
            Ok(frame) => measures.push(meter.measure(&frame, None)),
            Err(error) => return each(Finding::failure("camera", error.to_string(), error.remedy())),
        }
    }
    each(speed(&what, config.source, &measures));
    each(light(&measures, &patient.config.capture));
    each(look(source.as_mut(), patient).unwrap_or_else(|finding| finding));
}

/// Looks for a face as a burst does, and says how long that takes here.
fn look(source: &mut dyn Source, patient: &Patient<'_>) -> Result<Finding, Finding> {
    let Some(mut lookout) = Lookout::open(&patient.config.capture)
        .map_err(|error| Finding::failure("face", error.to_string(), error.remedy()))?
    else {
        return Ok(Finding::warning(
            "face",
            "nobody looks for a face: a picture of anything is sent",
            "set capture.face = \"required\" (or leave the key away), unless the camera is only tried out",
        ));
    };
    let begin = patient.clock.boot();
    let (mut seen, mut spent) = (Vec::new(), Duration::ZERO);
    while seen.len() < LOOKS && patient.clock.boot().since(begin) < LOOK {
        let frame = source
            .next_frame()
            .map_err(|error| Finding::failure("face", error.to_string(), error.remedy()))?;
        let start = patient.clock.boot();
        let glimpse = lookout
            .look(&frame)
            .map_err(|error| Finding::failure("face", error.to_string(), error.remedy()))?;
        spent += patient.clock.boot().since(start);
        seen.push(glimpse);
    }
    let mut finding = face(&seen);
    let looks = u32::try_from(seen.len().max(1)).unwrap_or(1);
    finding.seen = format!("{}; a look takes {} ms", finding.seen, (spent / looks).as_millis());
    Ok(finding)
}

/// One good look is enough. Nobody before the camera is no fault of the door.
fn face(seen: &[Glimpse]) -> Finding {
    let good = seen.iter().rev().find(|glimpse| glimpse.trouble.is_none());
    let Some(glimpse) = good.or(seen.last()) else {
        return Finding::failure("face", "no picture came", "see the camera's finding");
    };
    let (what, remedy) = match (glimpse.face, glimpse.trouble) {
        (None, _) | (_, Some(Reason::NoFace)) => (
            "no face is seen".into(),
            "let one person stand before the camera as at the door, and look again",
        ),
        (Some(face), trouble) => {
            let (share, luminance) = (face.area_share, face.light.luma_mean);
            let what = match trouble {
                Some(Reason::SeveralFaces) => "more than one face is seen, the best of them",
                _ => "a face is seen,",
            };
            let seen = format!(
                "{what} {:.0} % of the frame, mean luminance {luminance:.0} of 255",
                (share * 100.0).max(1.0)
            );
            match trouble {
                Some(reason) => (
                    format!("{seen}: {}", reason.name()),
                    reason.hint().map_or("look again", |hint| hint.text(Language::English)),
                ),
                None if glimpse.dim => (seen, "more light on the face makes fewer repeated attempts"),
                None => return Finding::ok("face", seen),
            }
        }
    };
    Finding::warning("face", what, remedy)
}

/// Eight pictures 350 ms apart need three frames a second; below five a person must hold still for too long.
const SLOW: f64 = 5.0;

fn speed(what: &str, source: CameraSource, measures: &[Measures]) -> Finding {
    let rate = Survey::of(measures).fps.map_or(0.0, |(_, used)| used);
    let seen = format!("{what}, {rate:.1} frames a second");
    if source == CameraSource::File {
        return Finding::warning(
            "camera",
            seen,
            "set camera.source = \"v4l2\": pictures come from a file here",
        );
    }
    if rate < SLOW {
        return Finding::warning(
            "camera",
            seen,
            "give more light (cameras slow down in the dark), a smaller camera.width and height, or another USB port",
        );
    }
    Finding::ok("camera", seen)
}

fn light(measures: &[Measures], capture: &Capture) -> Finding {
    let limits = Limits::from(capture);
    let settled = measures.get(SETTLING.min(measures.len().saturating_sub(1))..).unwrap_or_default();
    if settled.is_empty() {
        return Finding::failure("light", "no picture came", "see the camera's finding");
    }
    if settled.iter().all(|frame| frame.overview.is_none_or(|overview| gate::is_black(&overview))) {
        return Finding::failure(
            "light",
            "the picture is black",
            "take the cover off the lens; check the camera",
        );
    }
    let frozen =
        settled.len() > 1 && settled.windows(2).all(|pair| matches!(pair, [a, b] if a.digest == b.digest));
    if frozen {
        return Finding::failure(
            "light",
            "the picture stands still",
            "unplug the camera and plug it in again; replace it if this comes back",
        );
    }
    let mean = Survey::of(settled).luminance;
    let seen = format!("mean luminance {mean:.0} of 255");
    match limits.light(mean) {
        // A lit face before a dark yard is taken: the finding of the face says more.
        Light::Dark if capture.face == FaceCheck::Required => Finding::warning(
            "light",
            seen,
            "put a lamp in front of the person, if it is this dark where a face would be",
        ),
        Light::Dark => Finding::failure("light", seen, "put a lamp in front of the person, not behind"),
        Light::Dim => {
            Finding::warning("light", seen, "more light in front of the person makes fewer repeated attempts")
        }
        Light::Enough => Finding::ok("light", seen),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::clock::BootTime;
    use crate::eyes::{self, Bounds, Face, FaceMeasure, Landmarks};

    fn frames(count: u32, step_ms: u64, luminance: f32, moving: bool) -> Vec<Measures> {
        (0..count)
            .map(|index| Measures {
                width: 640,
                height: 480,
                overview: Some(eyes::Overview { luma_mean: luminance, brightest: luminance, sharpness: 0.1 }),
                digest: if moving { u64::from(index) } else { 7 },
                sequence: index,
                taken: BootTime::from_millis(1000 + u64::from(index) * step_ms),
                sight: None,
            })
            .collect()
    }

    #[test]
    fn the_frame_rate_is_measured() {
        let of = |step| speed("cam", CameraSource::V4l2, &frames(20, step, 90.0, true));
        assert_eq!(of(33).level, Level::Ok);
        assert!(of(33).seen.contains("30.3 frames"), "{:?}", of(33));
        assert_eq!(of(500).level, Level::Warning);
        assert_eq!(speed("cam", CameraSource::V4l2, &[]).level, Level::Warning);
        assert_eq!(speed("file", CameraSource::File, &frames(20, 33, 90.0, true)).level, Level::Warning);
    }

    #[test]
    fn light_is_judged_by_the_gates_own_limits() {
        let capture = Capture { face: FaceCheck::NotLookedAt, ..Capture::default() };
        let limits = Limits::from(&capture);
        let of = |luminance, moving| light(&frames(20, 33, luminance, moving), &capture).level;
        assert_eq!(of(120.0, true), Level::Ok);
        assert_eq!(of(limits.luminance_hint - 1.0, true), Level::Warning);
        assert_eq!(of(limits.luminance_min - 1.0, true), Level::Failure);
        assert_eq!(of(0.0, true), Level::Failure);
        assert_eq!(of(120.0, false), Level::Failure);
        assert_eq!(light(&[], &capture).level, Level::Failure);
        let yard = light(&frames(20, 33, limits.luminance_min - 1.0, true), &Capture::default());
        assert_eq!(yard.level, Level::Warning);
    }

    #[test]
    fn one_good_look_at_a_face_is_enough_and_nobody_is_no_failure() {
        let of = |(area_share, luma_mean)| {
            let bounds = Bounds { left: 0.0, top: 0.0, right: 9.0, bottom: 9.0 };
            FaceMeasure {
                face: Face { bounds, score: 0.9, landmarks: Landmarks::default() },
                pose: None,
                area_share,
                offset: (0.0, 0.0),
                light: eyes::Light { luma_mean, ..eyes::Light::default() },
            }
        };
        let glimpse = |face: Option<_>, trouble, dim| Glimpse { face: face.map(of), trouble, dim };
        let nobody = glimpse(None, Some(Reason::NoFace), false);
        let good = glimpse(Some((0.13, 118.0)), None, false);
        let found = face(&[nobody, good, nobody]);
        assert_eq!(
            (found.level, found.seen.as_str()),
            (Level::Ok, "a face is seen, 13 % of the frame, mean luminance 118 of 255")
        );
        for (last, word) in [
            (nobody, "no face"),
            (glimpse(Some((0.2, 90.0)), Some(Reason::NoFace), false), "no face"),
            (glimpse(Some((0.02, 90.0)), Some(Reason::FaceTooFar), false), "2 % of the frame"),
            (glimpse(Some((0.13, 90.0)), Some(Reason::SeveralFaces), false), "more than one face"),
            (glimpse(Some((0.13, 40.0)), None, true), "luminance 40"),
        ] {
            let found = face(&[nobody, last]);
            assert!(found.seen.contains(word), "{found:?}");
            assert_eq!((found.level, found.remedy.is_empty()), (Level::Warning, false), "{found:?}");
        }
        assert_eq!(face(&[]).level, Level::Failure);
    }
}
