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
use support::{Agent, Place, RawPeer, best_of_three, boot, eventually, signal};

const KILLED: Duration = Duration::from_millis(100);
const STOPPED: Duration = Duration::from_millis(500);

/// The pulse was ended by the edge after `since`; how long that took.
fn locked_after(edges: &[Edge], since: BootTime) -> Duration {
    let levels: Vec<_> = edges.iter().map(|edge| edge.level).collect();
    assert_eq!(levels, [Level::Unlocked, Level::Locked], "one pulse and no unlocked level at the handover");
    edges[1].at.since(since)
}

#[test]
fn an_agent_that_dies_is_noticed_by_its_hang_up() {
    let took = best_of_three(|| {
        let place = Place::new("");
        let _warden = place.start();
        let peer = RawPeer::connect(&place.socket());
        peer.greet();
        peer.unlock(1, 10_000);
        let died = boot();
        drop(peer);
        // The next peer is heard only after the last one's hang-up was.
        RawPeer::connect(&place.socket()).greet();
        locked_after(&place.edges(), died)
    });
    assert!(took < KILLED, "{took:?}");
}

#[test]
fn an_agent_that_stands_still_is_noticed_by_its_heartbeat() {
    let took = best_of_three(|| {
        let place = Place::new("heartbeat_timeout_ms = 80");
        let _warden = place.start();
        let peer = RawPeer::connect(&place.socket());
        peer.greet();
        let last_sign = boot();
        peer.unlock(1, 10_000);
        assert!(matches!(peer.next(), Some(Report::Locked { cause: LockCause::HeartbeatLost, .. })));
        let took = locked_after(&place.edges(), last_sign);
        assert!(took >= Duration::from_millis(80), "{took:?}");
        took
    });
    assert!(took < KILLED, "{took:?}");
}

#[test]
fn a_guard_that_dies_is_relocked_by_the_agent_and_takes_over_silently() {
    let took = best_of_three(|| {
        let place = Place::new("");
        let _warden = place.start();
        let (agent, pid) = Agent::up(&place);
        agent.unlock(1, 10_000);
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
        locked_after(&edges, died)
    });
    assert!(took < KILLED, "{took:?}");
}

#[test]
fn a_guard_that_is_stopped_is_killed_by_its_warden_and_relocked() {
    let took = best_of_three(|| {
        let place = Place::new("");
        let _warden = place.start();
        let (agent, pid) = Agent::up(&place);
        agent.unlock(1, 10_000);
        let stopped = boot();
        signal(pid, Signal::STOP);
        let (_, relock, _) = agent.down();
        assert!(relock.is_locked(), "{relock:?}");
        assert_ne!(agent.wait_up(), pid);
        locked_after(&place.edges(), stopped)
    });
    assert!(took < STOPPED, "{took:?}");
}

#[test]
fn a_guard_that_is_stopped_without_any_agent_is_relocked_by_the_next_guard() {
    let place = Place::new("");
    let _warden = place.start();
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    let Some(Report::Hello(hello)) = peer.ask(latchd::guard::Request::Hello) else { panic!("no hello") };
    peer.unlock(1, 10_000);
    signal(hello.pid, Signal::STOP);
    let stopped = boot();
    eventually("locked", || place.levels().last() == Some(&Level::Locked));
    let took = locked_after(&place.edges(), stopped);
    assert!(took < STOPPED * 2, "{took:?}");
}

#[test]
fn warden_and_guard_dead_together_leave_the_agent_holding_the_line() {
    let place = Place::new("");
    let mut warden = place.start();
    let (agent, pid) = Agent::up(&place);
    agent.unlock(1, 10_000);
    let died = boot();
    signal(warden.pid(), Signal::KILL);
    signal(pid, Signal::KILL);
    warden.child.wait().unwrap();
    let (_, relock, _) = agent.down();
    assert_eq!(relock, Relock::Held);
    let held = latchd::guard::relock::take(&place.config, &latchd::clock::SystemClock::new());
    assert!(held.is_err_and(|error| error.is_busy()), "nobody can take it meanwhile");
    let _warden = place.start();
    agent.wait_up();
    let took = locked_after(&place.edges(), died);
    assert!(took < STOPPED, "{took:?}");
}

#[test]
fn a_guard_whose_warden_dies_locks_by_itself_and_ends() {
    let place = Place::new("");
    let mut warden = place.start();
    let (agent, pid) = Agent::up(&place);
    agent.unlock(1, 10_000);
    let died = boot();
    signal(warden.pid(), Signal::KILL);
    warden.child.wait().unwrap();
    assert!(matches!(agent.next(), Report::Locked { cause: LockCause::Shutdown, .. }));
    agent.down();
    assert_eq!(place.edges()[1].pid, pid, "it locked by itself");
    let took = locked_after(&place.edges(), died);
    assert!(took < STOPPED, "{took:?}");
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
