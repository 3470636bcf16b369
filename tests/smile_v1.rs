//! v1: what the service and its storage host receive, what is believed of their answers, and what each refusal means.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/smile.rs"]
mod smile;
#[path = "support/tls_server.rs"]
mod tls_server;

use latchd::access::{Product, UserId, Verdict};
use latchd::clock::Wall;
use latchd::config::model::{Api, Geo};
use latchd::smileid::{FailureKind, Handle, IdInfo, LookUp, Progress, Reject, Repeat, Status};
use smile::*;
use std::io::Read;
use tls_server::{Reply, TlsServer, json, with_headers};

const SIGNED: &str = "2026-01-02T03:04:05.000Z";

/// `SIGNED` signed with the test key for partner 0012, by the HMAC crate alone.
fn signature_of(timestamp: &str) -> String {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("{timestamp}0012sid_request").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// A service of v1 whose job_status answers `told`, with this time stamp, rightly signed.
fn v1(told: serde_json::Value, timestamp: &'static str) -> TlsServer {
    TlsServer::start(move |request| {
        let host = request.header("host").unwrap();
        Reply::Bytes(match request.path.as_str() {
            "/v1/upload" => json(
                "200 OK",
                &format!(
                    "{{\"upload_url\":\"https://{host}/store/x?Signature=abc\",\"ref_id\":\"r\",\
                    \"smile_job_id\":\"0000058873\",\"camera_config\":null,\"code\":\"2202\"}}"
                ),
            ),
            "/store/x?Signature=abc" => with_headers("200 OK", "", ""),
            "/v1/job_status" => {
                let mut told = told.clone();
                told["timestamp"] = timestamp.into();
                if told.get("signature").is_none() {
                    told["signature"] = signature_of(timestamp).into();
                }
                json("200 OK", &told.to_string())
            }
            _ => json("404 Not Found", "{}"),
        })
    })
}

#[test]
fn v1_uploads_a_signed_request_and_an_archive_of_announced_length() {
    let server = v1(serde_json::json!({}), SIGNED);
    let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
    let mut someone = person();
    someone.id_info =
        Some(IdInfo { country: Some("NG".into()), first_name: Some("Amina".into()), ..IdInfo::default() });
    let mut steps = Vec::new();
    let accepted = someone.submitting(Product::Authentication, |mut submission| {
        submission.geo = Some(Geo { latitude: 0.5, longitude: 1.0, altitude: None });
        client.submit(&submission, &mut |step| steps.push(step)).unwrap()
    });
    assert_eq!(accepted.handle.remote_job, "11111111-1111-1111-1111-111111111111");

    let upload = server.seen("POST", "/v1/upload").remove(0).json();
    assert_eq!(upload["smile_client_id"], "0012");
    assert_eq!(upload["timestamp"], SIGNED);
    assert_eq!(upload["signature"], signature_of(SIGNED));
    assert_eq!(upload["callback_url"], "https://door.example/callback");
    assert_eq!(
        upload["partner_params"],
        serde_json::json!({"user_id": "emp-0042", "job_id": accepted.handle.remote_job, "job_type": 2,
            "site": "gate \"7\"", "latitude": "0.5", "longitude": "1"})
    );
    assert_eq!(upload.get("retry"), None);
    assert_eq!(upload.get("allow_new_enroll"), None);

    let put = server.seen("PUT", "Signature=abc").remove(0);
    assert_eq!(put.header("content-type"), Some("application/zip"));
    assert!(put.headers.iter().all(|(name, _)| !name.to_lowercase().starts_with("smileid")));
    assert_eq!(put.header("content-length").unwrap(), put.body.len().to_string());
    assert_eq!(
        steps,
        [Progress::Reserved, Progress::Sending { bytes: put.body.len() as u64 }, Progress::Sent]
    );
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(put.body)).unwrap();
    let mut file = |name: &str| {
        let mut bytes = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let info: serde_json::Value = serde_json::from_slice(&file("info.json")).unwrap();
    assert_eq!(info["package_information"]["apiVersion"]["majorVersion"], 2);
    assert_eq!(info["misc_information"]["retry"], "false");
    assert_eq!(info["misc_information"]["partner_params"], upload["partner_params"]);
    assert_eq!(info["misc_information"]["signature"], upload["signature"]);
    assert_eq!(
        info["id_info"],
        serde_json::json!({"country": "NG", "first_name": "Amina", "entered": "false"})
    );
    assert_eq!(info["consent_information"]["consented"]["consent_granted_date"], "2026-01-02T03:04:05.000Z");
    let images = info["images"].as_array().unwrap();
    let kinds: Vec<_> = images.iter().map(|image| image["image_type_id"].as_u64().unwrap()).collect();
    assert_eq!(kinds, [0, 4, 4, 4, 4, 4, 4, 4, 4]);
    let expected = std::iter::once(&someone.selfie).chain(&someone.liveness);
    for (image, bytes) in images.iter().zip(expected) {
        assert_eq!(&file(image["file_name"].as_str().unwrap()), bytes);
    }
}

#[test]
fn v1_asks_for_a_retry_only_when_told_that_the_archive_is_missing() {
    let server = v1(serde_json::json!({}), SIGNED);
    let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
    person().submitting(Product::Registration, |mut submission| {
        submission.repeat = Repeat::ArchiveMissing;
        client.submit(&submission, &mut |_| {}).unwrap();
    });
    let upload = server.seen("POST", "/v1/upload").remove(0).json();
    assert_eq!(upload["retry"], true);
    assert_eq!(upload["allow_new_enroll"], false);
    assert_eq!(upload["partner_params"]["job_type"], 4);
}

fn own() -> Handle {
    Handle::own(
        Product::Authentication,
        UserId::parse("emp-0042").unwrap(),
        latchd::access::JobId([0x11; 16]),
    )
}

fn done(code: &str, success: bool) -> serde_json::Value {
    serde_json::json!({"code": "2302", "job_complete": true, "job_success": success, "result": {
        "ResultCode": code, "ResultText": "Authenticated", "PartnerParams": {
            "job_id": "11111111-1111-1111-1111-111111111111", "user_id": "emp-0042", "job_type": "2"}}})
}

#[test]
fn v1_job_status_becomes_a_verdict() {
    for (told, verdict) in [
        (done("0820", true), Verdict::Approved),
        (done("1220", true), Verdict::Approved),
        (done("0820", false), Verdict::Unknown),
        (done("0840", true), Verdict::Unknown),
        (done("0822", true), Verdict::Provisional),
        (done("0821", false), Verdict::Rejected { spoof: false }),
        (done("0823", false), Verdict::Rejected { spoof: true }),
    ] {
        let server = v1(told.clone(), SIGNED);
        let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
        let Ok(Status::Final(report)) = client.status(&own()) else { panic!("{told}") };
        assert_eq!(report.verdict, verdict, "{told}");
        assert_eq!(report.remote_job, "11111111-1111-1111-1111-111111111111");
        let asked = server.seen("POST", "/v1/job_status").remove(0).json();
        assert_eq!(asked["partner_id"], "0012");
        assert_eq!(asked["job_id"], "11111111-1111-1111-1111-111111111111");
    }
}

#[test]
fn v1_look_up_tells_what_may_be_sent_again() {
    let waiting = serde_json::json!({"code": "2314", "job_complete": false, "job_success": false,
        "result": "No zip file received"});
    let running =
        serde_json::json!({"code": 2302, "job_complete": false, "job_success": false, "result": {}});
    for (told, expected) in
        [(waiting, LookUp::NotReceived(Repeat::ArchiveMissing)), (running, LookUp::Processing)]
    {
        let server = v1(told, SIGNED);
        let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
        assert_eq!(client.look_up(&own()), Ok(expected));
    }
    let server = v1(done("0820", true), SIGNED);
    let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
    assert!(matches!(client.look_up(&own()), Ok(LookUp::Done(_))));

    let server = TlsServer::start(|_| {
        Reply::Bytes(json("400 Bad Request", "{\"error\":\"no such job\",\"code\":\"2399\"}"))
    });
    let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
    assert_eq!(client.look_up(&own()), Ok(LookUp::NotReceived(Repeat::AsFirst)));
}

#[test]
fn v1_believes_only_answers_that_are_signed_with_our_key_and_fresh() {
    let mut forged = done("0820", true);
    forged["signature"] = "yY0jWq82u0GrukCY5figlLYrN2jKxiDTD9W9aBmmprI=".into();
    for (told, timestamp) in [
        (forged, SIGNED),
        (done("0820", true), "2026-01-02T02:54:04.999Z"),
        (done("0820", true), "2026-01-02T03:14:05.001Z"),
        (done("0820", true), "yesterday"),
    ] {
        let server = v1(told, timestamp);
        let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
        let failure = client.status(&own()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Malformed, "{timestamp}: {failure}");
    }
    for edge in ["2026-01-02T02:54:05.000Z", "2026-01-02T03:14:05.000Z"] {
        let server = v1(done("0820", true), edge);
        let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
        assert!(matches!(client.status(&own()), Ok(Status::Final(_))), "{edge}");
    }
}

#[test]
fn v1_without_a_clock_sends_nothing() {
    let server = v1(serde_json::json!({}), SIGNED);
    let (_, client) = client_at(&server, Api::V1, Wall::Unknown);
    assert_eq!(submit(&client, Product::Authentication).0.unwrap_err().kind, FailureKind::ClockUnknown);
    assert_eq!(client.status(&own()).unwrap_err().kind, FailureKind::ClockUnknown);
    assert!(server.requests().is_empty());
}

#[test]
fn v1_refusals_are_told_by_code() {
    for (code, kind) in [
        ("\"2215\"", FailureKind::Duplicate),
        ("2215", FailureKind::Duplicate),
        ("\"2205\"", FailureKind::Unauthorised),
        ("\"2210\"", FailureKind::RejectedJob(Reject::User)),
        ("\"2203\"", FailureKind::RejectedJob(Reject::Invalid)),
    ] {
        let body = format!("{{\"error\":\"no\",\"code\":{code}}}");
        let server = TlsServer::start(move |_| Reply::Bytes(json("400 Bad Request", &body)));
        let failure = submit(&client(&server, Api::V1), Product::Authentication).0.unwrap_err();
        assert_eq!(failure.kind, kind, "{code}");
        assert_eq!(failure.code.as_deref(), Some(code.trim_matches('"')));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn v1_sends_no_archive_where_it_must_not() {
    for (upload, kind) in [
        ("{\"code\":\"2202\",\"upload_url\":\"http://127.0.0.1:1/x\"}", FailureKind::Configuration),
        ("{\"code\":\"2202\",\"upload_url\":\"https://u:p@127.0.0.1:1/x\"}", FailureKind::Configuration),
        ("{\"code\":\"2202\"}", FailureKind::PerhapsTaken),
        ("{\"code\":\"2201\",\"upload_url\":\"https://127.0.0.1:1/x\"}", FailureKind::PerhapsTaken),
        ("{\"code\":\"2202\",\"upload_url\":\"https://127.0.0.1:1/x\"}", FailureKind::RefusedForCertain),
    ] {
        let server = TlsServer::start(move |_| Reply::Bytes(json("200 OK", upload)));
        let (result, steps) = submit(&client(&server, Api::V1), Product::Authentication);
        assert_eq!(result.unwrap_err().kind, kind, "{upload}");
        assert!(!steps.iter().any(|step| matches!(step, Progress::Sending { .. })));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn v1_an_archive_without_an_answer_is_perhaps_taken_and_one_refused_is_not() {
    for (reply, kind) in [
        (None, FailureKind::PerhapsTaken),
        (Some(with_headers("403 Forbidden", "", "<Error>")), FailureKind::RefusedForCertain),
        (
            Some(with_headers("307 Temporary Redirect", "location: https://127.0.0.1:1/\r\n", "")),
            FailureKind::PerhapsTaken,
        ),
        (Some(with_headers("500 Internal Server Error", "", "")), FailureKind::PerhapsTaken),
    ] {
        let server = TlsServer::start(move |request| match (request.method.as_str(), &reply) {
            ("PUT", Some(bytes)) => Reply::Bytes(bytes.clone()),
            ("PUT", None) => Reply::Last(Vec::new()),
            _ => {
                let host = request.header("host").unwrap();
                Reply::Bytes(json(
                    "200 OK",
                    &format!("{{\"code\":\"2202\",\"upload_url\":\"https://{host}/put\"}}"),
                ))
            }
        });
        let failure = submit(&client(&server, Api::V1), Product::Authentication).0.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert_eq!(server.seen("PUT", "/put").len(), 1);
    }
}

/// A service that takes only time stamps of the hour of its own clock, which its answers tell.
fn timely(date: &'static str, hour: &'static str) -> TlsServer {
    TlsServer::start(move |request| {
        let host = request.header("host").unwrap();
        let dated = |status: &str, body: &str| {
            let headers = format!("Date: {date}\r\nContent-Type: application/json\r\n");
            Reply::Bytes(with_headers(status, &headers, body))
        };
        let stamped = match request.path.as_str() {
            "/v1/upload" => request.json()["timestamp"].as_str().unwrap_or_default().to_owned(),
            "/v2/smart-selfie-authentication" => {
                request.header("smileid-timestamp").unwrap_or_default().to_owned()
            }
            _ => return Reply::Bytes(with_headers("200 OK", "", "")),
        };
        if !stamped.starts_with(hour) {
            return dated(
                "400 Bad Request",
                r#"{"error":"You are not authorized to do that","code":"2205"}"#,
            );
        }
        let upload =
            format!("{{\"upload_url\":\"https://{host}/store/x\",\"smile_job_id\":\"1\",\"code\":\"2202\"}}");
        let approved = r#"{"status":"approved","code":"0820","user_id":"emp-0042","job_id":"job_1"}"#;
        dated("200 OK", if request.path == "/v1/upload" { &upload } else { approved })
    })
}

/// A board without a battery that started with an old time: the refusal tells the service's, and that is signed with.
#[test]
fn a_signature_that_a_wrong_clock_made_is_made_anew_with_the_services_time() {
    for (api, path) in [(Api::V1, "/v1/upload"), (Api::V2, "/v2/smart-selfie-authentication")] {
        let server = timely("Wed, 25 Nov 2026 09:30:00 GMT", "2026-11-25T09:");
        let (_, client) = client_at(&server, api, Wall::Known(noon()));
        let submit = || {
            person().submitting(Product::Authentication, |submission| client.submit(&submission, &mut |_| {}))
        };
        submit().unwrap();
        assert_eq!(server.seen("POST", path).len(), 2, "refused, and signed anew");
        submit().unwrap();
        assert_eq!(server.seen("POST", path).len(), 3, "known from then on");
    }
}

/// Refused although the clocks agree: then it is the key, and nothing is repeated.
#[test]
fn a_signature_that_is_refused_for_its_key_is_not_made_anew() {
    let server = timely("Fri, 02 Jan 2026 03:04:05 GMT", "1999");
    let (_, client) = client_at(&server, Api::V1, Wall::Known(noon()));
    let refused = person()
        .submitting(Product::Authentication, |submission| client.submit(&submission, &mut |_| {}))
        .unwrap_err();
    assert_eq!(refused.kind, FailureKind::Unauthorised);
    assert_eq!(server.seen("POST", "/v1/upload").len(), 1);
}
