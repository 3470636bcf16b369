//! One history: people, operators, faults and the two processes, on one queue of moments. Everything that happens is an
//! entry of that queue; its order is true time, then the order of insertion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, bounded};

use super::chance::{Chance, DeviceClock, Dice, ServiceClock, Time, span};
use super::disk::Disk;
use super::lock::{Guard, Line};
use super::network::Network;
use super::oracle::Oracle;
use super::people::{self, PEOPLE};
use super::process::{Ground, Process};
use super::vfs::Mounted;
use crate::access::{AttemptId, Claim, Product, UserId};
use crate::agent::message::{ClaimOrder, Message};
use crate::callbacks::Notice;
use crate::capture::CaptureError;
use crate::clock::{BootTime, Clock};
use crate::config::{Config, GuardConfig};
use crate::control::Reply;
use crate::guard::{DownCause, codec};
use crate::sandbox::direct::Direct;

pub const API_KEY: &str = "simulated-key";
pub const MILLI: u64 = 1000;
pub const SECOND: u64 = 1_000_000;
const LOOK_EVERY: u64 = 300 * MILLI;
const BASE_URL: &str = "https://service.test";

/// Something that happens at a moment.
pub enum Happening {
    /// Somebody comes to the door.
    Person,
    /// The camera is done.
    Captured {
        attempt: AttemptId,
        cancelled: Arc<AtomicBool>,
    },
    /// The camera looks whether the person is still there.
    Look {
        attempt: AttemptId,
        cancelled: Arc<AtomicBool>,
        leaves: u64,
    },
    /// A thread's time has come.
    Fiber {
        which: Which,
        at: u64,
    },
    ToGuard {
        connection: u64,
        frame: codec::Frame,
    },
    ToAgent {
        connection: u64,
        frame: codec::Frame,
    },
    /// The kernel tells the guard that its peer is gone.
    GuardHangUp {
        connection: u64,
    },
    /// The agent's link has noticed that the guard is gone, and has taken the line.
    Relock {
        connection: u64,
        cause: DownCause,
    },
    Connect,
    GuardTick,
    Heartbeat {
        connection: u64,
    },
    DirectorTick,
    StartGuard {
        life: u64,
    },
    StartAgent,
    /// The guard has not answered an arm or a grant.
    Silence {
        connection: u64,
        since: u64,
    },
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
    pub(super) agent_life: u64,
    pub guard_life: u64,
    pub(super) connections: u64,
    pub(super) closed: BTreeSet<u64>,
    pub(super) sequence: u32,
    pub(super) unanswered: Option<u64>,
    pub(super) guard_tick_at: u64,
    pub(super) director_tick_at: u64,
    pub reload: bool,
    /// People and faults still come.
    pub busy: bool,
    pub(super) replies: BTreeMap<AttemptId, Receiver<Reply>>,
    pub(super) queue: BTreeMap<(u64, u64), (u64, Happening)>,
    pub(super) inserted: u64,
    pub(super) edges_seen: usize,
    pub(super) taken_seen: usize,
    pub(super) turns: u64,
    pub(super) turned_at: u64,
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
        let service =
            Direct::new(BASE_URL, account, people::scenario(), service_clock, Dice::new(chance.branch()));
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

    pub(super) fn at(&mut self, at: u64, what: Happening) {
        self.inserted += 1;
        self.queue.insert((at, self.inserted), (self.agent_life, what));
    }

    /// The moment of true time at which the device's boot time is `due`. What is due already and was not done is tried again
    /// a little later.
    pub(super) fn moment(&self, due: BootTime) -> u64 {
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

    pub(super) fn happen(&mut self, life: u64, what: Happening) {
        let stopped = match &what {
            Happening::ToAgent { .. }
            | Happening::Captured { .. }
            | Happening::Look { .. }
            | Happening::Fiber { .. }
            | Happening::Relock { .. }
            | Happening::Heartbeat { .. }
            | Happening::DirectorTick
            | Happening::Silence { .. }
            | Happening::Housekeeping
            | Happening::Callback(_) => self.agent_stopped_until,
            Happening::ToGuard { .. } | Happening::GuardHangUp { .. } | Happening::GuardTick => {
                self.guard_stopped_until
            }
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
            Happening::Captured { attempt, cancelled } if same_life => self.captured(attempt, cancelled),
            Happening::Look { attempt, cancelled, leaves } if same_life => {
                self.look(attempt, cancelled, leaves)
            }
            Happening::Fiber { which, at } if same_life => self.fiber_time(which, at),
            Happening::ToGuard { connection, frame } => self.reaches_guard(connection, &frame),
            Happening::ToAgent { connection, frame } => self.reaches_agent(connection, &frame),
            Happening::GuardHangUp { connection } => self.guard_hears_hang_up(connection),
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

    pub(super) fn person(&mut self) {
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

    pub(super) fn captured(&mut self, attempt: AttemptId, cancelled: Arc<AtomicBool>) {
        let now = self.now();
        let Some(agent) = &self.agent else { return };
        let result = if cancelled.load(Ordering::Acquire) {
            Err(CaptureError::Cancelled)
        } else if self.blind_until > now {
            Err(people::camera_lost())
        } else {
            let number = self.oracle.captured(now, attempt);
            Ok(people::capture(agent.now(), number))
        };
        self.trace(|| format!("pictures of {attempt}: {}", result.is_ok()));
        if result.is_ok() {
            let leaves =
                if self.chance.per_mille(100) { now + self.chance.below(6 * SECOND) } else { u64::MAX };
            self.after(LOOK_EVERY, Happening::Look { attempt, cancelled, leaves });
        }
        self.turn(Message::Captured(attempt, Box::new(result)));
    }

    /// As the camera's thread does until the attempt is over.
    fn look(&mut self, attempt: AttemptId, cancelled: Arc<AtomicBool>, leaves: u64) {
        let now = self.now();
        let Some(agent) = &self.agent else { return };
        if cancelled.load(Ordering::Acquire) {
            return;
        }
        let at = agent.now();
        self.after(LOOK_EVERY, Happening::Look { attempt, cancelled, leaves });
        if now < leaves && self.blind_until <= now {
            self.oracle.seen(now, attempt);
            self.turn(Message::Seen(attempt, at));
        }
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
