//! Whether a device key and a database belong together: the wrong key must be noticed before anything is sealed with it.

use super::seal::mac;
use super::{AuditKey, Store, StoreError};

const FACT: &str = "key_check";

/// Compares the key with the database's own note of it. A database that has none yet is given one with `write`.
///
/// # Errors
/// [`StoreError::WrongKey`], or the database.
pub fn check_key(store: &Store, key: &AuditKey, write: bool) -> Result<(), StoreError> {
    let mine: String =
        mac(key.secret(), &[b"latchd key check 1"]).iter().map(|byte| format!("{byte:02x}")).collect();
    let known = store.read(|tx| {
        tx.one("SELECT value FROM facts WHERE name = ?1", [FACT], |row| row.get::<_, String>(0))
    })?;
    match known {
        Some(known) if known == mine => Ok(()),
        Some(_) => Err(StoreError::WrongKey),
        None if write => store.write(|tx| {
            tx.execute("INSERT INTO facts (name, value) VALUES (?1, ?2)", (FACT, mine)).map(drop)
        }),
        None => Ok(()),
    }
}
