//! The zip of a v1 job, right and wrong.

use super::*;
use crate::access::Check;
use crate::clock::{BootTime, Wall};
use crate::sandbox::world::Protocol;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use zip::write::SimpleFileOptions;

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode(&[90; 8 * 8 * 3], 8, 8, image::ColorType::Rgb8.into())
        .unwrap();
    bytes
}

fn job() -> JobSeen {
    JobSeen {
        protocol: Protocol::V1,
        product: Check::Authentication,
        job_id: "j-2".into(),
        user_id: "u-1".into(),
        received: BootTime::from_millis(1),
        received_wall: Wall::Unknown,
        image_bytes: Vec::new(),
        body_bytes: 0,
        partner_params: BTreeMap::new(),
        submissions: 1,
        decision: String::new(),
    }
}

fn zipped(files: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn stored(files: &[(&str, &[u8])]) -> Vec<u8> {
    zipped(files, zip::CompressionMethod::Stored)
}

fn info(images: Value) -> Vec<u8> {
    json!({ "images": images }).to_string().into_bytes()
}

fn code(zip: &[u8]) -> String {
    read(zip, &job(), false).map_or_else(|ending| ending.code, |sizes| format!("{} pictures", sizes.len()))
}

#[test]
fn files_and_inline_pictures_are_found() {
    let jpeg = jpeg();
    let files = info(json!([
        { "image_type_id": 4, "image": "", "file_name": "l.jpg" },
        { "image_type_id": "0", "image": "", "file_name": "s.jpg" },
    ]));
    let entries: [(&str, &[u8]); 3] = [("info.json", &files), ("s.jpg", &jpeg), ("l.jpg", &jpeg)];
    assert_eq!(code(&stored(&entries)), "2 pictures");
    assert_eq!(code(&zipped(&entries, zip::CompressionMethod::Deflated)), "2 pictures");
    let inline = STANDARD.encode(&jpeg);
    let inline = info(json!([{ "image_type_id": 2, "image": inline, "file_name": "" }]));
    assert_eq!(code(&stored(&[("info.json", &inline)])), "1 pictures");
}

#[test]
fn what_is_wrong_has_its_code() {
    let jpeg = jpeg();
    let selfie = json!([{ "image_type_id": 0, "image": "", "file_name": "s.jpg" }]);
    let right = info(selfie.clone());
    let other_job = json!({
        "images": selfie, "misc_information": { "partner_params": { "job_id": "j-3", "user_id": "u-1" } },
    });
    let other_job = other_job.to_string().into_bytes();
    let liveness = info(json!([{ "image_type_id": 4, "image": "", "file_name": "s.jpg" }]));
    let garbage = info(json!([{ "image_type_id": 2, "image": "no base64", "file_name": "" }]));
    for (zip, expected) in [
        (b"not a zip".to_vec(), "0903"),
        (stored(&[("s.jpg", &jpeg)]), "2203"),
        (stored(&[("info.json", b"{"), ("s.jpg", &jpeg)]), "2203"),
        (stored(&[("info.json", b"{}"), ("s.jpg", &jpeg)]), "2203"),
        (stored(&[("info.json", &other_job), ("s.jpg", &jpeg)]), "2203"),
        (stored(&[("info.json", &right)]), "0001"),
        (stored(&[("info.json", &right), ("s.jpg", b"no picture")]), "0001"),
        (stored(&[("info.json", &liveness), ("s.jpg", &jpeg)]), "0001"),
        (stored(&[("info.json", &garbage)]), "0001"),
        (stored(&[("info.json", &right), ("s.jpg", &jpeg)]), "1 pictures"),
    ] {
        assert_eq!(code(&zip), expected);
    }
}

#[test]
fn a_zip_that_unpacks_to_too_much_is_corrupt() {
    let zeros = vec![0; usize::try_from(UNPACKED_BYTES_MAX).unwrap() + 1];
    let bomb = zipped(&[("info.json", &zeros)], zip::CompressionMethod::Deflated);
    assert!(bomb.len() < 100_000);
    assert_eq!(code(&bomb), "0903");
    let many: Vec<String> = (0..=ENTRIES_MAX).map(|index| index.to_string()).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    assert_eq!(code(&stored(&many)), "0903");
}

proptest! {
    /// One changed byte anywhere, or a cut: a result code or pictures, never a panic.
    #[test]
    fn a_damaged_zip_is_judged(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let jpeg = jpeg();
        let info = info(json!([{ "image_type_id": 0, "image": "", "file_name": "s.jpg" }]));
        let mut zip = stored(&[("info.json", &info), ("s.jpg", &jpeg)]);
        let at = at.index(zip.len());
        if cut {
            zip.truncate(at);
        } else {
            zip[at] = byte;
        }
        prop_assert!(["0903", "2203", "0001", "1 pictures"].contains(&code(&zip).as_str()));
    }
}
