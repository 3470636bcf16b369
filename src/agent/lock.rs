//! What the daemon knows of the lock, for `latchd status` and for judging claims.

use crate::clock::BootTime;
use crate::guard::{Effective, LineState, LinkReport, Report};
use serde_json::{Value, json};

/// An event for the audit: its name and fields.
type Change = (&'static str, Vec<(&'static str, String)>);

/// The lock as the daemon sees it.
#[derive(Debug, Default)]
pub struct LockView {
    up: Option<Up>,
    mismatch: Option<String>,
    unlocked: bool,
}

#[derive(Debug)]
struct Up {
    effective: Effective,
    held: bool,
    pid: u32,
    since: BootTime,
}

impl LockView {
    /// Whether an attempt at the door makes sense.
    pub fn is_ready(&self) -> bool {
        self.up.as_ref().is_some_and(|up| up.held)
    }

    /// Takes a report; what of it belongs into the audit (door-rules 14: the effective values).
    pub fn take(&mut self, report: &LinkReport, now: BootTime) -> Option<Change> {
        match report {
            LinkReport::Up { effective, line, pid } => {
                let held = *line == LineState::Held;
                self.up = Some(Up { effective: *effective, held, pid: *pid, since: now });
                self.mismatch = None;
                self.unlocked = false;
                log::info!(pid = *pid, line = line.name(); "the lock answers: {effective}");
                Some((
                    "lock_up",
                    vec![("line", line.name().to_owned()), ("effective", effective.to_string())],
                ))
            }
            LinkReport::Mismatch { field, .. } => {
                self.up = None;
                let field = (*field).to_owned();
                log::error!(field = field.as_str(); "the lock goes by another guard.toml; it is not used");
                self.mismatch = Some(field.clone());
                Some(("lock_mismatch", vec![("field", field)]))
            }
            LinkReport::Down { cause, relock, took } => {
                let was_up = self.up.take().is_some();
                self.unlocked = false;
                log::warn!(relocked = relock.is_locked(), took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX); "the lock is gone: {}", cause.name());
                was_up.then(|| {
                    (
                        "lock_down",
                        vec![
                            ("cause", cause.name().to_owned()),
                            ("relocked", relock.is_locked().to_string()),
                            ("took_us", took.as_micros().to_string()),
                        ],
                    )
                })
            }
            LinkReport::Report(report) => {
                self.take_report(report);
                None
            }
        }
    }

    fn take_report(&mut self, report: &Report) {
        match (report, self.up.as_mut()) {
            (Report::LineHeld, Some(up)) => up.held = true,
            (Report::LineLost { .. }, Some(up)) => {
                up.held = false;
                self.unlocked = false;
            }
            (Report::Unlocked { .. }, _) => self.unlocked = true,
            (Report::Locked { .. }, _) => self.unlocked = false,
            _ => {}
        }
    }

    /// For `latchd status`.
    pub fn to_json(&self, now: BootTime) -> Value {
        match &self.up {
            Some(up) => json!({
                "state": if !up.held { "not_held" } else if self.unlocked { "unlocked" } else { "locked" },
                "pid": up.pid,
                "up_seconds": now.since(up.since).as_secs(),
                "effective": up.effective.to_string(),
                "field": null,
            }),
            None => json!({
                "state": if self.mismatch.is_some() { "mismatch" } else { "down" },
                "pid": null,
                "up_seconds": null,
                "effective": null,
                "field": self.mismatch,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_object_has_the_same_keys_whatever_the_lock_does() {
        let keys = |view: &LockView| {
            let object = view.to_json(BootTime::from_millis(9));
            object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>()
        };
        let guard =
            toml::from_str("lock = \"fail-secure\"\n[line]\nkind = \"recording\"\nfile = \"/x\"").unwrap();
        let up = LinkReport::Up { effective: Effective::of(&guard), line: LineState::Held, pid: 7 };
        let mut there = LockView::default();
        there.take(&up, BootTime::from_millis(1));
        let mut other = LockView::default();
        other.take(
            &LinkReport::Mismatch { field: "lock", guard: Effective::of(&guard) },
            BootTime::from_millis(1),
        );
        let all = ["effective", "field", "pid", "state", "up_seconds"].map(String::from);
        assert_eq!(keys(&LockView::default()), BTreeSet::from(all));
        assert_eq!(keys(&there), keys(&LockView::default()));
        assert_eq!(keys(&other), keys(&there));
    }
}
