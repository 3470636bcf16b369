//! Who would notice if the guard were stopped in the middle of a pulse: systemd's watchdog, or the warden
//! ([`super::warden`]). Nobody can take a line from a stopped process, so it must be killed, and quickly.
//!
//! Before each edge to unlocked the watchdog is set to 150 ms, during the pulse it is fed every 20 ms, and after the
//! edge to locked it is put back. No call blocks or allocates: a supervisor that cannot be told means no edge.

use rustix::io::Errno;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A supervisor that hears nothing for this long during a pulse kills the guard.
pub const SILENCE: Duration = Duration::from_millis(150);
/// How often the guard feeds it during a pulse.
pub const PING: Duration = Duration::from_millis(20);

/// The byte that tells the warden that a pulse begins.
pub const PULSE_BEGINS: u8 = b'B';
/// The byte that tells the warden that the guard is alive.
pub const ALIVE: u8 = b'.';
/// The byte that tells the warden that the line is locked again.
pub const PULSE_ENDS: u8 = b'E';

/// systemd, a warden, both or neither.
#[derive(Debug, Default)]
pub struct Supervisor<'a> {
    systemd: Option<Systemd>,
    warden: Option<BorrowedFd<'a>>,
}

#[derive(Debug)]
struct Systemd {
    socket: UnixDatagram,
    /// What the watchdog is between pulses, zero when the unit has none.
    idle: Duration,
    /// `WATCHDOG=1\nWATCHDOG_USEC=<idle>`, made at the start.
    put_back: Vec<u8>,
}

const SET_150_MS: &[u8] = b"WATCHDOG=1\nWATCHDOG_USEC=150000";
const _: () = assert!(SILENCE.as_millis() == 150);

impl<'a> Supervisor<'a> {
    /// The systemd of the environment (NOTIFY_SOCKET, WATCHDOG_USEC) if there is one, and the warden's pipe if there is
    /// one.
    pub fn new(warden: Option<BorrowedFd<'a>>) -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET");
        let idle = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let systemd = address.and_then(|address| Systemd::connect(address.as_encoded_bytes(), idle).ok());
        Self { systemd, warden }
    }

    /// The guard has tried to take its line for the first time and serves from now on, with the line or without: systemd
    /// would otherwise end it and start it again for as long as the line is absent.
    pub fn ready(&self, held: bool) {
        if let Some(systemd) = &self.systemd {
            systemd.send(if held {
                b"READY=1\nSTATUS=line held, locked"
            } else {
                b"READY=1\nSTATUS=line not held, trying again"
            });
        }
    }

    /// The line was taken, locked; or it was lost.
    pub fn line(&self, held: bool) {
        if let Some(systemd) = &self.systemd {
            systemd.send(if held {
                b"STATUS=line held, locked"
            } else {
                b"STATUS=line not held, trying again"
            });
        }
    }

    /// Between pulses, how often [`Supervisor::ping`] is due; `None` when nobody waits for it.
    pub fn idle_period(&self) -> Option<Duration> {
        self.systemd.as_ref().map(|systemd| systemd.idle / 3).filter(|period| !period.is_zero())
    }

    /// A pulse begins now. False when a supervisor could not be told: then there must be no edge.
    #[must_use]
    pub fn pulse_begins(&self) -> bool {
        let systemd = self.systemd.as_ref().is_none_or(|systemd| systemd.send(SET_150_MS));
        let warden = self.warden.is_none_or(|pipe| tell(pipe, PULSE_BEGINS));
        systemd && warden
    }

    /// The guard is alive.
    pub fn ping(&self) {
        if let Some(systemd) = &self.systemd {
            systemd.send(b"WATCHDOG=1");
        }
        if let Some(pipe) = self.warden {
            tell(pipe, ALIVE);
        }
    }

    /// The line is locked again.
    pub fn pulse_ends(&self) {
        if let Some(systemd) = &self.systemd {
            systemd.send(&systemd.put_back);
        }
        if let Some(pipe) = self.warden {
            tell(pipe, PULSE_ENDS);
        }
    }
}

impl Systemd {
    fn connect(address: &[u8], idle_micros: u64) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let address = match address.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::new(
                std::str::from_utf8(address).map_err(std::io::Error::other)?,
            )))?,
        };
        socket.connect_addr(&address)?;
        let mut put_back = Vec::new();
        // Without a watchdog of the unit's own the pulse's one is made so long that it never bites.
        let micros = if idle_micros == 0 { 24 * 3600 * 1_000_000 } else { idle_micros };
        write!(put_back, "WATCHDOG=1\nWATCHDOG_USEC={micros}")?;
        Ok(Self { socket, idle: Duration::from_micros(idle_micros), put_back })
    }

    fn send(&self, text: &[u8]) -> bool {
        self.socket.send(text).is_ok()
    }
}

fn tell(pipe: BorrowedFd<'_>, byte: u8) -> bool {
    loop {
        match rustix::io::write(pipe.as_fd(), &[byte]) {
            Ok(1) => return true,
            Err(Errno::INTR) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 256];
        std::iter::from_fn(|| {
            socket.recv(&mut buffer).ok().map(|n| String::from_utf8_lossy(&buffer[..n]).into())
        })
        .collect()
    }

    #[test]
    fn systemds_watchdog_is_short_during_the_pulse_and_put_back_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let systemd = Systemd::connect(path.as_os_str().as_encoded_bytes(), 10_000_000).unwrap();
        let supervisor = Supervisor { systemd: Some(systemd), warden: None };
        supervisor.ready(true);
        assert!(supervisor.pulse_begins());
        supervisor.ping();
        supervisor.pulse_ends();
        supervisor.line(false);
        let expected = [
            "READY=1\nSTATUS=line held, locked",
            "WATCHDOG=1\nWATCHDOG_USEC=150000",
            "WATCHDOG=1",
            "WATCHDOG=1\nWATCHDOG_USEC=10000000",
            "STATUS=line not held, trying again",
        ];
        assert_eq!(words(&socket), expected);
    }

    #[test]
    fn a_supervisor_that_does_not_listen_means_no_pulse() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let systemd = Systemd::connect(path.as_os_str().as_encoded_bytes(), 0).unwrap();
        let supervisor = Supervisor { systemd: Some(systemd), warden: None };
        for _ in 0..10_000 {
            supervisor.ping();
        }
        assert!(!supervisor.pulse_begins(), "its queue is full");
        drop(socket);
        assert!(!supervisor.pulse_begins(), "it is gone");
    }

    #[test]
    fn a_warden_that_is_gone_means_no_pulse() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let supervisor = Supervisor { systemd: None, warden: Some(write.as_fd()) };
        assert!(supervisor.pulse_begins());
        drop(read);
        assert!(!supervisor.pulse_begins());
    }
}
