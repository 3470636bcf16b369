//! One history: people, operators, faults and the two processes, on one queue of moments. Everything that happens is an
//! entry of that queue; its order is true time, then the order of insertion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, bounded};

use super::chance::{Chance, DeviceClock, Dice, ServiceClock, Time, span};
use super::disk::{Disk, Stop};
use super::fiber::{Fiber, Wait, Woken};
use super::lock::{Guard, Line};
use super::network::Network;
use super::oracle::Oracle;
use super::people::{self, PEOPLE};
use super::process::{Ground, Process};
use super::vfs::Mounted;
use crate::access::{AttemptId, Claim, Product, UserId};
use crate::agent::message::{ClaimOrder, Message};
use crate::callbacks::Notice;
use crate::clock::{BootTime, Clock};
use crate::config::{Config, GuardConfig};
use crate::control::Reply;
use crate::guard::machine::Input;
use crate::guard::{DownCause, LinkReport, Relock, Report, Request, codec};
use crate::sandbox::direct::Direct;

pub const API_KEY: &str = "simulated-key";
pub const MILLI: u64 = 1000;
pub const SECOND: u64 = 1_000_000;
const BASE_URL: &str = "https://service.test";

/// Something that happens at a moment.
pub enum Happening {
    /// Somebody comes to the door.
    Person,
    /// The camera is done.
    Captured { attempt: AttemptId, cancelled: Arc<AtomicBool> },
    /// A thread's time has come.
    Fiber { which: Which, at: u64 },
    ToGuard { connection: u64, frame: codec::Frame },
    ToAgent { connection: u64, frame: codec::Frame },
    /// The kernel tells the guard that its peer is gone.
    GuardHangUp { connection: u64 },
    /// The agent's link has noticed that the guard is gone, and has taken the line.
    Relock { connection: u64, cause: DownCause },
    Connect,
    GuardTick,
    Heartbeat { connection: u64 },
    DirectorTick,
    StartGuard { life: u64 },
    StartAgent,
    /// The guard has not answered an arm or a grant.
    Silence { connection: u64, since: u64 },
    Housekeeping,
    Callback(Notice),
    Operator,
    Fault,
    /// A fault ends.
    Mend(super::faults::Mend),
}

/// A thread of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Submitter,
    Drain,
    Other,
}

/// The whole of it.
pub struct World {
    pub time: Arc<Time>,
    pub clock: Arc<DeviceClock>,
    pub mounted: Arc<Mounted>,
    pub network: Arc<Mutex<Network>>,
    pub ground: Ground,
    pub chance: Chance,
    pub config: Config,
    pub guard_config: GuardConfig,
    pub guard: Option<Guard>,
    pub line: Line,
    pub agent: Option<Process>,
    pub oracle: Oracle,
    pub agent_stopped_until: u64,
    pub guard_stopped_until: u64,
    /// The camera gives nothing until then.
    pub blind_until: u64,
    /// The kernel refuses edges until then.
    pub stuck_until: u64,
    /// So many frames to the guard in a thousand come twice.
    pub repeating: u64,
    pub boots: u64,
    /// Counts processes of either kind: what was meant for an earlier one is dropped.
    agent_life: u64,
    pub guard_life: u64,
    connections: u64,
    closed: BTreeSet<u64>,
    sequence: u32,
    unanswered: Option<u64>,
    guard_tick_at: u64,
    director_tick_at: u64,
    pub reload: bool,
    /// People and faults still come.
    pub busy: bool,
    replies: BTreeMap<AttemptId, Receiver<Reply>>,
    queue: BTreeMap<(u64, u64), (u64, Happening)>,
    inserted: u64,
    edges_seen: usize,
    taken_seen: usize,
    turns: u64,
    turned_at: u64,
    pub steps: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let time = Arc::new(Time::default());
        time.pass(10 * SECOND);
        let clock = Arc::new(DeviceClock::new(time.clone()));
        clock.boot_anew(1, Some(0));
        let mounted = Arc::new(Mounted::new(Disk::new(chance.branch(), time.clone())));
        let service_clock = Arc::new(ServiceClock(time.clone()));
        let dice = Dice::new(chance.branch());
        let account = (people::PARTNER, API_KEY);
        let service = Direct::new(BASE_URL, account, people::scenario(), service_clock, Dice::new(chance.branch()));
        let network = Arc::new(Mutex::new(Network::new(service, chance.branch())));
        let guard_config = people::guard_config(&mut chance);
        let config = people::config(&mut chance, BASE_URL);
        let ground = Ground {
            time: time.clone(),
            clock: clock.clone(),
            dice,
            mounted: mounted.clone(),
            network: network.clone(),
            guard: guard_config.clone(),
        };
        let oracle = Oracle::new(&config);
        let mut world = Self {
            time,
            clock,
            mounted,
            network,
            ground,
            chance,
            config,
            guard_config,
            guard: None,
            line: Line::default(),
            agent: None,
            oracle,
            agent_stopped_until: 0,
            guard_stopped_until: 0,
            blind_until: 0,
            stuck_until: 0,
            repeating: 0,
            boots: 1,
            agent_life: 0,
            guard_life: 0,
            connections: 0,
            closed: BTreeSet::new(),
            sequence: 0,
            unanswered: None,
            guard_tick_at: u64::MAX,
            director_tick_at: u64::MAX,
            reload: false,
            busy: true,
            replies: BTreeMap::new(),
            queue: BTreeMap::new(),
            inserted: 0,
            edges_seen: 0,
            taken_seen: 0,
            turns: 0,
            turned_at: 0,
            steps: 0,
        };
        world.start_guard();
        world.start_agent();
        world
    }

    pub fn now(&self) -> u64 {
        self.time.now()
    }

    pub fn network(&self) -> std::sync::MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn trace(&mut self, text: impl FnOnce() -> String) {
        let now = self.now();
        self.oracle.trace(now, text);
    }

    /// Lets something happen `after` from now.
    pub fn after(&mut self, after: u64, what: Happening) {
        let at = self.now() + after;
        self.at(at, what);
    }

    fn at(&mut self, at: u64, what: Happening) {
        self.inserted += 1;
        self.queue.insert((at, self.inserted), (self.agent_life, what));
    }

    /// The moment of true time at which the device's boot time is `due`. What is due already and was not done is tried again
    /// a little later.
    fn moment(&self, due: BootTime) -> u64 {
        match span(due.since(self.clock.boot())) {
            0 => self.now() + 10 * MILLI,
            left => self.now() + left,
        }
    }

    /// Runs until `end`, or until nothing more happens.
    pub fn run_until(&mut self, end: u64) {
        while let Some((&(at, order), _)) = self.queue.first_key_value() {
            if at > end || self.oracle.is_violated() {
                break;
            }
            let Some((life, what)) = self.queue.remove(&(at, order)) else { break };
            self.time.reach(at);
            self.steps += 1;
            // Without progress of time something turns in a circle.
            self.turns = if at == self.turned_at { self.turns + 1 } else { 0 };
            self.turned_at = at;
            if self.turns > 10_000 {
                return self.oracle.violated("liveness: something turns in a circle");
            }
            self.happen(life, what);
            self.settle();
        }
        self.time.reach(end);
    }

    fn happen(&mut self, life: u64, what: Happening) {
        let stopped = match &what {
            Happening::ToAgent { .. }
            | Happening::Captured { .. }
            | Happening::Fiber { .. }
            | Happening::Relock { .. }
            | Happening::Heartbeat { .. }
            | Happening::DirectorTick
            | Happening::Silence { .. }
            | Happening::Housekeeping
            | Happening::Callback(_) => self.agent_stopped_until,
            Happening::ToGuard { .. } | Happening::GuardHangUp { .. } | Happening::GuardTick => self.guard_stopped_until,
            _ => 0,
        };
        if stopped > self.now() {
            self.inserted += 1;
            self.queue.insert((stopped, self.inserted), (life, what));
            return;
        }
        let same_life = life == self.agent_life;
        match what {
            Happening::Person => self.person(),
            Happening::Captured { attempt, cancelled } if same_life => self.captured(attempt, &cancelled),
            Happening::Fiber { which, at } if same_life => self.fiber_time(which, at),
            Happening::ToGuard { connection, frame } => self.to_guard(connection, &frame),
            Happening::ToAgent { connection, frame } => self.to_agent(connection, &frame),
            Happening::GuardHangUp { connection } => {
                if self.guard.as_mut().and_then(|guard| guard.peer.take_if(|peer| *peer == connection)).is_some() {
                    self.feed_guard(Input::HangUp);
                    self.oracle.hung_up(&self.guard);
                    self.after(20 * MILLI, Happening::Connect);
                }
            }
            Happening::Relock { connection, cause } if same_life => self.relock(connection, cause),
            Happening::Connect => self.connect(),
            Happening::GuardTick => self.guard_tick(),
            Happening::Heartbeat { connection } if same_life => self.heartbeat(connection),
            Happening::DirectorTick if same_life => {
                self.director_tick_at = u64::MAX;
                self.turn(Message::Tick);
            }
            Happening::StartGuard { life } if life == self.guard_life => self.start_guard(),
            Happening::StartAgent => self.start_agent(),
            Happening::Silence { connection, since } if same_life && self.unanswered == Some(since) => {
                self.unanswered = None;
                self.trace(|| "the guard is silent".into());
                self.hang_up(connection, DownCause::Silent);
            }
            Happening::Housekeeping if same_life => self.housekeeping(),
            Happening::Callback(notice) => self.callback(notice),
            Happening::Operator => self.operator(),
            Happening::Fault => self.fault(),
            Happening::Mend(what) => self.mend(what),
            _ => {}
        }
    }

    // ------------------------------------------------------------------ people

    fn person(&mut self) {
        if !self.busy {
            return;
        }
        let gap = self.chance.micros(2 * SECOND, 40 * SECOND);
        self.after(gap, Happening::Person);
        if self.agent_stopped_until > self.now() {
            return;
        }
        let who = usize::try_from(self.chance.below(PEOPLE.len() as u64)).unwrap();
        let rule = people::rule(&mut self.chance, who);
        self.network().service.play(|scenario| {
            scenario.users.insert(PEOPLE[who].user.to_owned(), rule);
        });
        let product =
            if self.chance.per_mille(150) { Product::Registration } else { Product::Authentication };
        let reader = format!("reader-{}", self.chance.below(4));
        let allow_new_enroll = self.chance.per_mille(300);
        let no_wait = self.chance.per_mille(50);
        let Some(agent) = &self.agent else { return };
        let attempt = agent.shared.new_attempt();
        let (told, replies) = bounded(64);
        let user = UserId::parse(PEOPLE[who].user).unwrap();
        let claim = Claim { attempt, user, product, reader };
        let received = agent.now();
        let order = ClaimOrder { claim, allow_new_enroll, no_wait, received, replies: told };
        self.replies.insert(attempt, replies);
        self.oracle.claimed(attempt, who, product);
        self.trace(|| format!("{} claims {} as {attempt}", PEOPLE[who].user, product.name()));
        self.turn(Message::Claim(Box::new(order)));
        if self.chance.per_mille(30) {
            self.turn(Message::Abandon(attempt));
        }
    }

    fn captured(&mut self, attempt: AttemptId, cancelled: &AtomicBool) {
        let now = self.now();
        let Some(agent) = &self.agent else { return };
        let result = if cancelled.load(Ordering::Acquire) || self.blind_until > now {
            Err(people::camera_lost())
        } else {
            let number = self.oracle.captured(now, attempt);
            Ok(people::capture(agent.now(), number))
        };
        self.trace(|| format!("pictures of {attempt}: {}", result.is_ok()));
        self.turn(Message::Captured(attempt, Box::new(result)));
    }

    // ------------------------------------------------------------------ the daemon

    /// The director takes a message.
    pub fn turn(&mut self, message: Message) {
        if let Some(agent) = &mut self.agent {
            agent.director.turn(message);
        }
    }

    fn fiber_time(&mut self, which: Which, at: u64) {
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
    fn schedule(&mut self, which: Which) {
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
    fn settle(&mut self) {
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

    fn tick_director(&mut self) {
        let Some(due) = self.agent.as_ref().and_then(|agent| agent.director.deadline()) else { return };
        let at = self.moment(due);
        if at < self.director_tick_at {
            self.director_tick_at = at;
            self.at(at, Happening::DirectorTick);
        }
    }

    /// What the director has sent to the guard goes on its way.
    fn send_frames(&mut self) -> bool {
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
    fn send(&mut self, connection: u64, request: &Request, after: u64) {
        self.sequence += 1;
        let frame = codec::encode_request(self.sequence, request);
        self.after(after, Happening::ToGuard { connection, frame });
    }

    fn heartbeat(&mut self, connection: u64) {
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

    fn housekeeping(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        agent.settled_at = crate::agent::housekeeping::round(&agent.shared, agent.settled_at);
        self.after(60 * SECOND, Happening::Housekeeping);
    }

    fn callback(&mut self, notice: Notice) {
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

    fn hear_replies(&mut self) {
        let now = self.now();
        for (attempt, replies) in &self.replies {
            while let Ok(reply) = replies.try_recv() {
                self.oracle.told(now, *attempt, &reply);
            }
        }
    }

    fn look_at_line(&mut self) {
        while let Some(seen) = self.line.seen.get(self.edges_seen).copied() {
            self.edges_seen += 1;
            self.trace(|| format!("edge: {}", if seen.unlocked { "unlocked" } else { "locked" }));
            let network = self.network.clone();
            let network = network.lock().unwrap_or_else(PoisonError::into_inner);
            self.oracle.edge(seen, &network.service.jobs(), self.guard_life);
        }
    }

    /// Whether a power cut now would leave the intent to unlock.
    fn intent_is_durable(&self, attempt: AttemptId) -> bool {
        let certain = Mounted::new(self.mounted.disk().certain());
        super::oracle::has_intent(&certain, attempt)
    }

    /// Callbacks follow what the service took: late, twice, never.
    fn follow_taken(&mut self) {
        let log = std::mem::take(&mut self.network().log);
        for line in log {
            self.trace(|| line);
        }
        let taken = self.network().taken.get(self.taken_seen..).unwrap_or_default().to_vec();
        self.taken_seen += taken.len();
        for job in taken {
            self.trace(|| format!("the service takes {} ({})", job.job(), job.seen.decision));
            let times = self.chance.below(3);
            for _ in 0..times {
                let after = self.chance.micros(200 * MILLI, 60 * SECOND);
                let notice = Notice {
                    remote_job: Some(job.seen.job_id.clone()),
                    our_job: crate::access::JobId::parse(&job.job()),
                };
                self.after(after, Happening::Callback(notice));
            }
        }
    }

    // ------------------------------------------------------------------ the lock

    fn connect(&mut self) {
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

    fn to_guard(&mut self, connection: u64, frame: &codec::Frame) {
        // What a dead peer sent last is not carried out: the hang-up is seen first.
        if self.closed.contains(&connection) || self.guard.as_ref().is_none_or(|guard| guard.peer != Some(connection)) {
            return;
        }
        if let Ok((sequence, request)) = codec::decode_request(frame) {
            self.feed_guard(Input::Request(sequence, request));
        }
    }

    fn guard_tick(&mut self) {
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
            let lasts = self.guard.as_ref().and_then(|guard| guard.machine.deadline()).is_some_and(|due| due <= now);
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

    fn to_agent(&mut self, connection: u64, frame: &codec::Frame) {
        let Some(agent) = &mut self.agent else { return };
        if agent.connection != Some(connection) {
            return;
        }
        let Ok((_, report)) = codec::decode_report(frame) else { return };
        self.trace(|| format!("from the guard: {report:?}"));
        let answers = matches!(report, Report::Armed { .. } | Report::Unlocked { .. } | Report::Refused { .. });
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

    fn relock(&mut self, connection: u64, cause: DownCause) {
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

    // ------------------------------------------------------------------ lives

    fn start_guard(&mut self) {
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
                if stop == Some(Stop::PowerCut) { self.power_cut() } else { self.after(SECOND, Happening::StartAgent) }
            }
        }
    }

    /// A write during which the machine was to stop.
    fn stopped_by_disk(&mut self) -> bool {
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

    fn end_agent(&mut self, how: Stop) {
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
    fn reload_if_wanted(&mut self) {
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

    /// Whether something is still on its way that moves jobs.
    pub fn awaits_callbacks(&self) -> bool {
        self.queue.values().any(|(_, what)| matches!(what, Happening::Callback(_)))
    }

    /// Nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.busy = false;
        self.mend_all();
    }
}

