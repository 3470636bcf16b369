//! How the daemon is.

use super::jobs::stats_json;
use crate::agent::error::AgentError;
use crate::agent::records;
use crate::agent::shared::Shared;
use crate::clock::Wall;
use crate::control::Reply;
use crate::people;
use crate::queue;
use serde_json::{Value, json};

/// How the daemon is; exit 1 when an operator is needed.
pub fn status(shared: &Shared, lock: Value) -> Reply {
    // Counting has a connection of its own: it must not hold the door up.
    let own = shared.reader().ok();
    let store = own.as_ref().unwrap_or(&shared.store);
    let read = store.read(|tx| Ok::<_, AgentError>((queue::stats(tx)?, people::locked_out_readers(tx)?)));
    let (stats, readers) = match read {
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
        && stats.pause.is_none()
        && matches!(lock_state.as_str(), "locked" | "unlocked")
        && !commissioning;
    let mut text = format!(
        "door {}: lock {lock_state}, clock {clock}\nqueue: {}",
        shared.config.door.name,
        stats
            .states
            .iter()
            .map(|(state, depth)| format!("{} {state}", depth.jobs))
            .collect::<Vec<_>>()
            .join(", ")
    );
    if stats.states.is_empty() {
        text.push_str("empty");
    }
    if let Some(pause) = &stats.pause {
        text.push_str(&format!(
            "\nALARM: the queue is paused ({}); mend it, then `latchd queue retry`",
            pause.reason.name()
        ));
    }
    for (reader, left) in &readers {
        text.push_str(&format!("\nreader {reader}: locked out for {} s", left.as_secs()));
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
            "queue": stats_json(&stats),
            "locked_out_readers": readers
                .iter()
                .map(|(reader, left)| json!({"reader": reader, "seconds": left.as_secs()}))
                .collect::<Vec<_>>(),
            "database_alarm": alarm.map(|alarm| json!({"moved_to": alarm.moved_to, "sha256": alarm.sha256})),
            "sandbox_unlock": commissioning,
            "commits": shared.store.commits(),
        }),
        text,
    }
}
