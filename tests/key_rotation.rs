//! A new device key: everything that was sealed opens with it, nothing opens with the old one, the events can still be
//! verified, and a process that is killed at any step leaves a database and a key that belong together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

use latchd::agent::rotate::{self, Step};
use latchd::audit::{self, Breach, Event, Rule};
use latchd::clock::{SystemRandom, Wall};
use latchd::config::Config;
use latchd::queue::{self, Api, Born, QueueError};
use latchd::store::{self, DeviceKey, StoreError};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

#[path = "support/desk.rs"]
mod desk;
use desk::*;
#[path = "support/site.rs"]
mod site;
use site::{Options, Site};

fn device_key(byte: u8) -> DeviceKey {
    DeviceKey::from_bytes(&[byte; 32]).unwrap()
}

fn event(kind: &'static str) -> Event<'static> {
    Event { kind, door: "door", attempt: None, job: None, subject: None, fields: BTreeMap::new() }
}

/// Some events under each of the keys, one after the other.
fn chain(desk: &Desk, keys: &[u8]) {
    let append = |byte: u8| {
        for _ in 0..3 {
            let kept = desk.store.write(|tx| audit::append(tx, &device_key(byte).audit(), &event("claim")));
            kept.unwrap();
        }
    };
    append(keys[0]);
    for pair in keys.windows(2) {
        let (old, new) = (device_key(pair[0]).audit(), device_key(pair[1]).audit());
        let changed = desk.store.write(|tx| audit::rotate(tx, (&old, &new), &event("last"), &event("first")));
        changed.unwrap();
        append(pair[1]);
    }
}

#[test]
fn events_under_older_keys_are_verified_and_no_change_to_them_passes() {
    let verify =
        |desk: &Desk, byte: u8| desk.store.read(|tx| audit::verify(tx, &device_key(byte).audit(), None));
    let desk = desk();
    chain(&desk, &[1, 2, 3]);
    let whole = verify(&desk, 3).unwrap();
    assert_eq!((whole.rows, whole.broken_at), (13, None));
    assert!(verify(&desk, 1).is_err() && verify(&desk, 2).is_err());

    // Whoever has the old key alone can sign a row of its time anew; the first event under the new key betrays it.
    for (change, at) in [
        ("UPDATE events SET kind = 'other' WHERE seq = 2", Some(2)),
        ("UPDATE events SET mac = zeroblob(32) WHERE seq = 4", Some(4)),
        ("DELETE FROM events WHERE seq = 4", Some(4)),
        ("UPDATE facts SET name = 'audit_key_until_6' WHERE name = 'audit_key_until_4'", None),
        ("DELETE FROM facts WHERE name = 'audit_key_until_4'", Some(1)),
        ("UPDATE facts SET value = hex(zeroblob(73)) WHERE name = 'audit_key_until_4'", None),
    ] {
        let desk = desk::desk();
        chain(&desk, &[1, 2, 3]);
        desk.write(|tx| {
            for sql in ["DROP TRIGGER events_never_change", "DROP TRIGGER events_never_go", change] {
                tx.execute(sql, [])?;
            }
            Ok(())
        })
        .unwrap();
        match (verify(&desk, 3), at) {
            (Ok(found), Some(at)) => {
                let (seq, breach) = found.broken_at.expect(change);
                assert!(seq == at && breach != Breach::HeadNotFound, "{change}: {seq} {breach:?}");
            }
            (Err(_), None) => {}
            (other, _) => panic!("{change}: {other:?}"),
        }
    }
}

/// Events that were signed under the first of two older keys are gone, and the key with them.
#[test]
fn an_anchor_goes_over_to_the_new_key_and_keys_of_what_is_gone_go() {
    let rule = Rule { age: None, most: 1, least: 0, at_once: 2 };
    let prune = |desk: &Desk, byte: u8| {
        let key = device_key(byte).audit();
        desk.store.write(|tx| audit::prune(tx, &key, &rule, Wall::Unknown, None)).unwrap().is_some()
    };
    let older = |desk: &Desk| {
        let sql = "SELECT count(*) FROM facts WHERE name LIKE 'audit_key_until_%'";
        desk.store.read(|tx| tx.one(sql, [], |row| row.get::<_, u32>(0))).unwrap().unwrap()
    };
    let rotate = |desk: &Desk, from: u8, to: u8| {
        let (old, new) = (device_key(from).audit(), device_key(to).audit());
        desk.store.write(|tx| audit::rotate(tx, (&old, &new), &event("last"), &event("first"))).unwrap();
    };
    let broken = |desk: &Desk, byte: u8| {
        desk.store.read(|tx| audit::verify(tx, &device_key(byte).audit(), None)).unwrap().broken_at
    };
    for forged in [false, true] {
        let desk = desk();
        chain(&desk, &[1, 2]);
        assert!(prune(&desk, 2) && older(&desk) == 1, "two of the first key's four are left");
        if forged {
            desk.write(|tx| Ok(tx.execute("UPDATE events_anchor SET wall_ms = 9", [])?)).unwrap();
        }
        rotate(&desk, 2, 3);
        let expected = forged.then_some((3, Breach::AnchorWrong));
        assert_eq!((broken(&desk, 3), older(&desk)), (expected, 2));
        if !forged {
            assert!(prune(&desk, 3) && older(&desk) == 1);
            assert_eq!(broken(&desk, 3), None);
            let append =
                |tx: &store::Transaction<'_>| audit::append(tx, &device_key(3).audit(), &event("claim"));
            for _ in 0..2 {
                desk.store.write(append).unwrap();
            }
            while prune(&desk, 3) {}
            assert_eq!((broken(&desk, 3), older(&desk)), (None, 0));
        }
    }
}

#[test]
fn jobs_go_over_to_the_new_key_and_leave_the_old_one() {
    let desk = desk();
    for number in 1..=5 {
        desk.add(number, Api::V3, Born::New);
    }
    desk.write(|tx| {
        tx.execute("UPDATE job_keys SET wrapped = zeroblob(73) WHERE job = 5", [])?;
        Ok(())
    })
    .unwrap();
    let new = device_key(8).queue();
    assert_eq!(desk.write(|tx| queue::rewrap(tx, &desk.key, &new)).unwrap(), (4, 1));
    let load = |key, number| desk.store.read(|tx| queue::load(tx, key, id(number)));
    for number in 1..=4 {
        assert_eq!(load(&new, number).unwrap().details.as_slice(), DETAILS);
        let refused = load(&desk.key, number);
        assert!(matches!(refused, Err(QueueError::Store(StoreError::Unsealable { .. }))), "{refused:?}");
    }
    assert!(load(&new, 5).is_err(), "what could not be read stays so");
}

/// The three places where a crash can fall, and what the next opening makes of each.
#[test]
fn the_key_that_the_database_says_is_the_one_that_counts() {
    for (committed, installed) in [(false, false), (true, false), (true, true)] {
        let desk = desk();
        let path = desk._dir.path().join("device.key");
        let old = DeviceKey::load_or_create(&path, &SystemRandom).unwrap();
        store::check_key(&desk.store, &old.audit(), true).unwrap();
        let new = store::prepare_key(&path, &SystemRandom).unwrap();
        if committed {
            desk.store.write(|tx| store::note_key(tx, &new.audit())).unwrap();
        }
        if installed {
            store::install_key(&path).unwrap();
        }
        let expected = if committed { &new } else { &old };
        let same = |key: &DeviceKey| key.audit().secret().expose() == expected.audit().secret().expose();
        let waiting = desk._dir.path().join("device.key.next");
        // `old` as somebody read it before the change; looking changes nothing.
        let looked = store::matching_key(&desk.store, old.clone(), &path, false).unwrap();
        assert!(same(&looked) && waiting.exists() != installed);
        assert!(same(&store::matching_key(&desk.store, old.clone(), &path, true).unwrap()));
        assert!(!waiting.exists() && same(&DeviceKey::load(&path).unwrap()), "{committed} {installed}");
        let stranger = store::matching_key(&desk.store, device_key(7), &path, true).unwrap();
        assert!(same(&stranger), "the file was changed since it was read");
        std::fs::remove_file(&path).unwrap();
        let refused = store::matching_key(&desk.store, device_key(7), &path, true);
        assert!(matches!(refused, Err(StoreError::WrongKey)), "{refused:?}");
    }
}

fn waiting_job() -> (Site, String) {
    let mut site = Site::open(&Options::default());
    site.stop_sandbox();
    let job = site.authenticate("approved").word("job").to_owned();
    (site, job)
}

fn opens_all(site: &Site, job: &str) {
    let person = site.latchd(&["people", "show", "approved"]);
    assert_eq!(person.word("last_name"), "Clearwater", "{person:?}");
    let verified = site.latchd(&["events", "--verify"]);
    assert_eq!(verified.last["whole"], true, "{verified:?}");
    let evidence = tempfile::tempdir().unwrap();
    let exported = site.latchd(&["queue", "export", job, &evidence.path().display().to_string()]);
    assert_eq!(exported.exit, 0, "{exported:?}");
}

#[test]
fn a_site_goes_on_with_its_new_key() {
    let (mut site, job) = waiting_job();
    let key = || std::fs::read(site.path("device.key")).unwrap();
    let before = key();
    let refused = site.latchd(&["device", "rotate-key"]);
    assert_eq!((refused.exit, key() == before), (2, true), "a daemon runs: {refused:?}");
    site.stop_daemon();
    let wrapped: Vec<u8> = rusqlite::Connection::open(site.path("latchd.db"))
        .unwrap()
        .query_row("SELECT wrapped FROM job_keys", [], |row| row.get(0))
        .unwrap();
    for round in 0..2 {
        let done = site.latchd(&["device", "rotate-key"]);
        assert_eq!((done.exit, &done.last["jobs"]), (0, &1.into()), "round {round}: {done:?}");
        assert!(done.last["people"].as_u64().unwrap() > 1 && done.last["unreadable"] == 0);
        opens_all(&site, &job);
    }
    let after = std::fs::read(site.path("device.key")).unwrap();
    assert!(after.len() == 32 && after != before && !site.path("device.key.next").exists());
    for file in ["latchd.db", "latchd.db-wal"] {
        let bytes = std::fs::read(site.path(file)).unwrap_or_default();
        assert!(!bytes.windows(24).any(|window| window == &wrapped[..24]), "the old wrapping is in {file}");
    }
    // The old key is refused, whatever was asked.
    let old = site.path("old.key");
    std::fs::write(&old, &before).unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = site.latchd(&["events", "--verify", "--device-key", &old.display().to_string()]);
    assert_eq!(refused.exit, 2, "{refused:?}");
    site.start_sandbox();
    site.start_daemon();
    site.wait("the job is decided", |site| site.jobs().iter().any(|row| row["state"] == "decided"));
    assert_eq!(site.latchd(&["events", "--verify"]).last["whole"], true);
}

const PLACE: &str = "LATCHD_TEST_ROTATES_AT";
const KILLED: &str = "LATCHD_TEST_KILLED_AFTER";

/// The process is gone at once after each step: no destructor runs, no log is emptied.
#[test]
fn a_process_killed_at_any_step_leaves_key_and_database_together() {
    if let Some(config) = std::env::var_os(PLACE) {
        let config = Config::load_with_source(Path::new(&config)).unwrap().0;
        let last = std::env::var(KILLED).unwrap();
        let mut each = |step: Step| {
            if step.name() == last {
                std::process::abort();
            }
        };
        rotate::run(&config, None, &mut each).unwrap();
        return;
    }
    let (mut site, job) = waiting_job();
    site.stop_daemon();
    let mut before = std::fs::read(site.path("device.key")).unwrap();
    // Of the second that was killed after the commit a daemon makes the end.
    let steps =
        [(Step::Prepared, false), (Step::Committed, true), (Step::Committed, true), (Step::Installed, true)];
    for (round, (step, goes_over)) in steps.into_iter().enumerate() {
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_killed_at_any_step_leaves_key_and_database_together"])
            .env(PLACE, site.path("latchd.toml"))
            .env(KILLED, step.name())
            .output()
            .unwrap();
        assert!(!ended.status.success(), "{step:?}: it was to be killed");
        if round == 2 {
            site.start_daemon();
            assert_eq!(site.latchd(&["events", "--verify"]).last["whole"], true);
            site.stop_daemon();
        }
        opens_all(&site, &job);
        assert!(!site.path("device.key.next").exists(), "{step:?}: brought to an end by what wrote next");
        let now = std::fs::read(site.path("device.key")).unwrap();
        assert_eq!(now != before, goes_over, "{step:?}");
        before = now;
    }
    let done = site.latchd(&["device", "rotate-key"]);
    assert_eq!(done.exit, 0, "{done:?}");
    opens_all(&site, &job);
    let kinds: Vec<_> = site.latchd(&["events"]).lines.iter().map(|line| line["event"].clone()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!((count("device_key_rotated"), count("device_key_taken")), (4, 4));
}
