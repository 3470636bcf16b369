//! The zip of a v1 job: `info.json` and the pictures it names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

use crate::access::Check;
use crate::sandbox::judge::Ending;
use crate::sandbox::picture::{is_jpeg, is_jpeg_or_png};
use crate::sandbox::world::JobSeen;

/// Entries of a zip. A job has about ten.
const ENTRIES_MAX: usize = 64;
/// All entries together, unpacked: a zip within its bound can hold far more than it weighs.
const UNPACKED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes of each picture, the selfie first; or how the job ends because of its zip.
/// `face_on_file`: the selfie may be missing, for the enrolled one stands for it.
pub(super) fn read(zip: &[u8], job: &JobSeen, face_on_file: bool) -> Result<Vec<usize>, Ending> {
    let files = unpack(zip).ok_or_else(|| Ending::new("0903", "Zip File Corrupt"))?;
    let info: Value = files
        .get("info.json")
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .filter(|info| is_about(info, job))
        .ok_or_else(malformed)?;
    let images = info.get("images").and_then(Value::as_array).ok_or_else(malformed)?;
    let (mut selfies, mut others, mut documents) = (Vec::new(), Vec::new(), 0);
    for image in images {
        let kind = image.get("image_type_id").and_then(number).ok_or_else(malformed)?;
        let bytes = picture(image, kind, &files).ok_or_else(unusable)?;
        match kind {
            0 | 2 => selfies.push(bytes),
            _ => others.push(bytes),
        }
        documents += usize::from(matches!(kind, 1 | 3));
    }
    let document = matches!(job.product, Check::DocumentVerification | Check::EnhancedDocumentVerification);
    let face = selfies.len() == 1 || face_on_file && selfies.is_empty();
    if !face || documents != usize::from(document) {
        return Err(unusable());
    }
    if job.product == Check::BiometricKyc {
        asks_the_authority(&info).ok_or_else(malformed)?;
    }
    selfies.append(&mut others);
    Ok(selfies)
}

/// A face is held against the authority's only for a number that was entered.
fn asks_the_authority(info: &Value) -> Option<()> {
    let id = info.get("id_info")?;
    let entered = id.get("entered")?;
    let entered = entered.as_bool().unwrap_or(entered.as_str() == Some("true"));
    let there = |field: &str| id.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    (entered && there("country") && there("id_type") && there("id_number")).then_some(())
}

fn malformed() -> Ending {
    Ending::new("2203", "Invalid info.json")
}

fn unusable() -> Ending {
    Ending::new("0001", "Invalid Data - Selfie Missing or Unusable")
}

/// `info.json` need not repeat the partner's parameters; if it does, they must be those of the upload call.
fn is_about(info: &Value, job: &JobSeen) -> bool {
    let Some(params) = info.get("misc_information").and_then(|misc| misc.get("partner_params")) else {
        return true;
    };
    let says = |field: &str, expected: &str| params.get(field).and_then(Value::as_str) == Some(expected);
    says("job_id", &job.job_id) && says("user_id", &job.user_id)
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The length of the picture that an entry of `images` names: a file of the zip, or base64 in its place.
fn picture(image: &Value, kind: u64, files: &HashMap<String, Vec<u8>>) -> Option<usize> {
    let in_zip = || files.get(image.get("file_name")?.as_str()?);
    let inline = || STANDARD.decode(image.get("image")?.as_str()?).ok();
    match kind {
        0 | 4 => in_zip().filter(|bytes| is_jpeg(bytes)).map(Vec::len),
        1 | 5 => in_zip().filter(|bytes| is_jpeg_or_png(bytes)).map(Vec::len),
        2 | 6 => inline().filter(|bytes| is_jpeg(bytes)).map(|bytes| bytes.len()),
        3 | 7 => inline().filter(|bytes| is_jpeg_or_png(bytes)).map(|bytes| bytes.len()),
        _ => None,
    }
}

/// All files by name; `None` when it is no zip or holds more than it may.
fn unpack(zip: &[u8]) -> Option<HashMap<String, Vec<u8>>> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).ok()?;
    if archive.len() > ENTRIES_MAX {
        return None;
    }
    let (mut files, mut left) = (HashMap::new(), UNPACKED_BYTES_MAX);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).ok()?;
        let name = entry.name().ok()?.into_owned();
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size().min(left)).ok()?);
        entry.take(left.saturating_add(1)).read_to_end(&mut bytes).ok()?;
        left = left.checked_sub(bytes.len() as u64)?;
        files.insert(name, bytes);
    }
    Some(files)
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
