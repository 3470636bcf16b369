//! The lock's side: the real guard machine, the line as seen from outside, and the frames on the way between the two
//! processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::chance::DeviceClock;
use crate::access::AttemptId;
use crate::clock::{BootTime, Clock};
use crate::config::GuardConfig;
use crate::guard::link::Requests;
use crate::guard::machine::{Edge, Input, Machine};
use crate::guard::{Effective, GuardError, Hello, Report, Request, codec, server};

/// The agent's end of the connection, as the director sends on it.
#[derive(Debug, Default)]
pub struct LinkState {
    /// Connected to a guard that said hello.
    pub up: bool,
    /// What was sent and is not on its way yet.
    pub out: Vec<Request>,
}

/// The director's handle.
pub struct SimLink {
    pub state: Arc<Mutex<LinkState>>,
    pub clock: Arc<DeviceClock>,
    pub dead: Arc<AtomicBool>,
}

impl Requests for SimLink {
    fn send(&self, request: Request) -> Result<BootTime, GuardError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.up || self.dead.load(Ordering::Relaxed) {
            return Err(GuardError::NotConnected);
        }
        state.out.push(request);
        Ok(self.clock.boot())
    }
}

/// An edge of the line, as a wire sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub at: u64,
    pub unlocked: bool,
    /// Whose grant it was, for the oracles.
    pub attempt: Option<AttemptId>,
}

/// The guard's process, when it runs.
pub struct Guard {
    pub machine: Machine,
    effective: Effective,
    /// The connection it has accepted.
    pub peer: Option<u64>,
}

/// The line: it keeps its level when nobody drives it.
#[derive(Debug, Default)]
pub struct Line {
    pub unlocked: bool,
    pub seen: Vec<Seen>,
}

impl Line {
    pub fn set(&mut self, at: u64, unlocked: bool, attempt: Option<AttemptId>) {
        if self.unlocked != unlocked {
            self.unlocked = unlocked;
            self.seen.push(Seen { at, unlocked, attempt });
        }
    }
}

impl Guard {
    /// A guard that starts: it takes the line, locked.
    pub fn start(config: &GuardConfig, now: BootTime, at: u64, line: &mut Line) -> Self {
        let mut machine = Machine::new(server::limits(config));
        line.set(at, false, None);
        machine.apply(now, Input::LineHeld);
        Self { machine, effective: Effective::of(config), peer: None }
    }

    /// As the real shell: one input, then the edge it leads to, and how that went. Gives the frames to send.
    pub fn feed(
        &mut self,
        clock: &DeviceClock,
        at: u64,
        input: Input,
        line: &mut Line,
        refuse: bool,
    ) -> Vec<codec::Frame> {
        let mut frames = Vec::new();
        let granted = match input {
            Input::Request(_, Request::Grant { attempt, .. }) => Some(attempt),
            _ => None,
        };
        let hello = match input {
            Input::Request(sequence, Request::Hello) => Some(sequence),
            _ => None,
        };
        let mut out = self.machine.apply(clock.boot(), input);
        loop {
            for (sequence, report) in out.reports() {
                frames.push(codec::encode_report(sequence, &report));
            }
            let Some(edge) = out.edge else { break };
            let outcome = match edge {
                Edge::Unlock if refuse => Input::EdgeFailed,
                Edge::Unlock => {
                    line.set(at, true, granted);
                    Input::EdgeMade(clock.boot())
                }
                Edge::Lock => {
                    line.set(at, false, None);
                    Input::Locked(clock.boot())
                }
            };
            out = self.machine.apply(clock.boot(), outcome);
        }
        if let Some(sequence) = hello {
            let hello = Hello { effective: self.effective, line: self.machine.line(), pid: 1 };
            frames.push(codec::encode_report(sequence, &Report::Hello(hello)));
        }
        frames
    }
}
