//! Whose turn it is: submissions by class and then by who is due longest, polls and look-ups each with a pause of their
//! own, and the pause of the whole queue. "Not before" is a moment of one boot; in a later boot it has passed.

use std::time::Duration;

use super::age::{number, numbered, turns};
use super::jobs::{info, transition};
use super::policy::{self, Class, Course, PauseReason};
use super::{Api, QueueError};
use crate::access::JobId;
use crate::clock::BootTime;
use crate::config::model::Queue;
use crate::store::{Stamp, StoreError, Transaction};

/// A job whose verdict or whereabouts is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The job.
    pub id: JobId,
    /// Its protocol.
    pub api: Api,
    /// The service's id of it; our own id for a look-up.
    pub remote: String,
    /// Looks so far.
    pub tries: u32,
}

/// The whole queue stands still.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// Since when.
    pub since: Stamp,
    /// How long until one job may be sent as a probe; zero: now. `None`: only an operator resumes it.
    pub probe_in: Option<Duration>,
}

/// The first job of a class that may be submitted now. With what is due in the order of an index it is one step, however many
/// wait and however many of them may not be sent yet.
const FIRST: &str = "SELECT due_boot, due_us, seq, id FROM jobs
    WHERE state = 'new' AND class = ?1 AND (due_boot, due_us) <= (?2, ?3) ORDER BY due_boot, due_us, seq LIMIT 1";
/// When a job of a class may be submitted.
const EARLIEST: &str = "SELECT due_boot, due_us FROM jobs
    WHERE state = 'new' AND class = ?1 ORDER BY due_boot, due_us LIMIT 1";
const EARLIEST_POLL: &str =
    "SELECT due_boot, due_us FROM jobs WHERE state = 'accepted' ORDER BY due_boot, due_us LIMIT 1";
const EARLIEST_LOOK_UP: &str = "SELECT due_boot, due_us FROM jobs
    WHERE state = 'unknown_outcome' AND api = 'v1' AND images = 1 ORDER BY due_boot, due_us LIMIT 1";
const POLLS: &str = "SELECT id, api, remote_id, tries FROM jobs
    WHERE state = 'accepted' AND (due_boot, due_us) <= (?1, ?2) ORDER BY due_boot, due_us, seq LIMIT ?3";
const LOOK_UPS: &str = "SELECT id, api, NULL, tries FROM jobs
    WHERE state = 'unknown_outcome' AND api = 'v1' AND images = 1 AND (due_boot, due_us) <= (?1, ?2)
    ORDER BY due_boot, due_us, seq LIMIT ?3";

/// This moment in the order of what is due. In a boot of which nothing is noted yet all that waited before is due.
fn moment(tx: &Transaction<'_>) -> Result<(i64, i64), QueueError> {
    let (_, boot, _) = tx.now().columns();
    Ok((number(tx)?.unwrap_or(i64::MAX), boot))
}

/// The job that may be submitted now and whose turn it is by [`policy::pick`]; none while the queue is paused, but one as a
/// probe when its time has come.
pub fn next_due(tx: &Transaction<'_>) -> Result<Option<JobId>, QueueError> {
    if let Some(pause) = paused(tx)?
        && !pause.probe_in.is_some_and(|left| left.is_zero())
    {
        return Ok(None);
    }
    let (boot, now) = moment(tx)?;
    let mut first = Vec::with_capacity(Class::ALL.len());
    for class in Class::ALL {
        let found = tx.one(FIRST, (class.number(), boot, now), |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, [u8; 16]>(3)?,
            ))
        })?;
        first.extend(found.map(|found| (class, found)));
    }
    // Who waits alone need not be counted for.
    let turn = if first.len() > 1 { turns(tx)? } else { 0 };
    Ok(policy::pick(first, turn).map(|(.., id)| JobId(id)))
}

/// When the next submission, poll or look-up becomes due, in this boot's time; `None` when nothing waits.
pub fn next_wake(tx: &Transaction<'_>) -> Result<Option<BootTime>, QueueError> {
    let now = tx.now();
    let boot = number(tx)?;
    let due = |row: &rusqlite::Row<'_>| {
        let of_this_boot = Some(row.get::<_, i64>(0)?) == boot;
        let us = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        Ok(if of_this_boot { BootTime::from_micros(us) } else { now.boot })
    };
    let mut new = None;
    for class in Class::ALL {
        let earliest = tx.one(EARLIEST, [class.number()], due)?;
        new = new.into_iter().chain(earliest).min();
    }
    let submission = match (new, paused(tx)?) {
        (Some(due), None) => Some(due),
        (Some(due), Some(Pause { probe_in: Some(left), .. })) => Some(due.max(now.boot.plus(left))),
        _ => None,
    };
    let poll = tx.one(EARLIEST_POLL, [], due)?;
    let look_up = tx.one(EARLIEST_LOOK_UP, [], due)?;
    Ok([submission, poll, look_up].into_iter().flatten().min())
}

/// Accepted jobs whose verdict may be asked for now, the longest due first.
pub fn pending_polls(tx: &Transaction<'_>, limit: u32) -> Result<Vec<Pending>, QueueError> {
    pending(tx, POLLS, limit)
}

/// v1 jobs of unknown outcome that may be looked up now, the longest due first.
pub fn pending_lookups(tx: &Transaction<'_>, limit: u32) -> Result<Vec<Pending>, QueueError> {
    pending(tx, LOOK_UPS, limit)
}

fn pending(tx: &Transaction<'_>, sql: &str, limit: u32) -> Result<Vec<Pending>, QueueError> {
    let (boot, now) = moment(tx)?;
    let rows = tx.all(sql, (boot, now, limit), |row| {
        let remote = row.get::<_, Option<String>>(2)?;
        Ok((JobId(row.get(0)?), row.get::<_, String>(1)?, remote, row.get(3)?))
    })?;
    rows.into_iter()
        .map(|(id, api, remote, tries)| {
            let api = Api::parse(&api).ok_or(StoreError::Row { what: "jobs.api" })?;
            Ok(Pending { id, api, remote: remote.unwrap_or_else(|| id.to_string()), tries })
        })
        .collect()
}

/// The job's next submission, poll or look-up not before `delay` from now. Does not count as a try.
pub fn postpone(tx: &Transaction<'_>, id: JobId, delay: Duration) -> Result<(), QueueError> {
    put_off(tx, id, delay, 0)
}

/// Carries out what the policy said about a failed submission: the job's step, its pause, the queue's pause.
pub fn apply(tx: &Transaction<'_>, id: JobId, course: &Course) -> Result<(), QueueError> {
    transition(tx, id, &course.step)?;
    if !course.delay.is_zero() {
        postpone(tx, id, course.delay)?;
        if course.asked {
            tx.execute("UPDATE jobs SET due_asked = 1 WHERE id = ?1", [id.0])?;
        }
    }
    course.pause.map_or(Ok(()), |reason| pause(tx, reason))
}

/// The network came back: jobs that wait only because it was gone are due now. A wait that the service asked for is
/// kept. Gives how many.
pub fn hurry(tx: &Transaction<'_>) -> Result<usize, QueueError> {
    let (boot, now) = moment(tx)?;
    let sql = "UPDATE jobs SET due_us = ?2
               WHERE state = 'new' AND due_asked = 0 AND due_boot = ?1 AND due_us > ?2 AND tries > 0";
    Ok(tx.execute(sql, (boot, now))?)
}

/// A poll or look-up gave nothing: counts the try and puts the next one off by the policy's backoff.
pub fn back_off(tx: &Transaction<'_>, id: JobId, config: &Queue) -> Result<Duration, QueueError> {
    let mut random = [0; 8];
    tx.random(&mut random);
    let delay = policy::backoff(info(tx, id)?.tries, config, u64::from_le_bytes(random));
    put_off(tx, id, delay, 1)?;
    Ok(delay)
}

fn put_off(tx: &Transaction<'_>, id: JobId, delay: Duration, tries: u32) -> Result<(), QueueError> {
    let now = tx.now();
    let due = Stamp { boot: now.boot.plus(delay), ..now };
    let (_, due, _) = due.columns();
    let sql = "UPDATE jobs SET due_boot = ?2, due_us = ?3, tries = tries + ?4 WHERE id = ?1";
    match tx.execute(sql, (id.0, numbered(tx)?, due, tries))? {
        0 => Err(QueueError::Unknown(id)),
        _ => Ok(()),
    }
}

/// Stops all submissions, durably; the first probe is due after [`policy::PROBE_EVERY`]. An operator's pause is
/// not probed, and no other reason takes its place.
pub fn pause(tx: &Transaction<'_>, reason: PauseReason) -> Result<(), QueueError> {
    if paused(tx)?.is_some_and(|pause| pause.reason == PauseReason::Operator) {
        return Ok(());
    }
    let now = tx.now();
    let (boot_id, boot, wall) = now.columns();
    let (_, due, _) = Stamp { boot: now.boot.plus(policy::PROBE_EVERY), ..now }.columns();
    tx.execute(
        "INSERT INTO queue_flags (name, reason, boot_id, boot_us, wall_ms, due_boot_id, due_us)
         VALUES ('pause', ?1, ?2, ?3, ?4, ?2, ?5)
         ON CONFLICT (name) DO UPDATE SET reason = excluded.reason, due_boot_id = excluded.due_boot_id,
             due_us = excluded.due_us",
        (reason.name(), boot_id, boot, wall, due),
    )?;
    Ok(())
}

/// The probe failed: the next one is due after [`policy::PROBE_EVERY`].
pub fn probe_later(tx: &Transaction<'_>) -> Result<(), QueueError> {
    let now = tx.now();
    let (boot_id, due, _) = Stamp { boot: now.boot.plus(policy::PROBE_EVERY), ..now }.columns();
    tx.execute("UPDATE queue_flags SET due_boot_id = ?1, due_us = ?2 WHERE name = 'pause'", (boot_id, due))?;
    Ok(())
}

/// Submissions go on; `false` when they were not stopped.
pub fn resume(tx: &Transaction<'_>) -> Result<bool, QueueError> {
    Ok(tx.execute("DELETE FROM queue_flags WHERE name = 'pause'", [])? > 0)
}

/// Whether and why the queue stands still.
pub fn paused(tx: &Transaction<'_>) -> Result<Option<Pause>, QueueError> {
    let now = tx.now();
    let row = tx.one(
        "SELECT reason, boot_id, boot_us, wall_ms, due_boot_id, due_us FROM queue_flags WHERE name = 'pause'",
        [],
        |row| {
            let due = BootTime::from_micros(u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0));
            let left = if row.get::<_, [u8; 16]>(4)? == now.boot_id.0 {
                due.since(now.boot)
            } else {
                Duration::ZERO
            };
            Ok((row.get::<_, String>(0)?, Stamp::from_row(row, 1)?, left))
        },
    )?;
    row.map(|(reason, since, left)| {
        let reason = PauseReason::parse(&reason).ok_or(StoreError::Row { what: "queue_flags.reason" })?;
        let probe_in = (reason != PauseReason::Operator).then_some(left);
        Ok(Pause { reason, since, probe_in })
    })
    .transpose()
}

#[cfg(test)]
mod tests;
