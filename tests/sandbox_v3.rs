//! The sandbox plays v3 as the service documents it: the right job goes through, everything else is refused with the
//! documented status and words.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod sandbox_support;

use latchd::access::Check;
use latchd::sandbox::{Endpoint, Protocol};
use sandbox_support::*;
use serde_json::{Value, json};
use std::time::Duration;

fn job_id(answer: &Said) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["job_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_authentication_goes_from_token_to_clear() {
    let desk = desk("[default]\ndecide_after_ms = 500");
    let answer = desk.submit("authentication", &job("u-1"));
    let id = job_id(&answer);
    assert_eq!(answer.json()["status"], "accepted");
    assert_eq!(answer.json()["user_id"], "u-1");
    assert_eq!(answer.json()["created_at"], "2026-01-02T03:04:05.000Z");
    assert_eq!(answer.header("date"), Some("Fri, 02 Jan 2026 03:04:05 GMT"));

    let early = desk.status(&id);
    assert_eq!((early.status, early.json()["status"].as_str()), (202, Some("processing")));
    desk.clock.advance(Duration::from_millis(500));
    let decided = desk.status(&id);
    assert_eq!((decided.status, decided.json()["status"].as_str()), (200, Some("clear")));
    assert_eq!(decided.json()["message"], "Job completed");
    assert_eq!(decided.header("job_id"), Some(id.as_str()));
    assert_eq!(decided.header("user_id"), Some("u-1"));
    assert!(decided.header("api_version").is_some());

    let jobs = desk.running.jobs();
    assert_eq!(jobs.len(), 1);
    let seen = &jobs[0];
    assert_eq!((seen.protocol, seen.product), (Protocol::V3, Check::Authentication));
    assert_eq!((seen.job_id.as_str(), seen.user_id.as_str()), (id.as_str(), "u-1"));
    assert_eq!((seen.images(), seen.image_bytes[0]), (9, jpeg(64).len()));
    assert_eq!(seen.partner_params["door"], "north");
    assert_eq!(desk.running.calls_of(Endpoint::V3Authentication), 1);
    assert_eq!(desk.running.calls_of(Endpoint::V3Status), 2);
}

#[test]
fn test_identities_and_scripts_decide() {
    let desk = desk("[[user]]\nid = \"scripted\"\nverdict = \"sideways\"");
    let ending = |user: &str, given: &str, last: &str| {
        let mut parts = job(user);
        let first = given.split(' ').next().unwrap().to_lowercase();
        let email = format!("{first}.{}@example.com", last.to_lowercase());
        parts[1] =
            object("user_details", &json!({ "given_names": given, "last_name": last, "email": email }));
        let answer = desk.submit("authentication", &parts);
        match answer.status {
            202 => desk.status(&job_id(&answer)).json()["status"].as_str().unwrap().to_owned(),
            status => format!("{status} {}", answer.message()),
        }
    };
    assert_eq!(ending("u", "Taiwo Adeyemi", "Masquero"), "block");
    assert_eq!(ending("u", "Tunde Bakare", "Oldfield"), "attention");
    assert_eq!(ending("u", "Kofi Mensah", "Blurton"), "error");
    assert!(ending("u", "Jane", "Smith").starts_with("400 In sandbox mode, "));
    assert_eq!(ending("scripted", "Jane", "Smith"), "sideways");
}

#[test]
fn a_second_enrolment_fails_unless_it_is_allowed() {
    let desk = desk("enrolled = [\"old\"]");
    let ending = |parts: &[Part]| {
        let id = job_id(&desk.submit("registration", parts));
        desk.status(&id).json()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(ending(&job("old")), "block");
    assert_eq!(ending(&job("new")), "clear");
    assert_eq!(ending(&job("new")), "block");
    let mut again = job("new");
    again.push(text("allow_new_enroll", "true"));
    assert_eq!(ending(&again), "clear");

    let mut nameless = job("x");
    nameless.remove(0);
    let answer = desk.submit("registration", &nameless);
    assert!(answer.json()["user_id"].as_str().unwrap().starts_with("user_"), "{}", answer.text);
}

#[test]
fn an_enrolled_picture_serves_instead_of_new_ones() {
    let desk = desk("enrolled = [\"u-1\"]");
    let parts = |user| {
        let mut parts = job(user);
        parts.truncate(4);
        parts.push(text("use_enrolled_image", "true"));
        parts
    };
    let word =
        |user| desk.status(&job_id(&desk.submit("authentication", &parts(user)))).json()["status"].clone();
    assert_eq!(word("u-1"), "clear");
    assert_eq!(word("u-2"), "error");
    assert_eq!(desk.running.jobs()[0].images(), 0);
    assert_eq!(desk.submit("registration", &parts("u-3")).status, 400);
}

/// What is done to a right job, and the field that the refusal names.
#[test]
fn each_wrong_part_is_refused_by_name() {
    let desk = desk("");
    let without = |name: &str| job("u").into_iter().filter(|part| part.name != name).collect::<Vec<_>>();
    let with = |part: Part| {
        let mut parts = without(part.name);
        parts.push(part);
        parts
    };
    let twice = |name: &str| {
        let mut parts = job("u");
        parts.push(parts.iter().find(|part| part.name == name).unwrap().clone());
        parts
    };
    let changed = |name: &'static str, mut value: Value, field: &str, to: Value| {
        value[field] = to;
        with(object(name, &value))
    };
    let liveness = |count: usize| {
        let mut parts = without("liveness_images");
        parts.extend((0..count).map(|_| picture("liveness_images", &jpeg(8))));
        parts
    };
    let selfie = picture("selfie_image", &jpeg(8));
    let kindless = Part { kind: None, ..object("consent", &consent()) };
    let filed = Part { file: Some("c.json"), ..object("consent", &consent()) };
    for (field, parts) in [
        ("user_id", without("user_id")),
        ("selfie_image", without("selfie_image")),
        ("liveness_images", without("liveness_images")),
        ("liveness_images", liveness(5)),
        ("liveness_images", liveness(9)),
        ("consent", without("consent")),
        ("user_details", without("user_details")),
        ("user_id", twice("user_id")),
        ("consent", twice("consent")),
        ("selfie_image", twice("selfie_image")),
        ("liveness_images[0]", with(picture("liveness_images[0]", &jpeg(8)))),
        ("allow_new_enroll", with(text("allow_new_enroll", "true"))),
        ("selfie_image", with(picture("selfie_image", b"\x89PNG"))),
        ("selfie_image", with(picture("selfie_image", &[0xff, 0xd8, 0xff, 0xd9]))),
        ("selfie_image", with(picture("selfie_image", b""))),
        ("selfie_image", with(Part { kind: Some("image/png"), ..selfie.clone() })),
        ("selfie_image", with(Part { file: None, ..selfie })),
        ("consent", with(kindless)),
        ("consent", with(filed)),
        ("consent", with(Part { bytes: b"{".to_vec(), ..object("consent", &json!(1)) })),
        ("consent.granted", changed("consent", consent(), "granted", json!(false))),
        ("consent.granted_at", changed("consent", consent(), "granted_at", json!("2026-01-02T03:05:06Z"))),
        ("consent.notice_language", changed("consent", consent(), "notice_language", json!("english"))),
        (
            "consent.notice_privacy_policy_url",
            changed("consent", consent(), "notice_privacy_policy_url", json!("http://example.com")),
        ),
        ("user_details.given_names", changed("user_details", amina(), "given_names", json!(""))),
        ("user_details.email", changed("user_details", amina(), "email", json!("amina"))),
        ("partner_params", with(object("partner_params", &json!({ "n": 1 })))),
        ("metadata", with(object("metadata", &json!([{ "name": "n" }])))),
        ("callback_url", with(text("callback_url", "http://example.com/cb"))),
        ("sandbox_result", with(text("sandbox_result", "7"))),
        ("use_enrolled_image", with(text("use_enrolled_image", "yes"))),
    ] {
        let answer = desk.submit("authentication", &parts);
        let expected = format!("Required field '{field}' is missing or invalid.");
        assert_eq!((answer.status, answer.message()), (400, expected));
        assert_eq!(answer.json()["status"], "Bad Request");
    }
    let mut anonymous = amina();
    anonymous["email"] = Value::Null;
    let answer = desk.submit("authentication", &with(object("user_details", &anonymous)));
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (400, "Either email or phone_number is required.")
    );
    assert_eq!(desk.running.jobs(), [], "a refused job is no job");
}

#[test]
fn a_torn_form_is_refused() {
    let desk = desk("");
    let token = desk.token();
    let mut body = form(&job("u"));
    body.truncate(body.len() - 10);
    let call = desk.agent.post(desk.url("/v3/authentication")).header("smileid-token", &token);
    let call = call.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    assert_eq!(call.send(&body[..]).unwrap().status(), 400);
}

#[test]
fn without_a_live_token_of_this_server_nothing_is_done() {
    let desk = desk("token_seconds = 30");
    let other = sandbox_support::desk("");
    let token = desk.token();
    let refused = |headers: &[(&str, &str)]| {
        let answer = desk.submit_with("authentication", &job("u"), headers);
        (answer.status == 401).then(|| answer.json())
    };
    let body = refused(&[]).unwrap();
    assert_eq!((body["status"].as_str(), &body["job_id"]), (Some("unauthorized"), &Value::Null));
    assert!(refused(&[("smileid-token", "x.y.z")]).is_some());
    assert!(refused(&[("smileid-token", &other.token())]).is_some());
    assert!(refused(&[("smileid-token", &token)]).is_none());
    desk.clock.advance(Duration::from_secs(30));
    assert!(refused(&[("smileid-token", &token)]).is_some());
    assert_eq!(desk.running.jobs().len(), 1);

    assert_eq!(desk.ask_token("1234", "wrong").status, 401);
    assert_eq!(desk.ask_token("01234", KEY).status, 400);
}

#[test]
fn body_header_and_token_must_name_one_user() {
    let desk = desk("");
    let token = desk.token();
    let with = |user: &str| {
        desk.submit_with("authentication", &job("u-1"), &[("smileid-token", &token), ("user-id", user)])
    };
    assert_eq!(with("u-1").status, 202);
    let refused = with("u-2");
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (403, "Token is not authorized for this user ID.")
    );
    let mut by_header = job("u-1");
    by_header.remove(0);
    let answer =
        desk.submit_with("authentication", &by_header, &[("smileid-token", &token), ("user-id", "u-9")]);
    assert_eq!((answer.status, &answer.json()["user_id"]), (202, &json!("u-9")));

    let call = desk.agent.post(desk.url("/v3/token")).header("smileid-partner-id", PARTNER);
    let call = call.header("smileid-api-key", KEY);
    let call = call.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    let bound = form(&[text("user_id", "u-7"), text("product", "smart_selfie_registration")]);
    let bound: Value = call.send(&bound[..]).unwrap().body_mut().read_to_string().unwrap().parse().unwrap();
    let bound = bound["token"].as_str().unwrap();
    let submit = |product, user| desk.submit_with(product, &job(user), &[("smileid-token", bound)]).status;
    assert_eq!(submit("registration", "u-7"), 202);
    assert_eq!(submit("registration", "u-8"), 403);
    assert_eq!(submit("authentication", "u-7"), 403);
}

#[test]
fn the_callback_is_required_where_the_portal_has_none() {
    let desk = desk("callback_required = true");
    let answer = desk.submit("authentication", &job("u"));
    assert_eq!(answer.status, 400);
    assert!(answer.message().starts_with("A valid callback_url is required"), "{}", answer.text);
    let mut parts = job("u");
    parts.push(text("callback_url", "https://example.com/cb"));
    assert_eq!(desk.submit("authentication", &parts).status, 202);
}

#[test]
fn another_body_type_is_415_and_another_path_404() {
    let desk = desk("");
    let token = desk.token();
    let call = desk.agent.post(desk.url("/v3/authentication")).header("smileid-token", &token);
    let mut answer = call.header("content-type", "application/json").send("{}").unwrap();
    assert_eq!(answer.status(), 415);
    assert!(
        answer.body_mut().read_to_string().unwrap().contains("Required Content-Type is multipart/form-data")
    );
    let answer = desk.submit("authenticate", &job("u"));
    assert_eq!(answer.status, 404);
    assert_eq!(desk.agent.get(desk.url("/v3/token")).call().unwrap().status(), 405);
}

#[test]
fn an_unknown_job_is_not_found_and_a_wrong_id_is_wrong() {
    let desk = desk("");
    let answer = desk.status("job_01h2xcejqtf2nbrexx3vqjhp41");
    assert_eq!(answer.status, 404);
    assert_eq!(
        (&answer.json()["status"], &answer.json()["user_id"]),
        (&json!("not_found"), &json!("unknown"))
    );
    assert_eq!(desk.status("job_1").status, 400);
    let bare = desk.agent.get(desk.url("/v3/status/job_01h2xcejqtf2nbrexx3vqjhp41")).call().unwrap();
    assert_eq!(bare.status(), 401);
}

/// A client that writes all before it reads gets to the answer, since the rest is read and thrown away.
#[test]
fn a_request_over_the_bound_is_413_early() {
    let desk = desk("");
    let mut parts = job("u");
    parts.push(Part { bytes: vec![0; 6_000_000], ..picture("selfie_image", b"") });
    let answer = desk.submit("authentication", &parts);
    assert_eq!((answer.status, &answer.json()["status"]), (413, &json!("payload_too_large")));
    assert_eq!(answer.json()["job_id"], Value::Null);

    // Nothing of the body has gone out, and the answer is there.
    let mut raw = desk.raw();
    raw.send(b"POST /v3/authentication HTTP/1.1\r\nhost: x\r\ncontent-length: 4500001\r\n\r\n").unwrap();
    assert!(raw.head().starts_with("HTTP/1.1 413 "));

    // The length is not announced: read up to the bound, then refused.
    let mut raw = desk.raw();
    raw.send(b"POST /v3/authentication HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let piece = [b"100000\r\n".as_slice(), &[0; 0x10_0000], b"\r\n"].concat();
    for _ in 0..5 {
        raw.send(&piece).unwrap();
    }
    assert!(raw.head().starts_with("HTTP/1.1 413 "));
}

/// A client that asks first gets its answer without sending the body, or is told to go on.
#[test]
fn a_client_that_expects_to_be_told_is_told() {
    let desk = desk("");
    let mut raw = desk.raw();
    let head = "POST /v3/authentication HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n";
    raw.send(format!("{head}content-length: 9000000\r\n\r\n").as_bytes()).unwrap();
    assert!(raw.head().starts_with("HTTP/1.1 413 "));

    let mut raw = desk.raw();
    let body = form(&job("u-1"));
    let head = format!(
        "{head}smileid-token: {}\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {}\r\n\r\n",
        desk.token(),
        body.len()
    );
    raw.send(head.as_bytes()).unwrap();
    assert!(raw.head().starts_with("HTTP/1.1 100 "));
    raw.send(&body).unwrap();
    assert!(raw.head().starts_with("HTTP/1.1 202 "));
}
