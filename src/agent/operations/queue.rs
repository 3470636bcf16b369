//! The jobs.

use super::{Actor, Backend, done, erase, job, wall_text};
use crate::agent::error::AgentError;
use crate::control::Reply;
use crate::queue::{self, Info, Move, State};
use base64::Engine;
use serde_json::{Value, json};

pub(super) fn row_json(row: &Info) -> Value {
    let (reason, decided, answer) = match &row.state {
        State::Held(reason) => (Some(reason.name().to_owned()), None, None),
        State::DeadLetter { reason, answer } => (Some(reason.clone()), None, answer.clone()),
        State::Dropped { by } => (Some(by.clone()), None, None),
        State::Decided(decided) => (None, Some(decided), Some(decided.text.clone())),
        _ => (None, None, None),
    };
    json!({
        "job": row.id.to_string(),
        "attempt": row.attempt.map(|attempt| attempt.to_string()),
        "user_id": row.user_id.as_str(),
        "product": row.task.name(),
        "api": row.api.name(),
        "state": row.state.name().name(),
        "reason": reason,
        "remote_id": row.remote,
        "verdict": decided.map(|decided| decided.verdict.name()),
        "code": decided.map(|decided| decided.code.clone()),
        "answer": answer,
        "priority": row.class.name(),
        "tries": row.tries,
        "bytes": row.bytes,
        "has_images": row.has_images,
        "created_at": wall_text(row.created.wall),
        "since": wall_text(row.since.wall),
    })
}

pub(super) fn row_text(row: &Info) -> String {
    let object = row_json(row);
    let word = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let why = word("reason").or_else(|| word("verdict")).unwrap_or_default();
    let when = word("since").unwrap_or_else(|| "clock unknown".into());
    format!("{}  {:<15} {:<14} {why:<24} {when}", row.id, row.state.name().name(), row.task.name())
}

pub(super) fn show(backend: &Backend<'_>, id: &str) -> Result<Reply, AgentError> {
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

pub(super) fn retry(backend: &Backend<'_>, actor: Actor, id: Option<&str>) -> Result<Reply, AgentError> {
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
                if held {
                    queue::transition(tx, id, &Move::Release)?;
                } else {
                    queue::retry(tx, id)?;
                }
                Ok(())
            })?;
            Ok(done(json!({"job": id.to_string()}), "it goes on by itself; it cannot open the door"))
        }
    }
}

pub(super) fn export(
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

pub(super) fn drop(
    backend: &Backend<'_>,
    actor: Actor,
    id: &str,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let id = job(id)?;
    backend.change(actor, "job_dropped", Some(id), None, |tx, _| {
        Ok(queue::drop(tx, id, &format!("uid {}", actor.uid))?)
    })?;
    erase::told(backend, json!({"job": id.to_string()}), "dropped; its pictures are erased", send)
}
