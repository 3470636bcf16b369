//! What a frame costs. Measured and printed, not judged:
//! `cargo test --release --test capture_cost -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::sync::Arc;

use latchd::camera::convert::{Format, Layout, to_pixels};
use latchd::camera::sway::Sway;
use latchd::capture::encode::{self, View};
use latchd::capture::gate::measure;
use latchd::clock::{BootTime, Clock, SystemClock};
use latchd::picture::Frame;
use latchd::picture::read::{Upright, decode, read_file};

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");
const RUNS: usize = 31;

/// Median and largest of some runs, in microseconds.
fn cost<T>(what: &str, mut run: impl FnMut() -> T) {
    let clock = SystemClock::new();
    let mut micros: Vec<u64> = (0..RUNS)
        .map(|_| {
            let start = clock.boot();
            std::hint::black_box(run());
            clock.boot().as_micros() - start.as_micros()
        })
        .collect();
    micros.sort_unstable();
    println!("{what:<28} median {:>7} us   largest {:>7} us", micros[RUNS / 2], micros[RUNS - 1]);
}

#[test]
#[ignore = "a measurement, not a test"]
fn a_frame_through_camera_gate_and_encoder() {
    let photograph =
        read_file(ASTRONAUT.as_ref()).and_then(|bytes| decode(&bytes, Upright::AsStored)).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    for (width, height) in [(640u32, 480u32), (1280, 720)] {
        println!("{width}x{height}");
        cost("open: scale the photograph", || Sway::new(&photograph, width, height));
        let sway = Sway::new(&photograph, width, height);
        let mut number = 0;
        cost("sway", || {
            number += 1;
            sway.frame(number)
        });
        let frame = Frame { width, height, rgb: sway.frame(9), sequence: 0, taken: clock.boot() };
        let view = View { width, height, rgb: &frame.rgb };
        cost("gate", || measure(&frame));
        cost("liveness encode", || encode::liveness(view, 85).unwrap());
        cost("selfie encode", || encode::selfie(view, 85).unwrap());
        let yuyv = vec![120; (width * height * 2) as usize];
        let layout = |format, stride| Layout { format, width, height, stride };
        cost("YUYV to RGB", || to_pixels(layout(Format::Yuyv, width * 2), &yuyv).unwrap());
        cost("NV12 to RGB", || to_pixels(layout(Format::Nv12, width), &yuyv).unwrap());
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 85)
            .encode(&frame.rgb, width, height, image::ExtendedColorType::Rgb8)
            .unwrap();
        cost("MJPG to RGB", || to_pixels(layout(Format::Mjpg, 0), &jpeg).unwrap());
        let measures = measure(&Frame { taken: BootTime::default(), ..frame.clone() });
        println!(
            "{:<28} luminance {:.0}, sharpness {:.4}",
            "measured", measures.luminance_mean, measures.sharpness
        );
    }
}
