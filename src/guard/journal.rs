//! The guard's log: lines on standard error, written by a thread that may hang, for a journal that does not read must
//! not hold the strike open. The guard's loop only tries to put a fixed-size record into a bounded queue; a record that
//! finds it full is counted, and the count is logged when there is room again.

use super::codec::FrameError;
use super::protocol::Report;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// What is worth a line.
#[derive(Debug)]
pub enum Event {
    /// The process started.
    Started(String),
    /// The line could not be taken.
    LineNotHeld(String),
    /// An edge failed.
    EdgeFailed(String),
    /// A peer connected.
    PeerUp {
        /// Its process.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// A peer was sent away.
    PeerRefused {
        /// Its process.
        pid: i32,
        /// Its user.
        uid: u32,
        /// Why.
        why: &'static str,
    },
    /// The peer is gone.
    PeerDown,
    /// The peer sent what is not a frame.
    Malformed(FrameError),
    /// What was decided.
    Decided(Report),
    /// The warden started the guard's process.
    ChildStarted(u32),
    /// The guard's process ended.
    ChildEnded(String),
    /// The guard's process was silent during a pulse and was killed.
    ChildSilent,
    /// The process ends.
    Stopping,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(effective) => write!(f, "started {effective}"),
            Self::LineNotHeld(why) => write!(f, "line not held, trying again: {why}"),
            Self::EdgeFailed(why) => write!(f, "edge failed: {why}"),
            Self::PeerUp { pid, uid } => write!(f, "peer connected peer_pid={pid} peer_uid={uid}"),
            Self::PeerRefused { pid, uid, why } => {
                write!(f, "peer refused peer_pid={pid} peer_uid={uid} reason={why}")
            }
            Self::PeerDown => f.write_str("peer gone"),
            Self::Malformed(error) => write!(f, "malformed frame, connection closed: {error}"),
            Self::Decided(report) => decided(f, report),
            Self::ChildStarted(pid) => write!(f, "lock process started pid={pid}"),
            Self::ChildEnded(how) => write!(f, "lock process ended: {how}"),
            Self::ChildSilent => f.write_str("lock process silent during a pulse, killed"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

fn decided(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    match report {
        Report::Hello(_) => f.write_str("hello"),
        Report::LineHeld => f.write_str("line held, locked"),
        Report::LineLost { attempt } => write!(f, "line lost attempt={attempt}"),
        Report::Armed { attempt, deadline } => write!(f, "armed attempt={attempt} deadline={deadline:?}"),
        Report::Disarmed { attempt, cause } => write!(f, "disarmed attempt={attempt} cause={}", cause.name()),
        Report::Unlocked { attempt, at } => write!(f, "unlocked attempt={attempt} at={at:?}"),
        Report::Locked { attempt, at, cause } => {
            write!(f, "locked attempt={attempt} at={at:?} cause={}", cause.name())
        }
        Report::Refused { attempt, reason } => {
            write!(f, "refused attempt={attempt} reason={}", reason.name())
        }
        Report::Status { activity, .. } => write!(f, "status activity={}", activity.name()),
    }
}

impl Event {
    /// Syslog priority: 3 error, 4 warning, 6 information.
    fn priority(&self) -> u8 {
        match self {
            Self::EdgeFailed(_) | Self::ChildSilent | Self::Decided(Report::LineLost { .. }) => 3,
            Self::LineNotHeld(_)
            | Self::PeerRefused { .. }
            | Self::Malformed(_)
            | Self::ChildEnded(_)
            | Self::Decided(Report::Refused { .. }) => 4,
            _ => 6,
        }
    }
}

/// The syslog priority of a warning.
const WARNING: u8 = 4;
/// Records that may wait. More than a pulse with its refusals makes; a flood is counted, not kept.
const ROOM: usize = 64;
/// How long the end of the process waits for the last lines.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Where events go. Never blocks.
#[derive(Debug)]
pub struct Journal {
    queue: Option<SyncSender<(Event, u32)>>,
    lost: AtomicU32,
    done: Receiver<()>,
}

impl Journal {
    /// Starts the thread that writes; `name` begins each line. Without a thread (no memory) events are lost.
    pub fn start(name: &'static str) -> Self {
        Self::start_up_to(name, u8::MAX)
    }

    /// As [`Journal::start`] with warnings and errors alone.
    pub fn start_quiet(name: &'static str) -> Self {
        Self::start_up_to(name, WARNING)
    }

    fn start_up_to(name: &'static str, priority: u8) -> Self {
        let (queue, events) = sync_channel(ROOM);
        let (finished, done) = sync_channel(1);
        let thread = std::thread::Builder::new().name(String::from("journal")).stack_size(64 * 1024);
        let started = thread.spawn(move || {
            write_all(name, &events, priority);
            finished.try_send(()).ok();
        });
        Self { queue: started.is_ok().then_some(queue), lost: AtomicU32::new(0), done }
    }

    /// Puts `event` into the queue if there is room.
    pub fn log(&self, event: Event) {
        let Some(queue) = &self.queue else { return };
        let lost = self.lost.load(Ordering::Relaxed);
        match queue.try_send((event, lost)) {
            Ok(()) => self.lost.store(0, Ordering::Relaxed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.store(lost.saturating_add(1), Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue = None;
        self.done.recv_timeout(LAST_WORDS).ok();
    }
}

fn write_all(name: &str, events: &Receiver<(Event, u32)>, up_to: u8) {
    // journald understands a priority at the start of the line; a person at a terminal need not see it.
    let priorities = std::env::var_os("JOURNAL_STREAM").is_some();
    for (event, lost) in events.iter().filter(|(event, _)| event.priority() <= up_to) {
        let mut text = String::new();
        if lost > 0 {
            text = format!("{name}: {lost} lines lost, the log did not take them\n");
        }
        if priorities {
            text += &format!("<{}>{name}: {event}\n", event.priority());
        } else {
            text += &format!("{name}: {event}\n");
        }
        std::io::stderr().write_all(text.as_bytes()).ok();
    }
}
