//! Where a head is turned, from six landmarks. The formulas were fitted on one head rendered in 231 poses
//! (docs/eyes.md): they are good to about 4 degrees there, and unproven on others. Neutral pitch and ear height are
//! personal, so compare with the same person's own frontal frames.

use super::face::{Landmarks, Point};

/// Where a head is turned, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// About the vertical: positive when the nose points to the right of the unmirrored picture, which is the
    /// person's left. -90 to 90.
    pub yaw: f32,
    /// About the line through the ears: positive when the head is bent down.
    pub pitch: f32,
    /// In the picture's plane: positive when the person's left eye is the lower one. -180 to 180.
    pub roll: f32,
}

/// Degrees of yaw are the arc tangent of this times the ears' asymmetry.
const YAW_PER_EARS: f32 = 0.85;
/// Degrees of pitch when ears and eyes are at one height.
const PITCH_LEVEL: f32 = 14.0;
/// Degrees of pitch for each eye distance that the ears lie below the eyes.
const PITCH_PER_EAR_HEIGHT: f32 = 84.0;
/// Shortest distance of the eyes, in pixels, from which anything is computed.
const EYES_APART_MIN: f32 = 1.0;

impl Pose {
    /// `None` when the points cannot be a face's: eyes in one place, ears that are not to either side of the nose.
    pub fn of(landmarks: &Landmarks) -> Option<Self> {
        let Landmarks { right_eye, left_eye, nose, right_ear, left_ear, .. } = *landmarks;
        let across = minus(left_eye, right_eye);
        let apart = across.x.hypot(across.y);
        if !apart.is_finite() || apart < EYES_APART_MIN {
            return None;
        }
        let along = Point { x: across.x / apart, y: across.y / apart };
        let down = Point { x: -along.y, y: along.x };
        let (to_right, to_left) = (dot(minus(nose, right_ear), along), dot(minus(left_ear, nose), along));
        let between = to_right + to_left;
        if !between.is_finite() || between < EYES_APART_MIN {
            return None;
        }
        let ears = (to_right - to_left) / between;
        let ear_height = dot(minus(middle(right_ear, left_ear), middle(right_eye, left_eye)), down) / apart;
        let pose = Self {
            yaw: (YAW_PER_EARS * ears).atan().to_degrees(),
            pitch: PITCH_LEVEL - PITCH_PER_EAR_HEIGHT * ear_height,
            roll: along.y.atan2(along.x).to_degrees(),
        };
        (pose.yaw.is_finite() && pose.pitch.is_finite() && pose.roll.is_finite()).then_some(pose)
    }
}

fn minus(a: Point, b: Point) -> Point {
    Point { x: a.x - b.x, y: a.y - b.y }
}

fn dot(a: Point, b: Point) -> f32 {
    a.x * b.x + a.y * b.y
}

fn middle(a: Point, b: Point) -> Point {
    Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn landmarks(points: [(f32, f32); 6]) -> Landmarks {
        Landmarks::from_points(points.map(|(x, y)| Point { x, y }))
    }

    /// The landmarks of tests/fixtures/blazeface_vectors.json, cases 1 and 2, with the pose it gives for them.
    #[test]
    fn measured_landmarks_give_the_measured_pose() {
        let first = [
            (203.85, 100.76),
            (247.97, 108.42),
            (221.96, 124.7),
            (218.87, 145.51),
            (177.77, 109.13),
            (271.1, 124.7),
        ];
        let second = [
            (203.57, 101.95),
            (246.5, 104.42),
            (223.71, 129.4),
            (222.55, 148.91),
            (180.8, 108.09),
            (268.31, 112.8),
        ];
        for (points, roll, yaw, pitch) in [(first, 9.85, -1.14, -9.35), (second, 3.29, 0.27, -0.31)] {
            let pose = Pose::of(&landmarks(points)).unwrap();
            assert!((pose.roll - roll).abs() < 0.5, "{pose:?}");
            assert!((pose.yaw - yaw).abs() < 0.5, "{pose:?}");
            assert!((pose.pitch - pitch).abs() < 0.5, "{pose:?}");
        }
    }

    const FRONTAL: [(f32, f32); 6] =
        [(40.0, 40.0), (60.0, 40.0), (50.0, 50.0), (50.0, 60.0), (30.0, 43.0), (70.0, 43.0)];

    #[test]
    fn signs_are_as_written() {
        let turned = |change: fn(&mut [(f32, f32); 6])| {
            let mut points = FRONTAL;
            change(&mut points);
            Pose::of(&landmarks(points)).unwrap()
        };
        let frontal = turned(|_| ());
        assert!(frontal.yaw.abs() < 1e-3 && frontal.roll.abs() < 1e-3, "{frontal:?}");
        assert!(turned(|points| points[2].0 += 8.0).yaw > 5.0, "nose to the picture's right");
        assert!(turned(|points| points[2].0 -= 8.0).yaw < -5.0, "nose to the picture's left");
        // A bent head lifts the ears over the eyes.
        let up = |points: &mut [(f32, f32); 6]| (points[4].1, points[5].1) = (36.0, 36.0);
        assert!(turned(up).pitch > frontal.pitch + 10.0);
        assert!(turned(|points| points[1].1 += 8.0).roll > 15.0, "left eye lower");
    }

    #[test]
    fn a_mirrored_face_has_the_opposite_yaw() {
        let mut points = FRONTAL;
        points[2].0 += 5.0;
        let mirrored = {
            let flip = |(x, y): (f32, f32)| (100.0 - x, y);
            let [e0, e1, n, m, a0, a1] = points;
            [e1, e0, n, m, a1, a0].map(flip)
        };
        let (one, other) = (Pose::of(&landmarks(points)).unwrap(), Pose::of(&landmarks(mirrored)).unwrap());
        assert!((one.yaw + other.yaw).abs() < 1e-3);
        assert!((one.pitch - other.pitch).abs() < 1e-3);
    }

    #[test]
    fn no_pose_of_what_is_no_face() {
        assert_eq!(Pose::of(&Landmarks::default()), None);
        let mut one_eye = FRONTAL;
        one_eye[1] = one_eye[0];
        assert_eq!(Pose::of(&landmarks(one_eye)), None);
        let mut crossed = FRONTAL;
        crossed.swap(4, 5);
        assert_eq!(Pose::of(&landmarks(crossed)), None);
        let mut lost = FRONTAL;
        lost[2].0 = f32::NAN;
        assert_eq!(Pose::of(&landmarks(lost)), None);
    }

    proptest! {
        #[test]
        fn err_any_points_give_a_finite_pose_or_none(points in prop::array::uniform6((any::<f32>(), any::<f32>()))) {
            if let Some(pose) = Pose::of(&landmarks(points)) {
                prop_assert!(pose.yaw.abs() <= 90.0 && pose.pitch.is_finite() && pose.roll.abs() <= 180.0);
            }
        }

        #[test]
        fn a_turn_in_the_plane_changes_roll_alone(angle in -80.0f32..80.0) {
            let (sin, cos) = angle.to_radians().sin_cos();
            let mut points = FRONTAL;
            points[2].0 += 3.0;
            let straight = Pose::of(&landmarks(points)).unwrap();
            let turned = Pose::of(&landmarks(points.map(|(x, y)| (x * cos - y * sin, x * sin + y * cos)))).unwrap();
            prop_assert!((turned.roll - angle).abs() < 0.1);
            prop_assert!((turned.yaw - straight.yaw).abs() < 0.1);
            prop_assert!((turned.pitch - straight.pitch).abs() < 0.5);
        }
    }
}
