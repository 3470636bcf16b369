//! What a job's life writes to the disk: `scripts/wear.sh` runs this on a file system of its own and counts the bytes
//! that reach the device. Nothing of it is a setting of the daemon.

use super::desk::{DETAILS, Maker, SIZES, bytes, failed};
use super::print;
use crate::access::{JobId, Verdict};
use crate::audit::{self, AuditError, Event};
use crate::cli::{Failure, output};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::queue::{self, Born, Decided, Move, QueueError};
use crate::store::{AuditKey, DeviceKey, Store, StoreError, Transaction};
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// latchd's tables, for the peers that use them without its care.
const TABLES: [&str; 5] = [
    include_str!("../../store/schema/1.sql"),
    include_str!("../../store/schema/2.sql"),
    include_str!("../../store/schema/3.sql"),
    include_str!("../../store/schema/4.sql"),
    include_str!("../../store/schema/5.sql"),
];

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// latchd's own queue and events: sealed, erased, write-ahead log, durable.
    Latchd,
    /// The same statements without seals and overwriting, in a write-ahead log, durable.
    PlainWal,
    /// The same with SQLite's own defaults: a rollback journal, durable.
    PlainRollback,
}

/// What is written.
#[derive(Debug, clap::Args)]
pub struct WearArgs {
    /// Where the database is made; nothing is removed.
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Who writes.
    #[arg(long)]
    how: How,
    /// Full-size jobs, each from its enqueueing to its verdict.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Bytes of a page of the database.
    #[arg(long, default_value_t = 4096)]
    page_size: u32,
    /// Pages of the log at which SQLite moves it into the database by itself.
    #[arg(long, default_value_t = 1000)]
    autocheckpoint: u32,
    /// The log is emptied after each so many jobs, as the daemon does each minute in which something was written; 0: at the
    /// end alone.
    #[arg(long, default_value_t = 1)]
    settle_every: u32,
}

/// Writes and says how many bytes of the person's there were.
pub fn run(format: output::Format, args: &WearArgs) -> anyhow::Result<()> {
    let path = args.directory.join("latchd.db");
    if path.exists() {
        let cause = format!("{}: is there already", path.display());
        return Err(Failure::usage(cause, "name an empty --directory").into());
    }
    // A database keeps the page size with which it was made.
    let made = Connection::open(&path).and_then(|database| {
        database.pragma_update(None, "page_size", args.page_size)?;
        database.execute_batch("VACUUM")
    });
    made.map_err(failed)?;
    let payload = DETAILS + SIZES.iter().sum::<usize>();
    match args.how {
        How::Latchd => own(&path, args)?,
        How::PlainWal => plain(&path, args, "WAL").map_err(failed)?,
        How::PlainRollback => plain(&path, args, "DELETE").map_err(failed)?,
    }
    let file = std::fs::metadata(&path).map_err(failed)?.len();
    print(
        format,
        json!({"jobs": args.jobs, "payload_bytes": payload, "file_bytes": file}),
        &format!("{} jobs of {payload} bytes, the database has {file}", args.jobs),
    );
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum WearError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn event(tx: &Transaction<'_>, key: &AuditKey, job: JobId, kind: &'static str) -> Result<(), WearError> {
    let fields = BTreeMap::from([("decision", "approve".to_owned()), ("code", "clear".to_owned())]);
    let event = Event { kind, door: "front", attempt: None, job: Some(job), subject: None, fields };
    audit::append(tx, key, &event)?;
    Ok(())
}

/// The three commits of a job at the door.
fn life(store: &Store, key: &AuditKey, maker: &Maker) -> Result<(), WearError> {
    let job = store.write(|tx| {
        let job = maker.enqueue(tx, Born::Sending)?;
        event(tx, key, job, "attempt_submitted")?;
        Ok::<_, WearError>(job)
    })?;
    let remote = format!("job_{job}");
    store.write(|tx| queue::transition(tx, job, &Move::Accept { remote }))?;
    store.write(|tx| {
        let decided = Decided { verdict: Verdict::Approved, code: "clear".into(), text: String::new() };
        queue::transition(tx, job, &Move::Decide(decided))?;
        event(tx, key, job, "verdict")
    })
}

fn own(path: &Path, args: &WearArgs) -> Result<(), Failure> {
    let store = super::desk::open(path)?;
    let set = |tx: &Transaction<'_>| {
        let page = tx.one("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?;
        let pragma = format!("PRAGMA wal_autocheckpoint = {}", args.autocheckpoint);
        let pages = tx.one(&pragma, [], |row| row.get::<_, u32>(0))?;
        Ok::<_, StoreError>(page == Some(args.page_size) && pages == Some(args.autocheckpoint))
    };
    if !store.write(set).map_err(failed)? {
        return Err(Failure::usage("SQLite does not take these settings", "a page has 512 to 65536 bytes"));
    }
    let key = DeviceKey::from_bytes(&bytes(32)).ok_or_else(|| failed("no key"))?.audit();
    let maker = Maker::new(&SIZES)?;
    for number in 1..=args.jobs {
        life(&store, &key, &maker).map_err(failed)?;
        if due(number, args.settle_every) {
            store.settle().map_err(failed)?;
        }
    }
    Ok(())
}

fn due(number: u32, every: u32) -> bool {
    every > 0 && number.is_multiple_of(every)
}

/// What each row says of its moment: boot, time since it, and the wall's.
type Moment = ([u8; 16], i64, i64);

fn plain(path: &Path, args: &WearArgs, journal: &str) -> rusqlite::Result<()> {
    let mut database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", journal)?;
    database.pragma_update(None, "synchronous", "FULL")?;
    // The bundled SQLite may have been built with it.
    database.pragma_update(None, "secure_delete", "OFF")?;
    database.pragma_update(None, "foreign_keys", "ON")?;
    if journal == "WAL" {
        database.pragma_update(None, "wal_autocheckpoint", args.autocheckpoint)?;
    }
    for tables in TABLES {
        database.execute_batch(tables)?;
    }
    let (details, pictures) = (bytes(DETAILS), SIZES.map(bytes));
    let clock = SystemClock::new();
    for number in 1..=args.jobs {
        let now = || (clock.boot_id().0, i64::try_from(clock.boot().as_micros()).unwrap_or(0), 0);
        let mut id = [0; 16];
        SystemRandom.fill(&mut id);
        let change = database.transaction()?;
        insert(&change, id, &details, &pictures, now())?;
        change.commit()?;
        let change = database.transaction()?;
        step(&change, id, "accepted", now())?;
        erase(&change, id)?;
        change.commit()?;
        let change = database.transaction()?;
        step(&change, id, "decided", now())?;
        told(&change, id, now())?;
        change.commit()?;
        if journal == "WAL" && due(number, args.settle_every) {
            database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
    }
    Ok(())
}

fn insert(
    change: &Connection,
    id: [u8; 16],
    details: &[u8],
    pictures: &[Vec<u8>],
    now: Moment,
) -> rusqlite::Result<()> {
    let (boot, us, wall) = now;
    change
        .prepare_cached(
            "INSERT INTO jobs (id, user_id, product, api, allow_new_enroll, state, class, due_boot, due_us, bytes, details,
                 images, state_boot_id, state_boot_us, state_wall_ms, created_boot_id, created_boot_us, created_wall_ms)
             VALUES (?1, 'bench', 'authentication', 'v3', 0, 'sending', 1, 1, ?3, 220220, ?4, 1, ?2, ?3, ?5, ?2, ?3, ?5)",
        )?
        .execute((id, boot, us, details, wall))?;
    let job = change.last_insert_rowid();
    for (number, picture) in (0_u32..).zip(pictures) {
        let sql =
            "INSERT INTO images (id, kind, number, sealed) VALUES ((?1 << 16) + ?2, 'liveness', ?2, ?3)";
        change.prepare_cached(sql)?.execute((job, number, picture))?;
    }
    note(change, id, "sending", now)?;
    told(change, id, now)
}

fn step(change: &Connection, id: [u8; 16], state: &str, now: Moment) -> rusqlite::Result<()> {
    let (boot, us, wall) = now;
    change
        .prepare_cached(
            "UPDATE jobs SET state = ?2, remote_id = 'job_0198f3c2-0000-7000-8000-000000000000', tries = 0, due_boot = 1,
                 due_us = ?4, state_boot_id = ?3, state_boot_us = ?4, state_wall_ms = ?5 WHERE id = ?1",
        )?
        .execute((id, state, boot, us, wall))?;
    note(change, id, state, now)
}

fn note(change: &Connection, id: [u8; 16], state: &str, (boot, us, wall): Moment) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO job_times (job, number, state, boot_id, boot_us, wall_ms)
             SELECT seq, (SELECT count(*) FROM job_times WHERE job = seq), ?2, ?3, ?4, ?5 FROM jobs WHERE id = ?1",
        )?
        .execute((id, state, boot, us, wall))?;
    change
        .prepare_cached(
            "INSERT INTO boots (boot_id, on_us) VALUES (?1, ?2)
             ON CONFLICT (boot_id) DO UPDATE SET on_us = excluded.on_us WHERE excluded.on_us >= on_us + 10000000",
        )?
        .execute((boot, us))
        .map(drop)
}

fn erase(change: &Connection, id: [u8; 16]) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM images WHERE id BETWEEN (SELECT seq << 16 FROM jobs WHERE id = ?1) AND (SELECT (seq << 16) + 65535 FROM jobs WHERE id = ?1)",
        "UPDATE jobs SET details = NULL, images = 0 WHERE id = ?1",
    ] {
        change.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

fn told(change: &Connection, id: [u8; 16], (boot, us, wall): Moment) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO events (kind, door, job, fields, boot_id, boot_ms, wall_ms, mac)
             VALUES ('verdict', 'front', ?1, '{\"code\":\"clear\",\"decision\":\"approve\"}', ?2, ?3, ?4, zeroblob(32))",
        )?
        .execute((id, boot, us / 1000, wall))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// door-rules, queue 9: what the figures compare does the same work.
    #[test]
    fn each_writer_ends_with_decided_jobs_without_pictures() {
        for how in [How::Latchd, How::PlainWal, How::PlainRollback] {
            let place = tempfile::tempdir().unwrap();
            let args = WearArgs {
                directory: place.path().to_owned(),
                how,
                jobs: 3,
                page_size: 8192,
                autocheckpoint: 100,
                settle_every: 1,
            };
            run(output::Format::Json, &args).unwrap();
            let database = Connection::open(place.path().join("latchd.db")).unwrap();
            let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(
                count("SELECT count(*) FROM jobs WHERE state = 'decided' AND details IS NULL"),
                3,
                "{how:?}"
            );
            assert_eq!(count("SELECT count(*) FROM job_times"), 9, "{how:?}");
            assert_eq!(count("SELECT count(*) FROM images"), 0, "{how:?}");
            assert_eq!(count("SELECT count(*) FROM events"), 6, "{how:?}");
            assert_eq!(count("PRAGMA page_size"), 8192, "{how:?}");
            run(output::Format::Json, &args).unwrap_err();
        }
    }
}
