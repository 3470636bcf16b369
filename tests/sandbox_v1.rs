//! The sandbox plays v1: upload, zip, job status, with the documented codes and signed answers.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod sandbox_support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use latchd::access::Check;
use latchd::sandbox::{Endpoint, Protocol};
use sandbox_support::*;
use serde_json::{Value, json};
use std::io::{Cursor, Write as _};
use std::time::Duration;

const TIMESTAMP: &str = "2026-01-02T03:04:05.000Z";

fn sign(timestamp: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("{timestamp}{PARTNER}sid_request").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn upload(job_id: &str, user_id: &str, job_type: u64) -> Value {
    json!({
        "file_name": "selfie.zip", "smile_client_id": PARTNER, "timestamp": TIMESTAMP, "signature": sign(TIMESTAMP),
        "partner_params": { "job_id": job_id, "user_id": user_id, "job_type": job_type, "door": "north" },
        "callback_url": "", "model_parameters": {}, "source_sdk": "rest_api", "source_sdk_version": "1.0.0",
    })
}

fn ask(job_id: &str, user_id: &str) -> Value {
    json!({
        "partner_id": PARTNER, "timestamp": TIMESTAMP, "signature": sign(TIMESTAMP), "job_id": job_id,
        "user_id": user_id, "image_links": false, "history": false,
    })
}

fn zip() -> Vec<u8> {
    let mut images = vec![json!({ "image_type_id": 0, "image": "", "file_name": "selfie.jpg" })];
    images.extend(
        (1..=8).map(|n| json!({ "image_type_id": 4, "image": "", "file_name": format!("l{n}.jpg") })),
    );
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| {
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    };
    add("info.json", json!({ "images": images, "id_info": {} }).to_string().as_bytes());
    add("selfie.jpg", &jpeg(64));
    for n in 1..=8 {
        add(&format!("l{n}.jpg"), &jpeg(32));
    }
    writer.finish().unwrap().into_inner()
}

impl Desk {
    /// Where the zip of a job that is taken goes.
    fn upload_url(&self, body: &Value) -> String {
        let answer = self.post_json("/v1/upload", body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let says = answer.json();
        assert_eq!(says["code"], "2202");
        assert_eq!(says["smile_job_id"].as_str().unwrap().len(), 10);
        assert!(says["ref_id"].as_str().unwrap().starts_with(PARTNER));
        says["upload_url"].as_str().unwrap().to_owned()
    }

    fn job_status(&self, job_id: &str, user_id: &str) -> Value {
        let answer = self.post_json("/v1/job_status", &ask(job_id, user_id));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

#[test]
fn a_job_goes_from_upload_to_a_signed_result() {
    let desk = desk("enrolled = [\"u-1\"]\n[default]\ndecide_after_ms = 500");
    let url = desk.upload_url(&upload("j-2", "u-1", 2));
    let before = desk.job_status("j-2", "u-1");
    assert_eq!(
        (before["code"].as_str(), before["result"].as_str()),
        (Some("2314"), Some("No zip file received"))
    );
    assert_eq!(before["job_complete"], false);

    let stored = desk.put(&url, "application/zip", &zip());
    assert_eq!((stored.status, stored.text.as_str()), (200, ""));
    let pending = desk.job_status("j-2", "u-1");
    assert_eq!((pending["code"].as_str(), pending["job_complete"].as_bool()), (Some("2302"), Some(false)));

    desk.clock.advance(Duration::from_millis(500));
    let done = desk.job_status("j-2", "u-1");
    assert_eq!((&done["job_complete"], &done["job_success"]), (&json!(true), &json!(true)));
    let result = &done["result"];
    assert_eq!((&result["ResultCode"], &result["ResultText"]), (&json!("0820"), &json!("Authenticated")));
    assert_eq!(
        result["PartnerParams"],
        json!({ "job_id": "j-2", "user_id": "u-1", "job_type": "2", "door": "north" })
    );
    let stamp = done["timestamp"].as_str().unwrap();
    assert_eq!(stamp, "2026-01-02T03:04:05.500Z");
    assert_eq!(done["signature"].as_str().unwrap(), sign(stamp));

    let seen = &desk.running.jobs()[0];
    assert_eq!((seen.protocol, seen.product, seen.images()), (Protocol::V1, Check::Authentication, 9));
    assert_eq!((seen.decision.as_str(), seen.body_bytes), ("0820", zip().len()));
    assert_eq!(desk.running.calls_of(Endpoint::V1JobStatus), 3);
    assert_eq!(desk.running.calls_of(Endpoint::V1Put), 1);
}

#[test]
fn each_wrong_upload_has_its_code() {
    let desk = desk("enrolled = [\"known\"]\nclock_skew_seconds = 300");
    let changed = |change: fn(&mut Value)| {
        let mut body = upload("j", "known", 2);
        change(&mut body);
        body
    };
    for (code, body) in [
        ("2205", changed(|body| body["signature"] = json!("AAAA"))),
        ("2205", changed(|body| body["timestamp"] = json!("2026-01-02T03:04:05.001Z"))),
        ("2205", changed(|body| body["smile_client_id"] = json!("1235"))),
        (
            "2205",
            changed(|body| {
                body["timestamp"] = json!("2026-01-02T02:04:05.000Z");
                body["signature"] = json!(sign("2026-01-02T02:04:05.000Z"));
            }),
        ),
        ("2213", changed(|body| drop(body.as_object_mut().unwrap().remove("signature")))),
        ("2213", changed(|body| drop(body.as_object_mut().unwrap().remove("partner_params")))),
        ("2213", changed(|body| body["partner_params"]["job_id"] = json!(""))),
        ("2213", changed(|body| body["partner_params"]["user_id"] = Value::Null)),
        ("2213", changed(|body| drop(body["partner_params"].as_object_mut().unwrap().remove("job_type")))),
        ("2212", changed(|body| body["partner_params"]["job_type"] = json!(5))),
        ("2204", changed(|body| body["partner_params"]["job_type"] = json!("2"))),
        ("2204", changed(|body| body["partner_params"]["door"] = json!(7))),
        ("2204", changed(|body| body["retry"] = json!("yes"))),
        ("2204", changed(|body| body["callback_url"] = json!("http://example.com"))),
        ("2204", json!([])),
        ("2210", upload("j", "stranger", 2)),
        ("2209", upload("j", "known", 4)),
    ] {
        let answer = desk.post_json("/v1/upload", &body);
        assert_eq!(answer.status, 400, "{code}: {}", answer.text);
        assert_eq!(answer.json()["code"], code, "{}", answer.text);
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(desk.running.jobs(), []);
    let mut again = upload("j", "known", 4);
    again["allow_new_enroll"] = json!("true");
    desk.upload_url(&again);
}

#[test]
fn a_job_id_serves_once_and_a_retry_only_until_the_zip() {
    let desk = desk("enrolled = [\"u-1\", \"u-2\"]");
    desk.upload_url(&upload("j", "u-1", 2));
    let code = |body: &Value| desk.post_json("/v1/upload", body).json()["code"].clone();
    assert_eq!(code(&upload("j", "u-1", 2)), "2215");
    let retry = |user| {
        let mut body = upload("j", user, 2);
        body["retry"] = json!(true);
        body
    };
    assert_eq!(code(&retry("u-2")), "2215", "another user's job");
    let url = desk.upload_url(&retry("u-1"));
    assert_eq!(desk.running.jobs().len(), 1);
    assert_eq!(desk.running.jobs()[0].submissions, 2);
    assert_eq!(desk.put(&url, "application/zip", &zip()).status, 200);
    assert_eq!(desk.put(&url, "application/zip", &zip()).status, 200, "the same zip again is harmless");
    assert_eq!(code(&retry("u-1")), "2215");
}

#[test]
fn the_store_speaks_xml_and_takes_only_what_the_url_allows() {
    let desk = desk("enrolled = [\"u-1\"]");
    let url = desk.upload_url(&upload("j", "u-1", 2));
    let refused = |url: &str, kind: &str, code: &str| {
        let answer = desk.put(url, kind, &zip());
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/xml"));
        assert!(answer.text.contains(code), "{}", answer.text);
    };
    refused(&url, "application/octet-stream", "SignatureDoesNotMatch");
    refused(&url.replace("0000000001.zip", "0000000002.zip"), "application/zip", "SignatureDoesNotMatch");
    refused(&url.replace("Signature=", "Signature=A"), "application/zip", "SignatureDoesNotMatch");
    refused(url.split('?').next().unwrap(), "application/zip", "AccessDenied");
    let large = desk.put(&url, "application/zip", &vec![0; 10_000_001]);
    assert_eq!(large.status, 400);
    assert!(large.text.contains("EntityTooLarge"), "{}", large.text);
    desk.clock.advance(Duration::from_secs(900));
    refused(&url, "application/zip", "Request has expired");
    assert_eq!(desk.running.jobs()[0].images(), 0);
}

#[test]
fn a_bad_zip_is_told_by_the_result() {
    let desk = desk("enrolled = [\"u-1\"]");
    let url = desk.upload_url(&upload("j", "u-1", 2));
    assert_eq!(desk.put(&url, "application/zip", b"PK no").status, 200);
    let done = desk.job_status("j", "u-1");
    assert_eq!((&done["job_complete"], &done["job_success"]), (&json!(true), &json!(false)));
    assert_eq!(done["result"]["ResultCode"], "0903");
}

#[test]
fn job_status_is_for_who_can_sign_and_knows_both_ids() {
    let desk = desk("enrolled = [\"u-1\"]");
    desk.upload_url(&upload("j", "u-1", 2));
    let mut forged = ask("j", "u-1");
    forged["signature"] = json!(sign("another time"));
    let answer = desk.post_json("/v1/job_status", &forged);
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("2205")));
    for (job, user) in [("j", "u-2"), ("k", "u-1")] {
        let answer = desk.post_json("/v1/job_status", &ask(job, user));
        assert_eq!(answer.status, 404);
        assert!(answer.json()["code"].is_null());
    }
}

#[test]
fn results_follow_the_request_or_the_script_and_enrolment_lasts() {
    let desk = desk("[[user]]\nid = \"s\"\nresult_code = \"0846\"\nresult_text = \"Wait\"");
    let ending = |job_id: &str, user: &str, job_type, wish: Option<&str>| {
        let mut body = upload(job_id, user, job_type);
        if let Some(wish) = wish {
            body["partner_params"]["sandbox_result"] = json!(wish);
        }
        let url = desk.upload_url(&body);
        assert_eq!(desk.put(&url, "application/zip", &zip()).status, 200);
        let done = desk.job_status(job_id, user);
        (done["result"]["ResultCode"].as_str().unwrap().to_owned(), done["job_success"].as_bool().unwrap())
    };
    assert_eq!(ending("j1", "u", 4, Some("1")), ("0841".into(), false));
    assert_eq!(ending("j2", "u", 4, Some("0")), ("0840".into(), true));
    assert_eq!(ending("j3", "u", 2, Some("2")), ("0822".into(), true));
    assert_eq!(ending("j4", "u", 2, None), ("0820".into(), true));
    assert_eq!(ending("j5", "s", 4, Some("0")), ("0846".into(), true));
    let answer = desk.post_json("/v1/upload", &upload("j6", "s", 2));
    assert_eq!(answer.json()["code"], "2210", "a provisional registration enrols nobody");
    let mut history = ask("j4", "u");
    history["history"] = json!(true);
    let all = desk.post_json("/v1/job_status", &history).json();
    assert_eq!(all["history"].as_array().unwrap().len(), 4);
}
