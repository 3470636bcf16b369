//! Asks a running daemon.

use super::{ControlError, Reply, Request};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Sends `request` to the socket at `path` and gives each line of the answer to `each`, the last included.
///
/// # Errors
/// No daemon listens there, this user may not connect, or the answer broke off.
pub fn ask(path: &Path, request: &Request, each: &mut dyn FnMut(Reply)) -> Result<(), ControlError> {
    let mut stream = UnixStream::connect(path).map_err(|error| ControlError::io(path, error))?;
    let mut line = serde_json::to_vec(request).map_err(|_| ControlError::BrokenAnswer)?;
    line.push(b'\n');
    // A daemon that refuses may say so and close before it was asked: its word is read all the same.
    let sent = stream.write_all(&line);
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let reply: Reply = serde_json::from_str(&line).map_err(|_| ControlError::BrokenAnswer)?;
        let last = reply.is_last();
        each(reply);
        if last {
            return Ok(());
        }
    }
    sent.map_err(|error| ControlError::io(path, error))?;
    Err(ControlError::BrokenAnswer)
}

/// Whether a daemon listens on `path`.
pub fn is_running(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}
