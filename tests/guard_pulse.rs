//! What a door's owner gets from the guard in good weather: exactly one pulse of the asked length for an armed attempt,
//! none for anything else, and silence at each start (door-rules 1, 3, 6). Method: the real latchd-guard process with a
//! recording line, driven through the agent's own link; judged by the edges in the recording.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "support/guard.rs"]
mod support;

use latchd::guard::recording::Level;
use latchd::guard::{DisarmCause, Effective, LineState, LinkReport, LockCause, Refusal, Report, Request};
use rustix::process::Signal;
use support::{Agent, Place, attempt, signal};

#[test]
fn an_armed_attempt_gets_exactly_one_pulse_of_its_length() {
    let place = Place::new("");
    let _warden = place.start();
    let (agent, pid) = Agent::up(&place);
    let unlocked = agent.unlock(1, 300);
    let locked = match agent.next() {
        Report::Locked { attempt: whose, at, cause: LockCause::PulseEnd } if whose == attempt(1) => at,
        other => panic!("{other:?}"),
    };
    for _ in 0..99 {
        let again = Report::Refused { attempt: attempt(1), reason: Refusal::AlreadyUsed };
        assert_eq!(agent.grant(1, 300), again);
    }
    let edges = place.edges();
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
    assert!(edges.iter().all(|edge| edge.pid == pid), "the guard itself makes the edges");
    assert_eq!((unlocked, locked), (edges[0].at, edges[1].at), "what is reported is what happened");
    let length = edges[1].at.since(edges[0].at).as_millis();
    assert!((300..400).contains(&length), "{length} ms");
}

/// Two people one after the other: the second one's arm waits for the first one's pulse, which nothing extends.
#[test]
fn a_second_attempt_is_granted_after_the_firsts_pulse() {
    let place = Place::new("");
    let _warden = place.start();
    let (agent, _) = Agent::up(&place);
    let unlocked = agent.unlock(1, 300);
    assert!(matches!(agent.arm(2, 10_000), Report::Armed { .. }));
    assert_eq!(agent.grant(2, 5_000), Report::Refused { attempt: attempt(2), reason: Refusal::Busy });
    match agent.next() {
        Report::Locked { attempt: whose, at, cause: LockCause::PulseEnd } => {
            assert_eq!(whose, attempt(1));
            assert!(at.since(unlocked).as_millis() < 400, "{:?}", at.since(unlocked));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(agent.grant(2, 200), Report::Unlocked { attempt: whose, .. } if whose == attempt(2)));
    assert!(matches!(agent.next(), Report::Locked { cause: LockCause::PulseEnd, .. }));
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked, Level::Unlocked, Level::Locked]);
}

#[test]
fn what_may_not_open_does_not() {
    let place = Place::new("window_max_ms = 2000\npulse_max_ms = 1000");
    let _warden = place.start();
    let (agent, _) = Agent::up(&place);
    let refused = |n, reason| Report::Refused { attempt: attempt(n), reason };
    assert_eq!(agent.grant(1, 500), refused(1, Refusal::NotArmed));
    assert_eq!(agent.arm(1, 2_001), refused(1, Refusal::WindowTooLong));
    assert!(matches!(agent.arm(1, 2_000), Report::Armed { .. }));
    assert_eq!(agent.grant(1, 3_600_000), refused(1, Refusal::PulseTooLong));
    assert!(matches!(agent.arm(2, 2_000), Report::Armed { .. }));
    agent.link.send(Request::Arm { attempt: attempt(3), window_ms: 2_000 }).unwrap();
    assert_eq!(agent.next(), Report::Disarmed { attempt: attempt(2), cause: DisarmCause::Superseded });
    assert!(matches!(agent.next(), Report::Armed { .. }));
    assert_eq!(agent.grant(2, 500), refused(2, Refusal::Superseded));
    agent.link.send(Request::Disarm { attempt: attempt(3) }).unwrap();
    assert_eq!(agent.next(), Report::Disarmed { attempt: attempt(3), cause: DisarmCause::Command });
    assert_eq!(agent.grant(3, 500), refused(3, Refusal::Disarmed));
    assert_eq!(place.edges(), []);
}

#[test]
fn a_grant_after_its_window_is_expired() {
    let place = Place::new("");
    let _warden = place.start();
    let (agent, _) = Agent::up(&place);
    let Report::Armed { deadline, .. } = agent.arm(1, 250) else { panic!("not armed") };
    assert_eq!(agent.next(), Report::Disarmed { attempt: attempt(1), cause: DisarmCause::Expired });
    assert!(support::boot() >= deadline);
    assert_eq!(agent.grant(1, 500), Report::Refused { attempt: attempt(1), reason: Refusal::Expired });
    assert_eq!(place.edges(), []);
}

#[test]
fn lock_ends_a_pulse_under_way() {
    let place = Place::new("");
    let _warden = place.start();
    let (agent, _) = Agent::up(&place);
    agent.unlock(1, 10_000);
    agent.link.send(Request::Lock).unwrap();
    assert!(matches!(agent.next(), Report::Locked { cause: LockCause::Command, .. }));
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
}

#[test]
fn starts_restarts_and_deaths_while_idle_make_no_edge() {
    let place = Place::new("");
    let mut warden = place.start();
    let (agent, mut pid) = Agent::up(&place);
    for _ in 0..3 {
        signal(pid, Signal::KILL);
        agent.down();
        let next = agent.wait_up();
        assert_ne!(next, pid, "a new process");
        pid = next;
    }
    assert_eq!(warden.end(), Some(0));
    assert!(!place.socket().exists());
    let _warden = place.start();
    agent.wait_up();
    drop(agent);
    let _agent = Agent::up(&place);
    assert_eq!(place.edges(), []);
}

#[test]
fn a_restarted_guard_knows_no_arm() {
    let place = Place::new("");
    let _warden = place.start();
    let (agent, pid) = Agent::up(&place);
    assert!(matches!(agent.arm(1, 10_000), Report::Armed { .. }));
    signal(pid, Signal::KILL);
    agent.wait_up();
    assert_eq!(agent.grant(1, 500), Report::Refused { attempt: attempt(1), reason: Refusal::NotArmed });
    assert_eq!(place.edges(), []);
}

/// door-rules 14: what the guard goes by is what the file says, and a difference arms nobody.
#[test]
fn the_guard_goes_by_its_file_and_another_file_is_a_mismatch() {
    let place = Place::new("pulse_max_ms = 1234\nwindow_max_ms = 4321\nheartbeat_timeout_ms = 66");
    let _warden = place.start();
    let agent = Agent::start(&place);
    let effective = agent.until("up", |report| match report {
        LinkReport::Up { effective, .. } => Some(*effective),
        _ => None,
    });
    let said = (effective.pulse_max_ms, effective.window_max_ms, effective.heartbeat_timeout_ms);
    assert_eq!(said, (1234, 4321, 66));
    assert_eq!(effective, Effective::of(&place.config));
    drop(agent);

    let mut settings = place.settings();
    settings.config.pulse_max_ms = 10_000;
    let agent = Agent::start_with(settings);
    let field = agent.until("mismatch", |report| match report {
        LinkReport::Mismatch { field, guard } => Some((*field, guard.pulse_max_ms)),
        _ => None,
    });
    assert_eq!(field, ("pulse_max_ms", 1234));
    let arm = agent.link.send(Request::Arm { attempt: attempt(1), window_ms: 1_000 });
    assert!(arm.unwrap_err().to_string().contains("pulse_max_ms"));
    assert!(!agent.link.is_up());
}

#[test]
fn a_line_that_somebody_else_holds_is_waited_for_and_arms_nobody() {
    let place = Place::new("");
    let foreign = latchd::guard::relock::take(&place.config, &latchd::clock::SystemClock::new()).unwrap();
    let _warden = place.start();
    let agent = Agent::start(&place);
    let line = agent.until("up", |report| match report {
        LinkReport::Up { line, .. } => Some(*line),
        _ => None,
    });
    assert_eq!(line, LineState::NotHeld);
    assert_eq!(agent.arm(1, 500), Report::Refused { attempt: attempt(1), reason: Refusal::LineNotHeld });
    drop(foreign);
    assert_eq!(agent.next(), Report::LineHeld);
    assert!(matches!(agent.arm(2, 500), Report::Armed { .. }));
    assert_eq!(place.edges(), []);
}
