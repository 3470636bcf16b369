//! `--socket PATH`, for machines without systemd: the parent of the guard's process.
//!
//! It makes the listening socket and gives it to the child as standard input, owns no line, starts the child again when
//! it dies, and kills it when its pipe is silent during a pulse: nobody can take a line from a stopped process. It starts
//! the same program again instead of forking itself, so each child begins with nothing of the last one's memory.

use super::error::GuardError;
use super::journal::{Event, Journal};
use super::supervisor::{ALIVE, PULSE_BEGINS, PULSE_ENDS, SILENCE};
use crate::clock::{BootTime, Clock};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::Timespec;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The argument by which the child knows that its standard output is the warden's pipe.
pub const CHILD_ARGUMENT: &str = "--under-warden";
/// The same for a test pulse: its peer is this very user, and its log tells of trouble alone.
pub const TEST_ARGUMENT: &str = "--under-test";
/// The exit status of a configuration that cannot work: starting again cannot help.
const CONFIGURATION: i32 = 2;
/// Between the death of a child and the start of the next.
const RESTART_PAUSE: Duration = Duration::from_millis(20);
/// How long a child that was told to end may take to lock.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// What the warden is given.
pub struct Surroundings<'a> {
    /// Time.
    pub clock: &'a dyn Clock,
    /// The path of `guard.toml`, read again by each child.
    pub config: &'a Path,
    /// The listening socket.
    pub listen: BorrowedFd<'a>,
    /// Readable when the process is to stop.
    pub signals: BorrowedFd<'a>,
    /// Where events go.
    pub journal: &'a Journal,
    /// How the child is started: [`CHILD_ARGUMENT`] or [`TEST_ARGUMENT`].
    pub child: &'static str,
}

/// Why watching a child ended.
enum Watched {
    /// Its pipe is closed: it is dead or dying.
    Gone,
    /// The warden is to stop.
    Stop,
}

/// Keeps a guard's process running until told to stop. Gives the exit status.
///
/// # Errors
/// The kernel refused a wait.
pub fn run(around: &Surroundings<'_>) -> Result<u8, GuardError> {
    loop {
        match start(around) {
            Ok((mut child, pipe)) => {
                around.journal.log(Event::ChildStarted(child.id()));
                let watched = watch(around, &mut child, &pipe);
                if matches!(watched, Ok(Watched::Gone)) {
                    let status = child.wait().map_err(|source| system("wait", source))?;
                    around.journal.log(Event::ChildEnded(status.to_string()));
                    if status.code() == Some(CONFIGURATION) {
                        return Ok(2);
                    }
                } else {
                    end(&mut child, &pipe);
                    return watched.map(|_| 0);
                }
            }
            Err(error) => around.journal.log(Event::ChildEnded(error.to_string())),
        }
        if readable(around.signals, Some(RESTART_PAUSE))? {
            return Ok(0);
        }
    }
}

fn system(call: &'static str, source: io::Error) -> GuardError {
    GuardError::System { call, source }
}

fn start(around: &Surroundings<'_>) -> io::Result<(Child, ChildStdout)> {
    let mut child = Command::new("/proc/self/exe")
        .arg0("latchd-guard")
        .arg("--config")
        .arg(around.config)
        .arg(around.child)
        .stdin(around.listen.try_clone_to_owned()?)
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let flags = rustix::fs::fcntl_getfl(&pipe)?;
    rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
    Ok((child, pipe))
}

fn watch(around: &Surroundings<'_>, child: &mut Child, pipe: &ChildStdout) -> Result<Watched, GuardError> {
    // When the child counts as stopped; only during a pulse.
    let mut silent_at: Option<BootTime> = None;
    loop {
        let wait = silent_at.map(|at| at.since(around.clock.boot()));
        let mut fds = [
            PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(around.signals, PollFlags::IN),
        ];
        wait_for(&mut fds, wait)?;
        let [_, signals] = fds.map(|fd| fd.revents());
        if !signals.is_empty() {
            return Ok(Watched::Stop);
        }
        // Before the pipe is read: what arrives later than this was not late.
        let now = around.clock.boot();
        loop {
            let mut bytes = [0; 64];
            match rustix::io::read(pipe, &mut bytes[..]) {
                Ok(0) => return Ok(Watched::Gone),
                Ok(count) => {
                    for byte in bytes.iter().take(count) {
                        silent_at = match *byte {
                            PULSE_BEGINS => Some(now.plus(SILENCE)),
                            PULSE_ENDS => None,
                            ALIVE => silent_at.map(|_| now.plus(SILENCE)),
                            _ => silent_at,
                        };
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => break,
                Err(_) => return Ok(Watched::Gone),
            }
        }
        if silent_at.is_some_and(|at| now >= at) {
            child.kill().ok();
            around.journal.log(Event::ChildSilent);
            silent_at = None;
        }
    }
}

/// Tells the child to end (it locks first) and sees to it that it does.
fn end(child: &mut Child, pipe: &ChildStdout) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM).ok();
        // A stopped process does not hear it.
        kill_process(pid, Signal::CONT).ok();
    }
    let mut bytes = [0; 64];
    while let Ok(true) = readable(pipe.as_fd(), Some(END_PATIENCE)) {
        if !matches!(rustix::io::read(pipe, &mut bytes[..]), Ok(1..) | Err(Errno::INTR | Errno::WOULDBLOCK)) {
            break;
        }
    }
    child.kill().ok();
    child.wait().ok();
}

fn readable(fd: BorrowedFd<'_>, wait: Option<Duration>) -> Result<bool, GuardError> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    wait_for(&mut fds, wait)?;
    let [fd] = fds;
    Ok(!fd.revents().is_empty())
}

/// Waits until one of `fds` has something or `wait` is over; a signal ends the wait too.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], wait: Option<Duration>) -> Result<(), GuardError> {
    let wait = wait.map(|wait| Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    });
    match poll(fds, wait.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(system("poll", errno.into())),
    }
}
