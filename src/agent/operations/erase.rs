//! What is erased on an operator's word, and when that may be said: once it is gone from the log beside the database too.

use super::{Actor, Backend, done, request, user};
use crate::access::UserId;
use crate::agent::error::AgentError;
use crate::control::Reply;
use crate::people::{self, PeopleError};
use crate::queue;
use crossbeam_channel::bounded;
use serde_json::{Value, json};
use std::time::Duration;

/// How often, and how long apart, the log is tried to be emptied while a reader stands in the way.
const TRIES: (u32, Duration) = (20, Duration::from_millis(250));

/// Empties the log, so that the bytes of what was erased are gone from the disk. `false` when another program read the
/// database all the while.
fn settle(backend: &Backend<'_>, send: &mut dyn FnMut(Reply)) -> Result<bool, AgentError> {
    let (_keep, never) = bounded::<()>(0);
    for tried in 0..TRIES.0 {
        if backend.store.settle()? {
            return Ok(true);
        }
        if tried == 0 {
            let text =
                "another program reads the database, and what was erased stays in its log; trying again"
                    .to_owned();
            send(Reply::Progress { object: json!({"step": "waiting_for_reader"}), text });
        }
        let _ = never.recv_timeout(TRIES.1);
    }
    Ok(false)
}

/// The last word about an erase that is committed: exit 1 when its bytes could not be taken off the disk yet.
pub(super) fn told(
    backend: &Backend<'_>,
    mut object: Value,
    text: &str,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let settled = settle(backend, send)?;
    if let Some(map) = object.as_object_mut() {
        map.insert("settled".into(), settled.into());
    }
    if settled {
        return Ok(done(object, text));
    }
    let text = format!(
        "{text}; BUT the log beside the database still holds the bytes, because another program reads it: end that program; \
         the daemon then empties the log within a minute"
    );
    Ok(Reply::Done { exit: 1, object, text })
}

/// A person's right to be forgotten: everything of one user id, in one commit.
pub(super) fn person(
    backend: &Backend<'_>,
    actor: Actor,
    id: &str,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let id = user(id)?;
    if id.as_str() == UserId::ERASED {
        return Err(request("user id", "stands for the erased", "name a person"));
    }
    // No subject: the pseudonym's meaning goes in this commit, and this event must not be its last trace.
    let gone = backend.change_saying(actor, "person_erased", None, None, |tx, _| {
        let rows = people::erase(tx, &id)?;
        let gone = queue::forget_person(tx, &id, &format!("uid {}", actor.uid), backend.alone)?;
        if rows == 0 && gone.jobs == 0 {
            return Err(PeopleError::Unlisted.into());
        }
        let fields = vec![("jobs", gone.jobs.to_string()), ("dropped", gone.dropped.to_string())];
        Ok((gone, fields))
    })?;
    for (job, remote) in &gone.at_service {
        let object = json!({"job": job.to_string(), "remote_id": remote});
        send(Reply::Item { object, text: format!("{job}  {}", remote.as_deref().unwrap_or("-")) });
    }
    let at_service = gone.at_service.len();
    let object = json!({"jobs": gone.jobs, "dropped": gone.dropped, "at_service": at_service});
    let mut text =
        format!("erased; {} jobs have no name now, {} of them were given up", gone.jobs, gone.dropped);
    if at_service > 0 {
        text.push_str(&format!(
            "; the service has or may have {at_service}, listed above: have it erase them too"
        ));
    }
    told(backend, object, &text, send)
}
