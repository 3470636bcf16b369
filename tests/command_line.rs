//! The command-line contract: exit codes, JSON, and what works without a daemon.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/site.rs"]
mod site;

use assert_cmd::Command;
use serde_json::{Value, json};
use site::{Options, Site};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

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
    // Whoever asks one of these how it is used is shown it.
    for line in [
        "enroll",
        "people add",
        "people list",
        "people show",
        "people remove",
        "people import",
        "people unlock-out",
        "people erase",
        "device rotate-key",
        "queue list",
        "queue stats",
        "queue show",
        "queue retry",
        "queue drop",
        "queue export",
        "queue keygen",
        "queue export-set",
        "queue import-set",
        "config check",
        "config show",
        "config schema",
        "config reference",
    ] {
        let help = latchd().args(line.split(' ')).arg("--help").output().unwrap().stdout;
        assert!(String::from_utf8_lossy(&help).contains(&format!("  latchd {line}")), "{line}");
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
    for (args, socket) in [
        (vec!["queue", "list"], "read.sock"),
        (vec!["events"], "read.sock"),
        (vec!["status"], "read.sock"),
        (vec!["people", "list"], "operator.sock"),
        (vec!["authenticate", "--user-id", "approved"], "operator.sock"),
    ] {
        let answer = site.latchd(&args);
        assert_eq!(answer.exit, 2, "{args:?}: {answer:?}");
        assert!(answer.word("cause").contains(socket), "{args:?}: {answer:?}");
    }
}

/// Whatever goes wrong before anybody answers is told like an answer.
#[test]
fn local_errors_are_objects_too() {
    for args in [
        vec!["status", "--json", "--config", "/nonexistent.toml"],
        vec!["authenticate", "--json"],
        vec!["queue", "list", "--state", "lost", "--json"],
        vec!["people", "import", "/nonexistent.csv", "--json"],
        vec!["bench", "edge", "--grants", "0", "--json"],
    ] {
        let answer = site::answer(&latchd().args(&args).output().unwrap());
        assert_eq!(
            (answer.exit, answer.lines.len(), answer.word("kind")),
            (2, 1, "failed"),
            "{args:?} {answer:?}"
        );
        assert_eq!(answer.last["exit"], 2, "{args:?}");
        assert!(!answer.word("cause").is_empty() && !answer.word("remedy").is_empty(), "{args:?} {answer:?}");
        assert_eq!(answer.stderr, "", "{args:?}");
    }
}

/// The same mistake has the same exit code in every command, with a daemon and without.
#[test]
fn exit_codes_are_the_same_everywhere() {
    let mut site = Site::open(&Options::default());
    let job = "01980000-0000-7000-8000-000000000000";
    for _ in ["daemon", "none"] {
        for args in [
            vec!["people", "show", "nobody"],
            vec!["people", "remove", "nobody"],
            vec!["people", "unlock-out", "--user-id", "nobody"],
            vec!["queue", "show", job],
            vec!["queue", "retry", job],
            vec!["queue", "drop", job],
            vec!["queue", "export", job, "/nonexistent/evidence"],
        ] {
            assert_eq!(site.latchd(&args).exit, 1, "unknown: {args:?}");
        }
        for args in [
            vec!["people", "show", "no spaces"],
            vec!["people", "remove", "no spaces"],
            vec!["people", "unlock-out", "--user-id", "no spaces"],
            vec!["authenticate", "--user-id", "no spaces"],
            vec!["queue", "show", "7"],
            vec!["queue", "retry", "7"],
            vec!["queue", "drop", "7"],
            vec!["queue", "export", "7", "/nonexistent/evidence"],
            vec!["events", "--verify", "--head", "7"],
        ] {
            let answer = site.latchd(&args);
            assert_eq!(answer.exit, 2, "not a value: {args:?} {answer:?}");
            assert!(!answer.word("remedy").contains("--help"), "{answer:?}");
        }
        site.stop_daemon();
    }
}

/// Who would make files that the daemon's user cannot open is told so and makes none.
#[test]
fn no_directory_is_made_for_a_daemon_that_never_ran() {
    let site = Site::build(&Options {
        config: &[("state_dir = \"", "state_dir = \"/nonexistent")],
        ..Options::default()
    });
    let people = site.path("people.json");
    let answer = site.latchd(&["people", "import", people.to_str().unwrap()]);
    assert_eq!(answer.exit, 2, "{answer:?}");
    assert!(answer.word("remedy").starts_with("start the daemon first"), "{answer:?}");
    assert!(!Path::new("/nonexistent").exists());
}

#[test]
fn what_people_show_prints_is_imported_again() {
    let site = Site::build(&Options::default());
    site.import_people();
    let shown = site.latchd(&["people", "show", "approved"]);
    let file = site.path("again.json");
    fs::write(&file, &shown.stdout).unwrap();
    let imported = site.latchd(&["people", "import", file.to_str().unwrap()]);
    assert_eq!(
        (imported.exit, &imported.last["replaced"], &imported.last["added"]),
        (0, &json!(1), &json!(0))
    );
    assert_eq!(imported.last["without_consent"], 0);
    assert_eq!(site.latchd(&["people", "show", "approved"]).last, shown.last);
    // Whoever is there is not overwritten unawares.
    let add = [
        "people",
        "add",
        "--user-id",
        "approved",
        "--given-names",
        "A",
        "--last-name",
        "B",
        "--email",
        "a@b.co",
    ];
    let refused = site.latchd(&add);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.word("remedy").contains("--replace"), "{refused:?}");
}

/// No door is promised where none is involved.
#[test]
fn a_job_without_a_daemon_says_that_no_door_is_involved() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    site.stop_sandbox();
    let config = site.path("latchd.toml");
    let output = latchd().args(["enroll", "--user-id", "approved", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("no door involved; sent when the daemon runs"), "{said}");
    assert!(!said.contains("the door stays locked"), "{said}");
}

/// Starts a command and reads its lines until `seen`, then presses Ctrl-C.
fn interrupt_after(site: &Site, args: &[&str], seen: impl Fn(&Value) -> bool) -> (i32, Value) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_latchd"))
        .args(args)
        .args(["--json", "--config"])
        .arg(site.path("latchd.toml"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert!(lines.by_ref().any(|line| seen(&line)));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let last = lines.last().unwrap();
    (child.wait().unwrap().code().unwrap(), last)
}

#[test]
fn ctrl_c_calls_the_attempt_off_and_says_so() {
    let mut site =
        Site::open(&Options { scenario: "[default]\ndecide_after_ms = 600000\n", ..Options::default() });
    let args = ["authenticate", "--user-id", "approved"];
    let (exit, last) = interrupt_after(&site, &args, |line| line["step"] == "stored");
    assert_eq!((exit, &last["kind"], &last["outcome"]), (130, &json!("done"), &json!("cancelled")), "{last}");
    assert!(site.edges().is_empty());
    site.wait("the attempt is over", |site| site.status()["attempt_active"] == false);
    let (exit, last) = interrupt_after(&site, &["events", "--follow"], |line| line["event"] == "claim");
    assert_eq!(
        (exit, &last["kind"], &last["cause"]),
        (130, &json!("failed"), &json!("interrupted")),
        "{last}"
    );
    // Without a daemon as well: the job that is saved stays.
    site.stop_daemon();
    let (exit, last) = interrupt_after(&site, &args, |line| line["step"] == "stored");
    assert_eq!((exit, &last["kind"], &last["outcome"]), (130, &json!("done"), &json!("cancelled")), "{last}");
    assert_eq!(site.jobs().len(), 2);
}

#[test]
fn an_export_is_told_file_by_file_and_fails_at_the_first_that_cannot_be_written() {
    let mut site = Site::open(&Options::default());
    site.stop_sandbox();
    let job = site.authenticate("approved").word("job").to_owned();
    let out = site.path("new/evidence");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let exported = site.latchd(&["queue", "export", &job, out.to_str().unwrap()]);
    assert_eq!((exported.exit, exported.word("kind"), exported.word("job")), (0, "done", job.as_str()));
    let (_, items) = exported.lines.split_last().unwrap();
    assert_eq!(exported.last["files"], items.len());
    for item in items {
        let file = PathBuf::from(item["file"].as_str().unwrap());
        assert_eq!((item["kind"].as_str(), mode(&file)), (Some("item"), 0o600), "{item}");
        assert_eq!(fs::metadata(&file).unwrap().len(), item["bytes"].as_u64().unwrap());
    }
    assert_eq!(mode(&out), 0o700);
    let refused = site.latchd(&["queue", "export", &job, out.to_str().unwrap()]);
    assert_eq!((refused.exit, refused.lines.len()), (2, 1), "not empty: {refused:?}");
    // A disk with room for the first file alone.
    let short = site.path("short");
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_latchd"), "queue", "export", &job])
        .arg(&short)
        .args(["--json", "--config"])
        .arg(site.path("latchd.toml"))
        .output()
        .unwrap();
    let answer = site::answer(&output);
    assert_eq!((answer.exit, answer.lines.len(), answer.word("kind")), (1, 2, "failed"), "{answer:?}");
    assert!(answer.word("cause").contains("selfie.jpg"), "{answer:?}");
    assert!(!short.join("liveness_0.jpg").exists(), "nothing is written after the first error");
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
    let other = site.path("other");
    let refused = site.latchd(&["queue", "export", &job, other.to_str().unwrap()]);
    assert!(!other.exists());
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
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(2));
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    site.stop_daemon();
}
