//! The one place that reads time and draws random bytes.
//!
//! Decisions take time as a value. [`BootTime`] never steps and counts suspended time (CLOCK_BOOTTIME);
//! [`WallTime`] can step either way and on a board without a battery is wrong until somebody corrects it,
//! hence [`Wall`], which may say that it does not know.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// Microseconds since this boot, by CLOCK_BOOTTIME.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootTime(u64);

impl BootTime {
    /// A moment `micros` microseconds after boot.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A moment `millis` milliseconds after boot.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since boot.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since boot.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// This moment and `span` more; stays at the largest value instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to this moment, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WallTime(i64);

impl WallTime {
    /// A wall time from Unix milliseconds.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Unix milliseconds.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// RFC 3339 in UTC with milliseconds, `2026-01-02T03:04:05.000Z`: also the form the service signs.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => format!("{stamp:.3}"),
            Err(_) => String::from("out-of-range"),
        }
    }

    /// Reads RFC 3339 with any offset; `None` when it is not that.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|stamp| Self(stamp.as_millisecond()))
    }
}

/// Wall time, or the honest answer that it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// The clock is believed.
    Known(WallTime),
    /// The clock has not been set since power-on.
    Unknown,
}

impl Wall {
    /// The time if it is known.
    pub fn known(self) -> Option<WallTime> {
        match self {
            Self::Known(time) => Some(time),
            Self::Unknown => None,
        }
    }
}

/// The kernel's random id of this boot: moments of different boots cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BootId(pub [u8; 16]);

/// Where time comes from. Real on a device, settable in tests and in the simulation.
pub trait Clock: Send + Sync {
    /// Now, by CLOCK_BOOTTIME.
    fn boot(&self) -> BootTime;
    /// Now, by the wall clock, if it can be believed.
    fn wall(&self) -> Wall;
    /// Which boot this is.
    fn boot_id(&self) -> BootId;
}

/// Where random bytes come from. The kernel on a device, a seed in the simulation.
pub trait Random: Send + Sync {
    /// Fills `bytes`. A device whose kernel gives none must not go on, hence no error to ignore.
    fn fill(&self, bytes: &mut [u8]);
}

/// A wall clock before this (2026-01-01) was never set: no release of latchd is older.
pub const WALL_FLOOR: WallTime = WallTime(1_767_225_600_000);

/// The kernel's clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: BootId,
}

impl SystemClock {
    /// Reads the boot id; where /proc is not mounted every start counts as a boot of its own.
    pub fn new() -> Self {
        let mut id = [0; 16];
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
        if digits.len() == 32 {
            for (byte, pair) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
                *byte = pair.iter().fold(0, |high, low| high << 4 | low);
            }
        } else {
            SystemRandom.fill(&mut id);
        }
        Self { boot_id: BootId(id) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn nonnegative(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl Clock for SystemClock {
    fn boot(&self) -> BootTime {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootTime(nonnegative(now.tv_sec) * 1_000_000 + nonnegative(now.tv_nsec) / 1000)
    }

    fn wall(&self) -> Wall {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let time = WallTime(now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000));
        if time < WALL_FLOOR { Wall::Unknown } else { Wall::Known(time) }
    }

    fn boot_id(&self) -> BootId {
        self.boot_id
    }
}

/// The kernel's random source.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                // Keys and ids from a source that gives nothing would be guessable: worse than no daemon.
                Err(_) => std::process::abort(),
            }
        }
    }
}

/// A clock that moves only when told, for tests and the simulation.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(BootTime, Wall, BootId)>,
}

impl ManualClock {
    /// Starts at `boot` of boot `[1; 16]`.
    pub fn new(boot: BootTime, wall: Wall) -> Self {
        Self { state: Mutex::new((boot, wall, BootId([1; 16]))) }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, (BootTime, Wall, BootId)> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Both clocks go forward by `span`.
    pub fn advance(&self, span: Duration) {
        let mut state = self.locked();
        state.0 = state.0.plus(span);
        if let Wall::Known(wall) = state.1 {
            let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            state.1 = Wall::Known(WallTime(wall.0.saturating_add(millis)));
        }
    }

    /// The wall clock steps; boot time does not.
    pub fn set_wall(&self, wall: Wall) {
        self.locked().1 = wall;
    }

    /// A reboot: a new boot id and boot time from zero.
    pub fn reboot(&self, id: BootId) {
        let mut state = self.locked();
        state.0 = BootTime(0);
        state.2 = id;
    }
}

impl Clock for ManualClock {
    fn boot(&self) -> BootTime {
        self.locked().0
    }

    fn wall(&self) -> Wall {
        self.locked().1
    }

    fn boot_id(&self) -> BootId {
        self.locked().2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_written_as_the_service_signs_it() {
        let time = WallTime::from_unix_millis(1_767_323_045_000);
        assert_eq!(time.to_rfc3339(), "2026-01-02T03:04:05.000Z");
        assert_eq!(WallTime::from_rfc3339("2026-01-02T04:04:05+01:00"), Some(time));
        assert_eq!(WallTime::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn the_system_clock_moves_forward_and_knows_its_boot() {
        let clock = SystemClock::new();
        let first = clock.boot();
        assert!(clock.boot() >= first);
        assert_eq!(clock.boot_id(), SystemClock::new().boot_id());
    }

    #[test]
    fn a_moment_does_not_wrap() {
        assert_eq!(BootTime::from_millis(5).since(BootTime::from_millis(9)), Duration::ZERO);
        assert_eq!(BootTime::from_micros(u64::MAX).plus(Duration::from_secs(1)).as_micros(), u64::MAX);
    }
}
