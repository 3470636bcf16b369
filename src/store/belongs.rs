//! Whether a device key and a database belong together: the wrong key must be noticed before anything is sealed with it.

use super::seal::mac;
use super::{AuditKey, Store, StoreError, Transaction};

const FACT: &str = "key_check";

/// Compares the key with the database's own note of it. A database in which nothing was done yet is given one with `write`.
///
/// # Errors
/// [`StoreError::WrongKey`], also when the note is gone; or the database.
pub fn check_key(store: &Store, key: &AuditKey, write: bool) -> Result<(), StoreError> {
    let mine = mark(key);
    let (known, used) = store.read(|tx| {
        let known =
            tx.one("SELECT value FROM facts WHERE name = ?1", [FACT], |row| row.get::<_, String>(0))?;
        // Whatever seals something also writes an event, in the same commit.
        let used = tx.one("SELECT 1 FROM events LIMIT 1", [], |_| Ok(()))?.is_some();
        Ok::<_, StoreError>((known, used))
    })?;
    match known {
        Some(known) if known == mine => Ok(()),
        None if !used && write => store.write(|tx| {
            tx.execute("INSERT INTO facts (name, value) VALUES (?1, ?2)", (FACT, mine)).map(drop)
        }),
        None if !used => Ok(()),
        _ => Err(StoreError::WrongKey),
    }
}

/// From this commit on the database belongs to this key: everything that is sealed in it must be sealed anew in the same commit.
///
/// # Errors
/// The statement failed.
pub fn note_key(tx: &Transaction<'_>, key: &AuditKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO facts (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.execute(sql, (FACT, mark(key))).map(drop)
}

/// What a key leaves in the database: shows nothing of it.
fn mark(key: &AuditKey) -> String {
    mac(key.secret(), &[b"latchd key check 1"]).iter().map(|byte| format!("{byte:02x}")).collect()
}
