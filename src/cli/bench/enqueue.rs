//! What it costs to make a job durable, beside a bare program that writes the same bytes with the same durability; and what
//! a deep queue costs: the next job, and the start.

use super::edge::summary;
use super::print;
use crate::access::{JobId, PictureKind, Product, Task, UserId};
use crate::agent::bulk;
use crate::cli::{Failure, output};
use crate::clock::{BootTime, Clock, Random, SystemClock, SystemRandom};
use crate::queue::{self, Api, Born, NewJob, QueueError};
use crate::store::{DeviceKey, Mode, Opening, Settings, Store, StoreError};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A selfie and eight liveness pictures: 220 KB.
const SELFIE: usize = 60_000;
const LIVENESS: usize = 20_000;
/// What the seal adds to a part: version, nonce, tag.
const SEAL: usize = 41;
/// Times the next job is asked for.
const ASKED: u32 = 1000;
/// Jobs in one commit of the bulk.
const BULK: u32 = 500;

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(
        format!("bench enqueue: {error}"),
        "name a --directory on a disk with some gigabytes of room",
    )
}

fn open(path: &Path) -> Result<(Store, Opening), StoreError> {
    Store::open(Settings {
        path: path.to_owned(),
        vfs: None,
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        mode: Mode::ReadWrite,
        max_bytes: 8 << 30,
    })
}

fn new_id() -> JobId {
    let mut id = [0; 16];
    SystemRandom.fill(&mut id);
    JobId(id)
}

fn micros(from: BootTime, to: BootTime) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

/// A bare program: one table of blobs, one transaction a job, the same settings.
fn peer(path: &Path) -> rusqlite::Result<Connection> {
    let peer = Connection::open(path)?;
    peer.pragma_update(None, "journal_mode", "WAL")?;
    peer.pragma_update(None, "synchronous", "FULL")?;
    peer.pragma_update(None, "secure_delete", "ON")?;
    peer.execute_batch(
        "CREATE TABLE job (id INTEGER PRIMARY KEY, details BLOB, key BLOB);
         CREATE TABLE picture (id INTEGER PRIMARY KEY, job INTEGER, sealed BLOB);",
    )?;
    Ok(peer)
}

fn peer_writes(peer: &Connection, pictures: &[Vec<u8>]) -> rusqlite::Result<()> {
    let change = rusqlite::Transaction::new_unchecked(peer, rusqlite::TransactionBehavior::Immediate)?;
    let mut job = change.prepare_cached("INSERT INTO job (details, key) VALUES (?1, ?2)")?;
    job.execute(([7_u8; 300], [7_u8; 32 + SEAL]))?;
    let row = change.last_insert_rowid();
    let mut insert = change.prepare_cached("INSERT INTO picture (job, sealed) VALUES (?1, ?2)")?;
    for picture in pictures {
        insert.execute((row, picture))?;
    }
    drop((job, insert));
    change.commit()
}

/// A directory that is removed at the end.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures and prints.
pub fn run(format: output::Format, directory: &Path, jobs: u32, depths: &[u32]) -> anyhow::Result<()> {
    let place = Place(directory.join(format!("latchd-bench-{}", new_id())));
    std::fs::create_dir_all(&place.0).map_err(|error| failed(&error))?;
    let enqueue = enqueue(&place.0, jobs)?;
    let mut deep = Vec::new();
    for depth in depths {
        deep.push(at_depth(&place.0, *depth)?);
    }
    let text = format!("{enqueue:#}\n{:#}", Value::from(deep.clone()));
    print(format, json!({"enqueue": enqueue, "depth": deep}), &text);
    Ok(())
}

/// Ours and the peer in turn, job by job, so that the disk's moods meet both.
fn enqueue(place: &Path, jobs: u32) -> Result<Value, Failure> {
    let clock = SystemClock::new();
    let (store, _) = open(&place.join("ours.db")).map_err(|error| failed(&error))?;
    let peer = peer(&place.join("peer.db")).map_err(|error| failed(&error))?;
    let key = device_key().queue();
    let user = UserId::parse("bench").map_err(|error| failed(&error))?;
    let sizes: Vec<usize> = std::iter::once(SELFIE).chain([LIVENESS; 8]).collect();
    let plain: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0x5a; *size]).collect();
    let sealed: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0x5a; size + SEAL]).collect();
    let kinds = std::iter::once(PictureKind::Selfie).chain([PictureKind::Liveness; 8]);
    let pictures: Vec<(PictureKind, &[u8])> = kinds.zip(plain.iter().map(Vec::as_slice)).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let bar = indicatif::ProgressBar::new(jobs.into());
    for _ in 0..jobs {
        let begun = clock.boot();
        let new = NewJob {
            id: new_id(),
            attempt: None,
            user_id: &user,
            task: Task::Door(Product::Authentication),
            api: Api::V3,
            allow_new_enroll: false,
            details: &[7; 259],
            pictures: &pictures,
            born: Born::New,
        };
        store.write(|tx| queue::enqueue(tx, &key, &new)).map_err(|error: QueueError| failed(&error))?;
        let between = clock.boot();
        peer_writes(&peer, &sealed).map_err(|error| failed(&error))?;
        theirs.push(micros(between, clock.boot()));
        ours.push(micros(begun, between));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let per_second = |values: &[u64]| 1e6 * values.len() as f64 / values.iter().sum::<u64>().max(1) as f64;
    Ok(json!({
        "jobs": jobs,
        "ours_per_second": per_second(&ours),
        "peer_per_second": per_second(&theirs),
        "ours": summary(ours),
        "peer": summary(theirs),
    }))
}

/// The next job and the start, with so many jobs of 1 KB pictures.
fn at_depth(place: &Path, depth: u32) -> Result<Value, Failure> {
    let clock = SystemClock::new();
    let path = place.join(format!("depth-{depth}.db"));
    let (store, _) = open(&path).map_err(|error| failed(&error))?;
    bulk::enqueue(&store, &device_key().queue(), Api::V3, &bulk::small(depth, BULK))
        .map_err(|error| failed(&error))?;
    let mut asked = Vec::new();
    for _ in 0..ASKED {
        let begun = clock.boot();
        store.read(queue::next_due).map_err(|error: QueueError| failed(&error))?;
        asked.push(micros(begun, clock.boot()));
    }
    drop(store);
    // Cold where this may be done: as after power-on.
    let cold = std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
    let begun = clock.boot();
    let (store, _) = open(&path).map_err(|error| failed(&error))?;
    store.write(queue::recover_at_start).map_err(|error: QueueError| failed(&error))?;
    store.read(queue::next_due).map_err(|error: QueueError| failed(&error))?;
    let start = micros(begun, clock.boot());
    drop(store);
    let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let _ = std::fs::remove_file(&path);
    Ok(
        json!({"jobs": depth, "file_bytes": bytes, "next_job": summary(asked), "start_us": start, "start_is_cold": cold}),
    )
}

fn device_key() -> DeviceKey {
    let mut bytes = [0; 32];
    loop {
        SystemRandom.fill(&mut bytes);
        if let Some(key) = DeviceKey::from_bytes(&bytes) {
            return key;
        }
    }
}
