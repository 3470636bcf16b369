//! A new device key for the keys of all jobs.

use super::QueueError;
use super::jobs::context;
use crate::access::JobId;
use crate::store::{QueueKey, Transaction, seal};

/// Keys that are wrapped anew in one step.
const REWRAPPED_AT_ONCE: u32 = 256;

/// Wraps the keys of all jobs for another device key. Gives how many, and how many the old one did not open: those rows
/// stay as they were.
pub fn rewrap(tx: &Transaction<'_>, old: &QueueKey, new: &QueueKey) -> Result<(u64, u64), QueueError> {
    let (mut rewrapped, mut unreadable, mut after) = (0, 0, 0);
    let sql = format!(
        "SELECT job, id, wrapped FROM job_keys JOIN jobs ON seq = job WHERE job > ?1 ORDER BY job LIMIT {REWRAPPED_AT_ONCE}"
    );
    loop {
        let keys = tx.all(&sql, [after], |row| {
            Ok((row.get::<_, i64>(0)?, JobId(row.get(1)?), row.get::<_, Vec<u8>>(2)?))
        })?;
        let Some((last, ..)) = keys.last() else { return Ok((rewrapped, unreadable)) };
        after = *last;
        for (seq, id, wrapped) in keys {
            let context = context(id, "key", 0);
            let Ok(own) = seal::open_secret(old.secret(), &context, wrapped, "a job's key") else {
                unreadable += 1;
                continue;
            };
            let wrapped = seal::seal(new.secret(), &context, own.expose(), tx.source())?;
            tx.execute("UPDATE job_keys SET wrapped = ?2 WHERE job = ?1", (seq, wrapped))?;
            rewrapped += 1;
        }
    }
}
