//! The service calls back: a job is asked about at once, a lost one is found again, and nothing opens by it.
#![cfg(all(feature = "sandbox", feature = "web"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/site.rs"]
mod site;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use latchd::clock::{Clock as _, SystemClock, WallTime};
use serde_json::json;
use site::{API_KEY, Options, PARTNER, Site};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// A site whose daemon listens for callbacks, with the sandbox's own certificate.
fn listening(scenario: &str, api: &str) -> (Site, SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut site = Site::build(&Options { scenario, api, ..Options::default() });
    let key = site.path("callback.key");
    std::fs::copy(site.path("tls/server.key"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let section = format!(
        "[smile.callbacks]\nlisten = \"{address}\"\npath = \"/smile-id\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n\n[camera]",
        site.path("tls/server.pem").display(),
        key.display()
    );
    let config = std::fs::read_to_string(site.path("latchd.toml")).unwrap();
    std::fs::write(site.path("latchd.toml"), config.replacen("[camera]", &section, 1)).unwrap();
    site.import_people();
    site.start_guard();
    site.start_daemon();
    (site, address)
}

fn now() -> String {
    SystemClock::new().wall().known().unwrap().to_rfc3339()
}

fn signature(timestamp: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(API_KEY.as_bytes()).unwrap();
    mac.update(format!("{timestamp}{PARTNER}sid_request").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// Posts a callback; the status of the answer.
fn post(site: &Site, to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let pem = std::fs::read(site.path("tls/ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject as _;
    roots.add_parsable_certificates(
        rustls::pki_types::CertificateDer::pem_slice_iter(&pem).map(Result::unwrap),
    );
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(to).unwrap());
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

/// As v3 calls back.
fn call_back(site: &Site, to: SocketAddr, timestamp: &str, remote: &str, own: &str) -> u16 {
    let body = json!({ "status": "clear", "partner_params": { "job_id": own } }).to_string();
    let headers = [
        ("Response-Timestamp", timestamp),
        ("Response-Signature", &*signature(timestamp)),
        ("Job-ID", remote),
    ];
    post(site, to, "/smile-id", &headers, &body)
}

/// The answer to a submission is lost; the callback says under which id the service has the job.
#[test]
fn a_lost_v3_job_is_found_again_by_its_callback_and_opens_nothing() {
    let scenario = "[[fault]]\nendpoint = \"v3/authentication\"\nkind = \"drop-answer\"\ncalls = [1]\n";
    let (site, address) = listening(scenario, "v3");
    assert_eq!(site.authenticate("approved").word("outcome"), "unknown_outcome");
    let own = site.jobs()[0]["job"].as_str().unwrap().to_owned();
    let remote = site.sandbox.as_ref().unwrap().jobs()[0].job_id.clone();
    // Another person's job under our lost one's name: the service says whose it is, and nothing follows.
    assert_eq!(site.authenticate("denied").word("outcome"), "denied");
    let other = site.sandbox.as_ref().unwrap().jobs()[1].job_id.clone();
    assert_eq!(call_back(&site, address, &now(), &other, &own), 200);
    // One that the service does not know.
    assert_eq!(call_back(&site, address, &now(), "job_01h8x9y2z3a4b5c6d7e8f9g0h1", &own), 200);
    let timestamp = now();
    assert_eq!(call_back(&site, address, &timestamp, &remote, &own), 200);
    site.wait("the lost job", |site| {
        site.jobs()
            .iter()
            .any(|job| job["job"] == *own && job["state"] == "decided" && job["remote_id"] == *remote)
    });
    assert_eq!(call_back(&site, address, &timestamp, &remote, &own), 200, "once more, and nothing new");
    assert!(site.edges().is_empty(), "a late approval opens nothing");
    // The service can be asked to say it again; of a job that it was not handed there is nothing to say.
    let replayed = site.latchd(&["queue", "replay", &own]);
    assert_eq!(replayed.exit, 0, "{replayed:?}");
    assert_eq!(site.latchd(&["queue", "replay", "0198f3c2-0000-7000-8000-000000000000"]).exit, 1);
    let late = site.events().iter().filter(|event| event["event"] == "late_verdict").count();
    assert_eq!(late, 1);
}

#[test]
fn a_callback_that_is_not_the_services_is_not_listened_to() {
    let (site, address) = listening("", "v3");
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    let old = SystemClock::new().wall().known().unwrap().as_unix_millis() - 11 * 60 * 1000;
    let old = WallTime::from_unix_millis(old).to_rfc3339();
    let job = "job_01h8x9y2z3a4b5c6d7e8f9g0h1";
    assert_eq!(call_back(&site, address, &old, job, "x"), 401, "signed eleven minutes ago");
    let stamp = now();
    let forged = [("Response-Timestamp", &*stamp), ("Response-Signature", "AAAA"), ("Job-ID", job)];
    assert_eq!(post(&site, address, "/smile-id", &forged, "{}"), 401);
    let sum = signature(&stamp);
    let signed = [("Response-Timestamp", &*stamp), ("Response-Signature", &*sum), ("Job-ID", job)];
    assert_eq!(post(&site, address, "/smile-id", &signed, "no JSON"), 400);
    assert_eq!(post(&site, address, "/other", &signed, "{}"), 404);
    assert_eq!(post(&site, address, "/smile-id", &signed, &"x".repeat(2_000_000)), 413);
    site.wait("the pulse's end", |site| site.is_locked());
    assert_eq!(site.openings(), 1);
    assert_eq!(site.authenticate("approved").word("outcome"), "granted", "the door goes on");
}

/// v1 names our own id, and signs in the body.
#[test]
fn a_v1_callback_makes_the_device_ask_at_once() {
    // The verdict comes after the window: only the drain, which waits ever longer, would find it.
    let scenario = "enrolled = [\"approved\"]\n[[user]]\nid = \"approved\"\ndecide_after_ms = 9000\n";
    let (site, address) = listening(scenario, "v1");
    assert_eq!(site.authenticate("approved").word("outcome"), "expired");
    let own = site.jobs()[0]["job"].as_str().unwrap().to_owned();
    let stamp = now();
    let body = json!({
        "timestamp": stamp, "signature": signature(&stamp), "ResultCode": "0820",
        "PartnerParams": { "job_id": own, "user_id": "approved", "job_type": "2" },
    });
    assert_eq!(post(&site, address, "/smile-id", &[], &body.to_string()), 200);
    site.wait("the verdict", |site| site.jobs().iter().all(|job| job["state"] == "decided"));
    assert!(site.edges().is_empty());
}
