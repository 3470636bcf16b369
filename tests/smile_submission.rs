//! What the service receives is what the protocol asks for, byte by byte, and what it answers is understood.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/smile.rs"]
mod smile;
#[path = "support/tls_server.rs"]
mod tls_server;

use latchd::access::{Product, UserId, Verdict};
use latchd::clock::Wall;
use latchd::config::model::{Api, Geo};
use latchd::smileid::{Enrolment, Handle, Progress, Status};
use smile::*;
use tls_server::{Reply, Request, json};

struct Part {
    name: String,
    file: Option<String>,
    kind: Option<String>,
    bytes: Vec<u8>,
}

/// The parts of a form, read by a parser that is not ours.
fn parts(request: &Request) -> Vec<Part> {
    let boundary = multer::parse_boundary(request.header("content-type").unwrap()).unwrap();
    let body = http_body_util::Full::new(hyper::body::Bytes::from(request.body.clone()));
    let stream = http_body_util::BodyDataStream::new(body);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut form = multer::Multipart::new(stream, boundary);
        let mut parts = Vec::new();
        while let Some(field) = form.next_field().await.unwrap() {
            let name = field.name().unwrap().to_owned();
            let file = field.file_name().map(str::to_owned);
            let kind = field.content_type().map(ToString::to_string);
            parts.push(Part { name, file, kind, bytes: field.bytes().await.unwrap().to_vec() });
        }
        parts
    })
}

fn text(parts: &[Part], name: &str) -> Option<String> {
    let mut found = parts.iter().filter(|part| part.name == name);
    let part = found.next()?;
    assert!(found.next().is_none(), "{name} is there twice");
    assert!(part.file.is_none(), "{name} has a file name");
    Some(String::from_utf8(part.bytes.clone()).unwrap())
}

#[test]
fn v3_authentication_sends_each_part_and_every_picture() {
    let server = v3(|_| Reply::Bytes(json("202 Accepted", &accepted())));
    let client = client(&server, Api::V3);
    let someone = person();
    let mut steps = Vec::new();
    let accepted = someone.submitting(Product::Authentication, |mut submission| {
        submission.geo = Some(Geo { latitude: -1.25, longitude: 36.5, altitude: Some(1795.0) });
        client.submit(&submission, &mut |step| steps.push(step)).unwrap()
    });
    assert_eq!(accepted.handle.remote_job, JOB);

    let entry = server.seen("POST", "/v3/authentication").remove(0);
    assert!(entry.header("smileid-token").unwrap().ends_with(".secret-token"));
    assert_eq!(entry.header("user-id"), None);
    assert_eq!(entry.header("smileid-source-sdk"), Some("rest_api"));
    assert_eq!(entry.header("transfer-encoding"), None);
    let length = entry.body.len() as u64;
    assert_eq!(steps, [Progress::Sending { bytes: length }, Progress::Sent]);

    let parts = parts(&entry);
    assert_eq!(text(&parts, "user_id").unwrap(), "emp-0042");
    assert_eq!(text(&parts, "callback_url").unwrap(), "https://door.example/callback");
    assert_eq!(text(&parts, "allow_new_enroll"), None);
    let json_part = |name: &str| -> serde_json::Value {
        let part = parts.iter().find(|part| part.name == name).unwrap();
        assert_eq!(part.kind.as_deref(), Some("application/json"), "{name}");
        serde_json::from_str(&text(&parts, name).unwrap()).unwrap()
    };
    assert_eq!(
        json_part("consent"),
        serde_json::json!({"granted": true, "granted_at": "2026-01-02T03:04:05.000Z", "notice_language": "EN",
            "notice_privacy_policy_url": "https://example.com/privacy"})
    );
    assert_eq!(
        json_part("user_details"),
        serde_json::json!({"given_names": GIVEN, "last_name": LAST, "email": EMAIL})
    );
    assert_eq!(
        json_part("partner_params"),
        serde_json::json!({"site": "gate \"7\"", "job_id": "11111111-1111-1111-1111-111111111111",
            "latitude": "-1.25", "longitude": "36.5", "altitude": "1795"})
    );
    let pictures: Vec<_> = parts.iter().filter(|part| part.file.is_some()).collect();
    assert_eq!(pictures[0].name, "selfie_image");
    assert_eq!(pictures[0].bytes, someone.selfie);
    assert_eq!(pictures.len(), 9);
    for (part, bytes) in pictures[1..].iter().zip(&someone.liveness) {
        assert_eq!(part.name, "liveness_images");
        assert_eq!(part.kind.as_deref(), Some("image/jpeg"));
        assert_eq!(&part.bytes, bytes);
    }
}

#[test]
fn v3_registration_names_the_user_for_old_and_new_servers_and_never_replaces_a_face_unasked() {
    let server = v3(|_| Reply::Bytes(json("202 Accepted", &accepted())));
    let client = client(&server, Api::V3);
    for (enrolment, word) in [(Enrolment::OnlyNew, "false"), (Enrolment::Replace, "true")] {
        person().submitting(Product::Registration, |mut submission| {
            submission.enrolment = enrolment;
            client.submit(&submission, &mut |_| {}).unwrap();
        });
        let entry = server.seen("POST", "/v3/registration").pop().unwrap();
        assert_eq!(entry.header("user-id"), Some("emp-0042"));
        let parts = parts(&entry);
        assert_eq!(text(&parts, "user_id").unwrap(), "emp-0042");
        assert_eq!(text(&parts, "allow_new_enroll").unwrap(), word);
    }
}

#[test]
fn v3_asks_for_one_token_with_the_unpadded_partner_id_and_keeps_one_connection() {
    let server = v3(|_| Reply::Bytes(json("202 Accepted", &accepted())));
    let client = client(&server, Api::V3);
    client.warm().unwrap();
    client.warm().unwrap();
    for _ in 0..3 {
        submit(&client, Product::Authentication).0.unwrap();
    }
    let tokens = server.seen("POST", "/v3/token");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].header("smileid-partner-id"), Some("12"));
    assert_eq!(tokens[0].header("smileid-api-key"), Some(KEY));
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 4);
    assert!(
        server.seen("POST", "authentication").iter().all(|entry| entry.header("smileid-api-key").is_none())
    );
}

#[test]
fn two_threads_share_one_token() {
    let server = v3(|_| Reply::Bytes(json("202 Accepted", &accepted())));
    let client = client(&server, Api::V3);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| submit(&client, Product::Authentication).0.unwrap());
        }
    });
    assert_eq!(server.seen("POST", "/v3/token").len(), 1);
}

#[test]
fn warming_a_client_that_has_a_token_opens_a_connection() {
    let server = v3(|_| Reply::Bytes(json("202 Accepted", &accepted())));
    let (clock, client) = client_at(&server, Api::V3, Wall::Unknown);
    client.warm().unwrap();
    clock.advance(std::time::Duration::from_secs(4));
    client.warm().unwrap();
    assert_eq!(server.seen("HEAD", "/").len(), 1);
    assert_eq!(server.seen("POST", "/v3/token").len(), 1);
}

fn v3_state(status: &'static str, body: &'static str) -> Result<Status, latchd::smileid::Failure> {
    let server = v3(move |_| Reply::Bytes(json(status, body)));
    let handle = Handle {
        product: Product::Authentication,
        user_id: UserId::parse("emp-0042").unwrap(),
        remote_job: JOB.into(),
    };
    let state = client(&server, Api::V3).status(&handle);
    assert_eq!(server.seen("GET", &format!("/v3/status/{JOB}")).len(), 1);
    state
}

#[test]
fn v3_status_words_become_verdicts() {
    for (word, verdict) in [
        ("clear", Verdict::Approved),
        ("attention", Verdict::Provisional),
        ("block", Verdict::Rejected { spoof: true }),
        ("error", Verdict::Undecided),
        ("approved", Verdict::Unknown),
    ] {
        let body = format!(
            "{{\"status\":\"{word}\",\"job_id\":\"{JOB}\",\"user_id\":\"someone-else\",\"message\":\"Job completed\"}}"
        );
        let Ok(Status::Final(report)) = v3_state("200 OK", body.leak()) else { panic!("{word}") };
        assert_eq!(report.verdict, verdict, "{word}");
        // Whom the answer names, not whom we asked for: the access room compares.
        assert_eq!(report.user_id, "someone-else");
        assert_eq!(report.remote_job, JOB);
        assert_eq!(report.text, "Job completed");
    }
    let running = "{\"status\":\"processing\",\"job_id\":\"job_1\",\"user_id\":\"u\"}";
    assert_eq!(v3_state("202 Accepted", running), Ok(Status::Pending));
    let unknown = "{\"status\":\"not_found\",\"job_id\":\"job_1\",\"user_id\":\"unknown\"}";
    assert_eq!(v3_state("404 Not Found", unknown), Ok(Status::NotFound));
}

#[test]
fn the_benchmark_submits_each_job_over_one_connection() {
    use latchd::clock::{SystemClock, SystemRandom};
    use latchd::smileid::bench::{BenchError, Plan, run};
    use std::sync::Arc;
    let answer = accepted().replace("emp-0042", "bench-user");
    let server = v3(move |_| Reply::Bytes(json("202 Accepted", &answer)));
    let images = tempfile::tempdir().unwrap();
    let someone = person();
    std::fs::write(images.path().join("selfie.jpg"), &someone.selfie).unwrap();
    for (index, picture) in someone.liveness.iter().enumerate() {
        std::fs::write(images.path().join(format!("liveness_{index}.jpg")), picture).unwrap();
    }
    let mut plan = Plan {
        url: server.url(),
        ca: server.ca_file.clone(),
        images: images.path().to_owned(),
        jobs: 3,
        partner_id: "12".into(),
        api_key: KEY.into(),
    };
    let measure = |plan: &Plan| run(plan, Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let figures = measure(&plan).unwrap();
    assert_eq!((figures.jobs, figures.wall_us.len(), figures.picture_bytes), (3, 3, 220_027));
    assert!(figures.median_us() > 0);
    assert_eq!(server.seen("POST", "/v3/authentication").len(), 3);
    assert_eq!(server.connections(), 1);
    plan.images = images.path().join("nowhere");
    assert!(matches!(measure(&plan), Err(BenchError::Picture { .. })));
}

#[test]
fn v3_needs_no_clock_and_tells_the_server_s() {
    let server = v3(|_| {
        Reply::Bytes(tls_server::with_headers(
            "202 Accepted",
            "date: Fri, 02 Jan 2026 03:04:05 GMT\r\ncontent-type: application/json\r\n",
            &accepted(),
        ))
    });
    let (clock, client) = client_at(&server, Api::V3, Wall::Unknown);
    submit(&client, Product::Authentication).0.unwrap();
    clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(client.server_time().unwrap().to_rfc3339(), "2026-01-02T03:04:10.000Z");
}
