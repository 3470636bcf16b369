//! Who may speak to the guard, and what becomes of those who may not or who speak nonsense: refused, sent away, and the
//! line locked. Method: raw packets to the real process, which gets its socket as systemd would give it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "support/guard.rs"]
mod support;

use latchd::guard::codec::{FRAME_LEN, encode_request};
use latchd::guard::recording::Level;
use latchd::guard::{LineState, Refusal, Report, Request};
use rustix::net::{SendFlags, send};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Child;
use support::{Place, RawPeer, attempt, listening, signal};

/// A guard as systemd runs it: the listening socket is its standard input. Killed with the test.
struct Served(Child);

impl Served {
    fn start(place: &Place) -> Self {
        Self(place.command().stdin(listening(&place.socket())).spawn().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The socket on which systemd hears of a service.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn new(place: &Place) -> Self {
        let path = place.dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// A guard of a unit with `WatchdogSec=30s`.
    fn start(&self, place: &Place) -> Served {
        let mut command = place.command();
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "30000000");
        Served(command.stdin(listening(&place.socket())).spawn().unwrap())
    }

    fn heard(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

/// In the middle of a pulse the peer sends `bytes`: it is told off and sent away, and the line is locked.
fn nonsense(bytes: &[u8]) {
    let place = Place::new("");
    let _guard = Served::start(&place);
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    peer.unlock(1, 10_000);
    send(&peer.connection, bytes, SendFlags::NOSIGNAL).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| peer.next()).collect();
    assert!(
        told.iter().any(|report| matches!(report, Report::Refused { reason: Refusal::Malformed, .. })),
        "{told:?}"
    );
    RawPeer::connect(&place.socket()).greet();
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
}

fn grant_with(at: usize, value: u8) -> [u8; FRAME_LEN] {
    let mut frame = encode_request(9, &Request::Grant { attempt: attempt(1), pulse_ms: 500 });
    frame[at] = value;
    frame
}

#[test]
fn another_version_is_sent_away() {
    nonsense(&grant_with(0, 2));
}

#[test]
fn an_unknown_kind_is_sent_away() {
    nonsense(&grant_with(1, 0x55));
}

#[test]
fn reserved_bits_are_sent_away() {
    nonsense(&grant_with(40, 1));
}

#[test]
fn a_truncated_packet_is_sent_away() {
    nonsense(&grant_with(63, 0)[..63]);
}

#[test]
fn an_oversized_packet_is_sent_away() {
    nonsense(&[1; 30_000]);
}

#[test]
fn an_empty_packet_is_a_hang_up() {
    let place = Place::new("");
    let _guard = Served::start(&place);
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    peer.unlock(1, 10_000);
    send(&peer.connection, &[], SendFlags::NOSIGNAL).unwrap();
    while peer.next().is_some() {}
    RawPeer::connect(&place.socket()).greet();
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
}

#[test]
fn nothing_is_done_before_a_hello() {
    let place = Place::new("");
    let _guard = Served::start(&place);
    let peer = RawPeer::connect(&place.socket());
    let refused = Some(Report::Refused { attempt: attempt(1), reason: Refusal::NoHello });
    assert_eq!(peer.ask(Request::Arm { attempt: attempt(1), window_ms: 1_000 }), refused);
    assert_eq!(peer.ask(Request::Grant { attempt: attempt(1), pulse_ms: 100 }), refused);
    assert_eq!(place.edges(), []);
}

#[test]
fn a_second_peer_is_sent_away_and_the_first_goes_on() {
    let place = Place::new("");
    let _guard = Served::start(&place);
    let first = RawPeer::connect(&place.socket());
    first.greet();
    let second = RawPeer::connect(&place.socket());
    assert_eq!(second.next(), None);
    assert!(matches!(first.ask(Request::Status), Some(Report::Status { .. })));
}

#[test]
fn another_user_is_sent_away() {
    // Everybody's user but this one's: the guard must look at the uid, not at the socket's mode.
    let me = rustix::process::geteuid().as_raw();
    let place = Place::new(&format!("peer_user = \"{}\"", me + 1));
    let _guard = Served::start(&place);
    let peer = RawPeer::connect(&place.socket());
    // The request may already find the connection closed.
    peer.connection.send(&encode_request(1, &Request::Hello)).ok();
    assert_eq!(peer.next(), None);
    assert_eq!(place.edges(), []);
}

#[test]
fn a_peer_that_floods_cannot_hold_the_door_open() {
    let place = Place::new("");
    let _guard = Served::start(&place);
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    let unlocked = peer.unlock(1, 200);
    loop {
        // Heartbeats are not answered, so this never fills our side.
        peer.connection.send(&encode_request(1, &Request::Heartbeat)).ok();
        if let latchd::guard::socket::Received::Frame(_) = peer.connection.receive() {
            break;
        }
    }
    let length = place.edges()[1].at.since(unlocked).as_millis();
    assert!(length < 1_000, "{length} ms");
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
}

#[test]
fn systemd_is_told_ready_once_locked_and_watches_each_pulse_closely() {
    let place = Place::new("");
    let systemd = Systemd::new(&place);
    let guard = systemd.start(&place);
    assert_eq!(systemd.heard(), "READY=1\nSTATUS=line held, locked");
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    peer.unlock(1, 10_000);
    assert_eq!(systemd.heard(), "WATCHDOG=1\nWATCHDOG_USEC=150000");
    assert_eq!(systemd.heard(), "WATCHDOG=1");
    signal(guard.0.id(), Signal::TERM);
    let put_back = std::iter::repeat_with(|| systemd.heard()).find(|text| text != "WATCHDOG=1");
    assert_eq!(put_back.as_deref(), Some("WATCHDOG=1\nWATCHDOG_USEC=30000000"));
    assert_eq!(place.levels(), [Level::Unlocked, Level::Locked]);
}

/// A guard that were ready only with its line would be ended by systemd after `TimeoutStartSec`, again and again.
#[test]
fn systemd_is_told_ready_also_while_somebody_else_holds_the_line() {
    let place = Place::new("");
    let systemd = Systemd::new(&place);
    let other = latchd::guard::relock::take(&place.config, &latchd::clock::SystemClock::new()).unwrap();
    let _guard = systemd.start(&place);
    assert_eq!(systemd.heard(), "READY=1\nSTATUS=line not held, trying again");
    let peer = RawPeer::connect(&place.socket());
    let hello = peer.ask(Request::Hello);
    assert!(matches!(hello, Some(Report::Hello(hello)) if hello.line == LineState::NotHeld), "{hello:?}");
    drop(other);
    assert_eq!(systemd.heard(), "STATUS=line held, locked");
    assert_eq!(peer.next(), Some(Report::LineHeld), "the same guard goes on");
}

#[test]
fn a_guard_that_nobody_would_notice_being_stopped_does_not_unlock() {
    let place = Place::new("");
    let systemd = Systemd::new(&place);
    let _guard = systemd.start(&place);
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    drop(systemd);
    peer.ask(Request::Arm { attempt: attempt(1), window_ms: 1_000 });
    let refused = Some(Report::Refused { attempt: attempt(1), reason: Refusal::Unsupervised });
    assert_eq!(peer.ask(Request::Grant { attempt: attempt(1), pulse_ms: 100 }), refused);
    assert_eq!(place.edges(), []);
}

/// door-rules 2: a link that comes and goes a thousand times, an arm each time, makes no edge, though each next
/// connection brings the grant for the last one's arm while its window is still open.
#[test]
fn a_thousand_link_flaps_make_no_edge() {
    let place = Place::new("");
    let _guard = Served::start(&place);
    let of_round = |round: u32| {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&round.to_le_bytes());
        latchd::access::AttemptId(id)
    };
    for round in 0..1000_u32 {
        let peer = RawPeer::connect(&place.socket());
        peer.greet();
        if let Some(last) = round.checked_sub(1).map(of_round) {
            let late = peer.ask(Request::Grant { attempt: last, pulse_ms: 500 });
            let refused = Report::Refused { attempt: last, reason: Refusal::Disarmed };
            assert_eq!(late, Some(refused), "round {round}");
        }
        let arm = Request::Arm { attempt: of_round(round), window_ms: 15_000 };
        assert!(matches!(peer.ask(arm), Some(Report::Armed { .. })), "round {round}");
    }
    let peer = RawPeer::connect(&place.socket());
    peer.greet();
    assert!(place.levels().is_empty(), "{:?}", place.levels());
}
