use super::super::body::BodyProgress;
use super::super::classify::{Ended, Endpoint, Seen, classify};
use super::super::failure::{FailureKind, Reject};
use super::*;
use crate::config::model::Api;

#[test]
fn no_code_is_in_the_table_twice() {
    for (index, row) in CODES.iter().enumerate() {
        for other in &CODES[index + 1..] {
            let same = row.family == other.family && row.code == other.code;
            let apart = !row.job_types.is_empty()
                && !other.job_types.is_empty()
                && row.job_types.iter().all(|kind| !other.job_types.contains(kind));
            assert!(!same || apart, "{row:?} {other:?}");
        }
    }
}

#[test]
fn only_a_verdict_that_passed_opens() {
    for row in CODES {
        assert_eq!(row.decision == Decision::Opens, row.verdict == Some(Verdict::Approved), "{row:?}");
    }
}

/// What the queue does after a failure, in this table's words.
fn action(kind: FailureKind) -> Action {
    match kind {
        FailureKind::RefusedForCertain | FailureKind::TryLater => Retry,
        FailureKind::PerhapsTaken | FailureKind::Malformed | FailureKind::Duplicate => LookUp,
        FailureKind::RejectedJob(Reject::User) => Enrol,
        FailureKind::RejectedJob(_) => DeadLetter,
        _ => Pause,
    }
}

/// The table cannot say one thing and the client do another.
#[test]
fn what_is_told_of_a_refusal_is_what_the_client_does() {
    for row in CODES.iter().filter(|row| row.action != Finish && row.action != Poll) {
        let kind = match row.family {
            Family::Request => {
                let http = if row.code == "2222" { 429 } else { 400 };
                let seen = Seen { http, code: Some(row.code), ..Seen::default() };
                classify(Api::V1, Endpoint::Upload, BodyProgress::Whole, Ended::Answered(seen))
            }
            Family::Http => {
                let seen = Seen { http: row.code.parse().unwrap(), ..Seen::default() };
                classify(Api::V3, Endpoint::Entry, BodyProgress::Whole, Ended::Answered(seen))
            }
            _ => continue,
        };
        let told = match (row.action, kind) {
            // About a user, and yet enrolling is not what helps.
            (DeadLetter, FailureKind::RejectedJob(Reject::User)) => Enrol,
            (told, _) => told,
        };
        assert_eq!(action(kind), told, "{row:?} {kind:?}");
    }
}
