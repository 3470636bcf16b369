//! `--test-pulse MS`: one pulse at the installer's word, for the day the strike is wired.
//!
//! Nothing here moves a line. A guard is started under a [`warden`] as without systemd, on a socket of its own, and an
//! agent's [`Link`] asks it for one pulse: the same machine with the same ceiling, the same heartbeat, the same relock
//! when one of the three is killed or stopped (door-rules 5). The line must be free, so both services must be stopped.

use super::error::GuardError;
use super::journal::Journal;
use super::line;
use super::link::{self, DownCause, Link, LinkReport, Settings};
use super::protocol::{LineState, LockCause, Report, Request};
use super::{socket, warden};
use crate::access::AttemptId;
use crate::clock::{BootTime, Clock};
use crate::config::guard::GuardConfig;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long the guard's process may take to start, to take the line and to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reports that may wait; a pulse makes six.
const ROOM: usize = 64;
/// Names tried for the socket's directory.
const NAMES: u32 = 16;

/// What became of a test pulse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TestPulse {
    /// When the line was unlocked.
    pub unlocked: BootTime,
    /// When it was locked again.
    pub locked: BootTime,
    /// Why: the pulse's end, or a signal.
    pub cause: LockCause,
}

/// What a test pulse is given.
pub struct Surroundings<'a> {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The path of `guard.toml`, read again by the guard's process.
    pub config_path: &'a Path,
    /// What was read from it.
    pub config: &'a GuardConfig,
    /// Readable when the process is to stop.
    pub signals: &'a UnixStream,
    /// Makes `signals` readable.
    pub stop: &'a UnixStream,
}

/// Unlocks the line for `pulse_ms` and locks it again, at once when a signal comes.
///
/// # Errors
/// The pulse is too long (configuration), the line is busy (with its holder) or refuses, the guard died.
pub fn run(around: &Surroundings<'_>, pulse_ms: u32) -> Result<TestPulse, GuardError> {
    let config = around.config;
    if pulse_ms == 0 || pulse_ms > config.pulse_max_ms {
        return Err(GuardError::TestPulse { asked: pulse_ms, max: config.pulse_max_ms });
    }
    // Taken, locked, and let go again: a line that is busy or absent is told here, with its holder.
    drop(line::request(config, &*around.clock)?);
    let place = Directory::make()?;
    let path = place.0.join("guard.sock");
    let own = rustix::process::geteuid().as_raw();
    let listening = socket::listen(&path, own)?;
    let settings = Settings { config: config.clone(), socket: path };
    let link = Link::new(Arc::clone(&around.clock))?;
    let guard = || {
        let journal = Journal::start_quiet("latchd-guard(test)");
        warden::run(&warden::Surroundings {
            clock: &*around.clock,
            config: around.config_path,
            listen: listening.as_fd(),
            signals: around.signals.as_fd(),
            journal: &journal,
            child: warden::TEST_ARGUMENT,
        })
    };
    let (reports, inbox) = sync_channel(ROOM);
    let spawn = |source| GuardError::System { call: "thread", source };
    let named = |name: &str| std::thread::Builder::new().name(name.into());
    std::thread::scope(|scope| {
        let guarding = named("warden").spawn_scoped(scope, guard).map_err(spawn)?;
        let linked = named("guard-link").spawn_scoped(scope, || {
            link::run(&settings, &*around.clock, &link, &mut |report| {
                // Nobody reads any more: the pulse is over.
                reports.try_send(report).ok();
            });
        });
        let pulse = match linked {
            Ok(_) => Script { link: &link, clock: &*around.clock, inbox: &inbox, config, pulse_ms }.play(),
            Err(source) => Err(spawn(source)),
        };
        // The link first: it holds the line locked for a guard that died.
        link.stop();
        (&mut { around.stop }).write_all(b"e").ok();
        match guarding.join() {
            Ok(ended) => ended.and(pulse),
            Err(_) => pulse,
        }
    })
}

/// The agent's part.
struct Script<'a> {
    link: &'a Link,
    clock: &'a dyn Clock,
    inbox: &'a Receiver<LinkReport>,
    config: &'a GuardConfig,
    pulse_ms: u32,
}

impl Script<'_> {
    fn play(&self) -> Result<TestPulse, GuardError> {
        let attempt = AttemptId([0xff; 16]);
        self.await_line()?;
        self.link.send(Request::Arm { attempt, window_ms: self.config.window_max_ms })?;
        let mut unlocked = None;
        let mut deadline = self.clock.boot().plus(PATIENCE);
        loop {
            match self.next(deadline)? {
                LinkReport::Report(Report::Armed { .. }) => {
                    self.link.send(Request::Grant { attempt, pulse_ms: self.pulse_ms })?;
                }
                LinkReport::Report(Report::Unlocked { at, .. }) => {
                    unlocked = Some(at);
                    deadline = at.plus(Duration::from_millis(self.pulse_ms.into())).plus(PATIENCE);
                }
                LinkReport::Report(Report::Locked { at: locked, cause, .. }) => {
                    return match unlocked {
                        Some(unlocked) => Ok(TestPulse { unlocked, locked, cause }),
                        None => Err(GuardError::TestRefused(cause.name())),
                    };
                }
                LinkReport::Report(Report::Refused { reason, .. }) => {
                    return Err(GuardError::TestRefused(reason.name()));
                }
                LinkReport::Report(Report::LineLost { .. } | Report::Disarmed { .. }) => {
                    return Err(GuardError::TestRefused("line_lost"));
                }
                LinkReport::Down { relock, .. } => {
                    return Err(GuardError::TestGuardGone { locked: relock.is_locked() });
                }
                LinkReport::Mismatch { field, .. } => return Err(GuardError::Mismatch { field }),
                LinkReport::Up { .. } | LinkReport::Report(_) => {}
            }
        }
    }

    /// Until a guard answers that holds the line.
    fn await_line(&self) -> Result<(), GuardError> {
        let deadline = self.clock.boot().plus(PATIENCE);
        loop {
            match self.next(deadline)? {
                LinkReport::Up { line: LineState::Held, .. } | LinkReport::Report(Report::LineHeld) => {
                    return Ok(());
                }
                LinkReport::Mismatch { field, .. } => return Err(GuardError::Mismatch { field }),
                // Slow to start: the link holds the line locked until it answers.
                LinkReport::Down { cause: DownCause::Absent, .. } => {}
                LinkReport::Down { .. } => return Err(GuardError::TestRefused("guard_gone")),
                LinkReport::Up { .. } | LinkReport::Report(_) => {}
            }
        }
    }

    fn next(&self, deadline: BootTime) -> Result<LinkReport, GuardError> {
        match self.inbox.recv_timeout(deadline.since(self.clock.boot())) {
            Ok(report) => Ok(report),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(GuardError::TestRefused("no_answer"))
            }
        }
    }
}

/// A directory that only this user can enter, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn make() -> Result<Self, GuardError> {
        let base = std::env::temp_dir();
        let mut last = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        for number in 0..NAMES {
            let path = base.join(format!("latchd-test-pulse-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => last = error,
            }
        }
        Err(GuardError::Listen { path: base, source: last })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
