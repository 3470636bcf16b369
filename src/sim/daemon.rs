//! The daemon's threads take their turns: what each leaves is carried on until nothing is left to do at this moment.

use std::sync::PoisonError;

use super::fiber::{Fiber, Wait, Woken};
use super::network::own_id;
use super::vfs::Mounted;
use super::world::{Happening, MILLI, SECOND, Which, World};
use crate::access::AttemptId;
use crate::agent::message::Message;
use crate::callbacks::Notice;
use crate::guard::{Request, codec};

impl World {
    /// The director takes a message.
    pub fn turn(&mut self, message: Message) {
        if let Some(agent) = &mut self.agent {
            agent.director.turn(message);
        }
    }

    pub(super) fn fiber_time(&mut self, which: Which, at: u64) {
        let Some(agent) = &mut self.agent else { return };
        let due = |fiber: &Fiber| match fiber.waits() {
            Wait::Time(until) | Wait::Call(Some(until)) => until == at,
            Wait::Call(None) | Wait::Ended => false,
        };
        match which {
            Which::Submitter if due(&agent.submitter) => agent.submitter.run(Woken::Time),
            Which::Drain if due(&agent.drain) => agent.drain.run(Woken::Time),
            Which::Other => {
                if let Some(fiber) = agent.others.iter_mut().find(|fiber| due(fiber)) {
                    fiber.run(Woken::Time);
                }
            }
            _ => return,
        }
        self.schedule(which);
    }

    /// Notes when a fiber wants to go on.
    pub(super) fn schedule(&mut self, which: Which) {
        let Some(agent) = &self.agent else { return };
        let waits: Vec<Wait> = match which {
            Which::Submitter => vec![agent.submitter.waits()],
            Which::Drain => vec![agent.drain.waits()],
            Which::Other => agent.others.iter().map(Fiber::waits).collect(),
        };
        for wait in waits {
            if let Wait::Time(at) | Wait::Call(Some(at)) = wait {
                self.at(at.max(self.now()), Happening::Fiber { which, at });
            }
        }
    }

    /// Carries on what the last step left, until nothing is left.
    pub(super) fn settle(&mut self) {
        loop {
            if self.stopped_by_disk() {
                return;
            }
            let stopped = self.agent_stopped_until > self.now();
            let Some(agent) = &mut self.agent else { break };
            if agent.is_dead() {
                self.oracle.violated("the database is damaged, and nothing damaged it");
                return;
            }
            if stopped {
                break;
            }
            if let Ok(message) = agent.inbox.try_recv() {
                agent.director.turn(message);
                continue;
            }
            if let Ok(order) = agent.camera.try_recv() {
                let took = self.chance.micros(1500 * MILLI, 4500 * MILLI);
                self.after(took, Happening::Captured { attempt: order.attempt, cancelled: order.cancelled });
                continue;
            }
            if matches!(agent.submitter.waits(), Wait::Call(_)) && !agent.orders.is_empty() {
                agent.submitter.run(Woken::Called);
                self.schedule(Which::Submitter);
                continue;
            }
            if matches!(agent.drain.waits(), Wait::Call(_)) && !agent.woken.is_empty() {
                agent.drain.run(Woken::Called);
                self.schedule(Which::Drain);
                continue;
            }
            if self.send_frames() {
                continue;
            }
            break;
        }
        self.tick_director();
        self.hear_replies();
        self.look_at_line();
        self.follow_taken();
        self.reload_if_wanted();
        let now = self.now();
        self.oracle.passes(now, &self.line);
    }

    pub(super) fn tick_director(&mut self) {
        let Some(due) = self.agent.as_ref().and_then(|agent| agent.director.deadline()) else { return };
        let at = self.moment(due);
        if at < self.director_tick_at {
            self.director_tick_at = at;
            self.at(at, Happening::DirectorTick);
        }
    }

    /// What the director has sent to the guard goes on its way.
    pub(super) fn send_frames(&mut self) -> bool {
        let Some(agent) = &self.agent else { return false };
        let out = std::mem::take(&mut agent.link.lock().unwrap_or_else(PoisonError::into_inner).out);
        let Some(connection) = agent.connection else { return false };
        let any = !out.is_empty();
        for request in out {
            self.trace(|| format!("to the guard: {request:?}"));
            let now = self.now();
            if let Request::Grant { attempt, .. } = request {
                let intent = self.intent_is_durable(attempt);
                self.oracle.grant_sent(now, attempt, intent);
            }
            self.send(connection, &request, 100);
            if self.chance.per_mille(self.repeating) {
                // A sender that is beside itself says it again.
                let late = self.chance.micros(100, 5 * SECOND);
                self.send(connection, &request, late);
            }
            if let Request::Arm { .. } | Request::Grant { .. } = request {
                self.unanswered = Some(now);
                self.after(500 * MILLI, Happening::Silence { connection, since: now });
                self.after(20 * MILLI, Happening::Heartbeat { connection });
            }
        }
        any
    }

    /// A socket keeps the order: all frames take as long.
    pub(super) fn send(&mut self, connection: u64, request: &Request, after: u64) {
        self.sequence += 1;
        let frame = codec::encode_request(self.sequence, request);
        self.after(after, Happening::ToGuard { connection, frame });
    }

    pub(super) fn heartbeat(&mut self, connection: u64) {
        let Some(agent) = &self.agent else { return };
        if agent.connection != Some(connection) {
            return;
        }
        let busy = self.guard.as_ref().is_some_and(|guard| guard.machine.deadline().is_some());
        if busy || self.unanswered.is_some() {
            self.send(connection, &Request::Heartbeat, 100);
            self.after(40 * MILLI, Happening::Heartbeat { connection });
        }
    }

    /// The oracle reads the events.
    pub fn note_events(&mut self) {
        let copy = Mounted::new(self.mounted.disk().as_seen());
        let now = super::chance::millis(&self.time);
        self.oracle.read_events(&copy, now, &self.config);
    }

    pub(super) fn housekeeping(&mut self) {
        self.note_events();
        let Some(agent) = &mut self.agent else { return };
        agent.settled_at = crate::agent::housekeeping::round(&agent.shared, agent.settled_at);
        self.after(60 * SECOND, Happening::Housekeeping);
    }

    pub(super) fn callback(&mut self, notice: Notice) {
        let Some(agent) = &mut self.agent else { return };
        agent.others.retain(|fiber| fiber.waits() != Wait::Ended);
        let shared = agent.shared.clone();
        let mut fiber = Fiber::new("callback", move || {
            if let Ok(true) = crate::agent::callbacks::follow(&shared, &notice) {
                shared.wake();
            }
        });
        fiber.run(Woken::Called);
        agent.others.push(fiber);
        self.schedule(Which::Other);
    }

    pub(super) fn hear_replies(&mut self) {
        let now = self.now();
        for (attempt, replies) in &self.replies {
            while let Ok(reply) = replies.try_recv() {
                self.oracle.told(now, *attempt, &reply);
            }
        }
    }

    pub(super) fn look_at_line(&mut self) {
        while let Some(seen) = self.line.seen.get(self.edges_seen).copied() {
            self.edges_seen += 1;
            self.trace(|| format!("edge: {}", if seen.unlocked { "unlocked" } else { "locked" }));
            let network = self.network.clone();
            let network = network.lock().unwrap_or_else(PoisonError::into_inner);
            self.oracle.edge(seen, &network.service.jobs(), self.guard_life);
        }
    }

    /// Whether a power cut now would leave the intent to unlock.
    pub(super) fn intent_is_durable(&self, attempt: AttemptId) -> bool {
        let certain = Mounted::new(self.mounted.disk().certain());
        super::oracle::has_intent(&certain, attempt)
    }

    /// Callbacks follow what the service took: late, twice, never.
    pub(super) fn follow_taken(&mut self) {
        let log = std::mem::take(&mut self.network().log);
        for line in log {
            self.trace(|| line);
        }
        let taken = self.network().taken.get(self.taken_seen..).unwrap_or_default().to_vec();
        self.taken_seen += taken.len();
        for job in taken {
            self.trace(|| format!("the service takes {} ({})", own_id(&job), job.decision));
            let times = self.chance.below(3);
            for _ in 0..times {
                let after = self.chance.micros(200 * MILLI, 60 * SECOND);
                let notice = Notice {
                    remote_job: Some(job.job_id.clone()),
                    our_job: crate::access::JobId::parse(&own_id(&job)),
                };
                self.after(after, Happening::Callback(notice));
            }
        }
    }
}
