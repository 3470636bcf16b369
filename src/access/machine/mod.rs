//! The attempt machine: `(now, event) -> commands`. It alone decides that a grant is sent, and it can do so in
//! one place only ([`Machine::grant`]): an authentication by this attempt's own camera, armed and
//! confirmed by the guard, approved for this person and this job, in time, with the intent on disk.
//!
//! The machine never looks at a clock. Whoever drives it calls it with [`Event::Tick`] no later than
//! [`Machine::deadline`].

mod words;

#[cfg(test)]
mod tests;

pub use words::{Command, Event, Note, Rules, SubmitFailure};

use super::admit::{Claim, NotAdmitted, Readiness, Standing, admit};
use super::decide::{Decision, Expected, decide};
use super::outcome::Outcome;
use super::words::{AttemptId, JobId, Product, Report};
use crate::clock::BootTime;
use std::time::Duration;

/// How long the guard may take to confirm an edge.
const EDGE_LIMIT: Duration = Duration::from_secs(1);
/// Pause before a submission that was certainly refused is sent again.
const RESEND_PAUSE: Duration = Duration::from_millis(500);
/// Times a certainly refused submission is sent again while the person waits.
const RESENDS: u32 = 2;
/// A resend with less time left than this cannot end in an open door.
const RESEND_MARGIN: Duration = Duration::from_secs(2);

/// What the guard holds for this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arm {
    /// Nothing: an enrolment, or the guard refused or was lost.
    None,
    /// Sent, not confirmed.
    Sent,
    /// Confirmed.
    Confirmed,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Pictures are being taken.
    Capturing,
    /// The job is being made durable.
    Storing,
    /// Submitted or about to be; the service judges.
    Judging { job: JobId, remote_job: String, resends: u32, resend_at: Option<BootTime> },
    /// An approval is being made durable together with the intent to unlock.
    Intending,
    /// Both are durable. The pulse of the attempt before is still under way, and nothing extends it; or the guard has
    /// not yet confirmed the arm: a service that answers at once can be faster.
    Waiting,
    /// The grant is on its way; the edge is not confirmed.
    Opening { until: BootTime },
}

#[derive(Debug, Clone)]
struct Attempt {
    claim: Claim,
    /// From the last picture on: when the window closes.
    deadline: Option<BootTime>,
    /// Until when the face counts as there without being seen again; `None` when it need not stay, or no longer.
    there_until: Option<BootTime>,
    arm: Arm,
    phase: Phase,
}

impl Attempt {
    /// The face was not seen for too long (door-rules 12).
    fn left(&self, now: BootTime) -> bool {
        self.there_until.is_some_and(|until| now >= until) && !planted!(LeaversOpen)
    }
}

/// One door, one attempt at a time.
#[derive(Debug, Clone)]
pub struct Machine {
    rules: Rules,
    current: Option<Attempt>,
    /// The strike is released: from the edge to the guard's word that it is locked again.
    open: bool,
}

impl Machine {
    /// A machine at rest.
    pub fn new(rules: Rules) -> Self {
        Self { rules, current: None, open: false }
    }

    /// The attempt under way.
    pub fn attempt(&self) -> Option<AttemptId> {
        self.current.as_ref().map(|attempt| attempt.claim.attempt)
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<BootTime> {
        let attempt = self.current.as_ref()?;
        let due = match attempt.phase {
            Phase::Judging { resend_at: Some(at), .. } => {
                Some(attempt.deadline.map_or(at, |end| end.min(at)))
            }
            Phase::Opening { until } => Some(until),
            _ => attempt.deadline,
        };
        due.into_iter().chain(attempt.there_until).min()
    }

    /// Takes one event and says what to do, in order.
    pub fn handle(&mut self, now: BootTime, event: Event) -> Vec<Command> {
        match event {
            Event::Claimed { claim, standing, readiness } => self.claimed(claim, standing, readiness),
            Event::Tick => self.tick(now),
            Event::LockLost => self.lock_lost(),
            Event::Locked => self.locked(now),
            Event::Captured { attempt, last_picture } => self.captured(now, attempt, last_picture),
            Event::Seen { attempt, at } => self.seen(now, attempt, at),
            Event::CaptureFailed { attempt, reason } => match self.phase_of(attempt) {
                Some(Phase::Capturing) => self.finish(Outcome::CaptureFailed(reason), vec![]),
                _ => stale(attempt, "capture_failed"),
            },
            Event::Armed { attempt } => self.armed(now, attempt),
            Event::LockRefused { attempt, reason } => self.lock_refused(attempt, reason),
            Event::Stored { attempt, job } => self.stored(now, attempt, job),
            Event::StoreFailed { attempt } => match self.phase_of(attempt) {
                Some(Phase::Storing | Phase::Judging { .. } | Phase::Intending) => {
                    self.finish(Outcome::DatabaseFailed, vec![])
                }
                _ => stale(attempt, "store_failed"),
            },
            Event::Accepted { attempt, remote_job } => self.accepted(attempt, remote_job),
            Event::SubmitFailed { attempt, job, failure } => self.submit_failed(now, attempt, job, failure),
            Event::Verdict { attempt, job, report } => self.verdict(now, attempt, job, report),
            Event::VerdictStored { attempt } => self.verdict_stored(now, attempt),
            Event::Unlocked { attempt } => self.unlocked(attempt),
            Event::Cancelled { attempt } => self.cancelled(attempt),
        }
    }

    fn current_if(&mut self, attempt: AttemptId) -> Option<&mut Attempt> {
        self.current.as_mut().filter(|current| current.claim.attempt == attempt)
    }

    fn phase_of(&self, attempt: AttemptId) -> Option<&Phase> {
        self.current.as_ref().filter(|current| current.claim.attempt == attempt).map(|current| &current.phase)
    }

    /// Ends the attempt after `commands`. What it armed is disarmed before anything else.
    fn finish(&mut self, outcome: Outcome, mut commands: Vec<Command>) -> Vec<Command> {
        if let Some(current) = self.current.take() {
            let attempt = current.claim.attempt;
            if current.arm != Arm::None {
                commands.insert(0, Command::Disarm { attempt });
            }
            commands.push(Command::Finish { attempt, outcome });
        }
        commands
    }

    fn claimed(&mut self, claim: Claim, standing: Standing, readiness: Readiness) -> Vec<Command> {
        let (attempt, product) = (claim.attempt, claim.product);
        let verdict = admit(&claim, self.rules.who, standing, readiness);
        // Who is not permitted is told so even while somebody else stands at the door.
        let verdict = verdict.and(if self.current.is_some() { Err(NotAdmitted::Busy) } else { Ok(()) });
        let note =
            Note::new(attempt, "claim").with("product", product.name()).with("reader", claim.reader.clone());
        if let Err(reason) = verdict {
            return vec![
                Command::Note(note),
                Command::Finish { attempt, outcome: Outcome::NotAdmitted(reason) },
            ];
        }
        self.current = Some(Attempt {
            claim,
            deadline: None,
            there_until: None,
            arm: Arm::None,
            phase: Phase::Capturing,
        });
        vec![Command::Note(note), Command::Begin { attempt, product }]
    }

    /// door-rules 1: the window runs from the last picture on.
    fn captured(&mut self, now: BootTime, attempt: AttemptId, last_picture: BootTime) -> Vec<Command> {
        let rules = self.rules;
        let Some(current) = self.current_if(attempt) else { return stale(attempt, "captured") };
        if !matches!(current.phase, Phase::Capturing) {
            return stale(attempt, "captured");
        }
        let for_door = current.claim.product == Product::Authentication;
        let span = if for_door { rules.window } else { rules.enrolment_wait };
        // A picture from the future would stretch the window.
        current.deadline = Some(last_picture.min(now).plus(span));
        current.phase = Phase::Storing;
        let mut commands = vec![Command::Note(Note::new(attempt, "captured"))];
        if for_door {
            current.arm = Arm::Sent;
            // Until now the camera's thread was encoding pictures, and could not look.
            current.there_until = rules.away.map(|away| now.plus(away));
            commands.push(Command::Arm { attempt, window: rules.window });
        }
        commands.push(Command::Store { attempt });
        commands
    }

    /// door-rules 12. Who was away for too long is not there again by coming back.
    fn seen(&mut self, now: BootTime, attempt: AttemptId, at: BootTime) -> Vec<Command> {
        let away = self.rules.away;
        // After the attempt's end the camera may look once more.
        let Some(current) = self.current_if(attempt) else { return vec![] };
        if let (Some(until), Some(away)) = (&mut current.there_until, away)
            && at < *until
        {
            *until = at.min(now).plus(away).max(*until);
        }
        vec![]
    }

    fn armed(&mut self, now: BootTime, attempt: AttemptId) -> Vec<Command> {
        match self.current_if(attempt) {
            Some(current) if current.arm == Arm::Sent => {
                current.arm = Arm::Confirmed;
                self.waited(now)
            }
            _ => stale(attempt, "armed"),
        }
    }

    fn lock_refused(&mut self, attempt: AttemptId, reason: &'static str) -> Vec<Command> {
        let Some(current) = self.current_if(attempt) else { return stale(attempt, "lock_refused") };
        current.arm = Arm::None;
        let note = Command::Note(Note::new(attempt, "lock_refused").with("reason", reason));
        match current.phase {
            Phase::Waiting | Phase::Opening { .. } => {
                self.finish(Outcome::LockFailed(reason.into()), vec![note])
            }
            _ => vec![note],
        }
    }

    fn lock_lost(&mut self) -> Vec<Command> {
        self.open = false;
        let Some(current) = self.current.as_mut() else { return vec![] };
        current.arm = Arm::None;
        match current.phase {
            Phase::Waiting | Phase::Opening { .. } => {
                self.finish(Outcome::LockFailed("lock_lost".into()), vec![])
            }
            _ => vec![],
        }
    }

    fn stored(&mut self, now: BootTime, attempt: AttemptId, job: JobId) -> Vec<Command> {
        let Some(current) = self.current_if(attempt) else { return stale(attempt, "stored") };
        if !matches!(current.phase, Phase::Storing) {
            return stale(attempt, "stored");
        }
        current.phase = Phase::Judging { job, remote_job: String::new(), resends: 0, resend_at: None };
        let until = current.deadline.unwrap_or(now);
        vec![Command::Submit { attempt, job, until }]
    }

    fn accepted(&mut self, attempt: AttemptId, accepted_as: String) -> Vec<Command> {
        match self.current_if(attempt).map(|current| &mut current.phase) {
            Some(Phase::Judging { remote_job, .. }) if remote_job.is_empty() => {
                *remote_job = accepted_as;
                vec![]
            }
            _ => stale(attempt, "accepted"),
        }
    }

    fn submit_failed(
        &mut self,
        now: BootTime,
        attempt: AttemptId,
        job: JobId,
        failure: SubmitFailure,
    ) -> Vec<Command> {
        let settle = Command::Settle { attempt, job };
        let Some(current) = self.current_if(attempt) else { return vec![settle] };
        let end = current.deadline.unwrap_or(now);
        let Phase::Judging { resends, resend_at, .. } = &mut current.phase else { return vec![settle] };
        if let SubmitFailure::RefusedForCertain { retry_after } = failure {
            let at = now.plus(retry_after.unwrap_or(RESEND_PAUSE).max(RESEND_PAUSE));
            if *resends < RESENDS && at.plus(RESEND_MARGIN) < end {
                *resends += 1;
                *resend_at = Some(at);
                return vec![];
            }
        }
        let outcome = match failure {
            SubmitFailure::RefusedForCertain { .. } | SubmitFailure::ClockUnknown => Outcome::Offline,
            SubmitFailure::PerhapsTaken => Outcome::UnknownOutcome,
            SubmitFailure::Rejected => Outcome::JobRejected,
            SubmitFailure::Paused => Outcome::Paused,
        };
        self.finish(outcome, vec![settle])
    }

    fn verdict(&mut self, now: BootTime, attempt: AttemptId, job: JobId, report: Report) -> Vec<Command> {
        let late = |report: Report| {
            vec![
                Command::Note(Note::new(attempt, "late_verdict").with("verdict", report.verdict.name())),
                Command::RecordVerdict { attempt, job, decision: None, report, intent: false },
            ]
        };
        let Some(current) = self.current_if(attempt) else {
            let mut commands = late(report);
            if planted!(OverAttemptOpens) {
                commands.push(Command::Grant { attempt, pulse: self.rules.unlock });
            }
            return commands;
        };
        let Phase::Judging { job: ours, remote_job, .. } = &current.phase else { return late(report) };
        if *ours != job {
            return late(report);
        }
        let product = current.claim.product;
        let decision = decide(Expected { product, user: &current.claim.user, remote_job }, &report);
        let in_time = current.deadline.is_some_and(|end| now < end) || planted!(LateApprovalOpens);
        let for_door = product == Product::Authentication;
        let record =
            |intent: bool| Command::RecordVerdict { attempt, job, report, decision: Some(decision), intent };
        match decision {
            Decision::Approve if !for_door => self.finish(Outcome::Enrolled, vec![record(false)]),
            Decision::Approve if !in_time => self.finish(Outcome::Expired, vec![record(false)]),
            Decision::Approve if current.arm == Arm::None => {
                self.finish(Outcome::LockFailed("not_armed".into()), vec![record(false)])
            }
            Decision::Approve => {
                current.phase = Phase::Intending;
                if planted!(OpensBeforeIntent) {
                    return [self.grant(now, attempt), vec![record(true)]].concat();
                }
                vec![record(true)]
            }
            Decision::Deny { spoof } => self.finish(Outcome::Denied { spoof }, vec![record(false)]),
            Decision::Hold => self.finish(Outcome::Held, vec![record(false)]),
            Decision::Undecided | Decision::Mismatch | Decision::Unknown => {
                self.finish(Outcome::Undecided, vec![record(false)])
            }
        }
    }

    fn verdict_stored(&mut self, now: BootTime, attempt: AttemptId) -> Vec<Command> {
        let Some(current) = self.current_if(attempt) else { return stale(attempt, "verdict_stored") };
        if !matches!(current.phase, Phase::Intending) {
            return stale(attempt, "verdict_stored");
        }
        current.phase = Phase::Waiting;
        self.waited(now)
    }

    /// Grants to who waits, once the door is locked and the guard has answered to the arm.
    fn waited(&mut self, now: BootTime) -> Vec<Command> {
        match &self.current {
            Some(current)
                if matches!(current.phase, Phase::Waiting) && current.arm != Arm::Sent && !self.open =>
            {
                let attempt = current.claim.attempt;
                self.grant(now, attempt)
            }
            _ => vec![],
        }
    }

    /// The pulse before this attempt is over.
    fn locked(&mut self, now: BootTime) -> Vec<Command> {
        self.open = false;
        self.waited(now)
    }

    fn unlocked(&mut self, attempt: AttemptId) -> Vec<Command> {
        self.open = true;
        match self.phase_of(attempt) {
            Some(Phase::Opening { .. }) => self.finish(Outcome::Granted, vec![]),
            // Nobody was told that the door is open: it must not be.
            _ => [vec![Command::Lock], stale(attempt, "unlocked")].concat(),
        }
    }

    /// The only place that sends a grant: who waits has a durable intent. door-rules 1, 3, 4 and 9.
    fn grant(&mut self, now: BootTime, attempt: AttemptId) -> Vec<Command> {
        let pulse = self.rules.unlock;
        let Some(current) = self.current_if(attempt) else { return vec![] };
        let in_time = current.deadline.is_some_and(|end| now < end) || planted!(LateApprovalOpens);
        let armed = current.arm == Arm::Confirmed && current.claim.product == Product::Authentication;
        if !in_time {
            return self.finish(Outcome::Expired, vec![]);
        }
        if current.left(now) {
            return self.finish(Outcome::Left, vec![]);
        }
        if !armed {
            let outcome = Outcome::LockFailed("not_armed".into());
            return self.finish(outcome, vec![]);
        }
        current.arm = Arm::None;
        current.there_until = None;
        current.phase = Phase::Opening { until: now.plus(EDGE_LIMIT) };
        if planted!(GrantedBeforeEdge) {
            return self.finish(Outcome::Granted, vec![Command::Grant { attempt, pulse }]);
        }
        vec![Command::Grant { attempt, pulse }]
    }

    fn tick(&mut self, now: BootTime) -> Vec<Command> {
        let Some(current) = self.current.as_mut() else { return vec![] };
        let attempt = current.claim.attempt;
        let over = current.deadline.is_some_and(|end| now >= end) && !planted!(LateApprovalOpens);
        if current.left(now) && !over {
            return self.called_off(attempt, Outcome::Left);
        }
        match &mut current.phase {
            Phase::Judging { job, resend_at: resend_at @ Some(_), .. } if !over => {
                if resend_at.is_none_or(|at| now < at) {
                    return vec![];
                }
                *resend_at = None;
                let (job, until) = (*job, current.deadline.unwrap_or(now));
                vec![Command::Submit { attempt, job, until }]
            }
            Phase::Judging { job, remote_job, resend_at, .. } if over => {
                // A submission under way settles itself when it ends; one that waits to be resent must be put back.
                let mut commands = vec![];
                if remote_job.is_empty() && resend_at.is_some() {
                    commands.push(Command::Settle { attempt, job: *job });
                }
                let offline = resend_at.is_some();
                self.finish(if offline { Outcome::Offline } else { Outcome::Expired }, commands)
            }
            Phase::Waiting if over && current.arm == Arm::Sent => {
                self.finish(Outcome::LockFailed("not_armed".into()), vec![])
            }
            Phase::Storing | Phase::Intending | Phase::Waiting if over => {
                self.finish(Outcome::Expired, vec![])
            }
            Phase::Opening { until } if now >= *until => {
                let outcome = Outcome::LockFailed("edge_not_confirmed".into());
                self.finish(outcome, vec![Command::Lock])
            }
            _ => vec![],
        }
    }

    fn cancelled(&mut self, attempt: AttemptId) -> Vec<Command> {
        self.called_off(attempt, Outcome::Cancelled)
    }

    fn called_off(&mut self, attempt: AttemptId, outcome: Outcome) -> Vec<Command> {
        match self.phase_of(attempt) {
            Some(Phase::Capturing) => self.finish(outcome, vec![Command::StopCamera { attempt }]),
            // From the last picture on the job is on its way: the door just stays shut. One that waits to be sent
            // again goes back into the queue.
            Some(Phase::Judging { job, resend_at, .. }) => {
                let mut commands = vec![];
                if resend_at.is_some() {
                    commands.push(Command::Settle { attempt, job: *job });
                }
                self.finish(outcome, commands)
            }
            Some(Phase::Storing | Phase::Intending | Phase::Waiting) => self.finish(outcome, vec![]),
            _ => vec![],
        }
    }
}

/// An event of an attempt that is over, or out of order: noted, never acted on.
fn stale(attempt: AttemptId, event: &'static str) -> Vec<Command> {
    vec![Command::Note(Note::new(attempt, "stale_event").with("event", event))]
}
