//! A camera that is mounted on its side: each frame is converted and turned, so that everybody else sees people upright.

use super::exposure::Towards;
use super::source::{Agreed, Source};
use super::{CameraError, RawFrame};
use crate::config::model::Rotate;
use crate::picture::Frame;

/// A source whose frames are turned.
pub(super) struct Turned {
    inner: Box<dyn Source>,
    rotate: Rotate,
    frame: Option<Frame>,
}

impl Turned {
    /// The source itself, when nothing is to be turned.
    pub fn of(inner: Box<dyn Source>, rotate: Rotate) -> Box<dyn Source> {
        match rotate {
            Rotate::None => inner,
            Rotate::Clockwise | Rotate::Half | Rotate::Counterclockwise => {
                Box::new(Self { inner, rotate, frame: None })
            }
        }
    }
}

impl Source for Turned {
    fn advance(&mut self) -> Result<(), CameraError> {
        self.frame = None;
        let raw = self.inner.next_frame()?;
        // The source has looked at the layout; one that makes no sense all the same is no frame, and ends the burst.
        self.frame = raw.to_frame().ok().map(|frame| turned(frame, self.rotate));
        Ok(())
    }

    fn frame(&self) -> RawFrame<'_> {
        self.frame.as_ref().map_or(RawFrame::NONE, RawFrame::from)
    }

    fn expose(&mut self, towards: Towards) -> bool {
        self.inner.expose(towards)
    }

    fn describe(&self) -> String {
        let how = match self.rotate {
            Rotate::None => "not turned",
            Rotate::Clockwise => "turned clockwise",
            Rotate::Half => "turned upside down",
            Rotate::Counterclockwise => "turned counterclockwise",
        };
        format!("{}, {how}", self.inner.describe())
    }

    fn agreed(&self) -> Option<&Agreed> {
        self.inner.agreed()
    }
}

fn turned(mut frame: Frame, rotate: Rotate) -> Frame {
    let width = usize::try_from(frame.width).unwrap_or(0);
    let pixels = frame.rgb.as_chunks::<3>().0;
    let rows = || pixels.chunks_exact(width.max(1));
    let mut rgb: Vec<[u8; 3]> = Vec::with_capacity(pixels.len());
    // A column of the picture that was becomes a row.
    match rotate {
        Rotate::None => return frame,
        Rotate::Half => rgb.extend(pixels.iter().rev()),
        Rotate::Clockwise => (0..width).for_each(|x| rgb.extend(rows().rev().filter_map(|row| row.get(x)))),
        Rotate::Counterclockwise => {
            (0..width).rev().for_each(|x| rgb.extend(rows().filter_map(|row| row.get(x))))
        }
    }
    frame.rgb = rgb.into_flattened();
    if rotate != Rotate::Half {
        (frame.width, frame.height) = (frame.height, frame.width);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;

    struct Still(Frame);

    impl Source for Still {
        fn advance(&mut self) -> Result<(), CameraError> {
            Ok(())
        }
        fn frame(&self) -> RawFrame<'_> {
            RawFrame::from(&self.0)
        }
        fn expose(&mut self, _: Towards) -> bool {
            true
        }
        fn describe(&self) -> String {
            "a camera".into()
        }
    }

    fn shown(rotate: Rotate, width: u32, height: u32, pixels: &[u8]) -> (u32, u32, Vec<u8>) {
        let rgb = pixels.iter().flat_map(|pixel| [*pixel; 3]).collect();
        let frame = Frame { width, height, rgb, sequence: 7, taken: BootTime::from_millis(9) };
        let mut source = Turned::of(Box::new(Still(frame)), rotate);
        let frame = source.next_frame().unwrap().to_frame().unwrap();
        assert_eq!((frame.sequence, frame.taken), (7, BootTime::from_millis(9)));
        assert!(source.expose(Towards::Brighter));
        (frame.width, frame.height, frame.rgb.as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn a_picture_is_turned() {
        // 1 2 3
        // 4 5 6
        let of = |rotate| shown(rotate, 3, 2, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(of(Rotate::None), (3, 2, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(of(Rotate::Clockwise), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(of(Rotate::Half), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(of(Rotate::Counterclockwise), (2, 3, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn what_is_no_frame_stays_none() {
        let nothing = Frame { width: 0, height: 0, rgb: vec![], sequence: 0, taken: BootTime::default() };
        let mut source = Turned::of(Box::new(Still(nothing)), Rotate::Clockwise);
        assert!(source.next_frame().unwrap().view().is_err());
        assert_eq!(source.describe(), "a camera, turned clockwise");
    }
}
