//! Scripts of events and the commands they must and must not cause.

mod presence;

use super::*;
use crate::access::admit::WhoMayOpen;
use crate::access::words::{UserId, Verdict};
use proptest::prelude::*;

const ATTEMPT: AttemptId = AttemptId([1; 16]);
const OTHER: AttemptId = AttemptId([2; 16]);
const JOB: JobId = JobId([9; 16]);
const WINDOW_MS: u64 = 15_000;

fn at(millis: u64) -> BootTime {
    BootTime::from_millis(millis)
}

fn machine() -> Machine {
    Machine::new(Rules {
        who: WhoMayOpen::Listed,
        window: Duration::from_millis(WINDOW_MS),
        unlock: Duration::from_secs(5),
        enrolment_wait: Duration::from_secs(30),
        away: None,
    })
}

fn claim(attempt: AttemptId, product: Product) -> Event {
    Event::Claimed {
        claim: Claim { attempt, user: UserId::parse("u-1").unwrap(), product, reader: "socket".into() },
        standing: Standing { listed: true, may_open: true, consent: true, ..Standing::default() },
        readiness: Readiness { guard: true, queue: true },
    }
}

fn report(verdict: Verdict, product: Product) -> Report {
    Report {
        verdict,
        product,
        user_id: "u-1".into(),
        remote_job: "job_x".into(),
        code: "clear".into(),
        text: String::new(),
    }
}

fn verdict(verdict: Verdict) -> Event {
    Event::Verdict { attempt: ATTEMPT, job: JOB, report: report(verdict, Product::Authentication) }
}

/// Brings a machine to the point where the service judges; the last picture is at 1000 ms.
fn judging(product: Product) -> Machine {
    let mut m = machine();
    m.handle(at(0), claim(ATTEMPT, product));
    m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    m.handle(at(1001), Event::Armed { attempt: ATTEMPT });
    m.handle(at(1002), Event::Stored { attempt: ATTEMPT, job: JOB });
    m.handle(at(1003), Event::Accepted { attempt: ATTEMPT, remote_job: "job_x".into() });
    m
}

fn grants(commands: &[Command]) -> usize {
    commands.iter().filter(|c| matches!(c, Command::Grant { .. })).count()
}

fn outcome(commands: &[Command]) -> Option<Outcome> {
    commands.iter().find_map(|c| match c {
        Command::Finish { outcome, .. } => Some(outcome.clone()),
        _ => None,
    })
}

#[test]
fn an_approval_in_time_opens_once_after_the_intent_is_durable() {
    let mut m = judging(Product::Authentication);
    let commands = m.handle(at(2000), verdict(Verdict::Approved));
    assert!(matches!(commands.as_slice(), [Command::RecordVerdict { intent: true, .. }]), "{commands:?}");
    let commands = m.handle(at(2004), Event::VerdictStored { attempt: ATTEMPT });
    assert!(matches!(commands.as_slice(), [Command::Grant { .. }]), "{commands:?}");
    let commands = m.handle(at(2005), Event::Unlocked { attempt: ATTEMPT });
    assert_eq!(outcome(&commands), Some(Outcome::Granted));
    assert_eq!(m.attempt(), None);
}

/// door-rules 3: one verdict delivered a hundred times, one grant.
#[test]
fn a_repeated_verdict_grants_once() {
    let mut m = judging(Product::Authentication);
    let mut count = 0;
    for n in 0..100 {
        count += grants(&m.handle(at(2000 + n), verdict(Verdict::Approved)));
        count += grants(&m.handle(at(2000 + n), Event::VerdictStored { attempt: ATTEMPT }));
    }
    assert_eq!(count, 1);
}

/// door-rules 1: T - 0.1 s opens, T + 0.1 s does not, and neither does T itself.
#[test]
fn the_window_closes_on_time() {
    for (millis, opens) in [(WINDOW_MS - 100, true), (WINDOW_MS, false), (WINDOW_MS + 100, false)] {
        let mut m = judging(Product::Authentication);
        let mut commands = m.handle(at(1000 + millis), verdict(Verdict::Approved));
        let intent = commands.iter().any(|c| matches!(c, Command::RecordVerdict { intent: true, .. }));
        if intent {
            commands = m.handle(at(1000 + millis), Event::VerdictStored { attempt: ATTEMPT });
        }
        assert_eq!(grants(&commands) == 1, opens, "{millis}");
        if !opens {
            assert_eq!(outcome(&commands), Some(Outcome::Expired));
        }
    }
}

/// door-rules 1 and 9: a slow disk between verdict and grant does not stretch the window.
#[test]
fn an_intent_that_became_durable_too_late_does_not_open() {
    let mut m = judging(Product::Authentication);
    m.handle(at(1000 + WINDOW_MS - 5), verdict(Verdict::Approved));
    let commands = m.handle(at(1000 + WINDOW_MS + 5), Event::VerdictStored { attempt: ATTEMPT });
    assert_eq!(outcome(&commands), Some(Outcome::Expired));
    assert_eq!(grants(&commands), 0);
}

/// door-rules 4.
#[test]
fn no_other_verdict_and_no_other_job_opens() {
    for event in [
        verdict(Verdict::Provisional),
        verdict(Verdict::Rejected { spoof: true }),
        verdict(Verdict::Undecided),
        verdict(Verdict::Unknown),
        Event::Verdict {
            attempt: ATTEMPT,
            job: JOB,
            report: Report {
                remote_job: "job_y".into(),
                ..report(Verdict::Approved, Product::Authentication)
            },
        },
        Event::Verdict {
            attempt: ATTEMPT,
            job: JOB,
            report: Report { user_id: "u-2".into(), ..report(Verdict::Approved, Product::Authentication) },
        },
        Event::Verdict {
            attempt: ATTEMPT,
            job: JOB,
            report: report(Verdict::Approved, Product::Registration),
        },
    ] {
        let mut m = judging(Product::Authentication);
        let mut commands = m.handle(at(2000), event);
        commands.extend(m.handle(at(2001), Event::VerdictStored { attempt: ATTEMPT }));
        assert_eq!(grants(&commands), 0);
        assert!(commands.iter().any(|c| matches!(c, Command::Disarm { .. })));
        assert_eq!(m.attempt(), None);
    }
}

/// door-rules 4: an enrolment never arms and never grants.
#[test]
fn an_enrolment_never_touches_the_lock() {
    let mut m = machine();
    m.handle(at(0), claim(ATTEMPT, Product::Registration));
    let mut commands = m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    m.handle(at(1001), Event::Armed { attempt: ATTEMPT });
    commands.extend(m.handle(at(1002), Event::Stored { attempt: ATTEMPT, job: JOB }));
    m.handle(at(1003), Event::Accepted { attempt: ATTEMPT, remote_job: "job_x".into() });
    let approved = report(Verdict::Approved, Product::Registration);
    let last = m.handle(at(2000), Event::Verdict { attempt: ATTEMPT, job: JOB, report: approved });
    assert_eq!(outcome(&last), Some(Outcome::Enrolled));
    commands.extend(last);
    commands.extend(m.handle(at(2001), Event::VerdictStored { attempt: ATTEMPT }));
    let mut m = judging(Product::Registration);
    let rejected = report(Verdict::Rejected { spoof: false }, Product::Registration);
    commands.extend(m.handle(at(2000), Event::Verdict { attempt: ATTEMPT, job: JOB, report: rejected }));
    let of_the_lock = |c: &Command| {
        matches!(c, Command::Arm { .. } | Command::Disarm { .. } | Command::Grant { .. } | Command::Lock)
    };
    assert!(!commands.iter().any(of_the_lock), "{commands:?}");
}

/// A service that answers with the verdict at once can be faster than the guard.
#[test]
fn an_approval_waits_for_the_arm_and_never_opens_without() {
    let approved_before_the_arm = || {
        let mut m = machine();
        m.handle(at(0), claim(ATTEMPT, Product::Authentication));
        m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
        m.handle(at(1002), Event::Stored { attempt: ATTEMPT, job: JOB });
        m.handle(at(1003), Event::Accepted { attempt: ATTEMPT, remote_job: "job_x".into() });
        let commands = m.handle(at(1004), verdict(Verdict::Approved));
        assert!(matches!(commands[..], [Command::RecordVerdict { intent: true, .. }]), "{commands:?}");
        m
    };
    let stored = || Event::VerdictStored { attempt: ATTEMPT };
    let armed = || Event::Armed { attempt: ATTEMPT };
    for (first, second) in [(stored(), armed()), (armed(), stored())] {
        let mut m = approved_before_the_arm();
        assert!(m.handle(at(1005), first).is_empty());
        assert_eq!(grants(&m.handle(at(1006), second)), 1);
    }
    let mut m = approved_before_the_arm();
    m.handle(at(1005), stored());
    let commands = m.handle(at(1006), Event::LockRefused { attempt: ATTEMPT, reason: "tampered" });
    assert_eq!(outcome(&commands), Some(Outcome::LockFailed("tampered".into())));
    let mut m = approved_before_the_arm();
    m.handle(at(1005), stored());
    let end = m.deadline().unwrap();
    let commands = m.handle(end, Event::Tick);
    assert!(matches!(commands[0], Command::Disarm { .. }), "{commands:?}");
    assert_eq!(outcome(&commands), Some(Outcome::LockFailed("not_armed".into())));
    assert_eq!(grants(&m.handle(end, armed())), 0);
    for (event, disarms) in [(Event::Cancelled { attempt: ATTEMPT }, true), (Event::LockLost, false)] {
        let mut m = approved_before_the_arm();
        m.handle(at(1005), stored());
        let commands = m.handle(at(1006), event);
        assert_eq!(matches!(commands[0], Command::Disarm { .. }), disarms, "{commands:?}");
        assert_eq!(grants(&m.handle(at(1007), armed())), 0);
    }
}

#[test]
fn a_guard_lost_before_the_grant_takes_the_arm_with_it() {
    let mut m = judging(Product::Authentication);
    m.handle(at(1500), Event::LockLost);
    assert!(matches!(outcome(&m.handle(at(1600), verdict(Verdict::Approved))), Some(Outcome::LockFailed(_))));
    let mut m = judging(Product::Authentication);
    m.handle(at(1500), verdict(Verdict::Approved));
    m.handle(at(1501), Event::LockLost);
    let commands = m.handle(at(1502), Event::VerdictStored { attempt: ATTEMPT });
    assert_eq!(grants(&commands), 0);
}

/// door-rules 10: no edge, no "granted".
#[test]
fn an_edge_that_is_not_confirmed_is_a_failure() {
    let mut m = judging(Product::Authentication);
    m.handle(at(2000), verdict(Verdict::Approved));
    m.handle(at(2001), Event::VerdictStored { attempt: ATTEMPT });
    assert_eq!(m.deadline(), Some(at(3001)));
    let commands = m.handle(at(3001), Event::Tick);
    assert!(matches!(outcome(&commands), Some(Outcome::LockFailed(_))));
}

#[test]
fn a_certain_refusal_is_sent_again_within_the_window_and_then_ends_offline() {
    let mut m = machine();
    m.handle(at(0), claim(ATTEMPT, Product::Authentication));
    m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    m.handle(at(1001), Event::Stored { attempt: ATTEMPT, job: JOB });
    let refused = || Event::SubmitFailed {
        attempt: ATTEMPT,
        job: JOB,
        failure: SubmitFailure::RefusedForCertain { retry_after: None },
    };
    let mut now = 1100;
    for _ in 0..RESENDS {
        assert!(m.handle(at(now), refused()).is_empty());
        assert!(m.handle(at(now + 499), Event::Tick).is_empty());
        let commands = m.handle(at(now + 500), Event::Tick);
        assert!(matches!(commands.as_slice(), [Command::Submit { .. }]), "{commands:?}");
        now += 600;
    }
    let commands = m.handle(at(now), refused());
    assert_eq!(outcome(&commands), Some(Outcome::Offline));
    assert!(commands.iter().any(|c| matches!(c, Command::Settle { .. })));
    assert!(commands.iter().any(|c| matches!(c, Command::Disarm { .. })));
}

#[test]
fn a_lost_answer_is_never_sent_again() {
    let mut m = machine();
    m.handle(at(0), claim(ATTEMPT, Product::Authentication));
    m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    m.handle(at(1001), Event::Stored { attempt: ATTEMPT, job: JOB });
    let commands = m.handle(
        at(1100),
        Event::SubmitFailed { attempt: ATTEMPT, job: JOB, failure: SubmitFailure::PerhapsTaken },
    );
    assert_eq!(outcome(&commands), Some(Outcome::UnknownOutcome));
    assert!(!commands.iter().any(|c| matches!(c, Command::Submit { .. })));
}

/// door-rules 2: what comes after the attempt is recorded and nothing else.
#[test]
fn a_verdict_after_the_end_is_recorded_without_intent() {
    let mut m = judging(Product::Authentication);
    let commands = m.handle(at(1000 + WINDOW_MS), Event::Tick);
    assert_eq!(outcome(&commands), Some(Outcome::Expired));
    for _ in 0..1000 {
        let commands = m.handle(at(20_000), verdict(Verdict::Approved));
        assert!(commands.iter().any(|c| matches!(c, Command::RecordVerdict { intent: false, .. })));
        assert_eq!(grants(&commands), 0);
    }
}

#[test]
fn a_second_claim_waits_its_turn_and_a_stranger_is_told_so() {
    let mut m = machine();
    m.handle(at(0), claim(ATTEMPT, Product::Authentication));
    let commands = m.handle(at(1), claim(OTHER, Product::Authentication));
    assert_eq!(outcome(&commands), Some(Outcome::NotAdmitted(NotAdmitted::Busy)));
    assert_eq!(m.attempt(), Some(ATTEMPT));
}

/// Somebody gives up while the submission waits to be sent again: the job goes back into the queue.
#[test]
fn calling_off_a_waiting_resend_puts_the_job_back() {
    let mut m = machine();
    m.handle(at(0), claim(ATTEMPT, Product::Authentication));
    m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    m.handle(at(1001), Event::Stored { attempt: ATTEMPT, job: JOB });
    let failure = SubmitFailure::RefusedForCertain { retry_after: None };
    m.handle(at(1100), Event::SubmitFailed { attempt: ATTEMPT, job: JOB, failure });
    let commands = m.handle(at(1200), Event::Cancelled { attempt: ATTEMPT });
    assert!(commands.iter().any(|c| matches!(c, Command::Settle { .. })), "{commands:?}");
    assert_eq!(outcome(&commands), Some(Outcome::Cancelled));
}

/// Called off at any point after the pictures, an approval opens nothing.
#[test]
fn an_approval_of_an_attempt_that_was_called_off_opens_nothing() {
    let mut m = judging(Product::Authentication);
    m.handle(at(1500), Event::Cancelled { attempt: ATTEMPT });
    assert_eq!(grants(&m.handle(at(1600), verdict(Verdict::Approved))), 0);
    let mut m = judging(Product::Authentication);
    m.handle(at(1500), verdict(Verdict::Approved));
    m.handle(at(1501), Event::Cancelled { attempt: ATTEMPT });
    assert_eq!(grants(&m.handle(at(1600), Event::VerdictStored { attempt: ATTEMPT })), 0);
}

/// A machine whose first attempt is granted, and whose second was just approved at 2000 ms.
fn second_approved_during_a_pulse() -> Machine {
    let mut m = judging(Product::Authentication);
    m.handle(at(1100), verdict(Verdict::Approved));
    m.handle(at(1101), Event::VerdictStored { attempt: ATTEMPT });
    m.handle(at(1102), Event::Unlocked { attempt: ATTEMPT });
    m.handle(at(1200), claim(OTHER, Product::Authentication));
    m.handle(at(1900), Event::Captured { attempt: OTHER, last_picture: at(1900) });
    m.handle(at(1901), Event::Armed { attempt: OTHER });
    m.handle(at(1902), Event::Stored { attempt: OTHER, job: JOB });
    m.handle(at(1903), Event::Accepted { attempt: OTHER, remote_job: "job_x".into() });
    let report = report(Verdict::Approved, Product::Authentication);
    m.handle(at(2000), Event::Verdict { attempt: OTHER, job: JOB, report });
    assert_eq!(grants(&m.handle(at(2001), Event::VerdictStored { attempt: OTHER })), 0);
    m
}

#[test]
fn the_next_person_gets_a_pulse_of_their_own_after_the_one_under_way() {
    let mut m = second_approved_during_a_pulse();
    assert_eq!(grants(&m.handle(at(6102), Event::Locked)), 1);
    assert_eq!(outcome(&m.handle(at(6103), Event::Unlocked { attempt: OTHER })), Some(Outcome::Granted));
}

#[test]
fn who_waits_for_a_pulse_to_end_waits_no_longer_than_the_window() {
    let mut m = second_approved_during_a_pulse();
    assert_eq!(m.deadline(), Some(at(1900 + WINDOW_MS)));
    let commands = m.handle(at(1900 + WINDOW_MS), Event::Tick);
    assert_eq!(outcome(&commands), Some(Outcome::Expired));
    assert_eq!(grants(&m.handle(at(1901 + WINDOW_MS), Event::Locked)), 0);
    let mut m = second_approved_during_a_pulse();
    assert!(matches!(outcome(&m.handle(at(2100), Event::LockLost)), Some(Outcome::LockFailed(_))));
}

/// door-rules 10: an edge that nobody waits for any more is taken back.
#[test]
fn an_edge_that_nobody_was_told_of_is_locked_again() {
    let mut m = judging(Product::Authentication);
    m.handle(at(2000), verdict(Verdict::Approved));
    m.handle(at(2001), Event::VerdictStored { attempt: ATTEMPT });
    assert!(m.handle(at(3001), Event::Tick).iter().any(|c| matches!(c, Command::Lock)));
    let commands = m.handle(at(3002), Event::Unlocked { attempt: ATTEMPT });
    assert!(commands.iter().any(|c| matches!(c, Command::Lock)), "{commands:?}");
}

fn any_event() -> impl Strategy<Value = Event> {
    let attempt = prop_oneof![Just(ATTEMPT), Just(OTHER)];
    let word = prop_oneof![
        Just(Verdict::Approved),
        Just(Verdict::Rejected { spoof: false }),
        Just(Verdict::Provisional),
        Just(Verdict::Unknown)
    ];
    (0..14u8, attempt, word, any::<bool>()).prop_map(|(kind, attempt, word, flag)| match kind {
        0 => claim(attempt, if flag { Product::Authentication } else { Product::Registration }),
        1 => Event::Captured { attempt, last_picture: at(0) },
        2 => Event::Armed { attempt },
        3 => Event::Stored { attempt, job: JOB },
        4 => Event::Accepted { attempt, remote_job: "job_x".into() },
        5 | 6 => Event::Verdict { attempt, job: JOB, report: report(word, Product::Authentication) },
        7 => Event::VerdictStored { attempt },
        8 => Event::Unlocked { attempt },
        9 => Event::LockLost,
        12 => Event::Locked,
        13 => Event::Cancelled { attempt },
        10 => Event::SubmitFailed {
            attempt,
            job: JOB,
            failure: SubmitFailure::RefusedForCertain { retry_after: None },
        },
        _ => Event::Tick,
    })
}

proptest! {
    /// door-rules 1, 3, 9, 10 over random orders: a grant needs, for the same attempt, a claim, then pictures,
    /// then an approval that is durable and an arm that is confirmed, in either order; at most one grant an attempt; no granted without an edge.
    #[test]
    fn a_grant_has_its_whole_history(events in prop::collection::vec((any_event(), 0..4000u64), 0..60)) {
        let mut m = machine();
        let mut now = 0;
        let (mut begun, mut armed, mut intended, mut granted) = (None, None, None, None);
        let mut confirmed = None;
        for (event, step) in events {
            now += step;
            let heard = event.clone();
            match heard {
                Event::Armed { attempt } if armed == Some(attempt) => confirmed = Some(attempt),
                Event::LockLost | Event::LockRefused { .. } => (armed, confirmed) = (None, None),
                _ => {}
            }
            for command in m.handle(at(now), event) {
                match command {
                    Command::Begin { attempt, .. } => {
                        (begun, armed, intended, granted) = (Some(attempt), None, None, None);
                        confirmed = None;
                    }
                    Command::Arm { attempt, .. } => {
                        prop_assert_eq!(begun, Some(attempt));
                        armed = Some(attempt);
                    }
                    Command::RecordVerdict { attempt, intent: true, report, .. } => {
                        prop_assert_eq!(begun, Some(attempt));
                        prop_assert_eq!(report.verdict, Verdict::Approved);
                        intended = Some(attempt);
                    }
                    Command::Grant { attempt, .. } => {
                        prop_assert_eq!(intended, Some(attempt));
                        prop_assert_eq!(confirmed, Some(attempt));
                        prop_assert_eq!(granted, None);
                        prop_assert!(now < WINDOW_MS);
                        granted = Some(attempt);
                    }
                    Command::Finish { attempt, outcome: Outcome::Granted } => {
                        prop_assert_eq!(granted, Some(attempt));
                        let edge = matches!(heard, Event::Unlocked { attempt: a } if a == attempt);
                        prop_assert!(edge);
                    }
                    _ => {}
                }
            }
        }
    }
}
