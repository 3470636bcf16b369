//! `latchd camera` and `latchd gpio` on a machine that may have neither: files as a camera, and the errors of what is
//! absent. What they say of real devices is shown on the virtual board.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PHOTOGRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");

fn latchd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

/// A directory with a configuration whose camera plays a photograph.
fn desk() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("latchd.toml");
    let camera = format!(
        "[camera]\nsource = \"file\"\nfile = {PHOTOGRAPH:?}\nmode = \"still-with-sway\"\nwidth = 320\nheight = 240\nfps = 60\n"
    );
    std::fs::write(&config, camera).unwrap();
    let config = config.to_str().unwrap().to_owned();
    (dir, config)
}

#[test]
fn a_snapshot_is_one_jpeg_for_its_maker_alone_and_replaces_nothing() {
    let (dir, config) = desk();
    let file = dir.path().join("door.jpg");
    let arguments = ["camera", "snapshot", "--config", &config, "-o", file.to_str().unwrap()];
    let done = latchd(&arguments);
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("picture of whoever stands before the camera"));
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes[..2], [0xff, 0xd8]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    refused(&latchd(&arguments), 1, &["door.jpg", "exists", "new file"]);
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_probe_measures_frames_and_light() {
    let (_dir, config) = desk();
    let done = latchd(&["camera", "probe", "--config", &config, "--frames", "10", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&said["kind"], &said["frames"], &said["returns"]), (&"done".into(), &10.into(), &0.into()));
    let luminance = said["luminance"].as_f64().unwrap();
    assert!((20.0..235.0).contains(&luminance), "{said}");
    assert!(said["fps_used"].as_f64().unwrap() > 1.0, "{said}");
    refused(&latchd(&["camera", "probe", "--config", &config, "--frames", "1"]), 2, &["--frames"]);
}

#[test]
fn an_absent_camera_is_exit_1_and_one_that_is_none_exit_2() {
    let nothing = "/no/such/latchd.toml";
    let probe = |device| latchd(&["camera", "probe", "--config", nothing, "--device", device]);
    refused(&probe("/dev/video-of-nobody"), 1, &["/dev/video-of-nobody", "not there; there is", "plug"]);
    refused(&probe("/dev/null"), 2, &["/dev/null", "not a Video4Linux device"]);
    // Without a device the configuration is needed.
    refused(&latchd(&["camera", "probe", "--config", nothing]), 2, &[nothing]);
}

#[test]
fn lists_end_with_how_many_there_are() {
    for (what, count) in [("camera", "nodes"), ("gpio", "chips")] {
        let done = latchd(&[what, "list", "--json"]);
        assert!(done.status.success(), "{done:?}");
        let text = String::from_utf8(done.stdout).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["kind"], "done");
        assert!(last[count].as_u64().is_some(), "{last}");
        assert!(latchd(&[what, "list"]).status.success());
    }
}

#[test]
fn an_absent_line_is_refused_with_what_there_is() {
    refused(&latchd(&["gpio", "watch", "NO-SUCH-LINE"]), 1, &["NO-SUCH-LINE; there is", "gpio list"]);
    let chip = ["gpio", "watch", "--chip", "/dev/gpiochip-of-nobody", "--offset", "1"];
    refused(&latchd(&chip), 1, &["/dev/gpiochip-of-nobody; there is"]);
    for wrong in [
        &["gpio", "watch"][..],
        &["gpio", "watch", "--chip", "x"],
        &["gpio", "watch", "REX", "--bias", "sideways"],
        &["gpio", "watch", "REX", "--count", "0"],
        &["gpio", "pulse"],
        &["gpio", "pulse", "-5"],
    ] {
        assert_eq!(latchd(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(!Path::new("/dev/gpiochip-of-nobody").exists());
}
