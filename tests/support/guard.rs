//! A real latchd-guard process with a recording line, and an agent's side of the link, for tests.
#![allow(clippy::print_stdout, dead_code)] // each test file uses a part of it

use latchd::access::AttemptId;
use latchd::clock::{BootTime, Clock, SystemClock};
use latchd::config::guard::GuardConfig;
use latchd::guard::codec::{self, Frame};
use latchd::guard::link::{self, Settings};
use latchd::guard::recording::{self, Edge, Level};
use latchd::guard::socket::{Connection, Received};
use latchd::guard::{Link, LinkReport, Report, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::Timespec;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than anything here may take; only a failure waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn boot() -> BootTime {
    SystemClock::new().boot()
}

pub fn attempt(n: u8) -> AttemptId {
    AttemptId([n; 16])
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A directory with guard.toml, socket and recording.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub config_path: PathBuf,
    pub config: GuardConfig,
}

impl Place {
    /// `more` are further keys of guard.toml, before `[line]`.
    pub fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config_path = dir.path().join("guard.toml");
        let recording = dir.path().join("edges");
        let text = format!(
            "lock = \"fail-secure\"\n{more}\n[line]\nkind = \"recording\"\nfile = {:?}\n",
            recording.to_str().unwrap()
        );
        std::fs::write(&config_path, text).unwrap();
        let config = GuardConfig::load(&config_path).unwrap();
        Self { dir, config_path, config }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("guard.sock")
    }

    pub fn recording(&self) -> PathBuf {
        self.dir.path().join("edges")
    }

    pub fn edges(&self) -> Vec<Edge> {
        recording::edges(&self.recording()).unwrap()
    }

    pub fn levels(&self) -> Vec<Level> {
        self.edges().iter().map(|edge| edge.level).collect()
    }

    pub fn settings(&self) -> Settings {
        Settings { config: self.config.clone(), socket: self.socket() }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd-guard"));
        command.arg("--config").arg(&self.config_path);
        command
    }

    /// Starts a warden with its guard.
    pub fn start(&self) -> Warden {
        let child = self.command().arg("--socket").arg(self.socket()).spawn().unwrap();
        Warden { child }
    }
}

/// The parent process of a guard; ends with the test.
pub struct Warden {
    pub child: Child,
}

impl Warden {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        signal(self.child.id(), Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.end();
        }
    }
}

/// The agent's side, as latchd runs it.
pub struct Agent {
    pub link: Link,
    reports: Receiver<LinkReport>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    pub fn start(place: &Place) -> Self {
        Self::start_with(place.settings())
    }

    pub fn start_with(settings: Settings) -> Self {
        let link = Link::new(Arc::new(SystemClock::new())).unwrap();
        let (sender, reports) = channel();
        let theirs = link.clone();
        let thread = std::thread::spawn(move || {
            link::run(&settings, &SystemClock::new(), &theirs, &mut |report| {
                sender.send(report).ok();
            });
        });
        Self { link, reports, thread: Some(thread) }
    }

    /// Starts and waits until a guard holds the line. Gives the guard's process id too.
    pub fn up(place: &Place) -> (Self, u32) {
        let agent = Self::start(place);
        let pid = agent.wait_up();
        (agent, pid)
    }

    /// Waits until a guard has said hello and holds the line.
    pub fn wait_up(&self) -> u32 {
        let (line, pid) = self.until("up", |report| match report {
            LinkReport::Up { line, pid, .. } => Some((*line, *pid)),
            _ => None,
        });
        if line == latchd::guard::LineState::NotHeld {
            self.until("line held", |report| {
                matches!(report, LinkReport::Report(Report::LineHeld)).then_some(())
            });
        }
        pid
    }

    /// The first of the next reports for which `choose` has an answer.
    pub fn until<T>(&self, what: &str, choose: impl Fn(&LinkReport) -> Option<T>) -> T {
        let mut seen = Vec::new();
        loop {
            match self.reports.recv_timeout(PATIENCE) {
                Ok(report) => match choose(&report) {
                    Some(answer) => return answer,
                    None => seen.push(report),
                },
                Err(error) => panic!("waited for {what}: {error}; saw {seen:?}"),
            }
        }
    }

    /// The next report of the guard itself.
    pub fn next(&self) -> Report {
        self.until("a report", |report| match report {
            LinkReport::Report(report) => Some(*report),
            _ => None,
        })
    }

    pub fn arm(&self, n: u8, window_ms: u32) -> Report {
        self.link.send(Request::Arm { attempt: attempt(n), window_ms }).unwrap();
        self.next()
    }

    pub fn grant(&self, n: u8, pulse_ms: u32) -> Report {
        self.link.send(Request::Grant { attempt: attempt(n), pulse_ms }).unwrap();
        self.next()
    }

    /// Arms and grants; the moment of the edge.
    pub fn unlock(&self, n: u8, pulse_ms: u32) -> BootTime {
        assert!(matches!(self.arm(n, 10_000), Report::Armed { .. }));
        match self.grant(n, pulse_ms) {
            Report::Unlocked { at, .. } => at,
            other => panic!("{other:?}"),
        }
    }

    pub fn down(&self) -> (latchd::guard::DownCause, latchd::guard::Relock, Duration) {
        self.until("down", |report| match report {
            LinkReport::Down { cause, relock, took } => Some((cause.clone(), relock.clone(), *took)),
            _ => None,
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.link.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A peer that says what it likes and has no heartbeat.
pub struct RawPeer {
    pub connection: Connection,
}

impl RawPeer {
    /// Connects, once the guard listens.
    pub fn connect(socket: &Path) -> Self {
        let deadline = boot().plus(PATIENCE);
        loop {
            match Connection::connect(socket) {
                Ok(connection) => return Self { connection },
                Err(error) => assert!(boot() < deadline, "{error}"),
            }
            wait_a_moment();
        }
    }

    pub fn send(&self, request: Request) {
        self.send_frame(&codec::encode_request(1, &request));
    }

    pub fn send_frame(&self, frame: &Frame) {
        self.connection.send(frame).unwrap();
    }

    /// The next report, or `None` when the guard closed the connection.
    pub fn next(&self) -> Option<Report> {
        let deadline = boot().plus(PATIENCE);
        loop {
            match self.connection.receive() {
                Received::Frame(frame) => return Some(codec::decode_report(&frame).unwrap().1),
                Received::Closed => return None,
                Received::BadLength(length) => panic!("packet of {length} bytes"),
                Received::Nothing => assert!(boot() < deadline, "the guard does not answer"),
            }
            let mut fds = [PollFd::from_borrowed_fd(self.connection.as_fd(), PollFlags::IN)];
            poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
        }
    }

    pub fn ask(&self, request: Request) -> Option<Report> {
        self.send(request);
        self.next()
    }

    /// Says hello and waits until the guard holds its line.
    pub fn greet(&self) {
        match self.ask(Request::Hello) {
            Some(Report::Hello(hello)) if hello.line == latchd::guard::LineState::Held => {}
            Some(Report::Hello(_)) => assert_eq!(self.next(), Some(Report::LineHeld)),
            other => panic!("{other:?}"),
        }
    }

    /// Arms and grants; the moment of the edge.
    pub fn unlock(&self, n: u8, pulse_ms: u32) -> BootTime {
        let arm = self.ask(Request::Arm { attempt: attempt(n), window_ms: 10_000 });
        assert!(matches!(arm, Some(Report::Armed { .. })), "{arm:?}");
        match self.ask(Request::Grant { attempt: attempt(n), pulse_ms }) {
            Some(Report::Unlocked { at, .. }) => at,
            other => panic!("{other:?}"),
        }
    }
}

/// For what announces itself in no other way than by being there.
pub fn wait_a_moment() {
    poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 2_000_000 })).unwrap();
}

/// Waits until `done` says so.
pub fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = boot().plus(PATIENCE);
    while !done() {
        assert!(boot() < deadline, "never: {what}");
        wait_a_moment();
    }
}

/// A listening socket as systemd would give it to the guard as standard input.
pub fn listening(path: &Path) -> Stdio {
    let me = rustix::process::geteuid().as_raw();
    Stdio::from(latchd::guard::socket::listen(path, me).unwrap())
}

/// Five rounds, each with a moment of the pulse at which to strike: an edge of the guard's or the agent's own periods
/// (20 ms each) must not be what makes it quick. The median is held to `bound`; the slowest round, which may only have
/// met a busy machine, to ten times that. The moments come from the printed seed; LATCHD_TEST_SEED repeats a run.
pub fn five_rounds(bound: Duration, round: impl Fn(Duration) -> Duration) {
    let given = std::env::var("LATCHD_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| boot().as_micros());
    let mut state = seed | 1;
    let mut took: Vec<_> = (0..5)
        .map(|_| {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            round(Duration::from_micros(state % 60_000))
        })
        .collect();
    println!("LATCHD_TEST_SEED={seed}: {took:?}");
    took.sort();
    assert!(took[2] < bound, "median: {took:?}, seed {seed}");
    assert!(took[4] < bound * 10, "slowest: {took:?}, seed {seed}");
}

/// Lets a pulse go on for `span`.
pub fn go_on(span: Duration) {
    poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() })).unwrap();
}
