//! The line that moves the strike, in the words `locked` and `unlocked` (door-rules 7).
//!
//! A line is requested as an output together with its locked value, in one call, so that starting makes no edge
//! (door-rules 6). There is no way to request the unlocked value: the only way there is [`Line::unlock`] on a line
//! that is already held, and [`LockedOnly`] does not have it.

use super::gpio;
use super::recording::RecordingLine;
use crate::clock::{BootTime, Clock};
use crate::config::guard::{GuardConfig, LineConfig};
use std::io;
use std::path::PathBuf;

/// A line that this process holds. Dropping it lets go; the level stays as it is.
pub trait Line: Send {
    /// Makes the edge to unlocked and says when.
    ///
    /// # Errors
    /// The kernel refused; the level is then not known.
    fn unlock(&mut self, clock: &dyn Clock) -> Result<BootTime, LineError>;

    /// Makes the edge to locked and says when.
    ///
    /// # Errors
    /// The kernel refused; the level is then not known.
    fn lock(&mut self, clock: &dyn Clock) -> Result<BootTime, LineError>;
}

/// A held line that can do nothing but stay locked.
pub struct LockedOnly {
    _line: Box<dyn Line>,
}

/// Requests the line of `config` with its locked value.
///
/// # Errors
/// Busy, absent, ambiguous, not permitted.
pub fn request(config: &GuardConfig, clock: &dyn Clock) -> Result<Box<dyn Line>, LineError> {
    request_as(config, clock, gpio::GUARD)
}

fn request_as(config: &GuardConfig, clock: &dyn Clock, consumer: &str) -> Result<Box<dyn Line>, LineError> {
    Ok(match &config.line {
        LineConfig::Gpio { .. } => Box::new(gpio::request(&config.line, config.lock, consumer)?),
        LineConfig::Recording { file } => Box::new(RecordingLine::request(file, clock)?),
    })
}

/// Requests the line of `config` with its locked value, for somebody who must never unlock it.
///
/// # Errors
/// As [`request`].
pub fn hold_locked(config: &GuardConfig, clock: &dyn Clock) -> Result<LockedOnly, LineError> {
    request_as(config, clock, gpio::RELOCK).map(|line| LockedOnly { _line: line })
}

/// What can go wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Another process holds it.
    #[error("line {line} is held by {holder}")]
    Busy {
        /// Which line.
        line: String,
        /// The holder's label, as far as the kernel tells.
        holder: String,
    },
    /// There is no such line or chip.
    #[error("no GPIO line {wanted}; there is {known}")]
    Absent {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Several lines or chips bear that name.
    #[error("GPIO line {wanted} exists more than once: {found}")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Where it was found.
        found: String,
    },
    /// An output, where an input is wanted.
    #[error("GPIO line {line} is an output")]
    Output {
        /// Which line.
        line: String,
    },
    /// The kernel's GPIO interface refused.
    #[error("GPIO line {line}: {text}")]
    Gpio {
        /// Which line.
        line: String,
        /// The library's words.
        text: String,
    },
    /// The recording's file refused.
    #[error("recording line {}: {source}", file.display())]
    Recording {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LineError {
    /// Somebody else holds it: worth another try in 10 ms.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "stop the process that holds the line",
            Self::Absent { .. } => "compare [line] in guard.toml with what `latchd gpio list` shows",
            Self::Ambiguous { .. } => "name the line by chip path and offset in guard.toml",
            Self::Output { .. } => "name an input: an output that is watched would let go of what it drives",
            Self::Gpio { .. } => "let the guard's user open the chip (group gpio) and check bias and drive",
            Self::Recording { .. } => "let the guard's user write the file and its directory",
        }
    }
}
