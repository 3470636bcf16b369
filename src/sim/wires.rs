//! The connection between the two processes, and the guard's side of it.

use std::sync::PoisonError;

use super::world::{Happening, MILLI, World};
use crate::agent::message::Message;
use crate::clock::Clock;
use crate::guard::machine::Input;
use crate::guard::{DownCause, LinkReport, Relock, Report, Request, codec};

impl World {
    pub(super) fn connect(&mut self) {
        let now = self.now();
        let (Some(agent), Some(guard)) = (&mut self.agent, &mut self.guard) else { return };
        if agent.connection.is_some() || guard.peer.is_some() || self.agent_stopped_until > now {
            return;
        }
        self.connections += 1;
        let connection = self.connections;
        agent.connection = Some(connection);
        guard.peer = Some(connection);
        self.send(connection, &Request::Hello, 100);
    }

    pub(super) fn reaches_guard(&mut self, connection: u64, frame: &codec::Frame) {
        // What a dead peer sent last is not carried out: the hang-up is seen first.
        if self.closed.contains(&connection)
            || self.guard.as_ref().is_none_or(|guard| guard.peer != Some(connection))
        {
            return;
        }
        if let Ok((sequence, request)) = codec::decode_request(frame) {
            self.feed_guard(Input::Request(sequence, request));
        }
    }

    pub(super) fn guard_tick(&mut self) {
        self.guard_tick_at = u64::MAX;
        if self.guard.as_ref().is_some_and(|guard| guard.machine.deadline().is_some()) {
            // The link is a thread of its own: it beats while another one waits for the disk.
            let peer = self.guard.as_ref().and_then(|guard| guard.peer);
            let beats = self.agent.as_ref().is_some_and(|agent| peer.is_some() && agent.connection == peer);
            if beats && self.agent_stopped_until <= self.now() {
                self.feed_guard(Input::Request(0, Request::Heartbeat));
            }
            self.feed_guard(Input::Tick);
            let now = self.clock.boot();
            let lasts =
                self.guard.as_ref().and_then(|guard| guard.machine.deadline()).is_some_and(|due| due <= now);
            if lasts {
                self.oracle.violated("door-rules 1 and 5: what the guard must end by time lasts");
            }
        }
    }

    /// The guard takes an input, and its reports go on their way.
    pub fn feed_guard(&mut self, input: Input) {
        let (now, stuck) = (self.now(), self.stuck_until > self.time.now());
        let Some(guard) = &mut self.guard else { return };
        let frames = guard.feed(&self.clock, now, input, &mut self.line, stuck);
        let (peer, due) = (guard.peer, guard.machine.deadline());
        for frame in frames {
            if let Ok((_, Report::Armed { attempt, .. })) = codec::decode_report(&frame) {
                self.oracle.armed(now, attempt, self.guard_life);
            }
            if let Some(connection) = peer {
                self.after(100, Happening::ToAgent { connection, frame });
            }
        }
        if let Some(due) = due {
            let at = self.moment(due);
            if at < self.guard_tick_at {
                self.guard_tick_at = at;
                self.at(at, Happening::GuardTick);
            }
        }
    }

    pub(super) fn reaches_agent(&mut self, connection: u64, frame: &codec::Frame) {
        let Some(agent) = &mut self.agent else { return };
        if agent.connection != Some(connection) {
            return;
        }
        let Ok((_, report)) = codec::decode_report(frame) else { return };
        self.trace(|| format!("from the guard: {report:?}"));
        let answers =
            matches!(report, Report::Armed { .. } | Report::Unlocked { .. } | Report::Refused { .. });
        if answers {
            self.unanswered = None;
        }
        let report = match report {
            Report::Hello(hello) => {
                if let Some(agent) = &self.agent {
                    agent.link.lock().unwrap_or_else(PoisonError::into_inner).up = true;
                }
                LinkReport::Up { effective: hello.effective, line: hello.line, pid: hello.pid }
            }
            other => LinkReport::Report(other),
        };
        self.turn(Message::Guard(report));
    }

    /// One side is gone: the agent closes its end and takes the line, the guard sees the hang-up.
    pub fn hang_up(&mut self, connection: u64, cause: DownCause) {
        self.closed.insert(connection);
        self.unanswered = None;
        if let Some(agent) = &mut self.agent {
            agent.link.lock().unwrap_or_else(PoisonError::into_inner).up = false;
            let took = self.chance.micros(3 * MILLI, 25 * MILLI);
            self.after(took, Happening::Relock { connection, cause });
        }
        self.after(100, Happening::GuardHangUp { connection });
    }

    pub(super) fn relock(&mut self, connection: u64, cause: DownCause) {
        let now = self.now();
        let Some(agent) = &mut self.agent else { return };
        if agent.connection.take_if(|own| *own == connection).is_none() {
            return;
        }
        if self.guard.is_none() {
            self.line.set(now, false, None);
        }
        let took = std::time::Duration::from_millis(5);
        self.turn(Message::Guard(LinkReport::Down { cause, relock: Relock::Held, took }));
        self.after(50 * MILLI, Happening::Connect);
    }

    pub(super) fn guard_hears_hang_up(&mut self, connection: u64) {
        let Some(guard) = &mut self.guard else { return };
        if guard.peer.take_if(|peer| *peer == connection).is_some() {
            self.feed_guard(Input::HangUp);
            self.oracle.hung_up(&self.guard);
            self.after(20 * MILLI, Happening::Connect);
        }
    }
}
