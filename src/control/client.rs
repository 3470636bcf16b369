//! Asks a running daemon.

use super::{ControlError, Reply, Request};
use crate::clock::{BootTime, Clock, SystemClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What a claimer sends who gives up: any further byte on the connection means it.
const CALL_OFF: &[u8] = b"{\"ask\":\"call-off\"}\n";
/// How long the end of a request that was given up is waited for.
const FAREWELL: Duration = Duration::from_secs(5);

/// Sends `request` to the socket at `path` and gives each line of the answer to `each`, the last included.
///
/// # Errors
/// No daemon listens there, this user may not connect, or the answer broke off.
pub fn ask(path: &Path, request: &Request, each: &mut dyn FnMut(Reply)) -> Result<(), ControlError> {
    ask_until(path, request, None, each)
}

/// As [`ask`], until `give_up` can be read: a claim is called off then, and its end is waited for, five seconds at most.
///
/// # Errors
/// Also when the end did not come in these five seconds.
pub fn ask_until(
    path: &Path,
    request: &Request,
    give_up: Option<&UnixStream>,
    each: &mut dyn FnMut(Reply),
) -> Result<(), ControlError> {
    let mut stream = UnixStream::connect(path).map_err(|error| ControlError::io(path, error))?;
    let mut line = serde_json::to_vec(request).map_err(|_| ControlError::BrokenAnswer)?;
    line.push(b'\n');
    // A daemon that refuses may say so and close before it was asked: its word is read all the same.
    let sent = stream.write_all(&line);
    let clock = SystemClock::new();
    let mut until: Option<BootTime> = None;
    let mut received = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let left = until.map(|until| until.since(clock.boot()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ControlError::Interrupted);
        }
        let (answered, gives_up) = wait(&stream, give_up.filter(|_| until.is_none()), left);
        if gives_up {
            until = Some(clock.boot().plus(patience(request)));
            if matches!(request, Request::Claim { .. }) {
                // One that does not take it has ended, which the next read shows.
                let _ = stream.write_all(CALL_OFF);
            }
        }
        if !answered {
            continue;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            let reply: Reply = serde_json::from_slice(&line).map_err(|_| ControlError::BrokenAnswer)?;
            let last = reply.is_last();
            each(reply);
            if last {
                return Ok(());
            }
        }
    }
    if until.is_some() {
        return Err(ControlError::Interrupted);
    }
    sent.map_err(|error| ControlError::io(path, error))?;
    Err(ControlError::BrokenAnswer)
}

/// Whoever only listens has nothing to wait for.
fn patience(request: &Request) -> Duration {
    if matches!(request, Request::Events { follow: true, .. }) { Duration::ZERO } else { FAREWELL }
}

/// Waits until the answer goes on, or the asker gives up, or `left` is over.
fn wait(stream: &UnixStream, give_up: Option<&UnixStream>, left: Option<Duration>) -> (bool, bool) {
    let mut fds: Vec<_> =
        [Some(stream), give_up].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let left = left
        .map(|left| Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() });
    if poll(&mut fds, left.as_ref()).is_err() {
        return (false, false); // A signal came: looked at again.
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    (ready.next().unwrap_or(false), ready.next().unwrap_or(false))
}

/// Whether a daemon listens on `path`.
pub fn is_running(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}
