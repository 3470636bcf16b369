//! The audit as a bystander knows it: each event that ever was, also those that had their time. It is read before each round
//! in which events may go, and what is gone since the last reading is judged.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::people::EVENTS_DAYS;
use crate::access::AttemptId;
use crate::config::Config;

/// One event.
#[derive(Debug, Clone)]
struct Event {
    kind: String,
    attempt: Option<[u8; 16]>,
    job: Option<[u8; 16]>,
    subject: Option<[u8; 16]>,
    fields: String,
    boot: [u8; 16],
    boot_ms: i64,
    wall_ms: Option<i64>,
}

/// All that were seen.
#[derive(Debug, Default)]
pub struct Events {
    all: BTreeMap<i64, Event>,
    /// The first that was still there.
    first: i64,
    /// How many went.
    pub gone: u64,
}

impl Events {
    /// Reads what is there; `now` is true time in Unix milliseconds. Gives what went and should not have.
    pub fn read(&mut self, db: &Connection, now: i64, config: &Config) -> rusqlite::Result<Option<String>> {
        let sql = "SELECT seq, kind, attempt, job, subject, fields, boot_id, boot_ms, wall_ms FROM events ORDER BY seq";
        let rows: BTreeMap<i64, Event> = super::oracle::rows(db, sql, |row| {
            let event = Event {
                kind: row.get(1)?,
                attempt: row.get(2)?,
                job: row.get(3)?,
                subject: row.get(4)?,
                fields: row.get(5)?,
                boot: row.get(6)?,
                boot_ms: row.get(7)?,
                wall_ms: row.get(8)?,
            };
            Ok((row.get(0)?, event))
        })?
        .into_iter()
        .collect();
        let first = rows.first_key_value().map_or(self.first, |(seq, _)| *seq);
        let wrong = self.wrongly_gone(&rows, first, now, config.retention.events_max.into());
        self.gone += u64::try_from(first - self.first.max(1)).unwrap_or(0);
        self.first = first;
        self.all.extend(rows);
        Ok(wrong)
    }

    /// The events up to `first` went in the round after the last reading, and one of these `rows` says so.
    fn wrongly_gone(&self, rows: &BTreeMap<i64, Event>, first: i64, now: i64, most: i64) -> Option<String> {
        if first <= self.first.max(1) {
            return None;
        }
        // What a commit wrote whose sync then failed is read too, until its numbers are given to others.
        let says = |seq: &i64, kind: &str| {
            kind == "events_pruned" && self.all.get(seq).is_none_or(|before| before.kind != kind)
        };
        let Some((said, _)) = rows.iter().find(|(seq, event)| says(seq, &event.kind)) else {
            return Some(format!("audit: events up to {first} went and none says so"));
        };
        let too_many = said - self.first > most;
        let old = now - i64::from(EVENTS_DAYS) * 24 * 3600 * 1000;
        self.all.range(self.first..first).find_map(|(seq, event)| {
            let by_time = event.wall_ms.is_none_or(|at| at > now || at <= old);
            if event.kind == "unlock_intent" && !self.has_end(event.attempt) {
                return Some(format!("door-rules 9: event {seq}, an intent without an end, went"));
            }
            (!too_many && !by_time).then(|| format!("audit: event {seq} went before its time"))
        })
    }

    fn has_end(&self, attempt: Option<[u8; 16]>) -> bool {
        let ends = |event: &Event| matches!(event.kind.as_str(), "unlock_done" | "unlock_interrupted");
        self.all.values().any(|event| ends(event) && event.attempt == attempt)
    }

    /// Whether they are numbered without a gap.
    pub fn gapless(&self) -> bool {
        self.all.keys().zip(1..).all(|(seq, expected)| *seq == expected)
    }

    /// The jobs of which events of these kinds speak.
    pub fn jobs(&self, kinds: &[&str]) -> BTreeSet<String> {
        let of = self.all.values().filter(|event| kinds.contains(&event.kind.as_str()));
        of.filter_map(|event| event.job)
            .map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect()
    }

    /// How many of a kind an attempt has.
    pub fn count(&self, kind: &str, attempt: &AttemptId) -> usize {
        self.all.values().filter(|event| event.kind == kind && event.attempt == Some(attempt.0)).count()
    }

    /// door-rules 13: whether so many denials of one person within the span always locked out.
    pub fn lock_out(&self, config: &Config) -> bool {
        let span = i64::from(config.lockout.within_minutes) * 60_000;
        let most = usize::try_from(config.lockout.denials).unwrap();
        let mut denials: BTreeMap<[u8; 16], Vec<([u8; 16], i64)>> = BTreeMap::new();
        for event in self.all.values() {
            let Some(subject) = event.subject else { continue };
            let (kind, fields) = (event.kind.as_str(), event.fields.as_str());
            let of = denials.entry(subject).or_default();
            let denied = (kind == "verdict" || kind == "late_verdict") && fields.contains("\"denied\"");
            if kind == "locked_out" && fields.contains("\"user\"")
                || kind.contains("lockout")
                || kind.contains("lift")
            {
                of.clear();
            } else if denied {
                of.push((event.boot, event.boot_ms));
            }
            let recent = |(boot, ms): &&([u8; 16], i64)| *boot == event.boot && event.boot_ms - ms <= span;
            if of.iter().filter(recent).count() > most {
                return false;
            }
        }
        true
    }
}
