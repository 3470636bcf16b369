//! What a frame costs on its way from the camera to the job.

use super::print;
use crate::camera::RawFrame;
use crate::camera::convert::{Format, Layout, to_pixels};
use crate::camera::sway::Sway;
use crate::capture::encode::{self, View};
use crate::capture::gate;
use crate::cli::{Failure, output};
use crate::clock::{Clock, SystemClock};
use crate::picture::Frame;
use crate::picture::read::{Upright, decode, read_file};
use serde_json::{Map, Value, json};
use std::path::Path;

const RUNS: usize = 31;
const QUALITY: u8 = 85;

/// The median of some runs, in microseconds.
pub(super) fn median<T>(mut run: impl FnMut() -> T) -> u64 {
    let clock = SystemClock::new();
    let mut micros: Vec<u64> = (0..RUNS)
        .map(|_| {
            let begun = clock.boot();
            std::hint::black_box(run());
            u64::try_from(clock.boot().since(begun).as_micros()).unwrap_or(u64::MAX)
        })
        .collect();
    micros.sort_unstable();
    micros.get(RUNS / 2).copied().unwrap_or(0)
}

/// Measures and prints.
pub fn run(format: output::Format, image: &Path) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("{}: {error}", image.display()), "name a photograph, PNG or JPEG")
    };
    let photograph = read_file(image)
        .and_then(|bytes| decode(&bytes, Upright::AsStored))
        .map_err(|error| failed(&error))?;
    for (width, height) in [(640_u32, 480_u32), (1280, 720)] {
        let sway = Sway::new(&photograph, width, height);
        let taken = SystemClock::new().boot();
        let frame = Frame { width, height, rgb: sway.frame(9), sequence: 0, taken };
        let view = View { width, height, rgb: &frame.rgb };
        let packed = vec![120; frame.rgb.len() / 3 * 2];
        let layout = |format, stride| Layout { format, width, height, stride };
        let (mut number, mut meter) = (0, gate::Meter::default());
        let figures: Map<String, Value> = [
            (
                "sway_us",
                median(|| {
                    number += 1;
                    sway.frame(number)
                }),
            ),
            ("gate_us", median(|| meter.measure(&RawFrame::from(&frame), None))),
            ("liveness_encode_us", median(|| encode::liveness(view, QUALITY))),
            ("selfie_encode_us", median(|| encode::selfie(view, QUALITY))),
            ("yuyv_to_rgb_us", median(|| to_pixels(layout(Format::Yuyv, width * 2), &packed))),
            ("nv12_to_rgb_us", median(|| to_pixels(layout(Format::Nv12, width), &packed))),
        ]
        .into_iter()
        .map(|(name, micros)| (name.to_owned(), json!(micros)))
        .collect();
        let text = figures
            .iter()
            .map(|(name, micros)| format!("  {name:<20} {micros:>7}"))
            .collect::<Vec<_>>()
            .join("\n");
        print(
            format,
            json!({"width": width, "height": height, "figures": figures}),
            &format!("{width}x{height}\n{text}"),
        );
    }
    Ok(())
}
