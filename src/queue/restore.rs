//! A job that was in another database goes on in this one, as it was: with its id, its age and its state.

use super::jobs::{Left, NewJob, enqueue, erase, info, note_time};
use super::policy::{Class, REGISTRATION_RESUBMITS_MAX};
use super::row::{answer_of, reason_of};
use super::{QueueError, State};
use crate::access::JobId;
use crate::clock::{BootTime, Wall, WallTime};
use crate::store::{QueueKey, Stamp, Transaction};

/// The jobs that can be read of a queue whose table may be damaged.
pub fn readable_ids(tx: &Transaction<'_>) -> Vec<JobId> {
    tx.from_both_ends(("jobs", "id", "seq")).into_iter().map(JobId).collect()
}

/// What is known of it besides what each new job has.
pub struct Past<'a> {
    /// Where it stood. A job that was being sent may be at the service.
    pub state: State,
    /// The service knows its id and waits for its pictures (v1).
    pub reserved: bool,
    /// The service's id of it.
    pub remote: Option<&'a str>,
    /// Second submissions after lost answers.
    pub resubmits: u32,
    /// An operator wanted it tried.
    pub retried: bool,
    /// When it was made, if the clock was known.
    pub created: Option<WallTime>,
    /// It still had its pictures.
    pub has_images: bool,
}

/// Puts the job into this queue, sealed under a key of its own here. One that the service may have is never sent again by
/// itself, whatever this device's `queue.unknown_outcome` says.
///
/// # Errors
/// [`QueueError::Exists`], or the database.
pub fn restore(
    tx: &Transaction<'_>,
    key: &QueueKey,
    job: &NewJob<'_>,
    past: &Past<'_>,
) -> Result<(), QueueError> {
    enqueue(tx, key, job)?;
    let seq = info(tx, job.id)?.seq;
    if !past.has_images {
        erase(tx, seq, Left::Zeros)?;
    }
    let state = match &past.state {
        State::Sending => &State::UnknownOutcome,
        other => other,
    };
    let perhaps_there = *state == State::UnknownOutcome;
    let resubmits =
        if perhaps_there { past.resubmits.max(REGISTRATION_RESUBMITS_MAX) } else { past.resubmits };
    let class = if past.retried { Class::Retried } else { Class::of(job.task) };
    let (_, boot, wall) = made(tx.now(), past.created).columns();
    tx.execute(
        "UPDATE jobs SET state = ?2, reason = ?3, answer = ?4, reserved = ?5, remote_id = ?6, resubmits = ?7,
             class = ?8, created_boot_us = ?9, created_wall_ms = ?10 WHERE seq = ?1",
        rusqlite::params![
            seq,
            state.name().name(),
            reason_of(state),
            answer_of(state),
            past.reserved,
            past.remote,
            resubmits,
            class.number(),
            boot,
            wall
        ],
    )?;
    note_time(tx, seq, state)
}

/// When it was made, as far as this device can tell: by the wall clock, and in this boot as far back as it reaches.
fn made(now: Stamp, created: Option<WallTime>) -> Stamp {
    let Some(created) = created else { return now };
    let age = match now.wall {
        Wall::Known(now) => now.as_unix_millis().saturating_sub(created.as_unix_millis()),
        Wall::Unknown => 0,
    };
    let age = u64::try_from(age).unwrap_or(0).saturating_mul(1000);
    let boot = BootTime::from_micros(now.boot.as_micros().saturating_sub(age));
    Stamp { boot, wall: Wall::Known(created), ..now }
}
