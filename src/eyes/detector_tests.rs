use super::super::network::tests::{fixture, number, vectors};
use super::*;

/// The test picture, 512x512. The face's box in it is about 100 pixels wide, at (225, 124).
fn astronaut() -> image::RgbImage {
    image::load_from_memory(&fixture("astronaut.png")).unwrap().to_rgb8()
}

/// 1280x720 of grey, and a place for pictures.
fn grey() -> image::RgbImage {
    image::RgbImage::from_pixel(1280, 720, image::Rgb([90, 95, 100]))
}

fn view(picture: &image::RgbImage) -> FrameView<'_> {
    FrameView::rgb(picture.width(), picture.height(), picture.as_raw()).unwrap()
}

/// Draws the astronaut, enlarged and turned about the face, with the face at `(x, y)`.
fn draw(
    onto: &mut image::RgbImage,
    scale: f32,
    degrees: f32,
    gain: f32,
    (x, y): (f32, f32),
    half_width: f32,
) {
    let from = astronaut();
    let (sin, cos) = degrees.to_radians().sin_cos();
    for (column, row, pixel) in onto.enumerate_pixels_mut() {
        let (dx, dy) = ((column as f32 - x) / scale, (row as f32 - y) / scale);
        let (fx, fy) = (225.0 + dx * cos + dy * sin, 124.0 - dx * sin + dy * cos);
        let inside = (0.0..512.0).contains(&fx)
            && (0.0..512.0).contains(&fy)
            && (column as f32 - x).abs() < half_width;
        if inside {
            *pixel = from.get_pixel(fx as u32, fy as u32).to_owned();
            pixel.0 = pixel.0.map(|value| (f32::from(value) * gain).min(255.0) as u8);
        }
    }
}

fn drawn(scale: f32, degrees: f32, gain: f32) -> image::RgbImage {
    let mut frame = grey();
    draw(&mut frame, scale, degrees, gain, (640.0, 330.0), f32::MAX);
    frame
}

/// The frame that the vectors name: rows 0 to 239, columns 12 to 437, three times enlarged.
fn frame_of_the_vectors() -> image::RgbImage {
    let from = astronaut();
    let mut frame = grey();
    for (column, row, pixel) in frame.enumerate_pixels_mut() {
        if (1..1279).contains(&column) {
            *pixel = *from.get_pixel(12 + (column - 1) / 3, row / 3);
        }
    }
    frame
}

/// The prototype's faces, all its cases: whole frame or centred square, one pass or two.
#[test]
fn faces_lie_where_the_vectors_say_within_a_pixel() {
    let pictures = [
        ("astronaut", astronaut()),
        ("frame 1280", frame_of_the_vectors()),
        ("black", image::RgbImage::new(1280, 720)),
        ("white", image::RgbImage::from_pixel(1280, 720, image::Rgb([255; 3]))),
    ];
    let mut detector = Detector::new().unwrap();
    for case in vectors()["cases"].as_array().unwrap() {
        let name = case["image"].as_str().unwrap();
        let (_, picture) = pictures.iter().find(|(start, _)| name.starts_with(start)).unwrap();
        let view = view(picture);
        let (width, height) = (view.width as f32, view.height as f32);
        let square = match case["region"].as_str().unwrap() {
            region if region.starts_with("whole") => whole(&view),
            _ => Bounds::square(Point { x: width / 2.0, y: height / 2.0 }, width.min(height)),
        };
        let mut found = detector.pass(&view, &square).to_vec();
        if let (Some(ratio), Some(first)) = (case["refine_ratio"].as_f64(), found.first()) {
            let side = first.bounds.width().max(first.bounds.height()) * ratio as f32;
            found = detector.pass(&view, &Bounds::square(first.bounds.centre(), side)).to_vec();
        }
        let expected = case["faces"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{case}");
        for (face, expected) in found.iter().zip(expected) {
            assert!((face.score - number(&expected["score"])).abs() < 0.005, "{face:?}\n{expected}");
            let Bounds { left, top, right, bottom } = face.bounds;
            let edges = expected["box"].as_array().unwrap().iter();
            let points =
                expected["kp"].as_array().unwrap().iter().flat_map(|point| point.as_array().unwrap());
            let ours = [left, top, right, bottom]
                .into_iter()
                .chain(face.landmarks.points().into_iter().flat_map(|p| [p.x, p.y]));
            for (ours, theirs) in ours.zip(edges.chain(points)) {
                assert!(
                    (ours - number(theirs)).abs() <= 1.0,
                    "{} {}\n{face:?}\n{expected}",
                    case["image"],
                    case["region"]
                );
            }
        }
    }
}

#[test]
fn a_face_is_found_at_the_sizes_turns_and_lights_of_the_table() {
    let mut detector = Detector::new().unwrap();
    let sizes = [2.0, 2.5, 3.0, 4.0, 5.0].map(|scale| (scale, 0.0, 1.0));
    let turns = [-45.0, -30.0, -15.0, 15.0, 30.0, 45.0].map(|degrees| (3.0, degrees, 1.0));
    let lights = [0.2, 0.5, 1.3].map(|gain| (3.0, 0.0, gain));
    for (scale, degrees, gain) in sizes.into_iter().chain(turns).chain(lights) {
        let picture = drawn(scale, degrees, gain);
        let sight = detector.look(&view(&picture), None);
        let what = format!("scale {scale}, {degrees} degrees, gain {gain}: {sight:?}");
        assert!(sight.searched() && sight.faces() == 1, "{what}");
        assert!(sight.is_sure(), "{what}");
        let best = sight.best.unwrap();
        let centre = best.face.bounds.centre();
        assert!((centre.x - 640.0).hypot(centre.y - 330.0) < 30.0 * scale, "{what}");
        assert!((best.face.bounds.width() / scale - 95.0).abs() < 25.0, "{what}");
        assert!((best.pose.unwrap().roll - degrees).abs() < 12.0, "{what}");
    }
}

#[test]
fn two_people_are_two_faces() {
    let mut frame = grey();
    draw(&mut frame, 2.2, 0.0, 1.0, (330.0, 330.0), 300.0);
    draw(&mut frame, 2.2, 0.0, 1.0, (950.0, 330.0), 300.0);
    let sight = Detector::new().unwrap().look(&view(&frame), None);
    assert_eq!(sight.faces(), 2, "{sight:?}");
}

/// A smaller face: pass 1 doubts it and pass 2 does not.
#[test]
fn both_passes_must_be_sure_and_each_keeps_its_own_score() {
    let picture = drawn(1.55, 0.0, 1.0);
    let mut detector = Detector::new().unwrap();
    let sight = detector.look(&view(&picture), None);
    let first = detector.pass(&view(&picture), &whole(&view(&picture))).first().unwrap().score;
    let seen = sight.whole.unwrap();
    assert!((seen.score - first).abs() < 1e-6, "{sight:?}");
    assert!((TURNING_SCORE_MIN..FACE_SCORE_MIN).contains(&seen.score) && seen.faces == 0, "{sight:?}");
    assert!(sight.close.score >= FACE_SCORE_MIN && sight.close.faces == 1, "{sight:?}");
    assert!(!sight.is_sure() && sight.faces() == 1, "{sight:?}");
    // Followed, only pass 2 is made, and has the only say.
    let face = sight.best.unwrap().face;
    let followed = detector.look(&view(&picture), Some(&face));
    assert!(followed.whole.is_none() && followed.is_sure(), "{followed:?}");
    assert!((followed.close.score - followed.best.unwrap().face.score).abs() < 1e-6);
}

#[test]
fn neither_pass_alone_makes_a_face_certain() {
    let best = Detector::new().unwrap().look(&view(&drawn(3.0, 0.0, 1.0)), None).best;
    let pass = |score| Pass { faces: 1, score };
    for (whole, close, sure) in [
        (Some(0.75), 0.75, true),
        (Some(0.74), 0.95, false),
        (Some(0.95), 0.74, false),
        (None, 0.75, true),
        (None, 0.74, false),
    ] {
        let sight = Sight { whole: whole.map(pass), close: pass(close), best };
        assert_eq!(sight.is_sure(), sure, "{whole:?} {close}");
        assert!(!Sight { best: None, ..sight }.is_sure());
    }
}

#[test]
fn no_face_is_seen_where_none_is() {
    let noise = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8;
    let pictures: [image::RgbImage; 6] = [
        image::RgbImage::new(640, 480),
        image::RgbImage::from_pixel(640, 480, image::Rgb([255; 3])),
        image::RgbImage::from_fn(640, 480, |x, y| image::Rgb([noise(y * 640 + x); 3])),
        image::RgbImage::from_fn(640, 480, |x, y| {
            image::Rgb([if (x / 40 + y / 40) % 2 == 0 { 20 } else { 230 }; 3])
        }),
        image::RgbImage::from_fn(640, 480, |x, y| image::Rgb([(x / 3) as u8, (y / 2) as u8, 90])),
        image::RgbImage::from_fn(640, 480, |x, y| {
            let round = (x as f32 - 320.0).hypot(y as f32 - 240.0) < 150.0;
            image::Rgb(if round { [200, 160, 140] } else { [40, 60, 90] })
        }),
    ];
    let mut detector = Detector::new().unwrap();
    for (number, picture) in pictures.iter().enumerate() {
        let sight = detector.look(&view(picture), None);
        assert_eq!(sight.faces(), 0, "picture {number}: {sight:?}");
        assert!(sight.best.is_none_or(|best| best.face.score < FACE_SCORE_MIN), "picture {number}");
    }
}

#[test]
fn a_face_is_followed_and_given_up_when_it_is_gone() {
    let mut detector = Detector::new().unwrap();
    let first = detector.look(&view(&drawn(3.0, 0.0, 1.0)), None).best.unwrap().face;
    let mut moved = grey();
    draw(&mut moved, 3.0, 0.0, 1.0, (700.0, 350.0), f32::MAX);
    let sight = detector.look(&view(&moved), Some(&first));
    assert!(!sight.searched() && sight.faces() == 1, "{sight:?}");
    let step = sight.best.unwrap().face.bounds.centre().x - first.bounds.centre().x;
    assert!((step - 60.0).abs() < 15.0, "{step}");
    let gone = detector.look(&view(&grey()), Some(&first));
    assert_eq!(gone, Sight { whole: None, close: Pass::default(), best: None });
}

#[test]
fn all_instructions_see_the_same() {
    let picture = drawn(3.0, 0.0, 1.0);
    let seen = [Detector::new(), Detector::baseline()]
        .map(|d| d.unwrap().look(&view(&picture), None).best.unwrap().face);
    let [one, other] = seen.map(|face| face.bounds);
    assert!(
        (one.left - other.left).abs() < 0.5 && (one.bottom - other.bottom).abs() < 0.5,
        "{one:?} {other:?}"
    );
}

#[test]
fn err_a_face_that_is_none_is_not_followed() {
    let mut detector = Detector::new().unwrap();
    let picture = grey();
    for side in [0.0, -5.0, 1e9, f32::NAN, f32::INFINITY] {
        let bounds = Bounds { left: 1.0, top: 1.0, right: 1.0 + side, bottom: 1.0 + side };
        let last = Face { bounds, score: 1.0, landmarks: Default::default() };
        assert_eq!(detector.look(&view(&picture), Some(&last)).best, None, "{side}");
    }
}
