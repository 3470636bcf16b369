//! A capture set from pictures that were handed in: for enrolment and for jobs without a door. Such pictures
//! never arm the guard (door-rules 4).

use std::path::{Path, PathBuf};

use super::encode::{self, View};
use super::{CaptureError, CaptureSet, Origin};
use crate::clock::BootTime;
use crate::config::model;
use crate::picture::read::{Upright, decode, read_file};
use crate::picture::{Jpeg, Pixels};

/// How many liveness pictures the service takes.
const LIVENESS_COUNT: std::ops::RangeInclusive<usize> = 6..=8;

/// Pictures that were handed in as files. Only [`load`] makes one.
#[derive(Debug)]
pub struct FileCapture(CaptureSet);

impl FileCapture {
    /// The pictures.
    pub fn set(&self) -> &CaptureSet {
        &self.0
    }

    /// The pictures, for the queue.
    pub fn into_set(self) -> CaptureSet {
        self.0
    }
}

/// Reads, checks and encodes anew a selfie and 6 to 8 liveness pictures (JPEG or PNG). `now` becomes the moment
/// of all of them. The gate is not asked: whoever hands files in has chosen them.
///
/// # Errors
/// The first file that is unreadable, no picture, too large or too small; or a wrong number of them.
pub fn load(
    selfie: &Path,
    liveness: &[PathBuf],
    config: &model::Capture,
    now: BootTime,
) -> Result<FileCapture, CaptureError> {
    if !LIVENESS_COUNT.contains(&liveness.len()) {
        return Err(CaptureError::LivenessCount { count: liveness.len() });
    }
    let (selfie, liveness) = (load_selfie(selfie, config)?, load_liveness(liveness, config)?);
    Ok(FileCapture(CaptureSet { selfie, liveness, first: now, taken: now, origin: Origin::Files }))
}

/// A selfie alone, checked and encoded anew.
///
/// # Errors
/// The file is unreadable, no picture, too large or too small.
pub fn load_selfie(path: &Path, config: &model::Capture) -> Result<Jpeg, CaptureError> {
    let pixels = picture(path)?;
    if pixels.width.min(pixels.height) < config.side_min {
        return Err(CaptureError::FileTooSmall {
            path: path.to_owned(),
            width: pixels.width,
            height: pixels.height,
            side_min: config.side_min,
        });
    }
    encode::selfie(view(&pixels), config.jpeg_quality)
}

/// Any number of liveness pictures, checked and encoded anew.
///
/// # Errors
/// The first file that is unreadable, no picture or too large.
pub fn load_liveness(paths: &[PathBuf], config: &model::Capture) -> Result<Vec<Jpeg>, CaptureError> {
    paths.iter().map(|path| encode::liveness(view(&picture(path)?), config.jpeg_quality)).collect()
}

/// A picture as it was handed in, to the byte: of a document, every detail counts. It is decoded all the same, so that
/// what is no picture is found here.
///
/// # Errors
/// The file is unreadable, no picture or too large.
pub fn load_document(path: &Path) -> Result<Vec<u8>, CaptureError> {
    let failed = |source| CaptureError::File { path: path.to_owned(), source };
    let bytes = read_file(path).map_err(failed)?;
    decode(&bytes, Upright::AsStored).map_err(failed)?;
    Ok(bytes)
}

fn picture(path: &Path) -> Result<Pixels, CaptureError> {
    read_file(path)
        .and_then(|bytes| decode(&bytes, Upright::ByExif))
        .map_err(|source| CaptureError::File { path: path.to_owned(), source })
}

fn view(pixels: &Pixels) -> View<'_> {
    View { width: pixels.width, height: pixels.height, rgb: &pixels.rgb }
}
