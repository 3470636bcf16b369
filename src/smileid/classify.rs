//! From an answer, or the lack of one, to what it means for the job (door-rules, queue promise 4). Pure and total.
//!
//! The one distinction that matters most: *refused for certain* may be repeated, *perhaps taken* must not.
//! A case that is in no table counts as perhaps taken once the body's last byte was handed to the connection.

use super::body::BodyProgress;
use super::failure::{FailureKind, Reject};
use crate::config::model::Api;
use std::time::Duration;

/// Which call of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// v3 token.
    Token,
    /// v3 or v2: the call that makes the job.
    Entry,
    /// v3 status.
    Status,
    /// v3 list of what the service can be asked about.
    List,
    /// v3 replay of a callback.
    Replay,
    /// v1 upload: reserves the job id.
    Upload,
    /// v1 PUT of the archive to the storage address.
    Put,
    /// v1 job_status.
    JobStatus,
    /// v1 id_verification or v2 verify: the one call of a number's check, whose answer is the result.
    Number,
}

impl Endpoint {
    /// The call asks and makes no job: its failure says nothing about one.
    fn looks_up(self) -> bool {
        matches!(self, Self::Token | Self::Status | Self::JobStatus | Self::List | Self::Replay)
    }
}

/// What a classification needs to know about an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen<'a> {
    /// HTTP status.
    pub http: u16,
    /// The `code` of the body (v1).
    pub code: Option<&'a str>,
    /// The `message` or `error` of the body.
    pub message: &'a str,
    /// The body is an object whose `job_id` is null: the gateway answered before any job was made (v3).
    pub job_id_null: bool,
    /// A Retry-After that could be read.
    pub retry_after: Option<Duration>,
}

/// How a call ended without the answer that the protocol promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended<'a> {
    /// An answer with an error status, or a redirect.
    Answered(Seen<'a>),
    /// A success status, but the body is not what the protocol says: form, fields, size or ids.
    Nonsense,
    /// No connection, or it broke, or time ran out.
    Broken,
    /// The server's certificate was refused during the handshake.
    CertificateRefused,
}

/// What an end means. `sent` is how much of the body was handed over before it.
pub fn classify(api: Api, endpoint: Endpoint, sent: BodyProgress, ended: Ended<'_>) -> FailureKind {
    match ended {
        Ended::CertificateRefused => FailureKind::Certificate,
        Ended::Broken => unanswered(endpoint, sent),
        Ended::Nonsense if endpoint.looks_up() => FailureKind::Malformed,
        Ended::Nonsense => unanswered(endpoint, sent),
        Ended::Answered(seen) => match (endpoint, api) {
            (Endpoint::Put, _) => of_storage(sent, seen),
            (_, Api::V1 | Api::V2) => of_v1(endpoint, sent, seen),
            (_, Api::V3) => of_v3(endpoint, sent, seen),
        },
    }
}

/// No usable answer: only the body's progress tells.
fn unanswered(endpoint: Endpoint, sent: BodyProgress) -> FailureKind {
    match (endpoint.looks_up(), sent) {
        (true, _) => FailureKind::TryLater,
        (_, BodyProgress::NotStarted | BodyProgress::Partly) => FailureKind::RefusedForCertain,
        (_, BodyProgress::Whole) => FailureKind::PerhapsTaken,
    }
}

/// Rules that hold for every call of both protocols; `None` where they differ.
fn common(endpoint: Endpoint, sent: BodyProgress, seen: Seen<'_>) -> Option<FailureKind> {
    let looks_up = endpoint.looks_up();
    let refused = if looks_up { FailureKind::TryLater } else { FailureKind::RefusedForCertain };
    Some(match seen.http {
        429 => refused,
        503 if seen.retry_after.is_some() => refused,
        402 => FailureKind::Unpaid,
        300..=399 if looks_up => FailureKind::Configuration,
        300..=399 => unanswered(endpoint, sent),
        404 | 405 if looks_up => FailureKind::Configuration,
        408 | 409 | 424 | 425 => unanswered(endpoint, sent),
        413 if !looks_up => FailureKind::RejectedJob(Reject::TooLarge),
        415 if !looks_up => FailureKind::RejectedJob(Reject::MediaType),
        400..=499 => return None,
        // Every 5xx that is not named above, and numbers that HTTP does not know.
        _ => unanswered(endpoint, sent),
    })
}

fn of_v3(endpoint: Endpoint, sent: BodyProgress, seen: Seen<'_>) -> FailureKind {
    // The gateway stands before everything that makes jobs: with its null job id nothing was taken.
    if seen.http >= 500 && seen.job_id_null {
        return unanswered(endpoint, BodyProgress::NotStarted);
    }
    if let Some(kind) = common(endpoint, sent, seen) {
        return kind;
    }
    let message = seen.message.to_ascii_lowercase();
    match seen.http {
        401 => FailureKind::Unauthorised,
        403 if !endpoint.looks_up() && (message.contains("user id") || message.contains("user_id")) => {
            FailureKind::RejectedJob(Reject::User)
        }
        403 => FailureKind::NotPermitted,
        404 | 405 | 410 | 421 => FailureKind::Configuration,
        // Nothing of a token call is the job's: partner id or key are not what the service wants.
        _ if endpoint == Endpoint::Token => FailureKind::Unauthorised,
        _ if endpoint == Endpoint::Status => FailureKind::Malformed,
        _ => FailureKind::RejectedJob(Reject::Invalid),
    }
}

fn of_v1(endpoint: Endpoint, sent: BodyProgress, seen: Seen<'_>) -> FailureKind {
    // v1 errors are told by code first, whatever status below 500 they come with.
    if (400..=499).contains(&seen.http)
        && seen.http != 429
        && let Some(kind) = of_v1_code(endpoint, seen.code.unwrap_or_default())
    {
        return kind;
    }
    if let Some(kind) = common(endpoint, sent, seen) {
        return kind;
    }
    match seen.http {
        401 | 403 => FailureKind::Unauthorised,
        404 | 405 | 410 | 421 => FailureKind::Configuration,
        _ if endpoint == Endpoint::JobStatus => FailureKind::Malformed,
        _ => FailureKind::RejectedJob(Reject::Invalid),
    }
}

/// The codes of refused v1 requests; `None` for the rest, which the HTTP status tells.
fn of_v1_code(endpoint: Endpoint, code: &str) -> Option<FailureKind> {
    match code {
        "2205" | "2405" => Some(FailureKind::Unauthorised),
        "2220" | "2221" => Some(FailureKind::NotPermitted),
        "2201" | "2301" | "2401" if endpoint.looks_up() => Some(FailureKind::TryLater),
        // The other codes of a look-up are about the question: they must not condemn the job.
        _ if endpoint.looks_up() => None,
        "2201" | "2301" | "2401" => Some(FailureKind::RefusedForCertain),
        "2215" => Some(FailureKind::Duplicate),
        "2207" | "2208" | "2209" | "2210" | "2211" | "2216" => Some(FailureKind::RejectedJob(Reject::User)),
        "2203" | "2204" | "2212" | "2213" | "2214" | "2413" | "2414" => {
            Some(FailureKind::RejectedJob(Reject::Invalid))
        }
        _ => None,
    }
}

/// The storage host speaks neither protocol. Whatever it refuses with 4xx it did not store; an address that has
/// expired (403) is renewed by the next submission of the same job id.
fn of_storage(sent: BodyProgress, seen: Seen<'_>) -> FailureKind {
    match seen.http {
        413 => FailureKind::RejectedJob(Reject::TooLarge),
        408 | 409 => unanswered(Endpoint::Put, sent),
        400..=499 => FailureKind::RefusedForCertain,
        503 if seen.retry_after.is_some() => FailureKind::RefusedForCertain,
        _ => unanswered(Endpoint::Put, sent),
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
