//! The annotated file and the reference page are what the program's own model says.
//!
//! When a key changes: `LATCHD_BLESS=1 cargo test --test config_reference` writes both anew.
#![allow(clippy::unwrap_used, clippy::panic)] // A failed assumption is a failed test.

use latchd::config::keys::{self, Kind};
use latchd::config::{Config, GuardConfig, Source, load, reference};
use std::path::Path;

#[track_caller]
fn holds(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("LATCHD_BLESS").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == generated,
        "{file} is stale: LATCHD_BLESS=1 cargo test --test config_reference writes it anew"
    );
}

#[test]
fn the_shipped_files_are_the_generated_ones() {
    holds("config/latchd.toml", &reference::annotated_toml());
    holds("docs/configuration.md", &reference::markdown());
}

fn parse(text: &str) -> Config {
    let parsed: Result<(Config, Source), _> = load::parse(text, Path::new("latchd.toml"));
    parsed.unwrap_or_else(|errors| panic!("{errors}")).0
}

#[test]
fn the_annotated_file_changes_nothing() {
    assert_eq!(parse(&reference::annotated_toml()), Config::default());
}

#[test]
fn the_annotated_files_examples_are_fit_values() {
    let text: String = reference::annotated_toml()
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| rest.contains(" = ") || rest.starts_with('['))
                .unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&text);
    assert!(config.smile.geo.is_some_and(|geo| geo.altitude.is_some()));
    assert!(config.smile.base_url.is_some() && config.smile.callback_url.is_some());
    assert!(config.smile.ca_file.is_some() && config.camera.file.is_some());
}

#[test]
fn what_is_shown_reads_as_the_same_configuration() {
    let mut config = Config::default();
    config.smile.partner_id = "0042".into();
    config.smile.base_url = Some("https://gateway.example.org".into());
    config.smile.partner_params.insert("site".into(), "gate \"3\"\n".into());
    config.capture.sharpness_min = 0.003;
    let shown = config.show();
    assert!(shown.contains("sharpness_min = 0.003\n"), "{shown}");
    assert_eq!(parse(&shown), config);
}

/// The range a reader sees in the comment is the range that is enforced.
#[test]
fn every_number_says_its_range_and_means_it() {
    for key in keys::table::<Config>() {
        let range = match key.kind {
            Kind::Integer { min, max, .. } => format!("({min} to {max}"),
            Kind::Number(min, max) => format!("({min} to {max}"),
            _ => continue,
        };
        assert!(key.doc.contains(&range), "{}: {range} is not in {:?}", key.path, key.doc);
    }
}

#[test]
fn every_key_of_both_files_is_explained() {
    for key in keys::table::<Config>().into_iter().chain(keys::table::<GuardConfig>()) {
        let explained = match &key.kind {
            Kind::Words(words) => words.iter().all(|(_, meaning)| !meaning.is_empty()),
            _ => !key.doc.is_empty(),
        };
        assert!(explained, "{} has no meaning written to it", key.path);
    }
}

#[test]
fn the_schema_refuses_unknown_keys_and_knows_the_defaults() {
    let schema = reference::schema();
    assert_eq!(schema["additionalProperties"], false);
    let window = &schema["$defs"]["Door"]["properties"]["window_ms"];
    assert_eq!((&window["default"], &window["maximum"]), (&15_000.into(), &30_000.into()));
    assert_eq!(schema["$defs"]["Capture"]["properties"]["sharpness_min"]["default"], 0.002);
}
