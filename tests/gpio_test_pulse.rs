//! The installer's test pulse keeps the guard's promises (door-rules 5): whichever of its processes is killed or stopped
//! in the middle of it, the line is locked in time. Method: the real programs and a recording line; judged by the edges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/guard.rs"]
mod support;

use latchd::guard::recording::Level;
use rustix::process::Signal;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use support::{Place, boot, eventually, signal};

/// A long pulse that is under way, and the guard that makes it.
fn pulsing(place: &Place) -> (Child, u32) {
    let parent = place.command().args(["--test-pulse", "10000"]).stderr(Stdio::piped()).spawn().unwrap();
    eventually("unlocked", || !place.edges().is_empty());
    let guard = place.edges()[0].pid;
    assert_ne!(guard, parent.id(), "the line is the guard's own");
    (parent, guard)
}

/// From `begin` until the line is locked.
fn locked_within(place: &Place, begin: latchd::clock::BootTime, limit: Duration) {
    eventually("locked", || place.levels().last() == Some(&Level::Locked));
    let edges = place.edges();
    let took = edges[1].at.since(begin);
    assert!(took < limit, "locked after {took:?}");
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked], "one pulse");
}

/// Twice the rule's time: this machine does other things too.
const KILLED: Duration = Duration::from_millis(200);
const STOPPED: Duration = Duration::from_millis(1000);

#[test]
fn the_guard_is_killed() {
    let place = Place::new("");
    let (parent, guard) = pulsing(&place);
    let begin = boot();
    signal(guard, Signal::KILL);
    locked_within(&place, begin, KILLED);
    let ended = parent.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("died during the test pulse; the line is locked again"), "{text}");
}

#[test]
fn its_parent_is_killed() {
    let place = Place::new("");
    let (mut parent, _) = pulsing(&place);
    let begin = boot();
    parent.kill().unwrap();
    locked_within(&place, begin, KILLED);
    parent.wait().unwrap();
}

#[test]
fn its_parent_is_stopped() {
    let place = Place::new("");
    let (parent, _) = pulsing(&place);
    let begin = boot();
    signal(parent.id(), Signal::STOP);
    locked_within(&place, begin, STOPPED);
    signal(parent.id(), Signal::CONT);
    let ended = parent.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("locked again (heartbeat-lost)"), "{text}");
}

#[test]
fn the_guard_is_stopped() {
    let place = Place::new("");
    let (parent, guard) = pulsing(&place);
    let begin = boot();
    signal(guard, Signal::STOP);
    locked_within(&place, begin, STOPPED);
    assert_eq!(parent.wait_with_output().unwrap().status.code(), Some(1));
}

fn latchd(place: &Place, arguments: &[&str]) -> Output {
    let config = place.dir.path().join("latchd.toml");
    let text = format!(
        "[device]\nrun_dir = {:?}\n[door]\nguard_config = {:?}\nguard_socket = {:?}\n",
        place.dir.path().to_str().unwrap(),
        place.config_path.to_str().unwrap(),
        place.socket().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
    command.args(arguments).arg("--config").arg(&config).stdin(Stdio::null()).output().unwrap()
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn the_command_lets_the_guard_do_it() {
    let place = Place::new("pulse_max_ms = 1000");
    let done = latchd(&place, &["gpio", "pulse", "150"]);
    if !rustix::process::geteuid().is_root() {
        refused(&done, 2, &["takes root", "sudo"]);
        assert_eq!(place.edges(), []);
        return;
    }
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{done:?}");
    assert!(text.contains("locked again (pulse-end)"), "{text}");
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
    assert_ne!(place.edges()[0].pid, std::process::id());
    // The guard's ceiling is the command's.
    refused(&latchd(&place, &["gpio", "pulse", "1001"]), 2, &["1001", "pulse_max_ms = 1000"]);
    // A guard that serves is not got round.
    let _warden = place.start();
    support::Agent::up(&place);
    refused(&latchd(&place, &["gpio", "pulse", "150"]), 1, &["in use", "guard.sock", "stop it"]);
    assert_eq!(place.edges().len(), 2);
}
