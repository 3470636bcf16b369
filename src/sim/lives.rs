//! Processes begin and end, with the machine or without it.

use super::disk::Stop;
use super::lock::Guard;
use super::people;
use super::process::Process;
use super::world::{Happening, MILLI, SECOND, Which, World};
use crate::clock::Clock;
use crate::guard::DownCause;

impl World {
    pub(super) fn start_guard(&mut self) {
        if self.guard.is_some() {
            return;
        }
        let at = self.now();
        self.guard = Some(Guard::start(&self.guard_config, self.clock.boot(), at, &mut self.line));
        self.guard_tick_at = u64::MAX;
        self.trace(|| "the guard starts".into());
        self.after(30 * MILLI, Happening::Connect);
    }

    pub fn start_agent(&mut self) {
        if self.agent.is_some() {
            return;
        }
        self.agent_life += 1;
        self.director_tick_at = u64::MAX;
        match Process::start(&self.ground, &self.config) {
            Ok((process, opening)) => {
                self.trace(|| format!("the agent starts: {opening:?}"));
                let fresh = opening == crate::store::Opening::Fresh;
                if fresh && let Err(error) = people::list(&process.shared) {
                    self.oracle.violated(&format!("the list of people is not taken: {error}"));
                }
                self.agent = Some(process);
                self.after(30 * MILLI, Happening::Connect);
                self.after(60 * SECOND, Happening::Housekeeping);
                self.schedule(Which::Submitter);
                self.schedule(Which::Drain);
                self.settle();
            }
            Err(error) => {
                self.trace(|| format!("the agent does not start: {error}"));
                if error.to_string().contains("damaged") {
                    self.oracle.violated(&format!("no torn write damages the database: {error}"));
                }
                let stop = self.mounted.disk().stopped.take();
                self.mounted.disk().end_life(stop.unwrap_or(Stop::Kill));
                if stop == Some(Stop::PowerCut) {
                    self.power_cut()
                } else {
                    self.after(SECOND, Happening::StartAgent)
                }
            }
        }
    }

    /// A write during which the machine was to stop.
    pub(super) fn stopped_by_disk(&mut self) -> bool {
        let Some(how) = self.mounted.disk().stopped else { return false };
        match how {
            Stop::Kill => self.kill_agent(Stop::Kill),
            Stop::PowerCut => self.power_cut(),
        }
        true
    }

    /// The agent is killed; systemd starts it again.
    pub fn kill_agent(&mut self, how: Stop) {
        self.end_agent(how);
        let pause = self.chance.micros(100 * MILLI, 2000 * MILLI);
        self.after(pause, Happening::StartAgent);
    }

    pub(super) fn end_agent(&mut self, how: Stop) {
        self.agent_stopped_until = 0;
        self.mounted.disk().end_life(how);
        let now = self.now();
        let Some(agent) = self.agent.take() else { return };
        self.trace(|| format!("the agent ends: {how:?}"));
        self.oracle.agent_died(now, &self.line, self.guard_stopped_until);
        let connection = agent.connection;
        agent.end();
        self.agent_life += 1;
        if let Some(connection) = connection {
            self.closed.insert(connection);
            self.after(100, Happening::GuardHangUp { connection });
        }
    }

    pub fn kill_guard(&mut self) {
        self.guard_stopped_until = 0;
        let now = self.now();
        let Some(guard) = self.guard.take() else { return };
        self.guard_life += 1;
        self.trace(|| "the guard ends".into());
        self.oracle.guard_died(now, &self.line);
        let life = self.guard_life;
        let pause = self.chance.micros(20 * MILLI, 80 * MILLI);
        self.after(pause, Happening::StartGuard { life });
        if let Some(connection) = guard.peer {
            self.hang_up(connection, DownCause::HangUp);
        }
    }

    /// Everything is gone at once; the relay falls back. The wall clock may be unknown afterwards.
    pub fn power_cut(&mut self) {
        self.end_agent(Stop::PowerCut);
        self.guard = None;
        self.guard_life += 1;
        self.guard_stopped_until = 0;
        let now = self.now();
        self.line.set(now, false, None);
        let dark = self.chance.micros(3 * SECOND, 20 * SECOND);
        self.time.pass(dark);
        self.boots += 1;
        let off = if self.chance.per_mille(400) { None } else { Some(0) };
        self.clock.boot_anew(self.boots, off);
        self.trace(|| format!("power is back, the clock is {off:?}"));
        let life = self.guard_life;
        self.after(0, Happening::StartGuard { life });
        self.after(SECOND, Happening::StartAgent);
        if off.is_none() {
            let known = self.chance.micros(5 * SECOND, 120 * SECOND);
            self.after(known, Happening::Mend(super::faults::Mend::Clock));
        }
    }

    /// A changed configuration is taken once nobody is at the door.
    pub(super) fn reload_if_wanted(&mut self) {
        let rests = self.agent.as_ref().is_some_and(|agent| agent.director.is_at_rest());
        if !self.reload || !rests || self.agent_stopped_until > self.now() {
            return;
        }
        self.reload = false;
        people::change(&mut self.config, &mut self.chance);
        self.oracle.configured(&self.config);
        self.trace(|| "the configuration changes".into());
        self.kill_agent(Stop::Kill);
    }
}
