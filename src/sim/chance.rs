//! All chance of a history comes from its seed, and all time from one counter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{BootId, BootTime, Clock, Random, Wall, WallTime};

/// SplitMix64: small, seeded, the same on every machine.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True this many times in a thousand.
    pub fn per_mille(&mut self, rate: u64) -> bool {
        self.below(1000) < rate
    }

    /// A span between the two, in microseconds.
    pub fn micros(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap();
        &of[at]
    }

    /// A source of its own, so that what one part draws does not move what another draws.
    pub fn branch(&mut self) -> Self {
        Self(self.next())
    }
}

/// Random bytes of the daemon and of the service.
#[derive(Debug)]
pub struct Dice(Mutex<Chance>);

impl Dice {
    pub fn new(chance: Chance) -> Arc<Self> {
        Arc::new(Self(Mutex::new(chance)))
    }
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&chance.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// True time of the simulated world, microseconds; never goes back.
#[derive(Debug, Default)]
pub struct Time(AtomicU64);

impl Time {
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn reach(&self, at: u64) {
        self.0.fetch_max(at, Ordering::Relaxed);
    }

    pub fn pass(&self, micros: u64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

/// 2026-11-01T00:00:00Z, when every history begins.
const BEGIN_MILLIS: i64 = 1_793_491_200_000;

/// The device's clocks: they start anew with each boot, and the wall clock may be wrong or unknown.
#[derive(Debug)]
pub struct DeviceClock {
    time: Arc<Time>,
    state: Mutex<Device>,
}

#[derive(Debug, Clone, Copy)]
struct Device {
    boot: BootId,
    booted_at: u64,
    /// How far the wall clock is off, milliseconds; `None`: nobody has set it.
    off: Option<i64>,
}

impl DeviceClock {
    pub fn new(time: Arc<Time>) -> Self {
        let state = Device { boot: BootId([1; 16]), booted_at: 0, off: Some(0) };
        Self { time, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Device> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A boot; boot time 0 was a moment ago, as on a real machine by the time that a process runs.
    pub fn boot_anew(&self, number: u64, off: Option<i64>) {
        let mut id = [2; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        *self.state() =
            Device { boot: BootId(id), booted_at: self.time.now().saturating_sub(1_000_000), off };
    }

    pub fn set_off(&self, off: Option<i64>) {
        self.state().off = off;
    }
}

impl Clock for DeviceClock {
    fn boot(&self) -> BootTime {
        BootTime::from_micros(self.time.now().saturating_sub(self.state().booted_at))
    }

    fn wall(&self) -> Wall {
        let Some(off) = self.state().off else { return Wall::Unknown };
        Wall::Known(WallTime::from_unix_millis(millis(&self.time) + off))
    }

    fn boot_id(&self) -> BootId {
        self.state().boot
    }
}

/// The service's clocks, which are always right.
#[derive(Debug)]
pub struct ServiceClock(pub Arc<Time>);

impl Clock for ServiceClock {
    fn boot(&self) -> BootTime {
        BootTime::from_micros(self.0.now())
    }

    fn wall(&self) -> Wall {
        Wall::Known(WallTime::from_unix_millis(millis(&self.0)))
    }

    fn boot_id(&self) -> BootId {
        BootId([9; 16])
    }
}

/// True time in Unix milliseconds.
pub fn millis(time: &Time) -> i64 {
    BEGIN_MILLIS + i64::try_from(time.now() / 1000).unwrap_or(i64::MAX)
}

/// A span as microseconds.
pub fn span(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
