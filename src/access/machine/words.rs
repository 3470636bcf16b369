//! What the attempt machine hears and says.

use crate::access::admit::{Claim, Readiness, Standing, WhoMayOpen};
use crate::access::decide::Decision;
use crate::access::outcome::Outcome;
use crate::access::words::{AttemptId, JobId, Product, Report};
use crate::clock::BootTime;
use std::time::Duration;

/// The door's settings.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whose `may_open` counts.
    pub who: WhoMayOpen,
    /// How long after the last picture an approval may open (door-rules 1).
    pub window: Duration,
    /// How long the strike is released.
    pub unlock: Duration,
    /// How long somebody who enrols waits for the verdict.
    pub enrolment_wait: Duration,
    /// Whoever was not seen for so long between the last picture and the edge has left (door-rules 12); `None` when nobody looks
    /// for faces.
    pub away: Option<Duration>,
}

/// Why a submission did not end in an accepted job, as far as the attempt is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitFailure {
    /// The service certainly did not take it.
    RefusedForCertain {
        /// When the service wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The service may have taken it.
    PerhapsTaken,
    /// The service refused this job for good.
    Rejected,
    /// The service refuses every job until an operator acts.
    Paused,
    /// The time is not known, so nothing can be signed.
    ClockUnknown,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody claims an identity.
    Claimed {
        /// The claim.
        claim: Claim,
        /// What the door's list says.
        standing: Standing,
        /// What the device can do.
        readiness: Readiness,
    },
    /// This attempt's own camera took the last picture of the burst.
    Captured {
        /// Whose pictures.
        attempt: AttemptId,
        /// When the last one was taken.
        last_picture: BootTime,
    },
    /// The face was seen again after the last picture.
    Seen {
        /// Whose face.
        attempt: AttemptId,
        /// When.
        at: BootTime,
    },
    /// There are no usable pictures.
    CaptureFailed {
        /// Whose pictures.
        attempt: AttemptId,
        /// The stable reason word.
        reason: String,
    },
    /// The guard took the arm.
    Armed {
        /// Whose arm.
        attempt: AttemptId,
    },
    /// The guard refused an arm or a grant.
    LockRefused {
        /// Of which attempt.
        attempt: AttemptId,
        /// The stable reason word.
        reason: &'static str,
    },
    /// The guard is gone, and every arm with it.
    LockLost,
    /// The job is durable, born `sending`.
    Stored {
        /// Of which attempt.
        attempt: AttemptId,
        /// The job.
        job: JobId,
    },
    /// A commit failed.
    StoreFailed {
        /// Of which attempt.
        attempt: AttemptId,
    },
    /// The service took the job, and its id is durable.
    Accepted {
        /// Of which attempt.
        attempt: AttemptId,
        /// The job as the service knows it.
        remote_job: String,
    },
    /// The submission ended without an accepted job.
    SubmitFailed {
        /// Of which attempt.
        attempt: AttemptId,
        /// The job.
        job: JobId,
        /// How it ended.
        failure: SubmitFailure,
    },
    /// The service's verdict.
    Verdict {
        /// Of which attempt.
        attempt: AttemptId,
        /// The job that was asked about.
        job: JobId,
        /// The answer.
        report: Report,
    },
    /// The verdict and the intent to unlock are durable.
    VerdictStored {
        /// Of which attempt.
        attempt: AttemptId,
    },
    /// The guard confirmed the edge.
    Unlocked {
        /// Of which attempt.
        attempt: AttemptId,
    },
    /// The line is locked again: the pulse under way is over.
    Locked,
    /// The claimer went away or an operator called it off.
    Cancelled {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// Time has passed.
    Tick,
}

/// Something for the audit, kept until the attempt's next commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of which attempt.
    pub attempt: AttemptId,
    /// The event's stable name.
    pub kind: &'static str,
    /// More words; never a user id or a name.
    pub fields: Vec<(&'static str, String)>,
}

impl Note {
    /// A note without fields.
    pub fn new(attempt: AttemptId, kind: &'static str) -> Self {
        Self { attempt, kind, fields: Vec::new() }
    }

    /// And one field more.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((key, value.into()));
        self
    }
}

/// What is to be done, in order.
#[derive(Debug, Clone)]
pub enum Command {
    /// Keep this for the audit.
    Note(Note),
    /// Start the camera, and warm token and connection meanwhile.
    Begin {
        /// The attempt.
        attempt: AttemptId,
        /// What for.
        product: Product,
    },
    /// Stop the camera.
    StopCamera {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Arm the guard.
    Arm {
        /// The attempt.
        attempt: AttemptId,
        /// How long a grant may follow, on the guard's own clock.
        window: Duration,
    },
    /// Take the arm back, if it still exists.
    Disarm {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Make the job durable, born `sending`, with the notes so far; then [`Event::Stored`] or [`Event::StoreFailed`].
    Store {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Submit it and watch it until the moment given.
    Submit {
        /// The attempt.
        attempt: AttemptId,
        /// The job.
        job: JobId,
        /// When nobody waits any more.
        until: BootTime,
    },
    /// Move the job according to its last failure (queue promise 4).
    Settle {
        /// The attempt.
        attempt: AttemptId,
        /// The job.
        job: JobId,
    },
    /// Make the verdict durable; with `intent` the intent to unlock shares the commit (door-rules 9), and then
    /// [`Event::VerdictStored`] or [`Event::StoreFailed`].
    RecordVerdict {
        /// The attempt.
        attempt: AttemptId,
        /// The job.
        job: JobId,
        /// The answer.
        report: Report,
        /// What follows; `None` when it came after the attempt was over.
        decision: Option<Decision>,
        /// The door is about to be opened.
        intent: bool,
    },
    /// Open the door.
    Grant {
        /// The attempt.
        attempt: AttemptId,
        /// For how long.
        pulse: Duration,
    },
    /// Lock at once, and drop any arm.
    Lock,
    /// Tell the claimer and write the end to the audit.
    Finish {
        /// The attempt.
        attempt: AttemptId,
        /// How it ended.
        outcome: Outcome,
    },
}
