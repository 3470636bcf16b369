//! The first rows of a run: what was found, what applies, what was interrupted.

use super::jobs::queue_api;
use super::{Fields, event, marked};
use crate::agent::error::AgentError;
use crate::agent::lockout_rule;
use crate::agent::shared::{DatabaseAlarm, Shared};
use crate::audit::{self, AuditError, Stored};
use crate::people;
use crate::queue;
use crate::store::{self, Transaction};

/// At start: open intents become `unlock_interrupted`, jobs found in `sending` become unknown outcomes.
pub fn recover(shared: &Shared) -> Result<(), AgentError> {
    let (open, unknown) = shared.store.write(|tx| {
        people::recover_at_start(tx)?;
        let unknown = queue::recover_at_start(tx)?;
        for job in queue::adopt(tx, queue_api(shared))? {
            let fields = [("failure", "made for the other protocol".to_owned())];
            event(tx, shared, None, Some(job), None, "job_failed", fields)?;
        }
        for job in queue::resolve_unknown(tx, &shared.config.queue)? {
            event(tx, shared, None, Some(job), None, "job_resubmitted", [])?;
        }
        let open = audit::interrupt_open(tx, &shared.keys.audit, &marked(shared, []))?;
        Ok::<_, AgentError>((open.len(), unknown.unknown.len()))
    })?;
    if open > 0 {
        log::warn!(count = open; "the door was being opened when the daemon ended; nothing is resumed");
    }
    if unknown > 0 {
        log::warn!(count = unknown; "jobs were being sent when the daemon ended; their outcome is unknown");
    }
    Ok(())
}

/// A configured choice by the word that the file has for it.
fn word(choice: &impl serde::Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// door-rules 14: the values that this run goes by.
pub fn effective(shared: &Shared) -> Result<(), AgentError> {
    let door = &shared.config.door;
    let lockout = lockout_rule(&shared.config);
    let fields: Fields = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("window_ms", door.window_ms.to_string()),
        ("unlock_ms", door.unlock_ms.to_string()),
        ("who", word(&door.who)),
        ("api", word(&shared.config.smile.api)),
        ("environment", word(&shared.config.smile.environment)),
        ("luminance_min", shared.config.capture.luminance_min.to_string()),
        ("sharpness_min", shared.config.capture.sharpness_min.to_string()),
        ("liveness_count", shared.config.capture.liveness_count.to_string()),
        ("lockout_denials", lockout.denials.to_string()),
        ("lockout_within_seconds", lockout.within.as_secs().to_string()),
        ("lockout_seconds", lockout.lasts.as_secs().to_string()),
        ("guard_effective", crate::guard::Effective::of(&shared.guard).to_string()),
    ];
    for (key, value) in &fields {
        log::info!(value = value.as_str(); "effective {key}");
    }
    shared.store.write(|tx| event(tx, shared, None, None, None, "started", fields))
}

/// The first event of a fresh database that took a damaged one's place.
pub fn database_replaced(shared: &Shared, moved_to: &str, sha256: &str) -> Result<(), AgentError> {
    let fields = [("moved_to", moved_to.to_owned()), ("sha256", sha256.to_owned())];
    shared.store.write(|tx| {
        event(tx, shared, None, None, None, "database_replaced", fields)?;
        Ok(store::clear_replaced(tx)?)
    })
}

/// The alarm of a replaced database that nobody acknowledged yet; it survives restarts.
pub fn open_alarm(shared: &Shared) -> Result<Option<DatabaseAlarm>, AgentError> {
    let replaced = shared.store.read(unseen_replacement)?;
    let field = |event: &Stored, key: &str| event.fields.get(key).cloned().unwrap_or_default();
    Ok(replaced
        .map(|event| DatabaseAlarm { moved_to: field(&event, "moved_to"), sha256: field(&event, "sha256") }))
}

/// The event that says that the database was replaced, unless somebody has acknowledged it.
pub(super) fn unseen_replacement(tx: &Transaction<'_>) -> Result<Option<Stored>, AuditError> {
    let replaced = audit::latest(tx, "database_replaced")?;
    let seen = audit::latest(tx, "database_acknowledged")?.map_or(0, |seen| seen.seq);
    Ok(replaced.filter(|replaced| replaced.seq > seen))
}
