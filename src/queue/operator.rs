//! What an operator sees of the jobs and does with them.

use std::time::Duration;

use super::age::Boots;
use super::jobs::{Info, info, transition};
use super::load::{load, whole};
use super::row::{COLUMNS, read_row};
use super::{Move, QueueError, StateName};
use crate::access::{JobId, PictureKind, Task, UserId};
use crate::clock::{Wall, WallTime};
use crate::picture::Jpeg;
use crate::store::{QueueKey, Stamp, StoreError, Transaction};

/// Which jobs to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<StateName>,
    /// Only those that ask this.
    pub task: Option<Task>,
    /// Only those about this person.
    pub user_id: Option<UserId>,
    /// Only those made at least this long ago.
    pub older_than: Option<Duration>,
    /// Only those made at most this long ago.
    pub within: Option<Duration>,
    /// Only those after this place in the order; 0 for all.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            state: None,
            task: None,
            user_id: None,
            older_than: None,
            within: None,
            after: 0,
            limit: u32::MAX,
        }
    }
}

/// When a job entered a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimedState {
    /// The state.
    pub state: StateName,
    /// Held for, dead because of, dropped by.
    pub reason: Option<String>,
    /// When it began.
    pub at: Stamp,
}

/// One job with its history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Its row.
    pub info: Info,
    /// Its states, oldest first.
    pub history: Vec<TimedState>,
}

/// A job for the operator's disk: personal data in the clear.
pub struct Export {
    /// The row and the submission's details, as one JSON object.
    pub json: String,
    /// File name and picture.
    pub images: Vec<(String, Jpeg)>,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("images", &self.images).finish_non_exhaustive()
    }
}

/// Jobs in their order. How old a job is does not hang on a clock: see [`Boots::age`].
pub fn list(tx: &Transaction<'_>, filter: &Filter) -> Result<Vec<Info>, QueueError> {
    // The state's name stands in the statement itself: only so SQLite sees that an index on one state answers it.
    let by_state = filter.state.map_or(String::new(), |state| format!("AND state = '{}'", state.name()));
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE seq > ?1 AND (?2 IS NULL OR product = ?2)
             AND (?3 IS NULL OR user_id = ?3) {by_state} ORDER BY seq"
    );
    let values = (filter.after, filter.task.map(Task::name), filter.user_id.as_ref().map(UserId::as_str));
    let aged = filter.older_than.is_some() || filter.within.is_some();
    let (boots, now) = (if aged { Boots::read(tx)? } else { Boots::default() }, tx.now());
    let mut rows = Vec::new();
    if filter.limit > 0 {
        tx.each(&sql, values, |row| {
            let stored = read_row(row)?;
            let age = if aged { boots.age(stored.created(), &now) } else { Duration::ZERO };
            if filter.older_than.is_none_or(|least| age >= least)
                && filter.within.is_none_or(|most| age <= most)
            {
                rows.push(stored);
            }
            Ok(rows.len() < filter.limit as usize)
        })?;
    }
    rows.into_iter().map(|stored| stored.info()).collect()
}

/// One job with its history.
pub fn show(tx: &Transaction<'_>, id: JobId) -> Result<Shown, QueueError> {
    let info = info(tx, id)?;
    let rows = tx.all(
        "SELECT state, reason, boot_id, boot_us, wall_ms FROM job_times WHERE job = ?1 ORDER BY number",
        [info.seq],
        |row| Ok((row.get::<_, String>(0)?, row.get(1)?, Stamp::from_row(row, 2)?)),
    )?;
    let history = rows
        .into_iter()
        .map(|(state, reason, at)| {
            let state = StateName::parse(&state).ok_or(StoreError::Row { what: "job_times.state" })?;
            Ok(TimedState { state, reason, at })
        })
        .collect::<Result<_, QueueError>>()?;
    Ok(Shown { info, history })
}

/// Puts a dead letter or an unknown outcome back to `new`; refused when its pictures are gone.
pub fn retry(tx: &Transaction<'_>, id: JobId) -> Result<(), QueueError> {
    transition(tx, id, &Move::Retry)
}

/// Gives a job up and erases its pictures; `by` is noted with it.
pub fn drop(tx: &Transaction<'_>, id: JobId, by: &str) -> Result<(), QueueError> {
    transition(tx, id, &Move::Drop { by: by.to_owned() })
}

/// Everything about a job, for files that only the operator may read; refused when its pictures are gone.
pub fn export(tx: &Transaction<'_>, key: &QueueKey, id: JobId) -> Result<Export, QueueError> {
    let job = load(tx, key, id)?;
    let info = &job.info;
    let details: serde_json::Value =
        serde_json::from_slice(&job.details).map_err(|_| StoreError::Row { what: "jobs.details" })?;
    let history: Vec<_> = show(tx, id)?
        .history
        .iter()
        .map(|entry| {
            serde_json::json!({
                "state": entry.state.name(),
                "reason": entry.reason,
                "at": wall(entry.at.wall),
                "boot_ms": entry.at.boot.as_millis(),
            })
        })
        .collect();
    let json = serde_json::json!({
        "job": info.id.to_string(),
        "attempt": info.attempt.map(|attempt| attempt.to_string()),
        "user_id": info.user_id.as_str(),
        "product": info.task.name(),
        "api": info.api.name(),
        "allow_new_enroll": info.allow_new_enroll,
        "state": info.state.name().name(),
        "remote_job": info.remote,
        "created": wall(info.created.wall),
        "history": history,
        "details": details,
    });
    let images = job
        .pictures
        .iter()
        .map(|kept| {
            let picture = whole(tx, &job, kept)?;
            let number =
                if kept.kind == PictureKind::Liveness { format!("_{}", kept.number) } else { String::new() };
            Ok((format!("{}{number}.{}", kept.kind.name(), picture.file_ending()), picture))
        })
        .collect::<Result<_, QueueError>>()?;
    Ok(Export { json: format!("{json:#}"), images })
}

fn wall(wall: Wall) -> Option<String> {
    wall.known().map(WallTime::to_rfc3339)
}
