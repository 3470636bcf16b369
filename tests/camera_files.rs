//! Files as a camera: what plays, at what rate, and that no bad file gets further than a reason.
//! Time is a clock that the waiter moves; nothing here waits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchd::camera::file::{FileSource, Waiter};
use latchd::camera::{CameraError, Source};
use latchd::clock::{BootTime, Clock, ManualClock, Wall};
use latchd::config::model::{Camera, CameraSource, FileMode};
use latchd::picture::Frame;
use latchd::picture::read::PictureError;

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");

/// Lets time pass on the clock and writes down how much.
struct Moving {
    clock: Arc<ManualClock>,
    waits: Arc<Mutex<Vec<Duration>>>,
}

impl Waiter for Moving {
    fn wait(&mut self, span: Duration) {
        self.clock.advance(span);
        self.waits.lock().unwrap().push(span);
    }
}

struct Desk {
    clock: Arc<ManualClock>,
    waits: Arc<Mutex<Vec<Duration>>>,
    source: FileSource,
}

fn open(config: &Camera) -> Result<Desk, CameraError> {
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(10_000), Wall::Unknown));
    let waits = Arc::new(Mutex::new(Vec::new()));
    let waiter = Moving { clock: clock.clone(), waits: waits.clone() };
    let source = FileSource::open(config, clock.clone(), Box::new(waiter))?;
    Ok(Desk { clock, waits, source })
}

fn config(file: impl AsRef<Path>, mode: FileMode) -> Camera {
    let file = Some(file.as_ref().to_owned());
    Camera { source: CameraSource::File, file, mode, width: 640, height: 480, ..Camera::default() }
}

fn plain(file: impl AsRef<Path>) -> Result<Desk, CameraError> {
    open(&config(file, FileMode::Plain))
}

fn frames(desk: &mut Desk, count: usize) -> Vec<Frame> {
    (0..count).map(|_| desk.source.next_frame().unwrap().to_frame().unwrap()).collect()
}

/// A JPEG of one grey.
fn grey(level: u8, width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut out)
        .encode(&vec![level; (width * height * 3) as usize], width, height, image::ExtendedColorType::Rgb8)
        .unwrap();
    out
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn a_photograph_plays_over_and_over_as_it_is() {
    let mut desk = plain(ASTRONAUT).unwrap();
    let frames = frames(&mut desk, 3);
    assert!(frames.iter().all(|frame| (frame.width, frame.height) == (512, 512)));
    assert_eq!(frames[0].rgb, frames[2].rgb);
    assert_eq!(frames.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(desk.source.describe().contains("512x512"));
}

#[test]
fn a_directory_plays_by_name_and_leaves_the_rest_out() {
    let folder = Folder::new();
    folder.put("2.JPG", &grey(20, 8, 8));
    folder.put("1.jpeg", &grey(10, 8, 8));
    folder.put("10.jpg", &grey(30, 8, 8));
    folder.put("readme.txt", b"not a picture");
    folder.put(".hidden.jpg", b"not a picture either");
    std::fs::create_dir(folder.0.path().join("0.jpg")).unwrap();
    let mut desk = plain(folder.0.path()).unwrap();
    let levels: Vec<u8> = frames(&mut desk, 4).iter().map(|frame| frame.rgb[0]).collect();
    assert_eq!(levels, [10, 30, 20, 10]);
}

#[test]
fn an_mjpeg_file_plays_its_whole_frames() {
    let folder = Folder::new();
    let last = grey(90, 16, 8);
    let stream = [grey(50, 16, 8), grey(70, 16, 8), last[..last.len() - 2].to_vec()].concat();
    let mut desk = plain(folder.put("door.mjpeg", &stream)).unwrap();
    let levels: Vec<u8> = frames(&mut desk, 3).iter().map(|frame| frame.rgb[0]).collect();
    assert_eq!(levels, [50, 70, 50]);
    assert!(desk.source.describe().contains("2 frames"));
}

#[test]
fn a_photograph_followed_by_another_picture_is_still_one_photograph() {
    let folder = Folder::new();
    let path = folder.put("phone.jpg", &[grey(50, 32, 32), grey(200, 8, 8)].concat());
    let mut desk = open(&config(path, FileMode::StillWithSway)).unwrap();
    assert!((40..60).contains(&frames(&mut desk, 1)[0].rgb[0]));
}

#[test]
fn frames_come_at_the_configured_rate_and_a_late_caller_is_not_made_to_wait() {
    let mut desk = open(&Camera { fps: 10, ..config(ASTRONAUT, FileMode::StillWithSway) }).unwrap();
    let moments: Vec<u64> = frames(&mut desk, 4).iter().map(|frame| frame.taken.as_millis()).collect();
    assert_eq!(moments, [10_000, 10_100, 10_200, 10_300]);
    desk.clock.advance(Duration::from_millis(450));
    let moments: Vec<u64> = frames(&mut desk, 2).iter().map(|frame| frame.taken.as_millis()).collect();
    assert_eq!(moments, [10_750, 10_850]);
    assert_eq!(desk.waits.lock().unwrap().len(), 4);
}

#[test]
fn a_rate_slower_than_the_frame_timeout_times_out_as_a_camera_would() {
    let mut desk =
        open(&Camera { fps: 1, frame_timeout_ms: 400, ..config(ASTRONAUT, FileMode::Plain) }).unwrap();
    desk.source.next_frame().unwrap();
    for _ in 0..2 {
        let error = desk.source.next_frame().unwrap_err();
        assert!(matches!(error, CameraError::Timeout { after_ms: 400, .. }), "{error}");
    }
    assert_eq!(desk.clock.boot(), BootTime::from_millis(10_800));
    assert_eq!(desk.source.next_frame().unwrap().taken, BootTime::from_millis(11_000));
}

#[test]
fn sway_is_the_same_each_time_never_still_and_of_the_configured_size() {
    let once = frames(&mut open(&config(ASTRONAUT, FileMode::StillWithSway)).unwrap(), 40);
    let again = frames(&mut open(&config(ASTRONAUT, FileMode::StillWithSway)).unwrap(), 40);
    assert_eq!(once, again);
    assert!(once.windows(2).all(|pair| pair[0].rgb != pair[1].rgb));
    assert!(once.iter().all(|frame| (frame.width, frame.height, frame.rgb.len()) == (640, 480, 921_600)));
}

/// The bad files of the configuration: each is refused with its own reason, a word for the audit and a remedy.
#[test]
fn bad_files_are_refused_with_a_reason() {
    let folder = Folder::new();
    let png = std::fs::read(ASTRONAUT).unwrap();
    let jpeg = grey(128, 64, 64);
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
    let mut huge_jpeg = jpeg.clone();
    let header = huge_jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    huge_jpeg[header + 5..header + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    type Check = fn(&PictureError) -> bool;
    let table: [(&str, &[u8], Check); 9] = [
        ("empty.jpg", b"", |e| matches!(e, PictureError::Empty)),
        ("text.jpg", b"this is no picture", |e| matches!(e, PictureError::NotAPicture)),
        ("text.mjpeg", b"this is no stream", |e| matches!(e, PictureError::NotAPicture)),
        ("cut.jpg", &jpeg[..jpeg.len() / 2], |e| matches!(e, PictureError::Truncated)),
        ("cut.mjpeg", &jpeg[..jpeg.len() / 2], |e| matches!(e, PictureError::Truncated)),
        ("cut.png", &png[..png.len() / 2], |e| matches!(e, PictureError::Truncated)),
        ("header-only.jpg", &jpeg[..3], |e| matches!(e, PictureError::Truncated)),
        ("huge.png", &huge, |e| matches!(e, PictureError::TooLarge { width: 20_000, height: 20_000 })),
        ("huge.jpg", &huge_jpeg, |e| matches!(e, PictureError::TooLarge { width: 20_000, height: 20_000 })),
    ];
    for (name, bytes, check) in table {
        let path = folder.put(name, bytes);
        for mode in [FileMode::Plain, FileMode::StillWithSway] {
            let error = open(&config(&path, mode)).err().unwrap_or_else(|| panic!("{name} was opened"));
            assert_eq!(error.reason(), "camera_bad_file", "{name}: {error}");
            assert!(error.to_string().contains(name) && !error.to_string().contains('\n'), "{error}");
            assert!(!error.remedy().is_empty());
            let CameraError::Picture { source, .. } = &error else { panic!("{name}: {error}") };
            assert!(check(source), "{name}: {error}");
        }
    }
}

#[test]
fn a_bad_picture_within_a_directory_or_a_stream_is_an_error_when_its_turn_comes() {
    let folder = Folder::new();
    folder.put("1.jpg", &grey(10, 8, 8));
    folder.put("2.jpg", b"");
    let mut desk = plain(folder.0.path()).unwrap();
    desk.source.next_frame().unwrap();
    let error = desk.source.next_frame().unwrap_err();
    assert!(
        matches!(&error, CameraError::Picture { source: PictureError::Empty, path } if path.ends_with("2.jpg"))
    );
}

#[test]
fn what_cannot_be_played_at_all() {
    let folder = Folder::new();
    let none = open(&Camera { file: None, ..config(ASTRONAUT, FileMode::Plain) }).err().unwrap();
    assert!(matches!(none, CameraError::FileNotSet), "{none}");
    let missing = plain(folder.0.path().join("no.jpg")).err().unwrap();
    assert!(matches!(missing, CameraError::Missing { .. }), "{missing}");
    let device = plain("/dev/zero").err().unwrap();
    assert!(matches!(device, CameraError::Picture { source: PictureError::NotAFile, .. }), "{device}");
    let empty = plain(folder.0.path()).err().unwrap();
    assert!(matches!(empty, CameraError::NoPictures { .. }), "{empty}");
    folder.put("1.jpg", &grey(9, 8, 8));
    let sway = open(&config(folder.0.path(), FileMode::StillWithSway)).err().unwrap();
    assert!(matches!(sway, CameraError::NotOnePhotograph { .. }), "{sway}");
}

#[test]
fn a_pipe_is_refused_at_once_instead_of_waited_for() {
    let folder = Folder::new();
    let pipe = folder.0.path().join("pipe.jpg");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = plain(&pipe).err().unwrap();
    assert!(matches!(error, CameraError::Picture { source: PictureError::NotAFile, .. }), "{error}");
}
