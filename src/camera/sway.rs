//! One photograph, alive: moved, scaled, relit and, when it shows a face, with the head turning from frame to frame,
//! the same way each time.
//!
//! Frames are computed from their number in integers, so that a frame's bytes are the same on every machine that sees
//! the face in the same pixels. Each of the five movements is a triangle wave of a period of its own; a triangle never
//! stands still, so no two frames in a row are alike unless the photograph has no structure at all. Bounds: 2 % of the
//! frame to each side, scale 0.95 to 1.05, light -8 % to +8 %, head some 7 degrees to each side.
//!
//! The turn gives the flat head a depth, a paraboloid about the face's box, and moves what is nearer farther. It is
//! for a desk without a camera, whose bursts are judged like a door's: a picture that only moves is refused there.

use crate::eyes::{Detector, FrameView};
use crate::picture::Pixels;

/// Room around the frame in the enlarged photograph, per side and in 1/1024 of the frame: half of 1/0.95 - 1
/// for the scale and 2 % for the movement, and a little more.
const MARGIN_1024: u64 = 56;
/// Frames in which the head turns to both sides and back.
const TURN_PERIOD: i64 = 58;
/// How far the middle of the face moves at the end of a turn, in 1/1024 of the face's width.
const TURN_1024: i64 = 280;
/// A face's height in the frame's, in 1/1024.
const FACE_1024: u64 = 430;
/// Parts of a pixel that positions are computed in.
const ONE: i64 = 1 << 16;

/// The enlarged photograph and the size of its frames.
#[derive(Debug)]
pub struct Sway {
    base: Pixels,
    head: Option<Head>,
    width: u32,
    height: u32,
}

/// What turns: an ellipse of the enlarged photograph, in whole pixels.
#[derive(Debug, Clone, Copy)]
struct Head {
    x: i64,
    y: i64,
    /// Half axes, at least 1.
    across: i64,
    down: i64,
    /// How far its middle moves at the end of a turn, in 1/65536 of a pixel.
    reach: i64,
}

impl Head {
    /// The head of a face in the photograph, `cut` out and scaled to a side of `height`.
    fn of(face: &Face, cut: &Cut, height: u64) -> Self {
        let number = |side: u64| i64::try_from(side).unwrap_or(0);
        let scaled = |length: i64| length * number(height) / number(cut.height).max(1);
        let width = scaled(face.width).max(1);
        Self {
            x: scaled(face.x - number(cut.left)),
            y: scaled(face.y - number(cut.top)),
            across: (width * 9 / 10).max(1),
            down: (scaled(face.height) * 11 / 10).max(1),
            reach: width * ONE / 1024 * TURN_1024,
        }
    }

    /// How much of the turn a pixel makes: 0 outside to 1 << 20 in the middle.
    fn depth(&self, x: i64, y: i64) -> i64 {
        let (u, v) = ((x - self.x) * 1024 / self.across, (y - self.y) * 1024 / self.down);
        ((1 << 20) - u * u - v * v).max(0)
    }
}

impl Sway {
    /// Scales `photograph` so that it covers frames of `width` x `height` (both at least 1) with room to move.
    pub fn new(photograph: &Pixels, width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let grown = |side: u32| u64::from(side) + 2 * (u64::from(side) * MARGIN_1024 / 1024 + 1);
        let (wide, high) = (grown(width), grown(height));
        let face = Face::of(photograph);
        let cut = Cut::of(photograph, wide, high, face.as_ref());
        let head = face.map(|face| Head::of(&face, &cut, high));
        let base = cut.scaled(photograph, wide, high);
        Self { base, head, width, height }
    }

    /// The same with a head that never turns.
    #[cfg(test)]
    pub(crate) fn flat(photograph: &Pixels, width: u32, height: u32) -> Self {
        Self { head: None, ..Self::new(photograph, width, height) }
    }

    /// Frame `number`: `width * height * 3` bytes of RGB.
    pub fn frame(&self, number: u32) -> Vec<u8> {
        let number = i64::from(number);
        // 1/65536 of a source pixel for each frame pixel: 1/1.05 to 1/0.95.
        let step = ONE + triangle(number, 74, ONE * 50 / 1000);
        let left =
            start(self.base.width, self.width, step, triangle(number, 62, ONE * i64::from(self.width) / 50));
        let top = start(
            self.base.height,
            self.height,
            step,
            triangle(number, 46, ONE * i64::from(self.height) / 50),
        );
        // 256 is the light of the photograph; 8 % of it are 20.
        let light = 256 + triangle(number, 34, 20);
        let turn = self.head.map_or(0, |head| triangle(number, TURN_PERIOD, head.reach));
        self.render(step, left, top, turn, u32::try_from(light).unwrap_or(256))
    }

    fn render(&self, step: i64, left: i64, top: i64, turn: i64, light: u32) -> Vec<u8> {
        let stride = to_index(self.base.width) * 3;
        let column = |position| {
            let (pixel, part) = split(position, self.base.width);
            (pixel * 3, part)
        };
        let columns: Vec<_> = (0..i64::from(self.width)).map(|x| column(left + x * step)).collect();
        let mut turned = columns.clone();
        let mut out = Vec::with_capacity(to_index(self.width) * to_index(self.height) * 3);
        let mut blended = vec![0u16; stride];
        for y in 0..i64::from(self.height) {
            let (row, part) = split(top + y * step, self.base.height);
            let upper = self.base.rgb.get(row * stride..(row + 1) * stride).unwrap_or_default();
            let lower = self.base.rgb.get((row + 1) * stride..(row + 2) * stride).unwrap_or(upper);
            for ((blend, above), below) in blended.iter_mut().zip(upper).zip(lower) {
                let mixed = u32::from(*above) * (256 - part) + u32::from(*below) * part;
                // At most 255 * 256 * 276 / 65536 * 64: fits; 6 bits stay for the horizontal step.
                *blend = u16::try_from((mixed * light) >> 10).unwrap_or(u16::MAX);
            }
            let y = (top + y * step) / ONE;
            let head = self.head.filter(|head| (y - head.y).abs() < head.down);
            if let Some(head) = head {
                for (x, turned) in (0..).zip(&mut turned) {
                    let position = left + x * step;
                    *turned = column(position - turn * head.depth(position / ONE, y) / (1 << 20));
                }
            }
            for (at, part) in if head.is_some() { &turned } else { &columns } {
                if let Some(&[r0, g0, b0, r1, g1, b1]) = blended.get(*at..*at + 6) {
                    out.extend([mix(r0, r1, *part), mix(g0, g1, *part), mix(b0, b1, *part)]);
                } else if let Some(&[r, g, b]) = blended.get(*at..*at + 3) {
                    out.extend([mix(r, r, 0), mix(g, g, 0), mix(b, b, 0)]);
                }
            }
        }
        out
    }
}

/// Between two blended values, rounded back to 8 bits.
fn mix(left: u16, right: u16, part: u32) -> u8 {
    let mixed = u32::from(left) * (256 - part) + u32::from(right) * part;
    u8::try_from((mixed + (1 << 13)) >> 14).unwrap_or(u8::MAX)
}

/// -`height`..=`height` and back within `period` (even) frames, a step at every frame.
fn triangle(number: i64, period: i64, height: i64) -> i64 {
    let half = period / 2;
    let up = number.rem_euclid(period);
    let distance = if up <= half { up } else { period - up };
    (2 * distance - half) * height / half
}

/// Where the first pixel of a frame of `side` pixels lies so that the frame is centred, moved by `shift`.
fn start(base: u32, side: u32, step: i64, shift: i64) -> i64 {
    (i64::from(base) * ONE - i64::from(side) * step) / 2 + shift
}

/// A position as a pixel within `0..side` and 0..=255 parts of the way to the next one.
fn split(position: i64, side: u32) -> (usize, u32) {
    let position = position.clamp(0, (i64::from(side) - 1) * ONE);
    (usize::try_from(position >> 16).unwrap_or(0), u32::try_from((position >> 8) & 0xff).unwrap_or(0))
}

fn to_index(side: u32) -> usize {
    usize::try_from(side).unwrap_or(usize::MAX)
}

/// A face's box in the photograph, in whole pixels.
struct Face {
    x: i64,
    y: i64,
    width: i64,
    height: i64,
}

impl Face {
    /// The best one, if there is one.
    fn of(photograph: &Pixels) -> Option<Self> {
        let view = FrameView::rgb(photograph.width, photograph.height, &photograph.rgb).ok()?;
        let bounds = Detector::new().ok()?.look(&view, None).best?.face.bounds;
        // The sides of a picture are far below 2^24.
        #[allow(clippy::cast_possible_truncation)]
        let whole = |position: f32| position.round() as i64;
        let centre = bounds.centre();
        Some(Self {
            x: whole(centre.x),
            y: whole(centre.y),
            width: whole(bounds.width()),
            height: whole(bounds.height()),
        })
    }
}

/// The part of the photograph that is shown, in its pixels.
struct Cut {
    left: u64,
    top: u64,
    width: u64,
    height: u64,
}

impl Cut {
    /// The largest part in the shape of `width` x `height`, from the middle; with a face only so much that the face
    /// fills what a person before a door fills, and that from about the face.
    fn of(photograph: &Pixels, width: u64, height: u64, face: Option<&Face>) -> Self {
        let (whole_width, whole_height) =
            (u64::from(photograph.width).max(1), u64::from(photograph.height).max(1));
        // The larger of the two enlargements; as whole numbers of source pixels under the frame.
        let (mut cut_width, mut cut_height) = if width * whole_height > height * whole_width {
            (whole_width, (whole_width * height / width).max(1))
        } else {
            ((whole_height * width / height).max(1), whole_height)
        };
        let (mut x, mut y) = (whole_width / 2, whole_height / 2);
        if let Some(face) = face {
            let position = |at: i64| u64::try_from(at).unwrap_or(0);
            let wanted = position(face.height) * 1024 / FACE_1024;
            if wanted < cut_height {
                (cut_width, cut_height) = ((cut_width * wanted / cut_height).max(1), wanted.max(1));
            }
            (x, y) = (position(face.x), position(face.y));
        }
        let edge = |middle: u64, side: u64, whole: u64| middle.saturating_sub(side / 2).min(whole - side);
        Self {
            left: edge(x, cut_width, whole_width),
            top: edge(y, cut_height, whole_height),
            width: cut_width,
            height: cut_height,
        }
    }

    /// Cuts it out and scales it to `width` x `height`.
    fn scaled(&self, photograph: &Pixels, width: u64, height: u64) -> Pixels {
        let narrow = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
        let view = image::ImageBuffer::<image::Rgb<u8>, _>::from_raw(
            photograph.width,
            photograph.height,
            photograph.rgb.as_slice(),
        );
        let Some(view) = view else {
            return Pixels { width: narrow(width), height: narrow(height), rgb: Vec::new() };
        };
        let [left, top, wide, high] = [self.left, self.top, self.width, self.height].map(narrow);
        let part = image::imageops::crop_imm(&view, left, top, wide, high);
        let filter = image::imageops::FilterType::Lanczos3;
        let scaled = image::imageops::resize(&*part, narrow(width), narrow(height), filter);
        Pixels { width: scaled.width(), height: scaled.height(), rgb: scaled.into_raw() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photograph(width: u32, height: u32) -> Pixels {
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| [(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x * y) % 256) as u8])
            .collect();
        Pixels { width, height, rgb }
    }

    #[test]
    fn no_frame_is_like_the_one_before_and_each_comes_again_the_same() {
        let sway = Sway::new(&photograph(64, 48), 160, 120);
        let again = Sway::new(&photograph(64, 48), 160, 120);
        let mut last = Vec::new();
        for number in 0..300 {
            let frame = sway.frame(number);
            assert_eq!(frame.len(), 160 * 120 * 3);
            assert_ne!(frame, last, "frame {number}");
            assert_eq!(frame, again.frame(number), "frame {number}");
            last = frame;
        }
    }

    #[test]
    fn a_grey_photograph_still_changes_its_light_within_8_percent() {
        let grey = Pixels { width: 20, height: 20, rgb: vec![128; 1200] };
        let sway = Sway::new(&grey, 40, 30);
        let levels: Vec<u8> = (0..68).map(|number| sway.frame(number)[0]).collect();
        assert!(levels.windows(2).all(|pair| pair[0] != pair[1]), "{levels:?}");
        assert_eq!((levels.iter().min(), levels.iter().max()), (Some(&118), Some(&138)));
    }

    #[test]
    fn the_photograph_covers_the_frame_in_every_shape() {
        for (from, to) in
            [((10, 100), (64, 48)), ((100, 10), (48, 64)), ((1, 1), (5, 3)), ((512, 512), (1, 1))]
        {
            let photograph =
                Pixels { width: from.0, height: from.1, rgb: vec![200; (from.0 * from.1 * 3) as usize] };
            let sway = Sway::new(&photograph, to.0, to.1);
            let frame = sway.frame(37);
            assert_eq!(frame.len(), (to.0 * to.1 * 3) as usize);
            assert!(frame.iter().all(|value| (180..=220).contains(value)), "{from:?} {to:?}");
        }
    }

    #[test]
    fn the_window_stays_within_the_enlarged_photograph() {
        for (width, height) in [(160u32, 120u32), (640, 480), (1280, 720), (4096, 4096)] {
            let base = |side: u32| i64::from(side) + 2 * (i64::from(side) * 56 / 1024 + 1);
            for side in [width, height] {
                let step = ONE + ONE * 50 / 1000;
                let first =
                    start(u32::try_from(base(side)).unwrap(), side, step, -ONE * i64::from(side) / 50);
                assert!(first >= 0, "{side}: {first}");
            }
        }
    }
}
