//! Whoever dies, hangs or is stopped in the middle of a pulse, the door is locked: agent, guard, warden, all of them
//! (door-rules 5). Method: real processes, real signals; judged by the stamps in the recording.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "support/guard.rs"]
mod support;

use latchd::clock::BootTime;
use latchd::guard::recording::{Edge, Level};
use latchd::guard::{DownCause, LockCause, Relock, Report};
use rustix::process::Signal;
use std::time::Duration;
use support::{Agent, Place, RawPeer, Warden, boot, eventually, five_rounds, go_on, signal};

const KILLED: Duration = Duration::from_millis(100);
const STOPPED: Duration = Duration::from_millis(500);

/// The pulse was ended by the edge after `since`; how long that took.
fn locked_after(edges: &[Edge], since: BootTime) -> Duration {
    let levels: Vec<_> = edges.iter().map(|edge| edge.level).collect();
    assert_eq!(levels, [Level::Unlocked, Level::Locked], "one pulse and no unlocked level at the handover");
    edges[1].at.since(since)
}

/// `strike` opens the door for 10 s, lets the pulse go on for the time it is given, strikes, sees to it that the line is
/// locked, and gives the moment of the strike. Five times, and each time the line was locked within `bound` of it.
fn relocks_within(bound: Duration, more: &str, strike: impl Fn(&Place, &mut Warden, Duration) -> BootTime) {
    five_rounds(bound, |into_pulse| {
        let place = Place::new(more);
        let mut warden = place.start();
        let struck = strike(&place, &mut warden, into_pulse);
        locked_after(&place.edges(), struck)
    });
}

/// An agent, the guard's process id, and the door open since `into_pulse`.
fn opened(place: &Place, into_pulse: Duration) -> (Agent, u32) {
    let (agent, pid) = Agent::up(place);
    agent.unlock(1, 10_000);
    go_on(into_pulse);
    (agent, pid)
}

/// The same by a peer without a heartbeat.
fn opened_by_peer(place: &Place, into_pulse: Duration) -> RawPeer {
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    peer.unlock(1, 10_000);
    go_on(into_pulse);
    peer
}

#[test]
fn an_agent_that_dies_is_noticed_by_its_hang_up() {
    relocks_within(KILLED, "", |place, _, into_pulse| {
        let peer = opened_by_peer(place, into_pulse);
        let died = boot();
        drop(peer);
        // The next peer is heard only after the last one's hang-up was.
        RawPeer::connect(&place.socket()).greet();
        died
    });
}

#[test]
fn an_agent_that_stands_still_is_noticed_by_its_heartbeat() {
    relocks_within(KILLED, "heartbeat_timeout_ms = 80", |place, _, into_pulse| {
        let peer = opened_by_peer(place, into_pulse);
        let last_sign = boot();
        peer.send(latchd::guard::Request::Heartbeat);
        let Some(Report::Locked { cause: LockCause::HeartbeatLost, at, .. }) = peer.next() else {
            panic!("another end")
        };
        assert!(at.since(last_sign) >= Duration::from_millis(80), "not before its time");
        last_sign
    });
}

#[test]
fn a_guard_that_dies_is_relocked_by_the_agent_and_takes_over_silently() {
    relocks_within(KILLED, "", |place, _, into_pulse| {
        let (agent, pid) = opened(place, into_pulse);
        let died = boot();
        signal(pid, Signal::KILL);
        let (cause, relock, _) = agent.down();
        assert_eq!(cause, DownCause::HangUp);
        assert!(relock.is_locked(), "{relock:?}");
        assert_ne!(agent.wait_up(), pid);
        let edges = place.edges();
        assert_eq!(edges[0].pid, pid);
        assert_ne!(edges[1].pid, pid);
        assert!(matches!(agent.arm(2, 1_000), Report::Armed { .. }), "the new guard works");
        died
    });
}

#[test]
fn a_guard_that_is_stopped_is_killed_by_its_warden_and_relocked() {
    relocks_within(STOPPED, "", |place, _, into_pulse| {
        let (agent, pid) = opened(place, into_pulse);
        let stopped = boot();
        signal(pid, Signal::STOP);
        let (_, relock, _) = agent.down();
        assert!(relock.is_locked(), "{relock:?}");
        assert_ne!(agent.wait_up(), pid);
        stopped
    });
}

#[test]
fn a_guard_that_is_stopped_without_any_agent_is_relocked_by_the_next_guard() {
    relocks_within(STOPPED, "", |place, _, into_pulse| {
        let peer = RawPeer::connect(&place.socket());
        peer.greet();
        let hello = peer.ask(latchd::guard::Request::Hello);
        let Some(Report::Hello(hello)) = hello else { panic!("no hello") };
        peer.unlock(1, 10_000);
        go_on(into_pulse);
        let stopped = boot();
        signal(hello.pid, Signal::STOP);
        eventually("locked", || place.levels().last() == Some(&Level::Locked));
        stopped
    });
}

#[test]
fn warden_and_guard_dead_together_leave_the_agent_holding_the_line() {
    relocks_within(STOPPED, "", |place, warden, into_pulse| {
        let (agent, pid) = opened(place, into_pulse);
        let died = boot();
        signal(warden.pid(), Signal::KILL);
        signal(pid, Signal::KILL);
        warden.child.wait().unwrap();
        let (_, relock, _) = agent.down();
        assert_eq!(relock, Relock::Held);
        let held = latchd::guard::relock::take(&place.config, &latchd::clock::SystemClock::new());
        assert!(held.is_err_and(|error| error.is_busy()), "nobody can take it meanwhile");
        let _next = place.start();
        agent.wait_up();
        died
    });
}

#[test]
fn a_guard_whose_warden_dies_locks_by_itself_and_ends() {
    relocks_within(STOPPED, "", |place, warden, into_pulse| {
        let (agent, pid) = opened(place, into_pulse);
        let died = boot();
        signal(warden.pid(), Signal::KILL);
        warden.child.wait().unwrap();
        assert!(matches!(agent.next(), Report::Locked { cause: LockCause::Shutdown, .. }));
        agent.down();
        assert_eq!(place.edges()[1].pid, pid, "it locked by itself");
        died
    });
}

#[test]
fn a_guard_that_is_told_to_end_locks_first() {
    let place = Place::new("");
    let mut warden = place.start();
    let (agent, _) = Agent::up(&place);
    agent.unlock(1, 10_000);
    assert_eq!(warden.end(), Some(0));
    assert!(matches!(agent.next(), Report::Locked { cause: LockCause::Shutdown, .. }));
    assert_eq!(agent.down().1, Relock::Held);
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
    assert!(!place.socket().exists());
}

#[test]
fn an_agent_that_never_meets_a_guard_locks_what_a_dead_one_left_open() {
    let place = Place::new("");
    std::fs::write(place.recording(), "1.000000 unlocked pid=1\n").unwrap();
    let agent = Agent::start(&place);
    let (cause, relock, _) = agent.down();
    assert_eq!((cause, relock), (DownCause::Absent, Relock::Held));
    let _warden = place.start();
    agent.wait_up();
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
}
