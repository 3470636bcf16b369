//! The door's own list: sealed names, recorded consent, and lock-outs that no restart and no clock shortens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

use std::sync::Arc;
use std::time::Duration;

use latchd::access::UserId;
use latchd::clock::{BootId, BootTime, ManualClock, SystemRandom, Wall, WallTime};
use latchd::people::{
    self, Added, Consent, Contact, ImportFormat, Imported, NewPerson, OnExisting, PeopleError, Subject,
};
use latchd::store::{DeviceKey, Mode, PeopleKey, Settings, Store, StoreError, Transaction};

const MINUTE: Duration = Duration::from_secs(60);

struct Desk {
    store: Store,
    clock: Arc<ManualClock>,
    key: PeopleKey,
    dir: tempfile::TempDir,
}

fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(60_000), wall("2026-06-01T12:00:00Z")));
    let (store, _) = Store::open(Settings {
        path: dir.path().join("latchd.db"),
        vfs: None,
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        mode: Mode::ReadWrite,
        max_bytes: 64 << 20,
    })
    .unwrap();
    Desk { store, clock, key: DeviceKey::from_bytes(&[9; 32]).unwrap().people(), dir }
}

fn wall(text: &str) -> Wall {
    Wall::Known(WallTime::from_rfc3339(text).unwrap())
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn person(name: &str) -> NewPerson {
    NewPerson {
        user_id: user(name),
        may_open: true,
        contact: Contact {
            given_names: "Zelda".into(),
            last_name: "Quasimodo".into(),
            email: Some("zelda@example.org".into()),
            phone: None,
        },
        consent: Some(Consent {
            granted_at: WallTime::from_rfc3339("2026-05-01T00:00:00Z").unwrap(),
            language: "EN".into(),
            policy_url: "https://example.org/privacy".into(),
        }),
    }
}

impl Desk {
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, PeopleError>,
    ) -> Result<T, PeopleError> {
        self.store.write(work)
    }

    fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, PeopleError>) -> T {
        self.store.read(work).unwrap()
    }

    fn add(&self, person: &NewPerson, existing: OnExisting) -> Result<Added, PeopleError> {
        self.write(|tx| people::add(tx, &self.key, person, existing))
    }

    fn locked(&self, subject: Subject<'_>) -> Option<Duration> {
        self.read(|tx| people::lockout(tx, subject))
    }
}

#[test]
fn a_person_is_shown_as_added_and_listed_without_names() {
    let desk = desk();
    assert_eq!(desk.add(&person("u1"), OnExisting::Refuse).unwrap(), Added::New);
    let shown = desk.read(|tx| people::show(tx, &desk.key, &user("u1"))).unwrap();
    assert_eq!((&shown.contact, &shown.consent), (&person("u1").contact, &person("u1").consent));
    let listed = desk.read(people::list);
    assert_eq!(listed.len(), 1);
    for debug in [format!("{listed:?}"), format!("{shown:?}"), format!("{:?}", person("u1"))] {
        assert!(!debug.contains("Zelda") && !debug.contains("Quasi") && !debug.contains("zelda"), "{debug}");
    }
    assert!(desk.store.settle().unwrap());
    let file = std::fs::read(desk.dir.path().join("latchd.db")).unwrap();
    assert!(!file.windows(5).any(|window| window == b"Zelda"));
}

#[test]
fn replacing_must_be_said_and_keeps_the_pseudonym() {
    let desk = desk();
    desk.add(&person("u1"), OnExisting::Refuse).unwrap();
    let name = desk.read(|tx| people::pseudonym(tx, &user("u1"))).unwrap();
    let changed = NewPerson { may_open: false, consent: None, ..person("u1") };
    assert!(matches!(desk.add(&changed, OnExisting::Refuse), Err(PeopleError::Exists)));
    assert!(desk.read(|tx| people::standing(tx, &user("u1"))).may_open);
    assert_eq!(desk.add(&changed, OnExisting::Replace).unwrap(), Added::Replaced);
    let standing = desk.read(|tx| people::standing(tx, &user("u1")));
    assert!(standing.listed && !standing.may_open && standing.consent.is_none());
    assert_eq!(desk.read(|tx| people::pseudonym(tx, &user("u1"))), Some(name));
}

#[test]
fn removing_forgets_whose_pseudonym_it_was() {
    let desk = desk();
    desk.add(&person("u1"), OnExisting::Refuse).unwrap();
    desk.write(|tx| people::set_lockout(tx, Subject::User(&user("u1")), MINUTE)).unwrap();
    let name = desk.read(|tx| people::pseudonym(tx, &user("u1"))).unwrap();
    assert_eq!(desk.read(|tx| people::by_pseudonym(tx, name)), Some(user("u1")));
    assert!(desk.write(|tx| people::remove(tx, &user("u1"))).unwrap());
    assert_eq!(desk.read(|tx| people::by_pseudonym(tx, name)), None);
    assert_eq!(desk.read(|tx| people::standing(tx, &user("u1"))), people::Standing::default());
    assert!(!desk.write(|tx| people::remove(tx, &user("u1"))).unwrap());
    desk.add(&person("u1"), OnExisting::Refuse).unwrap();
    assert_ne!(desk.read(|tx| people::pseudonym(tx, &user("u1"))), Some(name));
}

#[test]
fn a_contact_moved_to_another_row_does_not_open() {
    let desk = desk();
    for name in ["u1", "u2"] {
        desk.add(&person(name), OnExisting::Refuse).unwrap();
    }
    let sql =
        "UPDATE people SET contact = (SELECT contact FROM people WHERE user_id = 'u2') WHERE user_id = 'u1'";
    desk.write(|tx| Ok(tx.execute(sql, [])?)).unwrap();
    let moved: Result<_, PeopleError> = desk.store.read(|tx| people::show(tx, &desk.key, &user("u1")));
    assert!(matches!(moved, Err(PeopleError::Store(StoreError::Unsealable { .. }))), "{moved:?}");
}

#[test]
fn an_import_takes_all_or_nothing() {
    let desk = desk();
    desk.add(&person("u2"), OnExisting::Refuse).unwrap();
    let text = "user_id,may_open,given_names,last_name,email\nu1,true,Ada,L,a@b.co\nu2,true,Bo,M,b@b.co\n";
    let records = people::parse_import(text, ImportFormat::Csv, wall("2026-06-01T12:00:00Z")).unwrap();
    let refused = desk.write(|tx| people::import(tx, &desk.key, &records, OnExisting::Refuse));
    assert!(matches!(refused, Err(PeopleError::Line { line: 3, .. })), "{refused:?}");
    assert_eq!(desk.read(people::list).len(), 1);
    let imported = desk.write(|tx| people::import(tx, &desk.key, &records, OnExisting::Replace)).unwrap();
    assert_eq!(imported, Imported { added: 1, replaced: 1, without_consent: 1 });
    assert_eq!(desk.read(people::list).len(), 2);
    assert!(desk.read(|tx| people::standing(tx, &user("u1"))).consent.is_none(), "consent is never invented");
    assert!(desk.read(|tx| people::standing(tx, &user("u2"))).consent.is_some(), "nor lost");
}

#[test]
fn an_import_keeps_what_the_file_has_no_column_for_and_removes_what_it_empties() {
    let desk = desk();
    desk.add(&person("u1"), OnExisting::Refuse).unwrap();
    let import = |text: &str| {
        let records = people::parse_import(text, ImportFormat::Csv, wall("2026-06-01T12:00:00Z"))?;
        desk.write(|tx| people::import(tx, &desk.key, &records, OnExisting::Replace))
    };
    let shown = || desk.read(|tx| people::show(tx, &desk.key, &user("u1"))).unwrap();
    let kept = Imported { added: 0, replaced: 1, without_consent: 0 };
    assert_eq!(import("user_id,may_open\nu1,false\n").unwrap(), kept);
    assert_eq!(
        (shown().may_open, &shown().contact, shown().consent),
        (false, &person("u1").contact, person("u1").consent)
    );
    // Contact may not go whole, neither at once nor by halves.
    for text in ["user_id,may_open,email\nu1,true,\n", "user_id,may_open,email,phone\nu1,true,,\n"] {
        assert!(matches!(import(text), Err(PeopleError::Line { line: 2, .. })), "{text}");
    }
    import("user_id,may_open,email,phone\nu1,true,,+12345678\n").unwrap();
    assert_eq!((&shown().contact.email, shown().contact.phone.as_deref()), (&None, Some("+12345678")));
    let text = "user_id,may_open,consent_granted_at,consent_language,consent_policy_url\nu1,true,,,\n";
    assert_eq!(import(text).unwrap().without_consent, 1);
    assert_eq!((shown().consent, shown().contact.last_name.as_str()), (None, "Quasimodo"));
    // Nothing is recorded of somebody new: the names must be in the file.
    let refused = import("user_id,may_open\nu2,true\n").unwrap_err();
    assert!(refused.to_string().starts_with("line 2: given_names is missing"), "{refused}");
}

#[test]
fn denials_count_within_their_span_and_per_subject() {
    let desk = desk();
    let (ada, front, reader) = (user("ada"), user("front"), Subject::Reader("front"));
    let count = |subject| desk.read(|tx| people::denials_since(tx, subject, 10 * MINUTE));
    for _ in 0..3 {
        desk.write(|tx| people::record_denial(tx, Subject::User(&ada))).unwrap();
        desk.clock.advance(4 * MINUTE);
    }
    desk.write(|tx| people::record_denial(tx, reader)).unwrap();
    assert_eq!((count(Subject::User(&ada)), count(reader), count(Subject::User(&front))), (2, 1, 0));
    desk.clock.set_wall(wall("2036-01-01T00:00:00Z"));
    assert_eq!(count(Subject::User(&ada)), 2, "the wall clock has no say within a boot");
    desk.clock.set_wall(Wall::Unknown);
    desk.clock.reboot(BootId([2; 16]));
    assert_eq!(count(Subject::User(&ada)), 3, "of unknown age: counts");
    desk.write(people::recover_at_start).unwrap();
    desk.clock.advance(10 * MINUTE + Duration::from_millis(1));
    assert_eq!(count(Subject::User(&ada)), 0, "and lapses by this boot's time");
}

#[test]
fn a_lockout_ends_at_its_minute_whatever_the_wall_clock_does() {
    let desk = desk();
    let ada = user("ada");
    let subject = Subject::User(&ada);
    desk.write(|tx| people::set_lockout(tx, subject, 10 * MINUTE)).unwrap();
    for stepped in ["2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z"] {
        desk.clock.set_wall(wall(stepped));
        assert_eq!(desk.locked(subject), Some(10 * MINUTE));
    }
    desk.clock.advance(10 * MINUTE - Duration::from_millis(100));
    assert_eq!(desk.locked(subject), Some(Duration::from_millis(100)));
    desk.clock.advance(Duration::from_millis(100));
    assert_eq!(desk.locked(subject), None);
}

#[test]
fn a_reboot_goes_by_a_known_wall_clock_and_else_starts_the_lockout_anew() {
    for (at_reboot, left) in [
        (wall("2026-06-01T12:07:00Z"), Some(3 * MINUTE)),
        (wall("2026-06-01T12:10:00Z"), None),
        (wall("2026-06-01T11:00:00Z"), Some(10 * MINUTE)),
        (Wall::Unknown, Some(10 * MINUTE)),
    ] {
        let desk = desk();
        let subject = Subject::Reader("front");
        desk.write(|tx| people::set_lockout(tx, subject, 10 * MINUTE)).unwrap();
        desk.clock.advance(MINUTE);
        desk.clock.reboot(BootId([2; 16]));
        desk.clock.set_wall(at_reboot);
        assert_eq!(desk.locked(subject), left, "{at_reboot:?}");
        desk.write(people::recover_at_start).unwrap();
        assert_eq!(desk.locked(subject), left, "{at_reboot:?}");
        // From here on this boot's time alone counts.
        desk.clock.set_wall(wall("2046-01-01T00:00:00Z"));
        desk.clock.advance(MINUTE);
        assert_eq!(desk.locked(subject), left.map(|left| left - MINUTE), "{at_reboot:?}");
    }
}

#[test]
fn a_lockout_is_not_shortened_by_another_and_an_operator_lifts_it() {
    let desk = desk();
    let ada = user("ada");
    let subject = Subject::User(&ada);
    desk.write(|tx| people::record_denial(tx, subject)).unwrap();
    desk.write(|tx| people::set_lockout(tx, subject, 10 * MINUTE)).unwrap();
    desk.write(|tx| people::set_lockout(tx, subject, MINUTE)).unwrap();
    assert_eq!(desk.locked(subject), Some(10 * MINUTE));
    assert_eq!(desk.read(|tx| people::denials_since(tx, subject, MINUTE)), 0, "used up");
    assert_eq!(desk.read(|tx| people::standing(tx, &ada)).locked_out, Some(10 * MINUTE));
    assert!(desk.write(|tx| people::lift(tx, subject)).unwrap());
    assert_eq!(desk.locked(subject), None);
    assert!(!desk.write(|tx| people::lift(tx, subject)).unwrap());
    let before = desk.store.commits();
    desk.write(people::recover_at_start).unwrap();
    assert_eq!(desk.store.commits(), before, "nothing to recover, nothing written");
}
