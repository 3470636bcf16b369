//! Tells systemd that the daemon is well, but only while every thread is.
//!
//! A thread that waits for work is well. A thread that works must finish a piece within its limit; one that
//! does not is stuck, the pings stop, and systemd restarts the daemon (the guard relocks meanwhile).

use crate::clock::{BootTime, Clock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Zero stands for "waits for work": no boot time is zero by the time a thread runs.
const RESTING: u64 = 0;

/// One thread's mark.
#[derive(Debug)]
pub struct Mark {
    name: &'static str,
    limit: Duration,
    busy_since_micros: AtomicU64,
}

impl Mark {
    /// A piece of work begins.
    pub fn busy(&self, now: BootTime) {
        self.busy_since_micros.store(now.as_micros().max(1), Ordering::Release);
    }

    /// The thread waits for work.
    pub fn resting(&self) {
        self.busy_since_micros.store(RESTING, Ordering::Release);
    }

    fn stuck(&self, now: BootTime) -> bool {
        match self.busy_since_micros.load(Ordering::Acquire) {
            RESTING => false,
            since => now.since(BootTime::from_micros(since)) > self.limit,
        }
    }
}

/// All threads' marks.
#[derive(Debug, Default)]
pub struct Watchdog {
    marks: Mutex<Vec<Arc<Mark>>>,
}

impl Watchdog {
    /// A thread whose pieces of work take at most `limit`.
    pub fn register(&self, name: &'static str, limit: Duration) -> Arc<Mark> {
        let mark = Arc::new(Mark { name, limit, busy_since_micros: AtomicU64::new(RESTING) });
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&mark));
        mark
    }

    /// Whether one of the named threads works.
    pub fn is_busy(&self, names: &[&str]) -> bool {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.iter().any(|mark| {
            names.contains(&mark.name) && mark.busy_since_micros.load(Ordering::Acquire) != RESTING
        })
    }

    /// The first thread that is stuck.
    pub fn stuck(&self, now: BootTime) -> Option<&'static str> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.iter().find(|mark| mark.stuck(now)).map(|mark| mark.name)
    }

    /// Pings systemd every `every` until the process ends, as long as no thread is stuck.
    pub fn run(&self, clock: &dyn Clock, every: Duration) {
        let (_keep, never) = crossbeam_channel::bounded::<()>(0);
        loop {
            self.ping(clock);
            let _ = never.recv_timeout(every);
        }
    }

    /// Pings systemd unless a thread is stuck.
    fn ping(&self, clock: &dyn Clock) {
        match self.stuck(clock.boot()) {
            None => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            }
            Some(name) => {
                log::error!(thread = name; "a thread is stuck; waiting for systemd to restart the daemon")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_does_not_end_is_stuck() {
        let watchdog = Watchdog::default();
        let mark = watchdog.register("submitter", Duration::from_secs(60));
        let at = BootTime::from_millis;
        assert_eq!(watchdog.stuck(at(1_000_000)), None);
        mark.busy(at(1_000));
        assert_eq!(watchdog.stuck(at(61_000)), None);
        assert_eq!(watchdog.stuck(at(61_001)), Some("submitter"));
        mark.resting();
        assert_eq!(watchdog.stuck(at(61_001)), None);
    }
}
