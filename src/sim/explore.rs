//! The exhaustive check: every interleaving of agent machine, guard machine, the link between them and what the service may
//! say, within small bounds, breadth first. The two machines are the real ones; everything else is as bad as it may be.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::access::{
    AttemptId, Claim, Command, Event, JobId, Machine as Agent, Outcome, Product, Readiness, Report as Word,
    Rules, Standing, SubmitFailure, UserId, Verdict, WhoMayOpen,
};
use crate::clock::BootTime;
use crate::guard::machine::{Edge, Input, Limits, Machine as Guard};
use crate::guard::{Report, Request};

const WINDOW: u64 = 3;
const PULSE: u64 = 1;
/// A silence of so many steps is too long for the guard.
const SILENCE: u64 = 2;

/// What may still happen: so many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Of time: one is a second.
    pub steps: u64,
    pub claims: u8,
    pub verdicts: u8,
    /// Broken links, deaths of either process, repeated grants, failures and cancellations together.
    pub troubles: u8,
}

/// A piece of work that the agent has ordered and that has not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Order {
    Pictures(AttemptId),
    Store(AttemptId),
    Submit(AttemptId),
    Record(AttemptId),
}

/// All of it.
#[derive(Debug, Clone)]
struct State {
    now: u64,
    agent: Agent,
    guard: Guard,
    to_guard: VecDeque<Request>,
    to_agent: VecDeque<Report>,
    orders: BTreeSet<Order>,
    /// Attempts whose job the service has.
    taken: BTreeSet<AttemptId>,
    /// An approval for exactly this attempt was told to the agent, in time.
    approved: BTreeSet<AttemptId>,
    intents: BTreeSet<AttemptId>,
    edges: BTreeSet<AttemptId>,
    ended: BTreeSet<AttemptId>,
    open_since: Option<u64>,
    heard: u64,
    budget: Budget,
}

/// Takes a name and a change that may happen next.
type Try<'a> = dyn FnMut(String, &dyn Fn(&mut State) -> Result<(), String>) + 'a;

/// What was found.
pub struct Explored {
    pub states: usize,
    pub steps: usize,
    /// The way to the first broken invariant.
    pub broken: Option<(String, Vec<String>)>,
}

fn attempt(number: u8) -> AttemptId {
    AttemptId([number; 16])
}

fn job(of: AttemptId) -> JobId {
    JobId(of.0)
}

fn at(step: u64) -> BootTime {
    BootTime::from_millis(step * 1000)
}

fn word(of: AttemptId, user: &str, verdict: Verdict) -> Word {
    Word {
        verdict,
        product: Product::Authentication,
        user_id: user.into(),
        remote_job: format!("job-{}", of.0[0]),
        code: String::new(),
        text: String::new(),
    }
}

impl State {
    fn new(budget: Budget) -> Self {
        let seconds = Duration::from_secs;
        let rules = Rules {
            who: WhoMayOpen::Listed,
            window: seconds(WINDOW),
            unlock: seconds(PULSE),
            enrolment_wait: seconds(WINDOW),
            away: None,
        };
        let limits = Limits {
            pulse_max: seconds(PULSE),
            window_max: seconds(WINDOW),
            heartbeat_timeout: seconds(SILENCE),
        };
        let mut guard = Guard::remembering(limits, 3);
        guard.apply(at(0), Input::LineHeld);
        guard.apply(at(0), Input::Request(1, Request::Hello));
        Self {
            now: 0,
            agent: Agent::new(rules),
            guard,
            to_guard: VecDeque::new(),
            to_agent: VecDeque::new(),
            orders: BTreeSet::new(),
            taken: BTreeSet::new(),
            approved: BTreeSet::new(),
            intents: BTreeSet::new(),
            edges: BTreeSet::new(),
            ended: BTreeSet::new(),
            open_since: None,
            heard: 0,
            budget,
        }
    }

    fn key(&self) -> [u8; 32] {
        Sha256::digest(format!("{self:?}")).into()
    }

    /// The agent hears something; its commands become orders and frames.
    fn tell(&mut self, event: Event) -> Result<(), String> {
        for command in self.agent.handle(at(self.now), event) {
            match command {
                Command::Begin { attempt, .. } => drop(self.orders.insert(Order::Pictures(attempt))),
                Command::Store { attempt } => drop(self.orders.insert(Order::Store(attempt))),
                Command::Submit { attempt, .. } => drop(self.orders.insert(Order::Submit(attempt))),
                Command::RecordVerdict { attempt, intent: true, .. } => {
                    self.orders.insert(Order::Record(attempt));
                }
                Command::Arm { attempt, window } => {
                    let window_ms = u32::try_from(window.as_millis()).unwrap();
                    self.to_guard.push_back(Request::Arm { attempt, window_ms });
                }
                Command::Disarm { attempt } => self.to_guard.push_back(Request::Disarm { attempt }),
                Command::Grant { attempt, pulse } => {
                    self.may_be_granted(attempt)?;
                    let pulse_ms = u32::try_from(pulse.as_millis()).unwrap();
                    self.to_guard.push_back(Request::Grant { attempt, pulse_ms });
                }
                Command::Lock => self.to_guard.push_back(Request::Lock),
                Command::Finish { attempt, outcome } => {
                    if outcome == Outcome::Granted && !self.edges.contains(&attempt) {
                        return Err("door-rules 10: granted is said without an edge".into());
                    }
                    self.ended.insert(attempt);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// door-rules 1, 2, 4 and 9, when a grant is sent.
    fn may_be_granted(&self, attempt: AttemptId) -> Result<(), String> {
        for (holds, rule) in [
            (!self.ended.contains(&attempt), "door-rules 2: a grant for an attempt that is over"),
            (
                self.approved.contains(&attempt),
                "door-rules 1 and 4: a grant without an approval of its own, in time",
            ),
            (self.intents.contains(&attempt), "door-rules 9: a grant without a durable intent"),
        ] {
            if !holds {
                return Err(rule.into());
            }
        }
        Ok(())
    }

    /// The guard takes an input; the line obeys.
    fn feed(&mut self, input: Input) -> Result<(), String> {
        let granted = match input {
            Input::Request(_, Request::Grant { attempt, .. }) => Some(attempt),
            _ => None,
        };
        if matches!(input, Input::Request(..)) {
            self.heard = self.now;
        }
        let mut out = self.guard.apply(at(self.now), input);
        loop {
            self.to_agent.extend(out.reports().map(|(_, report)| report));
            let Some(edge) = out.edge else { return Ok(()) };
            let done = match edge {
                Edge::Unlock => {
                    let Some(attempt) = granted else { return Err("an edge without a grant".into()) };
                    if !self.edges.insert(attempt) {
                        return Err("door-rules 3: a second edge for one verdict".into());
                    }
                    self.open_since = Some(self.now);
                    Input::EdgeMade(at(self.now))
                }
                Edge::Lock => {
                    self.open_since = None;
                    Input::Locked(at(self.now))
                }
            };
            out = self.guard.apply(at(self.now), done);
        }
    }

    /// The connection ends: what was on its way is gone.
    fn hang_up(&mut self) -> Result<(), String> {
        self.to_guard.clear();
        self.to_agent.clear();
        self.feed(Input::HangUp)?;
        if self.guard.deadline().is_some() {
            return Err("door-rules 1 and 5: an arm or a pulse outlives the connection".into());
        }
        self.to_agent.clear();
        self.feed(Input::Request(1, Request::Hello))
    }

    fn pass(&mut self, beats: bool) -> Result<(), String> {
        self.now += 1;
        if beats {
            self.feed(Input::Request(0, Request::Heartbeat))?;
        }
        self.feed(Input::Tick)?;
        let lasts = self.guard.deadline().is_some_and(|due| due <= at(self.now));
        let unheard = self.now >= self.heard + SILENCE && self.guard.deadline().is_some();
        if lasts || unheard {
            return Err("door-rules 1 and 5: what the guard must end by time lasts".into());
        }
        if self.open_since.is_some_and(|since| self.now > since + PULSE) {
            return Err("door-rules 5: the pulse does not end".into());
        }
        if self.agent.deadline().is_some_and(|due| due <= at(self.now)) {
            self.tell(Event::Tick)?;
        }
        Ok(())
    }

    /// Everything that may happen next: a name, and the state it leads to or the rule it breaks.
    fn next(&self) -> Vec<(String, Result<Self, String>)> {
        let mut all = Vec::new();
        let mut try_it = |name: String, change: &dyn Fn(&mut Self) -> Result<(), String>| {
            let mut state = self.clone();
            let done = change(&mut state);
            all.push((name, done.map(|()| state)));
        };
        if self.now < self.budget.steps {
            try_it("time".into(), &|state| state.pass(true));
            try_it("time, without a heartbeat".into(), &|state| state.pass(false));
        }
        if !self.to_guard.is_empty() {
            try_it("to the guard".into(), &|state| match state.to_guard.pop_front() {
                Some(request) => state.feed(Input::Request(2, request)),
                None => Ok(()),
            });
        }
        if self.budget.troubles > 0 {
            for request in self.to_guard.iter().filter(|request| matches!(request, Request::Grant { .. })) {
                try_it("a grant comes again".into(), &|state| {
                    state.budget.troubles -= 1;
                    state.to_guard.push_back(*request);
                    Ok(())
                });
            }
        }
        if !self.to_agent.is_empty() {
            try_it("to the agent".into(), &|state| match state.to_agent.pop_front() {
                Some(report) => state.report(report),
                None => Ok(()),
            });
        }
        self.people_and_service(&mut try_it);
        self.deaths(&mut try_it);
        all
    }

    fn report(&mut self, report: Report) -> Result<(), String> {
        match report {
            Report::Armed { attempt, .. } => self.tell(Event::Armed { attempt }),
            Report::Unlocked { attempt, .. } => self.tell(Event::Unlocked { attempt }),
            Report::Locked { .. } => self.tell(Event::Locked),
            Report::LineLost { .. } => self.tell(Event::LockLost),
            Report::Refused { attempt, reason } => {
                self.tell(Event::LockRefused { attempt, reason: reason.name() })
            }
            _ => Ok(()),
        }
    }

    fn people_and_service(&self, try_it: &mut Try<'_>) {
        if self.budget.claims > 0 {
            try_it("claim".into(), &|state| {
                let number = state.budget.claims;
                state.budget.claims -= 1;
                let claim = Claim {
                    attempt: attempt(number),
                    user: UserId::parse("ada").unwrap(),
                    product: Product::Authentication,
                    reader: String::new(),
                };
                let standing =
                    Standing { listed: true, may_open: true, consent: true, ..Standing::default() };
                state.tell(Event::Claimed {
                    claim,
                    standing,
                    readiness: Readiness { guard: true, queue: true },
                })
            });
        }
        for order in &self.orders {
            try_it(format!("{order:?} is done"), &|state| {
                state.orders.remove(order);
                state.done(*order)
            });
            if self.budget.troubles > 0 {
                try_it(format!("{order:?} fails"), &|state| {
                    state.budget.troubles -= 1;
                    state.orders.remove(order);
                    state.failed(*order)
                });
            }
        }
        if let (Some(attempt), true) = (self.agent.attempt(), self.budget.troubles > 0) {
            try_it("cancelled".into(), &|state| {
                state.budget.troubles -= 1;
                state.tell(Event::Cancelled { attempt })
            });
        }
        if self.budget.verdicts > 0 {
            for of in &self.taken {
                for (user, verdict) in [
                    ("ada", Verdict::Approved),
                    ("ben", Verdict::Approved),
                    ("ada", Verdict::Provisional),
                    ("ada", Verdict::Rejected { spoof: false }),
                ] {
                    try_it(format!("{verdict:?} for {user} about {}", of.0[0]), &|state| {
                        state.budget.verdicts -= 1;
                        let in_time = state.agent.deadline().is_some_and(|end| at(state.now) < end);
                        if user == "ada" && verdict == Verdict::Approved && in_time {
                            state.approved.insert(*of);
                        }
                        let report = word(*of, user, verdict);
                        state.tell(Event::Verdict { attempt: *of, job: job(*of), report })
                    });
                }
            }
        }
    }

    fn done(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Pictures(attempt) => self.tell(Event::Captured { attempt, last_picture: at(self.now) }),
            Order::Store(attempt) => self.tell(Event::Stored { attempt, job: job(attempt) }),
            Order::Submit(attempt) => {
                self.taken.insert(attempt);
                self.tell(Event::Accepted { attempt, remote_job: format!("job-{}", attempt.0[0]) })
            }
            Order::Record(attempt) => {
                self.intents.insert(attempt);
                self.tell(Event::VerdictStored { attempt })
            }
        }
    }

    fn failed(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Pictures(attempt) => self.tell(Event::CaptureFailed { attempt, reason: String::new() }),
            Order::Store(attempt) | Order::Record(attempt) => self.tell(Event::StoreFailed { attempt }),
            Order::Submit(attempt) => {
                let failure = SubmitFailure::PerhapsTaken;
                self.tell(Event::SubmitFailed { attempt, job: job(attempt), failure })
            }
        }
    }

    fn deaths(&self, try_it: &mut Try<'_>) {
        if self.budget.troubles > 0 {
            try_it("the link breaks".into(), &|state| {
                state.budget.troubles -= 1;
                state.hang_up()?;
                state.tell(Event::LockLost)
            });
        }
        if self.budget.troubles > 0 {
            try_it("the agent dies".into(), &|state| {
                state.budget.troubles -= 1;
                state.agent = Self::new(state.budget).agent;
                state.orders.clear();
                state.ended.extend(
                    [attempt(1), attempt(2)].into_iter().filter(|one| one.0[0] > state.budget.claims),
                );
                state.hang_up()
            });
        }
        if self.budget.troubles > 0 {
            try_it("the guard dies".into(), &|state| {
                state.budget.troubles -= 1;
                state.guard = Self::new(state.budget).guard;
                (state.open_since, state.heard) = (None, state.now);
                state.to_guard.clear();
                state.to_agent.clear();
                state.tell(Event::LockLost)
            });
        }
    }
}

/// Visits every state that can be reached.
pub fn explore(budget: Budget) -> Explored {
    let start = State::new(budget);
    let mut seen = HashSet::from([start.key()]);
    // For the way to a broken rule: each state's parent and the step from it.
    let mut ways: Vec<(usize, String)> = vec![(0, "start".into())];
    let mut queue = VecDeque::from([(0, start)]);
    let mut steps = 0;
    while let Some((index, state)) = queue.pop_front() {
        for (name, led) in state.next() {
            steps += 1;
            match led {
                Err(rule) => {
                    let way = way_to(&ways, index, name);
                    return Explored { states: seen.len(), steps, broken: Some((rule, way)) };
                }
                Ok(next) if seen.insert(next.key()) => {
                    ways.push((index, name));
                    queue.push_back((ways.len() - 1, next));
                }
                Ok(_) => {}
            }
        }
    }
    Explored { states: seen.len(), steps, broken: None }
}

fn way_to(ways: &[(usize, String)], mut index: usize, last: String) -> Vec<String> {
    let mut way = vec![last];
    while index != 0 {
        way.push(ways[index].1.clone());
        index = ways[index].0;
    }
    way.reverse();
    way
}
