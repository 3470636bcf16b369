//! The command-line contract: exit codes, JSON, and what works without a daemon.

#[path = "support/site.rs"]
mod site;

use assert_cmd::Command;
use site::{Options, Site};
use std::fs;

fn latchd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_latchd"))
}

#[test]
fn unlock_from_afar_is_refused_with_exit_2_and_a_word_why() {
    let output = latchd().args(["unlock", "--reason", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not open the door from afar"));
}

#[test]
fn every_command_has_help_and_the_programs_have_completions_and_pages() {
    for command in [
        "demo",
        "run",
        "people",
        "sandbox",
        "authenticate",
        "enroll",
        "queue",
        "events",
        "status",
        "config",
        "bench",
    ] {
        latchd().args([command, "--help"]).assert().success();
    }
    let script = latchd().args(["completions", "bash"]).output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&script).contains("complete -F _latchd"));
    let page = latchd().arg("man").output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&page).contains(".TH latchd 1"));
    let pages = tempfile::tempdir().unwrap();
    latchd().arg("man").arg(pages.path()).assert().success();
    assert!(pages.path().join("latchd-people-add.1").exists());
}

#[test]
fn a_wrong_word_is_exit_2() {
    latchd().arg("open-sesame").assert().code(2);
    latchd().args(["status", "--config", "/nonexistent.toml"]).assert().code(2);
}

#[test]
fn without_daemon_and_database_there_is_nothing_to_ask() {
    let site = Site::build(&Options::default());
    for args in
        [vec!["queue", "list"], vec!["events"], vec!["status"], vec!["authenticate", "--user-id", "approved"]]
    {
        let answer = site.latchd(&args);
        assert_eq!(answer.exit, 2, "{args:?}: {answer:?}");
    }
}

/// A job without a daemon: the same list, consent and queue; no door.
#[test]
fn a_job_from_files_is_judged_and_no_door_is_involved() {
    let site = Site::build(&Options::default());
    site.import_people();
    let picture = site.path("photograph.png");
    let mut args = vec!["authenticate", "--user-id", "approved", "--image", picture.to_str().unwrap()];
    for _ in 0..6 {
        args.extend(["--liveness", picture.to_str().unwrap()]);
    }
    let answer = site.latchd(&args);
    assert_eq!(
        (answer.exit, answer.word("outcome"), answer.word("door")),
        (0, "approved", "none"),
        "{answer:?}"
    );
    args[2] = "denied";
    let answer = site.latchd(&args);
    assert_eq!((answer.exit, answer.word("outcome")), (3, "denied"), "{answer:?}");
    args[2] = "nobody";
    assert_eq!(site.latchd(&args).word("outcome"), "not_permitted");
    assert_eq!(site.jobs().len(), 2);
    assert!(site.edges().is_empty());
    // Of these pictures, and of those of a camera.
    let mut enroll = args.clone();
    enroll[0] = "enroll";
    enroll[2] = "approved";
    assert_eq!(site.latchd(&enroll).word("outcome"), "enrolled");
    let camera = site.latchd(&["authenticate", "--user-id", "approved", "--no-wait"]);
    assert_eq!((camera.exit, camera.word("outcome")), (0, "stored"), "{camera:?}");
    assert!(site.jobs().iter().any(|job| job["state"] == "new"));
    let verified = site.latchd(&["events", "--verify"]);
    assert_eq!(verified.exit, 0, "{verified:?}");
}

#[test]
fn an_operator_sees_drops_retries_and_exports_jobs() {
    let mut site = Site::open(&Options::default());
    site.stop_sandbox();
    let job = site.authenticate("approved").word("job").to_owned();
    let out = site.path("evidence");
    let exported = site.latchd(&["queue", "export", &job, out.to_str().unwrap()]);
    assert_eq!(exported.exit, 0, "{exported:?}");
    let selfie = fs::read(out.join("selfie.jpg")).unwrap();
    assert_eq!(selfie[..2], [0xff, 0xd8]);
    assert!(out.join("liveness_5.jpg").exists());
    assert_eq!(site.latchd(&["queue", "show", &job]).word("state"), "new");
    assert_eq!(site.latchd(&["queue", "drop", &job]).exit, 0);
    assert_eq!(site.latchd(&["queue", "show", &job]).word("state"), "dropped");
    let refused = site.latchd(&["queue", "export", &job, out.to_str().unwrap()]);
    assert_eq!(refused.exit, 1, "images erased: {refused:?}");
    assert_eq!(site.latchd(&["queue", "retry", &job]).exit, 1);
    assert!(site.has_event("job_dropped"));
}

#[test]
fn a_second_daemon_does_not_start_on_the_same_database() {
    let mut site = Site::open(&Options::default());
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_latchd"))
        .args(["run", "--config"])
        .arg(site.path("latchd.toml"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(2));
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    site.stop_daemon();
}
