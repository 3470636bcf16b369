//! What an operator sees of the jobs and does with them.

use std::collections::BTreeMap;

use super::jobs::{Info, info, load, transition, whole};
use super::row::{COLUMNS, read_row};
use super::{Move, QueueError, StateName};
use crate::access::{JobId, PictureKind};
use crate::clock::{Wall, WallTime};
use crate::picture::Jpeg;
use crate::store::{QueueKey, Stamp, StoreError, Transaction};

/// Which jobs to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<StateName>,
    /// Only those after this place in the order; 0 for all.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
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

/// How many jobs there are in each state, and how many of them still have pictures.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Jobs that are not at an end.
    pub unfinished: u64,
    /// Jobs by the state's stable name; states without jobs are left out.
    pub by_state: BTreeMap<String, u64>,
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

/// Jobs in their order.
pub fn list(tx: &Transaction<'_>, filter: Filter) -> Result<Vec<Info>, QueueError> {
    let Filter { state, after, limit } = filter;
    let by_state = if state.is_some() { "state = ?3" } else { "?3 IS NULL" };
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE seq > ?1 AND {by_state} ORDER BY seq LIMIT ?2");
    let rows = tx.all(&sql, (after, limit, state.map(StateName::name)), read_row)?;
    rows.into_iter().map(|stored| stored.info()).collect()
}

/// Counts by state.
pub fn totals(tx: &Transaction<'_>) -> Result<Totals, QueueError> {
    let rows = tx.all("SELECT state, count(*) FROM jobs GROUP BY state", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let by_state =
        rows.into_iter().map(|(state, count)| (state, u64::try_from(count).unwrap_or(0))).collect();
    Ok(Totals { unfinished: super::limits::unfinished(tx)?, by_state })
}

/// One job with its history.
pub fn show(tx: &Transaction<'_>, id: JobId) -> Result<Shown, QueueError> {
    let info = info(tx, id)?;
    let rows = tx.all(
        "SELECT state, reason, boot_id, boot_us, wall_ms FROM job_times WHERE job = ?1 ORDER BY rowid",
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
