//! No key, token, name, contact or picture in Debug output, in error texts or in what the HTTP library logs.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/smile.rs"]
mod smile;
#[path = "support/tls_server.rs"]
mod tls_server;

use latchd::access::{JobId, Product, UserId};
use latchd::config::model::Api;
use latchd::smileid::{Handle, IdInfo, ResultLine, Status};
use smile::*;
use std::sync::Mutex;
use tls_server::{Reply, json};

static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Collect;

impl log::Log for Collect {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        // The test's own server logs through the same crates; only what is said matters.
        LOGGED.lock().unwrap().push_str(&format!("{}\n", record.args()));
    }
    fn flush(&self) {}
}

fn nothing_secret_in(what: &str, text: &str) {
    let low = text.to_lowercase();
    for secret in [
        KEY,
        "secret-token",
        "amina",
        "fatou",
        LAST,
        EMAIL,
        "+254700000001",
        "emp-0042",
        "a01234567",
        "255, 216",
    ] {
        assert!(!low.contains(&secret.to_lowercase()), "{what} shows {secret}: {text}");
    }
}

#[test]
fn debug_errors_and_logs_hold_no_secret() {
    log::set_logger(&Collect).unwrap();
    // The most that the configuration can ask for. (At `trace` the HTTP library prints whole answers.)
    log::set_max_level(log::LevelFilter::Debug);

    // A service that echoes everything it was told into its error text.
    let echo = format!(
        "{{\"status\":\"Bad Request\",\"code\":\"2203\",\"error\":\"x\",\"message\":\"{} AMINA FATOU clearwater {} \
         emp-0042 {KEY} +254700000001 A01234567\"}}",
        GIVEN, EMAIL
    );
    let server = v3(move |request| match request.method.as_str() {
        "GET" => Reply::Bytes(json(
            "200 OK",
            &format!(
                "{{\"status\":\"block\",\"job_id\":\"{JOB}\",\"user_id\":\"emp-0042\",\"message\":\"m\"}}"
            ),
        )),
        _ => Reply::Bytes(json("400 Bad Request", &echo)),
    });
    let mut someone = person();
    someone.details.phone = Some("+254700000001".into());
    someone.id_info = Some(IdInfo { id_number: Some("A01234567".into()), ..IdInfo::default() });

    for api in [Api::V3, Api::V1] {
        let client = client(&server, api);
        let mut steps = Vec::new();
        let result = someone.submitting(Product::Registration, |submission| {
            nothing_secret_in("submission", &format!("{submission:?} {submission:#?}"));
            client.submit(&submission, &mut |step| steps.push(step))
        });
        let failure = result.unwrap_err();
        assert_eq!(failure.http, Some(400));
        nothing_secret_in("failure", &format!("{failure} {failure:?} {steps:?} {}", failure.remedy()));
        nothing_secret_in("client", &format!("{client:?} {client:#?} {:?}", settings(&server, api)));
    }

    let handle = Handle {
        product: Product::Authentication,
        user_id: UserId::parse("emp-0042").unwrap(),
        remote_job: JOB.into(),
    };
    let state = client(&server, Api::V3).status(&handle).unwrap();
    nothing_secret_in("status", &format!("{state:?} {handle:?}"));
    let Status::Final(report) = state else { panic!() };
    nothing_secret_in("result", &format!("{:?}", ResultLine::new(JobId([1; 16]), &report)));
    nothing_secret_in(
        "words",
        &format!("{:?} {:?} {:?} {:?}", someone.details, someone.id_info, someone.consent, someone.user),
    );

    let logged = LOGGED.lock().unwrap();
    assert!(logged.contains("POST https://"), "the HTTP library logs requests: {logged}");
    nothing_secret_in("log", &logged);
}
