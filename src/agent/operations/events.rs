//! The audit.

use super::{Backend, PAGE, done, request, wall_text};
use crate::agent::error::AgentError;
use crate::audit::{self, Anchor};
use crate::clock::BootTime;
use crate::control::Reply;
use crate::store::Store;
use serde_json::json;

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

pub(super) fn event_reply(event: &audit::Stored) -> Reply {
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

/// Lower-case hexadecimal of a link of the chain.
pub fn hex(link: &[u8; 32]) -> String {
    link.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.as_chunks::<2>().0.iter().map(|pair| pair.iter().fold(0, |h, l| h << 4 | l)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

pub(super) fn verify(backend: &Backend<'_>, head: Option<&str>) -> Result<Reply, AgentError> {
    let keys = backend.keys()?;
    let noted = head
        .map(|text| {
            from_hex(text).ok_or_else(|| {
                request("head", "64 hexadecimal digits", "copy all of it from the journal (head=…)")
            })
        })
        .transpose()?;
    let found = backend.store.read(|tx| audit::verify(tx, &keys.audit, noted))?;
    let head = hex(&found.head);
    let object = json!({
        "rows": found.rows,
        "head": head,
        "whole": found.broken_at.is_none(),
        "broken_at": found.broken_at.map(|(seq, _)| seq),
        "breach": found.broken_at.map(|(_, breach)| breach.text()),
        "removed_to": found.anchor.as_ref().map(|anchor| anchor.last),
        "removed_until": found.anchor.as_ref().and_then(|anchor| wall_text(anchor.until)),
    });
    let removed = removed_text(found.anchor.as_ref());
    Ok(match found.broken_at {
        None => done(object, format!("the chain of {} events is whole{removed}; head {head}", found.rows)),
        Some((seq, breach)) => Reply::Done {
            exit: 1,
            object,
            text: format!("the chain is broken at event {seq}: {}{removed}", breach.text()),
        },
    })
}

/// That events had their time, after a comma; nothing if none had.
fn removed_text(anchor: Option<&Anchor>) -> String {
    let Some(anchor) = anchor else { return String::new() };
    let until = wall_text(anchor.until).map(|until| format!(" ({until})")).unwrap_or_default();
    format!(", events up to {}{until} had their time and were removed", anchor.last)
}
