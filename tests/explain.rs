//! What a code means is told the same way on the command line, to machines and on the page.
//!
//! When a row changes: `LATCHD_BLESS=1 cargo test --test explain` writes the page anew.
#![allow(clippy::unwrap_used)] // A failed assumption is a failed test.

use serde_json::{Value, json};
use std::process::{Command, Output};

fn explain(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latchd")).arg("explain").args(words).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_code_is_explained_for_the_door_and_for_latchd() {
    let shown = text(&explain(&["0823"]));
    assert!(shown.contains("possible spoof") && shown.contains("counts as a denial"), "{shown}");
    let output = explain(&["--json", "0812", "--job-type", "1"]);
    let lines: Vec<Value> = text(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0]["kind"], &lines[0]["decision"]), (&json!("item"), &json!("holds")));
    assert_eq!(lines[1], json!({"kind": "done", "codes": 1}));
}

#[test]
fn a_code_that_nobody_knows_opens_nothing() {
    for code in ["0899", "Clear", ""] {
        let output = explain(&[code]);
        assert_eq!(output.status.code(), Some(1), "{code}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("opens nothing"), "{output:?}");
    }
}

#[test]
fn the_page_is_the_table() {
    let page = text(&explain(&["--markdown"]));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/codes.md");
    if std::env::var_os("LATCHD_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == page,
        "docs/codes.md is stale: LATCHD_BLESS=1 cargo test --test explain writes it anew"
    );
}
