//! The line, the guard that holds it, and the daemon that speaks to the guard.

use super::{Finding, Patient, place};
use crate::config::guard::{GuardConfig, LineConfig, LockType};
use crate::guard::chips::{self, LineFacts};
use crate::guard::gpio;
use serde_json::Value;

const START: &str = "systemctl start latchd-guard latchd, and see their journals";

pub(super) fn examine(patient: &Patient<'_>, each: &mut dyn FnMut(Finding)) {
    each(daemon(patient.daemon));
    each(link(patient.daemon));
    let Some(guard) = patient.guard else {
        return each(Finding::failure(
            "line",
            "guard.toml cannot be used",
            "see the configuration's finding",
        ));
    };
    each(match &guard.line {
        LineConfig::Recording { file } => Finding::warning(
            "line",
            format!("a recording in {} moves no strike", file.display()),
            "name the line of the strike in guard.toml: [line] kind = \"gpio\"",
        ),
        line @ LineConfig::Gpio { .. } => match chips::look(line) {
            Ok((place, facts)) => place::chip(&place.chip)
                .unwrap_or_else(|| judge_line(guard, &place.text, &facts, patient.daemon.is_some())),
            Err(error) => Finding::failure("line", error.to_string(), error.remedy()),
        },
    });
}

fn daemon(status: Option<&Value>) -> Finding {
    let Some(status) = status else {
        return Finding::failure("daemon", "latchd does not run", START);
    };
    let version = status.get("version").and_then(Value::as_str).unwrap_or("?");
    let seen = format!("latchd {version} runs");
    if let Some(moved) = status.pointer("/database_alarm/moved_to").and_then(Value::as_str) {
        return Finding::failure(
            "daemon",
            format!("{seen}; its database was damaged and set aside as {moved}"),
            "import the people again, then `latchd status --acknowledge`",
        );
    }
    if status.get("sandbox_unlock").and_then(Value::as_bool) == Some(true) {
        return Finding::warning(
            "daemon",
            format!("{seen} for commissioning: test verdicts may open this door"),
            "remove door.sandbox_unlock when the installation is done",
        );
    }
    Finding::ok("daemon", seen)
}

fn link(status: Option<&Value>) -> Finding {
    let state = status.and_then(|status| status.pointer("/lock/state")).and_then(Value::as_str);
    match state {
        Some("locked") => Finding::ok("lock", "the guard answers, locked"),
        Some("unlocked") => Finding::ok("lock", "the guard answers, a pulse is under way"),
        Some("not_held") => {
            Finding::failure("lock", "the guard answers but does not hold its line", "see the line's finding")
        }
        Some("mismatch") => Finding::failure(
            "lock",
            "the guard goes by another guard.toml",
            "systemctl restart latchd-guard latchd, so that both read the same file",
        ),
        Some(_) => Finding::failure("lock", "the guard does not answer", START),
        None => Finding::warning("lock", "unknown: only the running daemon can ask the guard", START),
    }
}

fn judge_line(guard: &GuardConfig, place: &str, facts: &LineFacts, daemon_runs: bool) -> Finding {
    let holder = facts.used.then(|| facts.holder());
    match holder.as_deref() {
        Some(gpio::GUARD) if guard.lock == LockType::FailSafe => Finding::warning(
            "line",
            format!("{place} is held by the guard; the lock is fail-safe"),
            "none needed if this is wanted: a fail-safe lock opens when its power is lost",
        ),
        Some(gpio::GUARD) => Finding::ok("line", format!("{place} is held by the guard")),
        Some(gpio::RELOCK) => Finding::failure(
            "line",
            format!("{place} is held locked by latchd in a dead guard's place"),
            START,
        ),
        Some(other) => Finding::failure(
            "line",
            format!("{place} is held by {other}"),
            "stop the program that holds it (`latchd gpio list`), or name another line in guard.toml",
        ),
        None if daemon_runs => Finding::failure("line", format!("{place} is held by nobody"), START),
        None => Finding::warning("line", format!("{place} is there and nobody holds it"), START),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use serde_json::json;

    fn guard(lock: &str) -> GuardConfig {
        let text = format!(
            "lock = \"{lock}\"\negress = \"hard-wired\"\n[line]\nkind = \"gpio\"\nname = \"STRIKE\"\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn only_the_guard_may_hold_the_line() {
        let of = |lock, consumer: Option<&str>, daemon_runs| {
            let facts = LineFacts {
                offset: 17,
                name: "STRIKE".into(),
                used: consumer.is_some(),
                consumer: consumer.unwrap_or_default().into(),
                output: true,
                flags: Vec::new(),
            };
            judge_line(&guard(lock), "STRIKE", &facts, daemon_runs).level
        };
        assert_eq!(of("fail-secure", Some(gpio::GUARD), true), Level::Ok);
        assert_eq!(of("fail-safe", Some(gpio::GUARD), true), Level::Warning);
        assert_eq!(of("fail-secure", Some(gpio::RELOCK), true), Level::Failure);
        assert_eq!(of("fail-secure", Some("gpioset"), true), Level::Failure);
        assert_eq!(of("fail-secure", None, true), Level::Failure);
        assert_eq!(of("fail-secure", None, false), Level::Warning);
    }

    #[test]
    fn what_the_daemon_says_of_the_lock_is_judged() {
        let of = |state: &str| link(Some(&json!({"lock": {"state": state}}))).level;
        assert_eq!((of("locked"), of("unlocked")), (Level::Ok, Level::Ok));
        for state in ["not_held", "mismatch", "down", "a word of another version"] {
            assert_eq!(of(state), Level::Failure, "{state}");
        }
        assert_eq!(link(None).level, Level::Warning);
        assert_eq!(daemon(None).level, Level::Failure);
        let alarm = json!({"version": "1", "database_alarm": {"moved_to": "x"}});
        assert_eq!(daemon(Some(&alarm)).level, Level::Failure);
        assert_eq!(daemon(Some(&json!({"version": "1", "sandbox_unlock": true}))).level, Level::Warning);
        assert_eq!(daemon(Some(&json!({"version": "1", "database_alarm": null}))).level, Level::Ok);
    }
}
