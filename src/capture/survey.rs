//! PURE. What some frames in a row say of a camera: how fast it is, and the light in front of it.

use super::gate::Measures;
use crate::eyes::Overview;

/// Figures over some frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// How many frames.
    pub frames: u32,
    /// Mean of their mean luminance, 0 to 255.
    pub luminance: f32,
    /// Mean sharpness.
    pub sharpness: f32,
    /// The driver's frames a second by its own count, and those that reached us.
    pub fps: Option<(f64, f64)>,
    /// How often the driver began to count anew: the camera went away and came back.
    pub returns: u32,
}

impl Survey {
    /// Sums up frames in the order in which they came, each measured as a whole.
    pub fn of(seen: &[Measures]) -> Self {
        let frames = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let (mut given, mut returns) = (0_u32, 0);
        for pair in seen.windows(2) {
            if let [before, after] = pair {
                match after.sequence.checked_sub(before.sequence) {
                    Some(step) => given = given.saturating_add(step),
                    None => (given, returns) = (given.saturating_add(1), returns + 1),
                }
            }
        }
        let seconds = match (seen.first(), seen.last()) {
            (Some(first), Some(last)) => last.taken.since(first.taken).as_secs_f64(),
            _ => 0.0,
        };
        let fps = (seconds > 0.0)
            .then(|| (f64::from(given) / seconds, f64::from(frames.saturating_sub(1)) / seconds));
        let mean = |value: fn(&Overview) -> f32| {
            let overviews = seen.iter().filter_map(|measures| measures.overview.as_ref());
            let sum: f64 = overviews.map(|overview| f64::from(value(overview))).sum();
            // A mean of figures of 32 bits needs no more.
            #[allow(clippy::cast_possible_truncation)]
            let mean = (sum / f64::from(frames.max(1))) as f32;
            mean
        };
        Self {
            frames,
            luminance: mean(|overview| overview.luma_mean),
            sharpness: mean(|overview| overview.sharpness),
            fps,
            returns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;

    fn frames(sequences: &[u32]) -> Vec<Measures> {
        let frame = |(index, sequence): (usize, &u32)| Measures {
            width: 640,
            height: 480,
            overview: Some(Overview { luma_mean: 90.0, brightest: 200.0, sharpness: 0.1 }),
            digest: 0,
            sequence: *sequence,
            taken: BootTime::from_millis(1000 + u64::try_from(index).unwrap() * 100),
            sight: None,
        };
        sequences.iter().enumerate().map(frame).collect()
    }

    #[test]
    fn the_drivers_rate_counts_frames_that_were_passed_over() {
        let measured = Survey::of(&frames(&[5, 6, 8, 9, 11]));
        assert_eq!((measured.frames, measured.fps, measured.returns), (5, Some((15.0, 10.0)), 0));
        assert!((measured.luminance - 90.0).abs() < f32::EPSILON);
        assert!(Survey::of(&frames(&[7])).fps.is_none());
    }

    #[test]
    fn a_camera_that_came_back_counts_anew() {
        let measured = Survey::of(&frames(&[500, 501, 0, 1, 2]));
        assert_eq!((measured.fps, measured.returns), (Some((10.0, 10.0)), 1));
    }
}
