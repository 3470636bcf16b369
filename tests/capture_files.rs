//! Pictures handed in as files: checked, encoded anew without metadata, and never from the camera.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};

use latchd::capture::{CaptureError, FileCapture, Origin, files};
use latchd::clock::BootTime;
use latchd::config::model::Capture;
use latchd::picture::read::PictureError;

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");

fn load(selfie: &Path, liveness: &[PathBuf]) -> Result<FileCapture, CaptureError> {
    files::load(selfie, liveness, &Capture::default(), BootTime::from_millis(77))
}

/// A portrait-shaped JPEG, red above and blue below, with an EXIF segment that turns it and names a place.
fn with_exif(orientation: u8) -> Vec<u8> {
    let rgb: Vec<u8> =
        (0..480 * 640).flat_map(|at| if at < 480 * 320 { [250, 0, 0] } else { [0, 0, 250] }).collect();
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(&rgb, 480, 640, image::ExtendedColorType::Rgb8)
        .unwrap();
    // TIFF header, one directory of two entries: orientation, and an artist's name that must not be sent on.
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    exif.extend([0x01, 0x3b, 0, 2, 0, 0, 0, 8, 0, 0, 0, 38]);
    exif.extend([0, 0, 0, 0]);
    exif.extend(b"SOMEONE\0");
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    out
}

#[test]
fn six_to_eight_liveness_pictures_and_a_selfie_make_a_set() {
    for count in 0..=10 {
        let result = load(ASTRONAUT.as_ref(), &vec![ASTRONAUT.into(); count]);
        if (6..=8).contains(&count) {
            let set = result.unwrap().into_set();
            assert_eq!((set.liveness.len(), set.origin), (count, Origin::Files));
            assert_eq!((set.first, set.taken), (BootTime::from_millis(77), BootTime::from_millis(77)));
            let selfie =
                image::load_from_memory_with_format(&set.selfie.0, image::ImageFormat::Jpeg).unwrap();
            assert_eq!((selfie.width(), selfie.height()), (512, 512));
            let shot =
                image::load_from_memory_with_format(&set.liveness[0].0, image::ImageFormat::Jpeg).unwrap();
            assert_eq!((shot.width(), shot.height()), (320, 320));
        } else {
            let error = result.err().unwrap();
            assert!(matches!(error, CaptureError::LivenessCount { count: seen } if seen == count), "{error}");
        }
    }
}

#[test]
fn metadata_is_dropped_and_a_phones_picture_stands_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.jpg");
    // 6: to be turned a quarter clockwise, so that what is above comes to the right.
    let bytes = with_exif(6);
    assert!(bytes.windows(7).any(|text| text == b"SOMEONE"));
    std::fs::write(&path, bytes).unwrap();
    let set = load(&path, &vec![path.clone(); 6]).unwrap().into_set();
    for jpeg in set.liveness.iter().chain([&set.selfie]) {
        assert!(!jpeg.0.windows(7).any(|text| text == b"SOMEONE"));
        assert!(!jpeg.0.windows(4).any(|text| text == b"Exif"));
        let picture = image::load_from_memory(&jpeg.0).unwrap().into_rgb8();
        assert!(picture.width() > picture.height());
        let right = picture.get_pixel(picture.width() - 5, picture.height() / 2);
        assert!(right[0] > 200 && right[2] < 50, "{right:?}");
    }
}

#[test]
fn a_bad_file_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let png = std::fs::read(ASTRONAUT).unwrap();
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
    type Check = fn(&PictureError) -> bool;
    let table: [(PathBuf, Check); 5] = [
        (put("empty.jpg", b""), |e| matches!(e, PictureError::Empty)),
        (put("text.jpg", b"dear sir or madam"), |e| matches!(e, PictureError::NotAPicture)),
        (put("cut.png", &png[..9_000]), |e| matches!(e, PictureError::Truncated)),
        (put("huge.png", &huge), |e| matches!(e, PictureError::TooLarge { .. })),
        (folder.path().join("absent.jpg"), |e| matches!(e, PictureError::Unreadable(_))),
    ];
    for (path, check) in table {
        let mut liveness = vec![PathBuf::from(ASTRONAUT); 8];
        liveness[7].clone_from(&path);
        for result in [load(&path, &vec![ASTRONAUT.into(); 8]), load(ASTRONAUT.as_ref(), &liveness)] {
            let error = result.err().unwrap();
            assert_eq!(error.reason(), "bad_file", "{error}");
            assert!(!error.remedy().is_empty());
            let CaptureError::File { path: named, source } = &error else { panic!("{error}") };
            assert_eq!(named, &path);
            assert!(check(source), "{error}");
        }
    }
}

#[test]
fn a_selfie_that_is_too_small_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.png");
    image::RgbImage::from_pixel(400, 239, image::Rgb([9; 3])).save(&path).unwrap();
    let error = load(&path, &vec![ASTRONAUT.into(); 6]).err().unwrap();
    assert!(
        matches!(error, CaptureError::FileTooSmall { width: 400, height: 239, side_min: 240, .. }),
        "{error}"
    );
    // A liveness picture may be as small as the service's own 320 pixels make it.
    load(ASTRONAUT.as_ref(), &vec![path; 6]).unwrap();
}
