//! A full-size capture made durable, beside the least that any SQLite program must do for the same bytes.

use super::super::desk::{DETAILS, Desk, Maker, SIZES, bytes, failed, quantile, timed};
use crate::cli::Failure;
use crate::clock::{Clock, SystemClock};
use crate::queue::{Born, PART, QueueError};
use crate::store::seal::OVERHEAD;
use rusqlite::Connection;
use serde_json::{Value, json};

/// A database as durable as latchd's: what is erased is overwritten here as well.
fn bare(desk: &Desk) -> rusqlite::Result<Connection> {
    let database = Connection::open(desk.directory.join("bare.db"))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "secure_delete", "ON")?;
    database.execute_batch(
        "CREATE TABLE job (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, details BLOB NOT NULL, key BLOB NOT NULL);
         CREATE TABLE picture (id INTEGER PRIMARY KEY, job INTEGER NOT NULL, sealed BLOB NOT NULL);",
    )?;
    Ok(database)
}

/// The bytes that latchd writes for one job, sealed already.
struct Plain {
    details: Vec<u8>,
    key: Vec<u8>,
    pictures: Vec<Vec<u8>>,
}

impl Plain {
    fn new() -> Self {
        let part = |size: &usize| {
            (0..*size).step_by(PART).map(|at| bytes((size - at).min(PART) + OVERHEAD)).collect::<Vec<_>>()
        };
        Self {
            details: bytes(DETAILS + OVERHEAD),
            key: bytes(32 + OVERHEAD),
            pictures: SIZES.iter().flat_map(part).collect(),
        }
    }

    fn insert(&self, database: &mut Connection) -> rusqlite::Result<()> {
        let change = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        change.prepare_cached("INSERT INTO job (name, details, key) VALUES (?1, ?2, ?3)")?.execute((
            bytes(16),
            &self.details,
            &self.key,
        ))?;
        let job = change.last_insert_rowid();
        for picture in &self.pictures {
            change
                .prepare_cached("INSERT INTO picture (job, sealed) VALUES (?1, ?2)")?
                .execute((job, picture))?;
        }
        change.commit()
    }
}

#[derive(Default)]
struct Side {
    per_second: Vec<f64>,
    all: Vec<u64>,
}

impl Side {
    fn add(&mut self, round: Vec<u64>) {
        let micros = round.iter().sum::<u64>().max(1);
        self.per_second.push(round.len() as f64 * 1e6 / micros as f64);
        self.all.extend(round);
    }

    fn json(&self) -> Value {
        json!({
            "per_second": self.per_second, "p50_us": quantile(&self.all, 500), "p99_us": quantile(&self.all, 990),
        })
    }
}

/// The middle one.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// `rounds` of `jobs` each, both in turn, whoever was second coming first in the next one.
pub fn measure(desk: &Desk, jobs: u32, rounds: u32) -> Result<(Value, String), Failure> {
    let clock = SystemClock::new();
    let (store, maker) = (desk.open("latchd.db")?, Maker::new(&SIZES)?);
    let (mut database, plain) = (bare(desk).map_err(failed)?, Plain::new());
    let (mut ours, mut peer) = (Side::default(), Side::default());
    let mut run = |own: bool| -> Result<Vec<u64>, Failure> {
        (0..jobs)
            .map(|_| {
                let (micros, done) = timed(&clock as &dyn Clock, || match own {
                    true => store
                        .write(|tx| maker.enqueue(tx, Born::New).map(drop))
                        .map_err(|error: QueueError| failed(error)),
                    false => plain.insert(&mut database).map_err(failed),
                });
                done.map(|()| micros)
            })
            .collect()
    };
    // Statements, page caches and the first growth of both files.
    run(true)?;
    run(false)?;
    for round in 0..rounds {
        for own in [round % 2 == 0, round % 2 != 0] {
            let times = run(own)?;
            if own { ours.add(times) } else { peer.add(times) }
        }
    }
    let sealing = (0..jobs).map(|_| {
        let (micros, sealed) = timed(&clock, || maker.seal());
        sealed.map(|bytes| (micros, std::hint::black_box(bytes)).0).map_err(failed)
    });
    let sealing = quantile(&sealing.collect::<Result<Vec<_>, _>>()?, 500);
    let rate = median(&ours.per_second) / median(&peer.per_second).max(f64::MIN_POSITIVE);
    let slow = quantile(&ours.all, 990) as f64 / quantile(&peer.all, 990).max(1) as f64;
    let text = format!(
        "enqueue, {} bytes, {rounds} rounds of {jobs}: {:.0} jobs/s, p50 {} us, p99 {} us\n\
         bare SQLite, the same bytes: {:.0} jobs/s, p50 {} us, p99 {} us\nrate {rate:.2} x the peer's, p99 {slow:.2} x; \
         of latchd's time {sealing} us are the cipher",
        maker.payload(),
        median(&ours.per_second),
        quantile(&ours.all, 500),
        quantile(&ours.all, 990),
        median(&peer.per_second),
        quantile(&peer.all, 500),
        quantile(&peer.all, 990),
    );
    let object = json!({
        "payload_bytes": maker.payload(), "jobs": jobs, "rounds": rounds, "latchd": ours.json(), "bare": peer.json(),
        "seal_us": sealing, "rate_ratio": rate, "p99_ratio": slow,
    });
    Ok((object, text))
}
