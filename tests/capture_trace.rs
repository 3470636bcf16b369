//! An installer sees what a camera shows of a face, and why a burst took its pictures or did not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const PHOTOGRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");

fn latchd(directory: &Path, camera: &str, args: &[&str]) -> (i32, Vec<Value>) {
    let config = directory.join("latchd.toml");
    fs::write(
        &config,
        format!("[smile]\npartner_id = \"1234\"\n[camera]\nsource = \"file\"\nfps = 15\n{camera}"),
    )
    .unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_latchd"))
        .args(["--json", args[0]])
        .args(&args[1..])
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let lines = String::from_utf8(out.stdout).unwrap();
    (out.status.code().unwrap(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_burst_leaves_a_contact_sheet_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let camera = format!("file = {PHOTOGRAPH:?}\nmode = \"still-with-sway\"\n");
    let trace = dir.path().join("trace");
    let args = ["capture", "--trace", trace.to_str().unwrap()];
    let (exit, lines) = latchd(dir.path(), &camera, &args);
    let done = lines.last().unwrap();
    assert_eq!((exit, &done["kind"], &done["pictures"]), (0, &"done".into(), &9.into()), "{lines:?}");
    let sheet = trace.join("index.html");
    assert_eq!(fs::metadata(&sheet).unwrap().permissions().mode() & 0o777, 0o600);
    let html = fs::read_to_string(&sheet).unwrap();
    for words in ["liveness picture 8", "selfie", "data:image/jpeg;base64,", "complete after"] {
        assert!(html.contains(words), "{words}");
    }
    // The configuration, and the sheet's directory with one file.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(&trace).unwrap().count(), 1);
    let (exit, lines) = latchd(dir.path(), &camera, &args);
    assert_eq!(
        (exit, &lines.last().unwrap()["kind"]),
        (1, &"failed".into()),
        "a directory that is there already"
    );
}

#[test]
fn tuning_tells_of_each_look_how_it_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let camera = format!("file = {PHOTOGRAPH:?}\nmode = \"still-with-sway\"\n");
    let (exit, lines) = latchd(dir.path(), &camera, &["camera", "tune", "--seconds", "2"]);
    assert_eq!(exit, 0, "{lines:?}");
    assert_eq!(lines.last().unwrap()["kind"], "done");
    assert!(
        lines.iter().any(|line| line["judged"] == "good" && line["face"]["area"].as_f64() > Some(0.04)),
        "{lines:?}"
    );
    let off = format!("{camera}[capture]\nface = \"not-looked-at\"\n");
    let (exit, lines) = latchd(dir.path(), &off, &["camera", "tune", "--seconds", "2"]);
    assert_eq!((exit, &lines.last().unwrap()["kind"]), (2, &"failed".into()));
}
