//! The one way to a statement: what the rooms get while a transaction is open.

use std::cell::Cell;

use rusqlite::types::FromSql;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use super::{Stamp, StoreError};
use crate::clock::Random;

/// Rolls back when it goes without [`Begun::commit`]. As rusqlite's own transaction, whose words SQLite reads
/// anew each time.
pub(super) struct Begun<'a>(&'a Connection);

impl<'a> Begun<'a> {
    pub(super) fn new(connection: &'a Connection, how: &'static str) -> Result<Self, StoreError> {
        connection.prepare_cached(how)?.execute([])?;
        Ok(Self(connection))
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        // Committed, or SQLite has rolled back by itself.
        if !self.0.is_autocommit() {
            let _ = self.0.prepare_cached("ROLLBACK").and_then(|mut words| words.execute([]));
        }
    }
}

/// An open transaction, with the moment it began and a source of randomness.
///
/// After an error at which SQLite rolled everything back by itself (a full disk), each further statement is
/// refused: it would otherwise be committed on its own.
pub struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Stamp,
    pub(super) random: &'a dyn Random,
    pub(super) writing: bool,
    pub(super) corrupt: Cell<bool>,
}

impl Transaction<'_> {
    /// When this transaction began: one moment for all of its rows.
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// Fills `bytes` with random ones.
    pub fn random(&self, bytes: &mut [u8]) {
        self.random.fill(bytes);
    }

    /// The injected source, for sealing.
    pub fn source(&self) -> &dyn Random {
        self.random
    }

    /// Runs one statement; gives the number of rows it changed.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        let mut statement = self.prepare(sql)?;
        self.noted(statement.execute(params))
    }

    /// Deletes sealed values whose key goes in the same commit. Pages that become free thereby are not overwritten: zeros over
    /// a capture's pictures are as many bytes again, on a flash that wears.
    pub fn delete_sealed(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        let overwrite =
            |how: &str| self.noted(self.connection.execute_batch(&format!("PRAGMA secure_delete = {how}")));
        overwrite("FAST")?;
        let deleted = self.execute(sql, params);
        // Whatever became of it: were it not set back, nothing would be overwritten from here on.
        overwrite("ON")?;
        deleted
    }

    /// The first row, if there is one.
    pub fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(sql)?;
        self.noted(statement.query_row(params, read).optional())
    }

    /// All rows: for questions whose answer is bounded.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(sql)?;
        self.noted(statement.query_map(params, read).and_then(Iterator::collect))
    }

    /// Row by row without holding them; `visit` says whether to go on.
    pub fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut visit: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare(sql)?;
        let run = || -> rusqlite::Result<()> {
            let mut rows = statement.query(params)?;
            while let Some(row) = rows.next()? {
                if !visit(row)? {
                    break;
                }
            }
            Ok(())
        };
        self.noted(run())
    }

    /// A column's values from both ends of a table whose middle may be damaged: a walk stops there, and what lies behind it is
    /// met the other way. Table, column and order are words of the code.
    pub fn from_both_ends<T: FromSql + PartialEq>(
        &self,
        (table, column, order): (&'static str, &'static str, &'static str),
    ) -> Vec<T> {
        let (mut found, mut back) = (Vec::new(), Vec::new());
        for (way, to) in [("ASC", &mut found), ("DESC", &mut back)] {
            let sql = format!("SELECT {column} FROM {table} ORDER BY {order} {way}");
            let walked = self.each(&sql, [], |row| {
                to.push(row.get(0)?);
                Ok(true)
            });
            // The whole table was read: there is nothing behind a damage.
            if walked.is_ok() && way == "ASC" {
                break;
            }
        }
        back.retain(|value| !found.contains(value));
        found.extend(back.into_iter().rev());
        found
    }

    /// The row id of the last insert in this transaction.
    pub fn last_id(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// Bytes of the database that are in use, freed pages not counted.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        let pages: i64 = self.pragma("PRAGMA page_count")?;
        let free: i64 = self.pragma("PRAGMA freelist_count")?;
        let size: i64 = self.pragma("PRAGMA page_size")?;
        Ok(u64::try_from(pages.saturating_sub(free).saturating_mul(size)).unwrap_or(0))
    }

    fn pragma(&self, sql: &str) -> Result<i64, StoreError> {
        Ok(self.one(sql, [], |row| row.get(0))?.unwrap_or(0))
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        if self.connection.is_autocommit() {
            return Err(StoreError::RolledBack);
        }
        let statement = self.noted(self.connection.prepare_cached(sql))?;
        if !self.writing && !statement.readonly() {
            return Err(StoreError::NotWriting);
        }
        Ok(statement)
    }

    fn noted<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| {
            let error = StoreError::from(error);
            if matches!(error, StoreError::Corrupt { .. }) {
                self.corrupt.set(true);
            }
            error
        })
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("now", &self.now).field("writing", &self.writing).finish()
    }
}
