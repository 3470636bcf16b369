//! Looks at everything a door needs and says what is well, what is doubtful and what is missing, each with a remedy.
//!
//! It changes nothing: no row is written, no line is requested, no job is sent. What it measures it judges by pure
//! functions, so that a table can test them. Map: `place` directories, keys and kernel; `eyes` the camera; `lock` line,
//! guard and daemon; `jobs` database and disk; `service` clock, name, TLS and credentials.

mod eyes;
mod jobs;
mod lock;
mod place;
mod service;

use crate::clock::{Clock, Random};
use crate::config::{Config, GuardConfig};
use serde_json::Value;
use std::sync::Arc;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it must be.
    Ok,
    /// The door works, or will; somebody should look.
    Warning,
    /// The door cannot do its work.
    Failure,
}

impl Level {
    /// The stable name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, one of [`CHECKS`] or `configuration`.
    pub check: &'static str,
    /// How it is.
    pub level: Level,
    /// What was seen, one line.
    pub seen: String,
    /// What to do; empty when nothing is to be done.
    pub remedy: String,
}

/// Everything that is looked at, in order.
pub const CHECKS: [&str; 12] = [
    "kernel",
    "permissions",
    "daemon",
    "lock",
    "line",
    "camera",
    "light",
    "face",
    "queue",
    "disk",
    "clock",
    "service",
];

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, seen: seen.into(), remedy: String::new() }
    }

    /// Somebody should look.
    pub fn warning(check: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, seen: seen.into(), remedy: remedy.into() }
    }

    /// The door cannot do its work.
    pub fn failure(check: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Failure, seen: seen.into(), remedy: remedy.into() }
    }
}

/// What is examined.
pub struct Patient<'a> {
    /// `latchd.toml`.
    pub config: &'a Config,
    /// `guard.toml`, when it can be read.
    pub guard: Option<&'a GuardConfig>,
    /// What the running daemon says of itself (`latchd status --json`); `None` when none runs.
    pub daemon: Option<&'a Value>,
    /// Time.
    pub clock: &'a Arc<dyn Clock>,
    /// Randomness.
    pub random: &'a Arc<dyn Random>,
}

/// The check of the machine itself, which needs no configuration.
pub fn machine(each: &mut dyn FnMut(Finding)) {
    each(place::kernel());
}

/// All other checks, each told as soon as it is known.
pub fn examine(patient: &Patient<'_>, each: &mut dyn FnMut(Finding)) {
    place::permissions(patient.config, each);
    lock::examine(patient, each);
    eyes::examine(patient, each);
    jobs::examine(patient, each);
    service::examine(patient, each);
}
