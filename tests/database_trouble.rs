//! A database that is newer, read-only or damaged: clear words, nothing lost, and a door that opens for nobody.

#![allow(clippy::unwrap_used)]

#[path = "support/site.rs"]
mod site;

use site::{Options, Site};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

fn database(site: &Site) -> Vec<u8> {
    fs::read(site.path("latchd.db")).unwrap()
}

#[test]
fn a_newer_database_is_left_untouched_with_exit_2() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    let sqlite = rusqlite::Connection::open(site.path("latchd.db")).unwrap();
    sqlite.pragma_update(None, "user_version", 999).unwrap();
    drop(sqlite);
    let before = database(&site);
    assert_eq!(site.daemon_exit(), 2, "{}", site.logs());
    assert!(site.logs().contains("newer"), "{}", site.logs());
    assert_eq!(database(&site), before);
}

#[test]
fn a_read_only_database_is_refused_with_exit_2() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    let before = database(&site);
    fs::set_permissions(site.path("latchd.db"), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(site.daemon_exit(), 2, "{}", site.logs());
    assert!(site.logs().contains("latchd.db"), "{}", site.logs());
    assert_eq!(database(&site), before);
}

/// Root writes whatever the mode says, so for root the directory is a read-only mount in a mount namespace of the test's
/// own; for everybody else its mode is 0500.
#[test]
fn a_read_only_directory_is_refused_with_exit_2_and_left_as_it_is() {
    const READ_ONLY: &str =
        r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77; exec "$@""#;
    let site = Site::build(&Options::default());
    site.import_people();
    let directory = site.directory.path();
    let run = [env!("CARGO_BIN_EXE_latchd"), "run", "--config"];
    let mut command = if rustix::process::geteuid().is_root() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c", READ_ONLY]).arg(directory).args(run);
        unshare
    } else {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o500)).unwrap();
        let mut latchd = Command::new(run[0]);
        latchd.args(&run[1..]);
        latchd
    };
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (files, before) = (names(), database(&site));
    let output = command.arg(site.path("latchd.toml")).stdin(Stdio::null()).output();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || said.starts_with("unshare:") {
        eprintln!("SKIPPED: root without a mount namespace of its own cannot be refused a directory: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is read-only"), "{said}");
    assert_eq!((names(), database(&site)), (files, before));
}

#[test]
fn a_damaged_database_is_set_aside_and_the_door_opens_for_nobody_until_people_are_imported() {
    let mut site = Site::open(&Options::default());
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    site.stop_daemon();
    let mut bytes = database(&site);
    let end = bytes.len().min(3 * 4096);
    bytes[100..end].fill(0xa5);
    fs::write(site.path("latchd.db"), &bytes).unwrap();
    site.start_daemon();

    let status = site.latchd(&["status"]);
    assert_eq!(status.exit, 1, "an alarm: {status:?}");
    let moved = status.last["database_alarm"]["moved_to"].as_str().unwrap().to_owned();
    assert_eq!(fs::read(&moved).unwrap(), bytes, "renamed, never changed");
    let first = &site.events()[0];
    assert_eq!(first["event"], "database_replaced");
    assert_eq!(first["fields"]["moved_to"], moved.as_str());
    assert_eq!(first["fields"]["sha256"].as_str().unwrap().len(), 64);
    assert!(site.logs().contains("the database was damaged"));

    let openings = site.openings();
    assert_eq!(site.authenticate("approved").word("outcome"), "not_permitted");
    assert_eq!(site.openings(), openings);

    site.stop_daemon();
    site.start_daemon();
    assert_eq!(site.latchd(&["status"]).exit, 1, "the alarm outlives a restart");
    site.import_people();
    assert_eq!(site.latchd(&["status", "--acknowledge"]).exit, 0);
    assert_eq!(site.latchd(&["status"]).exit, 0);
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
}

/// door-rules 15: a damaged file proves nobody's right to open.
#[test]
fn a_command_brings_back_what_verifies_and_the_door_stays_shut_for_it() {
    let mut site = Site::open(&Options::default());
    site.stop_daemon();
    let mut bytes = database(&site);
    // A page of the tables that each start checks; without the schema's own nothing could be read.
    let page: i64 = rusqlite::Connection::open(site.path("latchd.db"))
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'queue_flags'", [], |row| row.get(0))
        .unwrap();
    let page = usize::try_from(page).unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0xa5);
    fs::write(site.path("latchd.db"), &bytes).unwrap();
    site.start_daemon();
    let status = site.latchd(&["status"]);
    let moved = status.last["database_alarm"]["moved_to"].as_str().expect("an alarm").to_owned();
    assert_eq!(site.latchd(&["queue", "recover", &moved]).exit, 2, "the daemon runs");

    site.stop_daemon();
    let recovered = site.latchd(&["queue", "recover", &moved]);
    let people = recovered.last["people"].as_u64().unwrap();
    assert!(people > 0, "{recovered:?}");
    assert_eq!(fs::read(&moved).unwrap(), bytes, "what was set aside stays as it is");
    site.start_daemon();
    assert_eq!(site.authenticate("approved").word("outcome"), "not_permitted");
    assert!(site.events().iter().any(|event| event["event"] == "database_recovered"));
}

/// Whoever meets the damage first: the daemon's first event tells of it.
#[test]
fn damage_that_a_command_meets_first_is_reported_by_the_daemon() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    fs::write(site.path("latchd.db"), b"SQLite format 3\0 and then nothing that makes sense").unwrap();
    let people = site.path("people.json");
    let refused = site.latchd(&["people", "import", people.to_str().unwrap()]);
    assert_eq!(refused.exit, 1, "{refused:?}");
    site.start_guard();
    site.start_daemon();
    assert_eq!(site.events()[0]["event"], "database_replaced");
    assert_eq!(site.latchd(&["status"]).exit, 1);
}

/// A second key would make unreadable what the first one sealed.
#[test]
fn a_command_makes_no_second_device_key() {
    let site = Site::build(&Options::default());
    site.import_people();
    fs::rename(site.path("device.key"), site.path("elsewhere")).unwrap();
    let people = site.path("people.json");
    let refused = site.latchd(&["people", "import", people.to_str().unwrap()]);
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(!site.path("device.key").exists());
}

/// door-rules 5 and 9: a crash while the door is open.
#[test]
fn a_daemon_killed_with_the_door_open_leaves_it_locked_and_says_so() {
    let config = [("unlock_ms = 300", "unlock_ms = 5000")];
    let mut site = Site::open(&Options { config: &config, ..Options::default() });
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    assert!(!site.is_locked());
    site.kill_daemon();
    site.wait("the guard to lock", Site::is_locked);
    let edges = site.edges();
    assert!(edges[1].at.since(edges[0].at).as_millis() < 5000, "the pulse did not run to its end");
    site.start_daemon();
    assert!(site.has_event("unlock_interrupted"));
    assert_eq!(site.openings(), 1, "nothing is resumed");
    let verified = site.latchd(&["events", "--verify"]);
    assert_eq!(verified.exit, 0, "{verified:?}");
}

/// What the first key sealed must not be mixed with what a second one seals.
#[test]
fn a_lost_or_another_device_key_is_refused_and_nothing_is_touched() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    let key = site.path("device.key");
    let own = fs::read(&key).unwrap();
    let database = fs::read(site.path("latchd.db")).unwrap();

    fs::remove_file(&key).unwrap();
    assert_eq!(site.daemon_exit(), 2, "{}", site.logs());
    assert!(site.logs().contains("device key of this database is not there"), "{}", site.logs());
    assert!(!key.exists(), "no second key is made");
    assert_eq!(site.latchd(&["people", "remove", "approved"]).exit, 2);

    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(site.daemon_exit(), 2, "{}", site.logs());
    assert!(site.logs().contains("another device key"), "{}", site.logs());
    let show = site.latchd(&["people", "show", "approved"]);
    assert_eq!(show.exit, 2, "{show:?}");
    assert!(show.word("cause").contains("another device key"), "{show:?}");
    fs::write(&key, [7; 31]).unwrap();
    assert_eq!(site.daemon_exit(), 2, "a restart mends no key: {}", site.logs());
    assert_eq!(fs::read(site.path("latchd.db")).unwrap(), database);

    fs::write(&key, own).unwrap();
    assert_eq!(site.latchd(&["people", "show", "approved"]).exit, 0);
}
