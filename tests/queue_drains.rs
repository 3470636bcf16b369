//! What becomes of jobs that the service did not take, seen with the real daemon: looked up and sent again only when that is
//! allowed, or given up with the service's own sentence.

#![allow(clippy::unwrap_used)]

#[path = "support/site.rs"]
mod site;

use latchd::agent::bulk::{self, Bulk};
use latchd::config::Config;
use site::{Options, Site};
use std::time::Duration;

/// One job whose pictures the storage host swallowed: the service knows its id and waits for them (code 2314).
const SWALLOWED: &str =
    "enrolled = [\"bench\"]\n[[fault]]\nendpoint = \"v1/put\"\ncalls = [1]\nkind = \"drop-after-body\"\n";

fn picture() -> Vec<u8> {
    let mut picture = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut picture)
        .encode(&[128; 32 * 32], 32, 32, image::ExtendedColorType::L8)
        .unwrap();
    picture
}

/// door-rules, queue 2 and 4: what the look-up frees waits for the end of a pause like all others, and then tells the
/// service that it is the archive that was missing.
#[test]
fn a_job_that_was_never_taken_waits_for_the_end_of_a_pause() {
    let mut site = Site::build(&Options { api: "v1", scenario: SWALLOWED, ..Options::default() });
    site.import_people();
    let config = Config::load(&site.path("latchd.toml")).unwrap();
    let picture = picture();
    let bulk = Bulk { jobs: 1, in_a_commit: 1, held_back: Duration::ZERO, pictures: [&picture; 9] };
    bulk::fill(&config, bulk).unwrap();
    let sqlite = rusqlite::Connection::open(site.path("latchd.db")).unwrap();
    // An operator's pause right before the look-up: nothing but `queue retry` ends it.
    sqlite
        .execute_batch(
            "CREATE TRIGGER pause AFTER UPDATE OF state ON jobs WHEN new.state = 'unknown_outcome' BEGIN
                 INSERT INTO queue_flags (name, reason, boot_id, boot_us, wall_ms, due_boot_id, due_us)
                 VALUES ('pause', 'operator', zeroblob(16), 0, NULL, zeroblob(16), 0);
             END",
        )
        .unwrap();
    drop(sqlite);
    site.start_guard();
    site.start_daemon();
    let state = |site: &Site| site.jobs()[0]["state"].as_str().unwrap().to_owned();
    site.wait("the look-up", |site| {
        site.status()["queue"]["paused"].is_string()
            && !["sending", "unknown_outcome"].contains(&state(site).as_str())
    });
    assert_eq!(state(&site), "new", "{}", site.logs());
    assert_eq!(site.latchd(&["queue", "retry"]).exit, 0);
    site.wait("the verdict", |site| state(site) == "decided");
    let shown = site.latchd(&["queue", "show", site.jobs()[0]["job"].as_str().unwrap()]).last;
    assert_eq!(shown["verdict"], "approved", "{shown}");
    let events = site.events();
    let place = |kind: &str| events.iter().position(|event| event["event"] == kind);
    assert!(place("queue_resumed").unwrap() < place("late_verdict").unwrap(), "{events:?}");
    let failed = events.iter().filter(|event| event["event"] == "job_failed").count();
    assert_eq!(
        failed, 1,
        "it is sent as the service wants it, and not refused as a duplicate first: {events:?}"
    );
    assert_eq!(site.openings(), 0);
}

/// The service's sentence is kept with the job, and nothing of the person with it.
#[test]
fn a_refused_job_tells_what_the_service_said() {
    let scenario = r#"
        [[fault]]
        endpoint = "v3/authentication"
        kind = "status"
        status = 400
        body = '{"error": "Bad Request", "message": "the selfie of AMINA Fatou Clearwater (approved) is too\u001b[31m dark"}'
    "#;
    let site = Site::open(&Options { scenario, ..Options::default() });
    let answer = site.authenticate("approved");
    assert_eq!(answer.word("outcome"), "job_rejected", "{answer:?}");
    let said = "the selfie of … … (…) is too [31m dark";
    assert_eq!(answer.word("answer"), said, "{answer:?}");
    let job = site.jobs()[0].clone();
    assert_eq!((job["state"].as_str(), job["answer"].as_str()), (Some("dead_letter"), Some(said)));
    let shown = site.command(&["queue", "show", job["job"].as_str().unwrap()]);
    assert!(shown.contains(&format!("the service said: {said}")), "{shown}");
    let told = site.command(&["authenticate", "--user-id", "approved"]);
    assert!(told.contains(said), "{told}");
}
