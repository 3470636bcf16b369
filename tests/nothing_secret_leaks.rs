//! A whole run, and then all of its output, logs and files are searched for what must not be there.

#[path = "support/site.rs"]
mod site;

use serde_json::json;
use site::{API_KEY, Options, Site, person};
use std::fs;

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn no_key_no_name_and_no_picture_in_any_output_log_or_file() {
    let config = [("min_free_mib = 0", "min_free_mib = 0\n\n[log]\nlevel = \"debug\"")];
    // Ids that are no word of the program: finding one means that a person was named.
    let people = json!([
        person("emp-0042", "Amina Fatou", "Clearwater"),
        person("emp-0043", "Rashid Omar", "Dangerfield")
    ]);
    let mut site = Site::open(&Options { config: &config, people, ..Options::default() });
    let mut seen = String::new();
    let mut run = |site: &Site, args: &[&str]| {
        let answer = site.latchd(args);
        seen.push_str(&answer.stdout);
        seen.push_str(&answer.stderr);
        answer
    };
    for (args, exit) in [
        (["enroll", "--user-id", "emp-0042"], 0),
        (["authenticate", "--user-id", "emp-0042"], 0),
        (["authenticate", "--user-id", "emp-0043"], 3),
        (["authenticate", "--user-id", "emp-0044"], 3),
    ] {
        let answer = run(&site, &args);
        assert_eq!(answer.exit, exit, "{answer:?}");
    }
    site.stop_sandbox();
    let offline = run(&site, &["authenticate", "--user-id", "emp-0042"]);
    let job = offline.word("job").to_owned();
    for args in [
        vec!["people", "list"],
        vec!["queue", "list"],
        vec!["queue", "show", &job],
        vec!["status"],
        vec!["events"],
        vec!["events", "--verify"],
        vec!["config", "show"],
        vec!["config", "check"],
    ] {
        run(&site, &args);
    }
    site.stop_daemon();
    seen.push_str(&site.logs());

    let needles = [
        API_KEY,
        "Amina",
        "Clearwater",
        "clearwater",
        "Rashid",
        "Dangerfield",
        "dangerfield",
        "@example.com",
    ];
    for needle in needles {
        assert!(!seen.contains(needle), "{needle} was printed or logged");
    }
    assert!(seen.contains("emp-0042"), "the list of people, for one, names them");
    let events = site.events();
    for kind in ["claim", "granted", "attempt_ended", "verdict"] {
        assert!(events.iter().any(|event| event["event"] == kind), "the audit holds no {kind}");
    }
    for event in events {
        assert!(!event.to_string().contains("emp-00"), "a user id in the audit: {event}");
    }

    // What lies on the disk: names sealed, pictures sealed. A JPEG begins with these bytes.
    for file in ["latchd.db", "latchd.db-wal"] {
        let bytes = fs::read(site.path(file)).unwrap_or_default();
        for needle in needles.iter().filter(|needle| **needle != API_KEY) {
            assert!(!contains(&bytes, needle.as_bytes()), "{needle} lies open in {file}");
        }
        assert!(!contains(&bytes, &[0xff, 0xd8, 0xff, 0xe0]), "a picture lies open in {file}");
    }
    assert!(
        contains(&fs::read(site.path("latchd.db")).unwrap(), b"emp-0042"),
        "the search finds what is there"
    );

    let shown = site.latchd(&["people", "show", "emp-0042"]);
    assert!(shown.stdout.contains("Clearwater"), "operators do see names");
}
