//! A contact sheet of a burst: one HTML file with its pictures in it, for whoever sets a door up. It holds pictures of people.

use super::encode::{self, View};
use super::run::Judged;
use super::{CaptureError, burst::Step};
use crate::camera::RawFrame;
use crate::clock::BootTime;
use crate::eyes::{FaceMeasure, Overview};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Write as _;
use std::time::Duration;

/// Frames between two that are shown, unless something became of one.
const SHOWN_EVERY: Duration = Duration::from_millis(250);
/// Most frames of a sheet.
const FRAMES_MAX: usize = 600;
const QUALITY: u8 = 70;
const STYLE: &str = "body{font:14px sans-serif;background:#111;color:#eee}div{display:inline-block;width:324px;margin:4px;\
    vertical-align:top;background:#222}p{margin:4px;white-space:pre-line}svg{width:320px;display:block}\
    .taken{outline:3px solid #3c3}.refused{outline:3px solid #c33}";

/// A sheet that grows.
#[derive(Default)]
pub struct Sheet {
    figures: Vec<String>,
    began: Option<BootTime>,
    last: Option<BootTime>,
    left_out: usize,
}

impl Sheet {
    /// Adds a frame, unless it is one of many of which nothing became.
    ///
    /// # Errors
    /// The frame cannot be encoded.
    pub fn add(&mut self, frame: &RawFrame<'_>, judged: &Judged) -> Result<(), CaptureError> {
        let taken = frame.taken;
        let began = *self.began.get_or_insert(taken);
        let soon = self.last.is_some_and(|last| taken.since(last) < SHOWN_EVERY);
        if self.figures.len() >= FRAMES_MAX || (soon && judged.step == Step::Wait) {
            self.left_out += 1;
            return Ok(());
        }
        self.last = Some(taken);
        let pixels = frame.to_frame()?;
        let view = View { width: pixels.width, height: pixels.height, rgb: &pixels.rgb };
        let jpeg = encode::liveness(view, QUALITY)?;
        self.figures.push(figure(&jpeg.0, (pixels.width, pixels.height), taken.since(began), judged));
        Ok(())
    }

    /// The whole file. `title` says how the burst ended.
    pub fn html(&self, title: &str) -> String {
        format!(
            "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>latchd burst</title><style>{STYLE}</style>\
             <h1>{}</h1><p>{} frames; {} more, of which nothing became, are left out. Green: taken. Red: refused. \
             This file holds pictures of people.</p>{}</html>\n",
            escaped(title),
            self.figures.len(),
            self.left_out,
            self.figures.concat()
        )
    }
}

fn figure(jpeg: &[u8], (width, height): (u32, u32), after: Duration, judged: &Judged) -> String {
    let sight = judged.measures.sight;
    let (class, what) = match (judged.step, judged.reason) {
        (Step::TakeLiveness(number), _) => ("taken", format!("liveness picture {}", number + 1)),
        (Step::TakeSelfie, _) => ("taken", "selfie".into()),
        (Step::Restart, _) => ("refused", "all over again: the face may be another".into()),
        (Step::Failed(failure), _) => ("refused", format!("failed: {}", failure.name())),
        (Step::Wait, Some(reason)) => ("refused", reason.name().into()),
        (Step::Wait, None) => ("", "good".into()),
    };
    let mut text = format!("{:.2} s: {what}\n", after.as_secs_f64());
    // A String takes whatever is written to it.
    let _ = writeln!(text, "hint: {}", judged.hint.map_or("none", super::Hint::name));
    if let Some(Overview { luma_mean, sharpness, .. }) = judged.measures.overview {
        let _ = writeln!(text, "frame: luminance {luma_mean:.0}, sharpness {sharpness:.4}");
    }
    if let Some(sight) = &sight {
        let whole = sight.whole.map_or("not searched".into(), |pass| format!("{:.2}", pass.score));
        let _ = writeln!(text, "faces {}, score {whole} / {:.2}", sight.faces(), sight.close.score);
    }
    let face = sight.and_then(|sight| sight.best);
    text.push_str(&face.map_or_else(String::new, |face| face_text(&face)));
    format!(
        "<div class=\"{class}\"><svg viewBox=\"0 0 {width} {height}\"><image width=\"{width}\" height=\"{height}\" \
         href=\"data:image/jpeg;base64,{}\"/>{}</svg><p>{}</p></div>",
        BASE64_STANDARD.encode(jpeg),
        face.map_or_else(String::new, |face| marks(&face)),
        escaped(&text)
    )
}

/// What is measured of a face, in one line each for place, pose and light.
pub fn face_text(face: &FaceMeasure) -> String {
    let pose = face.pose.map_or("no pose".into(), |pose| {
        format!("yaw {:+.0}, pitch {:+.0}, roll {:+.0}", pose.yaw, pose.pitch, pose.roll)
    });
    format!(
        "face: {:.1} % of the frame, {:+.0} % right, {:+.0} % down\n{pose}\nface: luminance {:.0}, sharpness {:.4}, contrast {:.2}, \
         noise {:.1}, burnt {:.0} %\n",
        face.area_share * 100.0,
        face.offset.0 * 100.0,
        face.offset.1 * 100.0,
        face.light.luma_mean,
        face.light.sharpness,
        face.light.contrast,
        face.light.noise,
        face.light.bright_share * 100.0,
    )
}

fn marks(face: &FaceMeasure) -> String {
    let bounds = &face.face.bounds;
    let mut out = format!(
        "<rect x=\"{:.0}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{:.0}\" fill=\"none\" stroke=\"#ff0\" stroke-width=\"3\"/>",
        bounds.left,
        bounds.top,
        bounds.width().max(0.0),
        bounds.height().max(0.0)
    );
    for point in face.face.landmarks.points() {
        let _ = write!(out, "<circle cx=\"{:.0}\" cy=\"{:.0}\" r=\"4\" fill=\"#0ff\"/>", point.x, point.y);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Hint;
    use crate::capture::gate::{Meter, Reason};
    use crate::eyes::Detector;
    use crate::picture::Frame;
    use crate::picture::read::{Upright, decode, read_file};

    #[test]
    fn a_sheet_holds_its_pictures_what_was_measured_and_why_a_frame_was_refused() {
        let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png"));
        let picture = decode(&read_file(file).unwrap(), Upright::AsStored).unwrap();
        let mut sheet = Sheet::default();
        for (millis, step) in [(0, Step::Wait), (100, Step::Wait), (200, Step::TakeSelfie), (600, Step::Wait)]
        {
            let frame = Frame {
                width: picture.width,
                height: picture.height,
                rgb: picture.rgb.clone(),
                sequence: 1,
                taken: BootTime::from_millis(1000 + millis),
            };
            let raw = RawFrame::from(&frame);
            let sight = Detector::new().unwrap().look(&raw.view().unwrap(), None);
            let measures = Meter::default().measure(&raw, Some(sight));
            let judged =
                Judged { measures, step, reason: Some(Reason::HeldStill), hint: Some(Hint::TurnHead) };
            sheet.add(&raw, &judged).unwrap();
        }
        let html = sheet.html("failed: <held_still>");
        assert!(html.starts_with("<!DOCTYPE html>") && html.contains("failed: &lt;held_still&gt;"));
        assert_eq!(
            html.matches("data:image/jpeg;base64,/9j/").count(),
            3,
            "the frame after 100 ms is left out"
        );
        assert_eq!(html.matches("<circle").count(), 3 * 6);
        for words in ["0.20 s: selfie", "held_still", "hint: turn_head", "yaw ", "class=\"taken\"", "1 more"]
        {
            assert!(html.contains(words), "{words}");
        }
        assert!(!html.contains("http"), "nothing is fetched from elsewhere");
    }
}
