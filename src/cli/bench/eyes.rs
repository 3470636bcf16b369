//! What looking for a face costs: the network alone, averaging, whole frames. The peer is in scripts/bench/eyes_peer.py.

use super::capture::median;
use super::print;
use crate::camera::sway::Sway;
use crate::cli::{Failure, output};
use crate::eyes::{Detector, EyesError, FrameView};
use crate::picture::read::{Upright, decode, read_file};
use serde_json::{Map, Value, json};
use std::path::Path;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;

/// Measures and prints.
pub fn run(format: output::Format, image: &Path) -> Result<(), Failure> {
    let photograph =
        read_file(image).and_then(|bytes| decode(&bytes, Upright::AsStored)).map_err(|error| {
            Failure::failed(format!("{}: {error}", image.display()), "name a photograph, PNG or JPEG")
        })?;
    let rgb = Sway::new(&photograph, WIDTH, HEIGHT).frame(9);
    let figures = measured(&rgb).map_err(|error| Failure::failed(error.to_string(), error.remedy()))?;
    let text =
        figures.iter().map(|(name, value)| format!("  {name:<24} {value:>7}")).collect::<Vec<_>>().join("\n");
    print(format, json!({"width": WIDTH, "height": HEIGHT, "figures": figures}), &text);
    Ok(())
}

fn measured(rgb: &[u8]) -> Result<Map<String, Value>, EyesError> {
    let (yuyv, nv12) = (to_yuyv(rgb), to_nv12(rgb));
    let yuyv = FrameView::yuyv(WIDTH, HEIGHT, WIDTH * 2, &yuyv)?;
    let views = [
        ("average_yuyv_us", yuyv),
        ("average_nv12_us", FrameView::nv12(WIDTH, HEIGHT, WIDTH, &nv12)?),
        ("average_rgb_us", FrameView::rgb(WIDTH, HEIGHT, rgb)?),
        ("average_ycc_us", FrameView::ycc(WIDTH, HEIGHT, rgb)?),
    ];
    let (mut best, mut baseline) = (Detector::new()?, Detector::baseline()?);
    let face = best.look(&yuyv, None).best.map(|best| best.face);
    let mut figures = vec![
        ("start_us", json!(median(Detector::new))),
        ("network_us", json!(median(|| best.run_network()))),
        ("network_baseline_us", json!(median(|| baseline.run_network()))),
    ];
    for (name, view) in &views {
        figures.push((name, json!(median(|| best.average(view)))));
    }
    figures.push(("search_us", json!(median(|| best.look(&yuyv, None)))));
    if let Some(face) = face {
        figures.push(("track_us", json!(median(|| best.look(&yuyv, Some(&face))))));
        figures.push(("score_permille", json!((face.score * 1000.0).round())));
    }
    Ok(figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
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
