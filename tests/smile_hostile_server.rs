//! Whatever the server does, the client ends in bounded time, says truthfully whether a job may have been taken,
//! sends it once, and never reports an approval that was not given.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/smile.rs"]
mod smile;
#[path = "support/tls_server.rs"]
mod tls_server;

use latchd::access::{Product, UserId};
use latchd::config::model::{Api, Smile};
use latchd::smileid::{Client, FailureKind, Handle, Progress, Reject, Settings, SmileError, Status};
use smile::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tls_server::{Identity, Reply, TlsServer, json, with_headers};

/// What a v3 submission ends in when the entry call is answered so; and the entry calls the server counted.
fn entry(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (latchd::smileid::Failure, usize) {
    let server = v3(move |_| reply());
    let failure = submit(&client(&server, Api::V3), Product::Authentication).0.unwrap_err();
    (failure, server.seen("POST", "/v3/authentication").len())
}

fn handle() -> Handle {
    Handle {
        product: Product::Authentication,
        user_id: UserId::parse("emp-0042").unwrap(),
        remote_job: JOB.into(),
    }
}

fn status(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Result<Status, latchd::smileid::Failure> {
    let server = v3(move |_| reply());
    client(&server, Api::V3).status(&handle())
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_sees_no_request() {
    let good = TlsServer::start(|_| Reply::Silence);
    for identity in [Identity::WrongName, Identity::Expired, Identity::Right] {
        let server = TlsServer::with(identity, |_| Reply::Silence, |_| None);
        let smile = Smile {
            base_url: Some(server.url()),
            // The right identity is signed by a CA that the client does not trust.
            ca_file: Some(if identity == Identity::Right {
                good.ca_file.clone()
            } else {
                server.ca_file.clone()
            }),
            partner_id: "12".into(),
            ..Smile::default()
        };
        let settings = Settings::from_config(&smile, secrecy::SecretString::from(KEY)).unwrap();
        let clock = std::sync::Arc::new(latchd::clock::SystemClock::new());
        let client = Client::new(settings, clock, std::sync::Arc::new(latchd::clock::SystemRandom)).unwrap();
        assert_eq!(client.warm().unwrap_err().kind, FailureKind::Certificate);
        let failure = submit(&client, Product::Authentication).0.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Certificate, "{failure}");
        assert!(failure.kind.pauses_queue());
        assert!(server.requests().is_empty());
    }
}

#[test]
fn a_file_without_certificates_is_an_error_with_a_remedy() {
    let server = TlsServer::start(|_| Reply::Silence);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let make = |file: &std::path::Path| {
        let smile = Smile {
            base_url: Some(server.url()),
            ca_file: Some(file.to_owned()),
            partner_id: "12".into(),
            ..Smile::default()
        };
        let settings = Settings::from_config(&smile, secrecy::SecretString::from(KEY)).unwrap();
        let clock = std::sync::Arc::new(latchd::clock::SystemClock::new());
        Client::new(settings, clock, std::sync::Arc::new(latchd::clock::SystemRandom)).unwrap_err()
    };
    assert!(matches!(make(&file), SmileError::CaFile { .. }));
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let error = make(&file);
    assert!(matches!(error, SmileError::NoCertificates { unusable: 1, .. }), "{error}");
    assert!(error.remedy().contains("ca_file"));
}

#[test]
fn nobody_listening_is_a_certain_refusal() {
    let server = v3(|_| Reply::Silence);
    let client = client(&server, Api::V3);
    drop(server);
    let (result, steps) = submit(&client, Product::Authentication);
    assert_eq!(result.unwrap_err().kind, FailureKind::RefusedForCertain);
    assert!(steps.is_empty());
    assert_eq!(client.status(&handle()).unwrap_err().kind, FailureKind::TryLater);
}

#[test]
fn a_redirect_is_not_followed_and_nothing_is_sent_again() {
    for code in ["302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let elsewhere = TlsServer::start(|_| Reply::Bytes(json("202 Accepted", &accepted())));
        let location = format!("location: {}/v3/authentication\r\n", elsewhere.url());
        let reply = with_headers(code, &location, "");
        let (failure, count) = entry(move || Reply::Bytes(reply.clone()));
        assert_eq!((failure.kind, count), (FailureKind::PerhapsTaken, 1), "{code}");
        assert_eq!(elsewhere.connections(), 0);
        let reply = with_headers(code, &location, "");
        assert_eq!(status(move || Reply::Bytes(reply.clone())).unwrap_err().kind, FailureKind::Configuration);
    }
}

#[test]
fn a_success_that_is_not_what_the_protocol_says_is_perhaps_taken() {
    let other_user = accepted().replace("emp-0042", "emp-0043");
    let cases = [
        ("truncated", json("202 Accepted", "{\"status\":\"accepted\",\"job_id\":")),
        ("array", json("202 Accepted", "[]")),
        ("empty", json("202 Accepted", "")),
        ("no job", json("202 Accepted", "{\"status\":\"accepted\",\"user_id\":\"emp-0042\"}")),
        ("no user", json("202 Accepted", &format!("{{\"status\":\"accepted\",\"job_id\":\"{JOB}\"}}"))),
        ("refused", json("202 Accepted", &accepted().replace("accepted", "refused"))),
        ("path in the job id", json("202 Accepted", &accepted().replace(JOB, "../../token"))),
        ("another user", json("202 Accepted", &other_user)),
        ("html", with_headers("202 Accepted", "content-type: text/html\r\n", &accepted())),
        ("no type", with_headers("202 Accepted", "", &accepted())),
        ("deep", json("202 Accepted", &"{\"a\":".repeat(100_000 / 5))),
    ];
    for (name, bytes) in cases {
        let (failure, count) = entry(move || Reply::Bytes(bytes.clone()));
        assert_eq!((failure.kind, count), (FailureKind::PerhapsTaken, 1), "{name}: {failure}");
    }
}

#[test]
fn an_answer_of_100_mb_is_not_read() {
    let head = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 100000000\r\n\r\n").into_bytes();
    let endless = format!("{head}\r\n").into_bytes();
    for bytes in [announced, endless] {
        let (failure, count) = entry(move || Reply::Flood(bytes.clone(), 100_000_000));
        assert_eq!((failure.kind, count), (FailureKind::PerhapsTaken, 1));
        assert!(failure.text.contains("256 KiB"), "{failure}");
    }
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(100)).into_bytes();
    let failure = status(move || Reply::Flood(head.clone(), 10_000_000)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Malformed, "{failure}");
}

#[test]
fn a_status_with_missing_or_contradicting_fields_is_no_state() {
    let full =
        |word: &str| format!("{{\"status\":\"{word}\",\"job_id\":\"{JOB}\",\"user_id\":\"emp-0042\"}}");
    for (name, bytes) in [
        ("no status", json("200 OK", &format!("{{\"job_id\":\"{JOB}\",\"user_id\":\"emp-0042\"}}"))),
        ("no job", json("200 OK", "{\"status\":\"clear\",\"user_id\":\"emp-0042\"}")),
        ("no user", json("200 OK", &format!("{{\"status\":\"clear\",\"job_id\":\"{JOB}\"}}"))),
        ("null user", json("200 OK", &full("clear").replace("\"emp-0042\"", "null"))),
        ("clear while running", json("202 Accepted", &full("clear"))),
        ("clear as 201", json("201 Created", &full("clear"))),
        ("html", with_headers("200 OK", "content-type: text/html\r\n", &full("clear"))),
        ("cut", json("200 OK", "{\"status\":\"clear\",")),
    ] {
        let failure = status(move || Reply::Bytes(bytes.clone())).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Malformed, "{name}");
    }
    // A body cut off against its length is no answer at all.
    let mut bytes = json("200 OK", &full("clear"));
    bytes.truncate(bytes.len() - 1);
    let failure = status(move || Reply::Last(bytes.clone())).unwrap_err();
    assert_eq!(failure.kind, FailureKind::TryLater, "{failure}");
    // Neither is a clear in an answer that says that it failed.
    let bytes = json("500 Internal Server Error", &full("clear"));
    assert_eq!(status(move || Reply::Bytes(bytes.clone())).unwrap_err().kind, FailureKind::TryLater);
}

#[test]
fn a_refused_token_is_renewed_once() {
    for (refusals, tokens, entries, ends_well) in [(1, 2, 2, true), (9, 2, 2, false)] {
        let (asked, given) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let server = TlsServer::start(move |request| {
            if request.path == "/v3/token" {
                return token(&format!("t{}", given.fetch_add(1, Ordering::SeqCst)), 900);
            }
            if asked.fetch_add(1, Ordering::SeqCst) < refusals {
                let body =
                    "{\"status\":\"unauthorized\",\"message\":\"no\",\"job_id\":null,\"user_id\":null}";
                return Reply::Bytes(json("401 Unauthorized", body));
            }
            Reply::Bytes(json("202 Accepted", &accepted()))
        });
        let (result, steps) = submit(&client(&server, Api::V3), Product::Authentication);
        assert_eq!(server.seen("POST", "/v3/token").len(), tokens);
        let sent = server.seen("POST", "/v3/authentication");
        assert_eq!(sent.len(), entries);
        assert_ne!(sent[0].header("smileid-token"), sent[1].header("smileid-token"));
        assert_eq!(steps.iter().filter(|step| **step == Progress::Renewing).count(), 1);
        match result {
            Ok(_) => assert!(ends_well),
            Err(failure) => assert_eq!((failure.kind, ends_well), (FailureKind::Unauthorised, false)),
        }
    }
}

#[test]
fn a_refused_key_sends_no_picture() {
    let server =
        TlsServer::start(|_| Reply::Bytes(json("401 Unauthorized", "{\"message\":\"Invalid key\"}")));
    let (result, steps) = submit(&client(&server, Api::V3), Product::Authentication);
    assert_eq!(result.unwrap_err().kind, FailureKind::Unauthorised);
    assert!(steps.is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn refusals_with_a_status_mean_what_the_queue_expects() {
    let gateway = "{\"status\":\"integration_failure\",\"message\":\"x\",\"job_id\":null,\"user_id\":null}";
    let user = "{\"status\":\"Forbidden\",\"message\":\"Token is not authorized for this user ID.\"}";
    let product = "{\"status\":\"Forbidden\",\"message\":\"Product not enabled for this partner.\"}";
    let wait = |seconds: u64| Some(Duration::from_secs(seconds));
    let date = "date: Fri, 02 Jan 2026 03:04:05 GMT\r\nretry-after: Fri, 02 Jan 2026 03:05:05 GMT\r\n";
    for (code, headers, body, kind, retry_after) in [
        ("429 Too Many Requests", "retry-after: 17\r\n", "{}", FailureKind::RefusedForCertain, wait(17)),
        ("429 Too Many Requests", date, "{}", FailureKind::RefusedForCertain, wait(60)),
        ("429 Too Many Requests", "retry-after: soon\r\n", "{}", FailureKind::RefusedForCertain, None),
        ("429 Too Many Requests", "", "no json", FailureKind::RefusedForCertain, None),
        ("503 Service Unavailable", "retry-after: 3\r\n", "<x>", FailureKind::RefusedForCertain, wait(3)),
        ("503 Service Unavailable", "retry-after: soon\r\n", "{}", FailureKind::PerhapsTaken, None),
        ("503 Service Unavailable", "", "{}", FailureKind::PerhapsTaken, None),
        ("500 Internal Server Error", "", gateway, FailureKind::RefusedForCertain, None),
        ("500 Internal Server Error", "", "{\"message\":\"x\"}", FailureKind::PerhapsTaken, None),
        ("504 Gateway Timeout", "", "<html>", FailureKind::PerhapsTaken, None),
        ("402 Payment Required", "", "{}", FailureKind::Unpaid, None),
        ("403 Forbidden", "", user, FailureKind::RejectedJob(Reject::User), None),
        ("403 Forbidden", "", product, FailureKind::NotPermitted, None),
        ("400 Bad Request", "", "{}", FailureKind::RejectedJob(Reject::Invalid), None),
        ("413 Content Too Large", "", "", FailureKind::RejectedJob(Reject::TooLarge), None),
        ("415 Unsupported Media Type", "", "", FailureKind::RejectedJob(Reject::MediaType), None),
    ] {
        let reply = with_headers(code, headers, body);
        let (failure, count) = entry(move || Reply::Bytes(reply.clone()));
        assert_eq!((failure.kind, failure.retry_after, count), (kind, retry_after, 1), "{code} {body}");
        assert_eq!(failure.http.unwrap().to_string(), code[..3]);
    }
}

#[test]
fn a_connection_that_dies_after_the_body_leaves_the_outcome_open_and_one_copy() {
    let cases = [
        ("closed", Reply::Last as fn(Vec<u8>) -> Reply, ""),
        ("cut", Reply::Cut, ""),
        ("half a head", Reply::Last, "HTTP/1.1 202 Acc"),
    ];
    for (name, reply, bytes) in cases {
        let (failure, count) = entry(move || reply(bytes.into()));
        assert_eq!((failure.kind, count), (FailureKind::PerhapsTaken, 1), "{name}: {failure}");
    }
}

#[test]
fn a_connection_that_dies_in_the_body_is_a_certain_refusal() {
    let server = TlsServer::with(
        Identity::Right,
        |_| token("t", 900),
        |request| request.path.ends_with("authentication").then(|| Reply::Cut(Vec::new())),
    );
    let mut someone = person();
    // More than the socket's buffers hold, so that the break is noticed before the last byte.
    someone.liveness = (0..8).map(|_| [&[0xff, 0xd8, 0xff][..], &vec![7; 500_000]].concat()).collect();
    let client = client(&server, Api::V3);
    let result =
        someone.submitting(Product::Authentication, |submission| client.submit(&submission, &mut |_| {}));
    assert_eq!(result.unwrap_err().kind, FailureKind::RefusedForCertain);
}

#[test]
fn an_answer_in_the_middle_of_the_body_is_heard() {
    let server = TlsServer::with(
        Identity::Right,
        |_| token("t", 900),
        |request| {
            let entry = request.path.ends_with("authentication");
            entry.then(|| Reply::Last(json("413 Content Too Large", "{\"message\":\"too large\"}")))
        },
    );
    let mut someone = person();
    // Just below the size from which the client asks first.
    someone.liveness = (0..8).map(|_| [&[0xff, 0xd8, 0xff][..], &vec![7; 115_000]].concat()).collect();
    let client = client(&server, Api::V3);
    // The answer, the hang-up and the body race: whichever comes first, the answer must be heard.
    for _ in 0..20 {
        let result =
            someone.submitting(Product::Authentication, |submission| client.submit(&submission, &mut |_| {}));
        assert_eq!(result.unwrap_err().kind, FailureKind::RejectedJob(Reject::TooLarge));
    }
}

#[test]
fn a_server_that_does_not_read_is_left_in_time() {
    let server = TlsServer::with(
        Identity::Right,
        |_| token("t", 900),
        |request| request.path.ends_with("authentication").then_some(Reply::Silence),
    );
    let mut someone = person();
    // More than the socket's buffers hold. The request would be asked for first: the silence outlasts that too.
    someone.liveness = (0..8).map(|_| [&[0xff, 0xd8, 0xff][..], &vec![7; 540_000]].concat()).collect();
    let client = hasty(&server, Api::V3, Duration::from_millis(500));
    let result =
        someone.submitting(Product::Authentication, |submission| client.submit(&submission, &mut |_| {}));
    let failure = result.unwrap_err();
    assert!(failure.text.contains("timed out"), "{failure}");
    assert!(matches!(failure.kind, FailureKind::RefusedForCertain | FailureKind::PerhapsTaken), "{failure}");
}

#[test]
fn a_large_body_asks_first_and_understands_a_refusal_by_size() {
    let server = TlsServer::with(
        Identity::Right,
        |_| token("t", 900),
        |request| {
            let large = request.header("expect") == Some("100-continue");
            large.then(|| Reply::Last(json("413 Content Too Large", "{\"message\":\"too large\"}")))
        },
    );
    let mut someone = person();
    someone.liveness = (0..8).map(|_| [&[0xff, 0xd8, 0xff][..], &vec![7; 300_000]].concat()).collect();
    let client = client(&server, Api::V3);
    let mut steps = Vec::new();
    let result = someone.submitting(Product::Authentication, |submission| {
        client.submit(&submission, &mut |step| steps.push(step))
    });
    assert_eq!(result.unwrap_err().kind, FailureKind::RejectedJob(Reject::TooLarge));
    assert!(steps.is_empty(), "{steps:?}");
}

#[test]
fn a_server_that_drips_or_says_nothing_is_left_in_time() {
    let slow: [fn() -> Reply; 3] = [
        || Reply::Silence,
        || Reply::Drip(json("202 Accepted", &accepted()), Duration::from_millis(40)),
        || {
            let mut bytes = json("202 Accepted", &accepted());
            bytes.truncate(bytes.len() - accepted().len());
            bytes.extend_from_slice(b"{");
            Reply::Drip(bytes, Duration::from_millis(40))
        },
    ];
    for reply in slow {
        let server = v3(move |_| reply());
        let client = hasty(&server, Api::V3, Duration::from_millis(400));
        let failure = submit(&client, Product::Authentication).0.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PerhapsTaken, "{failure}");
        assert!(failure.text.contains("timed out"), "{failure}");
        assert_eq!(server.seen("POST", "authentication").len(), 1);
        assert_eq!(client.status(&handle()).unwrap_err().kind, FailureKind::TryLater);
    }
}

#[test]
fn a_farewell_together_with_an_answer_does_not_lose_the_next_job() {
    let count = AtomicUsize::new(0);
    let server = TlsServer::start(move |request| match request.path.as_str() {
        "/v3/token" => token("t", 900),
        _ if count.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Farewell(json("202 Accepted", &accepted())),
        _ => Reply::Bytes(json("202 Accepted", &accepted())),
    });
    let client = client(&server, Api::V3);
    submit(&client, Product::Authentication).0.unwrap();
    submit(&client, Product::Authentication).0.unwrap();
    assert_eq!(server.seen("POST", "authentication").len(), 2);
    assert_eq!(server.connections(), 2);
}
