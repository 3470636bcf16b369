//! TLS over TCP for the HTTP library: one buffer each way, and an honest answer to "is this connection still open?".
//!
//! Why not the library's own: it copies every byte through a second pair of buffers, and it looks only at the
//! socket. A server that says farewell in TLS together with its last answer but leaves TCP open makes the next
//! submission run into a dead connection, and its outcome unknown.

use crate::clock::{BootTime, Clock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use ureq::Timeout;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Makes connections with one TLS configuration.
pub(crate) struct TlsConnector {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A socket whose every wait ends at a deadline.
struct Socket {
    tcp: TcpStream,
    clock: Arc<dyn Clock>,
    /// `None`: no limit.
    deadline: Option<(BootTime, Timeout)>,
}

/// One connection.
pub(crate) struct Link {
    tls: ClientConnection,
    socket: Socket,
    buffers: LazyBuffers,
    /// The peer said farewell, or the socket ended.
    closed: bool,
    /// The peer answered and hung up before the whole request was sent: the rest of it is dropped, the answer read.
    answered_early: bool,
}

impl Connector for TlsConnector {
    type Out = Link;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Link>, ureq::Error> {
        if !details.needs_tls() {
            return Err(ureq::Error::RequireHttpsOnly(String::new()));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| ureq::Error::Tls("the host is no valid name"))?;
        let deadline = Deadline::of(&*self.clock, details.timeout);
        let tcp = dial(&details.addrs, &*self.clock, deadline)?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        let mut socket = Socket { tcp, clock: self.clock.clone(), deadline };
        let mut tls = ClientConnection::new(self.tls.clone(), name)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Link { tls, socket, buffers, closed: false, answered_early: false }))
    }
}

/// Names a moment for [`Socket`].
struct Deadline;

impl Deadline {
    fn of(clock: &dyn Clock, timeout: NextTimeout) -> Option<(BootTime, Timeout)> {
        (!timeout.after.is_not_happening()).then(|| (clock.boot().plus(*timeout.after), timeout.reason))
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn timed_out(reason: Timeout) -> io::Error {
    // The library unwraps its own error out of this one.
    io::Error::other(ureq::Error::Timeout(reason))
}

/// The first of `addresses` that answers. Each may use its share of the time that is left.
fn dial(
    addresses: &[std::net::SocketAddr],
    clock: &dyn Clock,
    deadline: Option<(BootTime, Timeout)>,
) -> Result<TcpStream, ureq::Error> {
    let mut last = ureq::Error::HostNotFound;
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(1);
        let made = match deadline {
            None => TcpStream::connect(address),
            Some((end, reason)) => {
                let share = end.since(clock.boot()) / left;
                if share.is_zero() {
                    return Err(ureq::Error::Timeout(reason));
                }
                TcpStream::connect_timeout(address, share)
            }
        };
        match made {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = ureq::Error::Io(error),
        }
    }
    Err(last)
}

impl Socket {
    /// Waits until `wanted` is possible, at most to the deadline.
    fn wait(&self, wanted: PollFlags) -> io::Result<()> {
        loop {
            let span = match self.deadline {
                None => None,
                Some((end, reason)) => match end.since(self.clock.boot()) {
                    Duration::ZERO => return Err(timed_out(reason)),
                    span => Timespec::try_from(span).ok(),
                },
            };
            let mut descriptors = [PollFd::new(&self.tcp, wanted)];
            match (poll(&mut descriptors, span.as_ref()), self.deadline) {
                (Ok(0), Some((_, reason))) => return Err(timed_out(reason)),
                (Ok(_), _) => return Ok(()),
                (Err(Errno::INTR), _) => {}
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    fn retry(
        &mut self,
        wanted: PollFlags,
        mut step: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match step(&mut self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(wanted)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(PollFlags::IN, |tcp| tcp.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |tcp| tcp.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |tcp| tcp.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Link {
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    fn transmit(&mut self, amount: usize) -> io::Result<()> {
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        while !rest.is_empty() {
            let taken = self.tls.writer().write(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            while self.tls.wants_write() {
                self.tls.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }

    /// After the peer has hung up in the middle of a request: whether it had answered before. The answer (a refusal
    /// by size, say) lies in the socket and tells more than the broken pipe.
    fn salvage(&mut self) -> bool {
        self.closed = true;
        let mut waiting = 0;
        while matches!(self.tls.read_tls(&mut self.socket.tcp), Ok(count) if count > 0) {
            match self.tls.process_new_packets() {
                Ok(state) => waiting = state.plaintext_bytes_to_read(),
                Err(_) => break,
            }
        }
        waiting > 0
    }

    /// Lets TLS look at what was read from the socket.
    fn digest(&mut self) -> Result<(), ureq::Error> {
        match self.tls.process_new_packets() {
            Ok(state) => {
                self.closed |= state.peer_has_closed();
                Ok(())
            }
            Err(error) => {
                self.closed = true;
                // Tell the peer why, if it listens; the error matters more than whether it does.
                let _ = self.push();
                Err(error.into())
            }
        }
    }
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.answered_early {
            return Ok(());
        }
        self.socket.deadline = Deadline::of(&*self.socket.clock, timeout.for_write());
        match self.transmit(amount) {
            Err(error) if is_hang_up(&error) && self.salvage() => {
                self.answered_early = true;
                Ok(())
            }
            done => Ok(done?),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.socket.deadline = Deadline::of(&*self.socket.clock, timeout.for_read());
        loop {
            let room = self.buffers.input_append_buf();
            if room.is_empty() {
                // A head that fills the whole buffer and does not end.
                let held = self.buffers.input().len();
                return Err(ureq::Error::LargeResponseHeader(held, held));
            }
            match self.tls.reader().read(room) {
                Ok(count) => {
                    self.buffers.input_appended(count);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.closed = true;
                    return Err(error.into());
                }
            }
            self.push()?;
            if self.tls.read_tls(&mut self.socket)? == 0 {
                self.closed = true;
            }
            self.digest()?;
        }
    }

    fn is_open(&mut self) -> bool {
        // Whatever lies in the socket now: session tickets and key updates are part of a healthy connection, a
        // farewell or data that nobody asked for is not.
        while !self.closed {
            match self.tls.read_tls(&mut self.socket.tcp) {
                Ok(0) => self.closed = true,
                Ok(_) => {
                    if self.digest().is_err()
                        || !matches!(self.tls.reader().read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
                    {
                        self.closed = true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.closed = true,
            }
        }
        false
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A farewell if it fits into the socket's buffer; nobody waits for it.
        self.tls.send_close_notify();
        let _ = self.tls.write_tls(&mut self.socket.tcp);
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?} closed={})", self.socket.tcp.peer_addr().ok(), self.closed)
    }
}
