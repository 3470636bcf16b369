//! The faults of a scenario really happen on the wire, on the calls that they name and on no others.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod sandbox_support;

use latchd::sandbox::{Endpoint, Scenario};
use sandbox_support::*;
use serde_json::json;
use std::time::Duration;

fn fault(text: &str) -> String {
    format!("[[fault]]\nendpoint = \"v3/authentication\"\ncalls = [1]\n{text}")
}

/// What a raw client sees of one authentication, up to the end of the connection.
fn seen(desk: &Desk) -> Vec<u8> {
    let mut raw = desk.raw();
    // A server that has gone away in the middle is what some faults are about.
    let _ = raw.send(&authentication_bytes(&desk.token(), &job("u-1")));
    raw.rest()
}

#[test]
fn a_dropped_connection_carries_not_one_byte() {
    for (kind, jobs) in [("drop-before-body", 0), ("drop-after-body", 0), ("drop-answer", 1)] {
        let desk = desk(&fault(&format!("kind = \"{kind}\"")));
        assert_eq!(seen(&desk), b"", "{kind}");
        assert_eq!(desk.running.jobs().len(), jobs, "{kind}");
        assert_eq!(desk.running.calls_of(Endpoint::V3Authentication), 1);
        assert_eq!(desk.submit("authentication", &job("u-1")).status, 202, "{kind}: the second call is well");
    }
}

#[test]
fn the_body_is_not_read_before_an_early_drop() {
    let desk = desk(&fault("kind = \"drop-before-body\""));
    let mut raw = desk.raw();
    raw.send(b"POST /v3/authentication HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").unwrap();
    assert_eq!(raw.rest(), b"");
}

#[test]
fn half_an_answer_ends_in_its_middle() {
    let desk = desk(&fault("kind = \"half-answer\""));
    let seen = String::from_utf8(seen(&desk)).unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 202 "), "{head}");
    let announced: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert_eq!(body.len(), announced / 2);
    assert!(body.starts_with("{\""));
    assert_eq!(desk.running.jobs().len(), 1, "the job was taken");
}

#[test]
fn statuses_come_with_their_retry_after() {
    let desk = desk("");
    let scripted = |text: &str| {
        desk.running.set_scenario(Scenario::parse(&fault(text)).unwrap());
        desk.submit("authentication", &job("u-1"))
    };
    let busy = scripted("kind = \"status\"\nstatus = 429\nretry_after = 7");
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("7")));
    assert_eq!(busy.json()["status"], "Too Many Requests");
    let date = scripted("kind = \"status\"\nstatus = 503\nretry_after_date_in_s = 120");
    assert_eq!((date.status, date.header("retry-after")), (503, Some("Fri, 02 Jan 2026 03:06:05 GMT")));
    let gateway = scripted("kind = \"status\"\nstatus = 500\ngateway = true");
    assert_eq!((gateway.status, gateway.json()["status"].as_str()), (500, Some("integration_failure")));
    assert!(gateway.json().as_object().unwrap()["job_id"].is_null());
    let own = scripted("kind = \"status\"\nstatus = 504\nbody = \"<html>\"\ncontent_type = \"text/html\"");
    assert_eq!(
        (own.status, own.text.as_str(), own.header("content-type")),
        (504, "<html>", Some("text/html"))
    );
    assert_eq!(desk.running.jobs(), [], "none of these was taken");
    assert_eq!(scripted("kind = \"status\"\nstatus = 502\njob = \"taken\"").status, 502);
    assert_eq!(desk.running.jobs().len(), 1);
    let moved = scripted("kind = \"redirect\"\nlocation = \"https://elsewhere.example/\"");
    assert_eq!((moved.status, moved.header("location")), (307, Some("https://elsewhere.example/")));
    assert_eq!(desk.running.jobs().len(), 1);
}

#[test]
fn a_token_that_is_good_can_be_refused_once() {
    let desk = desk(&fault("kind = \"status\"\nstatus = 401\ngateway = true"));
    let first = desk.submit("authentication", &job("u-1"));
    assert_eq!((first.status, first.json()["status"].as_str()), (401, Some("unauthorized")));
    assert_eq!(desk.submit("authentication", &job("u-1")).status, 202);
}

#[test]
fn answers_are_spoilt_as_written() {
    let desk = desk("");
    let id = desk.submit("authentication", &job("u-1")).json()["job_id"].as_str().unwrap().to_owned();
    let scripted = |text: &str| {
        let text = format!("[[fault]]\nendpoint = \"v3/status\"\nuser = \"u-1\"\n{text}");
        desk.running.set_scenario(Scenario::parse(&text).unwrap());
        desk.status(&id)
    };
    let whole = desk.status(&id).text;
    let truncated = scripted("kind = \"truncated-json\"");
    assert_eq!(truncated.text, whole[..whole.len() / 2]);
    let typed = scripted("kind = \"wrong-content-type\"");
    assert_eq!((typed.header("content-type"), typed.text.as_str()), (Some("text/html"), whole.as_str()));
    let less = scripted("kind = \"missing-fields\"\nremove = [\"status\", \"user_id\"]").json();
    assert_eq!(less.as_object().unwrap().keys().collect::<Vec<_>>(), ["created_at", "job_id", "message"]);
    let other = scripted("kind = \"other-job\"");
    assert_eq!(other.json()["status"], "clear");
    assert_ne!(other.json()["job_id"], json!(id));
    assert!(other.json()["job_id"].as_str().unwrap().starts_with("job_"));
    let other = scripted("kind = \"other-user\"").json();
    assert_eq!((&other["job_id"], &other["user_id"]), (&json!(id), &json!("somebody-else")));
    let set = scripted("kind = \"set-fields\"\nset = { status = \"Clear \", extra.deep = 1 }").json();
    assert_eq!((&set["status"], &set["extra"]["deep"]), (&json!("Clear "), &json!(1)));
    let dripped = scripted("kind = \"drip\"\ngap_ms = 0");
    assert_eq!(dripped.text, whole);
}

#[test]
fn a_huge_body_is_as_long_as_announced() {
    let desk = desk(&fault("kind = \"huge-body\"\nbytes = 3000000"));
    let mut raw = desk.raw();
    raw.send(&authentication_bytes(&desk.token(), &job("u-1"))).unwrap();
    assert!(raw.head().contains("content-length: 3000000\r\n"));
    assert!(raw.exact(3_000_000).starts_with(b"{\"status\""));
}

#[test]
fn silence_says_nothing_while_the_connection_lives() {
    let desk = desk(&fault("kind = \"silence\""));
    let mut raw = desk.raw();
    raw.send(&authentication_bytes(&desk.token(), &job("u-1"))).unwrap();
    // Other calls are answered meanwhile; by one of them the job has been taken.
    let taken =
        (0..1000).any(|_| desk.ask_token(PARTNER, KEY).status == 200 && !desk.running.jobs().is_empty());
    assert!(taken);
    raw.patience(Duration::from_millis(200));
    assert_eq!(raw.next_byte().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_fault_for_one_user_spares_the_others() {
    let desk = desk("[[fault]]\nuser = \"u-2\"\ncalls = [2]\nkind = \"status\"\nstatus = 500");
    let status = |user| desk.submit("authentication", &job(user)).status;
    assert_eq!(
        [status("u-1"), status("u-2"), status("u-1"), status("u-2"), status("u-2")],
        [202, 202, 202, 500, 202]
    );
}

/// The connection goes on after faults that leave it whole.
#[test]
fn a_kept_connection_serves_call_after_call() {
    let desk = desk(&fault("kind = \"status\"\nstatus = 503"));
    let mut raw = desk.raw();
    let call = authentication_bytes(&desk.token(), &job("u-1"));
    for expected in ["503", "202", "202"] {
        raw.send(&call).unwrap();
        let head = raw.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        raw.exact(length.parse().unwrap());
    }
}
