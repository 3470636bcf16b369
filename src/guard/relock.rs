//! What the agent may do with the line when its guard has died: hold it locked.
//!
//! The type has no way to the unlocked value: it wraps [`LockedOnly`], which has none either, and a line is never
//! requested with another value than the locked one ([`super::line`]). Dropping it lets go of the line, for the
//! restarted guard to take; the level stays locked.

use super::line::{self, LineError, LockedOnly};
use crate::clock::Clock;
use crate::config::guard::GuardConfig;
use std::time::Duration;

/// Between two tries to take the line from a dying guard.
pub const RETRY: Duration = Duration::from_millis(10);
/// The first tries come quicker: a killed process lets go of its socket a moment before it lets go of its line.
pub const RETRY_FIRST: Duration = Duration::from_millis(1);
/// How long the first tries last.
pub const FIRST: Duration = Duration::from_millis(5);
/// How long it is tried.
pub const GIVE_UP: Duration = Duration::from_secs(2);

/// The guard's line, held locked by the agent.
pub struct HeldLocked {
    _line: LockedOnly,
}

/// Takes the line of `config`, locked.
///
/// # Errors
/// [`LineError::Busy`] while the guard's process is not quite gone, or what the line says.
pub fn take(config: &GuardConfig, clock: &dyn Clock) -> Result<HeldLocked, LineError> {
    line::hold_locked(config, clock).map(|line| HeldLocked { _line: line })
}
