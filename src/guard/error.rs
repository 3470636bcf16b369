//! What can go wrong between agent and guard, and at the guard's start.

use super::codec::FrameError;
use super::line::LineError;
use std::io;
use std::path::PathBuf;

/// An error of the room `guard`.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// No guard is connected.
    #[error("guard: not connected")]
    NotConnected,
    /// The guard goes by another value than the `guard.toml` that the agent read.
    #[error("guard: its {field} differs from guard.toml; it will not be armed")]
    Mismatch {
        /// The key in `guard.toml`.
        field: &'static str,
    },
    /// The connection failed.
    #[error("guard: connection failed: {0}")]
    Connection(#[source] io::Error),
    /// The other side does not speak our protocol.
    #[error("guard: {0}")]
    Frame(#[from] FrameError),
    /// The line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// Standard input is no listening seqpacket socket.
    #[error("guard: standard input is not a listening Unix seqpacket socket")]
    NoListeningSocket,
    /// The user who may speak to the guard does not exist.
    #[error("guard: user {0:?} of `peer_user` is unknown")]
    UnknownUser(String),
    /// Another guard already listens there.
    #[error("guard: another guard listens on {}", .0.display())]
    SocketInUse(PathBuf),
    /// The listening socket could not be made.
    #[error("guard: cannot listen on {}: {source}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A call to the kernel that the guard cannot do without failed.
    #[error("guard: {call} failed: {source}")]
    System {
        /// Which.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A test pulse longer than the configured maximum, or of no length.
    #[error("guard: a test pulse of {asked} ms is not within 1 and pulse_max_ms = {max}")]
    TestPulse {
        /// Asked for, milliseconds.
        asked: u32,
        /// The maximum, milliseconds.
        max: u32,
    },
    /// The guard's own machine refused the test pulse.
    #[error("guard: the test pulse was refused: {0}")]
    TestRefused(&'static str),
    /// The guard's process died in the middle of a test pulse.
    #[error("guard: its process died during the test pulse; the line is {}", if *.locked { "locked again" } else { "in an unknown state" })]
    TestGuardGone {
        /// The line was taken from it and locked.
        locked: bool,
    },
}

impl GuardError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotConnected | Self::Connection(_) => {
                "check that latchd-guard runs and that [door] guard_socket names its socket"
            }
            Self::Mismatch { .. } => "restart latchd-guard and latchd after each change of guard.toml",
            Self::Frame(error) => error.remedy(),
            Self::Line(error) => error.remedy(),
            Self::NoListeningSocket => {
                "start it through latchd-guard.socket (StandardInput=socket) or with --socket PATH"
            }
            Self::UnknownUser(_) => "create the user or set peer_user to the user that latchd runs as",
            Self::SocketInUse(_) => "stop the other latchd-guard or choose another --socket path",
            Self::Listen { .. } => "make the directory and let the guard's user write it",
            Self::System { .. } => "see the reason; limits of the service (files, memory) are a usual one",
            Self::TestPulse { .. } => "ask for a shorter pulse or raise pulse_max_ms (at most 60000)",
            Self::TestGuardGone { .. } => "look at the door; see the kernel's log for why the process died",
            Self::TestRefused(_) => "stop latchd-guard and latchd first, then try again",
        }
    }

    /// Configuration or usage: restarting the process cannot help (exit status 2).
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::NoListeningSocket | Self::UnknownUser(_) | Self::TestPulse { .. })
    }
}
