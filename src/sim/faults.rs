//! What goes wrong, and how it ends.

use super::chance::Chance;
use super::disk::Stop;
use super::people::PEOPLE;
use super::world::{Happening, MILLI, SECOND, World};
use crate::agent::operations::{self, Actor, Backend};
use crate::control::Request;
use crate::guard::machine::Machine;

/// What ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    Disk,
    Network,
    Clock,
    Guard,
    Link,
}

const YEAR_MILLIS: i64 = 365 * 24 * 3600 * 1000;

impl World {
    /// One fault, and when the next one comes.
    pub fn fault(&mut self) {
        if !self.busy {
            return;
        }
        let gap = self.chance.micros(2 * SECOND, 45 * SECOND);
        self.after(gap, Happening::Fault);
        let kind = self.chance.below(18);
        self.trace(|| format!("fault {kind}"));
        let some_seconds = |chance: &mut Chance, most: u64| chance.micros(SECOND, most * SECOND);
        match kind {
            0 => self.kill_agent(Stop::Kill),
            1 => self.stop_at_write(Stop::Kill),
            2 => self.power_cut(),
            3 | 4 => self.stop_at_write(Stop::PowerCut),
            5 => self.kill_guard(),
            6 => self.stop_guard(),
            7 => {
                let span = self.chance.micros(50 * MILLI, 8 * SECOND);
                self.agent_stopped_until = self.now() + span;
                let now = self.now();
                let stopped = self.guard_stopped_until > now;
                self.oracle.agent_stopped(now, &self.line, stopped);
            }
            8 | 9 => {
                let span = some_seconds(&mut self.chance, 120);
                let until = self.now() + span;
                self.network().down_until = until;
                self.after(span, Happening::Mend(Mend::Link));
            }
            10 => {
                let rate = *self.chance.pick(&[30, 100, 300]);
                self.mounted.disk().failing = rate;
                let span = some_seconds(&mut self.chance, 8);
                self.after(span, Happening::Mend(Mend::Disk));
            }
            11 => {
                let room = usize::try_from(self.chance.below(200_000)).unwrap();
                let full = self.mounted.disk().bytes() + room;
                self.mounted.disk().capacity = full;
                let span = some_seconds(&mut self.chance, 60);
                self.after(span, Happening::Mend(Mend::Disk));
            }
            12 => {
                self.mounted.disk().slow = 40;
                let span = some_seconds(&mut self.chance, 20);
                self.after(span, Happening::Mend(Mend::Disk));
            }
            13 | 14 => {
                let hour = 3_600_000;
                let offs = [None, Some(YEAR_MILLIS), Some(-YEAR_MILLIS), Some(hour), Some(-hour)];
                let off = *self.chance.pick(&offs);
                self.clock.set_off(off);
                let span = some_seconds(&mut self.chance, 120);
                self.after(span, Happening::Mend(Mend::Clock));
            }
            15 => {
                let rate = *self.chance.pick(&[0, 100, 300, 600]);
                self.network().faulty = rate;
                let span = some_seconds(&mut self.chance, 90);
                self.after(span, Happening::Mend(Mend::Network));
            }
            16 => self.reload = true,
            _ => {
                let span = some_seconds(&mut self.chance, 20);
                let until = self.now() + span;
                match self.chance.below(3) {
                    0 => self.blind_until = until,
                    1 => self.stuck_until = until,
                    _ => self.repeating = 500,
                }
            }
        }
    }

    fn stop_at_write(&mut self, how: Stop) {
        let left = self.chance.below(120);
        self.mounted.disk().stop_in = Some((left, how));
    }

    fn stop_guard(&mut self) {
        let now = self.now();
        let span = self.chance.micros(50 * MILLI, 3 * SECOND);
        self.guard_stopped_until = now + span;
        // Its watchdog kills a guard that stands still during a pulse.
        if self.guard.as_ref().is_some_and(|guard| guard.machine.pulsing()) && span > 400 * MILLI {
            let patience = self.chance.micros(150 * MILLI, 400 * MILLI);
            self.after(patience, Happening::Mend(Mend::Guard));
            self.oracle.guard_stopped(now, &self.line);
        }
    }

    pub fn mend(&mut self, what: Mend) {
        match what {
            Mend::Disk => {
                let mut disk = self.mounted.disk();
                (disk.failing, disk.capacity, disk.slow) = (0, usize::MAX, 1);
            }
            Mend::Network => self.network().faulty = 30,
            Mend::Clock => self.clock.set_off(Some(0)),
            Mend::Guard => {
                if self.guard.as_ref().map(|guard| &guard.machine).is_some_and(Machine::pulsing) {
                    self.kill_guard();
                }
            }
            Mend::Link => {
                if let Some(agent) =
                    self.agent.as_ref().filter(|_| self.agent_stopped_until <= self.time.now())
                {
                    crate::agent::records::hurry(&agent.shared);
                }
            }
        }
    }

    pub fn mend_all(&mut self) {
        self.mend(Mend::Disk);
        self.mend(Mend::Clock);
        self.mounted.disk().stop_in = None;
        let mut network = self.network();
        (network.faulty, network.down_until) = (0, 0);
        drop(network);
        (self.blind_until, self.stuck_until, self.repeating) = (0, 0, 0);
    }

    /// An operator does something, sometimes twice.
    pub fn operator(&mut self) {
        if !self.busy {
            return;
        }
        let gap = self.chance.micros(10 * SECOND, 120 * SECOND);
        self.after(gap, Happening::Operator);
        if self.agent_stopped_until > self.now() {
            return;
        }
        let Some(agent) = &self.agent else { return };
        let job = self.oracle.some_job(&mut self.chance);
        let who = PEOPLE[usize::try_from(self.chance.below(PEOPLE.len() as u64)).unwrap()].user;
        let request = match (self.chance.below(5), job) {
            (0 | 1, Some(job)) => {
                self.oracle.retried(&job);
                Request::QueueRetry { job: Some(job) }
            }
            (2, Some(job)) => Request::QueueDrop { job },
            (3, _) => Request::QueueRetry { job: None },
            _ => Request::PeopleUnlockOut { user_id: Some(who.to_owned()), reader: None },
        };
        let times = 1 + self.chance.below(2);
        for _ in 0..times {
            let backend = Backend::of(&agent.shared);
            // A refusal is as good as a deed here.
            let _ = operations::perform(&backend, Actor { uid: 0 }, request.clone(), &mut |_| {});
        }
        agent.shared.wake();
    }
}
