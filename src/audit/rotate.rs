//! A new key for the chain. The old one is kept, sealed under the new one, so that the events from before can still be
//! verified; that they end where they ended is held by the first event under the new key, which is chained to them.

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
    append(tx, new, first)?;
    Ok(())
}

/// The keys before `key`, each with the last event that it signed, in their order.
pub(super) fn older_keys(tx: &Transaction<'_>, key: &AuditKey) -> Result<Vec<(i64, AuditKey)>, AuditError> {
    let sql = "SELECT CAST(substr(name, ?2) AS INTEGER) AS until, coalesce(unhex(value), x'') FROM facts
               WHERE substr(name, 1, ?2 - 1) = ?1 ORDER BY until";
    let from = i64::try_from(FACT.len() + 1).unwrap_or(i64::MAX);
    let kept = tx.all(sql, (FACT, from), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    kept.into_iter().map(|(until, sealed)| Ok((until, key.open_older(until, sealed)?))).collect()
}
