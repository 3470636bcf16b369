//! Setting a damaged database aside, so that no crash in the middle of it can pass for a new installation.
//!
//! First a note with the new name is made durable, then the files are renamed, then the fresh database says in its first
//! transaction what it replaces; the note goes last. Whoever finds a note goes on where it was left.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{beside, directory, sync_directory, write_durably};
use super::{Stamp, StoreError};

/// How SQLite names a database's files.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];
/// A note larger than this is none.
const NOTE_LIMIT: u64 = 16 * 1024;

/// A database that is being, or was, set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Its new name.
    pub moved_to: String,
    /// The SHA-256 of the database, hexadecimal; of its WAL when only that was left.
    pub sha256: String,
}

impl Aside {
    /// As the fresh database keeps it.
    pub fn fact(&self) -> (&str, &str) {
        (&self.moved_to, &self.sha256)
    }

    fn target(&self) -> PathBuf {
        PathBuf::from(&self.moved_to)
    }
}

fn note(path: &Path) -> PathBuf {
    beside(path, ".setting-aside")
}

/// What an earlier start began and did not end. A note whose renames never began says nothing.
pub fn begun(path: &Path) -> Result<Option<Aside>, StoreError> {
    let name = note(path);
    let mut text = String::new();
    match File::open(&name).and_then(|file| file.take(NOTE_LIMIT).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &name, error)),
    }
    let aside = serde_json::from_str::<Aside>(&text).ok();
    Ok(aside.filter(|aside| SUFFIXES.iter().any(|suffix| exists(&beside(&aside.target(), suffix)))))
}

/// Renames the database and its companions together; also gives the new names, the database first.
pub fn set_aside(
    path: &Path,
    begun: Option<Aside>,
    now: &Stamp,
) -> Result<(Aside, Vec<PathBuf>), StoreError> {
    // Of the database that was being set aside only what is not renamed yet: another, damaged since, needs a name of its own.
    let same = |aside: &Aside| {
        SUFFIXES
            .iter()
            .all(|suffix| !exists(&beside(path, suffix)) || !exists(&beside(&aside.target(), suffix)))
    };
    let aside = match begun.filter(same) {
        Some(aside) => aside,
        None => {
            let first = SUFFIXES.iter().map(|suffix| beside(path, suffix)).find(|file| exists(file));
            let sha256 = first.as_deref().map(sha256).transpose()?.unwrap_or_default();
            let aside = Aside { moved_to: free_name(path, now).display().to_string(), sha256 };
            let text = serde_json::to_vec(&aside).unwrap_or_default();
            write_durably(&note(path), &text)?;
            aside
        }
    };
    for suffix in SUFFIXES {
        let (from, to) = (beside(path, suffix), beside(&aside.target(), suffix));
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("set aside", &from, error)),
        }
    }
    sync_directory(directory(path))?;
    let moved = SUFFIXES.iter().map(|suffix| beside(&aside.target(), suffix)).filter(|path| exists(path));
    let moved = moved.collect();
    Ok((aside, moved))
}

/// The fresh database says it itself now.
pub fn done(path: &Path) -> Result<(), StoreError> {
    let name = note(path);
    match fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &name, error)),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn free_name(path: &Path, now: &Stamp) -> PathBuf {
    let when = match now.wall.known() {
        Some(wall) => wall.to_rfc3339().chars().filter(char::is_ascii_alphanumeric).collect(),
        None => {
            let [a, b, c, d, ..] = now.boot_id.0;
            format!("boot{a:02x}{b:02x}{c:02x}{d:02x}at{}", now.boot.as_millis() / 1000)
        }
    };
    let name = |number: u32| beside(path, &format!(".corrupt-{when}-{number}"));
    let free = |number: &u32| SUFFIXES.iter().all(|suffix| !exists(&beside(&name(*number), suffix)));
    name((1..=u32::MAX).find(free).unwrap_or(u32::MAX))
}

fn sha256(path: &Path) -> Result<String, StoreError> {
    let fail = |error| StoreError::io("read", path, error);
    let mut file = File::open(path).map_err(fail)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hash.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
