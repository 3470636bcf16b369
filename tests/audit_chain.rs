//! Nobody changes, removes, reorders or cuts events unseen, and no unlock is done unwritten.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use latchd::access::{AttemptId, JobId};
use latchd::audit::{self, AuditError, Breach, Event, Unlock, Verification};
use latchd::clock::{BootTime, ManualClock, SystemRandom, Wall, WallTime};
use latchd::store::{AuditKey, DeviceKey, Mode, Pseudonym, Settings, Store, StoreError, Transaction};

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    let settings = Settings {
        path: dir.join("latchd.db"),
        vfs: None,
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        mode: Mode::ReadWrite,
        max_bytes: 64 << 20,
    };
    Store::open(settings).unwrap().0
}

fn clock() -> Arc<ManualClock> {
    let wall = Wall::Known(WallTime::from_rfc3339("2026-06-01T12:00:00Z").unwrap());
    Arc::new(ManualClock::new(BootTime::from_millis(5000), wall))
}

fn key() -> AuditKey {
    DeviceKey::from_bytes(&[9; 32]).unwrap().audit()
}

fn event(kind: &'static str) -> Event<'static> {
    Event {
        kind,
        door: "front",
        attempt: Some(AttemptId([1; 16])),
        job: Some(JobId([2; 16])),
        subject: Some(Pseudonym([3; 16])),
        fields: BTreeMap::from([("code", "clear".to_owned()), ("reason", "r".to_owned())]),
    }
}

fn write<T>(
    store: &Store,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, AuditError>,
) -> Result<T, AuditError> {
    store.write(work)
}

fn verify(store: &Store, head: Option<[u8; 32]>) -> Verification {
    store.read(|tx| audit::verify(tx, &key(), head)).unwrap()
}

/// A chain of five in a fresh directory, its heads, then what somebody with the file but not the key does to it.
fn tampered(sql: &str) -> (Verification, Vec<[u8; 32]>) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    let mut heads = Vec::new();
    for kind in ["one", "two", "three", "four", "five"] {
        write(&store, |tx| audit::append(tx, &key(), &event(kind))).unwrap();
        heads.push(store.read(audit::head).unwrap().unwrap().1);
    }
    assert_eq!(verify(&store, Some(heads[2])), Verification { rows: 5, head: heads[4], broken_at: None });
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("latchd.db")).unwrap();
    raw.execute_batch("DROP TRIGGER events_never_change; DROP TRIGGER events_never_go;").unwrap();
    raw.execute_batch(sql).unwrap();
    drop(raw);
    (verify(&open(dir.path(), &clock), Some(heads[4])), heads)
}

#[test]
fn each_column_is_part_of_the_chain() {
    for change in [
        "kind = 'x'",
        "door = 'back'",
        "attempt = NULL",
        "attempt = x'01010101010101010101010101010102'",
        "job = NULL",
        "subject = NULL",
        "job = subject, subject = job",
        "fields = '{}'",
        "boot_id = x'00000000000000000000000000000000'",
        "boot_ms = boot_ms + 1",
        "wall_ms = wall_ms - 1",
        "wall_ms = NULL",
        "mac = zeroblob(32)",
    ] {
        let (found, heads) = tampered(&format!("UPDATE events SET {change} WHERE seq = 3"));
        assert_eq!(
            found,
            Verification { rows: 2, head: heads[1], broken_at: Some((3, Breach::Changed)) },
            "{change}"
        );
    }
}

#[test]
fn removed_reordered_and_cut_rows_are_seen() {
    for (sql, broken_at) in [
        ("DELETE FROM events WHERE seq = 1", (1, Breach::Missing)),
        ("DELETE FROM events WHERE seq = 4", (4, Breach::Missing)),
        ("DELETE FROM events WHERE seq = 4; UPDATE events SET seq = 4 WHERE seq = 5", (4, Breach::Changed)),
        (
            "UPDATE events SET seq = 9 WHERE seq = 2; UPDATE events SET seq = 2 WHERE seq = 3;
             UPDATE events SET seq = 3 WHERE seq = 9",
            (2, Breach::Changed),
        ),
        ("DELETE FROM events WHERE seq = 5", (5, Breach::HeadNotFound)),
        ("DELETE FROM events", (1, Breach::HeadNotFound)),
    ] {
        assert_eq!(tampered(sql).0.broken_at, Some(broken_at), "{sql}");
    }
}

#[test]
fn without_a_noted_head_a_cut_tail_looks_whole() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    assert_eq!(verify(&store, None).broken_at, None);
    write(&store, |tx| audit::append(tx, &key(), &event("one"))).unwrap();
    assert_eq!(verify(&store, None).broken_at, None);
    assert_eq!(verify(&store, Some([7; 32])).broken_at, Some((2, Breach::HeadNotFound)));
}

#[test]
fn another_key_does_not_vouch_for_the_chain() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    write(&store, |tx| audit::append(tx, &key(), &event("one"))).unwrap();
    let other = DeviceKey::from_bytes(&[8; 32]).unwrap().audit();
    let found = store.read(|tx| audit::verify(tx, &other, None)).unwrap();
    assert_eq!(found.broken_at, Some((1, Breach::Changed)));
}

#[test]
fn the_database_itself_refuses_to_change_events() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    write(&store, |tx| audit::append(tx, &key(), &event("one"))).unwrap();
    for sql in [
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events",
        "REPLACE INTO events (seq, kind, door, fields, boot_id, boot_ms, mac)
         VALUES (1, 'x', 'd', '{}', x'00', 0, zeroblob(32))",
    ] {
        let refused: Result<usize, StoreError> = store.write(|tx| tx.execute(sql, []));
        assert!(refused.unwrap_err().to_string().contains("append-only"), "{sql}");
    }
    assert_eq!(verify(&store, None).rows, 1);
}

#[test]
fn an_event_is_listed_as_it_was_written_and_says_when_the_clock_was_unknown() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    write(&store, |tx| audit::append(tx, &key(), &event("one"))).unwrap();
    clock.set_wall(Wall::Unknown);
    let long = Event { fields: BTreeMap::from([("text", "ä".repeat(2000))]), ..event("two") };
    write(&store, |tx| audit::append(tx, &key(), &long)).unwrap();
    let all = store.read(|tx| audit::list(tx, 0, 10)).unwrap();
    assert_eq!(
        (all[0].kind.as_str(), all[0].subject, all[0].boot_ms),
        ("one", Some(Pseudonym([3; 16])), 5000)
    );
    assert_eq!(all[0].fields.get("clock"), None);
    assert_eq!((all[1].wall, all[1].fields["clock"].as_str()), (Wall::Unknown, "unsynced"));
    assert_eq!(all[1].fields["text"].chars().count(), 500);
    assert_eq!(store.read(|tx| audit::list(tx, 1, 10)).unwrap(), all[1..]);
    assert_eq!(verify(&store, None).rows, 2);
}

fn unlock(number: u8) -> Unlock<'static> {
    let fields = BTreeMap::new();
    Unlock { door: "front", attempt: AttemptId([number; 16]), job: None, subject: None, fields }
}

#[test]
fn an_intent_is_done_once_or_interrupted_and_never_resumed() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    let intent = |number| write(&store, |tx| audit::unlock_intent(tx, &key(), &unlock(number)));
    let done = |number| write(&store, |tx| audit::unlock_done(tx, &key(), &unlock(number)));
    assert!(matches!(done(1), Err(AuditError::NoIntent(_))), "written before done");
    intent(1).unwrap();
    done(1).unwrap();
    assert!(matches!(done(1), Err(AuditError::NoIntent(_))));
    assert!(matches!(intent(1), Err(AuditError::SecondIntent(_))), "one attempt, one pulse");
    let open_seq = intent(2).unwrap();
    let found = write(&store, |tx| audit::interrupt_open(tx, &key(), &BTreeMap::new())).unwrap();
    assert_eq!(found.iter().map(|open| (open.seq, open.attempt.0[0])).collect::<Vec<_>>(), [(open_seq, 2)]);
    assert!(store.read(audit::open_intents).unwrap().is_empty());
    assert!(matches!(done(2), Err(AuditError::NoIntent(_))), "never resumed");
    assert!(write(&store, |tx| audit::interrupt_open(tx, &key(), &BTreeMap::new())).unwrap().is_empty());
    let kinds: Vec<_> =
        store.read(|tx| audit::list(tx, 0, 10)).unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["unlock_intent", "unlock_done", "unlock_intent", "unlock_interrupted"]);
    assert_eq!(verify(&store, None).rows, 4);
}
