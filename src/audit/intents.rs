//! An unlock is written before it is done (door-rules 9): the intent, then what became of it.

use std::collections::BTreeMap;

use super::{AuditError, Event, append};
use crate::access::{AttemptId, JobId};
use crate::store::{AuditKey, Pseudonym, Transaction};

const INTENT: &str = "unlock_intent";
const DONE: &str = "unlock_done";
const INTERRUPTED: &str = "unlock_interrupted";

/// The unlock of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unlock<'a> {
    /// The door's configured name.
    pub door: &'a str,
    /// The attempt that opens it.
    pub attempt: AttemptId,
    /// The job whose verdict opens it.
    pub job: Option<JobId>,
    /// The person, as a pseudonym.
    pub subject: Option<Pseudonym>,
    /// More, by stable names.
    pub fields: BTreeMap<&'static str, String>,
}

/// An intent without a result: the process ended between the two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenIntent {
    /// The intent's place in the chain.
    pub seq: u64,
    /// The door's name then.
    pub door: String,
    /// The attempt.
    pub attempt: AttemptId,
    /// The job.
    pub job: Option<JobId>,
    /// The person, as a pseudonym.
    pub subject: Option<Pseudonym>,
}

/// Before the edge. An attempt has one intent only: a second is refused, and with it the second pulse.
pub fn unlock_intent(tx: &Transaction<'_>, key: &AuditKey, unlock: &Unlock<'_>) -> Result<u64, AuditError> {
    let sql = "SELECT 1 FROM events WHERE attempt = ?1 AND kind = 'unlock_intent'";
    if tx.one(sql, [unlock.attempt.0], |_| Ok(()))?.is_some() {
        return Err(AuditError::SecondIntent(unlock.attempt));
    }
    let seq = record(tx, key, unlock, INTENT)?;
    let event = i64::try_from(seq).unwrap_or(i64::MAX);
    tx.execute("INSERT INTO open_intents (attempt, event) VALUES (?1, ?2)", (unlock.attempt.0, event))?;
    Ok(seq)
}

/// After the guard confirmed the edge.
pub fn unlock_done(tx: &Transaction<'_>, key: &AuditKey, unlock: &Unlock<'_>) -> Result<u64, AuditError> {
    close(tx, unlock.attempt)?;
    record(tx, key, unlock, DONE)
}

/// Intents that have neither a done nor an interrupted event, oldest first.
pub fn open_intents(tx: &Transaction<'_>) -> Result<Vec<OpenIntent>, AuditError> {
    Ok(tx.all(
        "SELECT events.seq, door, events.attempt, job, subject
         FROM open_intents JOIN events ON events.seq = open_intents.event ORDER BY events.seq",
        [],
        |row| {
            Ok(OpenIntent {
                seq: row.get::<_, i64>(0).map(|seq| u64::try_from(seq).unwrap_or(0))?,
                door: row.get(1)?,
                attempt: AttemptId(row.get(2)?),
                job: row.get::<_, Option<_>>(3)?.map(JobId),
                subject: row.get::<_, Option<_>>(4)?.map(Pseudonym),
            })
        },
    )?)
}

/// At start: each open intent becomes `unlock_interrupted`, with the `common` fields. None is ever resumed.
pub fn interrupt_open(
    tx: &Transaction<'_>,
    key: &AuditKey,
    common: &BTreeMap<&'static str, String>,
) -> Result<Vec<OpenIntent>, AuditError> {
    let open = if planted!(IntentStaysOpen) { vec![] } else { open_intents(tx)? };
    for intent in &open {
        let OpenIntent { seq, door, attempt, job, subject } = intent;
        let mut fields = common.clone();
        fields.insert("intent", seq.to_string());
        let unlock = Unlock { door, attempt: *attempt, job: *job, subject: *subject, fields };
        close(tx, *attempt)?;
        record(tx, key, &unlock, INTERRUPTED)?;
    }
    Ok(open)
}

fn close(tx: &Transaction<'_>, attempt: AttemptId) -> Result<(), AuditError> {
    match tx.execute("DELETE FROM open_intents WHERE attempt = ?1", [attempt.0])? {
        0 => Err(AuditError::NoIntent(attempt)),
        _ => Ok(()),
    }
}

fn record(
    tx: &Transaction<'_>,
    key: &AuditKey,
    unlock: &Unlock<'_>,
    kind: &'static str,
) -> Result<u64, AuditError> {
    let Unlock { door, attempt, job, subject, fields } = unlock;
    append(
        tx,
        key,
        &Event { kind, door, attempt: Some(*attempt), job: *job, subject: *subject, fields: fields.clone() },
    )
}
