//! A Video4Linux camera that cannot be opened: each cause has its own error, a stable word and a remedy. What a
//! running device may do is tested beside the code, with a driver that can be made to fail.

#![allow(clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use latchd::camera::{self, CameraError};
use latchd::clock::SystemClock;
use latchd::config::model::Camera;

fn refused(device: impl AsRef<Path>) -> CameraError {
    let config = Camera { device: device.as_ref().to_owned(), ..Camera::default() };
    let error = camera::open(&config, Arc::new(SystemClock::new())).err().expect("it was opened");
    assert!(error.to_string().contains(&*device.as_ref().to_string_lossy()), "{error}");
    assert!(!error.remedy().is_empty());
    error
}

#[test]
fn a_missing_device() {
    for path in ["/dev/video-that-is-not-there", "/dev/null/video0", "/no/such/directory/video0"] {
        let error = refused(path);
        assert!(matches!(error, CameraError::Missing { .. }), "{path}: {error}");
        assert_eq!(error.reason(), "camera_missing");
    }
}

#[test]
fn a_character_device_that_is_no_camera() {
    for path in ["/dev/null", "/dev/zero"] {
        let error = refused(path);
        assert!(matches!(error, CameraError::NotACamera { .. }), "{path}: {error}");
        assert_eq!(error.reason(), "camera_unfit");
    }
}

#[test]
fn a_regular_file_or_a_directory_is_no_camera() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path(), Path::new("/tmp")] {
        let error = refused(path);
        assert!(matches!(error, CameraError::NotACamera { .. }), "{}: {error}", path.display());
    }
}

#[test]
fn a_path_with_a_zero_byte_is_an_error_and_not_a_panic() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/dev/video\0"));
    let config = Camera { device: path.to_owned(), ..Camera::default() };
    let error = camera::open(&config, Arc::new(SystemClock::new())).err().expect("it was opened");
    assert_eq!(error.reason(), "camera_fault");
}
