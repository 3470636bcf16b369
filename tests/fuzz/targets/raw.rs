//! A driver's buffer whose width, height, stride and length may all lie: it is refused, or looked at, averaged, measured and
//! converted without reading beside it. One input in many goes through the network.
//!
//! A format's byte, then width, height, stride and length as 16 bits each, then bytes that are repeated up to that length.
#![no_main]

use latchd::camera::RawFrame;
use latchd::camera::convert::{Format, Layout, to_pixels};
use latchd::capture::gate::{Meter, digest, measure};
use latchd::clock::BootTime;
use latchd::eyes::{Detector, FrameView};
use latchd::picture::Frame;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

/// One input in so many is shown to the network.
const LOOK_EVERY: u32 = 512;

thread_local! {
    static EYES: RefCell<(Detector, Meter)> =
        RefCell::new((Detector::new().expect("the network"), Meter::default()));
}

/// Sides as a camera has them, and with the last few values those that none has.
fn side(bytes: [u8; 2]) -> u32 {
    match u16::from_le_bytes(bytes) {
        value @ 0xfff0.. => u32::MAX - u32::from(0xffff - value),
        value => value.into(),
    }
}

fn look(view: &FrameView<'_>, bytes: &[u8], with_network: bool) {
    let pixels: usize = view.pieces().map(<[u8]>::len).sum();
    assert!(pixels > 0 && pixels <= bytes.len());
    digest(view);
    EYES.with_borrow_mut(|(detector, meter)| {
        let seen = meter.overview(view);
        assert!(
            (0.0..=255.5).contains(&seen.luma_mean) && (0.0..=255.5).contains(&seen.brightest),
            "{seen:?}"
        );
        assert!(seen.sharpness >= 0.0, "{seen:?}");
        detector.average(view);
        if with_network {
            let sight = detector.look(view, None);
            assert!(sight.searched() && sight.whole.is_some_and(|pass| pass.score.is_finite()));
        }
    });
}

fuzz_target!(|data: &[u8]| {
    let [format, w0, w1, h0, h1, s0, s1, l0, l1, pattern @ ..] = data else { return };
    let (width, height, stride) = (side([*w0, *w1]), side([*h0, *h1]), side([*s0, *s1]));
    let length = usize::from(u16::from_le_bytes([*l0, *l1]));
    let bytes: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
    let with_network = crc32fast::hash(data).is_multiple_of(LOOK_EVERY);

    let format = match format % 4 {
        0 => Format::Yuyv,
        1 => Format::Nv12,
        thirds => {
            let view = match thirds {
                2 => FrameView::rgb(width, height, &bytes),
                _ => FrameView::ycc(width, height, &bytes),
            };
            view.iter().for_each(|view| look(view, &bytes, with_network));
            let refused = view.is_err();
            let frame = Frame { width, height, rgb: bytes, sequence: 0, taken: BootTime::from_micros(0) };
            assert_eq!(RawFrame::from(&frame).to_frame().is_err(), refused);
            let measures = measure(&RawFrame::from(&frame));
            assert!(!refused || measures.overview.is_some_and(|seen| seen.luma_mean == 0.0));
            return;
        }
    };
    let view = match format {
        Format::Yuyv => FrameView::yuyv(width, height, stride, &bytes),
        _ => FrameView::nv12(width, height, stride, &bytes),
    };
    view.iter().for_each(|view| look(view, &bytes, with_network));
    // Who keeps a picture and who only looks at it refuse the same frames.
    let pixels = to_pixels(Layout { format, width, height, stride }, &bytes);
    assert_eq!(view.is_ok(), pixels.is_ok(), "{view:?} {:?}", pixels.err());
    pixels.iter().for_each(|pixels| assert_eq!(pixels.rgb.len(), width as usize * height as usize * 3));
});
