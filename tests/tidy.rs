//! Reads the source tree and holds it to the house's rules: who may import whom (docs/architecture.md), how long a file may
//! be, that every door rule is cited by a test, that every key is documented, that nothing is left half done.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A failed assumption is a failed test.

use latchd::config::keys;
use latchd::config::{Config, GuardConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file is readable in one sitting.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All files below the given folders and files whose name ends so, with their text.
fn files(below: &[&str], endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        below.iter().map(|name| root().join(name)).filter(|path| path.exists()).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if endings.iter().any(|ending| path.to_str().unwrap().ends_with(ending)) {
            let name = path.strip_prefix(root()).unwrap().to_owned();
            // Pictures among the fixtures are no text.
            found.push((name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()));
        }
    }
    assert!(!found.is_empty(), "nothing to read below {below:?}");
    found
}

/// Splits a source file into what ships and what tests it.
fn split<'a>(path: &Path, text: &'a str) -> (&'a str, &'a str) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    if path.starts_with("tests") || name == "tests" || name.ends_with("_tests") || has_tests_folder(path) {
        return ("", text);
    }
    match text.find("#[cfg(test)]\nmod ") {
        Some(at) => text.split_at(at),
        None => (text, ""),
    }
}

fn has_tests_folder(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names after each `crate::`, those in braces included.
fn imports(text: &str) -> BTreeSet<String> {
    let name =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        // `$crate::` and `other_crate::` are not ours.
        if text[..at].chars().next_back().is_some_and(|c| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => drop(found.insert(name(rest))),
            Some(list) => {
                let mut depth = 1;
                let mut item = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => drop(found.insert(name(std::mem::take(&mut item).trim()))),
                        _ if depth == 1 => item.push(c),
                        _ => {}
                    }
                    if depth == 0 {
                        found.insert(name(item.trim()));
                        break;
                    }
                }
            }
        }
    }
    found
}

/// docs/architecture.md's table: a room and the rooms that it may use.
fn import_table() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/architecture.md");
    let table =
        page.split("<!-- imports:begin -->").nth(1).unwrap().split("<!-- imports:end -->").next().unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let uses = cells[1].split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        (cells[0].to_owned(), uses.collect())
    };
    table.trim().lines().skip(2).map(row).collect()
}

fn room(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_keep_to_the_table() {
    let table = import_table();
    let mut broken = Vec::new();
    for (path, text) in files(&["src"], &[".rs"]) {
        let room = room(&path);
        if matches!(room.as_str(), "lib" | "main" | "bin") {
            continue; // They start a room and are used by none.
        }
        let Some(allowed) = table.get(&room) else {
            broken.push(format!("{}: the room {room} has no row", path.display()));
            continue;
        };
        for used in imports(&without_comments(split(&path, &text).0)) {
            if table.contains_key(&used) && used != room && !allowed.contains(&used) {
                broken.push(format!("{}: {room} may not use {used}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "docs/architecture.md, \"Who may use whom\":\n{}", broken.join("\n"));
}

#[test]
fn the_import_reader_sees_what_it_must() {
    let text = "use crate::{camera, capture::{Plan, Gate}, people};\nlet x = crate::store::Store; $crate::no; my_crate::no";
    let expected = ["camera", "capture", "people", "store"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
}

#[test]
fn every_room_of_the_table_exists_and_the_table_of_jobs_names_it() {
    let library = read("src/lib.rs");
    let page = read("docs/architecture.md");
    for room in import_table().keys() {
        assert!(library.contains(&format!("mod {room};")), "src/lib.rs has no room {room}");
        assert!(
            page.contains(&format!("\n| `{room}` |")),
            "docs/architecture.md does not say what {room} does"
        );
    }
}

#[test]
fn the_rules_of_access_touch_no_world() {
    let world =
        ["std::fs", "std::net", "std::thread", "std::process", "SystemClock", "dyn Clock", "dyn Random"];
    for (path, text) in files(&["src/access"], &[".rs"]) {
        let code = without_comments(split(&path, &text).0);
        let touched: Vec<_> = world.iter().filter(|word| code.contains(*word)).collect();
        assert!(touched.is_empty(), "{}: access is pure, but uses {touched:?}", path.display());
    }
}

#[test]
fn files_are_readable_in_one_sitting() {
    let long: Vec<String> = files(&["src", "tests", "benches"], &[".rs"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

/// The numbers after each `door-rules`: `door-rules 4`, `door-rules 1, 4 and 5`, `door-rules 1-3`.
fn cited(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for (at, mark) in text.match_indices("door-rules ") {
        let list: String = text[at + mark.len()..]
            .replace(" and ", ",")
            .chars()
            .take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '-' | ' '))
            .collect();
        for item in list.split(',').map(str::trim) {
            match item.split_once('-') {
                Some((first, last)) => {
                    if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
                        found.extend(first..=last);
                    }
                }
                None => found.extend(item.parse::<u32>()),
            }
        }
    }
    found
}

#[test]
fn every_door_rule_is_cited_by_a_test() {
    // 8 (priority: lockdown, schedules) and 11 (unlocking from afar) rule things that latchd does not do yet.
    let wanted: BTreeSet<u32> = (1..=7).chain(9..=10).chain(12..=16).collect();
    let found: BTreeSet<u32> = files(&["src", "tests"], &[".rs"])
        .iter()
        .filter(|(path, _)| path != Path::new("tests/tidy.rs"))
        .flat_map(|(path, text)| cited(split(path, text).1))
        .collect();
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "no test cites door-rules {missing:?}");
}

#[test]
fn the_citation_reader_sees_what_it_must() {
    assert_eq!(
        cited("door-rules 1, 4 and 5. door-rules 9-10) door-rules N"),
        BTreeSet::from([1, 4, 5, 9, 10])
    );
}

#[test]
fn every_rule_and_every_promise_has_its_number() {
    let page = read("docs/door-rules.md");
    let (rules, promises) = page.split_once("## The queue's promises").unwrap();
    let numbered = |text: &str, last: u32| (1..=last).all(|n| text.contains(&format!("\n{n}. ")));
    assert!(numbered(rules, 16) && numbered(promises, 10));
}

#[test]
fn every_key_is_on_its_page() {
    let page = read("docs/configuration.md");
    for key in keys::table::<Config>().into_iter().chain(keys::table::<GuardConfig>()) {
        let (row, table) = (format!("| `{}` |", key.path), format!("### `[{}]`", key.path));
        assert!(
            page.contains(&row) || page.contains(&table),
            "docs/configuration.md does not explain {}",
            key.path
        );
    }
}

#[test]
fn nothing_is_left_half_done_and_no_machine_is_named() {
    // Put together here so that this file does not find itself.
    let half = ["TO-DO", "FIX-ME", "to-do!", "unimple-mented!"].map(|word| word.replace('-', ""));
    let machine = ["/wo-rk/", "/ro-ot/"].map(|word| word.replace('-', ""));
    let code = files(&["src", "tests", "benches", "scripts", "packaging", "Makefile", ".ci"], &[""]);
    let text = files(
        &["docs", "config", "systemd", "README.md", "CHANGELOG.md", "Cargo.toml", "cross.toml", "deny.toml"],
        &[".md", ".toml", ".service", ".socket", ".conf", ".rules"],
    );
    let mut found = Vec::new();
    for (path, content) in code.iter().chain(&text) {
        for word in half.iter().chain(&machine).filter(|word| content.contains(*word)) {
            found.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
