//! A line of the kernel's GPIO character device.
//!
//! Found anew at each request by its name or by its chip's label or path: chip numbers change between boots. What the
//! line does after its owner's death is the driver's affair (door-rules, facts), hence two processes that watch each
//! other.

use super::chips::{self, Place};
use super::line::{Line, LineError};
use crate::clock::{BootTime, Clock};
use crate::config::guard::{self, LineConfig, LockType};
use gpiocdev::line::{self, Value};
use gpiocdev::request::{Config, Request};

/// What `gpioinfo` shows as the holder while the guard has the line.
pub const GUARD: &str = "latchd-guard";
/// What it shows while the agent holds it locked in a dead guard's place.
pub const RELOCK: &str = "latchd-relock";

const EBUSY: i32 = rustix::io::Errno::BUSY.raw_os_error();

/// A held GPIO line.
#[derive(Debug)]
pub struct GpioLine {
    request: Request,
    name: String,
    lock: LockType,
}

/// The logical value (before `active_low`) of locked and unlocked: power opens a fail-secure lock and holds a fail-safe
/// one.
pub const fn values(lock: LockType) -> (Value, Value) {
    match lock {
        LockType::FailSecure => (Value::Inactive, Value::Active),
        LockType::FailSafe => (Value::Active, Value::Inactive),
    }
}

/// Requests the line as an output together with its locked value, in one call (door-rules 6).
///
/// # Errors
/// Busy (with the holder), absent, ambiguous, or refused by the kernel. A recording line is absent.
pub fn request(line: &LineConfig, lock: LockType, consumer: &str) -> Result<GpioLine, LineError> {
    let place = chips::find(line)?;
    let LineConfig::Gpio { active_low, bias, drive, .. } = line else {
        // Not reached: a recording has no place.
        return Err(LineError::Gpio { line: place.text, text: "it is a recording".into() });
    };
    let config = wanted(&place.chip, place.offset, lock, *active_low, *bias, *drive);
    match Request::from_config(config).with_consumer(consumer).request() {
        Ok(request) => Ok(GpioLine { request, name: place.text, lock }),
        Err(error) => Err(refused(&error, place)),
    }
}

/// Why a request was refused: busy with its holder's label, or the kernel's words.
pub(super) fn refused(error: &gpiocdev::Error, place: Place) -> LineError {
    if is_busy(error) {
        return LineError::Busy { holder: chips::holder(&place), line: place.text };
    }
    LineError::Gpio { line: place.text, text: error.to_string() }
}

/// The whole request as one value. It takes no level: it is always the locked one.
fn wanted(
    chip: &std::path::Path,
    offset: u32,
    lock: LockType,
    active_low: bool,
    bias: guard::Bias,
    drive: guard::Drive,
) -> Config {
    let (locked, _) = values(lock);
    let mut config = Config::default();
    config.on_chip(chip).with_line(offset).as_output(locked);
    if active_low {
        config.as_active_low();
    }
    with_bias(&mut config, bias);
    config.with_drive(match drive {
        guard::Drive::PushPull => line::Drive::PushPull,
        guard::Drive::OpenDrain => line::Drive::OpenDrain,
        guard::Drive::OpenSource => line::Drive::OpenSource,
    });
    config
}

pub(super) fn with_bias(config: &mut Config, bias: guard::Bias) {
    let bias = match bias {
        guard::Bias::AsIs => return,
        guard::Bias::PullUp => line::Bias::PullUp,
        guard::Bias::PullDown => line::Bias::PullDown,
        guard::Bias::Disabled => line::Bias::Disabled,
    };
    config.with_bias(bias);
}

fn is_busy(error: &gpiocdev::Error) -> bool {
    match error {
        gpiocdev::Error::Uapi(_, gpiocdev_error) => {
            matches!(gpiocdev_error, gpiocdev_uapi::Error::Os(errno) if errno.0 == EBUSY)
        }
        gpiocdev::Error::Os(errno) => errno.0 == EBUSY,
        _ => false,
    }
}

impl GpioLine {
    fn set(&self, value: Value, clock: &dyn Clock) -> Result<BootTime, LineError> {
        match self.request.set_lone_value(value) {
            Ok(()) => Ok(clock.boot()),
            Err(error) => Err(LineError::Gpio { line: self.name.clone(), text: error.to_string() }),
        }
    }
}

impl Line for GpioLine {
    fn unlock(&mut self, clock: &dyn Clock) -> Result<BootTime, LineError> {
        self.set(values(self.lock).1, clock)
    }

    fn lock(&mut self, clock: &dyn Clock) -> Result<BootTime, LineError> {
        self.set(values(self.lock).0, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpiocdev::line::Direction;

    fn request_of(lock: LockType, active_low: bool) -> line::Config {
        let config = wanted(
            "/dev/gpiochip9".as_ref(),
            17,
            lock,
            active_low,
            guard::Bias::PullDown,
            guard::Drive::OpenDrain,
        );
        config.line_config(17).expect("the line is in the request").clone()
    }

    /// door-rules 6 and 7: for every polarity and lock type.
    #[test]
    fn the_locked_value_travels_in_the_request_itself() {
        for (lock, locked) in [(LockType::FailSecure, Value::Inactive), (LockType::FailSafe, Value::Active)] {
            for active_low in [false, true] {
                let line = request_of(lock, active_low);
                assert_eq!(line.direction, Some(Direction::Output), "{lock:?}");
                assert_eq!(line.value, Some(locked), "{lock:?}");
                assert_eq!(line.active_low, active_low, "{lock:?}");
                assert_eq!(line.bias, Some(line::Bias::PullDown));
                assert_eq!(line.drive, Some(line::Drive::OpenDrain));
            }
        }
    }

    #[test]
    fn unlocked_is_never_the_locked_value() {
        for lock in [LockType::FailSecure, LockType::FailSafe] {
            let (locked, unlocked) = values(lock);
            assert_ne!(locked, unlocked);
        }
    }

    #[test]
    fn err_a_chip_that_does_not_exist_is_named() {
        let line = LineConfig::Gpio {
            name: None,
            chip: Some("no-such-chip".into()),
            offset: Some(1),
            active_low: false,
            bias: guard::Bias::AsIs,
            drive: guard::Drive::PushPull,
        };
        let error = request(&line, LockType::FailSecure, GUARD).expect_err("no such chip");
        assert!(error.to_string().contains("no-such-chip"), "{error}");
        assert!(!error.is_busy());
    }
}
