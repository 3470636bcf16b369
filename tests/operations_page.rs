//! docs/operations.md names every event that the daemon writes, so that whoever reads an audit can look it up.
//! Method: the kinds are taken from the calls in the source that write events.

#![allow(clippy::unwrap_used)]

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
        for writer in ["event(tx", "records::append(", ".change(", "Note::new("] {
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
