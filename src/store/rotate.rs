//! Changing the device key: the new one is durable beside the old one before the database is sealed for it, and the
//! database's own note of its key ([`check_key`]) says which of the two counts, wherever a crash falls.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{DeviceKey, Store, StoreError, check_key, files};
use crate::clock::Random;

/// Where the new key waits until the database is sealed for it.
fn next(path: &Path) -> PathBuf {
    files::beside(path, ".next")
}

/// The key that this database belongs to: `key`, which was read from `path`, or the one that a change of the key that was
/// interrupted left beside it. With `write` that change is brought to its end, or undone if it had not come to the database.
///
/// # Errors
/// [`StoreError::WrongKey`] when it is neither; or the database, or a file.
pub fn matching_key(
    store: &Store,
    key: DeviceKey,
    path: &Path,
    write: bool,
) -> Result<DeviceKey, StoreError> {
    let waiting = next(path);
    match check_key(store, &key.audit(), write) {
        Ok(()) => {
            // The database's lock is held: nobody else is about to seal it for that key.
            if write && waiting.exists() {
                fs::remove_file(&waiting).map_err(|error| StoreError::io("remove", &waiting, error))?;
            }
            return Ok(key);
        }
        Err(StoreError::WrongKey) => {}
        Err(error) => return Err(error),
    }
    // Read before the database was opened, `key` may be what the file held before a change that is complete.
    for (candidate, waits) in [(path, false), (waiting.as_path(), true)] {
        if !candidate.exists() {
            continue;
        }
        let key = DeviceKey::load(candidate)?;
        match check_key(store, &key.audit(), false) {
            Ok(()) => {
                if waits && write {
                    install_key(path)?;
                }
                return Ok(key);
            }
            Err(StoreError::WrongKey) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::WrongKey)
}

/// Makes a new key durable beside the one at `path`, which stays in force.
///
/// # Errors
/// The directory cannot be written.
pub fn prepare_key(path: &Path, random: &dyn Random) -> Result<DeviceKey, StoreError> {
    DeviceKey::create(&next(path), random)
}

/// Puts the new key in the old one's place, once the database is sealed for it, and overwrites the old one's bytes: on flash the
/// medium may keep them nevertheless.
///
/// # Errors
/// The file cannot be renamed.
pub fn install_key(path: &Path) -> Result<(), StoreError> {
    let old = OpenOptions::new().write(true).open(path).ok();
    fs::rename(next(path), path).map_err(|error| StoreError::io("rename to", path, error))?;
    files::sync_directory(files::directory(path))?;
    if let Err(error) = old.map_or(Ok(()), overwrite) {
        log::warn!("the old device key's bytes could not be overwritten: {error}");
    }
    Ok(())
}

fn overwrite(mut file: File) -> io::Result<()> {
    file.write_all(&[0; 32])?;
    file.sync_all()
}
