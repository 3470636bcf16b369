//! Bounds: when no new capture is taken, and what is erased for its age (door-rules, queue 5, 6 and 10).
//!
//! The sweep decides, marks and acts: [`verdict`] says what is due for one row and why, the rest obeys.

use std::time::Duration;

use super::age::{Boots, forget_old, mark_on, unmarked};
use super::jobs::{Info, Left, erase, transition};
use super::row::{COLUMNS, read_row};
use super::{HeldReason, Move, QueueError, State, StateName, policy};
use crate::access::JobId;
use crate::config::model::{Queue, Retention};
use crate::store::{Stamp, Transaction};

/// What the file system has left, as the caller measured it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FreeSpace {
    /// Bytes free to the daemon's user.
    pub bytes: u64,
    /// Free inodes; `None` where the file system does not count them.
    pub inodes: Option<u64>,
}

/// Why no new capture is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// Too many unfinished jobs.
    #[error("{jobs} unfinished jobs wait, {max} are allowed")]
    Jobs {
        /// Unfinished jobs.
        jobs: u64,
        /// `[queue] max_jobs`.
        max: u64,
    },
    /// The database has reached its size.
    #[error("the database holds {bytes} bytes, {max} are allowed")]
    Database {
        /// Bytes in use.
        bytes: u64,
        /// `[queue] max_mib`.
        max: u64,
    },
    /// The file has little room left for the events and states that must still be written.
    #[error("the database file uses {bytes} bytes, {max} are allowed before captures stop")]
    File {
        /// Bytes of the file that are in use.
        bytes: u64,
        /// What it may use while pictures are still taken.
        max: u64,
    },
    /// The disk would become too full for others.
    #[error("{free} bytes are free on the disk, {least} are to be left")]
    Disk {
        /// Free bytes.
        free: u64,
        /// `[queue] min_free_mib`.
        least: u64,
    },
    /// The file system can make no further files: SQLite's own companions would fail.
    #[error("{free} inodes are free on the disk, {least} are to be left")]
    Inodes {
        /// Free inodes.
        free: u64,
        /// [`INODES_MIN`].
        least: u64,
    },
}

impl Full {
    /// What an operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Jobs { .. } => {
                "bring the link back, or drop jobs: latchd queue list; or raise [queue] max_jobs"
            }
            Self::Database { .. } => "drop or resolve jobs: latchd queue list; or raise [queue] max_mib",
            Self::File { .. } => "raise [queue] max_mib: events and finished jobs of long use fill the file",
            Self::Disk { .. } | Self::Inodes { .. } => "free space on the disk of [device] state_dir",
        }
    }
}

/// Inodes that are always left.
pub const INODES_MIN: u64 = 16;

/// Room for one more capture's pictures and rows.
const CAPTURE_BYTES: u64 = 1 << 20;

/// Room that the largest capture takes in the file: a request to the service has at most 4.5 MB.
const LARGEST_CAPTURE_BYTES: u64 = 5 << 20;

/// How large the database file may become, in bytes: pictures fill about half of it, and no capture is taken in its last
/// eighth, so that whatever fills it an event or a verdict still finds room.
pub fn file_limit(config: &Queue) -> u64 {
    2 * mib(config.max_mib)
}

/// Whether a new capture may be taken: `Ok(Err(full))` says why not. Nothing is ever dropped to make room.
pub fn room(tx: &Transaction<'_>, config: &Queue, free: FreeSpace) -> Result<Result<(), Full>, QueueError> {
    let jobs = unfinished(tx)?;
    let max = u64::from(config.max_jobs);
    if jobs >= max {
        return Ok(Err(Full::Jobs { jobs, max }));
    }
    // Pictures that are held, not the file: events and finished rows stay, and dropping jobs must make room.
    let (bytes, max) = (held_bytes(tx)?, mib(config.max_mib));
    if bytes.saturating_add(CAPTURE_BYTES) > max {
        return Ok(Err(Full::Database { bytes, max }));
    }
    // Verdicts, intents and events of what is under way must still find room when no picture does.
    let (bytes, max) = (tx.used_bytes()?, file_limit(config) / 8 * 7);
    if bytes.saturating_add(LARGEST_CAPTURE_BYTES) > max {
        return Ok(Err(Full::File { bytes, max }));
    }
    let least = mib(config.min_free_mib);
    if free.bytes < least.saturating_add(CAPTURE_BYTES) {
        return Ok(Err(Full::Disk { free: free.bytes, least }));
    }
    Ok(match free.inodes {
        Some(free) if free < INODES_MIN => Err(Full::Inodes { free, least: INODES_MIN }),
        _ => Ok(()),
    })
}

/// Bytes of the pictures and details that are still held.
pub(super) fn held_bytes(tx: &Transaction<'_>) -> Result<u64, QueueError> {
    let sql = "SELECT coalesce(sum(bytes), 0) FROM jobs WHERE images = 1";
    Ok(u64::try_from(tx.one(sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0)).unwrap_or(0))
}

/// Jobs that are not at an end.
fn unfinished(tx: &Transaction<'_>) -> Result<u64, QueueError> {
    let mut sum = 0_i64;
    for state in StateName::UNFINISHED {
        // The name stands in the statement itself: only so SQLite sees that an index on one state answers it.
        let sql = format!("SELECT count(*) FROM jobs WHERE state = '{}'", state.name());
        sum += tx.one(&sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
    }
    Ok(u64::try_from(sum).unwrap_or(0))
}

fn mib(count: u32) -> u64 {
    u64::from(count) << 20
}

/// One thing that the sweep did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swept {
    /// The job.
    pub id: JobId,
    /// What was done to it.
    pub what: SweptWhat,
    /// How old it was.
    pub age: Duration,
}

/// What the sweep does to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SweptWhat {
    /// It was not submitted within its time-to-live; its pictures are erased.
    Expired,
    /// Its fate was open for too long; its pictures are erased, its state stays.
    ImagesErased,
}

/// Between two notes of how long this boot has lasted, while something is waiting to be erased for its age.
const NOTE_EVERY: Duration = Duration::from_secs(15 * 60);

/// Expires jobs past their time-to-live and erases pictures of unresolved ones past their retention. The rows
/// stay. Writes nothing when nothing is due and nothing waits.
pub fn sweep(tx: &Transaction<'_>, queue: &Queue, retention: &Retention) -> Result<Vec<Swept>, QueueError> {
    let boots = Boots::read(tx)?;
    let now = tx.now();
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE state = 'new'
         UNION ALL SELECT {COLUMNS} FROM jobs WHERE state = 'held'
         UNION ALL SELECT {COLUMNS} FROM jobs WHERE state = 'unknown_outcome'
         UNION ALL SELECT {COLUMNS} FROM jobs WHERE state = 'dead_letter'"
    );
    let mut swept = Vec::new();
    let mut waiting = false;
    for stored in tx.all(&sql, [], read_row)? {
        let info = stored.info()?;
        if !info.has_images {
            continue;
        }
        let age_in_queue = boots.age(&info.created, &now);
        let age_in_state = boots.age(&info.since, &now);
        match verdict(&info, age_in_queue, age_in_state, queue, retention) {
            Some((what, age)) => {
                act(tx, &info, what)?;
                swept.push(Swept { id: info.id, what, age });
            }
            None => waiting = true,
        }
    }
    // Across boots without a clock, age is the time the device was on: it has to be noted from time to time.
    if !swept.is_empty() || (waiting && unmarked(tx)? >= NOTE_EVERY) {
        mark_on(tx)?;
    }
    Ok(swept)
}

/// PURE. What is due for a row that still has its pictures.
fn verdict(
    info: &Info,
    age_in_queue: Duration,
    age_in_state: Duration,
    queue: &Queue,
    retention: &Retention,
) -> Option<(SweptWhat, Duration)> {
    let hours = |count: u32| Duration::from_secs(u64::from(count) * 3600);
    match info.state {
        State::New | State::Held(HeldReason::Clock) => {
            let over = age_in_queue >= policy::time_to_live(info.task, queue);
            over.then_some((SweptWhat::Expired, age_in_queue))
        }
        State::UnknownOutcome | State::DeadLetter { .. } => (age_in_state
            >= hours(retention.unresolved_hours))
        .then_some((SweptWhat::ImagesErased, age_in_state)),
        _ => None,
    }
}

fn act(tx: &Transaction<'_>, info: &Info, what: SweptWhat) -> Result<(), QueueError> {
    match what {
        SweptWhat::Expired => transition(tx, info.id, &Move::Expire),
        SweptWhat::ImagesErased => erase(tx, info.seq, Left::Zeros),
    }
}

/// Rows that one round of [`prune`] takes away at most; the next round is a minute later.
const PRUNED_AT_ONCE: u32 = 256;

/// Deletes the rows of jobs that have been at an end for `retention.finished_days`; their events stay. A lost answer is no
/// end: it waits for an operator. Gives how many; writes nothing when there are none.
pub fn prune(tx: &Transaction<'_>, retention: &Retention) -> Result<usize, QueueError> {
    let kept = Duration::from_secs(u64::from(retention.finished_days) * 24 * 3600);
    let (boots, now) = (Boots::read(tx)?, tx.now());
    let mut over = Vec::new();
    // Oldest first, up to the first that ended lately: what lies behind it waits a little longer.
    let sql = format!(
        "SELECT seq, images, state_boot_id, state_boot_us, state_wall_ms FROM jobs INDEXED BY jobs_finished
         WHERE (state = 'decided' OR state = 'expired' OR state = 'dropped' OR state = 'dead_letter') ORDER BY seq LIMIT {PRUNED_AT_ONCE}"
    );
    tx.each(&sql, [], |row| {
        let old = boots.age(&Stamp::from_row(row, 2)?, &now) >= kept;
        if old && !row.get::<_, bool>(1)? {
            over.push(row.get::<_, i64>(0)?);
        }
        Ok(old)
    })?;
    for seq in &over {
        tx.execute("DELETE FROM jobs WHERE seq = ?1", [seq])?;
    }
    if !over.is_empty() {
        forget_old(tx)?;
    }
    Ok(over.len())
}
