//! What looking for a face costs: the network alone, averaging, whole frames. The peer is in scripts/bench/eyes_peer.py.

use super::capture::median;
use super::print;
use crate::camera::sway::Sway;
use crate::capture::gate::{Meter, digest};
use crate::cli::{Failure, output};
use crate::eyes::{Detector, EyesError, FrameView};
use crate::picture::read::{PictureError, Upright, decode, read_file};
use crate::picture::ycc::Decoded;
use serde_json::{Map, Value, json};
use std::path::Path;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;

/// Measures and prints. With `mjpg`, a JPEG as a camera sends it, also what such frames cost.
pub fn run(format: output::Format, image: &Path, mjpg: Option<&Path>) -> Result<(), Failure> {
    let rgb = frame_of(image)?;
    let mut figures = measured(&rgb).map_err(failed)?;
    if let Some(path) = mjpg {
        let jpeg = read_file(path).map_err(|error| unreadable(path, &error))?;
        Decoded::default().decode(&jpeg).map_err(|error| unreadable(path, &error))?;
        figures.extend(measured_mjpg(&jpeg).map_err(failed)?);
    }
    let text =
        figures.iter().map(|(name, value)| format!("  {name:<24} {value:>7}")).collect::<Vec<_>>().join("\n");
    let figures: Map<String, Value> = figures.into_iter().collect();
    print(format, json!({"width": WIDTH, "height": HEIGHT, "figures": figures}), &text);
    Ok(())
}

/// Follows the face through so many YUYV frames, as a burst does with a frame that it only looks at.
pub fn follow(image: &Path, frames: u32) -> Result<(), Failure> {
    let yuyv = to_yuyv(&frame_of(image)?);
    let view = FrameView::yuyv(WIDTH, HEIGHT, WIDTH * 2, &yuyv).map_err(failed)?;
    let mut detector = Detector::new().map_err(failed)?;
    let seen = detector.look(&view, None).best;
    let face = seen.ok_or_else(|| Failure::failed("no face is in it", "name a photograph with a face"))?.face;
    for _ in 0..frames {
        std::hint::black_box((detector.look(&view, Some(&face)), digest(&view)));
    }
    Ok(())
}

fn frame_of(image: &Path) -> Result<Vec<u8>, Failure> {
    let photograph = read_file(image).and_then(|bytes| decode(&bytes, Upright::AsStored));
    let photograph = photograph.map_err(|error| unreadable(image, &error))?;
    Ok(Sway::new(&photograph, WIDTH, HEIGHT).frame(9))
}

fn unreadable(path: &Path, error: &PictureError) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()), error.remedy())
}

fn failed(error: EyesError) -> Failure {
    Failure::failed(error.to_string(), error.remedy())
}

type Figures = Vec<(String, Value)>;

fn measured(rgb: &[u8]) -> Result<Figures, EyesError> {
    let (yuyv, nv12) = (to_yuyv(rgb), to_nv12(rgb));
    let (yuyv, nv12) =
        (FrameView::yuyv(WIDTH, HEIGHT, WIDTH * 2, &yuyv)?, FrameView::nv12(WIDTH, HEIGHT, WIDTH, &nv12)?);
    let views = [
        ("yuyv", yuyv),
        ("nv12", nv12),
        ("rgb", FrameView::rgb(WIDTH, HEIGHT, rgb)?),
        ("ycc", FrameView::ycc(WIDTH, HEIGHT, rgb)?),
    ];
    let (mut best, mut baseline) = (Detector::new()?, Detector::baseline()?);
    let mut meter = Meter::default();
    let face = best.look(&yuyv, None).best.map(|best| best.face);
    let mut figures = vec![
        ("start_us".to_owned(), json!(median(Detector::new))),
        ("network_us".to_owned(), json!(median(|| best.run_network()))),
        ("network_baseline_us".to_owned(), json!(median(|| baseline.run_network()))),
    ];
    for (name, view) in &views {
        figures.push((format!("average_{name}_us"), json!(median(|| best.average(view)))));
    }
    figures.push(("search_us".to_owned(), json!(median(|| best.look(&yuyv, None)))));
    let Some(face) = face else { return Ok(figures) };
    for (name, view) in views.iter().take(2) {
        figures.push((format!("track_{name}_us"), json!(median(|| best.look(view, Some(&face))))));
        figures.push((format!("gate_{name}_us"), json!(median(|| meter.overview(view)))));
        let both = || (best.look(view, Some(&face)), digest(view));
        figures.push((format!("frame_{name}_us"), json!(median(both))));
    }
    figures.push(("score_permille".to_owned(), json!((face.score * 1000.0).round())));
    Ok(figures)
}

/// A stream of one JPEG: decoding alone, and everything that a followed frame takes.
fn measured_mjpg(jpeg: &[u8]) -> Result<Figures, EyesError> {
    let (mut best, mut decoded) = (Detector::new()?, Decoded::default());
    let mut figures = vec![("decode_mjpg_us".to_owned(), json!(median(|| decoded.decode(jpeg))))];
    let (width, height) = decoded.size();
    let face = best.look(&FrameView::ycc(width, height, decoded.bytes())?, None).best.map(|best| best.face);
    let mut frame = |gate: bool| {
        // It was decoded before.
        let _ = decoded.decode(jpeg);
        let view = FrameView::ycc(width, height, decoded.bytes())?;
        Ok((best.look(&view, face.as_ref()), gate.then(|| digest(&view))))
    };
    let one: Result<_, EyesError> = frame(true);
    one?;
    figures.push(("track_mjpg_us".to_owned(), json!(median(|| frame(false).ok()))));
    figures.push(("frame_mjpg_us".to_owned(), json!(median(|| frame(true).ok()))));
    Ok(figures)
}

/// Y, U, V of BT.601, limited range.
fn yuv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (red, green, blue) = (i32::from(red), i32::from(green), i32::from(blue));
    let byte = |sum: i32, base: i32| u8::try_from(base + ((sum + 128) >> 8)).unwrap_or(0);
    [
        byte(66 * red + 129 * green + 25 * blue, 16),
        byte(-38 * red - 74 * green + 112 * blue, 128),
        byte(112 * red - 94 * green - 18 * blue, 128),
    ]
}

fn to_yuyv(rgb: &[u8]) -> Vec<u8> {
    let pairs = rgb.as_chunks::<3>().0.as_chunks::<2>().0;
    pairs
        .iter()
        .flat_map(|[first, second]| {
            let ([first, u, _], [second, _, v]) = (yuv(*first), yuv(*second));
            [first, u, second, v]
        })
        .collect()
}

fn to_nv12(rgb: &[u8]) -> Vec<u8> {
    let pixels = rgb.as_chunks::<3>().0;
    let lumas = pixels.iter().map(|pixel| yuv(*pixel)[0]);
    let rows = usize::try_from(WIDTH).map(|width| pixels.chunks(width).step_by(2)).into_iter().flatten();
    let chromas = rows.flat_map(|row| row.iter().step_by(2)).flat_map(|pixel| {
        let [_, u, v] = yuv(*pixel);
        [u, v]
    });
    lumas.chain(chromas).collect()
}
