//! What an installer meets at the command line of latchd-guard: help, errors with place and remedy and exit status 2, and
//! a test pulse. Method: the real program; judged by its exit status, its words and the recording.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "support/guard.rs"]
mod support;

use latchd::guard::recording::Level;
use rustix::process::Signal;
use std::process::{Command, Output, Stdio};
use support::{Place, eventually, signal};

fn guard(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchd-guard"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn refused(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn help_and_version() {
    let help = guard(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--test-pulse 500"));
    let version = guard(&["--version"]);
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        concat!("latchd-guard ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn wrong_usage_is_exit_2_and_one_line() {
    refused(&guard(&[]), &["--config FILE is missing", "--help"]);
    refused(&guard(&["--config"]), &["--config needs a value"]);
    refused(&guard(&["--config", "x", "--now"]), &["--now"]);
    refused(&guard(&["--config", "x", "--test-pulse", "soon"]), &["soon"]);
    refused(&guard(&["--config", "x", "--socket", "y", "--test-pulse", "5"]), &["another mode"]);
    refused(&guard(&["--config", "/nonexistent/guard.toml"]), &["/nonexistent/guard.toml", "install"]);
}

#[test]
fn a_wrong_file_is_exit_2_with_file_line_key_and_remedy() {
    let place = Place::new("");
    let path = place.config_path.to_str().unwrap();
    let good = std::fs::read_to_string(path).unwrap();
    let with = |text: String, words: &[&str]| {
        std::fs::write(path, text).unwrap();
        for mode in [&["--socket", "/nonexistent/x"][..], &["--test-pulse", "100"], &[]] {
            refused(&guard(&[&["--config", path], mode].concat()), words);
        }
    };
    with(format!("puls_max_ms = 5\n{good}"), &["guard.toml:1", "puls_max_ms", "pulse_max_ms"]);
    with(format!("\npulse_max_ms = 60001\n{good}"), &["guard.toml:2", "pulse_max_ms", "60000"]);
    with(format!("window_max_ms = \"15 s\"\n{good}"), &["guard.toml:1", "window_max_ms"]);
    let gpio = "lock = \"fail-secure\"\n[line]\nkind = \"gpio\"\nname = \"STRIKE\"\n";
    with(gpio.to_owned(), &["guard.toml:2", "egress", "hard-wired", "way out"]);
}

#[test]
fn an_unknown_peer_user_is_exit_2() {
    let place = Place::new("peer_user = \"no-such-user-here\"");
    let path = place.config_path.to_str().unwrap();
    refused(&guard(&["--config", path, "--socket", "/nonexistent/x"]), &["no-such-user-here", "peer_user"]);
}

#[test]
fn without_a_listening_socket_it_says_how_to_start_it() {
    let place = Place::new("");
    let path = place.config_path.to_str().unwrap();
    refused(&guard(&["--config", path]), &["seqpacket", "--socket"]);
}

#[test]
fn a_second_guard_on_the_same_socket_is_refused() {
    let place = Place::new("");
    let _warden = place.start();
    support::Agent::up(&place);
    let second = place.command().arg("--socket").arg(place.socket()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another guard"));
    assert!(place.socket().exists(), "the first one's socket is left alone");
    support::Agent::up(&place);
}

#[test]
fn a_test_pulse_is_one_pulse() {
    let place = Place::new("");
    let output = place.command().args(["--test-pulse", "250"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let edges = place.edges();
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
    let length = edges[1].at.since(edges[0].at).as_millis();
    assert!((250..350).contains(&length), "{length} ms");
}

#[test]
fn a_test_pulse_has_the_same_ceiling() {
    let place = Place::new("pulse_max_ms = 1000");
    for asked in ["1001", "0", "3600000"] {
        let output = place.command().args(["--test-pulse", asked]).output().unwrap();
        refused(&output, &[asked, "1000"]);
    }
    assert_eq!(place.edges(), []);
}

#[test]
fn a_test_pulse_names_who_holds_the_line() {
    let place = Place::new("");
    let _warden = place.start();
    support::Agent::up(&place);
    let output = place.command().args(["--test-pulse", "100"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is held by"), "{text}");
    assert_eq!(place.edges(), []);
}

#[test]
fn a_test_pulse_ends_at_the_terminals_stop_key() {
    let place = Place::new("");
    let mut child = place.command().args(["--test-pulse", "10000"]).spawn().unwrap();
    eventually("unlocked", || !place.edges().is_empty());
    signal(child.id(), Signal::TSTP);
    assert!(child.wait().unwrap().success());
    let edges = place.edges();
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
    assert!(edges[1].at.since(edges[0].at).as_millis() < 5_000);
}
