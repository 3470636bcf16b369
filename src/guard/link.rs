//! The agent's side of the connection.
//!
//! [`Link`] is a handle that any thread may keep: [`Link::send`] goes straight to the socket. [`run`] is the thread
//! behind it: it connects, checks the guard's effective values, keeps the heartbeat (every 20 ms while armed or pulsing,
//! every 2 s otherwise), passes reports on, and when the guard dies holds the line locked until a new guard says hello.

mod runner;

use super::codec::{self, FrameError};
use super::effective::Effective;
use super::error::GuardError;
use super::protocol::{LineState, Report, Request};
use super::socket::Connection;
use crate::clock::{BootTime, Clock};
use crate::config::guard::GuardConfig;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Heartbeat while an arm waits or a pulse is under way (door-rules 5).
pub const BEAT_BUSY: Duration = Duration::from_millis(20);
/// Heartbeat otherwise.
pub const BEAT_IDLE: Duration = Duration::from_secs(2);
/// A guard that does not answer an arm or a grant within this time is taken for stopped.
pub const ANSWER_PATIENCE: Duration = Duration::from_millis(500);

/// What the link must know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The checked `guard.toml`.
    pub config: GuardConfig,
    /// Where the guard listens.
    pub socket: PathBuf,
}

/// Why the connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownCause {
    /// The guard's side closed: its process is dead, or it sent us away.
    HangUp,
    /// No guard answered for a second after the start.
    Absent,
    /// An arm, a grant or a hello was not answered in time.
    Silent,
    /// The guard spoke what is not our protocol.
    Malformed(FrameError),
}

impl DownCause {
    /// The stable name in events and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::HangUp => "hang_up",
            Self::Absent => "absent",
            Self::Silent => "silent",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// What the agent did about the line when the guard was gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relock {
    /// The agent holds it, locked.
    Held,
    /// A new guard was there first and holds it, locked.
    HeldByGuard,
    /// Neither: the level is not known. The text says what the line said last.
    Failed(String),
    /// Not tried: the guard went by another line than our `guard.toml`, or was never connected.
    NotTried,
}

impl Relock {
    /// The line is known to be locked.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Held | Self::HeldByGuard)
    }
}

/// What [`run`] tells the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkReport {
    /// A guard answered and goes by the values of our `guard.toml`: log and audit them (door-rules 14).
    Up {
        /// Its values.
        effective: Effective,
        /// Whether it holds the line already; otherwise `Report::LineHeld` follows.
        line: LineState,
        /// Its process.
        pid: u32,
    },
    /// A guard answered and goes by other values. It stays connected and is never armed.
    Mismatch {
        /// The first differing key of `guard.toml`.
        field: &'static str,
        /// What the guard goes by.
        guard: Effective,
    },
    /// The guard reports.
    Report(Report),
    /// The guard is gone.
    Down {
        /// Why.
        cause: DownCause,
        /// Whether the line is locked.
        relock: Relock,
        /// From noticing to knowing that.
        took: Duration,
    },
}

/// The handle by which the agent speaks to the guard. Clones share one connection.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

/// Who takes requests for the guard: [`Link`] does. A simulation takes them in its own way.
pub trait Requests: Send {
    /// As [`Link::send`].
    ///
    /// # Errors
    /// Nothing was sent.
    fn send(&self, request: Request) -> Result<BootTime, GuardError>;
}

impl Requests for Link {
    fn send(&self, request: Request) -> Result<BootTime, GuardError> {
        Self::send(self, request)
    }
}

struct Shared {
    clock: Arc<dyn Clock>,
    gate: Mutex<Gate>,
    sequence: AtomicU32,
    /// Since when an arm or grant waits for its answer, microseconds; 0 when none does.
    unanswered: AtomicU64,
    stopped: AtomicBool,
    waker: OwnedFd,
}

enum Gate {
    Down,
    Mismatch(Arc<Connection>, &'static str),
    Up(Arc<Connection>),
}

impl Link {
    /// A link that is not connected yet.
    ///
    /// # Errors
    /// The kernel has no file descriptor left.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, GuardError> {
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| GuardError::System { call: "eventfd", source: errno.into() })?;
        let shared = Shared {
            clock,
            gate: Mutex::new(Gate::Down),
            sequence: AtomicU32::new(1),
            unanswered: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            waker,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Sends `request` from this thread and gives the moment just before. The answer comes to [`run`]'s `on_report`.
    ///
    /// # Errors
    /// Not connected; or a guard of other values would be armed or granted; or the socket is full or closed. Then
    /// nothing was sent.
    pub fn send(&self, request: Request) -> Result<BootTime, GuardError> {
        let shared = &*self.shared;
        let moves = matches!(request, Request::Arm { .. } | Request::Grant { .. });
        let gate = shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &*gate {
            Gate::Down => return Err(GuardError::NotConnected),
            Gate::Mismatch(_, field) if moves => return Err(GuardError::Mismatch { field }),
            Gate::Mismatch(connection, _) | Gate::Up(connection) => connection,
        };
        let frame = codec::encode_request(self.next_sequence(), &request);
        let at = shared.clock.boot();
        if moves {
            // Before the send, or the answer could be here first.
            shared.unanswered.store(at.as_micros().max(1), Ordering::Release);
        }
        if let Err(error) = connection.send(&frame) {
            shared.unanswered.store(0, Ordering::Release);
            return Err(GuardError::Connection(error));
        }
        drop(gate);
        if matches!(request, Request::Arm { .. }) {
            // The heartbeat quickens now; a grant finds it quick already.
            self.wake();
        }
        Ok(at)
    }

    /// A guard is connected that may be armed.
    pub fn is_up(&self) -> bool {
        matches!(*self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner), Gate::Up(_))
    }

    /// Ends [`run`]. The guard locks when the connection closes.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.wake();
    }

    fn next_sequence(&self) -> u32 {
        self.shared.sequence.fetch_add(1, Ordering::Relaxed)
    }

    fn wake(&self) {
        rustix::io::write(&self.shared.waker, &1_u64.to_ne_bytes()).ok();
    }

    fn set_gate(&self, gate: Gate) {
        *self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner) = gate;
    }
}

/// Keeps the connection until [`Link::stop`]; runs in a thread of the agent's. `on_report` is called from it and should
/// return soon: the heartbeat waits for it.
pub fn run(settings: &Settings, clock: &dyn Clock, link: &Link, on_report: &mut dyn FnMut(LinkReport)) {
    runner::Runner::new(settings, clock, link, on_report).run();
}
