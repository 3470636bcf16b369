//! The service's answers, of all three protocols, through the whole client and up to the door's decision. The first line is
//! `PROTOCOL STATUS`, the lines up to an empty one are the answer's head, the rest is its body; `@T` and `@S` in it stand
//! for a time stamp and the service's signature of it, which no fuzzer could guess. Protocol `0` is 3 whose tokens, too,
//! are such answers.
//!
//! door-rules 4: nothing but the exact approving word, for this person and this job, opens.
#![no_main]

use latchd::access::decide::{Decision, Expected, decide};
use latchd::access::{JobId, Product, Report, UserId};
use latchd::clock::{BootTime, ManualClock, Random, Wall, WallTime};
use latchd::config::model::{Api, Smile};
use latchd::smileid::answers::{Said, client};
use latchd::smileid::{
    Client, Consent, Details, Enrolment, Failure, Handle, Images, LookUp, Picture, Repeat, Settings, Status,
    Submission,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const KEY: &str = "fuzzing-key";
/// As all of these in lower case: texts are searched without regard to it.
const FAMILY_NAME: &str = "clearwater";
const USER: &str = "emp-1";
const REMOTE_JOB: &str = "job_1";
const OUR_JOB: JobId = JobId([0x11; 16]);
const PICTURE: &[u8] = &[0xff, 0xd8, 0xff, 0xd9];
const STAMP: &str = "2026-01-02T03:04:05.000Z";
/// Of [`STAMP`], by the partner below, made with [`KEY`].
const SIGNATURE: &str = "QkLz2sVhclWRGTb+j/bJI2E8zYWhqJl5HFcNmXT7nLE=";
const TEXT_MAX: usize = 200;

struct NoChance;

impl Random for NoChance {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// The protocol, whether the token is one of the answers, and the answer.
fn read(data: &[u8]) -> Option<(Api, bool, Said)> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let mut head = std::str::from_utf8(&data[..end]).ok()?.lines();
    let (protocol, http) = head.next()?.split_once(' ')?;
    let (api, any_token) = match protocol {
        "0" => (Api::V3, true),
        "1" => (Api::V1, false),
        "2" => (Api::V2, false),
        "3" => (Api::V3, false),
        _ => return None,
    };
    let head = head.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
    let said = Said { http: http.parse().ok()?, head: head.collect(), body: filled_in(&data[end + 2..]) };
    Some((api, any_token, said))
}

fn filled_in(body: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(body.len() + 64);
    let mut rest = body;
    loop {
        rest = match rest {
            [b'@', b'T', after @ ..] => {
                filled.extend(STAMP.as_bytes());
                after
            }
            [b'@', b'S', after @ ..] => {
                filled.extend(SIGNATURE.as_bytes());
                after
            }
            [byte, after @ ..] => {
                filled.push(*byte);
                after
            }
            [] => return filled,
        }
    }
}

fn connected(api: Api, any_token: bool, said: Said) -> Client {
    let now = WallTime::from_rfc3339(STAMP).expect("a time stamp");
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(9_000), Wall::Known(now)));
    let smile = Smile { api, partner_id: "1234".into(), ..Smile::default() };
    let settings = Settings::from_config(&smile, KEY.into()).expect("settings");
    let answers = move |path: &str| {
        if path.ends_with("/token") && !any_token {
            let json = ("content-type".to_owned(), "application/json".to_owned());
            return Said { http: 200, head: vec![json], body: br#"{"token":"t.t.t"}"#.to_vec() };
        }
        said.clone()
    };
    client(settings, clock, Arc::new(NoChance), Box::new(answers)).expect("a client")
}

/// The report would open the door: then the answer must say so in so many words.
fn judge(api: Api, said: &Said, handle: &Handle, report: &Report) {
    let expected =
        Expected { product: handle.product, user: &handle.user_id, remote_job: &handle.remote_job };
    assert!(report.text.chars().count() <= TEXT_MAX && !report.text.contains(char::is_control));
    if decide(expected, report) != Decision::Approve {
        return;
    }
    let body: Value = serde_json::from_slice(&said.body).expect("approved by what is no JSON");
    let at = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let code = |path: &str| matches!(at(path), "0820" | "1220");
    let yes = |path: &str| body.pointer(path) == Some(&Value::Bool(true));
    let (worded, names) = match api {
        Api::V3 => (said.http == 200 && at("/status") == "clear", ""),
        Api::V2 => (at("/status") == "approved" && code("/code"), ""),
        Api::V1 => {
            let sure = yes("/job_success") && yes("/job_complete") && at("/signature") == SIGNATURE;
            (sure && code("/result/ResultCode"), "/result/PartnerParams")
        }
    };
    assert!(worded, "approved without the word: {body}");
    assert!((200..300).contains(&said.http), "approved by an error");
    let named = (at(&format!("{names}/user_id")), at(&format!("{names}/job_id")));
    assert_eq!(named, (USER, handle.remote_job.as_str()), "approved for another: {body}");
}

/// A failure is safe to print: one short line without what was sent.
fn printable(failure: &Failure, sent: &[&str]) {
    let told = failure.told.as_deref().unwrap_or_default();
    for text in [&failure.text, told] {
        assert!(text.chars().count() <= TEXT_MAX && !text.contains(char::is_control), "{text:?}");
        let low = text.to_ascii_lowercase();
        assert!(!sent.iter().any(|word| low.contains(word)), "{text:?}");
    }
}

fn submit(client: &Client, user: &UserId) -> Result<latchd::smileid::Accepted, Failure> {
    let liveness = [Picture::Bytes(PICTURE); 8];
    let submission = Submission {
        product: Product::Authentication,
        user_id: user,
        job: OUR_JOB,
        details: &Details {
            given_names: "Amina".into(),
            last_name: FAMILY_NAME.into(),
            email: Some("amina@example.com".into()),
            phone: None,
        },
        consent: &Consent {
            granted_at: WallTime::from_unix_millis(1_767_323_045_000),
            language: "EN".into(),
            policy_url: "https://example.com/privacy".into(),
        },
        images: Images { selfie: Picture::Bytes(PICTURE), liveness: &liveness },
        partner_params: &BTreeMap::new(),
        geo: None,
        id_info: None,
        enrolment: Enrolment::OnlyNew,
        repeat: Repeat::AsFirst,
    };
    client.submit(&submission, &mut |_| {})
}

fuzz_target!(|data: &[u8]| {
    let Some((api, any_token, said)) = read(data) else { return };
    let user = UserId::parse(USER).expect("a user id");
    let product = Product::Authentication;
    let handle = match api {
        Api::V1 => Handle::own(product, user.clone(), OUR_JOB),
        Api::V2 | Api::V3 => Handle { product, user_id: user.clone(), remote_job: REMOTE_JOB.into() },
    };
    let client = connected(api, any_token, said.clone());
    // Who asks for a token names nobody.
    let (asked, submitted): (&[&str], &[&str]) =
        if any_token { (&[KEY], &[KEY]) } else { (&[KEY, USER], &[KEY, USER, FAMILY_NAME]) };
    match client.status(&handle) {
        Ok(Status::Final(report)) => judge(api, &said, &handle, &report),
        Ok(Status::Pending | Status::NotFound) => {}
        Err(failure) => printable(&failure, asked),
    }
    match client.look_up(&handle) {
        Ok(LookUp::Done(report)) => judge(api, &said, &handle, &report),
        Ok(LookUp::Processing | LookUp::NotReceived(_)) => {}
        Err(failure) => printable(&failure, asked),
    }
    match submit(&client, &user) {
        Ok(accepted) => {
            assert_eq!(accepted.handle.user_id, user);
            accepted.report.iter().for_each(|report| judge(api, &said, &accepted.handle, report));
        }
        Err(failure) => printable(&failure, submitted),
    }
});
