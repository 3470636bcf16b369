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
use std::time::Duration;

use latchd::access::{AttemptId, JobId};
use latchd::audit::{self, AuditError, Breach, Event, Rule, Unlock, Verification, Why};
use latchd::clock::{BootTime, Clock, ManualClock, SystemRandom, Wall, WallTime};
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
    let whole = Verification { rows: 5, head: heads[4], broken_at: None, anchor: None };
    assert_eq!(verify(&store, Some(heads[2])), whole);
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
        let broken_at = Some((3, Breach::Changed));
        assert_eq!(found, Verification { rows: 2, head: heads[1], broken_at, anchor: None }, "{change}");
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

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Four at once after ten days, or when there are more than 40; eight stay.
const RULE: Rule = Rule { age: Some(DAY.saturating_mul(10)), most: 40, least: 8, at_once: 4 };

/// What a round of housekeeping does about events, with all that is due.
fn prune(store: &Store, clock: &ManualClock, rule: &Rule) -> Vec<(i64, i64, Why)> {
    let round = || store.write(|tx| audit::prune(tx, &key(), rule, clock.wall(), None)).unwrap();
    std::iter::from_fn(round).map(|gone| (gone.from, gone.anchor.last, gone.why)).collect()
}

/// Twenty events a day apart, their heads, and the first twelve of them pruned.
fn pruned() -> (tempfile::TempDir, Arc<ManualClock>, Store, Vec<[u8; 32]>) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    let mut heads = Vec::new();
    for _ in 0..20 {
        write(&store, |tx| audit::append(tx, &key(), &event("one"))).unwrap();
        heads.push(store.read(audit::head).unwrap().unwrap().1);
        clock.advance(DAY);
    }
    clock.advance(DAY * 3);
    let gone = prune(&store, &clock, &RULE);
    assert_eq!(gone, [(1, 4, Why::Age), (5, 8, Why::Age), (9, 12, Why::Age)]);
    (dir, clock, store, heads)
}

#[test]
fn what_is_kept_is_still_proved_when_old_events_are_gone() {
    let (_dir, clock, store, heads) = pruned();
    let kept = store.read(|tx| audit::list(tx, 0, 100)).unwrap();
    assert_eq!((kept.len(), kept[0].seq), (8, 13));
    let found = verify(&store, Some(heads[16]));
    assert_eq!((found.rows, found.head, found.broken_at), (8, heads[19], None));
    let anchor = found.anchor.unwrap();
    let until = Wall::Known(WallTime::from_rfc3339("2026-06-12T12:00:00Z").unwrap());
    assert_eq!((anchor.last, anchor.mac, anchor.until), (12, heads[11], until));
    assert_eq!(prune(&store, &clock, &RULE), [], "the newest stay");

    // The last that went has its link in the anchor; before it nothing can be said.
    assert_eq!(verify(&store, Some(heads[11])).broken_at, None);
    for lost in [heads[3], [7; 32]] {
        assert_eq!(verify(&store, Some(lost)).broken_at, Some((21, Breach::HeadNotKept)));
    }
    assert_eq!(write(&store, |tx| audit::append(tx, &key(), &event("next"))).unwrap(), 21);
    assert_eq!(verify(&store, Some(heads[19])).rows, 9);
}

#[test]
fn nobody_without_the_key_removes_more_than_had_its_time() {
    let forged = "INSERT OR REPLACE INTO events_anchor SELECT 1, seq, mac, wall_ms";
    for (sql, broken_at) in [
        ("DELETE FROM events WHERE seq = 13", (13, Breach::Missing)),
        ("DELETE FROM events WHERE seq = 20", (20, Breach::HeadNotKept)),
        ("DELETE FROM events", (13, Breach::HeadNotKept)),
        ("DELETE FROM events_anchor", (1, Breach::Missing)),
        ("UPDATE events_anchor SET wall_ms = wall_ms + 1", (13, Breach::AnchorWrong)),
        ("UPDATE events_anchor SET wall_ms = NULL", (13, Breach::AnchorWrong)),
        ("UPDATE events_anchor SET mac = zeroblob(32)", (13, Breach::AnchorWrong)),
        ("UPDATE events_anchor SET seq = 11", (12, Breach::AnchorWrong)),
        (&format!("{forged}, mac FROM events WHERE seq = 14; DELETE FROM events WHERE seq <= 14"), (15, Breach::AnchorWrong)),
        (
            "INSERT INTO events SELECT 5, kind, door, attempt, job, subject, fields, boot_id, boot_ms, wall_ms, mac
             FROM events WHERE seq = 14",
            (13, Breach::AnchorWrong),
        ),
    ] {
        let (dir, clock, store, heads) = pruned();
        drop(store);
        let raw = rusqlite::Connection::open(dir.path().join("latchd.db")).unwrap();
        raw.execute_batch("DROP TRIGGER events_never_change; DROP TRIGGER events_never_go;").unwrap();
        raw.execute_batch(sql).unwrap();
        drop(raw);
        let store = open(dir.path(), &clock);
        assert_eq!(verify(&store, Some(heads[19])).broken_at, Some(broken_at), "{sql}");
        // What is not whole is evidence: nothing more of it goes.
        if broken_at.1 != Breach::HeadNotKept {
            clock.advance(DAY * 100);
            let refused = store.write(|tx| audit::prune(tx, &key(), &Rule { least: 0, ..RULE }, clock.wall(), None));
            assert!(matches!(refused, Err(AuditError::NotWhole { .. })), "{sql}: {refused:?}");
        }
    }
}

#[test]
fn numbers_go_on_when_all_events_are_gone() {
    let (_dir, clock, store, heads) = pruned();
    clock.advance(DAY * 100);
    assert_eq!(prune(&store, &clock, &Rule { least: 0, ..RULE }).len(), 2);
    assert!(store.read(|tx| audit::list(tx, 0, 100)).unwrap().is_empty());
    assert_eq!(store.read(audit::head).unwrap(), Some((20, heads[19])));
    assert_eq!((verify(&store, Some(heads[19])).rows, verify(&store, None).broken_at), (0, None));
    assert_eq!(write(&store, |tx| audit::append(tx, &key(), &event("next"))).unwrap(), 21);
    assert_eq!(verify(&store, Some(heads[19])).broken_at, None);
}

#[test]
fn the_database_itself_refuses_to_lose_an_event_that_no_anchor_stands_for() {
    let (_dir, _clock, store, _heads) = pruned();
    let refused: Result<usize, StoreError> =
        store.write(|tx| tx.execute("DELETE FROM events WHERE seq = 13", []));
    assert!(refused.unwrap_err().to_string().contains("append-only"));
}

#[test]
fn an_unlock_without_its_end_stays_and_so_does_what_came_after_it() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = open(dir.path(), &clock);
    let more = |count| {
        for _ in 0..count {
            write(&store, |tx| audit::append(tx, &key(), &event("one"))).unwrap();
        }
    };
    more(5);
    write(&store, |tx| audit::unlock_intent(tx, &key(), &unlock(1))).unwrap();
    more(100);
    clock.advance(DAY * 100);
    assert_eq!(prune(&store, &clock, &RULE), [(1, 4, Why::Count)]);
    write(&store, |tx| audit::interrupt_open(tx, &key(), &BTreeMap::new())).unwrap();
    // Of 103 by their number until 43 are left, and by their age until 11 are.
    let gone = prune(&store, &clock, &RULE);
    let by = |why| gone.iter().filter(|one| one.2 == why).count();
    assert_eq!((gone[0], by(Why::Count), by(Why::Age)), ((5, 8, Why::Count), 15, 8), "{gone:?}");
    assert_eq!(verify(&store, None).broken_at, None);
}
