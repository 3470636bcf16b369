//! PURE but for the calls it makes through [`Controls`]: the configured controls and what the camera makes of them.
//! What a camera lacks or clamps is a remark, not an error: a door with another exposure is still a door.

use std::io;

use v4l::v4l_sys as sys;

use super::negotiate::Remark;
use crate::config::model::{Camera, Exposure, PowerLine};

/// What a control holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number,
    /// 0 or 1.
    Switch,
    /// One of a list.
    Menu,
    /// Something of several values, text, or a button: not listed.
    Other,
}

impl Kind {
    /// The word in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Switch => "switch",
            Self::Menu => "menu",
            Self::Other => "other",
        }
    }
}

/// A control of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The kernel's number.
    pub id: u32,
    /// The driver's name for it.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Least value.
    pub least: i32,
    /// Most.
    pub most: i32,
    /// Values between them are this far apart.
    pub step: i32,
    /// What the driver starts with.
    pub default: i32,
    /// Neither disabled nor only for reading.
    pub writable: bool,
    /// What is set takes effect now: no other control, such as an automatic, overrides it, and nobody holds it.
    pub active: bool,
}

/// What setting controls asks of a node: the kernel's, or one made up in tests.
pub(super) trait Controls {
    /// The control, if there is one.
    fn query(&self, id: u32) -> Option<Control>;
    /// Whether a menu has that entry.
    fn has_choice(&self, id: u32, choice: i32) -> bool;
    /// Its value.
    fn get(&self, id: u32) -> io::Result<i32>;
    /// Sets it; the driver may make another value of it.
    fn set(&self, id: u32, value: i32) -> io::Result<()>;
}

// linux/v4l2-controls.h, enum v4l2_exposure_auto_type. Many USB cameras know no full automatic but this priority mode.
const EXPOSURE_AUTO: i32 = 0;
const EXPOSURE_MANUAL: i32 = 1;
const EXPOSURE_SHUTTER_PRIORITY: i32 = 2;
const EXPOSURE_APERTURE_PRIORITY: i32 = 3;

/// Sets what is configured, modes before their values; gives what did not come out as configured.
pub(super) fn apply(node: &dyn Controls, config: &Camera) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let modes: &[i32] = match config.exposure {
        Exposure::AsIs => &[],
        Exposure::Auto => &[EXPOSURE_AUTO, EXPOSURE_APERTURE_PRIORITY],
        Exposure::Manual => &[EXPOSURE_MANUAL, EXPOSURE_SHUTTER_PRIORITY],
    };
    if !modes.is_empty() {
        remarks.extend(choose(node, "exposure", sys::V4L2_CID_EXPOSURE_AUTO, modes));
    }
    if let (Exposure::Manual, Some(micros)) = (config.exposure, config.exposure_us) {
        // The kernel counts in 100 microseconds.
        remarks.extend(set(node, "exposure_us", sys::V4L2_CID_EXPOSURE_ABSOLUTE, micros / 100, 100));
    }
    if let Some(gain) = config.gain {
        if node.query(sys::V4L2_CID_AUTOGAIN).is_some_and(|control| control.writable) {
            remarks.extend(set(node, "gain", sys::V4L2_CID_AUTOGAIN, 0, 1));
        }
        remarks.extend(set(node, "gain", sys::V4L2_CID_GAIN, gain, 1));
    }
    if let Some(mirror) = config.mirror {
        remarks.extend(set(node, "mirror", sys::V4L2_CID_HFLIP, mirror.into(), 1));
    }
    if let Some(flip) = config.flip {
        remarks.extend(set(node, "flip", sys::V4L2_CID_VFLIP, flip.into(), 1));
    }
    let line = match config.power_line {
        PowerLine::AsIs => None,
        PowerLine::Off => Some(0),
        PowerLine::Hz50 => Some(1),
        PowerLine::Hz60 => Some(2),
        PowerLine::Auto => Some(3),
    };
    if let Some(line) = line {
        remarks.extend(choose(node, "power_line", sys::V4L2_CID_POWER_LINE_FREQUENCY, &[line]));
    }
    remarks
}

fn writable(node: &dyn Controls, id: u32) -> Option<Control> {
    node.query(id).filter(|control| control.writable)
}

/// Sets a menu to the first of `wanted` that it has.
fn choose(node: &dyn Controls, key: &'static str, id: u32, wanted: &[i32]) -> Option<Remark> {
    let there = writable(node, id).is_some();
    let choice = wanted.iter().copied().find(|choice| there && node.has_choice(id, *choice));
    match choice {
        Some(choice) => put(node, key, id, choice, 1, choice.into()),
        None => Some(Remark::ControlMissing { key }),
    }
}

/// Sets a number within the control's range and step. `unit` is what one of the control's units is in the key's.
fn set(node: &dyn Controls, key: &'static str, id: u32, value: u32, unit: i64) -> Option<Remark> {
    let Some(control) = writable(node, id) else { return Some(Remark::ControlMissing { key }) };
    let wanted = i64::from(value);
    put(node, key, id, fitted(&control, wanted), unit, wanted)
}

/// The nearest value below or at `wanted` that the control says it can have.
fn fitted(control: &Control, wanted: i64) -> i32 {
    let (least, most) = (i64::from(control.least), i64::from(control.most).max(control.least.into()));
    let within = wanted.clamp(least, most);
    let step = i64::from(control.step).max(1);
    let stepped = least + (within - least) / step * step;
    i32::try_from(stepped).unwrap_or(control.least)
}

fn put(
    node: &dyn Controls,
    key: &'static str,
    id: u32,
    value: i32,
    unit: i64,
    wanted: i64,
) -> Option<Remark> {
    let done = node.set(id, value).and_then(|()| node.get(id));
    match done {
        Ok(got) if i64::from(got) == wanted => None,
        Ok(got) => Some(Remark::ControlClamped { key, wanted: wanted * unit, got: i64::from(got) * unit }),
        Err(error) => Some(Remark::ControlRefused { key, why: error.to_string() }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    pub(in super::super) struct Fake {
        controls: BTreeMap<u32, (Control, Vec<i32>)>,
        values: RefCell<BTreeMap<u32, i32>>,
        set: RefCell<Vec<(u32, i32)>>,
        pub fails: bool,
    }

    impl Fake {
        pub fn with(mut self, id: u32, (least, most, step): (i32, i32, i32), choices: &[i32]) -> Self {
            let kind = if choices.is_empty() { Kind::Number } else { Kind::Menu };
            let control = Control {
                id,
                name: String::new(),
                kind,
                least,
                most,
                step,
                default: least,
                writable: true,
                active: true,
            };
            self.controls.insert(id, (control, choices.to_vec()));
            self
        }

        /// With these values.
        pub fn at(self, values: &[(u32, i32)]) -> Self {
            self.values.borrow_mut().extend(values.iter().copied());
            self
        }
    }

    impl Controls for Fake {
        fn query(&self, id: u32) -> Option<Control> {
            self.controls.get(&id).map(|(control, _)| control.clone())
        }
        fn has_choice(&self, id: u32, choice: i32) -> bool {
            self.controls.get(&id).is_some_and(|(_, choices)| choices.contains(&choice))
        }
        fn get(&self, id: u32) -> io::Result<i32> {
            Ok(self.values.borrow()[&id])
        }
        fn set(&self, id: u32, value: i32) -> io::Result<()> {
            if self.fails {
                return Err(Errno::BUSY.into());
            }
            self.set.borrow_mut().push((id, value));
            self.values.borrow_mut().insert(id, value);
            Ok(())
        }
    }

    fn everything() -> Fake {
        Fake::default()
            .with(sys::V4L2_CID_EXPOSURE_AUTO, (0, 3, 1), &[1, 3])
            .with(sys::V4L2_CID_EXPOSURE_ABSOLUTE, (3, 2047, 1), &[])
            .with(sys::V4L2_CID_AUTOGAIN, (0, 1, 1), &[])
            .with(sys::V4L2_CID_GAIN, (0, 100, 10), &[])
            .with(sys::V4L2_CID_HFLIP, (0, 1, 1), &[])
            .with(sys::V4L2_CID_VFLIP, (0, 1, 1), &[])
            .with(sys::V4L2_CID_POWER_LINE_FREQUENCY, (0, 2, 1), &[0, 1, 2])
    }

    fn all_keys() -> Camera {
        Camera {
            exposure: Exposure::Manual,
            exposure_us: Some(20_000),
            gain: Some(30),
            mirror: Some(true),
            flip: Some(false),
            power_line: PowerLine::Hz50,
            ..Camera::default()
        }
    }

    #[test]
    fn without_keys_nothing_is_touched() {
        let fake = everything();
        assert_eq!(apply(&fake, &Camera::default()), []);
        assert!(fake.set.borrow().is_empty());
    }

    #[test]
    fn modes_are_set_before_their_values() {
        let fake = everything();
        assert_eq!(apply(&fake, &all_keys()), []);
        let expected = [
            (sys::V4L2_CID_EXPOSURE_AUTO, EXPOSURE_MANUAL),
            (sys::V4L2_CID_EXPOSURE_ABSOLUTE, 200),
            (sys::V4L2_CID_AUTOGAIN, 0),
            (sys::V4L2_CID_GAIN, 30),
            (sys::V4L2_CID_HFLIP, 1),
            (sys::V4L2_CID_VFLIP, 0),
            (sys::V4L2_CID_POWER_LINE_FREQUENCY, 1),
        ];
        assert_eq!(*fake.set.borrow(), expected);
    }

    #[test]
    fn automatic_is_the_priority_mode_of_a_camera_without_full_automatic() {
        let fake = everything();
        let config = Camera { exposure: Exposure::Auto, exposure_us: Some(100), ..Camera::default() };
        assert_eq!(apply(&fake, &config), []);
        assert_eq!(*fake.set.borrow(), [(sys::V4L2_CID_EXPOSURE_AUTO, EXPOSURE_APERTURE_PRIORITY)]);
    }

    #[test]
    fn each_key_that_the_camera_lacks_is_named() {
        let remarks = apply(&Fake::default(), &all_keys());
        let keys: Vec<_> = remarks
            .iter()
            .map(|remark| match remark {
                Remark::ControlMissing { key } => *key,
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(keys, ["exposure", "exposure_us", "gain", "mirror", "flip", "power_line"]);
        let mut locked = everything();
        locked.controls.values_mut().for_each(|(control, _)| control.writable = false);
        assert_eq!(apply(&locked, &all_keys()).len(), 6);
        assert!(locked.set.borrow().is_empty());
    }

    #[test]
    fn a_menu_without_the_entry_is_not_set_to_another() {
        let fake = everything();
        let config = Camera { power_line: PowerLine::Auto, ..Camera::default() };
        assert_eq!(apply(&fake, &config), [Remark::ControlMissing { key: "power_line" }]);
        assert!(fake.set.borrow().is_empty());
    }

    #[test]
    fn what_is_clamped_is_told_in_the_keys_own_unit() {
        let fake = everything();
        let config = Camera { exposure_us: Some(1_000_000), gain: Some(47), ..all_keys() };
        assert_eq!(
            apply(&fake, &config),
            [
                Remark::ControlClamped { key: "exposure_us", wanted: 1_000_000, got: 204_700 },
                Remark::ControlClamped { key: "gain", wanted: 47, got: 40 },
            ]
        );
    }

    #[test]
    fn a_refusal_is_a_remark_and_the_rest_is_still_tried() {
        let fake = Fake { fails: true, ..everything() };
        let remarks = apply(&fake, &all_keys());
        assert_eq!(remarks.len(), 7, "{remarks:?}");
        assert!(remarks.iter().all(|remark| matches!(remark, Remark::ControlRefused { .. })));
    }

    #[test]
    fn a_control_with_an_impossible_range_does_not_overflow() {
        let fake = Fake::default().with(sys::V4L2_CID_GAIN, (i32::MAX, i32::MIN, i32::MIN), &[]);
        let config = Camera { gain: Some(5), ..Camera::default() };
        assert_eq!(apply(&fake, &config).len(), 1);
        assert_eq!(*fake.set.borrow(), [(sys::V4L2_CID_GAIN, i32::MAX)]);
    }
}
