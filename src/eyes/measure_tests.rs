use super::*;
use crate::eyes::face::Landmarks;

const SIDE: u32 = 320;

fn seen(picture: impl Fn(u32, u32) -> u8) -> Light {
    let rgb: Vec<u8> = (0..SIDE * SIDE).flat_map(|at| [picture(at % SIDE, at / SIDE); 3]).collect();
    let view = FrameView::rgb(SIDE, SIDE, &rgb).unwrap();
    let all = Bounds { left: 0.0, top: 0.0, right: SIDE as f32, bottom: SIDE as f32 };
    light(&view, &all, &mut Sums::default(), &mut Scratch::new())
}

/// Evenly spread noise of a few steps about a level; its deviation is `reach / sqrt(3)`.
fn noise(x: u32, y: u32, level: f32, reach: f32) -> u8 {
    let mut mixed = (y * SIDE + x).wrapping_mul(0x9e37_79b9);
    mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    let share = ((mixed ^ mixed >> 16) & 0xffff) as f32 / 65_535.0;
    (level + reach * (2.0 * share - 1.0)).round() as u8
}

#[test]
fn a_flat_face_has_a_mean_and_nothing_else() {
    let light = seen(|_, _| 120);
    assert!((light.luma_mean - 120.0).abs() < 0.1, "{light:?}");
    assert_eq!((light.dark_share, light.bright_share), (0.0, 0.0));
    assert!(light.contrast < 1e-3 && light.noise < 1e-3 && light.sharpness < 1e-6, "{light:?}");
}

#[test]
fn burnt_and_black_pixels_are_counted() {
    let light = seen(|x, _| {
        if x < SIDE / 4 {
            2
        } else if x < SIDE / 2 {
            252
        } else {
            128
        }
    });
    assert!((light.dark_share - 0.25).abs() < 0.01 && (light.bright_share - 0.25).abs() < 0.01, "{light:?}");
}

#[test]
fn noise_is_estimated_in_steps_of_luma() {
    for reach in [3.0f32, 8.0, 20.0] {
        let estimate = seen(|x, y| noise(x, y, 120.0, reach)).noise;
        let true_noise = reach / 3f32.sqrt();
        assert!((estimate / true_noise - 1.0).abs() < 0.15, "{estimate} for {true_noise}");
    }
}

#[test]
fn blur_lowers_sharpness_and_a_darker_copy_keeps_it() {
    let stripes = |period: f32, gain: f32| {
        move |x: u32, _: u32| (gain * (120.0 + 60.0 * (x as f32 / period).sin())).round() as u8
    };
    let (sharp, dark, soft) = (seen(stripes(2.0, 1.0)), seen(stripes(2.0, 0.4)), seen(stripes(12.0, 1.0)));
    assert!(sharp.sharpness > 10.0 * soft.sharpness, "{sharp:?} {soft:?}");
    assert!((dark.sharpness / sharp.sharpness - 1.0).abs() < 0.1, "{sharp:?} {dark:?}");
    assert!((dark.contrast / sharp.contrast - 1.0).abs() < 0.1, "{sharp:?} {dark:?}");
}

#[test]
fn limited_range_luma_is_measured_as_full_range() {
    // 16 is black and 235 white to a camera.
    for (raw, expected) in [(16u8, 0.0), (235, 255.0), (126, 128.0)] {
        let bytes = [raw, 128].repeat(64 * 64);
        let view = FrameView::yuyv(64, 64, 128, &bytes).unwrap();
        let all = Bounds { left: 0.0, top: 0.0, right: 64.0, bottom: 64.0 };
        let light = light(&view, &all, &mut Sums::default(), &mut Scratch::new());
        assert!((light.luma_mean - expected).abs() < 1.0, "{raw}: {light:?}");
        assert_eq!(light.dark_share, if raw == 16 { 1.0 } else { 0.0 });
        assert_eq!(light.bright_share, if raw == 235 { 1.0 } else { 0.0 });
    }
}

#[test]
fn share_and_offset_are_of_the_frame() {
    let rgb = vec![100; 200 * 100 * 3];
    let view = FrameView::rgb(200, 100, &rgb).unwrap();
    let of = |left: f32, top: f32| {
        let bounds = Bounds { left, top, right: left + 50.0, bottom: top + 50.0 };
        let face = Face { bounds, score: 0.9, landmarks: Landmarks::default() };
        measure(&view, face, &mut Sums::default(), &mut Scratch::new())
    };
    let middle = of(75.0, 25.0);
    assert_eq!((middle.area_share, middle.offset, middle.pose), (0.125, (0.0, 0.0), None));
    let corner = of(175.0, 75.0);
    assert_eq!((corner.area_share, corner.offset), (0.031_25, (0.5, 0.5)));
    // Beside the frame nothing is measured, and nothing panics.
    let beside = of(-80.0, 300.0);
    assert_eq!((beside.area_share, beside.light), (0.0, Light::default()));
}
