//! PURE. Active liveness: turn to one side, to the other, look up; in an order that the first picture decides.
//!
//! How far a head is turned is judged by the difference from the same person's own straight frames, for where a nose and ears lie
//! is personal. It asks more of a photograph or a prepared video than the turn that every burst wants, and proves no life either
//! (docs/eyes.md).

use super::Hint;
use crate::eyes::Pose;

/// Least turn to a side from the person's own straight look, in degrees: of 60 renderings at 36 degrees and more all passed 20, of
/// 45 at 9 and less none.
pub const TURN_MIN: f32 = 20.0;
/// Least lift of the chin, in degrees; the estimate is off by 4 on average, and sees 23 of 30.
pub const LIFT_MIN: f32 = 12.0;
/// Straight frames whose middle is the person's own straight look.
const STRAIGHT: usize = 5;
/// Frames whose middle is believed.
const RECENT: usize = 3;

/// What the person is asked to do. Left is the person's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Turn the head to the left.
    TurnLeft,
    /// Turn the head to the right.
    TurnRight,
    /// Lift the chin.
    LookUp,
}

impl Task {
    /// All orders.
    const ORDERS: [[Self; 3]; 6] = {
        let (left, right, up) = (Self::TurnLeft, Self::TurnRight, Self::LookUp);
        [
            [left, right, up],
            [left, up, right],
            [right, left, up],
            [right, up, left],
            [up, left, right],
            [up, right, left],
        ]
    };

    fn is_done(self, (yaw, pitch): Angles) -> bool {
        match self {
            // The frame is not mirrored: the person's left is the picture's right.
            Self::TurnLeft => yaw >= TURN_MIN,
            Self::TurnRight => yaw <= -TURN_MIN,
            Self::LookUp => pitch <= -LIFT_MIN,
        }
    }
}

/// Yaw and pitch, in degrees.
type Angles = (f32, f32);

/// How far somebody is.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    straight: Vec<Angles>,
    recent: Vec<Angles>,
    /// Left to do, the next one first; `None` until the person's straight look is known.
    left: Option<Vec<Task>>,
}

impl Tasks {
    /// Takes a frame that was accepted; `straight` when it could be a selfie. The digest of the frame in which the straight look
    /// becomes known decides the order: the noise of a sensor is nobody's choice.
    pub fn saw(&mut self, pose: Option<Pose>, straight: bool, digest: u64) {
        let Some(Pose { yaw, pitch, .. }) = pose else { return };
        let Some(left) = &mut self.left else {
            if straight {
                self.straight.push((yaw, pitch));
            }
            if self.straight.len() == STRAIGHT {
                let order = usize::try_from(digest % 6).ok().and_then(|order| Task::ORDERS.get(order));
                self.left = Some(order.unwrap_or(&Task::ORDERS[0]).to_vec());
            }
            return;
        };
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push((yaw, pitch));
        let (Some(own), Some(now)) = (middle(&self.straight), middle(&self.recent)) else { return };
        let turned = (now.0 - own.0, now.1 - own.1);
        if self.recent.len() == RECENT && left.first().is_some_and(|task| task.is_done(turned)) {
            left.remove(0);
        }
    }

    /// All is done.
    pub fn are_done(&self) -> bool {
        self.left.as_ref().is_some_and(Vec::is_empty)
    }

    /// What is to be done next.
    pub fn hint(&self) -> Option<Hint> {
        match &self.left {
            None => Some(Hint::LookStraight),
            Some(left) => left.first().map(|task| match task {
                Task::TurnLeft => Hint::TurnLeft,
                Task::TurnRight => Hint::TurnRight,
                Task::LookUp => Hint::LookUp,
            }),
        }
    }
}

fn middle(angles: &[Angles]) -> Option<Angles> {
    let of = |part: fn(&Angles) -> f32| {
        let mut sorted: Vec<_> = angles.iter().map(part).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    };
    Some((of(|angles| angles.0)?, of(|angles| angles.1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pose(yaw: f32, pitch: f32) -> Option<Pose> {
        Some(Pose { yaw, pitch, roll: 0.0 })
    }

    /// Somebody who looks a little to the side when looking straight.
    fn known(digest: u64) -> Tasks {
        let mut tasks = Tasks::default();
        for _ in 0..STRAIGHT {
            assert_eq!(tasks.hint(), Some(Hint::LookStraight));
            tasks.saw(pose(4.0, 6.0), true, digest);
        }
        tasks
    }

    fn hold(tasks: &mut Tasks, yaw: f32, pitch: f32) {
        (0..RECENT).for_each(|_| tasks.saw(pose(yaw, pitch), false, 0));
    }

    #[test]
    fn each_order_is_asked_for_and_done_by_the_difference_from_the_own_straight_look() {
        let mut firsts = Vec::new();
        for digest in 0..6 {
            let mut tasks = known(digest);
            firsts.push(tasks.hint());
            for _ in 0..3 {
                let hint = tasks.hint();
                // 19 degrees from the own look, not from the camera's axis.
                hold(&mut tasks, 23.0, 6.0);
                hold(&mut tasks, -15.0, 6.0);
                hold(&mut tasks, 4.0, -5.0);
                assert_eq!(tasks.hint(), hint, "too little");
                match hint {
                    Some(Hint::TurnLeft) => hold(&mut tasks, 25.0, 6.0),
                    Some(Hint::TurnRight) => hold(&mut tasks, -17.0, 6.0),
                    _ => hold(&mut tasks, 4.0, -7.0),
                }
                assert_ne!(tasks.hint(), hint);
            }
            assert!(tasks.are_done());
        }
        for hint in [Hint::TurnLeft, Hint::TurnRight, Hint::LookUp] {
            assert_eq!(firsts.iter().filter(|first| **first == Some(hint)).count(), 2);
        }
    }

    #[test]
    fn one_frame_proves_nothing_and_no_pose_neither() {
        let mut tasks = known(0);
        for _ in 0..4 {
            tasks.saw(pose(60.0, 6.0), false, 0);
            hold(&mut tasks, 4.0, 6.0);
        }
        (0..20).for_each(|_| tasks.saw(None, true, 0));
        tasks.saw(pose(f32::NAN, f32::NAN), false, 0);
        assert_eq!(tasks.hint(), Some(Hint::TurnLeft));
    }
}
