//! The schema's versions, and moving a file from one to the next.

use rusqlite::Connection;

use super::StoreError;

/// One file per version, applied in order; a version once released is never edited.
const VERSIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
];

/// The two facts about a damaged database that this one replaces.
pub const REPLACED_MOVED_TO: &str = "replaced_moved_to";
/// See [`REPLACED_MOVED_TO`].
pub const REPLACED_SHA256: &str = "replaced_sha256";

/// Says in the file's header that it is latchd's: the bytes of "ltch".
const APPLICATION_ID: i64 = 0x6c74_6368;

/// The newest version this release knows.
pub const NEWEST: i64 = VERSIONS.len() as i64;

/// What a readable database turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing in it yet.
    Empty,
    /// Ours, at this version.
    Version(i64),
    /// A database of another program.
    Foreign,
}

/// Reads what the database says of itself, without changing it.
pub fn inspect(connection: &Connection) -> Result<Found, StoreError> {
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = ask("PRAGMA application_id")?;
    let version = ask("PRAGMA user_version")?;
    let objects = ask("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, version, objects) {
        (APPLICATION_ID, version, objects) if version > 0 && objects > 0 => Found::Version(version),
        (0, 0, 0) => Found::Empty,
        _ => Found::Foreign,
    })
}

/// A damaged database that was set aside: its new name and its SHA-256.
pub type Replaced<'a> = (&'a str, &'a str);

/// Brings a database from `from` to the newest version, one transaction a version. What it replaces is written with
/// the first, so that no crash can make it look like a new installation.
pub fn migrate(connection: &Connection, from: i64, replaced: Option<Replaced<'_>>) -> Result<(), StoreError> {
    let done = usize::try_from(from).unwrap_or(0);
    if done >= VERSIONS.len() {
        return Ok(());
    }
    // Replacing a table would otherwise delete the rows that refer to it.
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    for (index, sql) in VERSIONS.iter().enumerate().skip(done) {
        let change =
            rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
        change.execute_batch(sql)?;
        if let (0, Some((moved_to, sha256))) = (index, replaced) {
            let fact = "INSERT INTO facts (name, value) VALUES (?1, ?2)";
            change.execute(fact, (REPLACED_MOVED_TO, moved_to))?;
            change.execute(fact, (REPLACED_SHA256, sha256))?;
        }
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        let orphan = change.prepare("PRAGMA foreign_key_check")?.exists([])?;
        if orphan {
            return Err(StoreError::Row { what: "a row that belongs to no other" });
        }
        change.commit()?;
    }
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(())
}

/// The tables that decide who may open and whether anything is sent: checked at each start. Jobs are not among them: a deep
/// queue would hold up the door, and what is damaged of one is met when its turn comes.
pub const SMALL_TABLES: &[&str] =
    &["people", "pseudonyms", "denials", "lockouts", "open_intents", "boots", "queue_flags"];
