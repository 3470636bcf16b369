//! Faults: what a bad server or a bad network does to one call.

use serde_json::Value;
use std::time::Duration;

use super::endpoint::Endpoint;

/// One thing that goes wrong, and on which calls.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// On calls of this endpoint; `None`: of any.
    pub endpoint: Option<Endpoint>,
    /// On calls about this user; `None`: about anybody.
    pub user: Option<String>,
    /// On the first, second, … call that fits endpoint and user, counted from 1; empty: on each.
    pub calls: Vec<u64>,
    /// How long to wait before it happens, or before the spoilt answer goes out.
    pub delay: Duration,
    /// What happens.
    pub kind: FaultKind,
}

/// What happens to the call.
#[derive(Clone, PartialEq, Debug)]
pub enum FaultKind {
    /// Another HTTP status instead of the answer.
    Status {
        /// 100 to 599 are possible on the wire; 200 to 599 are allowed here.
        status: u16,
        /// The `Retry-After` header.
        retry_after: Option<RetryAfter>,
        /// The body; `None`: the service's own error body for this status.
        body: Option<String>,
        /// The body's type; `None`: `application/json`.
        content_type: Option<String>,
        /// The body is the gateway's: it says `job_id: null`.
        gateway: bool,
        /// Whether the job was taken all the same.
        job: JobFate,
    },
    /// The connection ends before the body was read.
    DropBeforeBody,
    /// The connection ends after the body was read; the job is not taken.
    DropAfterBody,
    /// The job is taken, the connection ends without an answer.
    DropAnswer,
    /// The job is taken, the connection ends in the middle of the answer.
    HalfAnswer,
    /// The job is taken, no answer comes and the connection stays open.
    Silence,
    /// The right answer, later (see [`Fault::delay`]).
    Late,
    /// The right answer, one byte at a time.
    Drip {
        /// Between two bytes.
        gap: Duration,
    },
    /// Another place instead of the answer; the job is not taken.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location` header.
        location: String,
    },
    /// The answer is one endless JSON text.
    HugeBody {
        /// Its length.
        bytes: u64,
    },
    /// The right answer under a wrong `Content-Type`.
    WrongContentType {
        /// The header's value.
        content_type: String,
    },
    /// The first half of the JSON, sent as if it were all.
    TruncatedJson,
    /// The answer's JSON with some fields changed.
    Edit {
        /// Fields by path (`result.PartnerParams.user_id`) and their new values.
        set: Vec<(Vec<String>, Value)>,
        /// Fields by path that are left out.
        remove: Vec<Vec<String>>,
    },
    /// The answer is about another job.
    OtherJob,
    /// The answer is about another user.
    OtherUser,
}

/// Whether a job whose answer is spoilt exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobFate {
    /// It does, and is decided as if nothing had happened.
    Taken,
    /// It does not.
    NotTaken,
}

/// A `Retry-After` header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// This very text.
    Text(String),
    /// The HTTP date this long after the answer.
    DateIn(Duration),
}

/// When a fault takes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// With the head read.
    Head,
    /// With the body read and nothing done about it.
    Body,
    /// With the answer ready.
    Answer,
}

impl FaultKind {
    /// When this fault takes over.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::DropBeforeBody => Stage::Head,
            Self::DropAfterBody | Self::Redirect { .. } | Self::Status { job: JobFate::NotTaken, .. } => {
                Stage::Body
            }
            Self::Status { job: JobFate::Taken, .. }
            | Self::DropAnswer
            | Self::HalfAnswer
            | Self::Silence
            | Self::Late
            | Self::Drip { .. }
            | Self::HugeBody { .. }
            | Self::WrongContentType { .. }
            | Self::TruncatedJson
            | Self::Edit { .. }
            | Self::OtherJob
            | Self::OtherUser => Stage::Answer,
        }
    }
}

/// How often each fault of a scenario was called for.
#[derive(Debug, Default)]
pub(super) struct Counters(Vec<u64>);

impl Counters {
    /// Counts one call and gives the fault it meets: the first in the file's order.
    ///
    /// Faults that name no user have their turn when the call arrives, the others when it is known whom the call is
    /// about, so that each fault counts a call at most once.
    pub(super) fn meet(&mut self, faults: &[Fault], endpoint: Endpoint, step: Step<'_>) -> Option<Fault> {
        self.0.resize(faults.len(), 0);
        let mut met = None;
        for (fault, count) in faults.iter().zip(&mut self.0) {
            let turn = match (&fault.user, step) {
                (None, Step::Arrived) => true,
                (Some(wanted), Step::UserKnown(user)) => wanted == user,
                (None, Step::UserKnown(_)) | (Some(_), Step::Arrived) => false,
            };
            if !turn || fault.endpoint.is_some_and(|wanted| wanted != endpoint) {
                continue;
            }
            *count += 1;
            if met.is_none() && (fault.calls.is_empty() || fault.calls.contains(count)) {
                met = Some(fault.clone());
            }
        }
        met
    }

    /// Forgets all counts, for a new scenario.
    pub(super) fn reset(&mut self) {
        self.0.clear();
    }
}

/// How much is known of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'user> {
    /// Its head.
    Arrived,
    /// Whom it is about.
    UserKnown(&'user str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(endpoint: Option<Endpoint>, user: Option<&str>, calls: &[u64]) -> Fault {
        Fault {
            endpoint,
            user: user.map(str::to_owned),
            calls: calls.to_vec(),
            delay: Duration::ZERO,
            kind: FaultKind::DropAnswer,
        }
    }

    #[test]
    fn the_second_call_is_the_second_that_fits() {
        let faults = [fault(Some(Endpoint::V3Status), None, &[2])];
        let mut counters = Counters::default();
        let mut meet = |endpoint| counters.meet(&faults, endpoint, Step::Arrived).is_some();
        assert!(!meet(Endpoint::V3Token));
        assert!(!meet(Endpoint::V3Status));
        assert!(!meet(Endpoint::V3Token));
        assert!(meet(Endpoint::V3Status));
        assert!(!meet(Endpoint::V3Status));
    }

    #[test]
    fn a_fault_with_a_user_waits_until_the_user_is_known() {
        let faults = [fault(None, Some("u-1"), &[])];
        let mut counters = Counters::default();
        assert!(counters.meet(&faults, Endpoint::V1Upload, Step::Arrived).is_none());
        assert!(counters.meet(&faults, Endpoint::V1Upload, Step::UserKnown("u-2")).is_none());
        assert!(counters.meet(&faults, Endpoint::V1Upload, Step::UserKnown("u-1")).is_some());
    }

    #[test]
    fn the_first_in_the_file_wins_and_the_others_are_counted() {
        let mut second = fault(None, None, &[2]);
        second.kind = FaultKind::TruncatedJson;
        let faults = [fault(None, None, &[1]), second];
        let mut counters = Counters::default();
        let mut kind = || counters.meet(&faults, Endpoint::V3Token, Step::Arrived).map(|fault| fault.kind);
        assert_eq!(kind(), Some(FaultKind::DropAnswer));
        assert_eq!(kind(), Some(FaultKind::TruncatedJson));
        assert_eq!(kind(), None);
    }
}
