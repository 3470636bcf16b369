//! Whose turn it is, and a start, with a queue of some depth.

use super::super::desk::{Desk, Maker, failed, quantile, summary, timed};
use crate::access::JobId;
use crate::cli::Failure;
use crate::clock::{Clock, SystemClock};
use crate::config::model::Queue;
use crate::queue::{self, Api, Born, QueueError};
use crate::store::{Store, StoreError, Transaction};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Jobs in one commit while the queue is filled.
const BULK: u32 = 500;
/// Pictures of a kilobyte each: the depth is measured, not the pictures.
const SIZES: [usize; 9] = [1024; 9];
/// How often one question is asked.
const ASKED: usize = 2_000;
/// How often a question is asked that may read the whole index.
const ASKED_OF_ALL: usize = 50;
/// Starts of each kind.
const STARTS: usize = 5;
/// An hour: not due while this runs.
const LATER_US: i64 = 3_600_000_000;

/// The statements of the room `queue` whose plans are shown; a test holds them to its source.
const STATEMENTS: [(&str, &str); 2] = [
    (
        "next_due",
        "SELECT due_boot, due_us, seq, id FROM jobs
    WHERE state = 'new' AND class = ?1 AND (due_boot, due_us) <= (?2, ?3) ORDER BY due_boot, due_us, seq LIMIT 1",
    ),
    (
        "pending_polls",
        "SELECT id, api, remote_id, tries FROM jobs
    WHERE state = 'accepted' AND (due_boot, due_us) <= (?1, ?2) ORDER BY due_boot, due_us, seq LIMIT ?3",
    ),
];

fn plans(store: &Store) -> Result<Map<String, Value>, Failure> {
    let plan = |tx: &Transaction<'_>, sql: &str| {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = tx.all(&sql, (1_i64, 1_i64, 1_i64), |row| row.get::<_, String>(3))?;
        Ok::<_, StoreError>(rows.join("; "))
    };
    let named = |tx: &Transaction<'_>| {
        STATEMENTS.iter().map(|(name, sql)| Ok(((*name).to_owned(), plan(tx, sql)?.into()))).collect()
    };
    store.read(named).map_err(|error: StoreError| failed(error))
}

/// Brings the queue from `have` jobs to `want`, all of them due.
fn fill(store: &Store, maker: &Maker, have: u32, want: u32) -> Result<(), Failure> {
    let mut left = want.saturating_sub(have);
    while left > 0 {
        let count = left.min(BULK);
        let bulk = |tx: &Transaction<'_>| (0..count).try_for_each(|_| maker.enqueue(tx, Born::New).map(drop));
        store.write(bulk).map_err(|error: QueueError| failed(error))?;
        left -= count;
    }
    store.settle().map_err(failed)?;
    Ok(())
}

fn ask<T>(
    store: &Store,
    times: usize,
    question: impl Fn(&Transaction<'_>) -> Result<T, QueueError>,
) -> Result<Vec<u64>, Failure> {
    let clock = SystemClock::new();
    (0..times)
        .map(|_| {
            let (micros, answer) = timed(&clock, || store.read(&question));
            answer.map(|_| micros).map_err(failed)
        })
        .collect()
}

/// All that the drain asks before it does one piece of work.
fn whole_turn(tx: &Transaction<'_>) -> Result<Option<JobId>, QueueError> {
    queue::pending_polls(tx, 1)?;
    queue::pending_lookups(tx, 1)?;
    queue::next_due(tx)
}

fn shift(store: &Store, micros: i64) -> Result<(), Failure> {
    store
        .write(|tx| tx.execute("UPDATE jobs SET due_us = due_us + ?1", [micros]).map(drop))
        .and_then(|()| store.settle().map(drop))
        .map_err(|error: StoreError| failed(error))
}

/// One start: opened with its checks, recovered, and what else the daemon does to the queue before it is ready.
fn start(path: &Path, clock: &dyn Clock) -> Result<[u64; 3], Failure> {
    let (open, store) = timed(clock, || super::super::desk::open(path));
    let store = store?;
    let (recover, done) = timed(clock, || store.write(queue::recover_at_start));
    done.map_err(failed)?;
    let config = Queue::default();
    let (adopt, done) = timed(clock, || {
        store.write(|tx| queue::adopt(tx, Api::V3).and_then(|_| queue::resolve_unknown(tx, &config)))
    });
    done.map_err(failed)?;
    Ok([open, recover, adopt])
}

/// Forgets what the kernel knows of the disk, where this user may.
fn forget_pages() -> bool {
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

fn starts(path: &Path, cold: bool) -> Result<Option<Value>, Failure> {
    let clock = SystemClock::new();
    let mut parts: [Vec<u64>; 4] = Default::default();
    for _ in 0..STARTS {
        if cold && !forget_pages() {
            return Ok(None);
        }
        let [open, recover, adopt] = start(path, &clock)?;
        for (list, value) in parts.iter_mut().zip([open + recover, open, recover, adopt]) {
            list.push(value);
        }
    }
    let [both, open, recover, adopt] = parts.map(|list| quantile(&list, 500));
    Ok(Some(json!({
        "open_and_recover_us": both, "open_us": open, "recover_us": recover, "adopt_us": adopt,
    })))
}

fn micros(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Fills to each of `depths`, in rising order, and measures there.
pub fn measure(desk: &Desk, depths: &[u32]) -> Result<(Value, String), Failure> {
    let (maker, path) = (Maker::new(&SIZES)?, desk.directory.join("depth.db"));
    let (mut have, mut found, mut text) = (0, Vec::new(), String::new());
    let mut shown = Map::new();
    for depth in depths {
        let store = super::super::desk::open(&path)?;
        fill(&store, &maker, have, *depth)?;
        have = *depth;
        shown = plans(&store)?;
        let next = ask(&store, ASKED, queue::next_due)?;
        let turn = ask(&store, ASKED, whole_turn)?;
        let room = ask(&store, ASKED_OF_ALL, |tx| {
            let free = queue::FreeSpace { bytes: u64::MAX, inodes: None };
            queue::room(tx, &Queue::default(), free)
        })?;
        shift(&store, LATER_US)?;
        let none_due = ask(&store, ASKED_OF_ALL, queue::next_due)?;
        let wake = ask(&store, ASKED_OF_ALL, queue::next_wake)?;
        shift(&store, -LATER_US)?;
        drop(store);
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        let one = json!({
            "depth": depth, "file_bytes": bytes, "next_job": summary(&next), "whole_turn": summary(&turn),
            "none_due": summary(&none_due), "next_wake": summary(&wake), "room": summary(&room),
            "start_cold": starts(&path, true)?, "start_warm": starts(&path, false)?,
        });
        text.push_str(&format!(
            "{depth} jobs: next job {} us (p99 {}), all the drain asks {} us; none due {} us, next wake {} us, room {} us; \
             open and recover warm {} us, cold {} us\n",
            micros(&one, "/next_job/p50_us"),
            micros(&one, "/next_job/p99_us"),
            micros(&one, "/whole_turn/p50_us"),
            micros(&one, "/none_due/p50_us"),
            micros(&one, "/next_wake/p50_us"),
            micros(&one, "/room/p50_us"),
            micros(&one, "/start_warm/open_and_recover_us"),
            micros(&one, "/start_cold/open_and_recover_us"),
        ));
        found.push(one);
    }
    for (name, plan) in &shown {
        text.push_str(&format!("plan of {name}: {}\n", plan.as_str().unwrap_or_default()));
    }
    Ok((json!({"depths": found, "plans": shown}), text.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_plans_are_of_the_queues_own_statements() {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let source = words(include_str!("../../../queue/due.rs"));
        for (name, sql) in STATEMENTS {
            assert!(source.contains(&words(sql)), "{name}: src/queue/due.rs asks something else");
        }
    }

    #[test]
    fn a_small_queue_is_filled_asked_and_opened() {
        let place = tempfile::tempdir().unwrap();
        let Ok(desk) = Desk::new(Some(place.path().to_owned())) else { return };
        let (maker, path) = (Maker::new(&SIZES).unwrap(), desk.directory.join("depth.db"));
        let store = super::super::super::desk::open(&path).unwrap();
        fill(&store, &maker, 0, 3).unwrap();
        assert!(store.read(whole_turn).unwrap().is_some());
        shift(&store, LATER_US).unwrap();
        assert!(store.read(whole_turn).unwrap().is_none());
        drop(store);
        assert!(starts(&path, false).unwrap().is_some());
    }
}
