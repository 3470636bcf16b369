//! A changed configuration comes into force by SIGHUP, without a restart and not while somebody is at the door; one that
//! does not hold changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A failed assumption is a failed test.

#[path = "support/site.rs"]
mod site;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use site::{Options, Site};
use std::fs;

fn hang_up(site: &Site) {
    let pid = Pid::from_raw(site.daemon_pid().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

fn change(site: &Site, from: &str, to: &str) {
    let path = site.path("latchd.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "nothing to replace: {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn starts(site: &Site) -> usize {
    site.events().iter().filter(|event| event["event"] == "started").count()
}

fn wait_for_start(site: &Site, count: usize) {
    site.wait("the new configuration", |site| {
        site.status().pointer("/lock/state") == Some(&json!("locked")) && starts(site) == count
    });
}

fn open_files(site: &Site) -> usize {
    fs::read_dir(format!("/proc/{}/fd", site.daemon_pid())).unwrap().count()
}

#[test]
fn a_changed_file_is_taken_without_a_restart_and_a_wrong_one_changes_nothing() {
    let site = Site::open(&Options::default());
    change(&site, "window_ms = 8000", "window_msec = 7000");
    hang_up(&site);
    site.wait("the refusal in the log", |site| site.logs().contains("the old one stays"));
    assert!(site.logs().contains("window_msec"), "{}", site.logs());
    change(&site, "window_msec = 7000", "window_ms = 8000");
    assert_eq!((starts(&site), site.authenticate("approved").word("outcome")), (1, "granted"));

    let pid = site.daemon_pid();
    change(&site, "name = \"", "name = \"new-");
    hang_up(&site);
    wait_for_start(&site, 2);
    let files = open_files(&site);
    assert!(site.status()["door"].as_str().unwrap().starts_with("new-"), "{}", site.status());
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");

    hang_up(&site);
    wait_for_start(&site, 3);
    assert_eq!(site.daemon_pid(), pid);
    assert!(open_files(&site) <= files, "files stay open from one life to the next");
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name.trim(), "latchd");
    assert_eq!(site.latchd(&["events", "--verify"]).last["whole"], json!(true));
}

#[test]
fn whoever_is_at_the_door_is_served_by_the_configuration_they_came_to() {
    let site = Site::open(&Options {
        scenario: "[[user]]\nid = \"approved\"\nverdict = \"clear\"\ndecide_after_ms = 600\n",
        ..Options::default()
    });
    change(&site, "name = \"", "name = \"new-");
    std::thread::scope(|scope| {
        let attempt = scope.spawn(|| site.authenticate("approved"));
        site.wait("an attempt under way", |site| site.status()["attempt_active"] == json!(true));
        hang_up(&site);
        assert_eq!(attempt.join().unwrap().word("outcome"), "granted");
    });
    wait_for_start(&site, 2);
    assert!(site.is_locked());
    let events = site.events();
    let at = |kind: &str, last: bool| {
        let mut found = events.iter().enumerate().filter(|(_, event)| event["event"] == kind);
        let one = if last { found.next_back() } else { found.next() };
        one.map(|(at, _)| at).unwrap_or_else(|| panic!("no {kind} in {events:?}"))
    };
    assert!(at("unlock_done", true) < at("stopped", true), "the pulse came to its end first");
}
