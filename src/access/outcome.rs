//! How an attempt ends, in words for a person, for a machine and as an exit code.

use super::admit::NotAdmitted;

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The guard confirmed the edge (door-rules 10).
    Granted,
    /// The face is enrolled.
    Enrolled,
    /// No attempt began.
    NotAdmitted(NotAdmitted),
    /// The service refused.
    Denied {
        /// A spoof is named, or cannot be excluded.
        spoof: bool,
    },
    /// The pictures could not be taken; the stable reason word.
    CaptureFailed(String),
    /// The lock refused, was lost or did not confirm; the stable reason word.
    LockFailed(String),
    /// The job could not be made durable.
    DatabaseFailed,
    /// The service refused this job for its form; nothing was judged.
    JobRejected,
    /// Saved, to be submitted when the service can be reached.
    Offline,
    /// Saved, but the queue is paused until an operator mends its cause.
    Paused,
    /// The approval, if any, came too late.
    Expired,
    /// Somebody has to look at it.
    Held,
    /// The service finished without deciding, or said what nobody understands.
    Undecided,
    /// The answer to the submission was lost.
    UnknownOutcome,
    /// The person did not stay until the verdict (door-rules 12).
    Left,
    /// Called off.
    Cancelled,
}

impl Outcome {
    /// The stable word in events and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Enrolled => "enrolled",
            Self::NotAdmitted(NotAdmitted::NotPermitted) => "not_permitted",
            Self::NotAdmitted(NotAdmitted::NoConsent) => "no_consent",
            Self::NotAdmitted(NotAdmitted::LockedOut(_)) => "locked_out",
            Self::NotAdmitted(NotAdmitted::Busy) => "busy",
            Self::NotAdmitted(NotAdmitted::QueueFull) => "queue_full",
            Self::NotAdmitted(NotAdmitted::LockNotReady) => "lock_not_ready",
            Self::Denied { .. } => "denied",
            Self::CaptureFailed(_) => "capture_failed",
            Self::LockFailed(_) => "lock_failed",
            Self::DatabaseFailed => "database_failed",
            Self::JobRejected => "job_rejected",
            Self::Offline => "offline",
            Self::Paused => "paused",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Undecided => "undecided",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Left => "left",
            Self::Cancelled => "cancelled",
        }
    }

    /// The process exit code of the command-line contract.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Granted | Self::Enrolled => 0,
            Self::NotAdmitted(
                NotAdmitted::NotPermitted | NotAdmitted::NoConsent | NotAdmitted::LockedOut(_),
            )
            | Self::Denied { .. } => 3,
            Self::NotAdmitted(_)
            | Self::CaptureFailed(_)
            | Self::LockFailed(_)
            | Self::DatabaseFailed
            | Self::JobRejected => 1,
            Self::Offline | Self::Paused => 4,
            Self::Expired | Self::Held | Self::Undecided | Self::UnknownOutcome | Self::Left => 5,
            Self::Cancelled => 130,
        }
    }

    /// One line for the person at the door or the operator, with what can be done.
    pub fn sentence(&self) -> String {
        match self {
            Self::Granted => "granted: the door is open".into(),
            Self::Enrolled => "enrolled: the service knows this face now".into(),
            Self::NotAdmitted(NotAdmitted::NotPermitted) => {
                "denied: not permitted here (an operator can add the person with `latchd people add`)".into()
            }
            Self::NotAdmitted(NotAdmitted::NoConsent) => {
                "refused: no consent is recorded (record it with `latchd people add --consent-…`)".into()
            }
            Self::NotAdmitted(NotAdmitted::LockedOut(left)) => format!(
                "denied: locked out for {} more seconds after repeated denials (an operator can lift it with `latchd people unlock-out`)",
                left.as_secs().max(1)
            ),
            Self::NotAdmitted(NotAdmitted::Busy) => "refused: another attempt is under way; try again".into(),
            Self::NotAdmitted(NotAdmitted::QueueFull) => {
                "refused: the queue is full; connect the device or drop old jobs (`latchd queue list`)".into()
            }
            Self::NotAdmitted(NotAdmitted::LockNotReady) => {
                "refused: the lock does not answer (is latchd-guard running? see `latchd status`)".into()
            }
            Self::Denied { .. } => "denied: the service did not confirm this person".into(),
            Self::CaptureFailed(reason) => format!("refused: no usable pictures ({reason})"),
            Self::LockFailed(reason) => format!("failed: the lock did not open ({reason})"),
            Self::DatabaseFailed => {
                "failed: it could not be written down, so nothing was done (see the journal)".into()
            }
            Self::JobRejected => "failed: the service refused the job (see `latchd queue list`)".into(),
            Self::Offline => "saved: the service cannot be reached; the door stays locked".into(),
            Self::Paused => "saved: the queue is paused (see `latchd status`); the door stays locked".into(),
            Self::Expired => "expired: the answer took too long, please try again".into(),
            Self::Held => "undecided: a person has to look at this job; the door stays locked".into(),
            Self::Undecided => "undecided: the service gave no decision; the door stays locked".into(),
            Self::UnknownOutcome => {
                "undecided: the answer was lost; the job is held and the door stays locked".into()
            }
            Self::Left => {
                "ended: nobody is in front of the camera any more; the door stays locked, please try again"
                    .into()
            }
            Self::Cancelled => "cancelled".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_door_or_an_enrolled_face_exits_zero() {
        for (outcome, code) in [
            (Outcome::Granted, 0),
            (Outcome::Enrolled, 0),
            (Outcome::NotAdmitted(NotAdmitted::NotPermitted), 3),
            (Outcome::Denied { spoof: false }, 3),
            (Outcome::CaptureFailed("too_dark".into()), 1),
            (Outcome::Offline, 4),
            (Outcome::Expired, 5),
            (Outcome::Held, 5),
            (Outcome::UnknownOutcome, 5),
            (Outcome::Left, 5),
            (Outcome::Cancelled, 130),
        ] {
            assert_eq!(outcome.exit_code(), code, "{outcome:?}");
            assert!(!outcome.sentence().is_empty());
        }
    }
}
