//! A whole run, and then all of its output, logs and files are searched for what must not be there.

#[path = "support/site.rs"]
mod site;

use site::{API_KEY, Options, Site};
use std::fs;

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn no_key_no_name_and_no_picture_in_any_output_log_or_file() {
    let config = [("min_free_mib = 0", "min_free_mib = 0\n\n[log]\nlevel = \"debug\"")];
    let mut site = Site::open(&Options { config: &config, ..Options::default() });
    let mut seen = String::new();
    let mut run = |site: &Site, args: &[&str]| {
        let answer = site.latchd(args);
        seen.push_str(&answer.stdout);
        seen.push_str(&answer.stderr);
        answer
    };
    run(&site, &["enroll", "--user-id", "approved"]);
    run(&site, &["authenticate", "--user-id", "approved"]);
    run(&site, &["authenticate", "--user-id", "denied"]);
    run(&site, &["authenticate", "--user-id", "nobody"]);
    site.stop_sandbox();
    let offline = run(&site, &["authenticate", "--user-id", "approved"]);
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
    let names = ["approved", "denied", "nobody"];
    let audit: String = site.events().iter().map(ToString::to_string).collect();
    for name in names {
        assert!(
            !audit.contains(&format!("\"{name}\"")) || name != "nobody",
            "a user id in the audit: {name}"
        );
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
        contains(&fs::read(site.path("latchd.db")).unwrap(), b"approved"),
        "the search finds what is there"
    );

    let shown = site.latchd(&["people", "show", "approved"]);
    assert!(shown.stdout.contains("Clearwater"), "operators do see names");
}
