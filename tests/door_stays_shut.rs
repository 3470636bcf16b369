//! Bad servers, bad cameras, bad networks: the door stays shut, and the job is where it belongs.

#[path = "support/site.rs"]
mod site;

use site::{Options, Site};
use std::fs;

/// A fault of the service at the entry call or the status call, and where the job is afterwards.
fn with_fault(fault: &str, exit: i32, outcome: &str, state: &str) {
    let scenario = format!("[[fault]]\n{fault}\n");
    // A short window: some of these faults last as long as somebody waits.
    let config = [("window_ms = 8000", "window_ms = 3000")];
    let site = Site::open(&Options { scenario: &scenario, config: &config, ..Options::default() });
    let answer = site.authenticate("approved");
    assert_eq!(
        (answer.exit, answer.word("outcome")),
        (exit, outcome),
        "{fault}: {answer:?}\n{}",
        site.logs()
    );
    assert!(site.edges().is_empty(), "{fault}");
    site.wait(&format!("{fault}: the job in {state}, not {:?}", site.jobs()), |site| {
        site.jobs().iter().any(|job| job["state"] == state)
    });
    assert_eq!(site.jobs().len(), 1, "{fault}");
    assert!(site.edges().is_empty(), "{fault}");
}

const ENTRY: &str = "endpoint = \"v3/authentication\"\n";
const STATUS: &str = "endpoint = \"v3/status\"\n";

#[test]
fn a_truncated_answer_to_the_submission_is_an_unknown_outcome() {
    with_fault(&format!("{ENTRY}kind = \"truncated-json\""), 5, "unknown_outcome", "unknown_outcome");
}

#[test]
fn a_huge_answer_is_an_unknown_outcome() {
    with_fault(
        &format!("{ENTRY}kind = \"huge-body\"\nbytes = 100000000"),
        5,
        "unknown_outcome",
        "unknown_outcome",
    );
}

#[test]
fn a_wrong_content_type_is_an_unknown_outcome() {
    with_fault(
        &format!("{ENTRY}kind = \"wrong-content-type\"\ncontent_type = \"text/html\""),
        5,
        "unknown_outcome",
        "unknown_outcome",
    );
}

#[test]
fn missing_fields_are_an_unknown_outcome() {
    with_fault(
        &format!("{ENTRY}kind = \"missing-fields\"\nremove = [\"job_id\"]"),
        5,
        "unknown_outcome",
        "unknown_outcome",
    );
}

#[test]
fn a_dropped_answer_is_an_unknown_outcome() {
    with_fault(&format!("{ENTRY}kind = \"drop-answer\""), 5, "unknown_outcome", "unknown_outcome");
}

#[test]
fn a_refused_job_is_a_dead_letter() {
    with_fault(&format!("{ENTRY}kind = \"status\"\nstatus = 400"), 1, "job_rejected", "dead_letter");
}

#[test]
fn a_rate_limit_ends_offline_with_the_job_kept() {
    with_fault(&format!("{ENTRY}kind = \"status\"\nstatus = 429\nretry_after = 600"), 4, "offline", "new");
}

#[test]
fn an_empty_wallet_pauses_the_queue_with_an_alarm() {
    let scenario = format!("[[fault]]\n{ENTRY}kind = \"status\"\nstatus = 402\n");
    let site = Site::open(&Options { scenario: &scenario, ..Options::default() });
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (4, "paused"), "{answer:?}\n{}", site.logs());
    let status = site.latchd(&["status"]);
    assert_eq!(status.exit, 1, "an alarm");
    assert_eq!(status.last["queue"]["paused"], "unpaid");
    assert_eq!(site.jobs()[0]["state"], "new");
    assert!(site.edges().is_empty());
}

#[test]
fn a_status_about_somebody_else_does_not_open() {
    with_fault(&format!("{STATUS}kind = \"other-user\""), 5, "undecided", "held");
}

#[test]
fn a_status_of_another_job_does_not_open() {
    with_fault(&format!("{STATUS}kind = \"other-job\""), 5, "undecided", "held");
}

#[test]
fn a_redirected_status_is_not_followed() {
    with_fault(
        &format!("{STATUS}kind = \"redirect\"\nstatus = 307\nlocation = \"https://127.0.0.1:1/\""),
        5,
        "expired",
        "accepted",
    );
}

/// door-rules 2: an approval that comes out of the queue does not open.
#[test]
fn a_queued_job_drains_when_the_network_is_back_and_opens_nothing() {
    let mut site = Site::open(&Options::default());
    site.stop_sandbox();
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (4, "offline"), "{answer:?}\n{}", site.logs());
    assert_eq!(site.jobs()[0]["state"], "new");
    site.start_sandbox();
    site.wait("the drain", |site| site.jobs()[0]["state"] == "decided");
    assert_eq!(site.jobs()[0]["verdict"], "approved");
    assert_eq!(site.jobs()[0]["has_images"], false, "erased with the acceptance");
    assert!(site.edges().is_empty());
    assert_eq!(site.sandbox.as_ref().unwrap().jobs().len(), 1, "submitted once");
}

#[test]
fn a_server_of_another_authority_gets_nothing() {
    let mut site = Site::build(&Options::default());
    // The same address, another authority: the daemon trusts the file made first.
    site.stop_sandbox();
    fs::rename(site.path("tls/ca.pem"), site.path("trusted.pem")).unwrap();
    fs::remove_dir_all(site.path("tls")).unwrap();
    site.start_sandbox();
    let config = fs::read_to_string(site.path("latchd.toml")).unwrap();
    fs::write(site.path("latchd.toml"), config.replace("tls/ca.pem", "trusted.pem")).unwrap();
    site.import_people();
    site.start_guard();
    site.start_daemon();
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (4, "paused"), "{answer:?}\n{}", site.logs());
    assert!(site.sandbox.as_ref().unwrap().jobs().is_empty());
    assert!(site.edges().is_empty());
}

/// Each bad picture ends the attempt with its reason, and nothing is left in the queue.
#[test]
fn a_bad_camera_file_ends_the_attempt_with_a_reason() {
    let site = Site::open(&Options::default());
    let photograph = site.path("photograph.png");
    let mut huge_header = fs::read(&photograph).unwrap();
    // Width and height of the PNG header.
    huge_header[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
    huge_header[20..24].copy_from_slice(&20_000_u32.to_be_bytes());
    let truncated: Vec<u8> = fs::read(&photograph).unwrap().into_iter().take(30_000).collect();
    for (name, content) in [
        ("empty", Vec::new()),
        ("text", b"not a picture".to_vec()),
        ("huge header", huge_header),
        ("truncated", truncated),
    ] {
        fs::write(&photograph, content).unwrap();
        let answer = site.authenticate("approved");
        assert_eq!((answer.exit, answer.word("outcome")), (1, "capture_failed"), "{name}: {answer:?}");
    }
    fs::remove_file(&photograph).unwrap();
    assert_eq!(site.authenticate("approved").word("outcome"), "capture_failed");
    assert!(site.jobs().is_empty());
    assert!(site.edges().is_empty());
    let reasons = site.events().iter().filter(|event| event["fields"]["reason"].is_string()).count();
    assert_eq!(reasons, 5, "each with its reason");
}
