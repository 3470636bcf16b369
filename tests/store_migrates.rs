//! A database of an earlier release is brought to this one's schema with all that is in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use latchd::clock::{BootId, ManualClock, Wall};
use latchd::queue::{self, policy::Class};
use latchd::store::Store;
use std::path::Path;
use std::sync::Arc;

#[path = "support/desk.rs"]
mod desk;
use desk::*;

/// As release 1 made it: two boots, and three jobs that wait.
fn first_version(path: &Path) {
    let old = rusqlite::Connection::open(path).unwrap();
    old.execute_batch(include_str!("../src/store/schema/1.sql")).unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x6c746368; PRAGMA user_version = 1;
         INSERT INTO boots (boot_id, on_us) VALUES (unhex('01010101010101010101010101010101'), 9),
             (unhex('02020202020202020202020202020202'), 50);",
    )
    .unwrap();
    for (number, product, boot, due_us) in
        [(1, "basic_kyc", 7, 1), (2, "authentication", 2, 50_000_000), (3, "registration", 1, 99)]
    {
        old.execute(
            "INSERT INTO jobs (id, user_id, product, api, allow_new_enroll, state, due_boot_id, due_us, bytes, images,
                 state_boot_id, state_boot_us, created_boot_id, created_boot_us)
             VALUES (?1, 'u', ?2, 'v3', 0, 'new', ?3, ?4, 1, 1, ?3, 0, ?3, 0)",
            ([number; 16], product, [boot; 16], due_us),
        )
        .unwrap();
    }
    for (state, boot_us) in [("new", 3), ("sending", 5), ("new", 8)] {
        let time = "INSERT INTO job_times (job, state, boot_id, boot_us) VALUES (2, ?1, ?2, ?3)";
        old.execute(time, (state, [2; 16], boot_us)).unwrap();
    }
}

#[test]
fn what_waited_keeps_its_place_and_gets_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    first_version(&path);
    let clock = Arc::new(ManualClock::new(latchd::clock::BootTime::from_millis(40_000), Wall::Unknown));
    clock.reboot(BootId([2; 16]));
    clock.advance(std::time::Duration::from_secs(40));
    let (store, _) = Store::open(settings(&path, clock.clone())).unwrap();
    let class = |number: u8| store.read(|tx| queue::info(tx, id(number))).unwrap().class;
    assert_eq!([class(1), class(2), class(3)], [Class::Check, Class::Door, Class::Door]);
    let next = || store.read(queue::next_due).unwrap();
    assert_eq!(next(), Some(id(3)), "of an earlier boot: due");
    store.write(|tx| queue::transition(tx, id(3), &queue::Move::Expire)).unwrap();
    assert_eq!(next(), Some(id(1)), "put off in this boot: not yet");
    clock.advance(std::time::Duration::from_secs(40));
    assert_eq!(next(), Some(id(2)));
    let history = store.read(|tx| queue::show(tx, id(2))).unwrap().history;
    assert_eq!(history.iter().map(|time| time.state.name()).collect::<Vec<_>>(), ["new", "sending", "new"]);
    let stats = store.read(queue::stats).unwrap();
    assert_eq!((stats.unfinished, stats.states["expired"].jobs), (2, 1));
}

/// As release 2 made it, with two events.
#[test]
fn events_that_had_their_time_may_go_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    first_version(&path);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/store/schema/2.sql")).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 2;
         INSERT INTO events (kind, door, fields, boot_id, boot_ms, mac)
         VALUES ('claim', 'd', '{}', x'00', 0, zeroblob(32)), ('claim', 'd', '{}', x'00', 0, zeroblob(32));",
    )
    .unwrap();
    drop(old);
    let clock = Arc::new(ManualClock::new(latchd::clock::BootTime::from_millis(40_000), Wall::Unknown));
    let (store, _) = Store::open(settings(&path, clock)).unwrap();
    let run = |sql: &str| store.write(|tx| tx.execute(sql, []));
    assert!(run("DELETE FROM events WHERE seq = 1").is_err());
    run("INSERT INTO events_anchor VALUES (1, 1, zeroblob(32), NULL, zeroblob(32))").unwrap();
    assert!(run("DELETE FROM events WHERE seq = 2").is_err() && run("UPDATE events SET kind = 'x'").is_err());
    assert_eq!(run("DELETE FROM events WHERE seq <= 1").unwrap(), 1);
}

/// As release 4 made it: a job whose second picture is in two parts.
#[test]
fn pictures_and_times_stay_with_their_job() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    first_version(&path);
    let old = rusqlite::Connection::open(&path).unwrap();
    for version in [
        include_str!("../src/store/schema/2.sql"),
        include_str!("../src/store/schema/3.sql"),
        include_str!("../src/store/schema/4.sql"),
    ] {
        old.execute_batch(version).unwrap();
    }
    old.execute_batch(
        "PRAGMA user_version = 4;
         INSERT INTO job_keys VALUES (2, x'07');
         INSERT INTO images (job, kind, number, part, sealed) VALUES (3, 'selfie', 0, 0, x'30'), (2, 'selfie', 0, 1, x'22'),
             (2, 'selfie', 0, 0, x'21'), (2, 'liveness', 0, 0, x'20');",
    )
    .unwrap();
    drop(old);
    let clock = Arc::new(ManualClock::new(latchd::clock::BootTime::from_millis(40_000), Wall::Unknown));
    let (store, _) = Store::open(settings(&path, clock)).unwrap();
    drop(store);
    let new = rusqlite::Connection::open(&path).unwrap();
    let mut rows =
        new.prepare("SELECT job, kind, number, sealed, id & 65535 FROM images ORDER BY id").unwrap();
    let rows = rows.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?, row.get(4)?))
    });
    let rows: Vec<(i64, String, u32, Vec<u8>, i64)> = rows.unwrap().map(Result::unwrap).collect();
    let of = |job, kind: &str, sealed, at| (job, kind.to_owned(), 0, vec![sealed], at);
    let selfie = [of(2, "selfie", 0x21, 1), of(2, "selfie", 0x22, 2), of(3, "selfie", 0x30, 0)];
    assert_eq!(rows, [vec![of(2, "liveness", 0x20, 0)], selfie.to_vec()].concat());
    let count = |sql: &str| new.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        (count("SELECT count(*) FROM job_times WHERE job = 2"), count("SELECT count(*) FROM job_keys")),
        (3, 1)
    );
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}
