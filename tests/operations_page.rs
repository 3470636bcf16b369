//! docs/operations.md names every event that the daemon writes, so that whoever reads an audit can look it up.
//! Method: the kinds are taken from the calls in the source that write events. And it names every key that `--json` prints:
//! the commands are run, and their keys looked for in the command's row.

#![allow(clippy::unwrap_used)]

#[path = "support/site.rs"]
mod site;

use serde_json::Value;
use site::{Options, Site};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "rs") && !entry.ends_with("tests.rs") {
            found.push(entry);
        }
    }
}

/// The first text of `call`'s arguments, unless it is already that of a field: then the kind is a variable.
fn kind_of(call: &str) -> Option<&str> {
    let (before, rest) = call.split_once('"')?;
    let (text, _) = rest.split_once('"')?;
    (!before.ends_with('(') || before.ends_with("new(")).then_some(text)
}

#[test]
fn every_event_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for room in ["src/agent", "src/access/machine"] {
        sources(&root.join(room), &mut files);
    }
    let mut kinds =
        BTreeSet::from(["attempt_ended", "granted", "job_erased", "job_expired"].map(String::from));
    kinds.extend(
        ["lock_down", "lock_mismatch", "lock_up", "unlock_intent", "unlock_interrupted"].map(String::from),
    );
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for writer in ["event(tx", "records::append(", ".change(", ".change_saying(", "Note::new("] {
            for (at, _) in code.match_indices(writer) {
                // A call ends with its statement; its first text is the kind.
                let call = code.get(at..).unwrap().split(';').next().unwrap();
                kinds.extend(kind_of(call).map(String::from));
            }
        }
    }
    let page = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let missing: Vec<_> = kinds.iter().filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
    assert!(missing.is_empty(), "not explained in docs/operations.md: {missing:?}");
    for sure in
        ["claim", "started", "stopped", "locked_out", "people_imported", "queue_paused", "clock_known"]
    {
        assert!(kinds.contains(sure), "the search no longer finds {sure}: {kinds:?}");
    }
}

/// The rows of the table of commands whose first cell has `command`.
fn row(page: &str, command: &str) -> String {
    let table = page.split("| command | lines |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{command}"))))
        .collect();
    assert_eq!(rows.len(), 1, "rows of {command}: {rows:?}");
    rows.concat()
}

/// All keys of an object and of those inside, except below the ones whose keys are data.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                found.insert(key.clone());
                if !["fields", "states", "products", "oldest_seconds", "latchd"].contains(&key.as_str()) {
                    keys(inner, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_json_output_is_listed() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let mut site = Site::open(&Options::default());
    site.stop_sandbox();
    let job = site.authenticate("approved").word("job").to_owned();
    let people = site.path("people.json").display().to_string();
    let evidence = site.path("evidence").display().to_string();
    let consent = "--consent-granted-at 2026-01-02T03:04:05Z --consent-language EN --consent-policy-url https://example.com";
    let add = format!("people add --user-id n --given-names N --last-name M --email n@example.com {consent}");
    for (rows, line) in [
        (&["authenticate"][..], "authenticate --user-id denied"),
        (&["status`", "queue stats"], "status"),
        (&["status --acknowledge"], "status --acknowledge"),
        (&["queue list"], "queue list"),
        (&["queue stats"], "queue stats"),
        (&["queue list", "queue show"], &format!("queue show {job}")),
        (&["queue export`"], &format!("queue export {job} {evidence}")),
        (&["queue retry"], "queue retry"),
        (&["queue retry"], &format!("queue drop {job}")),
        (&["events`"], "events"),
        (&["events --verify"], "events --verify"),
        (&["people add"], &add),
        (&["people add"], "people remove n"),
        (&["people erase"], "people erase denied"),
        (&["people add"], "people unlock-out --reader front"),
        (&["people import"], &format!("people import {people}")),
        (&["people list"], "people list"),
        (&["people show"], "people show approved"),
        (&["config check"], "config check"),
        (&["config show"], "config show"),
        (&["failed"], "queue show 7"),
    ] {
        let answer = site.latchd(&line.split(' ').collect::<Vec<_>>());
        let listed: String = rows.iter().map(|command| row(&page, command)).collect();
        let words: BTreeSet<_> = listed.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert_eq!(answer.lines.len(), answer.stdout.lines().count(), "one object a line: {answer:?}");
        for object in &answer.lines {
            let kind = object["kind"].as_str().unwrap_or("none");
            assert!(["progress", "item", "done", "failed"].contains(&kind), "{line}: {object}");
            let mut seen = BTreeSet::new();
            // What a step of an attempt has beside its name is open.
            if kind != "progress" {
                keys(object, &mut seen);
            }
            seen.remove("kind");
            let missing: Vec<_> = seen.iter().filter(|key| !words.contains(key.as_str())).collect();
            assert!(missing.is_empty(), "{line}: not in docs/operations.md: {missing:?} of {object}");
        }
        assert!(["done", "failed"].contains(&answer.word("kind")), "{line}: {answer:?}");
    }
}
