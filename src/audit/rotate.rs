//! A new key for the chain. The old one is kept, sealed under the new one, so that the events from before can still be
//! verified; that they end where they ended is held by the first event under the new key, which is chained to them.

use super::prune::anchor;
use super::{AuditError, Event, append};
use crate::store::{AuditKey, Transaction};

/// The facts whose name ends with the last event of an older key.
const FACT: &str = "audit_key_until_";

/// Goes on under `new`: `last` is the last event under `old`, `first` the first under the new one.
pub fn rotate(
    tx: &Transaction<'_>,
    (old, new): (&AuditKey, &AuditKey),
    last: &Event<'_>,
    first: &Event<'_>,
) -> Result<(), AuditError> {
    let mut keys = older_keys(tx, old)?;
    let until = append(tx, old, last)?;
    keys.push((i64::try_from(until).unwrap_or(i64::MAX), old.clone()));
    for (until, key) in keys {
        let sealed = new.seal_older(until, &key, tx.source())?;
        let sql = "INSERT INTO facts (name, value) VALUES (?1, hex(?2))
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        tx.execute(sql, (format!("{FACT}{until}"), sealed))?;
    }
    // One that the old key's holder did not write is not vouched for by the new one either.
    if let Some(anchor) = anchor(tx)?.filter(|anchor| anchor.is_signed_by(old)) {
        anchor.signed(new).write(tx)?;
    }
    append(tx, new, first)?;
    Ok(())
}

/// Forgets the keys under which nothing is left after event `last`.
pub(super) fn forget_keys(tx: &Transaction<'_>, last: i64) -> Result<(), AuditError> {
    let sql =
        "DELETE FROM facts WHERE substr(name, 1, ?2 - 1) = ?1 AND CAST(substr(name, ?2) AS INTEGER) <= ?3";
    tx.execute(sql, (FACT, digits_from(), last))?;
    Ok(())
}

/// Where in a fact's name the number begins, for SQLite.
fn digits_from() -> i64 {
    i64::try_from(FACT.len() + 1).unwrap_or(i64::MAX)
}

/// The keys before `key`, each with the last event that it signed, in their order.
pub(super) fn older_keys(tx: &Transaction<'_>, key: &AuditKey) -> Result<Vec<(i64, AuditKey)>, AuditError> {
    let sql = "SELECT CAST(substr(name, ?2) AS INTEGER) AS until, coalesce(unhex(value), x'') FROM facts
               WHERE substr(name, 1, ?2 - 1) = ?1 ORDER BY until";
    let kept =
        tx.all(sql, (FACT, digits_from()), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    kept.into_iter().map(|(until, sealed)| Ok((until, key.open_older(until, sealed)?))).collect()
}
