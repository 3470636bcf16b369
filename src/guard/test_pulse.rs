//! `--test-pulse MS`: one pulse at the installer's word, for the day the strike is wired. The same machine with the same
//! ceiling and relock; it takes the line itself, so it needs both services stopped.

use super::error::GuardError;
use super::line;
use super::machine::{Edge, Input, Machine, Outputs};
use super::protocol::{LockCause, Report, Request};
use super::server::limits;
use super::supervisor::PING;
use super::warden::wait_for;
use crate::access::AttemptId;
use crate::clock::{BootTime, Clock};
use crate::config::guard::GuardConfig;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::BorrowedFd;

/// What became of a test pulse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TestPulse {
    /// When the line was unlocked.
    pub unlocked: BootTime,
    /// When it was locked again.
    pub locked: BootTime,
    /// Why: the pulse's end, or a signal.
    pub cause: LockCause,
}

/// Unlocks the line for `pulse_ms` and locks it again, at once when a signal comes.
///
/// # Errors
/// The pulse is too long (configuration), the line is busy (with its holder) or refuses.
pub fn run(
    config: &GuardConfig,
    pulse_ms: u32,
    clock: &dyn Clock,
    signals: BorrowedFd<'_>,
) -> Result<TestPulse, GuardError> {
    if pulse_ms == 0 || pulse_ms > config.pulse_max_ms {
        return Err(GuardError::TestPulse { asked: pulse_ms, max: config.pulse_max_ms });
    }
    let mut machine = Machine::new(limits(config));
    let mut held = line::request(config, clock)?;
    let attempt = AttemptId([0xff; 16]);
    let mut pulse = TestPulse {
        unlocked: BootTime::default(),
        locked: BootTime::default(),
        cause: LockCause::LineFailed,
    };
    let script = [
        Input::LineHeld,
        Input::Request(1, Request::Hello),
        Input::Request(2, Request::Arm { attempt, window_ms: config.window_max_ms }),
        Input::Request(3, Request::Grant { attempt, pulse_ms }),
    ];
    let mut pending = script.into_iter();
    let mut next = pending.next();
    loop {
        let input = match next.take() {
            Some(input) => input,
            None => {
                let wait = machine.deadline().map_or(PING, |at| at.since(clock.boot()).min(PING));
                let mut fds = [PollFd::from_borrowed_fd(signals, PollFlags::IN)];
                wait_for(&mut fds, Some(wait))?;
                let [signals] = fds;
                if signals.revents().is_empty() {
                    Input::Request(0, Request::Heartbeat)
                } else {
                    Input::Shutdown
                }
            }
        };
        let mut out = machine.apply(clock.boot(), input);
        loop {
            read(&out, &mut pulse)?;
            let Some(edge) = out.edge else { break };
            let outcome = match edge {
                Edge::Unlock => held.unlock(clock).map_or(Input::EdgeFailed, Input::EdgeMade),
                Edge::Lock => Input::Locked(held.lock(clock)?),
            };
            out = machine.apply(clock.boot(), outcome);
        }
        next = pending.next();
        if next.is_none() && !machine.pulsing() {
            return Ok(pulse);
        }
    }
}

fn read(out: &Outputs, pulse: &mut TestPulse) -> Result<(), GuardError> {
    for (_, report) in out.reports() {
        match report {
            Report::Unlocked { at, .. } => pulse.unlocked = at,
            Report::Locked { at, cause, .. } => (pulse.locked, pulse.cause) = (at, cause),
            Report::Refused { reason, .. } => return Err(GuardError::TestRefused(reason.name())),
            _ => {}
        }
    }
    Ok(())
}
