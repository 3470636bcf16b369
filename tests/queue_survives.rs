//! A job that was accepted is there whatever happens next, moves only along its table, and loses its pictures
//! in the commit that makes them needless.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use latchd::access::{PictureKind, Verdict};
use latchd::clock::{BootId, BootTime, ManualClock, Wall};
use latchd::config::model::{Queue, Retention, UnknownOutcome};
use latchd::queue::policy::{Answer, PauseReason, after_failure};
use latchd::queue::{self, Api, Born, Decided, Filter, FreeSpace, Full, HeldReason, Move, QueueError};
use latchd::queue::{State, StateName, SweptWhat};
use latchd::store::{DeviceKey, Settings, Store, StoreError};

#[path = "support/desk.rs"]
mod desk;
use desk::*;

#[test]
fn a_job_is_what_was_put_in() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::Sending);
    let loaded = desk.store.read(|tx| queue::load(tx, &desk.key, job)).unwrap();
    assert_eq!(loaded.info.state, State::Sending);
    let whole = |kept: &queue::Kept| desk.store.read(|tx| queue::whole(tx, &loaded, kept)).unwrap().0;
    let selfie = loaded.pictures_of(PictureKind::Selfie).next().unwrap();
    assert_eq!((loaded.details.as_slice(), whole(selfie)), (DETAILS, b"the selfie of somebody".to_vec()));
    assert_eq!((selfie.bytes, selfie.parts, selfie.head.as_slice()), (22, 1, b"the selfie of so".as_slice()));
    assert_eq!(
        loaded.pictures_of(PictureKind::Liveness).map(|jpeg| whole(jpeg)[0]).collect::<Vec<_>>(),
        (0..8).collect::<Vec<_>>()
    );
    assert!(!format!("{loaded:?}").contains("Ada") && !format!("{loaded:?}").contains("0042"));
    assert!(matches!(
        desk.write(|tx| enqueue(tx, &desk.key, job, Api::V3, Born::New)),
        Err(QueueError::Exists(_))
    ));
    let other = DeviceKey::from_bytes(&[8; 32]).unwrap().queue();
    let wrong: Result<_, QueueError> = desk.store.read(|tx| queue::load(tx, &other, job));
    assert!(matches!(wrong, Err(QueueError::Store(StoreError::Unsealable { .. }))));
}

#[test]
fn pictures_of_another_job_do_not_open() {
    let desk = desk();
    let (one, two) = (desk.add(1, Api::V3, Born::New), desk.add(2, Api::V3, Born::New));
    desk.write(|tx| {
        tx.execute(
            "UPDATE images SET sealed = (SELECT sealed FROM images WHERE job = 2 AND kind = 'selfie')
             WHERE job = 1 AND kind = 'selfie'",
            [],
        )?;
        tx.execute(
            "UPDATE job_keys SET wrapped = (SELECT wrapped FROM job_keys WHERE job = 2) WHERE job = 1",
            [],
        )?;
        Ok(())
    })
    .unwrap();
    let moved: Result<_, QueueError> = desk.store.read(|tx| queue::load(tx, &desk.key, one));
    assert!(matches!(moved, Err(QueueError::Store(StoreError::Unsealable { .. }))));
    assert!(desk.store.read(|tx| queue::load(tx, &desk.key, two)).is_ok());
}

#[test]
fn nothing_personal_is_in_the_file_in_the_clear_and_the_erased_is_gone_from_it() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::Sending);
    let (wrapped, sealed): (Vec<u8>, Vec<u8>) = desk
        .store
        .read(|tx| {
            tx.one("SELECT wrapped, sealed FROM job_keys, images WHERE kind = 'selfie'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .map(Option::unwrap)
        .map_err(plain)
        .unwrap();
    let on_disk = |needle: &[u8]| {
        std::fs::read_dir(desk._dir.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(desk.store.settle().unwrap());
    assert!(!on_disk(b"the selfie") && !on_disk(b"Ada"));
    assert!(on_disk(&wrapped) && on_disk(&sealed));
    let before = desk.store.commits();
    desk.go(job, accept()).unwrap();
    assert_eq!(desk.store.commits() - before, 1, "the erase is part of the commit");
    assert!(desk.store.settle().unwrap());
    assert!(!on_disk(&wrapped) && !on_disk(&sealed));
    assert_eq!((desk.rows("images"), desk.rows("job_keys"), desk.rows("jobs")), (0, 0, 1));
    let gone: Result<_, QueueError> = desk.store.read(|tx| queue::load(tx, &desk.key, job));
    assert!(matches!(gone, Err(QueueError::ImagesErased(_))));
}

#[test]
fn v1_keeps_its_pictures_until_the_verdict() {
    let desk = desk();
    let job = desk.add(1, Api::V1, Born::Sending);
    desk.go(job, accept()).unwrap();
    assert!(desk.info(job).has_images);
    desk.go(job, approved()).unwrap();
    let info = desk.info(job);
    assert!(!info.has_images);
    assert!(matches!(info.state, State::Decided(Decided { verdict: Verdict::Approved, .. })));
    assert_eq!((desk.rows("images"), info.remote.as_deref()), (0, Some("r-1")));
}

#[test]
fn an_illegal_step_changes_nothing() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::New);
    let error = desk.go(job, approved()).unwrap_err();
    assert!(matches!(error, QueueError::Illegal { from: StateName::New, step: "decide", .. }), "{error}");
    assert_eq!((desk.info(job).state, desk.rows("job_times")), (State::New, 1));
    assert!(matches!(desk.go(id(9), Move::Send), Err(QueueError::Unknown(_))));
}

#[test]
fn every_state_is_read_back_as_it_was_written() {
    let desk = desk();
    let rejected = Decided { verdict: Verdict::Rejected { spoof: true }, code: "1".into(), text: "t".into() };
    let paths: [(&[Move], State); 8] = [
        (&[Move::Send], State::Sending),
        (&[Move::Send, accept()], State::Accepted { remote: "r-1".into() }),
        (&[Move::Send, accept(), Move::Decide(rejected.clone())], State::Decided(rejected.clone())),
        (&[Move::Send, accept(), Move::Hold(HeldReason::Attention)], State::Held(HeldReason::Attention)),
        (&[Move::Send, Move::LoseAnswer], State::UnknownOutcome),
        (
            &[Move::DeadLetter { reason: "2203".into(), answer: Some("no".into()) }],
            State::DeadLetter { reason: "2203".into(), answer: Some("no".into()) },
        ),
        (&[Move::Expire], State::Expired),
        (&[Move::Drop { by: "uid 5".into() }], State::Dropped { by: "uid 5".into() }),
    ];
    for (number, (steps, state)) in (1..).zip(paths) {
        let job = desk.add(number, Api::V3, Born::New);
        for step in steps {
            desk.go(job, step.clone()).unwrap();
        }
        assert_eq!(desk.info(job).state, state);
        let shown = desk.store.read(|tx| queue::show(tx, job)).unwrap();
        assert_eq!(shown.history.len(), steps.len() + 1);
        assert_eq!(shown.history.last().unwrap().state, state.name());
    }
    let only = Filter { state: Some(StateName::Expired), limit: 10, ..Filter::default() };
    assert_eq!(desk.store.read(|tx| queue::list(tx, &only)).unwrap().len(), 1);
    let totals = desk.store.read(queue::totals).unwrap();
    assert_eq!((totals.unfinished, totals.by_state["dropped"]), (4, 1));
}

#[test]
fn what_was_being_sent_is_unknown_after_a_restart_and_only_v1_is_looked_up() {
    let desk = desk();
    let (v3, v1) = (desk.add(1, Api::V3, Born::Sending), desk.add(2, Api::V1, Born::Sending));
    let waiting = desk.add(3, Api::V3, Born::New);
    let recovered = desk.write(queue::recover_at_start).unwrap();
    assert_eq!(recovered.unknown, [v3, v1]);
    assert_eq!(desk.info(v3).state, State::UnknownOutcome);
    assert_eq!(desk.due(), Some(waiting));
    let lookups = desk.store.read(|tx| queue::pending_lookups(tx, 10)).unwrap();
    assert_eq!(lookups.iter().map(|pending| pending.id).collect::<Vec<_>>(), [v1]);
    assert_eq!(lookups[0].remote, v1.to_string());
    assert!(desk.write(queue::recover_at_start).unwrap().unknown.is_empty());

    assert!(desk.write(|tx| queue::resolve_unknown(tx, &Queue::default())).unwrap().is_empty());
    let once = Queue { unknown_outcome: UnknownOutcome::ResubmitOnce, ..Queue::default() };
    assert_eq!(desk.write(|tx| queue::resolve_unknown(tx, &once)).unwrap(), [v3]);
    assert_eq!((desk.info(v3).state, desk.info(v3).resubmits), (State::New, 1));
    for step in [Move::Send, Move::LoseAnswer] {
        desk.go(v3, step).unwrap();
    }
    assert!(desk.write(|tx| queue::resolve_unknown(tx, &once)).unwrap().is_empty(), "once only");
}

#[test]
fn oldest_first_and_a_pause_lasts_over_a_restart_but_not_over_a_reboot() {
    let desk = desk();
    let (one, two) = (desk.add(1, Api::V3, Born::New), desk.add(2, Api::V3, Born::New));
    assert_eq!(desk.due(), Some(one));
    desk.go(one, Move::Send).unwrap();
    let answer = Answer::RefusedForCertain { retry_after: Some(Duration::from_secs(600)), answered: true };
    let course = after_failure(&answer, &desk.info(one).facts(), &Queue::default(), 3);
    desk.write(|tx| queue::apply(tx, one, &course)).unwrap();
    assert_eq!((desk.info(one).state, desk.info(one).tries), (State::New, 1));
    assert_eq!(desk.due(), Some(two));
    desk.go(two, Move::Expire).unwrap();
    assert_eq!(desk.due(), None);
    let wake = desk.store.read(queue::next_wake).unwrap().unwrap();
    assert_eq!(wake, BootTime::from_millis(660_000));
    desk.clock.set_wall(Wall::Unknown);
    desk.clock.advance(Duration::from_millis(599_999));
    assert_eq!(desk.due(), None);
    desk.clock.advance(Duration::from_millis(1));
    assert_eq!(desk.due(), Some(one));
    desk.write(|tx| queue::postpone(tx, one, HOUR)).unwrap();
    assert_eq!(desk.due(), None);
    desk.clock.reboot(BootId([2; 16]));
    assert_eq!(desk.due(), Some(one));
}

#[test]
fn a_poll_waits_longer_each_time() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::Sending);
    desk.go(job, accept()).unwrap();
    let polls = || desk.store.read(|tx| queue::pending_polls(tx, 10)).unwrap();
    assert_eq!((polls()[0].remote.as_str(), polls().len()), ("r-1", 1));
    for tries in 1..=12 {
        let delay = desk.write(|tx| queue::back_off(tx, job, &Queue::default())).unwrap();
        assert!(delay >= Duration::from_secs(5) && delay <= Duration::from_secs(1800));
        assert!(polls().is_empty());
        assert_eq!(desk.info(job).tries, tries);
        desk.clock.advance(delay);
        assert_eq!(polls().len(), 1);
    }
}

#[test]
fn a_paused_queue_sends_one_probe_when_its_time_has_come() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::New);
    desk.go(job, Move::Send).unwrap();
    let course = after_failure(&Answer::Unauthorised, &desk.info(job).facts(), &Queue::default(), 0);
    desk.write(|tx| queue::apply(tx, job, &course)).unwrap();
    assert_eq!(desk.due(), None);
    let pause = desk.store.read(queue::paused).unwrap().unwrap();
    assert_eq!((pause.reason, pause.probe_in), (PauseReason::Unauthorised, Some(HOUR / 2)));
    desk.clock.advance(HOUR / 2);
    let other = desk.add(2, Api::V3, Born::New);
    assert_eq!(desk.due(), Some(job));
    desk.go(job, Move::Send).unwrap();
    assert_eq!(desk.due(), None, "one probe, and not all the others after it");
    desk.clock.reboot(BootId([3; 16]));
    assert_eq!(desk.due(), Some(other), "the pause is there, the probe is due");
    assert!(desk.store.read(queue::paused).unwrap().is_some());
    assert!(desk.write(queue::resume).unwrap());
    assert_eq!(desk.store.read(queue::paused).unwrap(), None);

    desk.write(|tx| queue::pause(tx, PauseReason::Operator)).unwrap();
    desk.write(|tx| queue::pause(tx, PauseReason::Unpaid)).unwrap();
    desk.clock.advance(24 * HOUR);
    assert_eq!(desk.due(), None, "an operator's pause is not probed");
}

#[test]
fn what_waits_for_the_clock_goes_on_when_it_is_known() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::New);
    desk.go(job, Move::Hold(HeldReason::Clock)).unwrap();
    assert_eq!(desk.due(), None);
    assert_eq!(desk.write(queue::release_clock_held).unwrap(), 1);
    assert_eq!(desk.due(), Some(job));
}

#[test]
fn full_refuses_new_captures_and_says_why() {
    let desk = desk();
    let free = FreeSpace { bytes: 1 << 30, inodes: Some(1000) };
    let room = |config: &Queue, free| desk.store.read(|tx| queue::room(tx, config, free)).unwrap();
    let config = Queue { max_jobs: 2, max_mib: 16, min_free_mib: 64, ..Queue::default() };
    assert_eq!(room(&config, free), Ok(()));
    assert!(matches!(room(&config, FreeSpace { bytes: 64 << 20, ..free }), Err(Full::Disk { .. })));
    assert!(matches!(room(&config, FreeSpace { inodes: Some(3), ..free }), Err(Full::Inodes { .. })));
    assert_eq!(room(&config, FreeSpace { inodes: None, ..free }), Ok(()));
    desk.add(1, Api::V3, Born::New);
    let two = desk.add(2, Api::V3, Born::New);
    assert_eq!(room(&config, free), Err(Full::Jobs { jobs: 2, max: 2 }));
    desk.go(two, Move::Expire).unwrap();
    assert_eq!(room(&config, free), Ok(()));
    assert!(matches!(room(&Queue { max_mib: 1, ..config }, free), Err(Full::Database { .. })));
}

/// Rows that are no pictures fill the file too: captures stop long before a verdict or an event finds no room.
#[test]
fn a_file_full_of_old_rows_stops_captures_and_still_takes_verdicts() {
    let config = Queue { max_mib: 16, min_free_mib: 0, ..Queue::default() };
    let mut small = desk();
    let limit = queue::file_limit(&config);
    let path = small._dir.path().join("small.db");
    small.store =
        Store::open(Settings { max_bytes: limit, ..settings(&path, small.clock.clone()) }).unwrap().0;
    let desk = small;
    let job = desk.add(1, Api::V3, Born::Sending);
    desk.go(job, accept()).unwrap();
    let free = FreeSpace { bytes: 1 << 40, inodes: None };
    let room = || desk.store.read(|tx| queue::room(tx, &config, free)).unwrap();
    // The index holds the name a second time.
    let row = |kib: i64| {
        desk.write(|tx| {
            let sql = "INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('reader', hex(zeroblob(?1)), x'', 0)";
            Ok(tx.execute(sql, [kib << 8])?)
        })
    };
    let mut rows = 0;
    while room().is_ok() {
        row(1024).expect("full before captures were refused");
        rows += 1;
    }
    assert!(matches!(room(), Err(Full::File { .. })), "{:?}", room());
    assert!(rows > 16, "{rows} MiB: more than the pictures alone may fill");
    // What was under way when captures stopped: the largest capture, its verdict, and some hundred events more.
    row(4608).unwrap();
    desk.go(job, approved()).unwrap();
    for _ in 0..300 {
        row(1).unwrap();
    }
}

#[test]
fn the_old_expires_and_the_unresolved_loses_its_pictures_at_its_hour() {
    let desk = desk();
    let waiting = desk.add(1, Api::V3, Born::New);
    let lost = desk.add(2, Api::V3, Born::Sending);
    desk.go(lost, Move::LoseAnswer).unwrap();
    let accepted = desk.add(3, Api::V1, Born::Sending);
    desk.go(accepted, accept()).unwrap();
    let sweep = || desk.write(|tx| queue::sweep(tx, &Queue::default(), &Retention::default())).unwrap();
    desk.clock.set_wall(Wall::Unknown);
    for (hours, expected) in [(24, (waiting, true)), (48, (lost, false))] {
        desk.clock.advance(hours * HOUR - Duration::from_millis(1));
        assert!(sweep().is_empty());
        desk.clock.advance(Duration::from_millis(1));
        let swept: Vec<_> = sweep().iter().map(|s| (s.id, s.what == SweptWhat::Expired)).collect();
        assert_eq!(swept, [expected]);
    }
    assert_eq!(desk.info(waiting).state, State::Expired);
    assert_eq!(desk.info(lost).state, State::UnknownOutcome);
    assert!(!desk.info(lost).has_images && desk.info(accepted).has_images);
    let before = desk.store.commits();
    assert!(sweep().is_empty());
    assert_eq!(desk.store.commits(), before, "an idle sweep writes nothing");
    for refused in [
        desk.write(|tx| queue::retry(tx, lost)),
        desk.store.read(|tx| queue::export(tx, &desk.key, lost)).map(|_| ()),
    ] {
        assert!(matches!(refused, Err(QueueError::ImagesErased(_))), "{refused:?}");
    }
    assert!(matches!(desk.write(|tx| queue::retry(tx, waiting)), Err(QueueError::Illegal { .. })));
}

#[test]
fn retention_counts_time_on_over_reboots_without_a_clock() {
    let desk = desk();
    desk.clock.set_wall(Wall::Unknown);
    let lost = desk.add(1, Api::V3, Born::Sending);
    desk.go(lost, Move::LoseAnswer).unwrap();
    let sweep = || desk.write(|tx| queue::sweep(tx, &Queue::default(), &Retention::default())).unwrap();
    for boot in 2..=4 {
        // Housekeeping in each of three boots of 20 hours: 60 hours so far.
        for _ in 0..20 {
            desk.clock.advance(HOUR);
            assert!(sweep().is_empty());
        }
        desk.clock.reboot(BootId([boot; 16]));
        desk.write(queue::recover_at_start).unwrap();
    }
    desk.clock.advance(11 * HOUR);
    assert!(sweep().is_empty());
    desk.clock.advance(HOUR);
    assert_eq!(sweep().len(), 1);
}

#[test]
fn an_operator_retries_exports_and_drops() {
    let desk = desk();
    let job = desk.add(1, Api::V3, Born::New);
    desk.go(job, Move::DeadLetter { reason: "rejected".into(), answer: None }).unwrap();
    let export = desk.store.read(|tx| queue::export(tx, &desk.key, job)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&export.json).unwrap();
    assert_eq!(
        (json["details"]["given_names"].as_str(), json["state"].as_str()),
        (Some("Ada"), Some("dead_letter"))
    );
    assert_eq!((export.images.len(), export.images[8].0.as_str()), (9, "liveness_7.jpg"));
    assert!(!format!("{export:?}").contains("Ada"));
    desk.write(|tx| queue::retry(tx, job)).unwrap();
    assert_eq!(desk.due(), Some(job));
    desk.write(|tx| queue::drop(tx, job, "uid 1000")).unwrap();
    assert_eq!(desk.info(job).state, State::Dropped { by: "uid 1000".into() });
    assert_eq!(desk.rows("images"), 0);
}

#[test]
fn a_job_is_there_after_the_process_was_killed() {
    const PLACE: &str = "LATCHD_TEST_KILLED_AT";
    if let Some(dir) = std::env::var_os(PLACE) {
        let clock = Arc::new(ManualClock::new(BootTime::from_millis(1), Wall::Unknown));
        let (store, _) = Store::open(settings(&Path::new(&dir).join("latchd.db"), clock)).unwrap();
        store.write(|tx| enqueue(tx, &key(), id(5), Api::V3, Born::Sending)).unwrap();
        println!("durable");
        // Until the parent kills this process; its end of the pipe never says anything.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_job_is_there_after_the_process_was_killed", "--nocapture"])
        .env(PLACE, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("durable")), "the child ended early");
    child.kill().unwrap();
    child.wait().unwrap();

    let clock = Arc::new(ManualClock::new(BootTime::from_millis(9), Wall::Unknown));
    let (store, _) = Store::open(settings(&dir.path().join("latchd.db"), clock)).unwrap();
    let job = store.read(|tx| queue::load(tx, &key(), id(5))).unwrap();
    assert_eq!((job.pictures_of(PictureKind::Liveness).count(), job.info.state), (8, State::Sending));
    let recovered = store.write(queue::recover_at_start).unwrap();
    assert_eq!(recovered.unknown, [id(5)]);
}

#[test]
fn the_counts_of_unfinished_jobs_come_from_an_index() {
    let desk = desk();
    for sql in [
        "SELECT count(*) FROM jobs WHERE state = 'sending'",
        "SELECT count(*) FROM jobs WHERE state = 'held'",
        "SELECT count(*) FROM jobs WHERE state = 'dead_letter'",
    ] {
        let plan = desk
            .store
            .read(|tx| tx.all(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get::<_, String>(3)))
            .map_err(plain)
            .unwrap();
        assert!(plan.iter().all(|step| step.contains("INDEX jobs_")), "{sql}: {plan:?}");
    }
}

#[test]
fn a_job_that_is_tried_for_days_keeps_the_first_and_last_time_of_each_state() {
    let desk = desk();
    let id = desk.add(1, Api::V3, Born::Sending);
    for _ in 0..50 {
        desk.go(id, Move::NotSent).unwrap();
        desk.go(id, Move::Send).unwrap();
        desk.clock.advance(HOUR);
    }
    assert!(desk.rows("job_times") <= 4, "{}", desk.rows("job_times"));
    assert_eq!(desk.info(id).tries, 50, "and waits longer each time");
}
