//! The system calls of a Video4Linux capture node: the only unsafe code of this room.
//!
//! The ioctl numbers and structures are those of the `v4l` crate, which its build takes from the target's own
//! kernel headers. Its `Device` and stream are not used: they panic on some answers of the kernel, cannot go on
//! after a timeout, and open the node without close-on-exec.
//!
//! Each function makes one call with a zeroed structure of the type that the call's number names, so that the
//! kernel writes within it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::stream::{Driver, Filled, Woken};

// The size is part of the ioctl number: headers of another target would give ENOTTY on every call. 32-bit targets
// have 80 bytes with 64-bit time and 68 without; the kernel knows both.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<sys::v4l2_buffer>() == 88);
#[cfg(target_pointer_width = "32")]
const _: () = assert!(matches!(size_of::<sys::v4l2_buffer>(), 68 | 80));

const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;
/// Buffers asked for: one that we read, one that the driver fills, and two against a late wake-up.
const BUFFERS_WANTED: u32 = 4;
/// More buffers than a driver may sensibly insist on (VIDEO_MAX_FRAME).
const BUFFERS_MAX: u32 = 32;
/// Largest buffer that is mapped: 8192 x 8192 in 16 bits.
const BUFFER_BYTES_MAX: u32 = 128 * 1024 * 1024;
/// Most formats that are listed for an error text.
const FORMATS_LISTED_MAX: u32 = 64;

/// What VIDIOC_QUERYCAP says.
#[derive(Debug, Clone)]
pub(super) struct Capabilities {
    /// The device's name, whatever is not printable ASCII replaced.
    pub card: String,
    /// What this node can do (`device_caps`, or `capabilities` of an old driver).
    pub bits: u32,
}

impl Capabilities {
    /// Single-planar capture with streaming.
    pub fn can_capture(&self) -> bool {
        self.bits & sys::V4L2_CAP_VIDEO_CAPTURE != 0 && self.bits & sys::V4L2_CAP_STREAMING != 0
    }
}

/// A picture format as the driver sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PictureFormat {
    pub fourcc: u32,
    pub width: u32,
    pub height: u32,
    /// Bytes from row to row.
    pub stride: u32,
}

/// An open node.
#[derive(Debug)]
pub(super) struct Node {
    fd: OwnedFd,
}

/// Kernel structures for which all bytes zero is a valid value.
///
/// # Safety
/// Plain C data: integers, arrays of them, unions of such, and raw pointers.
#[allow(unsafe_code)]
unsafe trait Plain: Sized {
    fn zeroed() -> Self {
        // SAFETY: the trait's promise.
        unsafe { std::mem::zeroed() }
    }
}
// SAFETY: generated from linux/videodev2.h; integers, integer arrays, unions and raw pointers only.
#[allow(unsafe_code)]
unsafe impl Plain for sys::v4l2_capability {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Plain for sys::v4l2_fmtdesc {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Plain for sys::v4l2_format {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Plain for sys::v4l2_streamparm {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Plain for sys::v4l2_requestbuffers {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Plain for sys::v4l2_buffer {}
// SAFETY: an integer.
#[allow(unsafe_code)]
unsafe impl Plain for std::os::raw::c_int {}

/// One ioctl, repeated when a signal interrupts it.
///
/// # Safety
/// `request` must be a call whose argument is a `T`, and pointers within `argument` must be valid for it.
#[allow(unsafe_code)]
unsafe fn ioctl<T: Plain>(fd: &OwnedFd, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    loop {
        // SAFETY: `argument` is an exclusive, live T, which the caller promises to be what the call takes.
        let answer =
            unsafe { v4l::v4l2::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument).cast()) };
        match answer {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

impl Node {
    /// Opens a device node, not blocking and not inherited by other programs.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(Self { fd: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// VIDIOC_QUERYCAP.
    #[allow(unsafe_code)]
    pub fn capabilities(&self) -> io::Result<Capabilities> {
        let mut answer = sys::v4l2_capability::zeroed();
        // SAFETY: VIDIOC_QUERYCAP takes a v4l2_capability, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_QUERYCAP, &mut answer) }?;
        let whole = answer.capabilities;
        let bits = if whole & sys::V4L2_CAP_DEVICE_CAPS != 0 { answer.device_caps } else { whole };
        Ok(Capabilities { card: text(&answer.card), bits })
    }

    /// VIDIOC_ENUM_FMT: the codes of what the node offers.
    #[allow(unsafe_code)]
    pub fn offered_formats(&self) -> Vec<u32> {
        let mut codes = Vec::new();
        for index in 0..FORMATS_LISTED_MAX {
            let mut entry = sys::v4l2_fmtdesc::zeroed();
            entry.index = index;
            entry.type_ = CAPTURE;
            // SAFETY: VIDIOC_ENUM_FMT takes a v4l2_fmtdesc, which holds no pointer.
            if unsafe { ioctl(&self.fd, vidioc::VIDIOC_ENUM_FMT, &mut entry) }.is_err() {
                break;
            }
            codes.push(entry.pixelformat);
        }
        codes
    }

    /// VIDIOC_G_FMT.
    #[allow(unsafe_code)]
    pub fn format(&self) -> io::Result<PictureFormat> {
        let mut format = sys::v4l2_format::zeroed();
        format.type_ = CAPTURE;
        // SAFETY: VIDIOC_G_FMT takes a v4l2_format; of the capture type it holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_G_FMT, &mut format) }?;
        Ok(picture_format(&format))
    }

    /// VIDIOC_S_FMT: asks for a format and size, gives what the driver made of it.
    #[allow(unsafe_code)]
    pub fn set_format(&self, fourcc: u32, width: u32, height: u32) -> io::Result<PictureFormat> {
        let mut format = sys::v4l2_format::zeroed();
        format.type_ = CAPTURE;
        let mut pix = pix(&format);
        pix.width = width;
        pix.height = height;
        pix.pixelformat = fourcc;
        pix.field = sys::v4l2_field_V4L2_FIELD_ANY;
        format.fmt.pix = pix;
        // SAFETY: VIDIOC_S_FMT takes a v4l2_format; of the capture type it holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_S_FMT, &mut format) }?;
        Ok(picture_format(&format))
    }

    /// VIDIOC_S_PARM: asks for a frame rate.
    #[allow(unsafe_code)]
    pub fn set_rate(&self, fps: u32) -> io::Result<()> {
        let mut rate = sys::v4l2_streamparm::zeroed();
        rate.type_ = CAPTURE;
        // SAFETY: zeroed above, and all variants of the union are plain integers.
        let mut capture = unsafe { rate.parm.capture };
        capture.timeperframe = sys::v4l2_fract { numerator: 1, denominator: fps.max(1) };
        rate.parm.capture = capture;
        // SAFETY: VIDIOC_S_PARM takes a v4l2_streamparm, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_S_PARM, &mut rate) }
    }

    /// VIDIOC_REQBUFS: asks for `count` buffers (0 frees them), gives how many there are.
    #[allow(unsafe_code)]
    fn request_buffers(&self, count: u32) -> io::Result<u32> {
        let mut request = sys::v4l2_requestbuffers::zeroed();
        request.count = count;
        request.type_ = CAPTURE;
        request.memory = MMAP;
        // SAFETY: VIDIOC_REQBUFS takes a v4l2_requestbuffers, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_REQBUFS, &mut request) }?;
        Ok(request.count)
    }

    /// One of the calls on a buffer description.
    #[allow(unsafe_code)]
    fn buffer_call(&self, call: BufferCall, index: u32) -> io::Result<sys::v4l2_buffer> {
        let mut buffer = sys::v4l2_buffer::zeroed();
        buffer.index = index;
        buffer.type_ = CAPTURE;
        buffer.memory = MMAP;
        let request = match call {
            BufferCall::Query => vidioc::VIDIOC_QUERYBUF,
            BufferCall::Queue => vidioc::VIDIOC_QBUF,
            BufferCall::Dequeue => vidioc::VIDIOC_DQBUF,
        };
        // SAFETY: these three take a v4l2_buffer; with memory MMAP and a single-planar type the kernel follows no
        // pointer in it.
        unsafe { ioctl(&self.fd, request, &mut buffer) }?;
        Ok(buffer)
    }

    #[allow(unsafe_code)]
    fn stream(&self, on: StreamCall) -> io::Result<()> {
        let request = match on {
            StreamCall::On => vidioc::VIDIOC_STREAMON,
            StreamCall::Off => vidioc::VIDIOC_STREAMOFF,
        };
        let mut kind = std::os::raw::c_int::try_from(CAPTURE).unwrap_or(1);
        // SAFETY: both take a pointer to the buffer type as an int.
        unsafe { ioctl(&self.fd, request, &mut kind) }
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

enum BufferCall {
    Query,
    Queue,
    Dequeue,
}

enum StreamCall {
    On,
    Off,
}

#[allow(unsafe_code)]
fn pix(format: &sys::v4l2_format) -> sys::v4l2_pix_format {
    // SAFETY: `format` was zeroed before the kernel wrote to it, and every bit pattern is a valid v4l2_pix_format.
    unsafe { format.fmt.pix }
}

fn picture_format(format: &sys::v4l2_format) -> PictureFormat {
    let pix = pix(format);
    PictureFormat { fourcc: pix.pixelformat, width: pix.width, height: pix.height, stride: pix.bytesperline }
}

/// A C string of the kernel as printable ASCII.
fn text(bytes: &[u8]) -> String {
    let printable = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
    bytes.iter().take_while(|byte| **byte != 0).map(printable).collect()
}

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
    fn the_calls_are_those_of_the_kernels_header() {
        // linux/videodev2.h on 64-bit targets.
        assert_eq!(vidioc::VIDIOC_QUERYCAP, 0x8068_5600);
        assert_eq!(vidioc::VIDIOC_REQBUFS, 0xc014_5608);
        if cfg!(target_pointer_width = "64") {
            assert_eq!(vidioc::VIDIOC_DQBUF, 0xc058_5611);
            assert_eq!(vidioc::VIDIOC_S_FMT, 0xc0d0_5605);
        }
    }

    #[test]
    fn a_mapping_shows_the_files_bytes_and_ends_quietly() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let node = Arc::new(Node { fd: file.into() });
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

    #[test]
    fn a_cards_name_cannot_bring_control_characters() {
        assert_eq!(text(b"UVC \x1b[31m\xffCam\0rest"), "UVC ?[31m?Cam");
        assert_eq!(text(&[]), "");
    }
}
