//! Queue promise 4 as a table: each row is one sentence of it.

use super::*;
use proptest::prelude::*;

const ENDPOINTS: [Endpoint; 6] = [
    Endpoint::Token,
    Endpoint::Entry,
    Endpoint::Status,
    Endpoint::Upload,
    Endpoint::Put,
    Endpoint::JobStatus,
];
const PROGRESS: [BodyProgress; 3] = [BodyProgress::NotStarted, BodyProgress::Partly, BodyProgress::Whole];

fn http(http: u16) -> Seen<'static> {
    Seen { http, ..Seen::default() }
}

fn entry(seen: Seen<'_>) -> FailureKind {
    classify(Api::V3, Endpoint::Entry, BodyProgress::Whole, Ended::Answered(seen))
}

fn upload(seen: Seen<'_>) -> FailureKind {
    classify(Api::V1, Endpoint::Upload, BodyProgress::Whole, Ended::Answered(seen))
}

fn coded(code: &'static str) -> Seen<'static> {
    Seen { http: 400, code: Some(code), ..Seen::default() }
}

#[test]
fn without_an_answer_the_last_byte_decides() {
    for ended in [Ended::Broken, Ended::Nonsense] {
        for (api, endpoint) in
            [(Api::V3, Endpoint::Entry), (Api::V1, Endpoint::Upload), (Api::V1, Endpoint::Put)]
        {
            for (sent, kind) in [
                (BodyProgress::NotStarted, FailureKind::RefusedForCertain),
                (BodyProgress::Partly, FailureKind::RefusedForCertain),
                (BodyProgress::Whole, FailureKind::PerhapsTaken),
            ] {
                assert_eq!(classify(api, endpoint, sent, ended), kind, "{endpoint:?} {sent:?} {ended:?}");
            }
        }
    }
}

#[test]
fn a_refused_certificate_is_named_everywhere() {
    for endpoint in ENDPOINTS {
        let kind = classify(Api::V3, endpoint, BodyProgress::NotStarted, Ended::CertificateRefused);
        assert_eq!(kind, FailureKind::Certificate);
    }
}

#[test]
fn v3_entry_answers() {
    let wait = Some(Duration::from_secs(7));
    for (seen, kind) in [
        (http(429), FailureKind::RefusedForCertain),
        (Seen { retry_after: wait, ..http(503) }, FailureKind::RefusedForCertain),
        (http(503), FailureKind::PerhapsTaken),
        (Seen { job_id_null: true, ..http(500) }, FailureKind::RefusedForCertain),
        (Seen { job_id_null: true, ..http(503) }, FailureKind::RefusedForCertain),
        (http(500), FailureKind::PerhapsTaken),
        (http(502), FailureKind::PerhapsTaken),
        (http(504), FailureKind::PerhapsTaken),
        (http(401), FailureKind::Unauthorised),
        (http(402), FailureKind::Unpaid),
        (http(400), FailureKind::RejectedJob(Reject::Invalid)),
        (http(413), FailureKind::RejectedJob(Reject::TooLarge)),
        (http(415), FailureKind::RejectedJob(Reject::MediaType)),
        (http(404), FailureKind::Configuration),
        (http(408), FailureKind::PerhapsTaken),
        (http(302), FailureKind::PerhapsTaken),
        (http(307), FailureKind::PerhapsTaken),
    ] {
        assert_eq!(entry(seen), kind, "{seen:?}");
    }
}

#[test]
fn a_403_about_the_user_is_this_job_and_any_other_is_the_account() {
    for (message, kind) in [
        ("Token is not authorized for this user ID.", FailureKind::RejectedJob(Reject::User)),
        ("Product not enabled for this partner.", FailureKind::NotPermitted),
        ("Production access is not enabled.", FailureKind::NotPermitted),
        ("SDK version not allowed.", FailureKind::NotPermitted),
        ("Callback domain not allowed.", FailureKind::NotPermitted),
        ("", FailureKind::NotPermitted),
    ] {
        assert_eq!(entry(Seen { message, ..http(403) }), kind, "{message}");
    }
}

#[test]
fn v1_codes() {
    for (code, kind) in [
        ("2205", FailureKind::Unauthorised),
        ("2405", FailureKind::Unauthorised),
        ("2215", FailureKind::Duplicate),
        ("2201", FailureKind::RefusedForCertain),
        ("2203", FailureKind::RejectedJob(Reject::Invalid)),
        ("2204", FailureKind::RejectedJob(Reject::Invalid)),
        ("2207", FailureKind::RejectedJob(Reject::User)),
        ("2208", FailureKind::RejectedJob(Reject::User)),
        ("2209", FailureKind::RejectedJob(Reject::User)),
        ("2210", FailureKind::RejectedJob(Reject::User)),
        ("2211", FailureKind::RejectedJob(Reject::User)),
        ("2212", FailureKind::RejectedJob(Reject::Invalid)),
        ("2213", FailureKind::RejectedJob(Reject::Invalid)),
        ("2216", FailureKind::RejectedJob(Reject::User)),
        ("2220", FailureKind::NotPermitted),
        ("2221", FailureKind::NotPermitted),
        ("9999", FailureKind::RejectedJob(Reject::Invalid)),
    ] {
        assert_eq!(upload(coded(code)), kind, "{code}");
    }
    assert_eq!(upload(http(401)), FailureKind::Unauthorised);
    assert_eq!(upload(http(403)), FailureKind::Unauthorised);
    assert_eq!(upload(http(402)), FailureKind::Unpaid);
    assert_eq!(upload(Seen { code: Some("2222"), ..http(429) }), FailureKind::RefusedForCertain);
    assert_eq!(upload(Seen { code: Some("2203"), ..http(500) }), FailureKind::PerhapsTaken);
}

#[test]
fn the_storage_host_refuses_for_certain_with_4xx() {
    for (status, kind) in [
        (403, FailureKind::RefusedForCertain),
        (400, FailureKind::RefusedForCertain),
        (413, FailureKind::RejectedJob(Reject::TooLarge)),
        (500, FailureKind::PerhapsTaken),
        (307, FailureKind::PerhapsTaken),
    ] {
        let ended = Ended::Answered(http(status));
        assert_eq!(classify(Api::V1, Endpoint::Put, BodyProgress::Whole, ended), kind, "{status}");
    }
}

#[test]
fn a_look_up_says_nothing_about_taking() {
    for endpoint in [Endpoint::Token, Endpoint::Status, Endpoint::JobStatus] {
        for sent in PROGRESS {
            assert_eq!(classify(Api::V3, endpoint, sent, Ended::Broken), FailureKind::TryLater);
            assert_eq!(classify(Api::V3, endpoint, sent, Ended::Nonsense), FailureKind::Malformed);
            let redirected = Ended::Answered(http(302));
            assert_eq!(classify(Api::V3, endpoint, sent, redirected), FailureKind::Configuration);
        }
    }
}

#[test]
fn a_token_call_that_is_refused_pauses_the_queue_and_condemns_no_job() {
    for status in [400, 401, 403, 413, 415, 422] {
        let kind = classify(Api::V3, Endpoint::Token, BodyProgress::Whole, Ended::Answered(http(status)));
        assert!(kind.pauses_queue(), "{status} {kind:?}");
    }
}

proptest! {
    /// After the last byte only the documented answers may be taken for a certain refusal.
    #[test]
    fn a_certain_refusal_is_only_what_the_promise_lists(
        status in 0_u16..1000,
        code in prop::option::of(prop::sample::select(vec!["2201", "2202", "2205", "2215", "2314", "9999"])),
        job_id_null: bool,
        waits: bool,
        v3: bool,
    ) {
        let seen = Seen {
            http: status,
            code,
            message: "",
            job_id_null,
            retry_after: waits.then_some(Duration::from_secs(1)),
        };
        let (api, endpoint) = if v3 { (Api::V3, Endpoint::Entry) } else { (Api::V1, Endpoint::Upload) };
        let kind = classify(api, endpoint, BodyProgress::Whole, Ended::Answered(seen));
        let listed = status == 429
            || (status == 503 && waits)
            || (v3 && status >= 500 && job_id_null)
            || (!v3 && (400..500).contains(&status) && code == Some("2201"));
        prop_assert_eq!(kind == FailureKind::RefusedForCertain, listed, "{:?}", kind);
    }

    /// A look-up never claims that a job was or was not taken, or never will be: no caller can repeat or drop a job
    /// because of one.
    #[test]
    fn a_look_up_never_speaks_of_taking(
        status in 0_u16..1000,
        code in prop::option::of(prop::sample::select(vec!["2201", "2203", "2207", "2210", "2215", "9999"])),
        message in prop::sample::select(vec!["", "Token is not authorized for this user ID."]),
        job_id_null: bool,
        waits: bool,
        index in 0_usize..3,
    ) {
        let endpoint = [Endpoint::Token, Endpoint::Status, Endpoint::JobStatus][index];
        let api = if endpoint == Endpoint::JobStatus { Api::V1 } else { Api::V3 };
        let retry_after = waits.then_some(Duration::ZERO);
        let seen = Seen { http: status, code, message, job_id_null, retry_after };
        for sent in PROGRESS {
            let kind = classify(api, endpoint, sent, Ended::Answered(seen));
            prop_assert!(!matches!(
                kind,
                FailureKind::RefusedForCertain
                    | FailureKind::PerhapsTaken
                    | FailureKind::Duplicate
                    | FailureKind::RejectedJob(_)
            ));
        }
    }
}
