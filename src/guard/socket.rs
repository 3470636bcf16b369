//! A connected seqpacket socket that never blocks, and the listening one.

use super::codec::{FRAME_LEN, Frame};
use super::error::GuardError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, UCred, sockopt,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How often, and after which pause, a socket that answers is asked again before it counts as a living guard's.
const DYING_CHECKS: u32 = 5;
const DYING_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// One side of a connection between agent and guard.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
}

/// What one read gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A packet of the right length.
    Frame(Frame),
    /// A packet of this wrong length.
    BadLength(usize),
    /// Nothing waits.
    Nothing,
    /// The other side is gone. An empty packet looks the same and is treated the same.
    Closed,
}

impl Connection {
    /// Connects to the guard that listens at `path`.
    ///
    /// # Errors
    /// Nobody listens, no permission, or its queue is full.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        net::connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Self { fd })
    }

    /// Takes the next connection of a listening socket.
    ///
    /// # Errors
    /// None waits, or no file descriptor is left.
    pub fn accept(listen: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = net::accept_with(listen, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        Ok(Self { fd })
    }

    /// Who is at the other side, by the kernel's word.
    ///
    /// # Errors
    /// The kernel does not know.
    pub fn peer(&self) -> io::Result<UCred> {
        Ok(sockopt::socket_peercred(&self.fd)?)
    }

    /// Sends one frame or fails at once.
    ///
    /// # Errors
    /// The other side is gone or does not read.
    pub fn send(&self, frame: &Frame) -> io::Result<()> {
        loop {
            match net::send(&self.fd, frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(FRAME_LEN) => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Reads one packet if one waits.
    pub fn receive(&self) -> Received {
        let mut frame = [0; FRAME_LEN];
        let mut reset = false;
        loop {
            // TRUNC gives the packet's real length: without it a longer packet would look like a good frame.
            match net::recv(&self.fd, &mut frame[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, 0)) => return Received::Closed,
                Ok((_, FRAME_LEN)) => return Received::Frame(frame),
                Ok((_, length)) => return Received::BadLength(length),
                Err(Errno::INTR) => {}
                // A peer that dies with something of ours unread resets the connection, and the kernel says so before it
                // gives what the peer had sent: its last word is still to be had.
                Err(Errno::CONNRESET) if !reset => reset = true,
                Err(Errno::WOULDBLOCK) => return Received::Nothing,
                Err(_) => return Received::Closed,
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes the listening socket at `path` for a peer of uid `peer`: mode 0600 and the peer's, or where the guard may not give it
/// away, 0660 for a group they share. A socket that a dead guard left behind is replaced.
///
/// # Errors
/// Another guard listens there, or the directory is not writable.
pub fn listen(path: &Path, peer: u32) -> Result<OwnedFd, GuardError> {
    let failed = |source: io::Error| GuardError::Listen { path: path.to_owned(), source };
    let mut found = Connection::connect(path);
    for _ in 0..DYING_CHECKS {
        // A guard that was just killed lets go of its connections before its listening socket.
        let Ok(connection) = &found else { break };
        let mut fds = [PollFd::new(connection, PollFlags::empty())];
        // Only HUP and ERR can end this wait early, and they do: the other side is dying.
        poll(&mut fds, Some(&DYING_PAUSE)).map_err(|errno| failed(errno.into()))?;
        found = Connection::connect(path);
    }
    match found {
        Ok(_) => return Err(GuardError::SocketInUse(path.to_owned())),
        // Its queue of callers is full: somebody lives there, and is busy.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(GuardError::SocketInUse(path.to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| failed(errno.into()))?;
    let address = SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
    // The mask, not only the later chmod: at no moment may anybody else connect. The mask is the whole process's, so it
    // leaves a directory that another thread makes meanwhile usable.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let bound = net::bind(&fd, &address);
    rustix::process::umask(before);
    bound.map_err(|errno| failed(errno.into()))?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    if peer != rustix::process::geteuid().as_raw() {
        match std::os::unix::fs::chown(path, Some(peer), None) {
            // Only root gives a file away. A guard that is not lets its group in; who speaks is asked of the kernel.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))
                    .map_err(failed)?;
            }
            given => given.map_err(failed)?,
        }
    }
    net::listen(&fd, 8).map_err(|errno| failed(errno.into()))?;
    Ok(fd)
}

/// Checks that `fd` is a listening Unix seqpacket socket and makes it non-blocking.
///
/// # Errors
/// It is something else.
pub fn check_listening(fd: BorrowedFd<'_>) -> Result<(), GuardError> {
    let right = sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET)
        && sockopt::socket_acceptconn(fd) == Ok(true);
    if !right {
        return Err(GuardError::NoListeningSocket);
    }
    let system = |errno: Errno| GuardError::System { call: "fcntl", source: errno.into() };
    let flags = rustix::fs::fcntl_getfl(fd).map_err(system)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, Connection) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Connection { fd: a }, Connection { fd: b })
    }

    #[test]
    fn a_packet_of_another_length_is_not_a_frame() {
        let (a, b) = pair();
        a.send(&[7; FRAME_LEN]).unwrap();
        net::send(&a, &[7; 63], SendFlags::NOSIGNAL).unwrap();
        net::send(&a, &[7; 4000], SendFlags::NOSIGNAL).unwrap();
        assert_eq!(b.receive(), Received::Frame([7; FRAME_LEN]));
        assert_eq!(b.receive(), Received::BadLength(63));
        assert_eq!(b.receive(), Received::BadLength(4000));
        assert_eq!(b.receive(), Received::Nothing);
        drop(a);
        assert_eq!(b.receive(), Received::Closed);
    }

    #[test]
    fn a_peer_that_does_not_read_is_an_error_not_a_wait() {
        let (a, _b) = pair();
        let sent = (0..100_000).take_while(|_| a.send(&[0; FRAME_LEN]).is_ok()).count();
        assert!(sent < 100_000);
    }

    #[test]
    fn the_last_word_of_a_peer_that_died_is_heard() {
        let (a, b) = pair();
        a.send(&[1; FRAME_LEN]).unwrap();
        b.send(&[2; FRAME_LEN]).unwrap();
        drop(b);
        assert_eq!(a.receive(), Received::Frame([2; FRAME_LEN]));
        assert_eq!(a.receive(), Received::Closed);
    }

    #[test]
    fn a_dead_guards_socket_is_replaced_and_a_live_one_is_not() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard.sock");
        let me = rustix::process::geteuid().as_raw();
        let first = listen(&path, me).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        check_listening(first.as_fd()).unwrap();
        assert!(matches!(listen(&path, me), Err(GuardError::SocketInUse(_))));
        drop(first);
        listen(&path, me).unwrap();
    }

    #[test]
    fn standard_input_that_is_no_listening_socket_is_refused() {
        let (a, _b) = pair();
        assert!(matches!(check_listening(a.as_fd()), Err(GuardError::NoListeningSocket)));
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(check_listening(file.as_fd()), Err(GuardError::NoListeningSocket)));
    }
}
