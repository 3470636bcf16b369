//! PURE but for the calls it makes through [`Controls`]: more or less light in the picture, by whatever the camera has
//! for it. Its automatic exposure looks at the whole picture, so that a face before a bright window stays dark.
//!
//! Where the installer chose the exposure nothing is moved, and everything that was moved is put back when the camera is
//! closed.

use v4l::v4l_sys as sys;

use super::controls::{Control, Controls, Kind};
use crate::config::model::{Camera, Exposure};

/// Where the light of the pictures shall go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// More of it.
    Brighter,
    /// Less.
    Darker,
}

/// What is tried, in this order: the first that still has room is moved. Brightness comes last: with many cameras it is the
/// aim of the automatic exposure, with others it only shifts what was taken.
const LEVERS: [u32; 3] =
    [sys::V4L2_CID_AUTO_EXPOSURE_BIAS, sys::V4L2_CID_BACKLIGHT_COMPENSATION, sys::V4L2_CID_BRIGHTNESS];
/// A number goes from its least to its most in so many steps; a menu from entry to entry.
const STEPS: i64 = 8;

/// A control that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// The driver's name for it.
    pub name: String,
    pub from: i32,
    pub to: i32,
}

/// What a camera has for more or less light.
#[derive(Debug, Default)]
pub(super) struct Levers {
    controls: Vec<Control>,
    /// Number and first value of what was moved.
    moved: Vec<(u32, i32)>,
}

impl Levers {
    /// Asks the node what it has.
    pub fn of(node: &dyn Controls, config: &Camera) -> Self {
        let usable = |id: &u32| node.query(*id).filter(|control| control.writable && control.active);
        let all = || LEVERS.iter().filter_map(usable).collect();
        let controls = if config.exposure == Exposure::Manual { Vec::new() } else { all() };
        Self { controls, moved: Vec::new() }
    }

    /// The drivers' names of them.
    pub fn names(&self) -> Vec<String> {
        self.controls.iter().map(|control| control.name.clone()).collect()
    }

    /// Moves one control by a step; `None` when none has room left, or the driver refuses.
    pub fn step(&mut self, node: &dyn Controls, towards: Towards) -> Option<Moved> {
        let moved = &mut self.moved;
        self.controls.iter().find_map(|control| {
            let from = node.get(control.id).ok()?;
            node.set(control.id, next(node, control, from, towards)?).ok()?;
            // Whatever it says now, it is put back.
            if moved.iter().all(|(id, _)| *id != control.id) {
                moved.push((control.id, from));
            }
            let to = node.get(control.id).ok()?;
            (to != from).then(|| Moved { name: control.name.clone(), from, to })
        })
    }

    /// Puts everything back.
    pub fn restore(&mut self, node: &dyn Controls) {
        for (id, value) in self.moved.drain(..) {
            if let Err(error) = node.set(id, value) {
                log::debug!(control = id, value = value; "exposure not put back: {error}");
            }
        }
    }
}

/// The value one step on, if there is one.
fn next(node: &dyn Controls, control: &Control, from: i32, towards: Towards) -> Option<i32> {
    let (least, most) = (i64::from(control.least), i64::from(control.most));
    let sign = if towards == Towards::Brighter { 1 } else { -1 };
    let within = |value: i64| (least..=most).contains(&value).then(|| i32::try_from(value).ok())?;
    if control.kind == Kind::Menu {
        let entries = (1..=most.checked_sub(least)?.min(STEPS * STEPS)).map(|by| i64::from(from) + sign * by);
        return entries.filter_map(within).find(|entry| node.has_choice(control.id, *entry));
    }
    let step = i64::from(control.step).max(1);
    let by = (most - least) / STEPS / step * step;
    let to = (i64::from(from) + sign * by.max(step)).clamp(least, most.max(least));
    within(to).filter(|to| *to != from)
}

#[cfg(test)]
mod tests {
    use super::super::controls::tests::Fake;
    use super::*;

    const BIAS: u32 = sys::V4L2_CID_AUTO_EXPOSURE_BIAS;
    const BACKLIGHT: u32 = sys::V4L2_CID_BACKLIGHT_COMPENSATION;
    const BRIGHTNESS: u32 = sys::V4L2_CID_BRIGHTNESS;

    fn fake() -> Fake {
        Fake::default()
            .with(BIAS, (0, 4, 1), &[0, 2, 4])
            .with(BACKLIGHT, (0, 1, 1), &[])
            .with(BRIGHTNESS, (-64, 64, 1), &[])
            .at(&[(BIAS, 2), (BACKLIGHT, 0), (BRIGHTNESS, 40)])
    }

    #[test]
    fn one_control_after_the_other_is_moved_to_its_end_and_all_are_put_back() {
        let fake = fake();
        let mut levers = Levers::of(&fake, &Camera::default());
        assert_eq!(levers.names().len(), 3);
        let mut moves = Vec::new();
        while let Some(Moved { from, to, .. }) = levers.step(&fake, Towards::Brighter) {
            moves.push((from, to));
        }
        assert_eq!(moves, [(2, 4), (0, 1), (40, 56), (56, 64)]);
        levers.restore(&fake);
        assert_eq!([BIAS, BACKLIGHT, BRIGHTNESS].map(|id| fake.get(id).unwrap()), [2, 0, 40]);
        assert!(levers.moved.is_empty());
    }

    #[test]
    fn it_goes_the_other_way_too() {
        let fake = fake();
        let mut levers = Levers::of(&fake, &Camera::default());
        let moved = levers.step(&fake, Towards::Darker).unwrap();
        assert_eq!((moved.from, moved.to), (2, 0));
        let moved = levers.step(&fake, Towards::Darker).unwrap();
        assert_eq!((moved.from, moved.to), (40, 24));
    }

    #[test]
    fn what_is_missing_fixed_or_refused_is_not_moved() {
        let nothing = Fake::default();
        let mut levers = Levers::of(&nothing, &Camera::default());
        assert_eq!((levers.names(), levers.step(&nothing, Towards::Brighter)), (vec![], None));
        let manual = Camera { exposure: Exposure::Manual, ..Camera::default() };
        assert!(Levers::of(&fake(), &manual).names().is_empty());
        let mut stuck = fake();
        stuck.fails = true;
        assert_eq!(Levers::of(&stuck, &Camera::default()).step(&stuck, Towards::Brighter), None);
    }

    #[test]
    fn an_impossible_range_does_not_overflow() {
        let odd = (i32::MAX, i32::MIN, i32::MIN);
        let fake = Fake::default()
            .with(BRIGHTNESS, odd, &[])
            .with(BIAS, odd, &[7])
            .at(&[(BRIGHTNESS, 3), (BIAS, 3)]);
        assert_eq!(Levers::of(&fake, &Camera::default()).step(&fake, Towards::Brighter), None);
    }
}
