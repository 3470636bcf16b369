//! An erased job is gone from every file: its wrapped key, its details, and of a job that somebody gave up its pictures too.
//! And a test that does not find them is worth something, because it finds them where nothing is overwritten.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

use latchd::access::UserId;
use latchd::queue::{self, Api, Born, Move, QueueError};
use latchd::store::{Mode, Settings, Store};
use std::path::Path;

#[path = "support/desk.rs"]
mod desk;
use desk::*;
#[path = "support/site.rs"]
mod site;
use site::{Options, Site};

/// What must not be found after an erase, by its name.
type Secrets = Vec<(&'static str, Vec<u8>)>;

/// Wrapped key, sealed details and first picture, each also by its nonce alone (version byte, then 24 bytes).
fn secrets(database: &rusqlite::Connection, job: &[u8; 16]) -> Secrets {
    let read = |sql: &str| database.query_row(sql, [job], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let key = read("SELECT wrapped FROM job_keys, jobs ON job = seq WHERE jobs.id = ?1");
    let details = read("SELECT details FROM jobs WHERE id = ?1");
    let picture = read("SELECT sealed FROM images, jobs ON job = seq WHERE jobs.id = ?1 AND kind = 'selfie'");
    let nonce = |sealed: &[u8]| sealed[1..25].to_vec();
    vec![
        ("nonce of the key", nonce(&key)),
        ("nonce of the details", nonce(&details)),
        ("nonce of the picture", nonce(&picture)),
        ("end of the key", key[key.len() - 24..].to_vec()),
        ("wrapped key", key),
        ("details", details),
        ("picture", picture[..64.min(picture.len())].to_vec()),
    ]
}

fn open(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

/// Which of them are in a file of the directory whose name begins as the database's: itself, its log, its index.
fn found(directory: &Path, secrets: &Secrets) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("latchd.db") && !name.starts_with("copy.db") {
            continue;
        }
        let bytes = std::fs::read(&entry).unwrap();
        for (secret, needle) in secrets {
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(format!("{secret} in {name}"));
            }
        }
    }
    found
}

/// door-rules, queue 8. Jobs share pages, and pages are split and joined as others come and go: whatever the order, nothing
/// of an erased one is left.
#[test]
fn nothing_of_an_erased_job_is_in_any_file() {
    let desk = desk();
    for number in 1..=40 {
        desk.add(number, Api::V3, Born::New);
    }
    assert!(desk.store.settle().unwrap());
    let path = desk._dir.path().join("latchd.db");
    // 7 has no common factor with 40: each once, far from its neighbours.
    for number in (0..40_u16).map(|step| (step * 7 % 40 + 1) as u8) {
        let secrets = secrets(&open(&path), &id(number).0);
        assert_eq!(found(desk._dir.path(), &secrets).len(), secrets.len(), "all of it is there before");
        desk.write(|tx| queue::drop(tx, id(number), "uid 0")).unwrap();
        assert!(desk.store.settle().unwrap());
        assert_eq!(found(desk._dir.path(), &secrets), Vec::<String>::new(), "job {number}");
    }
}

/// A job that ends as nearly all do leaves sealed pictures on free pages, and no key.
#[test]
fn an_answered_job_leaves_no_key_and_no_details() {
    let desk = desk();
    for number in 1..=3 {
        desk.add(number, Api::V3, Born::Sending);
    }
    assert!(desk.store.settle().unwrap());
    let secrets = secrets(&open(&desk._dir.path().join("latchd.db")), &id(2).0);
    desk.go(id(2), accept()).unwrap();
    assert!(desk.store.settle().unwrap());
    let left = found(desk._dir.path(), &secrets);
    assert!(left.iter().all(|found| found.contains("picture in")), "{left:?}");
    let overwrites = || {
        desk.store.read(|tx| tx.one("PRAGMA secure_delete", [], |row| row.get::<_, u32>(0)).map_err(plain))
    };
    assert_eq!(overwrites().unwrap(), Some(1), "it was so for these pictures alone");
    desk.write(|tx| Ok(tx.delete_sealed("DELETE FROM nothing", [])?)).unwrap_err();
    assert_eq!(overwrites().unwrap(), Some(1));
}

/// Without overwriting and without emptying the log the same search finds what it looks for.
#[test]
fn the_search_finds_what_is_only_deleted() {
    let desk = desk();
    for number in 1..=10 {
        desk.add(number, Api::V3, Born::New);
    }
    assert!(desk.store.settle().unwrap());
    let path = desk._dir.path().join("latchd.db");
    let secrets = secrets(&open(&path), &id(5).0);
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let plain = open(&copy);
    plain
        .execute_batch("PRAGMA secure_delete = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = ON")
        .unwrap();
    for sql in [
        "DELETE FROM images WHERE job = (SELECT seq FROM jobs WHERE id = ?1)",
        "DELETE FROM job_keys WHERE job = (SELECT seq FROM jobs WHERE id = ?1)",
        "UPDATE jobs SET details = NULL, images = 0, state = 'dropped' WHERE id = ?1",
    ] {
        assert!(plain.execute(sql, [id(5).0]).unwrap() > 0);
    }
    let left = found(copies.path(), &secrets);
    for name in ["nonce of the key", "wrapped key", "nonce of the details", "details", "picture"] {
        assert!(left.iter().any(|found| found.starts_with(&format!("{name} in"))), "{name} of {left:?}");
    }
}

/// The commit alone overwrites it in the log, and the file beside still has it: that is why the log is emptied first.
#[test]
fn an_erase_is_not_done_with_its_commit() {
    let desk = desk();
    for number in 1..=3 {
        desk.add(number, Api::V3, Born::New);
    }
    assert!(desk.store.settle().unwrap());
    let secrets = secrets(&open(&desk._dir.path().join("latchd.db")), &id(2).0);
    desk.write(|tx| queue::drop(tx, id(2), "uid 0")).unwrap();
    assert!(found(desk._dir.path(), &secrets).contains(&"wrapped key in latchd.db".to_owned()));
    assert!(desk.store.settle().unwrap());
    assert_eq!(found(desk._dir.path(), &secrets), Vec::<String>::new());
}

/// A copy of the file after the erase, the device key, and even the sealed rows as a flash chip may still have them:
/// without the wrapped key no picture opens.
#[test]
fn the_device_key_opens_nothing_of_an_erased_job() {
    let desk = desk();
    for number in 1..=3 {
        desk.add(number, Api::V3, Born::New);
    }
    assert!(desk.store.settle().unwrap());
    let path = desk._dir.path().join("latchd.db");
    let before = desk._dir.path().join("before.db");
    std::fs::copy(&path, &before).unwrap();
    desk.write(|tx| queue::drop(tx, id(2), "uid 0")).unwrap();
    assert!(desk.store.settle().unwrap());
    let thief = tempfile::tempdir().unwrap();
    let copy = thief.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let load = |number: u8| {
        let settings = Settings { mode: Mode::ReadWrite, ..settings(&copy, desk.clock.clone()) };
        let (store, _) = Store::open(settings).unwrap();
        store.read(|tx| queue::load(tx, &desk.key, id(number)))
    };
    assert!(load(1).is_ok(), "the copy and the key are good");
    assert!(matches!(load(2), Err(QueueError::ImagesErased(_))));
    // The rows as they were, but for the key.
    let thiefs = open(&copy);
    thiefs.execute("ATTACH ?1 AS before", [before.to_str().unwrap()]).unwrap();
    let restore = "INSERT INTO images (id, kind, number, sealed)
            SELECT id, kind, number, sealed FROM before.images WHERE job = 2;
        UPDATE jobs SET images = 1, details = (SELECT details FROM before.jobs AS old WHERE old.seq = 2) WHERE seq = 2";
    thiefs.execute_batch(restore).unwrap();
    assert!(matches!(load(2), Err(QueueError::ImagesErased(_))));
    for other in [1, 3] {
        let sql = "INSERT OR REPLACE INTO job_keys SELECT 2, wrapped FROM job_keys WHERE job = ?1";
        thiefs.execute(sql, [other]).unwrap();
        let error = load(2).unwrap_err();
        assert!(matches!(error, QueueError::Store(_)), "the key of job {other}: {error}");
    }
}

#[test]
fn a_person_who_is_erased_leaves_rows_without_a_name() {
    let desk = desk();
    let ends: [&[Move]; 6] = [
        &[accept(), approved()],
        &[accept()],
        &[Move::LoseAnswer],
        &[Move::NotSent],
        &[Move::NotSent, Move::Expire],
        &[Move::DeadLetter { reason: "2203".into(), answer: Some("no such person".into()) }],
    ];
    for (number, steps) in (1..).zip(ends) {
        let job = desk.add(number, Api::V1, Born::Sending);
        for step in steps {
            desk.go(job, step.clone()).unwrap();
        }
    }
    let sending = desk.add(7, Api::V1, Born::Sending);
    let person = UserId::parse("emp-0042").unwrap();
    let erase = |alone| desk.write(|tx| queue::forget_person(tx, &person, "uid 0", alone));
    let refused = erase(false);
    assert!(matches!(refused, Err(QueueError::BeingSent(job)) if job == sending), "{refused:?}");
    assert_eq!(desk.info(id(4)).state.name(), queue::StateName::New, "nothing was done");

    let gone = erase(true).unwrap();
    assert_eq!((gone.jobs, gone.dropped), (7, 5));
    let there: Vec<u8> = gone.at_service.iter().map(|(job, _)| job.0[0]).collect();
    assert_eq!(there, [1, 2, 3, 7], "what the service has or may have");
    assert_eq!(gone.at_service[1].1.as_deref(), Some("r-1"));
    for number in 1..=7 {
        let row = desk.info(id(number));
        assert_eq!((row.user_id.as_str(), row.has_images, row.remote), (UserId::ERASED, false, None));
    }
    assert_eq!((desk.rows("images"), desk.rows("job_keys"), desk.rows("jobs")), (0, 0, 7));
    assert!(desk.store.settle().unwrap());
    let said = vec![("user id", b"emp-0042".to_vec()), ("the service's words", b"no such person".to_vec())];
    assert_eq!(found(desk._dir.path(), &said), Vec::<String>::new());
    assert_eq!(erase(true).unwrap().jobs, 0);
}

/// A job that the drain is just trying to send cannot be erased: the operator is told so, and tries again.
fn erased(site: &Site, command: &[&str]) -> site::Answer {
    for _ in 0..100 {
        let answer = site.latchd(command);
        let cause = answer.word("cause");
        if !cause.contains("is sending") && !cause.contains("is being sent") {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it is being sent all the time");
}

/// Over the command line: what it says is true when it says it, with a daemon and without.
#[test]
fn what_an_operator_erases_is_gone_when_the_command_says_so() {
    for running in [true, false] {
        let mut site = Site::open(&Options::default());
        site.stop_sandbox();
        let first = site.authenticate("approved").word("job").to_owned();
        let second = site.authenticate("approved").word("job").to_owned();
        if !running {
            site.stop_daemon();
        }
        let database = site.path("latchd.db");
        let bytes = |job: &str| latchd::access::JobId::parse(job).unwrap().0;
        let (one, two) =
            (secrets(&open(&database), &bytes(&first)), secrets(&open(&database), &bytes(&second)));

        let dropped = erased(&site, &["queue", "drop", &first]);
        assert_eq!((dropped.exit, dropped.last["settled"].as_bool()), (0, Some(true)), "{dropped:?}");
        assert_eq!(found(database.parent().unwrap(), &one), Vec::<String>::new());

        // Somebody else reads: said aloud, and not called done.
        let reader = open(&database);
        reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").unwrap();
        let gone = erased(&site, &["people", "erase", "approved"]);
        assert_eq!((gone.exit, gone.last["settled"].as_bool()), (1, Some(false)), "{gone:?}");
        assert_eq!((&gone.last["jobs"], &gone.last["dropped"]), (&2.into(), &1.into()));
        drop(reader);
        let again = site.latchd(&["people", "remove", "denied"]);
        assert_eq!((again.exit, again.last["settled"].as_bool()), (0, Some(true)), "{again:?}");
        assert_eq!(found(database.parent().unwrap(), &two), Vec::<String>::new());
        let named = vec![("given names", b"Amina".to_vec()), ("user id", b"approved".to_vec())];
        assert_eq!(found(database.parent().unwrap(), &named), Vec::<String>::new());

        let events = site.latchd(&["events"]);
        assert!(
            events.stdout.contains("person_erased") && !events.stdout.contains("\"approved\""),
            "{events:?}"
        );
        assert!(site.jobs().iter().all(|job| job["user_id"] == "__erased__"));
        assert_eq!(
            site.latchd(&["people", "erase", "approved"]).exit,
            1,
            "nothing is known of them any more"
        );
        assert_eq!(site.latchd(&["people", "erase", "__erased__"]).exit, 2);
    }
}
