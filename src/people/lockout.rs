//! Denials and lock-outs that last over restarts (door-rules 13). When one is due is decided in `access`.
//!
//! Within one boot only boot time counts, so that no step of the wall clock shortens a lock-out. After a reboot
//! the wall clock counts if it was known then and is known now; otherwise the whole span starts anew, because
//! how long the device was off is unknown.

use std::time::Duration;

use super::PeopleError;
use crate::access::UserId;
use crate::store::{Stamp, Transaction};

/// Whom denials are counted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A claimed identity, listed or not.
    User(&'a UserId),
    /// A reader, by its configured name.
    Reader(&'a str),
}

impl Subject<'_> {
    fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::User(user) => ("user", user.as_str()),
            Self::Reader(name) => ("reader", name),
        }
    }
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(_) => f.write_str("User(hidden)"),
            Self::Reader(name) => write!(f, "Reader({name:?})"),
        }
    }
}

/// The longest span the configuration allows denials to count in; older ones are dropped.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Notes a denial at this transaction's moment, and drops those that can no longer count.
pub fn record_denial(tx: &Transaction<'_>, subject: Subject<'_>) -> Result<(), PeopleError> {
    let (kind, name) = subject.columns();
    let now = tx.now();
    for (id, at) in all_denials(tx)? {
        if now.since(&at).is_some_and(|age| age > LONGEST) {
            tx.execute("DELETE FROM denials WHERE id = ?1", [id])?;
        }
    }
    let (boot_id, boot, wall) = now.columns();
    tx.execute(
        "INSERT INTO denials (kind, name, boot_id, boot_us, wall_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        (kind, name, boot_id, boot, wall),
    )?;
    Ok(())
}

/// How many denials lie within the last `span`. One whose age is unknown counts.
pub fn denials_since(tx: &Transaction<'_>, subject: Subject<'_>, span: Duration) -> Result<u32, PeopleError> {
    let now = tx.now();
    let ages = tx.all(
        "SELECT boot_id, boot_us, wall_ms FROM denials WHERE kind = ?1 AND name = ?2",
        subject.columns(),
        |row| Ok(now.since(&Stamp::from_row(row, 0)?)),
    )?;
    let counting = ages.into_iter().filter(|age| age.is_none_or(|age| age <= span)).count();
    Ok(u32::try_from(counting).unwrap_or(u32::MAX))
}

/// Forgets the subject's denials, after a grant or when they have led to a lock-out.
pub fn clear_denials(tx: &Transaction<'_>, subject: Subject<'_>) -> Result<(), PeopleError> {
    tx.execute("DELETE FROM denials WHERE kind = ?1 AND name = ?2", subject.columns())?;
    Ok(())
}

/// Locks the subject out for `lasts` from now; its denials are used up by that. Never shortens a running one.
pub fn set_lockout(tx: &Transaction<'_>, subject: Subject<'_>, lasts: Duration) -> Result<(), PeopleError> {
    clear_denials(tx, subject)?;
    if lockout(tx, subject)?.is_none_or(|running| running < lasts) {
        anchor(tx, subject.columns(), lasts)?;
    }
    Ok(())
}

/// How long the subject is still locked out; `None` when it is not.
pub fn lockout(tx: &Transaction<'_>, subject: Subject<'_>) -> Result<Option<Duration>, PeopleError> {
    let now = tx.now();
    let remaining = tx.one(
        "SELECT boot_id, boot_us, wall_ms, lasts_ms FROM lockouts WHERE kind = ?1 AND name = ?2",
        subject.columns(),
        |row| Ok(remaining(&now, &Stamp::from_row(row, 0)?, row.get(3)?)),
    )?;
    Ok(remaining.filter(|left| !left.is_zero()))
}

/// The readers that are locked out, and for how long still.
pub fn locked_out_readers(tx: &Transaction<'_>) -> Result<Vec<(String, Duration)>, PeopleError> {
    let now = tx.now();
    let readers = tx.all(
        "SELECT boot_id, boot_us, wall_ms, lasts_ms, name FROM lockouts WHERE kind = 'reader' ORDER BY name",
        [],
        |row| Ok((row.get(4)?, remaining(&now, &Stamp::from_row(row, 0)?, row.get(3)?))),
    )?;
    Ok(readers.into_iter().filter(|(_, left)| !left.is_zero()).collect())
}

/// Ends the subject's lock-out and forgets its denials; `false` when it was not locked out.
pub fn lift(tx: &Transaction<'_>, subject: Subject<'_>) -> Result<bool, PeopleError> {
    let was = lockout(tx, subject)?.is_some();
    tx.execute("DELETE FROM lockouts WHERE kind = ?1 AND name = ?2", subject.columns())?;
    clear_denials(tx, subject)?;
    Ok(was)
}

/// Once after each start: what other boots left goes on by this boot's time, so that from now on no step of
/// the wall clock matters; what has run out is dropped. Writes nothing when there is nothing of another boot.
pub fn recover_at_start(tx: &Transaction<'_>) -> Result<(), PeopleError> {
    let now = tx.now();
    let lockouts =
        tx.all("SELECT boot_id, boot_us, wall_ms, lasts_ms, kind, name FROM lockouts", [], |row| {
            let name: (String, String) = (row.get(4)?, row.get(5)?);
            Ok((Stamp::from_row(row, 0)?, row.get::<_, i64>(3)?, name))
        })?;
    for (since, lasts, (kind, name)) in lockouts {
        let left = remaining(&now, &since, lasts);
        if left.is_zero() {
            tx.execute("DELETE FROM lockouts WHERE kind = ?1 AND name = ?2", (&kind, &name))?;
        } else if since.boot_id != now.boot_id {
            anchor(tx, (&kind, &name), left)?;
        }
    }
    for (id, at) in all_denials(tx)? {
        match now.since(&at) {
            Some(age) if age > LONGEST => {
                tx.execute("DELETE FROM denials WHERE id = ?1", [id])?;
            }
            Some(_) => {}
            None => {
                let (boot_id, boot, wall) = now.columns();
                tx.execute(
                    "UPDATE denials SET boot_id = ?2, boot_us = ?3, wall_ms = ?4 WHERE id = ?1",
                    (id, boot_id, boot, wall),
                )?;
            }
        }
    }
    Ok(())
}

/// Takes over the lock-outs of another database, as many as can be read; gives how many were new. They make the door stricter:
/// nothing need prove them.
pub fn take_over(from: &Transaction<'_>, to: &Transaction<'_>) -> Result<usize, PeopleError> {
    let (mut taken, mut failed) = (0, None);
    let read = from.each("SELECT boot_id, boot_us, wall_ms, lasts_ms, kind, name FROM lockouts", [], |row| {
        let (boot_id, boot, wall) = Stamp::from_row(row, 0)?.columns();
        let (lasts, kind, name) = (row.get::<_, i64>(3)?, row.get::<_, String>(4)?, row.get::<_, String>(5)?);
        let sql = "INSERT INTO lockouts (kind, name, lasts_ms, boot_id, boot_us, wall_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        match to.execute(sql, (kind, name, lasts, boot_id, boot, wall)) {
            Ok(new) => taken += new,
            Err(error) => failed = Some(error),
        }
        Ok(failed.is_none())
    });
    if let Err(error) = read {
        log::warn!("not all lock-outs can be read: {error}");
    }
    failed.map_or(Ok(taken), |error| Err(error.into()))
}

/// Not known how much has passed: all of it is still to come.
fn remaining(now: &Stamp, since: &Stamp, lasts_ms: i64) -> Duration {
    let lasts = Duration::from_millis(u64::try_from(lasts_ms).unwrap_or(0));
    lasts.saturating_sub(now.since(since).unwrap_or(Duration::ZERO))
}

fn anchor(tx: &Transaction<'_>, (kind, name): (&str, &str), lasts: Duration) -> Result<(), PeopleError> {
    let (boot_id, boot, wall) = tx.now().columns();
    let lasts = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO lockouts (kind, name, lasts_ms, boot_id, boot_us, wall_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (kind, name) DO UPDATE SET lasts_ms = excluded.lasts_ms, boot_id = excluded.boot_id,
             boot_us = excluded.boot_us, wall_ms = excluded.wall_ms",
        (kind, name, lasts, boot_id, boot, wall),
    )?;
    Ok(())
}

fn all_denials(tx: &Transaction<'_>) -> Result<Vec<(i64, Stamp)>, PeopleError> {
    Ok(tx.all("SELECT id, boot_id, boot_us, wall_ms FROM denials", [], |row| {
        Ok((row.get(0)?, Stamp::from_row(row, 1)?))
    })?)
}
