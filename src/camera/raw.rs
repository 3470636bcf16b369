//! A frame as the camera gave it, on loan from its source: what is only looked at is neither copied nor converted.

use super::convert::{Format, FrameError, Layout, to_pixels, ycc_to_pixels};
use crate::clock::BootTime;
use crate::eyes::{EyesError, FrameView};
use crate::picture::ycc::{Decoded, Samples};
use crate::picture::{Frame, Pixels};

/// A borrowed frame. It ends when the source is asked for the next one; [`RawFrame::to_frame`] keeps it.
#[derive(Clone, Copy)]
pub struct RawFrame<'a> {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The source's own number of this frame (V4L2 sequence); stands still when the source does.
    pub sequence: u32,
    /// When the frame was taken.
    pub taken: BootTime,
    kind: Kind,
    bytes: &'a [u8],
}

#[derive(Clone, Copy)]
enum Kind {
    Rgb,
    Ycc,
    /// Bytes from row to row.
    Yuyv(u32),
    Nv12(u32),
}

impl<'a> RawFrame<'a> {
    /// No frame: without a pixel. What a source lends before its first.
    pub const NONE: Self = Self {
        width: 0,
        height: 0,
        sequence: 0,
        taken: BootTime::from_micros(0),
        kind: Kind::Rgb,
        bytes: &[],
    };

    /// 8-bit RGB rows without padding.
    pub(super) fn of_pixels(pixels: &'a Pixels) -> Self {
        Self { width: pixels.width, height: pixels.height, bytes: &pixels.rgb, ..Self::NONE }
    }

    /// What a JPEG was decoded to.
    pub(super) fn of_decoded(decoded: &'a Decoded) -> Self {
        let (width, height) = decoded.size();
        let kind = match decoded.samples() {
            Samples::Ycc => Kind::Ycc,
            Samples::Rgb => Kind::Rgb,
        };
        Self { width, height, kind, bytes: decoded.bytes(), ..Self::NONE }
    }

    /// A driver's buffer. `None` for [`Format::Mjpg`], which must be decoded first.
    pub(super) fn of_buffer(layout: Layout, bytes: &'a [u8]) -> Option<Self> {
        let kind = match layout.format {
            Format::Mjpg => return None,
            Format::Yuyv => Kind::Yuyv(layout.stride),
            Format::Nv12 => Kind::Nv12(layout.stride),
        };
        Some(Self { width: layout.width, height: layout.height, kind, bytes, ..Self::NONE })
    }

    /// With its number and moment.
    pub(super) fn at(self, sequence: u32, taken: BootTime) -> Self {
        Self { sequence, taken, ..self }
    }

    /// The frame for who looks at it.
    ///
    /// # Errors
    /// The driver's layout or byte count is none that a frame has.
    pub fn view(&self) -> Result<FrameView<'a>, EyesError> {
        let Self { width, height, bytes, .. } = *self;
        match self.kind {
            Kind::Rgb => FrameView::rgb(width, height, bytes),
            Kind::Ycc => FrameView::ycc(width, height, bytes),
            Kind::Yuyv(stride) => FrameView::yuyv(width, height, stride, bytes),
            Kind::Nv12(stride) => FrameView::nv12(width, height, stride, bytes),
        }
    }

    /// A copy in RGB, for a picture that is kept.
    ///
    /// # Errors
    /// As [`RawFrame::view`].
    pub fn to_frame(&self) -> Result<Frame, EyesError> {
        let Self { width, height, sequence, taken, bytes, .. } = *self;
        self.view()?;
        let packed = |format, stride| to_pixels(Layout { format, width, height, stride }, bytes);
        let rgb = match self.kind {
            Kind::Rgb => bytes.to_vec(),
            Kind::Ycc => ycc_to_pixels(bytes),
            Kind::Yuyv(stride) => packed(Format::Yuyv, stride).map_err(of_layout)?.rgb,
            Kind::Nv12(stride) => packed(Format::Nv12, stride).map_err(of_layout)?.rgb,
        };
        Ok(Frame { width, height, rgb, sequence, taken })
    }
}

/// A frame that is kept already.
impl<'a> From<&'a Frame> for RawFrame<'a> {
    fn from(frame: &'a Frame) -> Self {
        let Frame { width, height, sequence, taken, .. } = *frame;
        Self { width, height, sequence, taken, kind: Kind::Rgb, bytes: &frame.rgb }
    }
}

/// A JPEG is no layout: those are decoded before they come here.
fn of_layout(error: FrameError) -> EyesError {
    match error {
        FrameError::Short { got, needed } => EyesError::Short { got, needed },
        FrameError::Layout { width, height, stride } => EyesError::Layout { width, height, stride },
        FrameError::Unseen(error) => error,
        FrameError::Jpeg(_) => EyesError::Short { got: 0, needed: 0 },
    }
}

/// Frames show a person: only the size is printed.
impl std::fmt::Debug for RawFrame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFrame({}x{} #{} at {:?})", self.width, self.height, self.sequence, self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_pixels_and_is_no_frame() {
        assert!(matches!(RawFrame::NONE.view(), Err(EyesError::Layout { .. })));
        assert!(RawFrame::NONE.to_frame().is_err());
    }

    #[test]
    fn a_drivers_buffer_is_lent_as_it_is_and_kept_as_rgb() {
        let layout = |format, stride| Layout { format, width: 8, height: 4, stride };
        let bytes: Vec<u8> = (0..100).map(|at| 60 + at).collect();
        for (format, stride) in [(Format::Yuyv, 20), (Format::Nv12, 10)] {
            let raw = RawFrame::of_buffer(layout(format, stride), &bytes).unwrap();
            let raw = raw.at(7, BootTime::from_millis(9));
            let first = raw.view().unwrap().pieces().next().unwrap();
            assert_eq!(first.as_ptr(), bytes.as_ptr(), "{format:?} was copied");
            let frame = raw.to_frame().unwrap();
            assert_eq!(frame.rgb, to_pixels(layout(format, stride), &bytes).unwrap().rgb);
            assert_eq!((frame.width, frame.height, frame.sequence), (8, 4, 7));
            assert_eq!(frame.taken, BootTime::from_millis(9));
            let short = RawFrame::of_buffer(layout(format, stride), &bytes[..30]).unwrap();
            assert!(short.view().is_err() && short.to_frame().is_err());
        }
        assert!(RawFrame::of_buffer(layout(Format::Mjpg, 0), &bytes).is_none());
    }
}
