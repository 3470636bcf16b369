//! What an operator asks of the database: the same for a running daemon and for a command that works alone.

use super::error::AgentError;
use super::records;
use super::shared::{Keys, Shared};
use crate::access::{JobId, UserId};
use crate::audit::{self, Breach};
use crate::clock::{BootTime, Wall};
use crate::control::{Reply, Request};
use crate::people::{self, ImportFormat, OnExisting, Subject};
use crate::queue::{self, Info, Move, State};
use crate::store::{Store, Transaction};
use base64::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Events that are read at once.
const PAGE: u32 = 500;

/// Who asks, for the audit.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    /// The user, as the kernel says.
    pub uid: u32,
}

/// The database and its keys; no keys when it is only read and nobody named them.
pub struct Backend<'a> {
    /// The database.
    pub store: &'a Store,
    /// Its keys.
    pub keys: Option<&'a Keys>,
    /// The door's name, for events.
    pub door: &'a str,
}

impl<'a> Backend<'a> {
    /// The daemon's own.
    pub fn of(shared: &'a Shared) -> Self {
        Self { store: &shared.store, keys: Some(&shared.keys), door: &shared.config.door.name }
    }

    fn keys(&self) -> Result<&'a Keys, AgentError> {
        self.keys.ok_or_else(|| request("device key", "name it with --device-key FILE (needs root)"))
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
        let keys = self.keys()?;
        self.store.write(|tx| {
            // Looked up on both sides of the work: one of the two is there whether it adds or removes.
            let subject = |tx| user.map_or(Ok(None), |user| people::pseudonym(tx, user));
            let before = subject(tx)?;
            let done = work(tx, keys)?;
            let event = audit::Event {
                kind,
                door: self.door,
                attempt: None,
                job,
                subject: before.or(subject(tx)?),
                fields: BTreeMap::from([("uid", actor.uid.to_string())]),
            };
            audit::append(tx, &keys.audit, &event)?;
            Ok(done)
        })
    }
}

fn request(what: &'static str, why: impl Into<String>) -> AgentError {
    AgentError::Request { what, why: why.into() }
}

fn user(text: &str) -> Result<UserId, AgentError> {
    UserId::parse(text).map_err(|error| request("user id", error.to_string()))
}

fn job(text: &str) -> Result<JobId, AgentError> {
    JobId::parse(text).ok_or_else(|| request("job", "an id is 32 hexadecimal digits"))
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
        Request::QueueList { state } => queue_list(backend, state, send)?,
        Request::QueueShow { job: id } => queue_show(backend, &id)?,
        Request::Events { after, .. } => {
            let mut count = 0_u64;
            events(backend.store, after, &mut |_, reply| {
                count += 1;
                send(reply);
            })?;
            done(json!({"events": count}), "")
        }
        Request::Verify { head } => verify(backend, head.as_deref())?,
        Request::PeopleAdd { person, replace } => people_add(backend, actor, &person, replace)?,
        Request::PeopleList => people_list(backend, send)?,
        Request::PeopleShow { user_id } => people_show(backend, &user_id)?,
        Request::PeopleRemove { user_id } => people_remove(backend, actor, &user_id)?,
        Request::PeopleImport { format, text } => people_import(backend, actor, &format, &text)?,
        Request::PeopleUnlockOut { user_id, reader } => lift(backend, actor, user_id, reader)?,
        Request::QueueRetry { job } => queue_retry(backend, actor, job.as_deref())?,
        Request::QueueDrop { job: id } => {
            let id = job(&id)?;
            backend.change(actor, "job_dropped", Some(id), None, |tx, _| {
                Ok(queue::drop(tx, id, &format!("uid {}", actor.uid))?)
            })?;
            done(json!({"job": id.to_string()}), "dropped; its pictures are erased")
        }
        Request::QueueExport { job: id } => queue_export(backend, actor, &id, send)?,
        Request::Acknowledge => {
            backend.change(actor, "database_acknowledged", None, None, |_, _| Ok(()))?;
            done(json!({}), "acknowledged")
        }
        Request::Status | Request::Claim { .. } => return Err(AgentError::NeedsDaemon),
    };
    send(last);
    Ok(())
}

// ---------------------------------------------------------------------- people

fn people_add(
    backend: &Backend<'_>,
    actor: Actor,
    person: &Value,
    replace: bool,
) -> Result<Reply, AgentError> {
    let text = Value::Array(vec![person.clone()]).to_string();
    let now = backend.store.read(|tx| Ok::<_, AgentError>(tx.now().wall))?;
    let parsed = people::parse_import(&text, ImportFormat::Json, now)?;
    let Some((_, person)) = parsed.into_iter().next() else {
        return Err(request("person", "is missing"));
    };
    let existing = if replace { OnExisting::Replace } else { OnExisting::Refuse };
    let id = person.user_id.clone();
    backend.change(actor, "people_added", None, Some(&id), |tx, keys| {
        Ok(people::add(tx, &keys.people, &person, existing)?)
    })?;
    let consent =
        if person.consent.is_some() { "" } else { "; no consent is recorded, so nothing can be captured" };
    Ok(done(json!({"user_id": id.as_str()}), format!("{id} is on the list{consent}")))
}

fn consent_json(consent: Option<&people::Consent>) -> Value {
    consent.map_or(Value::Null, |consent| {
        json!({
            "granted_at": consent.granted_at.to_rfc3339(),
            "language": consent.language,
            "policy_url": consent.policy_url,
        })
    })
}

fn people_list(backend: &Backend<'_>, send: &mut dyn FnMut(Reply)) -> Result<Reply, AgentError> {
    let list = backend.store.read(people::list)?;
    for person in &list {
        let locked_out = person.locked_out.map(|left| left.as_secs());
        let object = json!({
            "user_id": person.user_id.as_str(),
            "may_open": person.may_open,
            "consent": consent_json(person.consent.as_ref()),
            "locked_out_seconds": locked_out,
        });
        let text = format!(
            "{:<32} {:<14} {:<22} {}",
            person.user_id.as_str(),
            if person.may_open { "may open" } else { "may not open" },
            person
                .consent
                .as_ref()
                .map_or_else(|| "no consent".into(), |c| format!("consent {}", c.language)),
            locked_out.map_or_else(String::new, |left| format!("locked out {left} s")),
        );
        send(Reply::Item { object, text: text.trim_end().to_owned() });
    }
    Ok(done(json!({"people": list.len()}), format!("{} on the list", list.len())))
}

fn people_show(backend: &Backend<'_>, id: &str) -> Result<Reply, AgentError> {
    let (id, keys) = (user(id)?, backend.keys()?);
    let Some(person) = backend.store.read(|tx| people::show(tx, &keys.people, &id))? else {
        return Err(request("user id", "is not on the list"));
    };
    let consent = person.consent.as_ref();
    let object = json!({
        "user_id": id.as_str(),
        "may_open": person.may_open,
        "given_names": person.contact.given_names,
        "last_name": person.contact.last_name,
        "email": person.contact.email,
        "phone": person.contact.phone,
        "consent_granted_at": consent.map(|consent| consent.granted_at.to_rfc3339()),
        "consent_language": consent.map(|consent| consent.language.clone()),
        "consent_policy_url": consent.map(|consent| consent.policy_url.clone()),
    });
    let text = [
        ("user id", Some(id.to_string())),
        ("name", Some(format!("{} {}", person.contact.given_names, person.contact.last_name))),
        ("email", person.contact.email.clone()),
        ("phone", person.contact.phone.clone()),
        ("may open", Some(person.may_open.to_string())),
        (
            "consent",
            consent.map(|c| format!("{} {} {}", c.granted_at.to_rfc3339(), c.language, c.policy_url)),
        ),
    ]
    .into_iter()
    .map(|(key, value)| format!("{key:<9} {}", value.as_deref().unwrap_or("-")))
    .collect::<Vec<_>>()
    .join("\n");
    Ok(done(object, text))
}

fn people_remove(backend: &Backend<'_>, actor: Actor, id: &str) -> Result<Reply, AgentError> {
    let id = user(id)?;
    let gone = backend.change(actor, "people_removed", None, Some(&id), |tx, _| {
        if people::remove(tx, &id)? { Ok(true) } else { Err(request("user id", "is not on the list")) }
    })?;
    debug_assert!(gone);
    Ok(done(json!({"user_id": id.as_str()}), format!("{id} is off the list")))
}

fn people_import(backend: &Backend<'_>, actor: Actor, format: &str, text: &str) -> Result<Reply, AgentError> {
    let format = match format {
        "csv" => ImportFormat::Csv,
        "json" => ImportFormat::Json,
        _ => return Err(request("format", "csv or json")),
    };
    let now = backend.store.read(|tx| Ok::<_, AgentError>(tx.now().wall))?;
    let list = people::parse_import(text, format, now)?;
    let count = backend.change(actor, "people_imported", None, None, |tx, keys| {
        Ok(people::import(tx, &keys.people, &list, OnExisting::Replace)?)
    })?;
    Ok(done(json!({"people": count}), format!("{count} people imported")))
}

fn lift(
    backend: &Backend<'_>,
    actor: Actor,
    user_id: Option<String>,
    reader: Option<String>,
) -> Result<Reply, AgentError> {
    let id = user_id.as_deref().map(user).transpose()?;
    let lifted = backend.change(actor, "lockout_lifted", None, id.as_ref(), |tx, _| {
        let subject = match (&id, &reader) {
            (Some(id), None) => Subject::User(id),
            (None, Some(reader)) => Subject::Reader(reader),
            _ => return Err(request("lock-out", "name a user or a reader")),
        };
        Ok(people::lift(tx, subject)?)
    })?;
    let text = if lifted { "the lock-out is lifted" } else { "there was no lock-out" };
    Ok(done(json!({"lifted": lifted}), text))
}

// ---------------------------------------------------------------------- queue

fn row_json(row: &Info) -> Value {
    let (reason, decided) = match &row.state {
        State::Held(reason) => (Some(reason.name().to_owned()), None),
        State::DeadLetter { reason } => (Some(reason.clone()), None),
        State::Dropped { by } => (Some(by.clone()), None),
        State::Decided(decided) => (None, Some(decided)),
        _ => (None, None),
    };
    json!({
        "job": row.id.to_string(),
        "attempt": row.attempt.map(|attempt| attempt.to_string()),
        "user_id": row.user_id.as_str(),
        "product": row.product.name(),
        "api": row.api.name(),
        "state": row.state.name().name(),
        "reason": reason,
        "remote_id": row.remote,
        "verdict": decided.map(|decided| decided.verdict.name()),
        "code": decided.map(|decided| decided.code.clone()),
        "answer": decided.map(|decided| decided.text.clone()),
        "tries": row.tries,
        "bytes": row.bytes,
        "has_images": row.has_images,
        "created_at": wall_text(row.created.wall),
        "since": wall_text(row.since.wall),
    })
}

fn wall_text(wall: Wall) -> Option<String> {
    wall.known().map(crate::clock::WallTime::to_rfc3339)
}

fn row_text(row: &Info) -> String {
    let object = row_json(row);
    let word = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let why = word("reason").or_else(|| word("verdict")).unwrap_or_default();
    let when = word("since").unwrap_or_else(|| "clock unknown".into());
    format!("{}  {:<15} {:<14} {why:<24} {when}", row.id, row.state.name().name(), row.product.name())
}

fn queue_list(
    backend: &Backend<'_>,
    state: Option<String>,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let state = match state.as_deref() {
        None => None,
        Some(name) => Some(
            queue::StateName::parse(name).ok_or_else(|| request("state", format!("{name:?} is no state")))?,
        ),
    };
    let (mut after, mut count) = (0, 0_usize);
    loop {
        let filter = queue::Filter { state, after, limit: PAGE };
        let rows = backend.store.read(|tx| queue::list(tx, filter))?;
        for row in &rows {
            after = row.seq;
            send(Reply::Item { object: row_json(row), text: row_text(row) });
        }
        count += rows.len();
        if rows.len() < PAGE as usize {
            return Ok(done(json!({"jobs": count}), format!("{count} jobs")));
        }
    }
}

fn queue_show(backend: &Backend<'_>, id: &str) -> Result<Reply, AgentError> {
    let id = job(id)?;
    let shown = backend.store.read(|tx| queue::show(tx, id))?;
    let mut object = row_json(&shown.info);
    let mut text = format!("{}\n  user {}", row_text(&shown.info), shown.info.user_id);
    let mut times = Vec::new();
    for step in &shown.history {
        let at = wall_text(step.at.wall);
        let when = at.clone().unwrap_or_else(|| "clock unknown".into());
        let reason = step.reason.as_deref().unwrap_or("");
        text.push_str(&format!("\n  {when} {} {reason}", step.state.name()));
        times.push(json!({
            "state": step.state.name(),
            "reason": step.reason,
            "at": at,
            "boot_ms": step.at.boot.as_millis(),
        }));
    }
    if let Some(answer) = object.get("answer").and_then(Value::as_str) {
        text.push_str(&format!("\n  the service said: {answer}"));
    }
    if let Some(map) = object.as_object_mut() {
        map.insert("times".into(), times.into());
    }
    Ok(done(object, text))
}

fn queue_retry(backend: &Backend<'_>, actor: Actor, id: Option<&str>) -> Result<Reply, AgentError> {
    match id {
        None => {
            let resumed =
                backend.change(actor, "queue_resumed", None, None, |tx, _| Ok(queue::resume(tx)?))?;
            let text = if resumed { "the queue goes on" } else { "the queue was not paused" };
            Ok(done(json!({"resumed": resumed}), text))
        }
        Some(id) => {
            let id = job(id)?;
            backend.change(actor, "job_retried", Some(id), None, |tx, _| {
                // A held job that the service has is asked about again; any other is submitted again.
                let held = queue::info(tx, id)?.state.name() == queue::StateName::Held;
                Ok(if held { queue::transition(tx, id, &Move::Release)? } else { queue::retry(tx, id)? })
            })?;
            Ok(done(json!({"job": id.to_string()}), "it goes on by itself; it cannot open the door"))
        }
    }
}

fn queue_export(
    backend: &Backend<'_>,
    actor: Actor,
    id: &str,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let id = job(id)?;
    let export = backend
        .change(actor, "job_exported", Some(id), None, |tx, keys| Ok(queue::export(tx, &keys.queue, id)?))?;
    let mut file = |name: String, bytes: &[u8]| {
        let object = json!({"name": name, "base64": base64::engine::general_purpose::STANDARD.encode(bytes)});
        send(Reply::Item { object, text: name });
    };
    file("job.json".into(), export.json.as_bytes());
    for (name, jpeg) in export.images {
        file(name, &jpeg.0);
    }
    Ok(done(json!({"job": id.to_string()}), "exported"))
}

// ---------------------------------------------------------------------- audit

/// Sends the events after `after`, each with its sequence number.
pub fn events(store: &Store, mut after: i64, send: &mut dyn FnMut(i64, Reply)) -> Result<(), AgentError> {
    loop {
        let from = u64::try_from(after).unwrap_or(0);
        let page = store.read(|tx| audit::list(tx, from, PAGE))?;
        let full = page.len() == PAGE as usize;
        for event in page {
            after = i64::try_from(event.seq).unwrap_or(i64::MAX);
            send(after, event_reply(&event));
        }
        if !full {
            return Ok(());
        }
    }
}

fn event_reply(event: &audit::Stored) -> Reply {
    let object = json!({
        "seq": event.seq,
        "event": event.kind,
        "door": event.door,
        "attempt": event.attempt.map(|attempt| attempt.to_string()),
        "job": event.job.map(|job| job.to_string()),
        "person": event.subject.map(|subject| subject.to_string()),
        "at": wall_text(event.wall),
        "boot_ms": event.boot_ms,
        "fields": event.fields,
    });
    let at =
        wall_text(event.wall).unwrap_or_else(|| format!("boot+{:?}", BootTime::from_millis(event.boot_ms)));
    let mut text = format!("{:>6} {at} {}", event.seq, event.kind);
    if let Some(attempt) = event.attempt {
        text.push_str(&format!(" attempt={attempt}"));
    }
    for (key, value) in &event.fields {
        text.push_str(&format!(" {key}={value}"));
    }
    Reply::Item { object, text }
}

fn breach_name(breach: Breach) -> &'static str {
    match breach {
        Breach::Changed => "changed",
        Breach::Missing => "missing",
        Breach::HeadNotFound => "head not found: the tail was cut off or written anew",
    }
}

/// Lower-case hexadecimal of a link of the chain.
pub fn hex(link: &[u8; 32]) -> String {
    link.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |h, l| h << 4 | l)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

fn verify(backend: &Backend<'_>, head: Option<&str>) -> Result<Reply, AgentError> {
    let keys = backend.keys()?;
    let noted = head
        .map(|text| from_hex(text).ok_or_else(|| request("head", "64 hexadecimal digits")))
        .transpose()?;
    let found = backend.store.read(|tx| audit::verify(tx, &keys.audit, noted))?;
    let head = hex(&found.head);
    let object = json!({
        "rows": found.rows,
        "head": head,
        "whole": found.broken_at.is_none(),
        "broken_at": found.broken_at.map(|(seq, _)| seq),
        "breach": found.broken_at.map(|(_, breach)| breach_name(breach)),
    });
    Ok(match found.broken_at {
        None => done(object, format!("the chain of {} events is whole; head {head}", found.rows)),
        Some((seq, breach)) => Reply::Done {
            exit: 1,
            object,
            text: format!("the chain is broken at event {seq}: {}", breach_name(breach)),
        },
    })
}

// ---------------------------------------------------------------------- status

/// How the daemon is; exit 1 when an operator is needed.
pub fn status(shared: &Shared, lock: Value) -> Reply {
    let read = shared
        .store
        .read(|tx| Ok::<_, AgentError>((queue::totals(tx)?, queue::paused(tx)?, tx.used_bytes()?)));
    let (totals, paused, bytes) = match read {
        Ok(read) => read,
        Err(error) => {
            return Reply::Failed { exit: 1, cause: error.to_string(), remedy: error.remedy() };
        }
    };
    let alarm =
        shared.database_alarm().filter(|_| records::open_alarm(shared).is_ok_and(|open| open.is_some()));
    let lock_state = lock.get("state").and_then(Value::as_str).unwrap_or("down").to_owned();
    let clock = match shared.clock.wall() {
        Wall::Known(now) => now.to_rfc3339(),
        Wall::Unknown => "unknown".into(),
    };
    let commissioning =
        shared.config.door.sandbox_unlock == crate::config::model::SandboxUnlock::Commissioning;
    let well = alarm.is_none()
        && paused.is_none()
        && matches!(lock_state.as_str(), "locked" | "unlocked")
        && !commissioning;
    let mut text = format!(
        "door {}: lock {lock_state}, clock {clock}\nqueue: {}",
        shared.config.door.name,
        totals
            .by_state
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    if totals.by_state.is_empty() {
        text.push_str("empty");
    }
    if let Some(pause) = &paused {
        text.push_str(&format!(
            "\nALARM: the queue is paused ({}); mend it, then `latchd queue retry`",
            pause.reason.name()
        ));
    }
    if let Some(alarm) = &alarm {
        text.push_str(&format!(
            "\nALARM: the database was damaged and set aside as {}; import the people again, then `latchd status --acknowledge`",
            alarm.moved_to
        ));
    }
    if commissioning {
        text.push_str(
            "\nWARNING: commissioning: the service's sandbox may open this door; it judges names, not faces",
        );
    }
    Reply::Done {
        exit: u8::from(!well),
        object: json!({
            "door": shared.config.door.name,
            "version": env!("CARGO_PKG_VERSION"),
            "lock": lock,
            "clock": clock,
            "attempt_active": shared.attempt_active.load(std::sync::atomic::Ordering::Acquire),
            "queue": {
                "states": totals.by_state,
                "paused": paused.as_ref().map(|pause| pause.reason.name()),
                "bytes": bytes,
            },
            "database_alarm": alarm.map(|alarm| json!({"moved_to": alarm.moved_to, "sha256": alarm.sha256})),
            "sandbox_unlock": commissioning,
            "commits": shared.store.commits(),
        }),
        text,
    }
}
