//! A database that was damaged anywhere is found damaged or read as it was written, is never changed, and what verifies of it
//! comes back: never more, and nothing else than what was there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use latchd::access::{AttemptId, JobId, PictureKind, Product, Task, UserId};
use latchd::agent::recover::{self, Order, Recovered};
use latchd::clock::{BootTime, ManualClock, SystemRandom, Wall, WallTime};
use latchd::config::Config;
use latchd::people::{self, Consent, Contact, NewPerson, OnExisting};
use latchd::queue::{self, Api, Born, Move, NewJob, QueueError, StateName};
use latchd::store::{DeviceKey, Mode, Opening, Settings, Store, StoreError};

const PEOPLE: u8 = 40;
const JOBS: u8 = 12;
const KEY: [u8; 32] = [7; 32];
const WALL: &str = "2026-06-01T12:00:00Z";

fn key() -> DeviceKey {
    DeviceKey::from_bytes(&KEY).unwrap()
}

fn open(path: &Path) -> Result<(Store, Opening), StoreError> {
    let wall = Wall::Known(WallTime::from_rfc3339(WALL).unwrap());
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(60_000), wall));
    let random = Arc::new(SystemRandom);
    let path = path.to_owned();
    Store::open(Settings { path, vfs: None, clock, random, mode: Mode::ReadWrite, max_bytes: 256 << 20 })
}

fn person(number: u8) -> NewPerson {
    NewPerson {
        user_id: UserId::parse(&format!("emp-{number:04}")).unwrap(),
        may_open: true,
        contact: Contact {
            given_names: format!("Given{number}"),
            last_name: "Test".into(),
            email: Some(format!("p{number}@example.com")),
            phone: None,
        },
        consent: Some(Consent {
            granted_at: WallTime::from_rfc3339("2026-05-01T12:00:00Z").unwrap(),
            language: "EN".into(),
            policy_url: "https://example.com/privacy".into(),
        }),
    }
}

fn picture(job: u8, number: u8) -> Vec<u8> {
    vec![job ^ number; 3000 + usize::from(job) * 100]
}

/// A device's state directory with people and jobs in every unfinished state.
fn site(directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    write_key(directory);
    let path = directory.join("latchd.db");
    let (store, _) = open(&path).unwrap();
    let key = key();
    latchd::store::check_key(&store, &key.audit(), true).unwrap();
    for number in 0..PEOPLE {
        store.write(|tx| people::add(tx, &key.people(), &person(number), OnExisting::Refuse)).unwrap();
    }
    for number in 0..JOBS {
        let pictures: Vec<Vec<u8>> = (0..9).map(|index| picture(number, index)).collect();
        let kinds = std::iter::once(PictureKind::Selfie).chain([PictureKind::Liveness; 8]);
        let pictures: Vec<_> = kinds.zip(pictures.iter().map(Vec::as_slice)).collect();
        let (id, user) = (JobId([number + 1; 16]), person(number).user_id);
        let step = |step: Move| store.write(|tx| queue::transition(tx, id, &step)).unwrap();
        store
            .write(|tx| {
                queue::enqueue(
                    tx,
                    &key.queue(),
                    &NewJob {
                        id,
                        attempt: Some(AttemptId([number; 16])),
                        user_id: &user,
                        task: Task::Door(Product::Authentication),
                        api: Api::V3,
                        allow_new_enroll: false,
                        details: br#"{"given_names":"Ada"}"#,
                        pictures: &pictures,
                        born: Born::New,
                    },
                )
            })
            .unwrap();
        match number % 4 {
            1 => step(Move::Send),
            2 => {
                step(Move::Send);
                step(Move::Accept { remote: format!("job_{number}") });
            }
            3 => {
                step(Move::Send);
                step(Move::LoseAnswer);
            }
            _ => {}
        }
    }
    store
        .write(|tx| {
            people::set_lockout(
                tx,
                people::Subject::User(&person(3).user_id),
                std::time::Duration::from_secs(600),
            )
        })
        .unwrap();
    store.settle().unwrap();
    drop(store);
    path
}

fn write_key(directory: &Path) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let path = directory.join("device.key");
    options.create_new(true).write(true).mode(0o600).open(path).unwrap().write_all(&KEY).unwrap();
}

fn config(directory: &Path) -> Config {
    let mut config: Config = toml::from_str("").unwrap();
    config.device.state_dir = directory.to_owned();
    config.device.device_key_file = directory.join("device.key");
    config
}

fn salvage(directory: &Path, file: &Path, trust_permissions: bool) -> Recovered {
    let order = Order { file: file.to_owned(), device_key: None, trust_permissions };
    recover::run(&config(directory), &order).unwrap()
}

/// Everything that came back is exactly what was there.
fn judge(directory: &Path, recovered: &Recovered) {
    let (store, _) = open(&directory.join("latchd.db")).unwrap();
    let key = key();
    let listed = store.read(people::list).unwrap();
    assert_eq!(listed.len(), usize::try_from(recovered.people).unwrap());
    for one in listed {
        let number: u8 = one.user_id.as_str()[4..].parse().unwrap();
        assert!(!one.may_open, "a damaged file gives nobody the right to open");
        let shown = store.read(|tx| people::show(tx, &key.people(), &one.user_id)).unwrap().unwrap();
        assert_eq!(shown.contact, person(number).contact);
    }
    let rows = store.read(|tx| queue::list(tx, &queue::Filter::default())).unwrap();
    assert_eq!(rows.len(), usize::try_from(recovered.jobs).unwrap());
    for row in rows {
        let number = row.id.0[0] - 1;
        let state = row.state.name();
        // What the service may have is never new again.
        match number % 4 {
            0 => assert_eq!(state, StateName::New),
            2 => assert_eq!(
                (state, row.remote.as_deref()),
                (StateName::Accepted, Some(&*format!("job_{number}")))
            ),
            _ => assert_eq!(state, StateName::UnknownOutcome),
        }
        if row.has_images {
            let pictures = store
                .read(|tx| {
                    let job = queue::load(tx, &key.queue(), row.id)?;
                    job.pictures
                        .iter()
                        .map(|kept| queue::whole(tx, &job, kept))
                        .collect::<Result<Vec<_>, QueueError>>()
                })
                .unwrap();
            for (index, jpeg) in (0..).zip(pictures) {
                assert_eq!(jpeg.0, picture(number, index));
            }
        }
    }
}

#[test]
fn all_comes_back_from_a_whole_file_and_the_right_to_open_only_when_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let old = site(&dir.path().join("old"));
    let fresh = dir.path().join("fresh");
    std::fs::create_dir_all(&fresh).unwrap();
    write_key(&fresh);
    drop(open(&fresh.join("latchd.db")).unwrap());
    let before = std::fs::read(&old).unwrap();
    let recovered = salvage(&fresh, &old, false);
    let wanted = Recovered { people: PEOPLE.into(), lockouts: 1, jobs: JOBS.into(), ..Recovered::default() };
    assert_eq!(recovered, wanted);
    judge(&fresh, &recovered);
    assert_eq!(std::fs::read(&old).unwrap(), before, "what was set aside stays as it is");

    let again = salvage(&fresh, &old, false);
    assert_eq!(
        (again.people, again.jobs, again.people_known),
        (0, 0, PEOPLE.into()),
        "a second time changes nothing"
    );

    let trusting = dir.path().join("trusting");
    std::fs::create_dir_all(&trusting).unwrap();
    write_key(&trusting);
    drop(open(&trusting.join("latchd.db")).unwrap());
    salvage(&trusting, &old, true);
    let (store, _) = open(&trusting.join("latchd.db")).unwrap();
    assert!(store.read(people::list).unwrap().iter().all(|one| one.may_open));
}

/// A small generator: the same 200 cases each time.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn two_hundred_damages_are_found_or_harmless_and_what_verifies_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(site(&dir.path().join("old"))).unwrap();
    let mut seed = 42;
    let (mut set_aside, mut people_back, mut jobs_back) = (0, 0, 0);
    for case in 0..200 {
        let place = dir.path().join(format!("case-{case}"));
        std::fs::create_dir_all(&place).unwrap();
        write_key(&place);
        let path = place.join("latchd.db");
        let mut bytes = whole.clone();
        let at = usize::try_from(next(&mut seed)).unwrap() % bytes.len();
        let length = [1, 16, 512, 4096, 20_000][case % 5].min(bytes.len() - at);
        for byte in &mut bytes[at..at + length] {
            *byte ^= u8::try_from(next(&mut seed) % 255 + 1).unwrap();
        }
        std::fs::write(&path, &bytes).unwrap();
        let opened =
            open(&path).unwrap_or_else(|error| panic!("case {case}, {length} bytes at {at}: {error}"));
        let Opening::Quarantined { moved, .. } = opened.1 else {
            // Not met at start: what was hit does not open, and what opens is what was written.
            let (store, key) = (opened.0, key());
            for number in 0..JOBS {
                let read: Result<Vec<_>, QueueError> = store.read(|tx| {
                    let job = queue::load(tx, &key.queue(), JobId([number + 1; 16]))?;
                    job.pictures.iter().map(|kept| queue::whole(tx, &job, kept)).collect()
                });
                for (index, jpeg) in (0..).zip(read.unwrap_or_default()) {
                    assert_eq!(jpeg.0, picture(number, index), "case {case}");
                }
            }
            drop(store);
            std::fs::remove_dir_all(&place).unwrap();
            continue;
        };
        drop(opened.0);
        set_aside += 1;
        assert_eq!(std::fs::read(&moved[0]).unwrap(), bytes, "renamed, never changed");
        // The daemon would have said so by now; commands wait for it.
        rusqlite::Connection::open(&path).unwrap().execute("DELETE FROM facts", []).unwrap();
        let order = Order { file: moved[0].clone(), device_key: None, trust_permissions: false };
        if let Ok(recovered) = recover::run(&config(&place), &order) {
            judge(&place, &recovered);
            people_back += recovered.people;
            jobs_back += recovered.jobs;
        }
        assert_eq!(std::fs::read(&moved[0]).unwrap(), bytes);
        std::fs::remove_dir_all(&place).unwrap();
    }
    println!("{set_aside} of 200 set aside; back: {people_back} people, {jobs_back} jobs");
    assert!(set_aside >= 50, "only {set_aside} damages were found");
    // Forty people and twelve jobs each, less what the damage hit.
    assert!(
        people_back > set_aside * 20 && jobs_back > set_aside * 6,
        "{people_back} people, {jobs_back} jobs of {set_aside}"
    );
}
