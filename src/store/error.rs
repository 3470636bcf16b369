//! What can go wrong with the database, and what to do about it.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// An error of the database, of its files or of what is sealed in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Read-only opening of a file that is not there.
    #[error("there is no database at {path}")]
    Missing {
        /// The database's path.
        path: PathBuf,
    },
    /// The file, its directory or the file system cannot be written.
    #[error("the database cannot be written: {path} is read-only")]
    ReadOnly {
        /// What is read-only.
        path: PathBuf,
    },
    /// Another process has it open for writing.
    #[error("the database {path} is in use by another latchd")]
    InUse {
        /// The database's path.
        path: PathBuf,
    },
    /// It was written by a later release.
    #[error("the database {path} has schema {found}, this latchd knows up to {known}")]
    NewerSchema {
        /// The database's path.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// It was written by an earlier release and may not be changed here.
    #[error("the database {path} has the old schema {found}: start the daemon once to bring it up to date")]
    OlderSchema {
        /// The database's path.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
    },
    /// The file's content is damaged or is not latchd's.
    #[error("the database is damaged: {detail}")]
    Corrupt {
        /// What SQLite or the check found.
        detail: String,
    },
    /// No room: the disk, a quota, or the size set for the database. The transaction was rolled back as a whole.
    #[error("the database cannot grow: {detail}")]
    Full {
        /// SQLite's text.
        detail: String,
    },
    /// Another connection holds the database longer than the busy timeout.
    #[error("the database is busy")]
    Busy,
    /// SQLite rolled the transaction back after an earlier error in it; nothing of it was kept.
    #[error("the transaction was rolled back by an earlier error")]
    RolledBack,
    /// A statement that writes inside [`super::Store::read`].
    #[error("a statement that writes was used in a reading transaction")]
    NotWriting,
    /// A setting that the promises rest on was not taken over by SQLite.
    #[error("the database setting {name} is {got} instead of {wanted}")]
    Setting {
        /// The pragma.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        got: String,
    },
    /// A file operation beside SQLite.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Sealed bytes that do not open: another key, another row, changed or cut.
    #[error("{what} cannot be unsealed: wrong device key, or the bytes were changed")]
    Unsealable {
        /// What was to be opened.
        what: &'static str,
    },
    /// The database was made with another device key.
    #[error("this database was made with another device key")]
    WrongKey,
    /// The device key's file is not fit for use.
    #[error("the device key {path} is refused: {why}")]
    DeviceKey {
        /// The key's file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A row that does not say what its table promises.
    #[error("the database has a row that makes no sense: {what}")]
    Row {
        /// The column.
        what: &'static str,
    },
    /// Anything else SQLite says.
    #[error("database: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

impl StoreError {
    /// What an operator can do, in one sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "check [device] state_dir, or start the daemon once",
            Self::ReadOnly { .. } => {
                "make the directory of [device] state_dir writable for the daemon's user"
            }
            Self::InUse { .. } => "stop the other latchd, or ask it over its socket",
            Self::NewerSchema { .. } => "install the latchd that wrote it, or newer",
            Self::OlderSchema { .. } => "start the daemon once",
            Self::Corrupt { .. } => {
                "restart the daemon: it sets the file aside and starts a fresh one; check the storage medium"
            }
            Self::Full { .. } => "free space on the disk or raise [queue] max_mib",
            Self::Busy => "try again; end programs that read the database",
            Self::RolledBack => "try again; the first error says why",
            Self::NotWriting | Self::Setting { .. } | Self::Row { .. } | Self::Sqlite(_) => {
                "report this as a defect, with the text"
            }
            Self::Io { .. } => "check the path, its owner and its mode",
            Self::Unsealable { .. } | Self::WrongKey => {
                "use the device key the database was made with; without it the sealed parts are lost"
            }
            Self::DeviceKey { .. } => {
                "put the right key there: 32 bytes, mode 0600, owned by the daemon's user"
            }
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy | Self::RolledBack)
    }

    pub(super) fn io(what: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }
}

/// SQLITE_IOERR_WRITE: what a file-size limit gives instead of DiskFull.
const IOERR_WRITE: i32 = 778;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_extended_error_code();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { detail: error.to_string() },
            Some(ErrorCode::SystemIoFailure) if extended == Some(IOERR_WRITE) => {
                Self::Full { detail: error.to_string() }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { detail: error.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}
