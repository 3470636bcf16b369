//! The system calls on a Video4Linux capture node. With [`super::mmap`] the only unsafe code of this room.
//!
//! The ioctl numbers and structures are those of the `v4l` crate, which its build takes from the target's own
//! kernel headers. Its `Device` and stream are not used: they panic on some answers of the kernel, cannot go on
//! after a timeout, and open the node without close-on-exec.
//!
//! Each function makes one call with a zeroed structure of the type that the call's number names, so that the
//! kernel writes within it. Lists that the kernel gives have a longest length: a driver may never end one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::controls::{Control, Controls, Kind};
use super::negotiate::{Formats, PictureFormat};

// The size is part of the ioctl number: headers of another target would give ENOTTY on every call. 32-bit targets
// have 80 bytes with 64-bit time and 68 without; the kernel knows both.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<sys::v4l2_buffer>() == 88);
#[cfg(target_pointer_width = "32")]
const _: () = assert!(matches!(size_of::<sys::v4l2_buffer>(), 68 | 80));

const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;
/// Most formats and sizes that are listed.
const LISTED_MAX: u32 = 64;
/// Most controls that are listed.
const CONTROLS_MAX: usize = 256;

/// What VIDIOC_QUERYCAP says.
#[derive(Debug, Clone)]
pub(super) struct Capabilities {
    /// The device's name, whatever is not printable ASCII replaced; `bus` and `driver` too.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// The kernel's driver.
    pub driver: String,
    /// What this node can do (`device_caps`, or `capabilities` of an old driver).
    pub bits: u32,
}

impl Capabilities {
    /// Single-planar capture with streaming.
    pub fn can_capture(&self) -> bool {
        self.bits & sys::V4L2_CAP_VIDEO_CAPTURE != 0 && self.bits & sys::V4L2_CAP_STREAMING != 0
    }
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

macro_rules! plain {
    ($($structure:ty),+) => { $(
        // SAFETY: generated from linux/videodev2.h; integers, integer arrays, unions and raw pointers only.
        #[allow(unsafe_code)]
        unsafe impl Plain for $structure {}
    )+ };
}
plain!(
    sys::v4l2_capability,
    sys::v4l2_fmtdesc,
    sys::v4l2_frmsizeenum,
    sys::v4l2_format,
    sys::v4l2_streamparm,
    sys::v4l2_requestbuffers,
    sys::v4l2_buffer,
    sys::v4l2_queryctrl,
    sys::v4l2_querymenu,
    sys::v4l2_control,
    std::os::raw::c_int
);

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

    /// An open file that is no node, for tests.
    #[cfg(test)]
    pub fn of_file(file: std::fs::File) -> Self {
        Self { fd: file.into() }
    }

    /// VIDIOC_QUERYCAP.
    #[allow(unsafe_code)]
    pub fn capabilities(&self) -> io::Result<Capabilities> {
        let mut answer = sys::v4l2_capability::zeroed();
        // SAFETY: VIDIOC_QUERYCAP takes a v4l2_capability, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_QUERYCAP, &mut answer) }?;
        let whole = answer.capabilities;
        let bits = if whole & sys::V4L2_CAP_DEVICE_CAPS != 0 { answer.device_caps } else { whole };
        let [card, bus, driver] = [&answer.card[..], &answer.bus_info[..], &answer.driver[..]].map(text);
        Ok(Capabilities { card, bus, driver, bits })
    }

    /// VIDIOC_ENUM_FRAMESIZES: the size of that index, `None` after the last one.
    #[allow(unsafe_code)]
    fn size(&self, fourcc: u32, index: u32) -> Option<Size> {
        let mut entry = sys::v4l2_frmsizeenum::zeroed();
        entry.index = index;
        entry.pixel_format = fourcc;
        // SAFETY: VIDIOC_ENUM_FRAMESIZES takes a v4l2_frmsizeenum, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_ENUM_FRAMESIZES, &mut entry) }.ok()?;
        if entry.type_ == sys::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
            // SAFETY: zeroed above, and all variants of the union are plain integers.
            let size = unsafe { entry.__bindgen_anon_1.discrete };
            return Some(Size::One(size.width, size.height));
        }
        // SAFETY: as above.
        let range = unsafe { entry.__bindgen_anon_1.stepwise };
        Some(Size::Range((range.min_width, range.min_height), (range.max_width, range.max_height)))
    }

    /// The sizes that a format has; none for a source that has no choice, such as an HDMI input.
    pub fn sizes(&self, fourcc: u32) -> Vec<Size> {
        (0..LISTED_MAX).map_while(|index| self.size(fourcc, index)).collect()
    }

    /// VIDIOC_S_PARM: asks for a frame rate, gives the one that the driver chose in frames a second; `None` when this
    /// source has no such choice.
    #[allow(unsafe_code)]
    pub fn set_rate(&self, fps: u32) -> io::Result<Option<f64>> {
        let mut rate = sys::v4l2_streamparm::zeroed();
        rate.type_ = CAPTURE;
        // SAFETY: zeroed above, and all variants of the union are plain integers.
        let mut capture = unsafe { rate.parm.capture };
        capture.timeperframe = sys::v4l2_fract { numerator: 1, denominator: fps.max(1) };
        rate.parm.capture = capture;
        // SAFETY: VIDIOC_S_PARM takes a v4l2_streamparm, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_S_PARM, &mut rate) }?;
        // SAFETY: as above, and any bits are valid integers.
        let chosen = unsafe { rate.parm.capture };
        let sys::v4l2_fract { numerator, denominator } = chosen.timeperframe;
        let settable = chosen.capability & sys::V4L2_CAP_TIMEPERFRAME != 0;
        Ok((settable && numerator != 0).then(|| f64::from(denominator) / f64::from(numerator)))
    }

    /// VIDIOC_QUERYCTRL of one control, or with the flag V4L2_CTRL_FLAG_NEXT_CTRL of the one after it.
    #[allow(unsafe_code)]
    fn query_control(&self, id: u32) -> Option<Control> {
        let mut answer = sys::v4l2_queryctrl::zeroed();
        answer.id = id;
        // SAFETY: VIDIOC_QUERYCTRL takes a v4l2_queryctrl, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_QUERYCTRL, &mut answer) }.ok()?;
        let idle = sys::V4L2_CTRL_FLAG_INACTIVE | sys::V4L2_CTRL_FLAG_GRABBED;
        let unusable = sys::V4L2_CTRL_FLAG_DISABLED | sys::V4L2_CTRL_FLAG_READ_ONLY;
        Some(Control {
            id: answer.id,
            name: text(&answer.name),
            kind: match answer.type_ {
                sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER => Kind::Number,
                sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => Kind::Switch,
                sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => {
                    Kind::Menu
                }
                _ => Kind::Other,
            },
            least: answer.minimum,
            most: answer.maximum,
            step: answer.step,
            default: answer.default_value,
            writable: answer.flags & unusable == 0,
            active: answer.flags & idle == 0,
        })
    }

    /// All controls that hold one value.
    pub fn controls(&self) -> Vec<Control> {
        let mut found = Vec::new();
        let mut last = 0;
        while found.len() < CONTROLS_MAX {
            let Some(control) = self.query_control(last | sys::V4L2_CTRL_FLAG_NEXT_CTRL) else { break };
            if control.id <= last {
                break;
            }
            last = control.id;
            found.push(control);
        }
        found.retain(|control| control.kind != Kind::Other);
        found
    }

    /// VIDIOC_REQBUFS: asks for `count` buffers (0 frees them), gives how many there are.
    #[allow(unsafe_code)]
    pub fn request_buffers(&self, count: u32) -> io::Result<u32> {
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
    pub fn buffer_call(&self, call: BufferCall, index: u32) -> io::Result<sys::v4l2_buffer> {
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

    /// VIDIOC_STREAMON or VIDIOC_STREAMOFF.
    #[allow(unsafe_code)]
    pub fn stream(&self, on: StreamCall) -> io::Result<()> {
        let request = match on {
            StreamCall::On => vidioc::VIDIOC_STREAMON,
            StreamCall::Off => vidioc::VIDIOC_STREAMOFF,
        };
        let mut kind = std::os::raw::c_int::try_from(CAPTURE).unwrap_or(1);
        // SAFETY: both take a pointer to the buffer type as an int.
        unsafe { ioctl(&self.fd, request, &mut kind) }
    }
}

impl Formats for Node {
    /// VIDIOC_ENUM_FMT: the codes of what the node offers.
    #[allow(unsafe_code)]
    fn offered(&self) -> Vec<u32> {
        let mut codes = Vec::new();
        for index in 0..LISTED_MAX {
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

    fn has_sizes(&self, fourcc: u32) -> bool {
        self.size(fourcc, 0).is_some()
    }

    /// VIDIOC_G_FMT.
    #[allow(unsafe_code)]
    fn format(&self) -> io::Result<PictureFormat> {
        let mut format = sys::v4l2_format::zeroed();
        format.type_ = CAPTURE;
        // SAFETY: VIDIOC_G_FMT takes a v4l2_format; of the capture type it holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_G_FMT, &mut format) }?;
        Ok(picture_format(&format))
    }

    /// VIDIOC_S_FMT.
    #[allow(unsafe_code)]
    fn set_format(&self, fourcc: u32, width: u32, height: u32) -> io::Result<PictureFormat> {
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
}

impl Controls for Node {
    fn query(&self, id: u32) -> Option<Control> {
        self.query_control(id).filter(|control| control.id == id)
    }

    /// VIDIOC_QUERYMENU.
    #[allow(unsafe_code)]
    fn has_choice(&self, id: u32, choice: i32) -> bool {
        let Ok(index) = u32::try_from(choice) else { return false };
        let mut answer = sys::v4l2_querymenu::zeroed();
        answer.id = id;
        answer.index = index;
        // SAFETY: VIDIOC_QUERYMENU takes a v4l2_querymenu, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_QUERYMENU, &mut answer) }.is_ok()
    }

    /// VIDIOC_G_CTRL.
    #[allow(unsafe_code)]
    fn get(&self, id: u32) -> io::Result<i32> {
        let mut control = sys::v4l2_control::zeroed();
        control.id = id;
        // SAFETY: VIDIOC_G_CTRL takes a v4l2_control, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_G_CTRL, &mut control) }?;
        Ok(control.value)
    }

    /// VIDIOC_S_CTRL.
    #[allow(unsafe_code)]
    fn set(&self, id: u32, value: i32) -> io::Result<()> {
        let mut control = sys::v4l2_control::zeroed();
        control.id = id;
        control.value = value;
        // SAFETY: VIDIOC_S_CTRL takes a v4l2_control, which holds no pointer.
        unsafe { ioctl(&self.fd, vidioc::VIDIOC_S_CTRL, &mut control) }
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A size that a format has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Just this one: pixels in a row, rows.
    One(u32, u32),
    /// Anything from the least to the most.
    Range((u32, u32), (u32, u32)),
}

/// Calls that take a buffer description.
pub(super) enum BufferCall {
    Query,
    Queue,
    Dequeue,
}

/// Calls that start and stop a stream.
pub(super) enum StreamCall {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_those_of_the_kernels_header() {
        // linux/videodev2.h on 64-bit targets.
        assert_eq!(vidioc::VIDIOC_QUERYCAP, 0x8068_5600);
        assert_eq!(vidioc::VIDIOC_REQBUFS, 0xc014_5608);
        assert_eq!(vidioc::VIDIOC_QUERYCTRL, 0xc044_5624);
        assert_eq!(vidioc::VIDIOC_ENUM_FRAMESIZES, 0xc02c_564a);
        if cfg!(target_pointer_width = "64") {
            assert_eq!(vidioc::VIDIOC_DQBUF, 0xc058_5611);
            assert_eq!(vidioc::VIDIOC_S_FMT, 0xc0d0_5605);
        }
    }

    #[test]
    fn what_is_no_camera_has_no_formats_sizes_or_controls() {
        let node = Node::of_file(tempfile::tempfile().unwrap());
        assert!(node.offered().is_empty());
        assert!(node.sizes(0).is_empty());
        assert!(node.controls().is_empty() && node.query(1).is_none() && !node.has_choice(1, 0));
        assert!(node.capabilities().is_err() && node.set_rate(15).is_err());
    }

    #[test]
    fn a_cards_name_cannot_bring_control_characters() {
        assert_eq!(text(b"UVC \x1b[31m\xffCam\0rest"), "UVC ?[31m?Cam");
        assert_eq!(text(&[]), "");
    }
}
