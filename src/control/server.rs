//! Listens on one control socket and hands each request to a [`Handler`].

use super::{ControlError, REQUEST_LIMIT, Reply, Request};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Connections that may be open at once on one socket; one more is closed at once.
const CONNECTIONS: usize = 16;
/// How long a client may take to send its request or to take an answer's line.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Whether the client has closed its end.
    pub fn abandoned(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
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
    let listener = UnixListener::bind(path).map_err(|error| ControlError::io(path, error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| ControlError::io(path, error))?;
    Ok(listener)
}

/// Serves until the process ends. Each connection has a thread of its own, [`CONNECTIONS`] at most.
pub fn serve(listener: &UnixListener, may_act: bool, handler: &Arc<dyn Handler>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::AcqRel);
            log::warn!("a control connection was refused: too many are open");
            continue;
        }
        let (handler, count) = (Arc::clone(handler), Arc::clone(&open));
        let spawned = std::thread::Builder::new().name("control-peer".into()).spawn(move || {
            converse(stream, may_act, handler.as_ref());
            count.fetch_sub(1, Ordering::AcqRel);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn converse(stream: UnixStream, may_act: bool, handler: &dyn Handler) {
    let Ok(credentials) = rustix::net::sockopt::socket_peercred(&stream) else { return };
    let peer = Peer { uid: credentials.uid.as_raw(), may_act };
    let timeouts =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let Ok(reading) = stream.try_clone() else { return };
    let mut answer = Answer { stream };
    if timeouts.is_err() {
        return;
    }
    let mut line = Vec::new();
    let read = BufReader::new(reading.take(REQUEST_LIMIT)).read_until(b'\n', &mut line);
    if read.is_err() || line.last() != Some(&b'\n') {
        return;
    }
    let refusal = |cause: &str, remedy: &str| Reply::Failed {
        exit: 2,
        cause: cause.to_owned(),
        remedy: remedy.to_owned(),
    };
    // The parser's own message would repeat what was sent, which may be a name.
    let reply = match serde_json::from_slice::<Request>(&line) {
        Ok(request) if may_act || request.only_reads() => {
            log::debug!(request = request.name(), uid = peer.uid; "control request");
            handler.handle(peer, request, &mut answer);
            return;
        }
        Ok(_) => refusal("this socket only answers questions", "use operator.sock"),
        Err(_) => refusal("the request is not understood", "are command and daemon of one version?"),
    };
    drop(answer.send(&reply));
}

/// Gives the socket at `path` to `group`, so that its members may connect.
///
/// # Errors
/// There is no such group, or this process is not a member of it.
pub fn give_to_group(path: &Path, group: &str) -> Result<(), ControlError> {
    let groups = std::fs::read_to_string("/etc/group").map_err(|error| ControlError::io(path, error))?;
    let missing = || std::io::Error::other(format!("there is no group {group}"));
    let id = group_id(&groups, group).ok_or_else(|| ControlError::io(path, missing()))?;
    std::os::unix::fs::chown(path, None, Some(id)).map_err(|error| ControlError::io(path, error))
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
mod tests {
    use super::group_id;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\nlatchd:x:990:\nlatchd-operator:x:991:ada\nbroken\n";
        assert_eq!(group_id(groups, "latchd-operator"), Some(991));
        assert_eq!(group_id(groups, "latchd"), Some(990));
        assert_eq!(group_id(groups, "latch"), None);
        assert_eq!(group_id(groups, "broken"), None);
    }
}
