//! The jobs of a dead device go on from another: as they were, once, and all of a set or none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

use latchd::access::{Check, JobId, PictureKind, Product, Task, UserId};
use latchd::clock::{BootId, SystemRandom};
use latchd::config::model::{Queue, Retention, UnknownOutcome};
use latchd::queue::policy::Class;
use latchd::queue::{
    self, Api, Born, Filter, HeldReason, Move, NewJob, Private, QueueError, SetReader, SetWriter,
};
use latchd::queue::{State, StateName};
use latchd::store::{DeviceKey, QueueKey};
use proptest::prelude::*;
use std::sync::LazyLock;

#[path = "support/desk.rs"]
mod desk;
use desk::*;
#[path = "support/site.rs"]
mod site;
use site::{Options, Site};

/// All unfinished jobs of a desk as a set for `key`.
fn written(desk: &Desk, key: &Private) -> Vec<u8> {
    let mut set = SetWriter::begin(Vec::new(), &key.public(), "north gate", &SystemRandom).unwrap();
    for row in desk.store.read(|tx| queue::list(tx, &Filter::default())).unwrap() {
        if matches!(row.state.name(), StateName::Decided | StateName::Expired | StateName::Dropped) {
            continue;
        }
        let job = row.has_images.then(|| desk.store.read(|tx| queue::load(tx, &desk.key, row.id)).unwrap());
        set.add(&row, job.as_ref(), |job, picture, part| {
            desk.store.read(|tx| queue::part(tx, job, &job.pictures[picture], part))
        })
        .unwrap();
    }
    set.end().unwrap()
}

/// Reads a whole set without keeping anything.
fn read(set: &[u8], key: &Private) -> Result<usize, QueueError> {
    let mut reader = SetReader::begin(set, key)?;
    let mut jobs = 0;
    while reader.job()?.is_some() {
        jobs += 1;
    }
    Ok(jobs)
}

fn take_all(desk: &Desk, key: &QueueKey, set: &[u8], private: &Private) {
    let mut reader = SetReader::begin(set, private).unwrap();
    assert_eq!(reader.door(), "north gate");
    while let Some(job) = reader.job().unwrap() {
        desk.write(|tx| queue::take_in(tx, key, &job)).unwrap();
    }
}

fn add(desk: &Desk, number: u8, task: Task, api: Api, large: usize) -> JobId {
    let user = UserId::parse("emp-0042").unwrap();
    let front: Vec<u8> = (0..large).map(|at| (at % 251) as u8).collect();
    let job = NewJob {
        id: id(number),
        attempt: None,
        user_id: &user,
        task,
        api,
        allow_new_enroll: false,
        details: DETAILS,
        pictures: &[
            (PictureKind::Selfie, b"the selfie of somebody"),
            (PictureKind::Liveness, b"one"),
            (PictureKind::Liveness, b"two"),
            (PictureKind::DocumentFront, &front),
        ],
        born: Born::New,
    };
    desk.write(|tx| queue::enqueue(tx, &desk.key, &job)).unwrap();
    id(number)
}

/// One job in each state that travels, and one that does not.
fn dead() -> Desk {
    let desk = desk();
    let (door, check) = (Task::Door(Product::Registration), Task::Check(Check::DocumentVerification));
    for (number, task, api, steps) in [
        (1, door, Api::V3, &[][..]),
        (2, check, Api::V3, &[]),
        (3, door, Api::V3, &[Move::Send]),
        (4, door, Api::V3, &[Move::Send, Move::LoseAnswer]),
        (5, door, Api::V1, &[Move::Send, accept()]),
        (6, door, Api::V3, &[Move::Send, accept()]),
        (7, check, Api::V3, &[Move::Hold(HeldReason::Clock)]),
        (8, door, Api::V3, &[Move::Send, accept(), Move::Hold(HeldReason::Attention)]),
        (9, check, Api::V1, &[Move::Send, Move::LoseAnswer, Move::Retry]),
        (10, door, Api::V3, &[Move::Expire]),
    ] {
        let job = add(&desk, number, task, api, 150_000);
        for step in steps {
            desk.go(job, step.clone()).unwrap();
        }
    }
    desk
}

#[test]
fn each_job_arrives_as_it_was_and_what_may_be_at_the_service_is_not_sent_again() {
    let (old, key) = (dead(), Private::random(&SystemRandom));
    let set = written(&old, &key);
    assert_eq!(read(&set, &key).unwrap(), 9);
    assert!(!set.windows(8).any(|window| window == b"emp-0042"));
    let new = desk();
    new.clock.reboot(BootId([77; 16]));
    new.clock.advance(10 * HOUR);
    let own = DeviceKey::from_bytes(&[4; 32]).unwrap().queue();
    take_all(&new, &own, &set, &key);
    for number in 1..=9 {
        let (then, now) = (old.info(id(number)), new.info(id(number)));
        let expected = if number == 3 { State::UnknownOutcome } else { then.state.clone() };
        assert_eq!(now.state, expected, "job {number}");
        assert_eq!(
            (now.task, now.api, now.class, now.remote),
            (then.task, then.api, then.class, then.remote)
        );
        assert_eq!(
            (&now.user_id, now.has_images, now.bytes),
            (&then.user_id, then.has_images, then.bytes * u64::from(then.has_images))
        );
        assert_eq!(now.created.wall, then.created.wall);
        if !then.has_images {
            continue;
        }
        let (before, after) = (
            old.store.read(|tx| queue::load(tx, &old.key, id(number))).unwrap(),
            new.store.read(|tx| queue::load(tx, &own, id(number))).unwrap(),
        );
        assert!(before.pictures == after.pictures && before.details == after.details, "job {number}");
    }
    assert_eq!(new.info(id(9)).class, Class::Retried);
    // Whatever this device is configured to do with lost answers of its own.
    let once = Queue { unknown_outcome: UnknownOutcome::ResubmitOnce, ..Queue::default() };
    assert!(new.write(|tx| queue::resolve_unknown(tx, &once)).unwrap().is_empty());
    // Its age goes on: an enrolment expires a week after it was made, not after it arrived.
    new.clock.advance(157 * HOUR);
    let sweep = || new.write(|tx| queue::sweep(tx, &Queue::default(), &Retention::default())).unwrap();
    assert!(sweep().iter().all(|swept| swept.id != id(1)));
    new.clock.advance(HOUR);
    assert!(sweep().iter().any(|swept| swept.id == id(1)));
    // A second time it is there already.
    let mut reader = SetReader::begin(set.as_slice(), &key).unwrap();
    let first = reader.job().unwrap().unwrap();
    let again = new.write(|tx| queue::take_in(tx, &own, &first));
    assert!(matches!(again, Err(QueueError::Exists(_))), "{again:?}");
}

static SET: LazyLock<(Vec<u8>, Private)> = LazyLock::new(|| {
    let (desk, key) = (desk(), Private::random(&SystemRandom));
    for number in 1..=3 {
        add(&desk, number, Task::Check(Check::DocumentVerification), Api::V3, 100);
    }
    (written(&desk, &key), key)
});

proptest! {
    #[test]
    fn a_set_that_was_changed_or_cut_off_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let (set, key) = &*SET;
        let mut changed = set.clone();
        changed[at.index(set.len())] ^= flip;
        prop_assert!(matches!(read(&changed, key), Err(QueueError::Set(_))));
        prop_assert!(matches!(read(&set[..at.index(set.len())], key), Err(QueueError::Set(_))));
    }
}

#[test]
fn a_set_opens_for_its_key_alone_and_keeps_its_order() {
    let (set, key) = &*SET;
    assert_eq!(read(set, key).unwrap(), 3);
    let other = read(set, &Private::random(&SystemRandom)).unwrap_err();
    assert!(other.to_string().contains("another key"), "{other}");
    let longer: Vec<u8> = set.iter().copied().chain([0]).collect();
    assert!(read(&longer, key).is_err(), "something behind its end");
    // Frames lie behind the line and the two keys.
    let mut frames = Vec::new();
    let mut at = 17 + 64;
    while at < set.len() {
        let length = u32::from_be_bytes(set[at..at + 4].try_into().unwrap()) & !(1 << 31);
        let end = at + 4 + length as usize;
        frames.push(set[at..end].to_vec());
        at = end;
    }
    let joined = |frames: &[Vec<u8>]| [&set[..17 + 64], &frames.concat()].concat();
    assert_eq!(joined(&frames), *set);
    for index in 0..frames.len() {
        let mut without = frames.clone();
        let frame = without.remove(index);
        assert!(read(&joined(&without), key).is_err(), "without frame {index}");
        let mut twice = frames.clone();
        twice.insert(index, frame);
        assert!(read(&joined(&twice), key).is_err(), "frame {index} twice");
        assert!(read(&joined(&frames[..index]), key).is_err(), "cut off before frame {index}");
        if index > 0 {
            let mut moved = frames.clone();
            moved.swap(index - 1, index);
            assert!(read(&joined(&moved), key).is_err(), "frames {index} and before exchanged");
        }
    }
    for text in ["", "latchd-set-key-1 AAAA\n", &key.public().to_text()] {
        assert!(Private::parse(text).is_err());
    }
    assert_eq!(queue::Public::parse(&key.public().to_text()).unwrap(), key.public());
    assert_eq!(Private::parse(&key.to_text()).unwrap().public(), key.public());
    assert!(format!("{key:?}").contains("hidden"));
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// 60 MB of pictures come and go with one job in memory.
#[test]
fn a_set_is_a_stream() {
    let (desk, key) = (desk(), Private::random(&SystemRandom));
    for number in 1..=40 {
        add(&desk, number, Task::Check(Check::DocumentVerification), Api::V3, 1_500_000);
    }
    let file = desk._dir.path().join("jobs.set");
    let before = peak();
    let out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
    let mut set = SetWriter::begin(out, &key.public(), "door", &SystemRandom).unwrap();
    for number in 1..=40 {
        let job = desk.store.read(|tx| queue::load(tx, &desk.key, id(number))).unwrap();
        set.add(&job.info, Some(&job), |job, picture, part| {
            desk.store.read(|tx| queue::part(tx, job, &job.pictures[picture], part))
        })
        .unwrap();
    }
    drop(set.end().unwrap());
    assert!(std::fs::metadata(&file).unwrap().len() > 60_000_000);
    let mut reader =
        SetReader::begin(std::io::BufReader::new(std::fs::File::open(&file).unwrap()), &key).unwrap();
    let mut jobs = 0;
    while reader.job().unwrap().is_some() {
        jobs += 1;
    }
    assert_eq!(jobs, 40);
    assert!(peak() - before < 10_000, "{} KiB more", peak() - before);
}

/// From one device to another by the commands alone.
#[test]
fn a_dead_devices_jobs_are_decided_by_another() {
    let mut old = Site::open(&Options::default());
    old.stop_sandbox();
    let job = old.authenticate("approved").word("job").to_owned();
    let second = old.authenticate("denied").word("job").to_owned();
    let path = |name: &str| old.path(name).display().to_string();
    let (key, recipient, set) = (path("rescue.key"), path("rescue.key.pub"), path("dead.set"));
    let export = |site: &Site| site.latchd(&["queue", "export-set", "--to", &set, "--recipient", &recipient]);
    assert_eq!(old.latchd(&["queue", "keygen", "--to", &key]).exit, 0);
    assert_eq!(old.latchd(&["queue", "keygen", "--to", &key]).exit, 2, "no key is overwritten");
    assert_eq!(export(&old).exit, 2, "a daemon runs");
    let old = {
        old.stop_daemon();
        old
    };
    let exported = export(&old);
    assert_eq!((exported.exit, &exported.last["jobs"]), (0, &2.into()), "{exported:?}");
    assert_eq!(export(&old).exit, 2, "no set is overwritten");
    let bytes = std::fs::read(&set).unwrap();

    let mut new = Site::open(&Options::default());
    new.stop_sandbox();
    let import =
        |site: &Site, file: &str, key: &str| site.latchd(&["queue", "import-set", file, "--key", key]);
    assert_eq!(import(&new, &set, &key).exit, 2, "a daemon runs");
    new.stop_daemon();
    let spoilt = new.path("spoilt.set").display().to_string();
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &[bytes.as_slice(), b"x"].concat()]
    {
        std::fs::write(&spoilt, damaged).unwrap();
        let refused = import(&new, &spoilt, &key);
        assert_eq!((refused.exit, new.jobs().len()), (1, 0), "{refused:?}");
    }
    let taken = import(&new, &set, &key);
    assert_eq!(
        (taken.exit, &taken.last["jobs"], &taken.last["present"]),
        (0, &2.into(), &0.into()),
        "{taken:?}"
    );
    let again = import(&new, &set, &key);
    assert_eq!(
        (again.exit, &again.last["jobs"], &again.last["present"]),
        (0, &0.into(), &2.into()),
        "{again:?}"
    );

    let events = new.latchd(&["events"]).lines;
    let imported: Vec<_> = events.iter().filter(|line| line["event"] == "job_imported").collect();
    assert_eq!(imported.len(), 2);
    assert_eq!(imported[0]["fields"]["set"], exported.last["set"]);
    assert!(old.has_event("set_exported"));
    new.start_sandbox();
    new.start_daemon();
    for job in [&job, &second] {
        new.wait("the other device's job is decided", |site| {
            site.jobs().iter().any(|row| row["job"] == **job && row["state"] == "decided")
        });
    }
    assert_eq!(new.latchd(&["events", "--verify"]).last["whole"], true);
    assert!(new.edges().is_empty() || new.is_locked(), "and no door opened");
    assert_eq!(new.openings(), 0);
}
