//! How a job's state and verdict are written into the columns of its row, and read back.

use rusqlite::Row;

use super::QueueError;
use super::jobs::Info;
use super::policy::Class;
use super::states::{Api, Decided, HeldReason, State, StateName};
use crate::access::{AttemptId, JobId, Task, UserId, Verdict};
use crate::store::{Stamp, StoreError};

pub(super) const COLUMNS: &str = "seq, id, attempt, user_id, product, api, allow_new_enroll, state, reason,
    reserved, remote_id, verdict, code, answer, tries, resubmits, images, bytes, state_boot_id, state_boot_us,
    state_wall_ms, created_boot_id, created_boot_us, created_wall_ms, class";

/// A row as stored, before its words are understood.
pub(super) struct Stored {
    seq: i64,
    id: JobId,
    attempt: Option<AttemptId>,
    user_id: String,
    product: String,
    api: String,
    allow_new_enroll: bool,
    state: String,
    reason: Option<String>,
    reserved: bool,
    remote: Option<String>,
    verdict: Option<String>,
    code: Option<String>,
    answer: Option<String>,
    tries: u32,
    resubmits: u32,
    has_images: bool,
    bytes: i64,
    since: Stamp,
    created: Stamp,
    class: i64,
}

pub(super) fn read_row(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        seq: row.get(0)?,
        id: JobId(row.get(1)?),
        attempt: row.get::<_, Option<_>>(2)?.map(AttemptId),
        user_id: row.get(3)?,
        product: row.get(4)?,
        api: row.get(5)?,
        allow_new_enroll: row.get(6)?,
        state: row.get(7)?,
        reason: row.get(8)?,
        reserved: row.get(9)?,
        remote: row.get(10)?,
        verdict: row.get(11)?,
        code: row.get(12)?,
        answer: row.get(13)?,
        tries: row.get(14)?,
        resubmits: row.get(15)?,
        has_images: row.get(16)?,
        bytes: row.get(17)?,
        since: Stamp::from_row(row, 18)?,
        created: Stamp::from_row(row, 21)?,
        class: row.get(24)?,
    })
}

impl Stored {
    pub(super) fn created(&self) -> &Stamp {
        &self.created
    }

    pub(super) fn info(self) -> Result<Info, QueueError> {
        fn sense<T>(value: Option<T>, what: &'static str) -> Result<T, QueueError> {
            value.ok_or_else(|| StoreError::Row { what }.into())
        }
        let reason = self.reason;
        let state = match sense(StateName::parse(&self.state), "jobs.state")? {
            StateName::New => State::New,
            StateName::Sending => State::Sending,
            StateName::Accepted => State::Accepted { remote: sense(self.remote.clone(), "jobs.remote_id")? },
            StateName::Decided => State::Decided(Decided {
                verdict: sense(self.verdict.as_deref().and_then(parse_verdict), "jobs.verdict")?,
                code: self.code.unwrap_or_default(),
                text: self.answer.unwrap_or_default(),
            }),
            StateName::Held => {
                State::Held(sense(reason.as_deref().and_then(HeldReason::parse), "jobs.reason")?)
            }
            StateName::UnknownOutcome => State::UnknownOutcome,
            StateName::DeadLetter => {
                State::DeadLetter { reason: reason.unwrap_or_default(), answer: self.answer }
            }
            StateName::Expired => State::Expired,
            StateName::Dropped => State::Dropped { by: reason.unwrap_or_default() },
        };
        Ok(Info {
            seq: self.seq,
            id: self.id,
            attempt: self.attempt,
            user_id: sense(UserId::parse(&self.user_id).ok(), "jobs.user_id")?,
            task: sense(Task::parse(&self.product), "jobs.product")?,
            class: sense(Class::from_number(self.class), "jobs.class")?,
            api: sense(Api::parse(&self.api), "jobs.api")?,
            allow_new_enroll: self.allow_new_enroll,
            state,
            since: self.since,
            created: self.created,
            reserved: self.reserved,
            remote: self.remote,
            tries: self.tries,
            resubmits: self.resubmits,
            has_images: self.has_images,
            bytes: u64::try_from(self.bytes).unwrap_or(0),
        })
    }
}

/// The column `reason`: held for, dead because of, dropped by.
pub(super) fn reason_of(state: &State) -> Option<&str> {
    match state {
        State::Held(reason) => Some(reason.name()),
        State::DeadLetter { reason, .. } => Some(reason),
        State::Dropped { by } => Some(by),
        _ => None,
    }
}

/// The column `answer`: what the service said, when it decided or refused.
pub(super) fn answer_of(state: &State) -> Option<&str> {
    match state {
        State::Decided(decided) => Some(&decided.text),
        State::DeadLetter { answer, .. } => answer.as_deref(),
        _ => None,
    }
}

/// A rejection keeps whether a spoof was named.
pub(super) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Rejected { spoof: true } => "rejected_spoof",
        other => other.name(),
    }
}

fn parse_verdict(name: &str) -> Option<Verdict> {
    [
        Verdict::Approved,
        Verdict::Provisional,
        Verdict::Rejected { spoof: true },
        Verdict::Rejected { spoof: false },
        Verdict::Undecided,
        Verdict::Unknown,
    ]
    .into_iter()
    .find(|verdict| verdict_name(*verdict) == name)
}
