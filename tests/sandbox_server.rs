//! The sandbox as a server: it comes back on the same port with the same certificate authority, and it is bounded.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod sandbox_support;

use latchd::sandbox::{SandboxError, Scenario, Settings, start};
use sandbox_support::*;
use std::time::Duration;

#[test]
fn a_restart_keeps_port_certificate_and_tokens() {
    let first = desk("");
    let (addr, ca) = (first.running.addr, std::fs::read(first.running.ca_pem_path()).unwrap());
    let token = first.token();
    let mut kept = first.raw();
    let Desk { running, clock, agent, dir } = first;
    running.stop();
    assert_eq!(kept.rest(), b"", "a stopped server closes its connections");
    assert!(agent.get(format!("https://{addr}/")).call().is_err());

    let settings = Settings { listen: addr, ..settings(&dir, "") };
    let random = std::sync::Arc::new(latchd::clock::SystemRandom);
    let running = latchd::sandbox::start_with(settings, clock.clone(), random).unwrap();
    assert_eq!(std::fs::read(running.ca_pem_path()).unwrap(), ca);
    let second = Desk { running, clock, agent, dir };
    let answer = second.submit_with("authentication", &job("u-1"), &[("smileid-token", &token)]);
    assert_eq!(
        answer.status, 202,
        "the client that trusted the first server trusts the second: {}",
        answer.text
    );
}

#[test]
fn a_port_in_use_and_a_useless_account_are_told() {
    let desk = desk("");
    let dir = tempfile::tempdir().unwrap();
    let listen = desk.running.addr;
    let taken = start(Settings { listen, ..settings(&dir, "") });
    assert!(matches!(taken, Err(SandboxError::Listen { address, .. }) if address == listen));
    for (partner_id, api_key) in [("", "k"), ("12a", "k"), ("000", "k"), ("1", ""), ("1", "a b")] {
        let settings =
            Settings { partner_id: partner_id.into(), api_key: api_key.into(), ..settings(&dir, "") };
        let error = start(settings).unwrap_err();
        assert!(matches!(error, SandboxError::Credential { .. }), "{error}");
        assert!(!error.remedy().is_empty());
    }
}

#[test]
fn further_names_stand_in_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let names = vec!["door.example".to_owned(), "192.0.2.7".to_owned()];
    let running = start(Settings { names, ..settings(&dir, "") }).unwrap();
    assert!(running.base_url().starts_with("https://127.0.0.1:"));
    assert!(dir.path().join("server.pem").exists());
    let broken = Settings { names: vec!["no name".into()], ..settings(&dir, "") };
    assert!(matches!(start(broken), Err(SandboxError::Name { .. })));
}

#[test]
fn a_head_without_end_is_refused() {
    let desk = desk("");
    let mut raw = desk.raw();
    let long = format!("GET /v3/status/x HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(20_000));
    raw.send(long.as_bytes()).unwrap();
    assert!(raw.head().starts_with("HTTP/1.1 431 "));
    let mut raw = desk.raw();
    raw.send(b"\x16\x03\x01 no HTTP\r\n\r\n").unwrap();
    assert!(raw.head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn secrets_do_not_show_in_debug() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, "");
    assert!(!format!("{settings:?}").contains(KEY));
    let running = start(settings).unwrap();
    assert!(!format!("{running:?}").contains(KEY));
}

/// The first client that finds no free place gets no greeting until another leaves.
#[test]
fn the_sixty_fifth_connection_waits_for_a_place() {
    let desk = desk("");
    let ask = b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut open: Vec<Raw> = Vec::new();
    for _ in 0..64 {
        let mut raw = desk.raw();
        raw.send(ask).unwrap();
        assert!(raw.head().starts_with("HTTP/1.1 404 "));
        open.push(raw);
    }
    let mut late = desk.raw();
    late.patience(Duration::from_millis(200));
    let waiting = late.send(ask).unwrap_err();
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
    open.pop();
    late.patience(Duration::from_secs(20));
    late.send(ask).unwrap();
    assert!(late.head().starts_with("HTTP/1.1 404 "));
}

/// What the page shows can be copied, and each kind of fault that its table names exists.
#[test]
fn the_page_tells_the_truth() {
    let page = include_str!("../docs/sandbox.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        Scenario::parse(block).unwrap();
    }
    let table = page.split("| `kind` |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), 15);
    for kind in rows.iter().flat_map(|row| row.split('|').nth(1).unwrap().split(',')) {
        let kind = kind.trim().trim_matches('`');
        match Scenario::parse(&format!("[[fault]]\nkind = \"{kind}\"")) {
            Ok(_) => {}
            Err(error) => assert!(error.to_string().contains(" needs `"), "{error}"),
        }
    }
}
