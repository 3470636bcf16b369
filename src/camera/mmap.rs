//! A driver's buffers in our address space. With [`super::node`] the only unsafe code of this room.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::mm::{MapFlags, ProtFlags};
use v4l::v4l_sys as sys;

use super::node::{BufferCall, Node, StreamCall};
use super::stream::{Driver, Filled, Woken};

/// Buffers asked for: one that we read, one that the driver fills, and two against a late wake-up.
const BUFFERS_WANTED: u32 = 4;
/// More buffers than a driver may sensibly insist on (VIDEO_MAX_FRAME).
const BUFFERS_MAX: u32 = 32;
/// Largest buffer that is mapped: 8192 x 8192 in 16 bits.
const BUFFER_BYTES_MAX: u32 = 128 * 1024 * 1024;

/// A buffer of the driver in our address space.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is owned by this value alone and memory has no thread.
#[allow(unsafe_code)]
unsafe impl Send for Mapping {}

impl Mapping {
    #[allow(unsafe_code)]
    fn new(node: &Node, length: u32, offset: u32) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // SAFETY: a new shared mapping at an address of the kernel's choice disturbs no other memory.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                node,
                u64::from(offset),
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, length })
    }

    #[allow(unsafe_code)]
    fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is valid for `length` bytes until drop. We never write to it. The driver writes to it
        // only while it is queued, and `Stream` reads a buffer only between taking and giving it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and no reference to it outlives `self`.
        if let Err(error) = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) } {
            log::debug!("camera buffer not unmapped: {error}");
        }
    }
}

/// The kernel's side of a stream: a node and its mapped buffers.
#[derive(Debug)]
pub(super) struct Mapped {
    node: Arc<Node>,
    buffers: Vec<Mapping>,
}

impl Mapped {
    /// Asks the driver for buffers and maps them. The error names the call.
    pub fn new(node: Arc<Node>) -> Result<Self, (&'static str, io::Error)> {
        let count = node.request_buffers(BUFFERS_WANTED).map_err(|error| ("VIDIOC_REQBUFS", error))?;
        // From here on dropping frees what was made.
        let mut mapped = Self { node, buffers: Vec::new() };
        if !(2..=BUFFERS_MAX).contains(&count) {
            return Err(("VIDIOC_REQBUFS", io::Error::other(format!("{count} buffers"))));
        }
        for index in 0..count {
            let buffer = mapped
                .node
                .buffer_call(BufferCall::Query, index)
                .map_err(|error| ("VIDIOC_QUERYBUF", error))?;
            if !(1..=BUFFER_BYTES_MAX).contains(&buffer.length) {
                let what = io::Error::other(format!("a buffer of {} bytes", buffer.length));
                return Err(("VIDIOC_QUERYBUF", what));
            }
            let mapping = Mapping::new(&mapped.node, buffer.length, offset(&buffer));
            mapped.buffers.push(mapping.map_err(|error| ("mmap", error))?);
        }
        Ok(mapped)
    }
}

#[allow(unsafe_code)]
fn offset(buffer: &sys::v4l2_buffer) -> u32 {
    // SAFETY: the whole structure was zeroed before the kernel wrote to it; any bits are a valid u32.
    unsafe { buffer.m.offset }
}

impl Driver for Mapped {
    fn count(&self) -> u32 {
        u32::try_from(self.buffers.len()).unwrap_or(0)
    }

    fn queue(&mut self, index: u32) -> io::Result<()> {
        self.node.buffer_call(BufferCall::Queue, index).map(drop)
    }

    fn dequeue(&mut self) -> io::Result<Option<Filled>> {
        match self.node.buffer_call(BufferCall::Dequeue, 0) {
            Ok(buffer) => Ok(Some(Filled {
                index: buffer.index,
                bytes_used: buffer.bytesused,
                damaged: buffer.flags & sys::V4L2_BUF_FLAG_ERROR != 0,
                sequence: buffer.sequence,
            })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn wait(&mut self, at_most: Duration) -> io::Result<Woken> {
        let timeout = Timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(i64::from(i32::MAX)),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut polled = [PollFd::new(&self.node, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            // The caller looks at its clock and waits again.
            Err(rustix::io::Errno::INTR) | Ok(0) => return Ok(Woken::Timeout),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let [polled] = &polled;
        if polled.revents().contains(PollFlags::IN) { Ok(Woken::Ready) } else { Ok(Woken::Error) }
    }

    fn start(&mut self) -> io::Result<()> {
        self.node.stream(StreamCall::On)
    }

    fn stop(&mut self) -> io::Result<()> {
        self.node.stream(StreamCall::Off)
    }

    fn payload(&self, index: u32, bytes_used: u32) -> Option<&[u8]> {
        let mapping = self.buffers.get(usize::try_from(index).ok()?)?;
        mapping.bytes().get(..usize::try_from(bytes_used).ok()?)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Buffers must be unmapped before the driver can free them.
        self.buffers.clear();
        if let Err(error) = self.node.request_buffers(0) {
            log::debug!("camera buffers not freed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_shows_the_files_bytes_and_ends_quietly() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let node = Arc::new(Node::of_file(file));
        let mapped = Mapped {
            buffers: vec![Mapping::new(&node, 4096, 0).unwrap(), Mapping::new(&node, 4096, 4096).unwrap()],
            node,
        };
        assert_eq!(mapped.payload(1, 4096), Some(&[7; 4096][..]));
        assert_eq!(mapped.payload(0, 0), Some(&[][..]));
        assert_eq!(mapped.payload(0, 4097), None);
        assert_eq!(mapped.payload(2, 1), None);
        // Not a camera: freeing the buffers fails, and dropping goes on.
        drop(mapped);
    }
}
