//! Listens on one control socket and hands each request to a [`Handler`].

use super::places::Places;
use super::receive::{self, NoRequest, OPERATOR_LIMIT, PATIENCE, READ_LIMIT};
use super::{ControlError, Reply, Request};
use crate::clock::{Clock, SystemClock};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The user, as the kernel says.
    pub uid: u32,
    /// Whether the socket is the one that may also act.
    pub may_act: bool,
}

/// Where the answer goes.
pub struct Answer {
    stream: UnixStream,
}

impl Answer {
    /// Sends one line; an error means that the client is gone.
    pub fn send(&mut self, reply: &Reply) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// Whether the client said more, which means that it gives up and waits to hear so.
    pub fn called_off(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut more = [0_u8; 64];
        matches!(recv(&self.stream, &mut more[..], RecvFlags::DONTWAIT), Ok((count, _)) if count > 0)
    }

    /// Whether the client is gone. One that only closed its writing side still reads.
    pub fn abandoned(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        // HUP and ERR are told without being asked for.
        let mut fds = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let polled = poll(&mut fds, Some(&now));
        polled.is_err() || fds.iter().any(|fd| !fd.revents().is_empty())
    }
}

/// What a daemon does with a request. It must send a last reply.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, peer: Peer, request: Request, answer: &mut Answer);
}

/// Makes the socket at `path` with `mode`; a left-over file of a dead daemon is replaced.
///
/// # Errors
/// The directory cannot be written, or another daemon listens there.
pub fn bind(path: &Path, mode: u32) -> Result<UnixListener, ControlError> {
    if UnixStream::connect(path).is_ok() {
        let source = std::io::Error::new(std::io::ErrorKind::AddrInUse, "another daemon listens here");
        return Err(ControlError::io(path, source));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ControlError::io(path, error));
        }
        _ => {}
    }
    // The mask, not only the later chmod: at no moment may anybody else connect.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(|error| ControlError::io(path, error))?;
    set_mode(path, mode)?;
    Ok(listener)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), ControlError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| ControlError::io(path, error))
}

/// Makes the socket at `path` for this user and the members of `group`. Where the group cannot be given, which is
/// logged, the socket stays this user's and root's: it is at no moment open to another group.
///
/// # Errors
/// As [`bind`].
pub fn bind_for_group(path: &Path, group: &str) -> Result<UnixListener, ControlError> {
    let listener = bind(path, 0o600)?;
    if let Err(error) = give_to_group(path, group).and_then(|()| set_mode(path, 0o660)) {
        log::warn!("operators must use sudo: {error}");
    }
    Ok(listener)
}

/// Serves until the process ends. Each connection has a thread of its own; [`Places`] says how many.
pub fn serve(listener: &UnixListener, may_act: bool, handler: &Arc<dyn Handler>) {
    let places = Places::new(rustix::process::geteuid().as_raw());
    let clock = Arc::new(SystemClock::new());
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        // A peer in a PID namespace that this one cannot see, for one.
        let Ok(credentials) = rustix::net::sockopt::socket_peercred(&stream) else {
            log::warn!("a control connection was refused: the kernel does not say whose it is");
            continue;
        };
        let peer = Peer { uid: credentials.uid.as_raw(), may_act };
        let Some(place) = places.take(peer.uid) else {
            log::warn!(uid = peer.uid; "a control connection was refused: too many are open");
            // The line fits into the new socket's buffer; where it does not, nobody waits for it.
            drop(stream.set_nonblocking(true));
            let remedy = "end other latchd commands, then try again";
            drop(Answer { stream }.send(&refusal(1, "too many connections are open", remedy)));
            continue;
        };
        let (handler, clock) = (Arc::clone(handler), Arc::clone(&clock));
        let spawned = std::thread::Builder::new().name("control-peer".into()).spawn(move || {
            converse(stream, peer, clock.as_ref(), handler.as_ref());
            drop(place);
        });
        if let Err(error) = spawned {
            log::warn!("a control connection was closed: {error}");
        }
    }
}

fn refusal(exit: u8, cause: &str, remedy: &str) -> Reply {
    Reply::Failed { exit, cause: cause.to_owned(), remedy: remedy.to_owned() }
}

fn converse(mut stream: UnixStream, peer: Peer, clock: &dyn Clock, handler: &dyn Handler) {
    if stream.set_write_timeout(Some(PATIENCE)).is_err() {
        return;
    }
    let limit = if peer.may_act { OPERATOR_LIMIT } else { READ_LIMIT };
    let received = receive::line(&mut stream, limit, clock);
    let mut answer = Answer { stream };
    match received.and_then(|line| receive::request(&line, peer.may_act)) {
        Ok(request) => {
            log::debug!(request = request.name(), uid = peer.uid; "control request");
            handler.handle(peer, request, &mut answer);
        }
        Err(NoRequest::Nothing) => {}
        Err(no) => drop(answer.send(&refusal(2, &no.to_string(), no.remedy()))),
    }
}

/// Gives the socket at `path` to `group`, so that its members may connect.
///
/// # Errors
/// There is no such group, or this process is not a member of it.
fn give_to_group(path: &Path, group: &str) -> Result<(), ControlError> {
    let missing = || std::io::Error::other(format!("there is no group {group}"));
    let id = group_named(group).ok_or_else(|| ControlError::io(path, missing()))?;
    std::os::unix::fs::chown(path, None, Some(id)).map_err(|error| ControlError::io(path, error))
}

/// The id of a group of this machine.
pub fn group_named(name: &str) -> Option<u32> {
    group_id(&std::fs::read_to_string("/etc/group").unwrap_or_default(), name)
}

/// The id of `name` in the text of /etc/group.
fn group_id(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// The two sockets of a run directory.
pub fn socket_paths(run_dir: &Path) -> (PathBuf, PathBuf) {
    (run_dir.join("read.sock"), run_dir.join("operator.sock"))
}

#[cfg(test)]
mod tests;
