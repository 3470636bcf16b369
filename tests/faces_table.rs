//! What the gate says of one public photograph in many lights and places: docs/faces.md is this table.
//!
//! When a threshold or the detector changes: `LATCHD_BLESS=1 cargo test --test faces_table` writes it anew; read what changed.
#![allow(clippy::unwrap_used)] // A failed assumption is a failed test.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // Pictures are arithmetic.
#![allow(clippy::indexing_slicing)] // Of pictures made here.

#[path = "support/scene.rs"]
mod scene;

use latchd::camera::RawFrame;
use latchd::camera::sway::Sway;
use latchd::capture::face::FaceLimits;
use latchd::capture::gate::{Limits, Meter, Reason, Trail, Verdict, judge};
use latchd::clock::BootTime;
use latchd::config::model;
use latchd::eyes::{Detector, FrameView};
use latchd::picture::Frame;
use scene::{HEIGHT, Place, WIDTH, blurred, covered, lit, noisy, person, photograph, put, wall};
use std::fmt::Write as _;
use std::path::Path;

/// As a burst judges the first frame that it sees.
struct Gate {
    detector: Detector,
    meter: Meter,
    limits: Limits,
    face: FaceLimits,
}

/// What may be taken of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Selfie,
    Liveness,
    Refused(Reason),
}

impl Gate {
    fn new() -> Self {
        let config = model::Capture::default();
        Self {
            detector: Detector::new().unwrap(),
            meter: Meter::default(),
            limits: Limits::from(&config),
            face: FaceLimits::of(&config).unwrap(),
        }
    }

    fn judge(&mut self, rgb: Vec<u8>) -> Use {
        let frame = Frame { width: WIDTH, height: HEIGHT, rgb, sequence: 0, taken: BootTime::default() };
        let sight = self.detector.look(&FrameView::rgb(WIDTH, HEIGHT, &frame.rgb).unwrap(), None);
        let measures = self.meter.measure(&RawFrame::from(&frame), Some(sight));
        if let Verdict::Refuse(reason) = judge(&measures, &self.limits, None::<&Trail>) {
            return Use::Refused(reason);
        }
        match self.face.judge(Some(&sight), false) {
            Ok(face) if self.face.looks_straight(&face) => Use::Selfie,
            Ok(_) => Use::Liveness,
            Err(reason) => Use::Refused(reason),
        }
    }
}

/// The size at which somebody stands before a door. The photograph's face has 95 pixels: larger ones are soft.
const NEAR: f32 = 1.5;

fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let near = || person(Place::scaled(NEAR));
    let tilted = |degrees| person(Place { degrees, ..Place::scaled(NEAR) });
    let squeezed = |squeeze| person(Place { squeeze, ..Place::scaled(NEAR) });
    let at = |x, y| person(Place { at: [x, y], ..Place::scaled(NEAR) });
    let sway = Sway::new(&photograph(), WIDTH, HEIGHT);
    let backlit = |by| {
        let bright = |picture, left| covered(picture, [left, 0, 150, HEIGHT as usize], [250; 3]);
        bright(bright(lit(near(), by), 0), 490)
    };
    let two = || {
        let mut picture = wall(3);
        let half = photograph();
        put(&mut picture, &half, Place { at: [470.0, 200.0], ..Place::scaled(1.7) });
        let mut left = wall(3);
        put(&mut left, &half, Place { at: [170.0, 200.0], ..Place::scaled(1.7) });
        for (row, other) in picture.chunks_mut(WIDTH as usize * 3).zip(left.chunks(WIDTH as usize * 3)) {
            row[..320 * 3].copy_from_slice(&other[..320 * 3]);
        }
        picture
    };
    let no_face = || {
        let mut picture = wall(5);
        // The suit, without the head.
        put(&mut picture, &photograph(), Place { at: [320.0, -260.0], ..Place::scaled(NEAR) });
        picture
    };
    let stripes = || {
        (0..WIDTH * HEIGHT)
            .flat_map(|at| [if (at % WIDTH / 16).is_multiple_of(2) { 60 } else { 190 }; 3])
            .collect()
    };
    vec![
        ("frontal, before the door", near()),
        ("tilted by 15 degrees", tilted(15.0)),
        ("tilted by 35 degrees", tilted(35.0)),
        ("upside down", tilted(180.0)),
        ("turning to one side (rendered)", sway.frame(9)),
        ("turning to the other side (rendered)", sway.frame(27)),
        ("a print turned away by 45 degrees", squeezed(0.7)),
        ("far", person(Place::scaled(1.0))),
        ("across the yard", person(Place::scaled(0.5))),
        ("nearer", person(Place::scaled(2.1))),
        ("near and soft", person(Place::scaled(3.5))),
        ("at the lens", person(Place::scaled(5.5))),
        ("at the left edge", at(90.0, 240.0)),
        ("at the upper edge", at(320.0, 60.0)),
        ("half the light", lit(near(), 0.5)),
        ("a third of the light", lit(near(), 0.3)),
        ("an eighth of the light", lit(near(), 0.12)),
        ("hardly any light", lit(near(), 0.04)),
        ("no light", lit(near(), 0.0)),
        ("too much light", lit(near(), 1.8)),
        ("burnt out", lit(near(), 4.0)),
        ("before a bright window", backlit(0.35)),
        ("noise of 8 steps", noisy(near(), 8.0)),
        ("a third of the light, noise of 12 steps", noisy(lit(near(), 0.3), 12.0)),
        ("slightly out of focus (sigma 1)", blurred(near(), 1.0)),
        ("out of focus (sigma 3)", blurred(near(), 3.0)),
        ("far out of focus (sigma 6)", blurred(near(), 6.0)),
        ("mouth and nose covered", covered(near(), [250, 252, 140, 90], [150, 180, 210])),
        ("eyes covered", covered(near(), [250, 205, 140, 40], [20, 20, 20])),
        ("half of the face covered", covered(near(), [320, 0, 320, 480], [90, 95, 100])),
        ("two persons", two()),
        ("a suit without a head", no_face()),
        ("a wall", wall(9)),
        ("stripes", stripes()),
        ("a cover on the lens", vec![3; (WIDTH * HEIGHT * 3) as usize]),
    ]
}

/// Of each lightness of the skin so many pictures: places, tilts and lights that a door has.
const VARIANTS: u32 = 50;
const LIGHTNESS: [f32; 5] = [1.0, 0.8, 0.6, 0.45, 0.3];

/// L of the bin, mean lightness, pictures accepted for liveness or a selfie.
fn bins(gate: &mut Gate) -> Vec<(f32, f32, u32)> {
    LIGHTNESS
        .map(|by| {
            let photograph = scene::of_lightness(photograph(), by);
            // The same places and lights for each.
            let mut random = scene::Noise(2026);
            let accepted = (0..VARIANTS).filter(|variant| {
                let place = Place {
                    at: [320.0 + random.next() * 60.0, 230.0 + random.next() * 40.0],
                    scale: 2.2 + random.next() * 0.4,
                    degrees: random.next() * 12.0,
                    squeeze: 1.0,
                };
                let light = 0.85 + random.next() * 0.35;
                let mut picture = wall(*variant);
                put(&mut picture, &photograph, place);
                !matches!(gate.judge(noisy(lit(picture, light), 3.0)), Use::Refused(_))
            });
            let accepted = u32::try_from(accepted.count()).unwrap();
            (by, scene::lightness(&photograph), accepted)
        })
        .into()
}

fn page(rows: &[(&str, Use)], bins: &[(f32, f32, u32)]) -> String {
    let mut page = String::from(
        "# What the gate says of a face\n\nGenerated by `LATCHD_BLESS=1 cargo test --test faces_table`, which otherwise holds the program to it. One public \
         photograph, put into\nframes of 640x480 by arithmetic, and judged as the first frame of a burst with the default configuration. A selfie may also be a\n\
         liveness picture.\n\n| picture | verdict | reason |\n|---|---|---|\n",
    );
    for (name, use_of_it) in rows {
        let (verdict, reason) = match use_of_it {
            Use::Selfie => ("selfie", ""),
            Use::Liveness => ("liveness", ""),
            Use::Refused(reason) => ("refused", reason.name()),
        };
        writeln!(page, "| {name} | {verdict} | {reason} |").unwrap();
    }
    write!(
        page,
        "\n## Lightness of the skin\n\nThe face's lightness (L of CIE Lab) multiplied, everything else kept; of each {VARIANTS} pictures in places, tilts and lights that are\n\
         the same for all, with noise. This is synthetic, from one face; not evidence of fairness.\n\n| L times | mean L of the face | accepted |\n|---|---|---|\n"
    )
    .unwrap();
    for (by, lightness, accepted) in bins {
        writeln!(page, "| {by} | {lightness:.0} | {accepted} of {VARIANTS} |").unwrap();
    }
    page
}

#[test]
fn the_page_of_faces_is_what_the_gate_says() {
    let mut gate = Gate::new();
    let rows: Vec<_> = pictures().into_iter().map(|(name, picture)| (name, gate.judge(picture))).collect();
    let bins = bins(&mut gate);
    let rates = || bins.iter().map(|(_, _, accepted)| f64::from(*accepted) / f64::from(VARIANTS));
    let (least, most) = (rates().fold(1.0, f64::min), rates().fold(0.0, f64::max));
    assert!(most - least <= 0.05, "{bins:?}");
    assert!(least >= 0.95, "{bins:?}");
    let generated = page(&rows, &bins);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faces.md");
    if std::env::var_os("LATCHD_BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == generated, "docs/faces.md is stale:\n{generated}");
}
