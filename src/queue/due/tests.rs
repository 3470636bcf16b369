//! What is asked of the database again and again costs one step of an index, however many jobs wait.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::{BootId, Clock, ManualClock, SystemClock, Wall};
use crate::queue::Move;
use crate::store::Store;

fn store() -> (Store, Arc<ManualClock>, tempfile::TempDir) {
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(60_000), Wall::Unknown));
    let (store, dir) = crate::store::scratch(clock.clone());
    (store, clock, dir)
}

/// Rows without pictures: their number is what counts. `class` and `due_us` are SQL over the row's number `n`.
fn fill(store: &Store, from: u32, count: u32, state: &str, class: &str, due_us: &str) {
    store
        .write(|tx| {
            let boot = numbered(tx)?;
            let sql = format!(
                "WITH RECURSIVE numbers (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1 + ?2)
                 INSERT INTO jobs (id, user_id, product, api, allow_new_enroll, state, class, due_boot, due_us, bytes,
                     images, state_boot_id, state_boot_us, created_boot_id, created_boot_us)
                 SELECT unhex(printf('%032x', n)), 'u', iif({class} = 2, 'basic_kyc', 'authentication'), 'v1', 0,
                     '{state}', {class}, ?3, {due_us}, 1, 1, zeroblob(16), 0, zeroblob(16), 0 FROM numbers"
            );
            Ok::<_, QueueError>(tx.execute(&sql, (from, count, boot))?)
        })
        .unwrap();
}

fn id(number: u32) -> JobId {
    JobId(u128::from(number).to_be_bytes())
}

/// The jobs that are submitted, one after the other.
fn drained(store: &Store, count: usize) -> Vec<JobId> {
    (0..count)
        .map(|_| {
            let next = store.read(next_due).unwrap().unwrap();
            store.write(|tx| transition(tx, next, &Move::Send)).unwrap();
            let end = Move::DeadLetter { reason: "served".into(), answer: None };
            store.write(|tx| transition(tx, next, &end)).unwrap();
            next
        })
        .collect()
}

/// door-rules, queue 3: a check is older than all others; the door's jobs never end.
#[test]
fn the_sooner_class_goes_first_and_none_starves() {
    let (store, _, _dir) = store();
    fill(&store, 1, 2, "new", "2", "n");
    fill(&store, 100, 50, "new", "1", "n");
    fill(&store, 200, 1, "dead_letter", "2", "n");
    store.write(|tx| transition(tx, id(200), &Move::Retry)).unwrap();
    let order = drained(&store, 10);
    assert_eq!(
        order[..4],
        [200, 100, 101, 1].map(id),
        "retried, the door's, and the old check at the fourth turn"
    );
    assert_eq!(order[4..], [102, 103, 104, 2, 105, 106].map(id));
}

#[test]
fn the_turn_is_remembered_over_restarts_and_reboots() {
    let (store, clock, _dir) = store();
    fill(&store, 1, 3, "new", "2", "n");
    fill(&store, 100, 50, "new", "1", "n");
    for (boot, expected) in [(2, [100, 101]), (3, [102, 1]), (4, [103, 104]), (5, [105, 2])] {
        assert_eq!(drained(&store, 2), expected.map(id));
        clock.reboot(BootId([boot; 16]));
    }
}

#[test]
fn who_was_put_off_joins_the_line_when_its_pause_ends() {
    let (store, clock, _dir) = store();
    fill(&store, 1, 3, "new", "1", "60000000 + n");
    clock.advance(Duration::from_secs(1));
    store.write(|tx| postpone(tx, id(1), Duration::from_secs(600))).unwrap();
    assert_eq!(drained(&store, 2), [2, 3].map(id));
    assert_eq!(store.read(next_due).unwrap(), None);
    assert_eq!(store.read(next_wake).unwrap(), Some(BootTime::from_millis(661_000)));
    clock.reboot(BootId([2; 16]));
    assert_eq!(store.read(next_due).unwrap(), Some(id(1)), "a pause is over with its boot");
}

#[test]
fn each_question_of_the_drain_is_a_search_in_an_index() {
    let (store, _, _dir) = store();
    for (sql, covered) in [
        (FIRST, true),
        (EARLIEST, true),
        (EARLIEST_POLL, true),
        (EARLIEST_LOOK_UP, true),
        (POLLS, false),
        (LOOK_UPS, false),
    ] {
        let values = (1..=3).filter(|number| sql.contains(&format!("?{number}"))).map(|_| 1_i64);
        let plan = store
            .read(|tx| {
                let sql = format!("EXPLAIN QUERY PLAN {sql}");
                tx.all(&sql, rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))
            })
            .map_err(|error: StoreError| error)
            .unwrap();
        assert_eq!(plan.len(), 1, "no sorting in a tree of its own: {plan:?}");
        let index = if covered { "USING COVERING INDEX jobs_" } else { "USING INDEX jobs_" };
        assert!(plan[0].contains(index), "{sql}: {plan:?}");
        // Without a bound of its own the first entry of an index is where the walk begins, and ends.
        assert!(plan[0].starts_with("SEARCH") || sql == EARLIEST_POLL, "{sql}: {plan:?}");
    }
}

#[test]
fn counting_reads_indexes_alone() {
    let (store, _, _dir) = store();
    for sql in crate::queue::stats::WALKS {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let plan = store
            .read(|tx| tx.all(&sql, [], |row| row.get::<_, String>(3)))
            .map_err(|error: StoreError| error)
            .unwrap();
        assert!(plan.len() == 1 && plan[0].contains("USING COVERING INDEX jobs_"), "{sql}: {plan:?}");
    }
}

/// The least of many measurements: a busy machine makes some of them slower, none faster.
#[test]
fn with_a_hundred_thousand_jobs_the_next_is_found_in_a_tenth_of_a_millisecond() {
    let (store, clock, _dir) = store();
    // All but the last of each class have failed and may not be sent yet.
    fill(&store, 1, 100_000, "new", "n % 3", "60000000 + 1000000 * (100001 - n)");
    let time = |what: &str, least: Duration| {
        assert!(least <= Duration::from_micros(100), "{what}: {least:?}");
    };
    let least = |work: &dyn Fn()| {
        let real = SystemClock::new();
        (0..300)
            .map(|_| {
                let begun = real.boot();
                work();
                real.boot().since(begun)
            })
            .min()
            .unwrap()
    };
    time("nothing is due", least(&|| assert_eq!(store.read(next_due).unwrap(), None)));
    time("when something is", least(&|| assert!(store.read(next_wake).unwrap().is_some())));
    clock.advance(Duration::from_secs(3));
    time("one of each class is due", least(&|| assert_eq!(store.read(next_due).unwrap(), Some(id(99_999)))));
    clock.advance(Duration::from_secs(200_000));
    time("all are due", least(&|| assert_eq!(store.read(next_due).unwrap(), Some(id(99_999)))));
    fill(&store, 200_001, 100_000, "accepted", "1", "n");
    time("polls", least(&|| assert_eq!(store.read(|tx| pending_polls(tx, 1)).unwrap().len(), 1)));
}
