//! Opening, checking and using the database.

use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::aside::{self, Aside};
use super::files::{self, Look};
use super::schema::{self, Found};
use super::transaction::Begun;
use super::{Stamp, StoreError, Transaction};
use crate::clock::{Clock, Random};

/// What the database needs from outside.
#[derive(Clone)]
pub struct Settings {
    /// The database's file; its directory must exist.
    pub path: PathBuf,
    /// The name of SQLite's VFS; `None` for the system's files.
    pub vfs: Option<String>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub random: Arc<dyn Random>,
    /// Whether it may be changed.
    pub mode: Mode,
    /// Size that the file may reach, in bytes; what would make it larger fails as [`StoreError::Full`].
    pub max_bytes: u64,
}

/// Whether the database may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The daemon, or a command that works alone: takes the lock.
    ReadWrite,
    /// Looking only: no lock, no file is made or changed by it.
    ReadOnly,
}

/// What was found when the database was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opening {
    /// There was none.
    Fresh,
    /// It was there and passed the checks.
    Existing,
    /// It was damaged and was set aside; the one in use is fresh and knows nobody.
    Quarantined {
        /// The new names of the old files, the database first.
        moved: Vec<PathBuf>,
        /// Of the first of them.
        sha256: String,
    },
}

/// Up to this size the whole file is checked at start; of a larger one only the small tables, because reading
/// 100 MB of pictures would delay the door. Damage to pictures is found by their seal, to events by their
/// chain, and a statement that meets damage makes the next start check everything.
pub const WHOLE_CHECK_BYTES: u64 = 8 << 20;

const BUSY: Duration = Duration::from_secs(2);

/// The open database.
pub struct Store {
    // Closed before the lock is let go: fields are dropped in this order.
    connection: Mutex<Connection>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    commits: AtomicU64,
    suspect: Option<PathBuf>,
    _lock: Option<File>,
}

impl Store {
    /// Opens, checks and if need be creates the database.
    pub fn open(settings: Settings) -> Result<(Self, Opening), StoreError> {
        match (settings.mode, &settings.vfs) {
            (Mode::ReadOnly, _) => open_to_read(settings),
            (Mode::ReadWrite, None) => open_own(settings),
            (Mode::ReadWrite, Some(_)) => {
                let (connection, opening) = open_to_write(&settings, Check::Bounded, None)?;
                Ok((Self::assemble(settings, connection, None), opening))
            }
        }
    }

    fn assemble(settings: Settings, connection: Connection, lock: Option<File>) -> Self {
        Self {
            connection: Mutex::new(connection),
            clock: settings.clock,
            random: settings.random,
            commits: AtomicU64::new(0),
            suspect: lock.is_some().then(|| files::suspect(&settings.path)),
            _lock: lock,
        }
    }

    /// Runs `work` in a transaction: durable when this returns `Ok`, without a trace when it returns `Err`.
    ///
    /// Not to be called inside another `write` or `read` of the same store: the mutex would never open.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.locked();
        let begun = Begun::new(&connection, "BEGIN IMMEDIATE")?;
        let before = connection.total_changes();
        let transaction = self.transaction(&connection, true);
        let value = work(&transaction);
        self.note(&transaction);
        let value = value?;
        if connection.is_autocommit() {
            return Err(StoreError::RolledBack.into());
        }
        let changed = connection.total_changes() != before;
        begun.commit()?;
        if changed {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(value)
    }

    /// Runs `work` on one unchanging view of the database; statements that write are refused.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.locked();
        let _begun = Begun::new(&connection, "BEGIN DEFERRED")?;
        let transaction = self.transaction(&connection, false);
        let value = work(&transaction);
        self.note(&transaction);
        value
    }

    /// Durable commits since opening; a transaction that changed nothing is none.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Copies the WAL into the database and empties it, so that what was erased is gone from the disk too.
    /// `false` when a reader of another process stood in the way: call again later.
    pub fn settle(&self) -> Result<bool, StoreError> {
        let connection = self.locked();
        connection.busy_timeout(Duration::ZERO)?;
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        connection.busy_timeout(BUSY)?;
        match busy.map_err(StoreError::from) {
            Ok(busy) => Ok(busy == 0),
            Err(StoreError::Busy) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn transaction<'a>(&'a self, connection: &'a Connection, writing: bool) -> Transaction<'a> {
        Transaction {
            connection,
            now: stamp(self.clock.as_ref()),
            random: self.random.as_ref(),
            writing,
            corrupt: Cell::new(false),
        }
    }

    fn note(&self, transaction: &Transaction<'_>) {
        if let (true, Some(path)) = (transaction.corrupt.get(), &self.suspect) {
            // The disk may be the very thing that fails: the error goes to the caller in any case.
            if let Err(error) = files::write_durably(path, b"a statement met damage\n") {
                log::error!(error:% = error; "the database is damaged and that could not be noted");
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Connection> {
        // A panic between BEGIN and COMMIT rolls back as it unwinds: the connection stays good.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

fn stamp(clock: &dyn Clock) -> Stamp {
    Stamp { boot_id: clock.boot_id(), boot: clock.boot(), wall: clock.wall() }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Bounded,
    Whole,
}

/// The system's files: look first, then lock, then open; set aside what is damaged.
fn open_own(settings: Settings) -> Result<(Store, Opening), StoreError> {
    let path = settings.path.clone();
    files::check_writable(&path)?;
    files::check_free(&path)?;
    if let Look::Header { version } = files::look(&path)? {
        refuse_newer(&path, i64::from(version))?;
    }
    let lock = files::lock(&path)?;
    let suspect = files::suspect(&path);
    let check = if suspect.exists() { Check::Whole } else { Check::Bounded };
    // An earlier start was setting a damaged database aside when it ended.
    let begun = aside::begun(&path)?;
    let opened = match files::look(&path)? {
        Look::Damaged(detail) => Err(StoreError::Corrupt { detail: detail.into() }),
        Look::Nothing | Look::Header { .. } => {
            files::own(&path)?;
            open_to_write(&settings, check, begun.as_ref().map(Aside::fact))
        }
    };
    let (connection, opening) = match opened {
        Err(StoreError::Corrupt { detail }) => {
            let (aside, moved) = aside::set_aside(&path, begun, &stamp(settings.clock.as_ref()))?;
            log::error!(detail:% = detail, sha256:% = aside.sha256; "the database is damaged and was set aside");
            files::own(&path)?;
            let (connection, _) = open_to_write(&settings, Check::Bounded, Some(aside.fact()))?;
            (connection, Opening::Quarantined { moved, sha256: aside.sha256 })
        }
        Ok((connection, Opening::Fresh)) => {
            let opening = replaced(&connection)?.unwrap_or(Opening::Fresh);
            (connection, opening)
        }
        Ok((connection, Opening::Existing)) => {
            // Set aside by somebody who did not come to write it into the events.
            let opening = replaced(&connection)?.unwrap_or(Opening::Existing);
            (connection, opening)
        }
        other => other?,
    };
    if suspect.exists() {
        std::fs::remove_file(&suspect).map_err(|error| StoreError::io("remove", &suspect, error))?;
    }
    if opening != Opening::Existing {
        files::sync_directory(files::directory(&path))?;
    }
    aside::done(&path)?;
    Ok((Store::assemble(settings, connection, Some(lock)), opening))
}

fn open_to_write(
    settings: &Settings,
    check: Check,
    replaced: Option<schema::Replaced<'_>>,
) -> Result<(Connection, Opening), StoreError> {
    let path = &settings.path;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match &settings.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()),
        None => Connection::open_with_flags(path, flags),
    }
    .map_err(|error| at(path, error))?;
    // Until it has passed the checks, closing must not move its WAL into it: a newer release's database is left as
    // it is, and a damaged one is set aside as it was found.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    harden(&connection)?;
    let found = schema::inspect(&connection).map_err(|error| blame(path, error))?;
    if let Found::Version(version) = found
        && version > schema::NEWEST
    {
        return Err(newer(path, version));
    }
    let (from, opening) = match found {
        Found::Foreign => return Err(StoreError::Corrupt { detail: "it is not latchd's database".into() }),
        Found::Empty => (0, Opening::Fresh),
        Found::Version(version) => {
            verify(&connection, check)?;
            (version, Opening::Existing)
        }
    };
    make_durable(&connection, settings.max_bytes)?;
    schema::migrate(&connection, from, replaced)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok((connection, opening))
}

/// Reads without leaving a trace: a database that was closed cleanly is opened as one that nobody changes.
fn open_to_read(settings: Settings) -> Result<(Store, Opening), StoreError> {
    let path = settings.path.clone();
    let own = settings.vfs.is_none();
    if own {
        match files::look(&path)? {
            Look::Nothing => return Err(StoreError::Missing { path }),
            Look::Damaged(detail) => return Err(StoreError::Corrupt { detail: detail.into() }),
            Look::Header { version } => refuse_newer(&path, i64::from(version))?,
        }
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = match &settings.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(&path, flags, vfs.as_str()),
        None if files::beside(&path, "-wal").exists() => Connection::open_with_flags(&path, flags),
        None => Connection::open_with_flags(immutable_uri(&path), flags),
    }
    .map_err(|error| at(&path, error))?;
    harden(&connection)?;
    match schema::inspect(&connection).map_err(|error| blame(&path, error))? {
        Found::Empty => Err(StoreError::Missing { path }),
        Found::Foreign => Err(StoreError::Corrupt { detail: "it is not latchd's database".into() }),
        Found::Version(found) if found > schema::NEWEST => Err(newer(&path, found)),
        Found::Version(found) if found < schema::NEWEST => Err(StoreError::OlderSchema { path, found }),
        Found::Version(_) => Ok((Store::assemble(settings, connection, None), Opening::Existing)),
    }
}

/// The damaged database whose place this one took, as long as no event says so.
fn replaced(connection: &Connection) -> Result<Option<Opening>, StoreError> {
    let fact = |name: &str| {
        connection
            .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get::<_, String>(0))
            .optional()
    };
    let moved_to = fact(schema::REPLACED_MOVED_TO)?;
    let sha256 = fact(schema::REPLACED_SHA256)?;
    Ok(moved_to
        .zip(sha256)
        .map(|(moved_to, sha256)| Opening::Quarantined { moved: vec![PathBuf::from(moved_to)], sha256 }))
}

/// The events say now that a damaged database was set aside: to be called in the transaction that writes them.
///
/// # Errors
/// The statement failed.
pub fn clear_replaced(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let sql = "DELETE FROM facts WHERE name IN (?1, ?2)";
    tx.execute(sql, (schema::REPLACED_MOVED_TO, schema::REPLACED_SHA256)).map(drop)
}

fn immutable_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if plain(*byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02x}"));
        }
    }
    uri + "?immutable=1"
}

fn newer(path: &Path, found: i64) -> StoreError {
    StoreError::NewerSchema { path: path.to_owned(), found, known: schema::NEWEST }
}

fn refuse_newer(path: &Path, found: i64) -> Result<(), StoreError> {
    if found > schema::NEWEST { Err(newer(path, found)) } else { Ok(()) }
}

fn at(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path: path.to_owned() },
        Some(ErrorCode::CannotOpen) => {
            // Most often another user's companion file: then the system's own word says more.
            let mut files = ["", "-wal", "-shm"].into_iter().map(|suffix| files::beside(path, suffix));
            let barred = files.find_map(|file| {
                let open = std::fs::OpenOptions::new().read(true).write(true).open(&file);
                open.err()
                    .filter(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
                    .map(|error| (file, error))
            });
            let (file, cause) =
                barred.unwrap_or_else(|| (path.to_owned(), std::io::Error::other("SQLite cannot open it")));
            StoreError::io("open", &file, cause)
        }
        _ => error.into(),
    }
}

fn blame(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Sqlite(error) => at(path, error),
        other => other,
    }
}

/// Settings that change no byte of the file.
fn harden(connection: &Connection) -> Result<(), StoreError> {
    // Until all checks are passed: giving up must not move a WAL into a database that is refused or set aside.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A plan that looks at bound values is made anew each time they are bound: one that does not is made once.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Settings that the promises rest on, each read back.
fn make_durable(connection: &Connection, max_bytes: u64) -> Result<(), StoreError> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Setting { name: "journal_mode", wanted: "wal", got: mode });
    }
    for (name, value, wanted) in [
        if planted!(NoSync) { ("synchronous", "OFF", "0") } else { ("synchronous", "FULL", "2") },
        ("foreign_keys", "ON", "1"),
        ("secure_delete", "ON", "1"),
        ("recursive_triggers", "ON", "1"),
        ("trusted_schema", "OFF", "0"),
    ] {
        connection.execute_batch(&format!("PRAGMA {name} = {value}"))?;
        let got: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        if got.to_string() != wanted {
            return Err(StoreError::Setting { name, wanted, got: got.to_string() });
        }
    }
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = max_bytes / u64::try_from(page).unwrap_or(4096).max(1);
    connection.pragma_update_and_check(
        None,
        "max_page_count",
        i64::try_from(pages).unwrap_or(i64::MAX).clamp(1, i64::from(u32::MAX) - 1),
        |row| row.get::<_, i64>(0),
    )?;
    Ok(())
}

fn verify(connection: &Connection, check: Check) -> Result<(), StoreError> {
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let bytes = ask("PRAGMA page_count")?.saturating_mul(ask("PRAGMA page_size")?);
    let small = u64::try_from(bytes).is_ok_and(|bytes| bytes <= WHOLE_CHECK_BYTES);
    if check == Check::Whole || small {
        return pass(connection, "PRAGMA quick_check(1)");
    }
    for table in schema::SMALL_TABLES {
        pass(connection, &format!("PRAGMA quick_check({table})"))?;
    }
    Ok(())
}

fn pass(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    let said: String = connection.query_row(sql, [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(blamed_on(said.replace('\n', " "))) }
}

/// The check also says so when it could not read a page: a disk that fails for a moment damages nothing, and a database
/// that is set aside for it would lose its people.
fn blamed_on(said: String) -> StoreError {
    let code = said.split_once("error code=").map(|(_, rest)| rest.trim_start());
    let code = code.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<i32>().ok());
    // Of the list of free pages it names no code: a page that is out of range has other words.
    let code = code.or(said.contains("failed to get page").then_some(rusqlite::ffi::SQLITE_IOERR_READ));
    let error = code.map(rusqlite::ffi::Error::new);
    match error.filter(|error| !matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
        Some(error) => rusqlite::Error::SqliteFailure(error, Some(said)).into(),
        None => StoreError::Corrupt { detail: said },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_cannot_be_read_is_no_damage_and_damage_is() {
        for (said, damaged) in [
            ("*** in database main *** Tree 10 page 10: unable to get the page. error code=266", false),
            ("*** in database main *** Freelist: failed to get page 46", false),
            ("Tree 3 page 3: unable to get the page. error code=7", false),
            ("Tree 10 page 10: unable to get the page. error code=11", true),
            ("Freelist: freelist leaf count too big on page 5", true),
            ("row 3 missing from index jobs_new", true),
        ] {
            let corrupt = matches!(blamed_on(said.to_owned()), StoreError::Corrupt { .. });
            assert_eq!(corrupt, damaged, "{said}");
        }
    }
}
