//! A queue full of approvals: they are recorded, one by one, and none of them moves the lock.

#![allow(clippy::unwrap_used)]

#[path = "support/site.rs"]
mod site;

use latchd::agent::bulk::{self, Bulk};
use latchd::config::Config;
use site::{Options, Site};
use std::time::Duration;

const JOBS: u32 = 1000;

/// door-rules 2: a thousand approvals after their attempts, no edge, and each job submitted once.
#[test]
fn a_thousand_late_approvals_open_nothing() {
    let site = &mut Site::build(&Options::default());
    site.import_people();
    let mut picture = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut picture)
        .encode(&[128; 32 * 32], 32, 32, image::ExtendedColorType::L8)
        .unwrap();
    let config = Config::load(&site.path("latchd.toml")).unwrap();
    let bulk = Bulk { jobs: JOBS, in_a_commit: 500, held_back: Duration::ZERO, pictures: [&picture; 9] };
    bulk::fill(&config, bulk).unwrap();
    site.start_guard();
    site.start_daemon();
    site.wait("the drain", |site| {
        site.status().pointer("/queue/states/decided").and_then(serde_json::Value::as_u64)
            == Some(u64::from(JOBS))
    });
    assert!(site.edges().is_empty(), "{:?}", site.edges());
    let seen = site.sandbox.as_ref().unwrap().jobs();
    assert_eq!(seen.len(), JOBS as usize, "each once");
    assert!(seen.iter().all(|job| job.decision == "clear"));
    let approvals = site
        .events()
        .iter()
        .filter(|event| event["event"] == "late_verdict" && event["fields"]["verdict"] == "approved")
        .count();
    assert_eq!(approvals, JOBS as usize);
    assert_eq!(site.latchd(&["events", "--verify"]).exit, 0);

    // Nothing was armed, so a grant would have made no edge either: the lock was not even asked.
    site.stop_daemon();
    site.stop_guard();
    let log = std::fs::read_to_string(site.path("guard.log")).unwrap();
    let lines_with = |word: &str| log.lines().filter(|line| line.contains(word)).count();
    assert_eq!(lines_with("peer connected"), 1, "the lock was there all the while:\n{log}");
    for word in ["refused", "armed", "unlocked", "grant", "lost"] {
        assert_eq!(lines_with(word), 0, "{word}:\n{log}");
    }
}
