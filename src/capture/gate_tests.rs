use super::*;
use crate::picture::Frame;
use crate::picture::read::{Upright, decode, read_file};
use proptest::prelude::*;

fn limits() -> Limits {
    Limits::from(&model::Capture::default())
}

fn frame(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
    let rgb =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
    Frame { width, height, rgb, sequence: 0, taken: BootTime::from_millis(0) }
}

/// A face in ordinary light.
fn astronaut() -> Frame {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");
    let pixels = read_file(path.as_ref()).and_then(|bytes| decode(&bytes, Upright::AsStored)).unwrap();
    Frame {
        width: pixels.width,
        height: pixels.height,
        rgb: pixels.rgb,
        sequence: 0,
        taken: BootTime::default(),
    }
}

fn relit(mut frame: Frame, percent: u32) -> Frame {
    frame.rgb.iter_mut().for_each(|value| *value = (u32::from(*value) * percent / 100).min(255) as u8);
    frame
}

fn blurred(frame: &Frame, sigma: f32) -> Frame {
    let picture = image::RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone()).unwrap();
    Frame { rgb: image::imageops::blur(&picture, sigma).into_raw(), ..frame.clone() }
}

/// A pseudo-random value, as sensor noise is.
fn noise(x: u32, y: u32) -> u8 {
    ((x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917) >> 24) as u8
}

fn measure(frame: &Frame) -> Measures {
    super::measure(&RawFrame::from(frame))
}

fn overview(frame: &Frame) -> Overview {
    measure(frame).overview.unwrap()
}

fn verdict(frame: &Frame) -> Verdict {
    judge(&measure(frame), &limits(), None)
}

#[test]
fn the_gate_over_synthetic_pictures() {
    let face = astronaut();
    let fine = Verdict::Accept { hint: None };
    let table = [
        ("the face", face.clone(), fine),
        ("the face at half the light", relit(face.clone(), 50), fine),
        ("dim", relit(face.clone(), 30), Verdict::Accept { hint: Some(Hint::MoreLight) }),
        ("dark", relit(face.clone(), 15), Verdict::Refuse(Reason::TooDark)),
        ("black", frame(640, 480, |_, _| [0; 3]), Verdict::Refuse(Reason::Black)),
        ("black with noise", frame(640, 480, |x, y| [noise(x, y) / 32; 3]), Verdict::Refuse(Reason::Black)),
        (
            "a lamp in the dark",
            frame(640, 480, |x, _| [if x < 20 { 255 } else { 0 }; 3]),
            Verdict::Refuse(Reason::TooDark),
        ),
        ("a grey wall", frame(640, 480, |_, _| [120; 3]), Verdict::Refuse(Reason::Blurred)),
        (
            "a wall with noise",
            frame(640, 480, |x, y| [120 + noise(x, y) / 32; 3]),
            Verdict::Refuse(Reason::Blurred),
        ),
        ("a shaded wall", frame(640, 480, |x, _| [(x / 4) as u8 + 60; 3]), Verdict::Refuse(Reason::Blurred)),
        ("blurred", blurred(&face, 8.0), Verdict::Refuse(Reason::Blurred)),
        ("blurred and dim", relit(blurred(&face, 8.0), 30), Verdict::Refuse(Reason::Blurred)),
        ("too small", frame(640, 239, noise3), Verdict::Refuse(Reason::TooSmall)),
        ("just large enough", frame(240, 320, noise3), fine),
        ("no pixels", frame(0, 0, |_, _| [0; 3]), Verdict::Refuse(Reason::TooSmall)),
    ];
    for (name, picture, wanted) in table {
        assert_eq!(verdict(&picture), wanted, "{name}: {:?}", measure(&picture));
    }
}

fn noise3(x: u32, y: u32) -> [u8; 3] {
    [noise(x / 4, y / 4); 3]
}

#[test]
fn luminance_at_the_limits() {
    // A checkerboard is sharp at any light; its mean is half its bright squares.
    let board =
        |bright: u8| frame(320, 320, move |x, y| [if (x / 8 + y / 8) % 2 == 0 { bright } else { 0 }; 3]);
    assert_eq!(verdict(&board(39)), Verdict::Refuse(Reason::TooDark));
    assert_eq!(verdict(&board(40)), Verdict::Accept { hint: Some(Hint::MoreLight) });
    assert_eq!(verdict(&board(99)), Verdict::Accept { hint: Some(Hint::MoreLight) });
    assert_eq!(verdict(&board(100)), Verdict::Accept { hint: None });
}

#[test]
fn measures_hardly_depend_on_size_and_light() {
    let face = astronaut();
    let whole = overview(&face);
    let half = overview(&relit(face.clone(), 50));
    assert!((whole.sharpness / half.sharpness - 1.0).abs() < 0.1, "{whole:?} {half:?}");
    let picture = image::RgbImage::from_raw(512, 512, face.rgb).unwrap();
    let large = image::imageops::resize(&picture, 1280, 1280, image::imageops::FilterType::Triangle);
    let large = overview(&Frame { width: 1280, height: 1280, rgb: large.into_raw(), ..frame(0, 0, noise3) });
    assert!((whole.sharpness / large.sharpness - 1.0).abs() < 0.3, "{whole:?} {large:?}");
    assert!((whole.luma_mean - large.luma_mean).abs() < 1.0);
}

#[test]
fn the_same_bytes_again_are_frozen_and_one_changed_value_is_not() {
    let first = astronaut();
    let before = Trail::after(None, &measure(&first));
    let mut second = Frame { sequence: 1, taken: BootTime::from_millis(66), ..first };
    assert_eq!(judge(&measure(&second), &limits(), Some(&before)), Verdict::Refuse(Reason::Frozen));
    second.rgb[400_000 / 16_384 * 16_384] ^= 1;
    assert_eq!(judge(&measure(&second), &limits(), Some(&before)), Verdict::Accept { hint: None });
}

/// The same scene in each format that cameras send: what is judged must not depend on it.
#[test]
fn measures_are_those_of_the_scene_whatever_the_format() {
    use crate::camera::convert::ycc_to_pixels;
    let face = astronaut();
    let pixels = || face.rgb.as_chunks::<3>().0.iter().map(|pixel| pixel.map(f32::from));
    let whole = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    let chroma = |[red, green, blue]: [f32; 3], reach: f32| {
        let (u, v) =
            (0.564 * (blue - luma_of([red, green, blue])), 0.713 * (red - luma_of([red, green, blue])));
        [whole(128.0 + u * reach), whole(128.0 + v * reach)]
    };
    let lumas: Vec<u8> = pixels().map(|pixel| whole(16.0 + luma_of(pixel) * 219.0 / 255.0)).collect();
    let chromas: Vec<[u8; 2]> = pixels().map(|pixel| chroma(pixel, 224.0 / 255.0)).collect();
    let yuyv: Vec<u8> = (0..lumas.len()).flat_map(|at| [lumas[at], chromas[at / 2 * 2][at % 2]]).collect();
    let rows = chromas.chunks(512).step_by(2);
    let nv12: Vec<u8> =
        lumas.iter().copied().chain(rows.flat_map(|row| row.iter().step_by(2)).flatten().copied()).collect();
    let ycc: Vec<u8> = pixels()
        .flat_map(|pixel| {
            let [u, v] = chroma(pixel, 1.0);
            [whole(luma_of(pixel)), u, v]
        })
        .collect();
    let mut meter = Meter::default();
    let wanted = meter.overview(&FrameView::rgb(512, 512, &face.rgb).unwrap());
    for (name, view) in [
        ("yuyv", FrameView::yuyv(512, 512, 1024, &yuyv)),
        ("nv12", FrameView::nv12(512, 512, 512, &nv12)),
        ("ycc", FrameView::ycc(512, 512, &ycc)),
        ("rgb of ycc", FrameView::rgb(512, 512, &ycc_to_pixels(&ycc))),
    ] {
        let seen = meter.overview(&view.unwrap());
        assert!((seen.luma_mean - wanted.luma_mean).abs() < 1.0, "{name}: {seen:?} {wanted:?}");
        assert!((seen.sharpness / wanted.sharpness - 1.0).abs() < 0.05, "{name}: {seen:?} {wanted:?}");
        assert!((seen.brightest - wanted.brightest).abs() < 2.0, "{name}: {seen:?} {wanted:?}");
    }
}

fn luma_of([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[test]
fn a_changed_byte_is_seen_and_what_pads_a_row_is_not() {
    let bytes: Vec<u8> = (0..320 * 240 * 2 + 240 * 6).map(|at: u32| (at % 251) as u8).collect();
    let of = |bytes: &[u8]| digest(&FrameView::yuyv(320, 240, 646, bytes).unwrap());
    let before = of(&bytes);
    let mut changed = bytes.clone();
    changed[643] ^= 1;
    assert_eq!(of(&changed), before);
    changed[639] ^= 1;
    assert_ne!(of(&changed), before);
}

#[test]
fn a_sequence_number_may_stand_still_for_a_second_and_not_longer() {
    let mut trail: Option<Trail> = None;
    let mut shown = |sequence, millis| {
        let mut frame = astronaut();
        frame.rgb[0] = (millis % 251) as u8;
        let frame = Measures { sequence, taken: BootTime::from_millis(millis), ..measure(&frame) };
        let verdict = judge(&frame, &limits(), trail.as_ref());
        trail = Some(Trail::after(trail.as_ref(), &frame));
        verdict
    };
    let fine = Verdict::Accept { hint: None };
    assert_eq!(shown(7, 0), fine);
    assert_eq!(shown(7, 500), fine);
    assert_eq!(shown(7, 1000), fine);
    assert_eq!(shown(7, 1001), Verdict::Refuse(Reason::Frozen));
    assert_eq!(shown(7, 1600), Verdict::Refuse(Reason::Frozen));
    assert_eq!(shown(8, 1700), fine);
    assert_eq!(shown(8, 2700), fine);
}

#[test]
fn what_is_not_a_number_is_refused() {
    let fine = measure(&astronaut());
    let with = |change: fn(&mut Overview)| {
        let mut overview = fine.overview.unwrap();
        change(&mut overview);
        Measures { overview: Some(overview), ..fine }
    };
    let dark = with(|overview| overview.luma_mean = f32::NAN);
    assert_eq!(judge(&dark, &limits(), None), Verdict::Refuse(Reason::TooDark));
    let blurred = with(|overview| overview.sharpness = f32::NAN);
    assert_eq!(judge(&blurred, &limits(), None), Verdict::Refuse(Reason::Blurred));
}

#[test]
fn measuring_is_a_function_of_the_frame() {
    let face = astronaut();
    assert_eq!(measure(&face), measure(&face.clone()));
}

proptest! {
    #[test]
    fn any_frame_is_measured(width in 0u32..400, height in 0u32..400, seed: u8) {
        let measures = measure(&frame(width, height, |x, y| [noise(x, y) ^ seed; 3]));
        let Overview { luma_mean, sharpness, .. } = measures.overview.unwrap();
        prop_assert!(luma_mean.is_finite() && (0.0..=255.0).contains(&luma_mean));
        prop_assert!(sharpness.is_finite() && sharpness >= 0.0);
    }

    #[test]
    fn the_mean_is_the_mean_of_all_pixels(width in 160u32..500, height in 160u32..400, seed: u8) {
        let frame = frame(width, height, |x, y| [noise(x, y) ^ seed; 3]);
        let exact = frame.rgb.iter().map(|value| f64::from(*value)).sum::<f64>() / frame.rgb.len() as f64;
        prop_assert!((f64::from(overview(&frame).luma_mean) - exact).abs() < 0.01);
    }
}
