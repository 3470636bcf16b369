//! The thread behind [`Link`]: one wait over the connection and the waker, with the nearest of its deadlines.

use super::super::codec;
use super::super::effective::Effective;
use super::super::protocol::{Hello, LineState, Report, Request};
use super::super::relock::{self, HeldLocked};
use super::super::socket::{Connection, Received};
use super::super::warden::wait_for;
use super::{ANSWER_PATIENCE, BEAT_BUSY, BEAT_IDLE, DownCause, Gate, Link, LinkReport, Relock, Settings};
use crate::access::AttemptId;
use crate::clock::{BootTime, Clock};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pause between two tries to connect: doubles from the least to the most.
const PAUSE_LEAST: Duration = Duration::from_millis(10);
const PAUSE_MOST: Duration = Duration::from_millis(250);
/// A guard that was never there for this long after the start: the agent holds the line itself.
const ABSENT_AFTER: Duration = Duration::from_secs(1);
/// A guard that does not answer hello for this long is left and tried again: it may be starting, hence the patience.
const HELLO_PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Runner<'a> {
    settings: &'a Settings,
    clock: &'a dyn Clock,
    link: &'a Link,
    on_report: &'a mut dyn FnMut(LinkReport),
    mine: Effective,
    peer: Peer,
    /// Whether the last guard went by our line; only then is it ours to hold.
    same_line: bool,
    absent_since: Option<BootTime>,
    pause: Duration,
    beat_at: BootTime,
    armed: Option<(AttemptId, BootTime)>,
    pulsing: bool,
    hold: Hold,
    /// What the agent is told at the end of the round: its answering must not delay a relock.
    outbox: Vec<LinkReport>,
}

enum Peer {
    None { try_at: BootTime },
    Greeting { connection: Arc<Connection>, until: BootTime },
    Greeted { connection: Arc<Connection> },
}

/// The line, while no guard holds it.
enum Hold {
    No,
    Trying { cause: DownCause, since: BootTime, try_at: BootTime, last: String },
    Held { _line: HeldLocked },
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        clock: &'a dyn Clock,
        link: &'a Link,
        on_report: &'a mut dyn FnMut(LinkReport),
    ) -> Self {
        let now = clock.boot();
        Self {
            settings,
            clock,
            link,
            on_report,
            mine: Effective::of(&settings.config),
            peer: Peer::None { try_at: now },
            same_line: true,
            absent_since: Some(now),
            pause: PAUSE_LEAST,
            beat_at: now,
            armed: None,
            pulsing: false,
            hold: Hold::No,
            outbox: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) {
        while !self.link.shared.stopped.load(Ordering::Acquire) {
            let now = self.clock.boot();
            self.connect(now);
            self.hold_line(now);
            self.beat(now);
            self.judge_silence(now);
            self.deliver();
            self.wait();
            self.read();
            self.deliver();
        }
        self.link.set_gate(Gate::Down);
    }

    fn deliver(&mut self) {
        for report in self.outbox.drain(..) {
            (self.on_report)(report);
        }
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        match &self.peer {
            Peer::None { .. } => None,
            Peer::Greeting { connection, .. } | Peer::Greeted { connection } => Some(Arc::clone(connection)),
        }
    }

    fn connect(&mut self, now: BootTime) {
        let Peer::None { try_at } = self.peer else { return };
        if now < try_at {
            return;
        }
        let greeting = Connection::connect(&self.settings.socket).and_then(|connection| {
            let hello = codec::encode_request(self.link.next_sequence(), &Request::Hello);
            connection.send(&hello).map(|()| connection)
        });
        match greeting {
            Ok(connection) => {
                let until = now.plus(HELLO_PATIENCE);
                self.peer = Peer::Greeting { connection: Arc::new(connection), until };
            }
            Err(_) => self.try_later(now),
        }
        if matches!(self.hold, Hold::No)
            && self.absent_since.is_some_and(|since| now.since(since) >= ABSENT_AFTER)
        {
            self.absent_since = None;
            self.start_holding(now, DownCause::Absent);
        }
    }

    fn try_later(&mut self, now: BootTime) {
        self.peer = Peer::None { try_at: now.plus(self.pause) };
        self.pause = (self.pause * 2).min(PAUSE_MOST);
    }

    /// The guard is gone: the line first, everything else after.
    fn down(&mut self, cause: DownCause) {
        let now = self.clock.boot();
        self.link.set_gate(Gate::Down);
        let was_up = matches!(self.peer, Peer::Greeted { .. });
        let old = self.connection();
        (self.armed, self.pulsing) = (None, false);
        self.link.shared.unanswered.store(0, Ordering::Release);
        self.pause = if was_up { PAUSE_LEAST } else { self.pause };
        self.try_later(now);
        if was_up {
            if self.same_line {
                self.start_holding(now, cause);
            } else {
                let took = Duration::ZERO;
                self.outbox.push(LinkReport::Down { cause, relock: Relock::NotTried, took });
            }
        }
        drop(old);
    }

    fn start_holding(&mut self, now: BootTime, cause: DownCause) {
        self.hold = Hold::Trying { cause, since: now, try_at: now, last: String::new() };
        self.hold_line(now);
    }

    /// One try to take the line, if one is due; tells the agent when it is known how that ended.
    fn hold_line(&mut self, now: BootTime) {
        let Hold::Trying { since, try_at, .. } = self.hold else { return };
        if now < try_at {
            return;
        }
        match relock::take(&self.settings.config, self.clock) {
            Ok(line) => {
                let took = self.clock.boot().since(since);
                self.end_trying(Relock::Held, took, Hold::Held { _line: line });
            }
            Err(error) => {
                let gave_up = now.since(since) >= relock::GIVE_UP;
                let text = error.to_string();
                if gave_up {
                    self.end_trying(Relock::Failed(text), now.since(since), Hold::No);
                } else if let Hold::Trying { try_at, last, .. } = &mut self.hold {
                    let first = now.since(since) < relock::FIRST;
                    *try_at = now.plus(if first { relock::RETRY_FIRST } else { relock::RETRY });
                    *last = text;
                }
            }
        }
    }

    fn end_trying(&mut self, relock: Relock, took: Duration, next: Hold) {
        if let Hold::Trying { cause, .. } = std::mem::replace(&mut self.hold, next) {
            log::warn!(cause:? = cause, relock:? = relock, took_ms = took.as_millis(); "guard gone");
            self.outbox.push(LinkReport::Down { cause, relock, took });
        }
    }

    fn busy(&self, now: BootTime) -> bool {
        self.pulsing
            || self.armed.is_some_and(|(_, deadline)| now < deadline)
            || self.link.shared.unanswered.load(Ordering::Acquire) != 0
    }

    fn beat(&mut self, now: BootTime) {
        let Peer::Greeted { connection } = &self.peer else { return };
        let pace = if self.busy(now) { BEAT_BUSY } else { BEAT_IDLE };
        // After an arm the next beat must not wait for the idle pace's end.
        self.beat_at = self.beat_at.min(now.plus(pace));
        if now >= self.beat_at {
            let beat = codec::encode_request(self.link.next_sequence(), &Request::Heartbeat);
            // A full socket is a stopped guard and a closed one a dead one: both are noticed elsewhere.
            connection.send(&beat).ok();
            self.beat_at = now.plus(pace);
        }
    }

    fn judge_silence(&mut self, now: BootTime) {
        let answer_due = self.answer_due().is_some_and(|due| now >= due);
        let hello_due = matches!(self.peer, Peer::Greeting { until, .. } if now >= until);
        if answer_due || hello_due {
            // What the guard sent before now counts.
            self.read();
            let still = self.answer_due().is_some_and(|due| now >= due)
                || matches!(self.peer, Peer::Greeting { until, .. } if now >= until);
            if still {
                self.down(DownCause::Silent);
            }
        }
    }

    fn answer_due(&self) -> Option<BootTime> {
        let since = self.link.shared.unanswered.load(Ordering::Acquire);
        (since != 0).then(|| BootTime::from_micros(since).plus(ANSWER_PATIENCE))
    }

    fn wait(&mut self) {
        let now = self.clock.boot();
        let peer_due = match &self.peer {
            Peer::None { try_at } => *try_at,
            Peer::Greeting { until, .. } => *until,
            Peer::Greeted { .. } => self.beat_at,
        };
        let hold_due = match &self.hold {
            Hold::Trying { try_at, .. } => Some(*try_at),
            Hold::No | Hold::Held { .. } => None,
        };
        let due = [Some(peer_due), hold_due, self.answer_due()].into_iter().flatten().min();
        let wait = due.map(|due| due.since(now));
        let connection = self.connection();
        let waker = self.link.shared.waker.as_fd();
        let peer = connection.as_ref().map_or(waker, |connection| connection.as_fd());
        let mut fds =
            [PollFd::from_borrowed_fd(waker, PollFlags::IN), PollFd::from_borrowed_fd(peer, PollFlags::IN)];
        if let Err(error) = wait_for(&mut fds, wait) {
            log::error!(error:% = error; "guard link cannot wait");
        }
        let mut count = [0; 8];
        rustix::io::read(&self.link.shared.waker, &mut count[..]).ok();
    }

    /// Reads all that the guard sent.
    fn read(&mut self) {
        let Some(connection) = self.connection() else { return };
        loop {
            match connection.receive() {
                Received::Nothing => return,
                Received::Closed => return self.down(DownCause::HangUp),
                Received::BadLength(length) => {
                    return self.down(DownCause::Malformed(codec::FrameError::Length(length)));
                }
                Received::Frame(frame) => match codec::decode_report(&frame) {
                    Ok((_, report)) => self.take(report),
                    Err(error) => return self.down(DownCause::Malformed(error)),
                },
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Hello(hello) => return self.greeted(&hello),
            Report::Armed { attempt, deadline } => {
                self.armed = Some((attempt, deadline));
                self.answered();
            }
            Report::Unlocked { .. } => {
                (self.armed, self.pulsing) = (None, true);
                self.answered();
            }
            Report::Refused { .. } => self.answered(),
            Report::Disarmed { attempt, .. } => {
                self.armed = self.armed.filter(|(armed, _)| *armed != attempt);
            }
            Report::Locked { .. } | Report::LineLost { .. } => self.pulsing = false,
            Report::LineHeld | Report::Status { .. } => {}
        }
        self.outbox.push(LinkReport::Report(report));
    }

    fn answered(&self) {
        self.link.shared.unanswered.store(0, Ordering::Release);
    }

    fn greeted(&mut self, hello: &Hello) {
        let Peer::Greeting { connection, .. } = &self.peer else { return };
        let connection = Arc::clone(connection);
        let now = self.clock.boot();
        let difference = self.mine.difference(&hello.effective);
        self.same_line = self.mine.identity == hello.effective.identity;
        self.absent_since = None;
        self.pause = PAUSE_LEAST;
        self.beat_at = now;
        self.peer = Peer::Greeted { connection: Arc::clone(&connection) };
        if self.same_line {
            self.let_go(now, hello.line);
        }
        match difference {
            None => {
                self.link.set_gate(Gate::Up(connection));
                let (effective, line, pid) = (hello.effective, hello.line, hello.pid);
                self.outbox.push(LinkReport::Up { effective, line, pid });
            }
            Some(field) => {
                self.link.set_gate(Gate::Mismatch(connection, field));
                self.outbox.push(LinkReport::Mismatch { field, guard: hello.effective });
            }
        }
    }

    /// A guard of our line is there: it takes the line, locked, within 10 ms of our letting go.
    fn let_go(&mut self, now: BootTime, line: LineState) {
        match &self.hold {
            Hold::No => {}
            Hold::Held { .. } => self.hold = Hold::No,
            Hold::Trying { since, last, .. } => {
                let relock = match line {
                    LineState::Held => Relock::HeldByGuard,
                    LineState::NotHeld => Relock::Failed(last.clone()),
                };
                self.end_trying(relock, now.since(*since), Hold::No);
            }
        }
    }
}
