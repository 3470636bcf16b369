//! The database is looked at before it is touched, damage is set aside and never deleted, and what was
//! committed is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use latchd::clock::{BootTime, ManualClock, SystemRandom, Wall, WallTime};
use latchd::store::{Mode, Opening, Settings, Store, StoreError, Transaction, WHOLE_CHECK_BYTES};

fn settings(path: &Path, mode: Mode) -> Settings {
    let wall = Wall::Known(WallTime::from_rfc3339("2026-06-01T12:00:00Z").unwrap());
    Settings {
        path: path.to_owned(),
        vfs: None,
        clock: Arc::new(ManualClock::new(BootTime::from_millis(1000), wall)),
        random: Arc::new(SystemRandom),
        mode,
        max_bytes: 64 << 20,
    }
}

fn open(path: &Path) -> Result<(Store, Opening), StoreError> {
    Store::open(settings(path, Mode::ReadWrite))
}

fn put(store: &Store, name: &str) -> Result<(), StoreError> {
    store.write(|tx: &Transaction<'_>| {
        tx.execute(
            "INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('reader', ?1, x'00', 0)",
            [name],
        )?;
        Ok(())
    })
}

fn names(store: &Store) -> Vec<String> {
    store.read(|tx| tx.all("SELECT name FROM denials ORDER BY id", [], |row| row.get(0))).unwrap()
}

/// Every file of the directory with its content.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

/// A database with rows, closed cleanly, but without the lock file, so that `content` shows any touch.
fn made(dir: &Path) -> PathBuf {
    let path = dir.join("latchd.db");
    let (store, opening) = open(&path).unwrap();
    assert_eq!(opening, Opening::Fresh);
    put(&store, "one").unwrap();
    drop(store);
    fs::remove_file(dir.join("latchd.db.lock")).unwrap();
    path
}

#[test]
fn rows_and_settings_survive_and_only_the_owner_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path());
    let (store, opening) = open(&path).unwrap();
    assert_eq!((opening, names(&store)), (Opening::Existing, vec!["one".to_owned()]));
    put(&store, "two").unwrap();
    for (file, _) in content(dir.path()) {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn only_changes_count_as_commits_and_errors_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&dir.path().join("latchd.db")).unwrap();
    put(&store, "one").unwrap();
    store.write(|_| Ok::<_, StoreError>(())).unwrap();
    let undone: Result<(), StoreError> = store.write(|tx| {
        tx.execute(
            "INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('reader', 'x', x'00', 0)",
            [],
        )?;
        Err(StoreError::Busy)
    });
    assert!(matches!(undone, Err(StoreError::Busy)));
    let written: Result<usize, StoreError> = store.read(|tx| tx.execute("DELETE FROM denials", []));
    assert!(matches!(written, Err(StoreError::NotWriting)));
    assert_eq!((store.commits(), names(&store)), (1, vec!["one".to_owned()]));
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = content(dir.path());
    for mode in [Mode::ReadWrite, Mode::ReadOnly] {
        let error = Store::open(settings(&path, mode)).unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
        assert_eq!(content(dir.path()), before);
    }
}

#[test]
fn a_newer_schema_that_is_only_in_the_wal_is_refused_and_kept_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    // As after a power cut: copies of the files while the other connection has not moved its WAL.
    let cut = tempfile::tempdir().unwrap();
    let copy = cut.path().join("latchd.db");
    fs::copy(&path, &copy).unwrap();
    fs::copy(path.with_extension("db-wal"), cut.path().join("latchd.db-wal")).unwrap();
    let before = (fs::read(&copy).unwrap(), fs::read(cut.path().join("latchd.db-wal")).unwrap());
    assert!(matches!(open(&copy), Err(StoreError::NewerSchema { found: 99, .. })));
    let after = (fs::read(&copy).unwrap(), fs::read(cut.path().join("latchd.db-wal")).unwrap());
    assert!(before == after, "the database or its WAL was changed");
}

#[test]
fn a_read_only_file_or_directory_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path());
    let before = content(dir.path());
    for (place, mode, back) in [(path.as_path(), 0o400, 0o600), (dir.path(), 0o500, 0o700)] {
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        let result = open(&path);
        fs::set_permissions(place, fs::Permissions::from_mode(back)).unwrap();
        assert!(matches!(&result, Err(StoreError::ReadOnly { path }) if path == place), "{result:?}");
        assert_eq!(content(dir.path()), before);
    }
}

#[test]
fn looking_leaves_no_trace_and_finds_nothing_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Store::open(settings(&dir.path().join("none.db"), Mode::ReadOnly));
    assert!(matches!(missing, Err(StoreError::Missing { .. })));
    let path = made(dir.path());
    let before = content(dir.path());
    let (store, _) = Store::open(settings(&path, Mode::ReadOnly)).unwrap();
    assert_eq!(names(&store), ["one"]);
    assert!(put(&store, "two").is_err());
    drop(store);
    assert_eq!(content(dir.path()), before);
}

#[test]
fn a_second_writer_is_kept_out_and_readers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    let (store, _) = open(&path).unwrap();
    put(&store, "one").unwrap();
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    let (reader, _) = Store::open(settings(&path, Mode::ReadOnly)).unwrap();
    assert_eq!(names(&reader), ["one"]);
    put(&store, "two").unwrap();
    assert_eq!(names(&reader), ["one", "two"]);
    drop((store, reader));
    assert_eq!(names(&open(&path).unwrap().0), ["one", "two"]);
}

#[test]
fn what_is_only_in_the_wal_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    let (store, _) = open(&path).unwrap();
    put(&store, "one").unwrap();
    let cut = tempfile::tempdir().unwrap();
    for name in ["latchd.db", "latchd.db-wal"] {
        fs::copy(dir.path().join(name), cut.path().join(name)).unwrap();
    }
    drop(store);
    let (copy, opening) = open(&cut.path().join("latchd.db")).unwrap();
    assert_eq!((opening, names(&copy)), (Opening::Existing, vec!["one".to_owned()]));
}

fn damage(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn quarantined(path: &Path) -> (Store, Vec<PathBuf>, String) {
    match open(path).unwrap() {
        (store, Opening::Quarantined { moved, sha256 }) => (store, moved, sha256),
        (_, other) => panic!("{other:?}"),
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn damage_is_set_aside_whole_and_a_fresh_database_starts() {
    let broken_page: Vec<u8> = vec![0xa5; 4096];
    type Harm<'a> = Box<dyn Fn(&Path) + 'a>;
    let harms: [(&str, Harm<'_>); 6] = [
        ("header", Box::new(|path| damage(path, 0, b"garbage"))),
        ("first page", Box::new(|path| damage(path, 100, &broken_page[..3000]))),
        ("a table's page", Box::new(|path| damage(path, 4096, &broken_page))),
        (
            "cut",
            Box::new(|path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap()),
        ),
        (
            "another program's",
            Box::new(|path| {
                fs::remove_file(path).unwrap();
                rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE notes (x)").unwrap();
            }),
        ),
        ("tiny", Box::new(|path| fs::write(path, b"SQLite format 3\0").unwrap())),
    ];
    for (name, harm) in harms {
        let dir = tempfile::tempdir().unwrap();
        let path = made(dir.path());
        harm(&path);
        let old = fs::read(&path).unwrap();
        let (store, moved, sum) = quarantined(&path);
        assert_eq!(names(&store), Vec::<String>::new(), "{name}");
        assert_eq!(moved[0], dir.path().join("latchd.db.corrupt-20260601T120000000Z-1"), "{name}");
        assert_eq!(fs::read(&moved[0]).unwrap(), old, "{name}");
        assert_eq!(sum, sha256(&old), "{name}");
        drop(store);
        let (store, again, same) = quarantined(&path);
        assert_eq!((&again[0], same), (&moved[0], sum), "{name}: told until it is written down");
        store.write(latchd::store::clear_replaced).unwrap();
        drop(store);
        assert_eq!(open(&path).unwrap().1, Opening::Existing, "{name}");
    }
}

#[test]
fn a_wal_goes_with_its_database_and_is_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path());
    fs::write(&path, b"").unwrap();
    fs::write(dir.path().join("latchd.db-wal"), b"precious").unwrap();
    let (store, moved, sum) = quarantined(&path);
    drop(store);
    assert_eq!(moved.len(), 2);
    assert!(moved[1].to_str().unwrap().ends_with("-1-wal"));
    assert_eq!((fs::read(&moved[1]).unwrap(), sum), (b"precious".to_vec(), sha256(b"")));

    fs::remove_file(&path).unwrap();
    fs::write(dir.path().join("latchd.db-wal"), b"precious too").unwrap();
    let (_store, moved, sum) = quarantined(&path);
    assert!(moved[0].to_str().unwrap().ends_with("-2-wal"), "{moved:?}");
    assert_eq!(sum, sha256(b"precious too"));
}

#[test]
fn a_damaged_database_keeps_its_wal_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    let (store, _) = open(&path).unwrap();
    assert!(store.settle().unwrap());
    put(&store, "one").unwrap();
    let cut = tempfile::tempdir().unwrap();
    let copy = cut.path().join("latchd.db");
    let wal = fs::read(dir.path().join("latchd.db-wal")).unwrap();
    fs::copy(&path, &copy).unwrap();
    fs::write(cut.path().join("latchd.db-wal"), &wal).unwrap();
    damage(&copy, 2 * 4096, &[0xa5; 4096]);
    let old = fs::read(&copy).unwrap();
    let (_store, moved, _) = quarantined(&copy);
    assert!(fs::read(&moved[0]).unwrap() == old, "the database was changed");
    assert!(fs::read(&moved[1]).unwrap() == wal, "the WAL was changed");
}

#[test]
fn damage_in_a_large_file_is_met_then_noted_then_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    let (store, _) = open(&path).unwrap();
    let size = i64::try_from(WHOLE_CHECK_BYTES).unwrap();
    store
        .write(|tx| {
            for seq in 1..=4_i64 {
                tx.execute(
                    "INSERT INTO events (seq, kind, door, fields, boot_id, boot_ms, mac)
                     VALUES (?1, 'x', 'd', hex(zeroblob(?2)), x'00', 0, zeroblob(32))",
                    (seq, size / 4),
                )?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    drop(store);
    // The second page of the events' tree: found by what it holds, the ASCII zeros of an overflow chain.
    let mut file = fs::File::open(&path).unwrap();
    let middle = fs::metadata(&path).unwrap().len() / 2 / 4096 * 4096;
    let mut page = vec![0; 4096];
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.read_exact(&mut page).unwrap();
    assert!(page[4..].iter().all(|byte| *byte == b'0'), "not an overflow page of the events");
    damage(&path, middle, &[0xff; 4]);

    let (store, opening) = open(&path).unwrap();
    assert_eq!(opening, Opening::Existing, "a large file is not read as a whole at start");
    let met: Result<_, StoreError> =
        store.read(|tx| tx.all("SELECT fields FROM events", [], |row| row.get::<_, String>(0)));
    assert!(matches!(met, Err(StoreError::Corrupt { .. })), "{met:?}");
    drop(store);
    let old = fs::read(&path).unwrap();
    let (store, moved, _) = quarantined(&path);
    assert!(fs::read(&moved[0]).unwrap() == old, "the database was changed");
    store.write(latchd::store::clear_replaced).unwrap();
    drop(store);
    assert_eq!(open(&path).unwrap().1, Opening::Existing);
}

/// Whatever moment of setting it aside a crash hits, the next start knows that a database was damaged.
#[test]
fn a_crash_while_setting_aside_is_not_taken_for_a_new_installation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    let (wal, note) = (dir.path().join("latchd.db-wal"), dir.path().join("latchd.db.setting-aside"));
    let target = dir.path().join("latchd.db.corrupt-20260601T120000000Z-1");
    let wal_target = dir.path().join("latchd.db.corrupt-20260601T120000000Z-1-wal");
    let noted = || {
        let text = serde_json::json!({"moved_to": target.to_str().unwrap(), "sha256": "ab".repeat(32)});
        fs::write(&note, text.to_string()).unwrap();
    };
    let begin = || {
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    };
    let expected = |moved: &[&Path]| Opening::Quarantined {
        moved: moved.iter().map(|path| path.to_path_buf()).collect(),
        sha256: "ab".repeat(32),
    };

    // After the last rename, before the fresh database.
    noted();
    fs::write(&target, "damaged").unwrap();
    let (store, opening) = open(&path).unwrap();
    assert_eq!(opening, expected(&[&target]));
    assert!(!note.exists(), "the fresh database says it itself");
    store.write(latchd::store::clear_replaced).unwrap();
    drop(store);
    assert_eq!(open(&path).unwrap().1, Opening::Existing);

    // Between the renames: the rest follows under the same name.
    begin();
    noted();
    fs::write(&target, "damaged").unwrap();
    fs::write(&wal, "its wal").unwrap();
    assert_eq!(open(&path).unwrap().1, expected(&[&target, &wal_target]));
    assert_eq!(fs::read(&wal_target).unwrap(), b"its wal");

    // After all of it but the note's end, and damaged again: the first one is not overwritten.
    begin();
    noted();
    fs::write(&target, "damaged").unwrap();
    fs::write(&path, "damaged since").unwrap();
    let Opening::Quarantined { moved, .. } = open(&path).unwrap().1 else { panic!("not set aside") };
    assert_eq!(fs::read(&moved[0]).unwrap(), b"damaged since");
    assert_eq!(fs::read(&target).unwrap(), b"damaged");

    // Before the first rename: it is found damaged again.
    begin();
    noted();
    fs::write(&path, "damaged").unwrap();
    assert!(matches!(open(&path).unwrap().1, Opening::Quarantined { .. }));

    // A note whose renames never began and whose database is well.
    begin();
    drop(open(&path).unwrap());
    noted();
    assert_eq!(open(&path).unwrap().1, Opening::Existing);
    assert!(!note.exists());
}

#[test]
fn a_full_database_says_so_keeps_nothing_of_it_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = settings(&dir.path().join("latchd.db"), Mode::ReadWrite);
    small.max_bytes = 1 << 20;
    let (store, _) = Store::open(small).unwrap();
    let mut after = None;
    let full: Result<(), StoreError> = store.write(|tx| {
        tx.execute("INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('reader', 'half', x'00', 0)", [])?;
        let grown = tx.execute(
            "INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('reader', hex(zeroblob(2000000)), x'00', 0)",
            [],
        );
        after = Some(tx.execute("INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('a', 'b', x'00', 0)", []));
        grown.map(|_| ())
    });
    let full = full.unwrap_err();
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert!(full.is_retryable());
    assert!(matches!(after, Some(Err(StoreError::RolledBack))), "{after:?}");
    assert_eq!(names(&store), Vec::<String>::new());
    put(&store, "next").unwrap();
    assert_eq!(names(&store), ["next"]);
}

#[test]
fn a_swallowed_full_error_cannot_become_half_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = settings(&dir.path().join("latchd.db"), Mode::ReadWrite);
    small.max_bytes = 1 << 20;
    let (store, _) = Store::open(small).unwrap();
    let swallowed: Result<(), StoreError> = store.write(|tx| {
        let _ = tx.execute(
            "INSERT INTO denials (kind, name, boot_id, boot_us) VALUES ('reader', hex(zeroblob(2000000)), x'00', 0)",
            [],
        );
        Ok(())
    });
    assert!(matches!(swallowed, Err(StoreError::RolledBack)), "{swallowed:?}");
    assert_eq!(store.commits(), 0);
}

#[test]
fn with_a_vfs_of_ones_own_no_file_is_touched_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchd.db");
    let own = || Settings { vfs: Some("unix-excl".into()), ..settings(&path, Mode::ReadWrite) };
    let (store, opening) = Store::open(own()).unwrap();
    assert_eq!(opening, Opening::Fresh);
    put(&store, "one").unwrap();
    drop(store);
    let (store, opening) = Store::open(own()).unwrap();
    assert_eq!((opening, names(&store)), (Opening::Existing, vec!["one".to_owned()]));
    drop(store);
    damage(&path, 0, b"garbage");
    let before = content(dir.path());
    assert_eq!(before.len(), 1, "the database alone");
    assert!(matches!(Store::open(own()), Err(StoreError::Corrupt { .. })));
    assert_eq!(content(dir.path()), before);
    let unknown = Settings { vfs: Some("no such vfs".into()), ..settings(&path, Mode::ReadWrite) };
    assert!(Store::open(unknown).is_err());
}

/// A note that is gone is no leave to take another key.
#[test]
fn a_database_in_use_without_the_note_of_its_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&dir.path().join("latchd.db")).unwrap();
    let key = |byte| latchd::store::DeviceKey::from_bytes(&[byte; 32]).unwrap().audit();
    let check = |byte, write| latchd::store::check_key(&store, &key(byte), write);
    check(1, false).unwrap();
    check(1, true).unwrap();
    assert!(matches!(check(2, true), Err(StoreError::WrongKey)));
    let forget = |tx: &Transaction<'_>| tx.execute("DELETE FROM facts", []).map(drop);
    store.write(forget).unwrap();
    check(2, true).unwrap();
    store
        .write(|tx| {
            let event = latchd::audit::Event {
                kind: "started",
                door: "front",
                attempt: None,
                job: None,
                subject: None,
                fields: Default::default(),
            };
            latchd::audit::append(tx, &key(2), &event).map(drop)
        })
        .unwrap();
    check(2, true).unwrap();
    store.write(forget).unwrap();
    for write in [false, true] {
        assert!(matches!(check(2, write), Err(StoreError::WrongKey)));
    }
}
