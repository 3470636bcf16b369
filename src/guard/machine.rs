//! PURE. What the guard decides: arm, grant, pulse, heartbeat, hang-up (door-rules 1, 3, 5).
//!
//! [`Machine::apply`] takes the time and one input and gives at most one edge and a few reports; the shell makes the
//! edge and tells how it went with another input. Arms live here and nowhere else, so they end with the process.
//! No clock, no file, no allocation after [`Machine::new`]. Whatever is late, repeated or unknown makes no edge.

use super::protocol::{Activity, DisarmCause, LineState, LockCause, NO_ATTEMPT, Refusal, Report, Request};
use crate::access::AttemptId;
use crate::clock::BootTime;
use std::time::Duration;

/// Ceilings of the machine, from `guard.toml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest pulse.
    pub pulse_max: Duration,
    /// Longest window.
    pub window_max: Duration,
    /// While armed or pulsing, a peer silent for this long is lost.
    pub heartbeat_timeout: Duration,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The peer asks for something, with its sequence number. A hello is answered by the shell, but told here.
    Request(u32, Request),
    /// Everything that had arrived before `now` was told: time itself is judged, the heartbeat too.
    Tick,
    /// The peer is gone.
    HangUp,
    /// The guard is being stopped.
    Shutdown,
    /// The line was taken, locked.
    LineHeld,
    /// The line could not be locked and was let go.
    LineLost,
    /// The edge to unlocked was made at this moment.
    EdgeMade(BootTime),
    /// The edge was not even tried.
    EdgeRefused,
    /// The kernel refused the edge; the level is not known.
    EdgeFailed,
    /// The line is locked since this moment.
    Locked(BootTime),
}

/// What the shell must do with the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// To unlocked; answer with `EdgeMade`, `EdgeRefused` or `EdgeFailed`.
    Unlock,
    /// To locked; answer with `Locked` or `LineLost`.
    Lock,
}

/// What comes out of one input: first the reports, then the edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outputs {
    /// The edge to make, if any.
    pub edge: Option<Edge>,
    reports: [Option<(u32, Report)>; 4],
}

impl Outputs {
    /// The reports with their sequence numbers, in order.
    pub fn reports(&self) -> impl Iterator<Item = (u32, Report)> + '_ {
        self.reports.iter().flatten().copied()
    }

    fn report(&mut self, sequence: u32, report: Report) {
        match self.reports.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some((sequence, report)),
            // No input leads to more than three.
            None => debug_assert!(false, "a report had no room"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Arm {
    attempt: AttemptId,
    sequence: u32,
    deadline: BootTime,
}

#[derive(Clone, Copy, Debug)]
struct Pulse {
    attempt: AttemptId,
    sequence: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The edge to unlocked is being made.
    Opening { length: Duration },
    /// Unlocked until this moment.
    Open { until: BootTime },
    /// The edge to locked is being made.
    Closing { cause: LockCause },
}

/// The guard's decisions.
#[derive(Debug, Clone)]
pub struct Machine {
    limits: Limits,
    line: LineState,
    greeted: bool,
    last_seen: BootTime,
    arm: Option<Arm>,
    pulse: Option<Pulse>,
    past: Past,
}

impl Machine {
    /// A machine that holds no line and knows no attempt.
    pub fn new(limits: Limits) -> Self {
        Self::remembering(limits, PAST_LEN)
    }

    /// As [`Machine::new`], with a memory for so many attempts.
    pub(crate) fn remembering(limits: Limits, attempts: usize) -> Self {
        Self {
            limits,
            line: LineState::NotHeld,
            greeted: false,
            last_seen: BootTime::default(),
            arm: None,
            pulse: None,
            past: Past::new(attempts),
        }
    }

    /// Whether the guard holds the line.
    pub fn line(&self) -> LineState {
        self.line
    }

    /// A pulse is under way, from before its edge until after the line is locked again.
    pub fn pulsing(&self) -> bool {
        self.pulse.is_some()
    }

    /// When [`Input::Tick`] is due next.
    pub fn deadline(&self) -> Option<BootTime> {
        let arm = self.arm.map(|arm| arm.deadline);
        let pulse = self.pulse.and_then(|pulse| match pulse.phase {
            Phase::Open { until } => Some(until),
            Phase::Opening { .. } | Phase::Closing { .. } => None,
        });
        let heartbeat =
            (arm.is_some() || pulse.is_some()).then(|| self.last_seen.plus(self.limits.heartbeat_timeout));
        [arm, pulse, heartbeat].into_iter().flatten().min()
    }

    /// Takes one input at `now` and says what to do.
    pub fn apply(&mut self, now: BootTime, input: Input) -> Outputs {
        let mut out = Outputs::default();
        self.expire(now, &mut out);
        match input {
            Input::Request(sequence, request) => {
                self.last_seen = now;
                self.request(now, sequence, request, &mut out);
            }
            Input::Tick => {
                let silent = now >= self.last_seen.plus(self.limits.heartbeat_timeout);
                if silent && !planted!(HeartbeatIgnored) {
                    self.disarm(DisarmCause::HeartbeatLost, &mut out);
                    self.close(LockCause::HeartbeatLost, None, &mut out);
                }
            }
            Input::HangUp => {
                self.greeted = false;
                if !planted!(ArmSurvivesHangUp) {
                    self.disarm(DisarmCause::Command, &mut Outputs::default());
                }
                if !planted!(PulseSurvivesHangUp) {
                    self.close(LockCause::HangUp, None, &mut out);
                }
            }
            Input::Shutdown => {
                self.disarm(DisarmCause::Shutdown, &mut out);
                self.close(LockCause::Shutdown, None, &mut out);
            }
            Input::LineHeld => {
                self.line = LineState::Held;
                out.report(0, Report::LineHeld);
            }
            Input::LineLost => {
                self.line = LineState::NotHeld;
                self.disarm(DisarmCause::LineLost, &mut out);
                let (sequence, attempt) = self.end_pulse();
                out.report(sequence, Report::LineLost { attempt });
            }
            Input::EdgeMade(at) => self.opened(at, &mut out),
            Input::EdgeRefused => {
                let (sequence, attempt) = self.end_pulse();
                out.report(sequence, Report::Refused { attempt, reason: Refusal::Unsupervised });
            }
            Input::EdgeFailed => {
                if let Some(pulse) = self.pulse {
                    let (attempt, reason) = (pulse.attempt, Refusal::LineFailed);
                    out.report(pulse.sequence, Report::Refused { attempt, reason });
                }
                self.close(LockCause::LineFailed, None, &mut out);
            }
            Input::Locked(at) => {
                if let Some(Pulse { attempt, sequence, phase: Phase::Closing { cause } }) = self.pulse.take()
                {
                    out.report(sequence, Report::Locked { attempt, at, cause });
                }
            }
        }
        out
    }

    /// What time alone ends. The heartbeat is not judged here: frames may still wait in the socket.
    fn expire(&mut self, now: BootTime, out: &mut Outputs) {
        if self.arm.is_some_and(|arm| now >= arm.deadline) && !planted!(ArmWithoutEnd) {
            self.disarm(DisarmCause::Expired, out);
        }
        if let Some(Pulse { phase: Phase::Open { until }, .. }) = self.pulse
            && now >= until
            && !planted!(PulseWithoutEnd)
        {
            self.close(LockCause::PulseEnd, None, out);
        }
    }

    fn request(&mut self, now: BootTime, sequence: u32, request: Request, out: &mut Outputs) {
        if !self.greeted && request != Request::Hello {
            if request != Request::Heartbeat {
                let attempt = attempt_of(&request);
                out.report(sequence, Report::Refused { attempt, reason: Refusal::NoHello });
            }
            return;
        }
        match request {
            Request::Hello => self.greeted = true,
            Request::Heartbeat => {}
            Request::Arm { attempt, window_ms } => {
                let window = Duration::from_millis(window_ms.into());
                let answer = match self.may_arm(attempt, window) {
                    Err(reason) => Report::Refused { attempt, reason },
                    Ok(()) => {
                        self.disarm(DisarmCause::Superseded, out);
                        let deadline = now.plus(window);
                        self.past.add(attempt);
                        self.arm = Some(Arm { attempt, sequence, deadline });
                        Report::Armed { attempt, deadline }
                    }
                };
                out.report(sequence, answer);
            }
            Request::Grant { attempt, pulse_ms } => {
                let length = Duration::from_millis(pulse_ms.into());
                match self.consume(attempt, length) {
                    Err(reason) => out.report(sequence, Report::Refused { attempt, reason }),
                    Ok(()) => {
                        self.pulse = Some(Pulse { attempt, sequence, phase: Phase::Opening { length } });
                        out.edge = Some(Edge::Unlock);
                    }
                }
            }
            Request::Disarm { attempt } => {
                let answer = match self.arm {
                    Some(arm) if arm.attempt == attempt => {
                        self.arm = None;
                        self.past.end(attempt, Refusal::Disarmed);
                        Report::Disarmed { attempt, cause: DisarmCause::Command }
                    }
                    _ => Report::Refused { attempt, reason: self.past.why_not(attempt) },
                };
                out.report(sequence, answer);
            }
            Request::Lock => {
                self.disarm(DisarmCause::Command, out);
                if self.pulse.is_some() {
                    self.close(LockCause::Command, Some(sequence), out);
                } else if self.line == LineState::Held {
                    let cause = LockCause::Command;
                    out.report(sequence, Report::Locked { attempt: NO_ATTEMPT, at: now, cause });
                } else {
                    let reason = Refusal::LineNotHeld;
                    out.report(sequence, Report::Refused { attempt: NO_ATTEMPT, reason });
                }
            }
            Request::Status => {
                let (activity, until) = self.activity();
                out.report(sequence, Report::Status { line: self.line, activity, until });
            }
        }
    }

    fn may_arm(&self, attempt: AttemptId, window: Duration) -> Result<(), Refusal> {
        if self.line == LineState::NotHeld {
            return Err(Refusal::LineNotHeld);
        }
        if window > self.limits.window_max {
            return Err(Refusal::WindowTooLong);
        }
        if self.past.knows(attempt) {
            return Err(Refusal::AlreadyUsed);
        }
        Ok(())
    }

    /// Takes the arm of `attempt` away before any edge (door-rules 3). A grant whose pulse is impossible takes it away
    /// too: its sender cannot be trusted with another try. Only `Busy` leaves it, for the pulse is another attempt's.
    fn consume(&mut self, attempt: AttemptId, length: Duration) -> Result<(), Refusal> {
        if self.arm.is_none_or(|arm| arm.attempt != attempt) {
            return Err(self.past.why_not(attempt));
        }
        if self.line == LineState::NotHeld {
            return Err(Refusal::LineNotHeld);
        }
        if self.pulse.is_some() {
            return Err(Refusal::Busy);
        }
        if !planted!(GrantKeepsArm) {
            self.arm = None;
            self.past.end(attempt, Refusal::AlreadyUsed);
        }
        if length > self.limits.pulse_max {
            return Err(Refusal::PulseTooLong);
        }
        Ok(())
    }

    fn opened(&mut self, at: BootTime, out: &mut Outputs) {
        match &mut self.pulse {
            Some(Pulse { attempt, sequence, phase }) => {
                if let Phase::Opening { length } = *phase {
                    *phase = Phase::Open { until: at.plus(length) };
                    out.report(*sequence, Report::Unlocked { attempt: *attempt, at });
                }
            }
            // An edge that nobody asked for is taken back.
            None => out.edge = Some(Edge::Lock),
        }
    }

    fn disarm(&mut self, cause: DisarmCause, out: &mut Outputs) {
        if let Some(Arm { attempt, sequence, .. }) = self.arm.take() {
            self.past.end(
                attempt,
                match cause {
                    DisarmCause::Expired => Refusal::Expired,
                    DisarmCause::Superseded => Refusal::Superseded,
                    _ => Refusal::Disarmed,
                },
            );
            out.report(sequence, Report::Disarmed { attempt, cause });
        }
    }

    /// Begins to end the pulse, if there is one. `sequence` is that of a request which this answers.
    fn close(&mut self, cause: LockCause, sequence: Option<u32>, out: &mut Outputs) {
        if let Some(pulse) = &mut self.pulse {
            pulse.phase = Phase::Closing { cause };
            pulse.sequence = sequence.unwrap_or(pulse.sequence);
            out.edge = Some(Edge::Lock);
        }
    }

    fn end_pulse(&mut self) -> (u32, AttemptId) {
        self.pulse.take().map_or((0, NO_ATTEMPT), |pulse| (pulse.sequence, pulse.attempt))
    }

    fn activity(&self) -> (Activity, BootTime) {
        match (self.pulse, self.arm) {
            (Some(Pulse { phase: Phase::Open { until }, .. }), _) => (Activity::Pulsing, until),
            (Some(_), _) => (Activity::Pulsing, BootTime::default()),
            (None, Some(arm)) => (Activity::Armed, arm.deadline),
            (None, None) => (Activity::Idle, BootTime::default()),
        }
    }
}

fn attempt_of(request: &Request) -> AttemptId {
    match *request {
        Request::Arm { attempt, .. } | Request::Grant { attempt, .. } | Request::Disarm { attempt } => {
            attempt
        }
        Request::Hello | Request::Lock | Request::Heartbeat | Request::Status => NO_ATTEMPT,
    }
}

/// How many attempts of this guard's life are remembered. The agent never repeats an attempt id; this is the second
/// lock on that door, and its memory is fixed because the guard's is.
const PAST_LEN: usize = 1024;

/// The attempts that were armed in this guard's life and how their arms ended.
#[derive(Debug, Clone)]
struct Past {
    ring: Box<[(AttemptId, Refusal)]>,
    next: usize,
}

impl Past {
    fn new(attempts: usize) -> Self {
        Self { ring: vec![(NO_ATTEMPT, Refusal::NotArmed); attempts].into_boxed_slice(), next: 0 }
    }

    fn add(&mut self, attempt: AttemptId) {
        // Until its arm ends an attempt can be granted, so the word here only serves the second grant.
        if let Some(place) = self.ring.get_mut(self.next) {
            *place = (attempt, Refusal::AlreadyUsed);
        }
        self.next = (self.next + 1) % self.ring.len().max(1);
    }

    fn end(&mut self, attempt: AttemptId, reason: Refusal) {
        if let Some(place) = self.ring.iter_mut().find(|(known, _)| *known == attempt) {
            place.1 = reason;
        }
    }

    fn knows(&self, attempt: AttemptId) -> bool {
        self.ring.iter().any(|(known, _)| *known == attempt)
    }

    fn why_not(&self, attempt: AttemptId) -> Refusal {
        self.ring.iter().find(|(known, _)| *known == attempt).map_or(Refusal::NotArmed, |(_, reason)| *reason)
    }
}

#[cfg(test)]
mod tests;
