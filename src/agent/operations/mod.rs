//! What an operator asks of the database: the same for a running daemon and for a command that works alone.

mod erase;
mod events;
mod jobs;
mod people;
mod queue;
mod status;

pub use events::{events, hex};
pub use status::status;

use super::error::AgentError;
use super::shared::{Keys, Shared};
use crate::access::{JobId, UserId};
use crate::audit;
use crate::clock::Wall;
use crate::control::{Reply, Request};
use crate::store::{Store, Transaction};
use serde_json::{Value, json};

/// Events that are read at once.
const PAGE: u32 = 500;

/// Who asks, for the audit.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    /// The user, as the kernel says.
    pub uid: u32,
}

/// What a change gives, and what its event says of it.
type Saying<T> = (T, Vec<(&'static str, String)>);

/// The database and its keys; no keys when it is only read and nobody named them.
pub struct Backend<'a> {
    /// The database.
    pub store: &'a Store,
    /// Its keys.
    pub keys: Option<&'a Keys>,
    /// The door's name, for events.
    pub door: &'a str,
    /// No daemon runs: nothing is being sent.
    pub alone: bool,
}

impl<'a> Backend<'a> {
    /// The daemon's own.
    pub fn of(shared: &'a Shared) -> Self {
        Self { store: &shared.store, keys: Some(&shared.keys), door: &shared.config.door.name, alone: false }
    }

    fn keys(&self) -> Result<&'a Keys, AgentError> {
        self.keys.ok_or_else(|| {
            request("device key", "is needed for this", "name it with --device-key FILE (needs root)")
        })
    }

    /// Changes something and says so in the audit, in one commit.
    fn change<T>(
        &self,
        actor: Actor,
        kind: &'static str,
        job: Option<JobId>,
        user: Option<&UserId>,
        work: impl FnOnce(&Transaction<'_>, &Keys) -> Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        self.change_saying(actor, kind, job, user, |tx, keys| Ok((work(tx, keys)?, vec![])))
    }

    /// As [`Backend::change`]; the work also gives fields of the event.
    fn change_saying<T>(
        &self,
        actor: Actor,
        kind: &'static str,
        job: Option<JobId>,
        user: Option<&UserId>,
        work: impl FnOnce(&Transaction<'_>, &Keys) -> Result<Saying<T>, AgentError>,
    ) -> Result<T, AgentError> {
        let keys = self.keys()?;
        self.store.write(|tx| {
            // Looked up on both sides of the work: one of the two is there whether it adds or removes.
            let subject = |tx| user.map_or(Ok(None), |user| crate::people::pseudonym(tx, user));
            let before = subject(tx)?;
            let (done, fields) = work(tx, keys)?;
            let fields = fields.into_iter().chain([("uid", actor.uid.to_string())]).collect();
            let event = audit::Event {
                kind,
                door: self.door,
                attempt: None,
                job,
                subject: before.or(subject(tx)?),
                fields,
            };
            audit::append(tx, &keys.audit, &event)?;
            Ok(done)
        })
    }
}

fn request(what: &'static str, why: impl Into<String>, remedy: &'static str) -> AgentError {
    AgentError::Request { what, why: why.into(), remedy }
}

fn user(text: &str) -> Result<UserId, AgentError> {
    UserId::parse(text).map_err(|error| crate::people::PeopleError::NotAUserId(error).into())
}

fn job(text: &str) -> Result<JobId, AgentError> {
    JobId::parse(text)
        .ok_or_else(|| request("job", "an id is 32 hexadecimal digits", "copy it from `latchd queue list`"))
}

fn done(object: Value, text: impl Into<String>) -> Reply {
    Reply::Done { exit: 0, object, text: text.into() }
}

/// Answers one request; the last reply is sent unless an error comes back.
pub fn perform(
    backend: &Backend<'_>,
    actor: Actor,
    asked: Request,
    send: &mut dyn FnMut(Reply),
) -> Result<(), AgentError> {
    let last = match asked {
        Request::QueueList(filter) => jobs::list(backend, &filter, send)?,
        Request::QueueStats => jobs::stats(backend)?,
        Request::QueueShow { job: id } => queue::show(backend, &id)?,
        Request::Events { after, .. } => {
            let mut count = 0_u64;
            events(backend.store, after, &mut |_, reply| {
                count += 1;
                send(reply);
            })?;
            let removed_to = backend.store.read(audit::anchor)?.map(|anchor| anchor.last);
            done(json!({"events": count, "removed_to": removed_to}), "")
        }
        Request::Verify { head } => events::verify(backend, head.as_deref())?,
        Request::PeopleAdd { person, replace } => people::add(backend, actor, &person, replace)?,
        Request::PeopleList => people::list(backend, send)?,
        Request::PeopleShow { user_id } => people::show(backend, &user_id)?,
        Request::PeopleRemove { user_id } => people::remove(backend, actor, &user_id, send)?,
        Request::PeopleErase { user_id } => erase::person(backend, actor, &user_id, send)?,
        Request::PeopleImport { format, text } => people::import(backend, actor, &format, &text)?,
        Request::PeopleUnlockOut { user_id, reader } => people::lift(backend, actor, user_id, reader)?,
        Request::QueueRetry { job } => queue::retry(backend, actor, job.as_deref())?,
        Request::QueueDrop { job: id } => queue::drop(backend, actor, &id, send)?,
        Request::QueueExport { job: id } => queue::export(backend, actor, &id, send)?,
        Request::Acknowledge => {
            backend.change(actor, "database_acknowledged", None, None, |_, _| Ok(()))?;
            done(json!({}), "acknowledged")
        }
        Request::Status | Request::Claim { .. } | Request::Submit { .. } | Request::QueueReplay { .. } => {
            return Err(AgentError::NeedsDaemon);
        }
    };
    send(last);
    Ok(())
}

fn wall_text(wall: Wall) -> Option<String> {
    wall.known().map(crate::clock::WallTime::to_rfc3339)
}
