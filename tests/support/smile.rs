//! A client, a person and pictures for tests of the protocol.
// Each test binary uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::tls_server::{Reply, Request, TlsServer, json};
use base64::Engine as _;
use latchd::access::{JobId, Product, UserId};
use latchd::clock::{ManualClock, SystemClock, SystemRandom, Wall, WallTime};
use latchd::config::model::{Api, Smile};
use latchd::smileid::{
    Client, Consent, Details, Enrolment, Failure, IdInfo, Images, Picture, Progress, Repeat, Settings,
    Submission, Timeouts,
};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const KEY: &str = "t3st-api-key-7f31";
pub const GIVEN: &str = "Amina Fatou";
pub const LAST: &str = "Clearwater";
pub const EMAIL: &str = "amina.clearwater@example.com";
pub const JOB: &str = "job_01h8x9y2z3a4b5c6d7e8f9g0h1";

/// One person with nine pictures of these sizes.
pub struct Person {
    pub user: UserId,
    pub details: Details,
    pub consent: Consent,
    pub selfie: Vec<u8>,
    pub liveness: Vec<Vec<u8>>,
    pub params: BTreeMap<String, String>,
    pub id_info: Option<IdInfo>,
}

pub fn person() -> Person {
    let picture = |size: usize, seed: u8| {
        let mut bytes = vec![0xff, 0xd8, 0xff];
        bytes.extend((0..size).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)));
        bytes
    };
    Person {
        user: UserId::parse("emp-0042").unwrap(),
        details: Details {
            given_names: GIVEN.into(),
            last_name: LAST.into(),
            email: Some(EMAIL.into()),
            phone: None,
        },
        consent: Consent {
            granted_at: WallTime::from_rfc3339("2026-01-02T03:04:05Z").unwrap(),
            language: "en".into(),
            policy_url: "https://example.com/privacy".into(),
        },
        selfie: picture(60_000, 1),
        liveness: (0..8).map(|index| picture(20_000, 10 + index)).collect(),
        params: BTreeMap::from([("site".to_owned(), "gate \"7\"".to_owned())]),
        id_info: None,
    }
}

impl Person {
    /// Calls `with` with a submission of this person.
    pub fn submitting<T>(&self, product: Product, with: impl FnOnce(Submission<'_>) -> T) -> T {
        let liveness: Vec<_> = self.liveness.iter().map(|jpeg| Picture::Bytes(jpeg)).collect();
        with(Submission {
            product,
            user_id: &self.user,
            job: JobId([0x11; 16]),
            details: &self.details,
            consent: &self.consent,
            images: Images { selfie: Picture::Bytes(&self.selfie), liveness: &liveness },
            partner_params: &self.params,
            geo: None,
            id_info: self.id_info.as_ref(),
            enrolment: Enrolment::OnlyNew,
            repeat: Repeat::AsFirst,
        })
    }
}

pub fn settings(server: &TlsServer, api: Api) -> Settings {
    let smile = Smile {
        api,
        base_url: Some(server.url()),
        ca_file: Some(server.ca_file.clone()),
        partner_id: "0012".into(),
        callback_url: Some("https://door.example/callback".into()),
        ..Smile::default()
    };
    let long = Duration::from_secs(20);
    Settings::from_config(&smile, SecretString::from(KEY)).unwrap().with_timeouts(Timeouts {
        connect: long,
        send: long,
        answer: long,
    })
}

pub fn client(server: &TlsServer, api: Api) -> Client {
    Client::new(settings(server, api), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).unwrap()
}

/// A client whose phases end after `span`.
pub fn hasty(server: &TlsServer, api: Api, span: Duration) -> Client {
    let settings = settings(server, api).with_timeouts(Timeouts {
        connect: Duration::from_secs(20),
        send: span,
        answer: span,
    });
    Client::new(settings, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).unwrap()
}

/// The moment a manual clock of these tests shows.
pub fn noon() -> WallTime {
    WallTime::from_rfc3339("2026-01-02T03:04:05Z").unwrap()
}

pub fn client_at(server: &TlsServer, api: Api, wall: Wall) -> (Arc<ManualClock>, Client) {
    let clock = Arc::new(ManualClock::new(latchd::clock::BootTime::from_millis(5_000), wall));
    let client = Client::new(settings(server, api), clock.clone(), Arc::new(SystemRandom)).unwrap();
    (clock, client)
}

pub fn submit(client: &Client, product: Product) -> (Result<String, Failure>, Vec<Progress>) {
    let mut steps = Vec::new();
    let result = person().submitting(product, |submission| {
        client.submit(&submission, &mut |step| steps.push(step)).map(|accepted| accepted.handle.remote_job)
    });
    (result, steps)
}

/// A token answer whose token lives for `seconds`.
pub fn token(text: &str, seconds: u32) -> Reply {
    let claims = format!("{{\"iat\":1000,\"exp\":{}}}", 1000 + seconds);
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
    Reply::Bytes(json("200 OK", &format!("{{\"token\":\"e30.{payload}.{text}\"}}")))
}

pub fn accepted() -> String {
    format!(
        "{{\"status\":\"accepted\",\"message\":\"ok\",\"job_id\":\"{JOB}\",\"user_id\":\"emp-0042\",\
         \"created_at\":\"2026-01-02T03:04:05Z\"}}"
    )
}

/// A server that gives tokens and answers everything else by `script`.
pub fn v3(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> TlsServer {
    TlsServer::start(move |request| match request.path.as_str() {
        "/v3/token" => token("secret-token", 900),
        _ => script(request),
    })
}
