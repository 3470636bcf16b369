//! PURE. The plan of a burst: which frame becomes the selfie, which become liveness pictures, when to give up.
//!
//! Liveness pictures are taken from accepted frames at least the interval apart, as the service's own apps do
//! (350 ms). The accepted frames between them are candidates for the selfie, of which the sharpest stays. The
//! choice is settled when one liveness picture is left, so that after the last shot only that one is to be
//! encoded. With another [`Order`] the first straight frame before, or after, all liveness pictures is the selfie. No picture of a burst has the same bytes as another: a short loop of frames is as frozen as a still.

use std::time::Duration;

use super::Hint;
use super::face::{FaceLimits, Watch};
use super::gate::{Limits, Measures, Reason, Trail, Verdict, judge};
use super::metering::Metering;
use super::tasks::Tasks;
use crate::camera::Towards;
use crate::clock::BootTime;
use crate::config::model::{self, Order};

/// A camera that gives nothing new for longer than this is frozen.
pub const FROZEN_MAX: Duration = Duration::from_secs(1);
/// A hint stays at least this long before another one replaces it, so that it can be read.
pub const HINT_HOLD: Duration = Duration::from_secs(1);

/// What a burst wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Liveness pictures.
    pub liveness_count: u32,
    /// When the selfie is taken.
    pub order: Order,
    /// Least time between two of them.
    pub interval: Duration,
    /// Longest time for the whole burst.
    pub give_up: Duration,
    /// What each frame is judged by.
    pub limits: Limits,
    /// What its face is judged by; `None` when nobody looks for one.
    pub face: Option<FaceLimits>,
}

impl From<&model::Capture> for Plan {
    fn from(config: &model::Capture) -> Self {
        Self {
            liveness_count: config.liveness_count,
            order: config.order,
            interval: Duration::from_millis(u64::from(config.liveness_interval_ms)),
            give_up: Duration::from_millis(u64::from(config.give_up_ms)),
            limits: config.into(),
            face: FaceLimits::of(config),
        }
    }
}

/// What to do with the frame that was just shown to the burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Encode it as liveness picture number 0, 1, 2...
    TakeLiveness(u32),
    /// Keep it as the selfie, in place of an earlier one.
    TakeSelfie,
    /// Let it go; show the hint if there is one.
    Wait,
    /// Let all pictures go: they may be of somebody else.
    Restart,
    /// The burst has failed.
    Failed(Failure),
}

/// Why a burst failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nothing new came for more than [`FROZEN_MAX`].
    Frozen,
    /// The time is over, and this was wrong with the last frame.
    Refused(Reason),
    /// The time is over although frames were accepted: the camera is too slow.
    TooSlow,
}

impl Failure {
    /// The stable word in audit rows and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => Reason::Frozen.name(),
            Self::Refused(reason) => reason.name(),
            Self::TooSlow => "gave_up",
        }
    }
}

/// A burst under way.
#[derive(Debug)]
pub struct Burst {
    plan: Plan,
    started: BootTime,
    trail: Option<Trail>,
    /// When the last frame came that was not frozen.
    fresh: BootTime,
    last_refusal: Option<Reason>,
    /// Digests of all pictures taken; at most the liveness pictures and the selfie.
    taken: Vec<u64>,
    liveness: u32,
    last_liveness: Option<BootTime>,
    /// Sharpness and digest of the selfie.
    selfie: Option<(f32, u64)>,
    hint: Option<(Hint, BootTime)>,
    watch: Watch,
    tasks: Tasks,
    metering: Metering,
    light_wanted: Option<Towards>,
}

impl Burst {
    /// Starts now.
    pub fn new(plan: Plan, now: BootTime) -> Self {
        Self {
            plan,
            started: now,
            trail: None,
            fresh: now,
            last_refusal: None,
            taken: Vec::new(),
            liveness: 0,
            last_liveness: None,
            selfie: None,
            hint: None,
            watch: Watch::default(),
            tasks: Tasks::default(),
            metering: Metering::default(),
            light_wanted: None,
        }
    }

    /// Judges the next frame and says what becomes of it.
    pub fn step(&mut self, frame: &Measures) -> Step {
        let now = frame.taken;
        let verdict = match judge(frame, &self.plan.limits, self.trail.as_ref()) {
            Verdict::Accept { .. } if self.taken.contains(&frame.digest) => Verdict::Refuse(Reason::Frozen),
            verdict => verdict,
        };
        self.trail = Some(Trail::after(self.trail.as_ref(), frame));
        self.light_wanted = None;
        let restart = self.plan.face.is_some() && self.watch.saw(frame.sight.as_ref(), now) && self.forget();
        let verdict = self.face(frame, verdict);
        let hint = match verdict {
            Verdict::Accept { hint } => hint.or_else(|| self.asked(frame)),
            // The camera is asked for light before the person is.
            Verdict::Refuse(Reason::FaceDark) if self.metering.is_settling(now) => None,
            Verdict::Refuse(reason) => reason.hint(),
        };
        self.show(hint, now);
        if verdict != Verdict::Refuse(Reason::Frozen) {
            self.fresh = now;
        } else if now.since(self.fresh) > FROZEN_MAX {
            return Step::Failed(Failure::Frozen);
        }
        if restart {
            return Step::Restart;
        }
        let step = match verdict {
            Verdict::Refuse(reason) => {
                self.last_refusal = Some(reason);
                Step::Wait
            }
            Verdict::Accept { .. } => {
                self.last_refusal = self.missing(frame);
                self.take(frame)
            }
        };
        match step {
            Step::Wait => self.overdue(now).map_or(Step::Wait, Step::Failed),
            step => step,
        }
    }

    /// Whether the time is over. Also asked when no frame comes.
    pub fn overdue(&self, now: BootTime) -> Option<Failure> {
        let over = !self.is_complete() && now.since(self.started) >= self.plan.give_up;
        over.then(|| self.last_refusal.map_or(Failure::TooSlow, Failure::Refused))
    }

    /// All pictures are taken.
    pub fn is_complete(&self) -> bool {
        self.liveness >= self.plan.liveness_count && self.selfie.is_some()
    }

    /// The selfie will not be replaced any more and can be encoded.
    pub fn selfie_is_settled(&self) -> bool {
        let others = match self.plan.order {
            Order::Best => self.liveness + 1 >= self.plan.liveness_count,
            Order::SelfieFirst | Order::LivenessFirst => true,
        };
        self.selfie.is_some() && others
    }

    /// What the person is asked to do now.
    pub fn hint(&self) -> Option<Hint> {
        self.hint.map(|(hint, _)| hint)
    }

    /// What the camera is to be asked for after the last frame.
    pub fn light_wanted(&self) -> Option<Towards> {
        self.light_wanted
    }

    /// It could not do that.
    pub fn light_is_spent(&mut self) {
        self.metering.give_up();
    }

    /// Why the last frame was refused, or what the burst lacked with it.
    pub fn reason(&self) -> Option<Reason> {
        self.last_refusal
    }

    /// Adds the judgement of the face to that of the frame.
    fn face(&mut self, frame: &Measures, verdict: Verdict) -> Verdict {
        let (Some(limits), Verdict::Accept { hint }) = (&self.plan.face, verdict) else { return verdict };
        let judged = limits.judge(frame.sight.as_ref(), self.watch.is_known());
        if let (Some(face), Ok(_) | Err(Reason::FaceDark | Reason::FaceBlurred)) = (frame.face(), &judged) {
            self.light_wanted = self.metering.wants(&face.light, limits, frame.taken);
        }
        match judged {
            Ok(face) => {
                self.watch.turns(face.pose);
                self.tasks.saw(face.pose, limits.looks_straight(&face), frame.digest);
                let ask = limits.is_dim(&face) && !self.metering.is_settling(frame.taken);
                Verdict::Accept { hint: hint.or(ask.then_some(Hint::MoreLight)) }
            }
            Err(reason) => Verdict::Refuse(reason),
        }
    }

    /// What an accepted frame still lacks to complete the burst.
    fn missing(&self, frame: &Measures) -> Option<Reason> {
        let limits = self.plan.face.as_ref()?;
        if self.selfie.is_none() && self.selfie_may_come() && !self.is_straight(frame) {
            Some(Reason::FaceTurned)
        } else if self.is_still() && (limits.active || self.liveness + 1 == self.plan.liveness_count) {
            Some(Reason::HeldStill)
        } else {
            None
        }
    }

    /// What the person is asked to do for it.
    fn asked(&self, frame: &Measures) -> Option<Hint> {
        let active = self.plan.face.is_some_and(|limits| limits.active);
        match self.missing(frame)? {
            Reason::HeldStill if active => self.tasks.hint(),
            reason => reason.hint(),
        }
    }

    /// The head has not moved as it shall.
    fn is_still(&self) -> bool {
        self.plan.face.is_some_and(|limits| match limits.active {
            true => !self.tasks.are_done(),
            false => self.watch.turned() < limits.turn_min,
        })
    }

    fn selfie_may_come(&self) -> bool {
        self.plan.order != Order::LivenessFirst || self.liveness >= self.plan.liveness_count
    }

    fn liveness_may_come(&self) -> bool {
        let selfie_first = self.plan.order == Order::SelfieFirst && self.selfie.is_none();
        self.liveness < self.plan.liveness_count && !selfie_first
    }

    fn is_straight(&self, frame: &Measures) -> bool {
        self.plan.face.is_none_or(|limits| frame.face().is_some_and(|face| limits.looks_straight(face)))
    }

    /// Lets all pictures go. Whether there were any.
    fn forget(&mut self) -> bool {
        let any = !self.taken.is_empty();
        self.taken.clear();
        self.tasks = Tasks::default();
        (self.liveness, self.last_liveness, self.selfie) = (0, None, None);
        any
    }

    fn take(&mut self, frame: &Measures) -> Step {
        // The next ones are better lit.
        if self.metering.is_settling(frame.taken) {
            return Step::Wait;
        }
        let due = self
            .last_liveness
            .is_none_or(|last| frame.taken >= last && frame.taken.since(last) >= self.plan.interval);
        // The last one waits until the head has moved.
        let last = self.liveness + 1 == self.plan.liveness_count;
        if self.liveness_may_come() && due && !(last && self.is_still()) {
            let number = self.liveness;
            self.liveness += 1;
            self.last_liveness = Some(frame.taken);
            self.taken.push(frame.digest);
            return Step::TakeLiveness(number);
        }
        let better = self.selfie.is_none_or(|(sharpness, _)| frame.sharpness() > sharpness);
        if self.selfie_may_come() && !self.selfie_is_settled() && better && self.is_straight(frame) {
            if let Some((_, replaced)) = self.selfie {
                self.taken.retain(|digest| *digest != replaced);
            }
            self.selfie = Some((frame.sharpness(), frame.digest));
            self.taken.push(frame.digest);
            return Step::TakeSelfie;
        }
        Step::Wait
    }

    fn show(&mut self, hint: Option<Hint>, now: BootTime) {
        let held = self.hint.is_some_and(|(_, since)| now.since(since) < HINT_HOLD);
        if self.hint() != hint && !held {
            self.hint = hint.map(|hint| (hint, now));
        }
    }
}

#[cfg(test)]
#[path = "burst_tests.rs"]
mod tests;
