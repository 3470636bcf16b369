//! Checks that are about no door: every product over every protocol that has it, through the queue of a running daemon
//! and without one. None of them moves the lock.

#![allow(clippy::unwrap_used)]

#[path = "support/site.rs"]
mod site;

use latchd::access::Check;
use serde_json::{Value, json};
use site::{Answer, Options, Site};
use std::io::Write as _;
use std::process::{Command, Stdio};

fn form() -> Value {
    json!({
        "given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com",
        "consent": { "granted_at": "2026-01-02T03:04:05Z", "language": "EN", "policy_url": "https://example.com/privacy" },
        "country": "NG", "id_type": "NIN_V2", "id_number": "00000000000",
    })
}

/// The options and pictures that a product needs, besides the form.
fn args(site: &Site, product: &str) -> Vec<String> {
    let picture = site.path("photograph.png").display().to_string();
    let jpeg = site.path("document.jpg");
    image::open(&picture).unwrap().to_rgb8().save(&jpeg).unwrap();
    let jpeg = jpeg.display().to_string();
    let form_file = site.path("form.json");
    std::fs::write(&form_file, form().to_string()).unwrap();
    let mut args: Vec<String> = vec!["submit".into(), product.into(), "--form".into()];
    args.push(form_file.display().to_string());
    if matches!(product, "registration" | "authentication" | "update-photo") {
        args.extend(["--user-id".into(), "somebody".into()]);
    }
    if !product.ends_with("-kyc") || product == "biometric-kyc" {
        args.extend(["--image".into(), picture.clone()]);
        if product != "compare" {
            args.extend((0..6).flat_map(|_| ["--liveness".to_owned(), picture.clone()]));
        }
    }
    if product.ends_with("document") {
        args.extend(["--document".into(), picture, "--document-back".into(), jpeg.clone()]);
    }
    if product == "compare" {
        args.extend(["--comparison".into(), jpeg, "--comparison-type".into(), "id-photo".into()]);
    }
    args
}

fn submit(site: &Site, product: &str, more: &[&str]) -> Answer {
    let args = args(site, product);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    site.latchd(&args)
}

/// The lock was not even asked.
fn nothing_was_armed(site: &mut Site) {
    site.stop_daemon();
    site.stop_guard();
    assert!(site.edges().is_empty(), "{:?}", site.edges());
    let log = std::fs::read_to_string(site.path("guard.log")).unwrap();
    assert!(!["armed", "unlocked", "grant"].iter().any(|word| log.contains(word)), "{log}");
}

const V3: [(&str, Check, usize); 7] = [
    ("registration", Check::Registration, 7),
    ("authentication", Check::Authentication, 7),
    ("compare", Check::Compare, 2),
    ("biometric-kyc", Check::BiometricKyc, 7),
    ("document", Check::DocumentVerification, 9),
    ("enhanced-document", Check::EnhancedDocumentVerification, 9),
    ("enhanced-kyc", Check::EnhancedKyc, 0),
];

const V1: [(&str, Check, usize); 6] = [
    ("registration", Check::Registration, 7),
    ("authentication", Check::Authentication, 7),
    ("biometric-kyc", Check::BiometricKyc, 7),
    ("document", Check::DocumentVerification, 9),
    ("enhanced-document", Check::EnhancedDocumentVerification, 9),
    ("enhanced-kyc", Check::EnhancedKyc, 0),
];

fn every_product(api: &str, products: &[(&str, Check, usize)]) {
    let mut site = Site::open(&Options { api, ..Options::default() });
    for (product, check, images) in products.iter().chain(&[("basic-kyc", Check::BasicKyc, 0)]) {
        let answer = submit(&site, product, &["--partner-param", "branch=7", "--metadata", "app=field 1"]);
        assert_eq!((answer.exit, answer.word("outcome")), (0, "approved"), "{api} {product}: {answer:?}");
        assert_eq!(answer.word("product"), check.name());
        let seen = site.sandbox.as_ref().unwrap().jobs();
        let seen = seen.last().unwrap();
        assert_eq!((seen.product, seen.images()), (*check, *images), "{api} {product}");
        assert_eq!(seen.partner_params.get("branch").map(String::as_str), Some("7"));
        assert_eq!(seen.submissions, 1);
    }
    let jobs = site.jobs();
    assert!(
        jobs.iter().all(|job| job["state"] == "decided" && job["has_images"] == json!(false)),
        "{jobs:?}"
    );
    let decided = site.events().iter().filter(|event| event["event"] == "check_decided").count();
    assert_eq!(decided, products.len() + 1);
    assert_eq!(site.latchd(&["events", "--verify"]).exit, 0);
    nothing_was_armed(&mut site);
}

#[test]
fn every_product_goes_through_v3() {
    every_product("v3", &V3);
}

#[test]
fn every_product_goes_through_v1() {
    every_product("v1", &V1);
}

#[test]
fn registration_and_authentication_go_through_v2() {
    let mut site = Site::open(&Options { api: "v2", ..Options::default() });
    for (product, wanted) in
        [("registration", "approved"), ("authentication", "approved"), ("basic-kyc", "approved")]
    {
        let answer = submit(&site, product, &[]);
        assert_eq!(answer.word("outcome"), wanted, "{product}: {answer:?}");
    }
    let refused = submit(&site, "document", &[]);
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(refused.word("remedy").contains("v1"), "{refused:?}");
    nothing_was_armed(&mut site);
}

/// v2 answers with the verdict itself: the door opens by it, once, and stays shut without it.
#[test]
fn a_door_opens_and_stays_shut_over_v2() {
    let scenario = "enrolled = [\"approved\", \"denied\"]\n[[user]]\nid = \"denied\"\nverdict = \"block\"\n";
    let site = Site::open(&Options { api: "v2", scenario, ..Options::default() });
    let denied = site.authenticate("denied");
    assert_eq!((denied.exit, denied.word("outcome")), (3, "denied"), "{denied:?}");
    assert_eq!(site.openings(), 0);
    let granted = site.authenticate("approved");
    assert_eq!((granted.exit, granted.word("outcome")), (0, "granted"), "{granted:?}");
    site.wait("the pulse's end", |site| site.is_locked());
    assert_eq!(site.openings(), 1);
    let seen = site.sandbox.as_ref().unwrap().jobs();
    assert_eq!(seen.iter().map(|job| job.protocol.name()).collect::<Vec<_>>(), ["v2", "v2"]);
}

#[test]
fn results_have_their_exit_codes() {
    let scenario = "[[user]]\nid = \"refused\"\nverdict = \"block\"\n[[user]]\nid = \"watched\"\nverdict = \"attention\"\n\
                    [[user]]\nid = \"broken\"\nverdict = \"error\"\n[[user]]\nid = \"strange\"\nverdict = \"sideways\"\n";
    let mut site = Site::open(&Options { scenario, ..Options::default() });
    for (user, exit, outcome) in [
        ("refused", 3, "denied"),
        ("watched", 5, "held"),
        ("broken", 5, "undecided"),
        ("strange", 5, "unknown"),
    ] {
        let answer = submit(&site, "document", &["--user-id", user]);
        assert_eq!((answer.exit, answer.word("outcome")), (exit, outcome), "{answer:?}");
    }
    nothing_was_armed(&mut site);
}

/// A handheld in the field: no network, no daemon; the job waits, sealed, and is sent later.
#[test]
fn a_check_waits_for_the_network_and_is_sent_once() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    site.stop_sandbox();
    let answer = submit(&site, "document", &[]);
    assert_eq!((answer.exit, answer.word("outcome")), (4, "offline"), "{answer:?}");
    let database = std::fs::read(site.path("latchd.db")).unwrap();
    for secret in ["Clearwater", "00000000000", "NIN_V2"] {
        assert!(!database.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    site.start_sandbox();
    site.start_guard();
    site.start_daemon();
    site.wait("the drain", |site| site.jobs().iter().all(|job| job["state"] == "decided"));
    let seen = site.sandbox.as_ref().unwrap().jobs();
    assert_eq!((seen.len(), seen[0].submissions, seen[0].images()), (1, 1, 9));
    nothing_was_armed(&mut site);
}

/// A number's check in v1 has our own id: a lost answer is looked up, never asked again.
#[test]
fn a_lost_answer_of_a_numbers_check_is_looked_up() {
    let scenario = "[[fault]]\nendpoint = \"v1/id_verification\"\nkind = \"drop-answer\"\ncalls = [1]\n";
    let site = Site::open(&Options { api: "v1", scenario, ..Options::default() });
    let answer = submit(&site, "enhanced-kyc", &[]);
    assert_eq!((answer.exit, answer.word("outcome")), (5, "unknown_outcome"), "{answer:?}");
    site.wait("the look-up", |site| site.jobs().iter().all(|job| job["state"] == "decided"));
    let seen = site.sandbox.as_ref().unwrap().jobs();
    assert_eq!((seen.len(), seen[0].submissions), (1, 1));
}

#[test]
fn what_is_wrong_is_named_before_anything_is_saved() {
    let site = Site::open(&Options::default());
    let form_file = site.path("form.json");
    for (change, named) in [
        (json!({ "country": "ng" }), "country"),
        (json!({ "phone": "+234 801 234 5678" }), "phone_number"),
        (json!({ "given_names": "n".repeat(1000) }), "given_names"),
        (json!({ "last_name": "a\u{202e}b" }), "last_name"),
        (json!({ "email": "nobody" }), "email"),
        (json!({ "consent": null }), "consent"),
        (
            json!({ "consent": { "granted_at": "2126-01-02T03:04:05Z", "language": "EN",
            "policy_url": "https://example.com/privacy" } }),
            "granted_at",
        ),
        (json!({ "sandbox_result": 0 }), "sandbox_result"),
        (json!({ "id_numbr": "1" }), "form.json, line"),
        (json!({ "partner_params": { "sandbox_result": "0" } }), "partner_params"),
    ] {
        let mut args = args(&site, "biometric-kyc");
        let mut form = form();
        form.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        std::fs::write(&form_file, form.to_string()).unwrap();
        args.retain(|arg| !arg.is_empty());
        let answer = site.latchd(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(answer.exit, 2, "{named}: {answer:?}");
        assert!(answer.word("cause").contains(named), "{named}: {answer:?}");
        assert!(!answer.word("remedy").is_empty() && answer.word("remedy") != "-", "{answer:?}");
    }
    // Pictures that are none.
    let text = site.path("latchd.toml").display().to_string();
    let answer = submit(&site, "document", &["--document", &text]);
    assert_eq!(answer.exit, 2, "{answer:?}");
    assert!(site.jobs().is_empty());
}

/// Names on standard input are in no list of processes.
#[test]
fn a_form_is_read_from_standard_input() {
    let site = Site::open(&Options::default());
    let mut child = Command::new(env!("CARGO_BIN_EXE_latchd"))
        .args(["submit", "enhanced-kyc", "--form", "-", "--json", "--config"])
        .arg(site.path("latchd.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(form().to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(site::answer(&output).word("outcome"), "approved", "{output:?}");
}

/// Who is on the list, with consent, need not be described again.
#[test]
fn names_and_consent_come_from_the_list() {
    let site = Site::open(&Options::default());
    let picture = site.path("photograph.png").display().to_string();
    let mut args =
        vec!["submit", "document", "--user-id", "approved", "--country", "NG", "--document", &picture];
    args.extend(["--image", &picture]);
    for _ in 0..6 {
        args.extend(["--liveness", &picture]);
    }
    let answer = site.latchd(&args);
    assert_eq!((answer.exit, answer.word("outcome")), (0, "approved"), "{answer:?}");
}

/// The service's lists, kept: a number is held against them, also without a network.
#[test]
fn what_the_service_lists_is_known_without_a_network() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    let listed = site.latchd(&["services", "--country", "NG"]);
    assert_eq!(listed.exit, 0, "{listed:?}");
    let names = |answer: &Answer, list: &str| -> Vec<String> {
        let of_list = answer.lines.iter().filter(|line| line["list"] == list);
        of_list.map(|line| line["type"].as_str().or(line["code"].as_str()).unwrap().to_owned()).collect()
    };
    assert_eq!(names(&listed, "id_type"), ["NIN_V2", "BVN", "BANK_ACCOUNT"]);
    assert_eq!(names(&listed, "document"), ["PASSPORT", "DRIVERS_LICENSE"]);
    site.stop_sandbox();
    assert_eq!(site.latchd(&["services"]).lines.len(), 10, "all countries, from the kept file");
    let failed = site.latchd(&["services", "--refresh"]);
    assert_eq!(failed.exit, 1, "{failed:?}");
    for (kind, number, field) in
        [("NIN_V2", "1234", "id_number"), ("NIN_V9", "12345678901", "id_type"), ("BVN", "12345678901", "dob")]
    {
        let answer = submit(&site, "enhanced-kyc", &["--id-type", kind, "--id-number", number]);
        assert_eq!(answer.exit, 2, "{answer:?}");
        assert!(answer.word("cause").starts_with(field), "{answer:?}");
    }
    assert!(site.jobs().is_empty());
    let good = submit(&site, "enhanced-kyc", &[]);
    assert_eq!(good.word("outcome"), "offline", "{good:?}");
}
