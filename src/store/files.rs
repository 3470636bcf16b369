//! What happens to the database's files outside SQLite: looking before touching, the lock, durable new files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation};

use super::StoreError;

/// What the first bytes of a file say, before SQLite touches it.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// No file and no leftovers.
    Nothing,
    /// A header of SQLite's, with the schema version in it.
    Header { version: u32 },
    /// Not a database, or leftovers without one: SQLite would delete such a WAL.
    Damaged(&'static str),
}

/// `path` with `suffix` behind its name: how SQLite names its companions.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The directory that `path` lies in.
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads the header without changing anything.
pub fn look(path: &Path) -> Result<Look, StoreError> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let wal = fs::metadata(beside(path, "-wal")).is_ok_and(|meta| meta.len() > 0);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(if wal { Look::Damaged("a WAL without its database") } else { Look::Nothing });
        }
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    let mut header = Vec::with_capacity(100);
    Read::by_ref(&mut file)
        .take(100)
        .read_to_end(&mut header)
        .map_err(|error| StoreError::io("read", path, error))?;
    if header.is_empty() {
        return Ok(if wal { Look::Damaged("an empty file with a WAL") } else { Look::Nothing });
    }
    if header.len() < 100 || !header.starts_with(MAGIC) {
        return Ok(Look::Damaged("the file has no SQLite header"));
    }
    let version = header.get(60..64).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    Ok(Look::Header { version })
}

/// Refuses what cannot be written. A mode without any write bit counts as said on purpose, also to root.
pub fn check_writable(path: &Path) -> Result<(), StoreError> {
    let directory = directory(path);
    for place in [directory, path] {
        let meta = match fs::metadata(place) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound && place == path => continue,
            Err(error) => return Err(StoreError::io("look at", place, error)),
        };
        let barred = rustix::fs::access(place, Access::WRITE_OK).is_err();
        if barred || meta.permissions().readonly() {
            return Err(StoreError::ReadOnly { path: place.to_owned() });
        }
    }
    Ok(())
}

/// Refuses a database whose lock somebody holds, without making a lock file.
///
/// Before [`look`]: closing the file there would take away this process's own POSIX locks on it.
pub fn check_free(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).open(beside(path, ".lock")) {
        Ok(file) => flock(path, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("open", &beside(path, ".lock"), error)),
    }
}

/// Takes the lock that keeps a second writer out; it lasts as long as the file stays open.
pub fn lock(path: &Path) -> Result<File, StoreError> {
    let name = beside(path, ".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&name)
        .map_err(|error| StoreError::io("open", &name, error))?;
    flock(path, &file).map(|()| file)
}

fn flock(path: &Path, file: &File) -> Result<(), StoreError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(error) => Err(StoreError::io("lock", &beside(path, ".lock"), error.into())),
    }
}

/// Makes the file, or its mode, so that only the owner reads it. SQLite gives its companions the same mode.
pub fn own(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::io("create", path, error))?;
    let mode = file.metadata().map_err(|error| StoreError::io("look at", path, error))?.permissions().mode();
    if mode & 0o7777 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))
            .map_err(|error| StoreError::io("set the mode of", path, error))?;
    }
    Ok(())
}

/// Makes renames and new files in `directory` durable.
pub fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StoreError::io("sync", directory, error))
}

/// Writes a new file so that a power cut leaves either nothing or all of it: temporary name, sync, rename, sync.
pub fn write_durably(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temporary = beside(path, ".new");
    let fail = |error| StoreError::io("write", &temporary, error);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(fail)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(fail)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&temporary, path).map_err(|error| StoreError::io("rename to", path, error))?;
    sync_directory(directory(path))
}

/// The note that a statement met damage: the next start then checks the whole file, however large.
pub fn suspect(path: &Path) -> PathBuf {
    beside(path, ".suspect")
}
