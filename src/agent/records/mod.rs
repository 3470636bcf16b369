//! What one commit holds: the statements of several rooms put together, so that they become durable together or
//! not at all. No decision is taken here.

mod jobs;
mod start;
mod verdicts;

pub use jobs::{
    Already, NewCheck, NewJob, accept, accepted, dead_letter, enqueue, enqueue_check, hurry, overdue,
    put_back, queue_api, release_clock_held, settle, store_job, submit_failure, sweep, try_settle,
};
pub use start::{database_replaced, effective, open_alarm, recover};
pub use verdicts::{decision_of, drained_finding, drained_verdict, verdict};

use super::error::AgentError;
use super::shared::Shared;
use crate::access::{AttemptId, Claim, JobId, Note, Standing};
use crate::audit::{self, Event, Unlock};
use crate::people::{self, Subject};
use crate::queue;
use crate::store::{Pseudonym, StoreError, Transaction};
use std::collections::BTreeMap;

type Fields = Vec<(&'static str, String)>;

/// door-rules 4: every row of a door that a sandbox may open says so.
fn marked(
    shared: &Shared,
    fields: impl IntoIterator<Item = (&'static str, String)>,
) -> BTreeMap<&'static str, String> {
    let commissioning =
        shared.config.door.sandbox_unlock == crate::config::model::SandboxUnlock::Commissioning;
    let mark = commissioning.then(|| ("sandbox_unlock", "commissioning".to_owned()));
    fields.into_iter().chain(mark).collect()
}

/// Appends one event within a transaction.
pub fn event(
    tx: &Transaction<'_>,
    shared: &Shared,
    attempt: Option<AttemptId>,
    job: Option<JobId>,
    subject: Option<Pseudonym>,
    kind: &'static str,
    fields: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), AgentError> {
    let fields = marked(shared, fields);
    let event = Event { kind, door: &shared.config.door.name, attempt, job, subject, fields };
    audit::append(tx, &shared.keys.audit, &event)?;
    Ok(())
}

fn notes(
    tx: &Transaction<'_>,
    shared: &Shared,
    subject: Option<Pseudonym>,
    job: Option<JobId>,
    notes: Vec<Note>,
) -> Result<(), AgentError> {
    for note in notes {
        event(tx, shared, Some(note.attempt), job, subject, note.kind, note.fields)?;
    }
    Ok(())
}

fn tell_if_failed(shared: &Shared, what: &'static str, result: Result<(), AgentError>) {
    let Err(error) = result else { return };
    log::error!(what = what; "could not be written: {error}");
    if let AgentError::Store(StoreError::Corrupt { .. }) = error {
        // The next start checks the whole file and sets it aside; going on would lose what is written from here on.
        log::error!("the database is damaged: the daemon ends, so that its next start sets the file aside");
        shared.host.abandon();
    }
}

/// Appends one event in a commit of its own. What cannot be written is in the journal at least.
pub fn append(
    shared: &Shared,
    attempt: Option<AttemptId>,
    job: Option<JobId>,
    kind: &'static str,
    fields: Fields,
) {
    let result = shared.store.write(|tx| match (kind, attempt) {
        ("unlock_done", Some(attempt)) => {
            let fields = marked(shared, fields);
            let unlock = Unlock { door: &shared.config.door.name, attempt, job, subject: None, fields };
            audit::unlock_done(tx, &shared.keys.audit, &unlock)?;
            Ok(())
        }
        _ => event(tx, shared, attempt, job, None, kind, fields),
    });
    tell_if_failed(shared, kind, result);
}

/// Appends the notes of an attempt.
pub fn append_notes(shared: &Shared, subject: Option<Pseudonym>, job: Option<JobId>, list: Vec<Note>) {
    if !list.is_empty() {
        tell_if_failed(shared, "notes", shared.store.write(|tx| notes(tx, shared, subject, job, list)));
    }
}

/// Removes the oldest events if they had their time, and says so among those that stay; see [`audit::prune`].
pub fn prune_events(shared: &Shared) {
    let rule = audit::Rule::of(&shared.config.retention, &shared.config.queue);
    let today = audit::today(shared.clock.wall(), shared.client.server_time());
    let result = shared.store.write(|tx| {
        let needed = start::unseen_replacement(tx)?.map(|event| event.seq);
        let pruned = audit::prune(tx, &shared.keys.audit, &rule, today, needed)?;
        if let Some(gone) = &pruned {
            let (from, to) = (gone.from.to_string(), gone.anchor.last.to_string());
            let fields = [("from", from), ("to", to), ("why", gone.why.name().to_owned())];
            event(tx, shared, None, None, None, "events_pruned", fields)?;
        }
        Ok(pruned)
    });
    if let Ok(Some(gone)) = &result {
        log::info!(from = gone.from, to = gone.anchor.last; "events had their time and were removed");
    }
    tell_if_failed(shared, "prune_events", result.map(drop));
}

/// What the list says of a claim.
pub fn standing(shared: &Shared, claim: &Claim) -> Result<Standing, AgentError> {
    shared.store.read(|tx| {
        let person = people::standing(tx, &claim.user)?;
        let reader = people::lockout(tx, Subject::Reader(&claim.reader))?;
        Ok(Standing {
            listed: person.listed,
            may_open: person.may_open,
            consent: person.consent.is_some(),
            user_locked_out: person.locked_out,
            reader_locked_out: reader,
        })
    })
}

/// Whether the queue takes another job (queue promise 5).
pub fn queue_has_room(shared: &Shared) -> bool {
    let free = shared.host.free_space();
    match shared.store.read(|tx| queue::room(tx, &shared.config.queue, free)) {
        Ok(Ok(())) => true,
        Ok(Err(full)) => {
            log::warn!(remedy = full.remedy(); "no new capture: {full}");
            false
        }
        Err(error) => {
            log::error!("no new capture, the queue cannot be read: {error}");
            false
        }
    }
}
