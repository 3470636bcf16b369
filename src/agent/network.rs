//! Hears from the kernel that an address or a route came, so that the queue need not wait for its timer.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Multicast groups of rtnetlink: IPv4 and IPv6 addresses and routes (linux/rtnetlink.h).
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;

/// A socket that becomes readable when addresses or routes change.
#[derive(Debug)]
pub struct NetworkChanges {
    socket: OwnedFd,
}

impl NetworkChanges {
    /// Subscribes.
    ///
    /// # Errors
    /// The kernel offers no rtnetlink or seccomp forbids it; the queue's own timer goes on without it.
    pub fn subscribe() -> std::io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // NETLINK_ROUTE is protocol 0, which is spelled `None` here.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self { socket })
    }

    /// Waits until something changed (`true`) or `limit` has passed (`false`). Many changes at once count as one.
    pub fn wait(&self, limit: Duration) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&limit)) {
            Ok(count) if count > 0 => {
                let mut buffer = [0_u8; 4096];
                // Only that something changed matters; an overrun (ENOBUFS) says the same.
                while recv(&self.socket, &mut buffer[..], RecvFlags::empty()).is_ok() {}
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_at_the_limit() {
        let changes = NetworkChanges::subscribe().unwrap();
        // Changes of other programs on this machine may come; silence follows.
        assert!((0..100).any(|_| !changes.wait(Duration::from_millis(5))));
    }
}
