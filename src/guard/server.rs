//! The guard's process: one loop over the listening socket, the peer, a timer and the signals. It gathers what happened,
//! tells [`Machine`], and carries out what that says. After the start it allocates nothing while it holds the line, and
//! it waits for nothing but [`poll`].

use super::codec::{self, FrameError};
use super::effective::Effective;
use super::error::GuardError;
use super::journal::{Event, Journal};
use super::line::{self, Line, LineError};
use super::machine::{self, Edge, Input, Limits, Machine};
use super::protocol::{Hello, NO_ATTEMPT, Refusal, Report, Request};
use super::socket::{Connection, Received};
use super::supervisor::{PING, Supervisor};
use crate::clock::{BootTime, Clock};
use crate::config::guard::GuardConfig;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Between two tries for a line that another process holds.
const LINE_RETRY: Duration = Duration::from_millis(10);
/// Between two tries for a line that is not there or not permitted: looking for it reads every chip.
const LINE_RETRY_SLOW: Duration = Duration::from_millis(250);
/// Frames read in one pass, so that a peer that floods cannot keep the loop from the timer.
const FRAMES_A_PASS: usize = 64;

/// The limits of `config` for the machine.
pub fn limits(config: &GuardConfig) -> Limits {
    let millis = |value: u32| Duration::from_millis(value.into());
    Limits {
        pulse_max: millis(config.pulse_max_ms),
        window_max: millis(config.window_max_ms),
        heartbeat_timeout: millis(config.heartbeat_timeout_ms),
    }
}

/// What the loop is given.
pub struct Surroundings<'a> {
    /// Time.
    pub clock: &'a dyn Clock,
    /// The checked `guard.toml`.
    pub config: &'a GuardConfig,
    /// The only uid that may connect.
    pub peer_uid: u32,
    /// The listening socket.
    pub listen: BorrowedFd<'a>,
    /// Readable when the process is to stop.
    pub signals: BorrowedFd<'a>,
    /// The pipe to the warden, if there is one; its other end closed means that the warden is dead.
    pub warden: Option<BorrowedFd<'a>>,
    /// Where events go.
    pub journal: &'a Journal,
}

/// Takes the line, serves until told to stop (or until the warden is dead), and locks before it returns.
///
/// # Errors
/// The kernel refused a timer or a wait. The line is locked all the same.
pub fn run(around: &Surroundings<'_>) -> Result<(), GuardError> {
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
        .map_err(|errno| system("timerfd_create", errno))?;
    let mut server = Server {
        around,
        effective: Effective::of(around.config),
        machine: Machine::new(limits(around.config)),
        supervisor: Supervisor::new(around.warden),
        line: None,
        last_trouble: None,
        retry_at: around.clock.boot(),
        peer: None,
        pinged: around.clock.boot(),
        timer,
        timer_at: None,
    };
    around.journal.log(Event::Started(server.effective.to_string()));
    server.take_line();
    server.supervisor.ready(server.line.is_some());
    let ended = server.serve();
    around.journal.log(Event::Stopping);
    server.feed(around.clock.boot(), Input::Shutdown);
    if server.line.is_none() {
        // It failed in the last moment: once more for the locked value.
        server.take_line();
    }
    ended
}

fn system(call: &'static str, errno: Errno) -> GuardError {
    GuardError::System { call, source: errno.into() }
}

struct Server<'a> {
    around: &'a Surroundings<'a>,
    effective: Effective,
    machine: Machine,
    supervisor: Supervisor<'a>,
    line: Option<Box<dyn Line>>,
    /// The last reason why the line was not held, so that a lasting one is logged once.
    last_trouble: Option<String>,
    retry_at: BootTime,
    peer: Option<Connection>,
    pinged: BootTime,
    timer: OwnedFd,
    timer_at: Option<BootTime>,
}

/// What one wait found.
struct Woken {
    connection_waits: bool,
    peer_gone: bool,
    stop: bool,
}

impl Server<'_> {
    fn serve(&mut self) -> Result<(), GuardError> {
        loop {
            let woken = self.wait()?;
            if woken.stop {
                return Ok(());
            }
            // Before the socket is read: a frame that arrives later than this was not late.
            let now = self.now();
            let mut emptied = true;
            if woken.peer_gone {
                // What a dead peer sent last is not carried out.
                self.hang_up();
            } else {
                emptied = self.read_peer();
            }
            if emptied {
                self.feed(now, Input::Tick);
            }
            if woken.connection_waits {
                self.accept();
            }
            if self.line.is_none() && self.now() >= self.retry_at {
                self.take_line();
                if self.line.is_some() {
                    self.supervisor.line(true);
                }
            }
            self.feed_supervisor();
        }
    }

    fn now(&self) -> BootTime {
        self.around.clock.boot()
    }

    fn wait(&mut self) -> Result<Woken, GuardError> {
        self.set_timer()?;
        // An absent peer or warden is stood in for by the signals' descriptor with nothing asked of it.
        let absent = (self.around.signals, PollFlags::empty());
        let peer = self.peer.as_ref().map_or(absent, |peer| (peer.as_fd(), PollFlags::IN));
        let warden = self.around.warden.map_or(absent, |pipe| (pipe, PollFlags::empty()));
        let mut fds = [
            PollFd::from_borrowed_fd(peer.0, peer.1),
            PollFd::from_borrowed_fd(warden.0, warden.1),
            PollFd::from_borrowed_fd(self.around.signals, PollFlags::IN),
            PollFd::from_borrowed_fd(self.around.listen, PollFlags::IN),
            PollFd::from_borrowed_fd(self.timer.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => {
                return Ok(Woken { connection_waits: false, peer_gone: false, stop: false });
            }
            Err(errno) => return Err(system("poll", errno)),
        }
        let [peer, warden, signals, listen, timer] = fds.map(|fd| fd.revents());
        if !timer.is_empty() {
            self.timer_at = None;
            let mut expirations = [0; 8];
            rustix::io::read(&self.timer, &mut expirations[..]).ok();
        }
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        Ok(Woken {
            connection_waits: listen.contains(PollFlags::IN),
            peer_gone: self.peer.is_some() && peer.intersects(gone),
            stop: !signals.is_empty() || (self.around.warden.is_some() && warden.intersects(gone)),
        })
    }

    /// Sets the timer to the next moment at which something is due. CLOCK_BOOTTIME: a pulse does not outlive a suspend.
    fn set_timer(&mut self) -> Result<(), GuardError> {
        let ping = match (self.machine.pulsing(), self.supervisor.idle_period()) {
            (true, _) => Some(self.pinged.plus(PING)),
            (false, period) => period.map(|period| self.pinged.plus(period)),
        };
        let retry = self.line.is_none().then_some(self.retry_at);
        let due = [self.machine.deadline(), ping, retry].into_iter().flatten().min();
        if due == self.timer_at {
            return Ok(());
        }
        // Zero would disarm it; a moment that has passed fires at once.
        let micros = due.map_or(0, |due| due.as_micros().max(1));
        let moment = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(micros % 1_000_000 * 1000).unwrap_or(0),
        };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval: never, it_value: moment };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting)
            .map_err(|errno| system("timerfd_settime", errno))?;
        self.timer_at = due;
        Ok(())
    }

    /// Reads what the peer sent. False when more may wait.
    fn read_peer(&mut self) -> bool {
        for _ in 0..FRAMES_A_PASS {
            let Some(peer) = &self.peer else { return true };
            let frame = match peer.receive() {
                Received::Frame(frame) => codec::decode_request(&frame),
                Received::BadLength(length) => Err(FrameError::Length(length)),
                Received::Nothing => return true,
                Received::Closed => {
                    self.hang_up();
                    return true;
                }
            };
            match frame {
                Ok((sequence, request)) => {
                    let now = self.now();
                    self.feed(now, Input::Request(sequence, request));
                    if request == Request::Hello {
                        let hello = self.hello();
                        self.report(sequence, Report::Hello(hello));
                    }
                }
                Err(error) => {
                    self.around.journal.log(Event::Malformed(error));
                    self.report(0, Report::Refused { attempt: NO_ATTEMPT, reason: Refusal::Malformed });
                    self.hang_up();
                    return true;
                }
            }
        }
        false
    }

    fn hello(&self) -> Hello {
        Hello { effective: self.effective, line: self.machine.line(), pid: std::process::id() }
    }

    fn hang_up(&mut self) {
        if self.peer.take().is_some() {
            let now = self.now();
            self.feed(now, Input::HangUp);
            self.around.journal.log(Event::PeerDown);
        }
    }

    fn accept(&mut self) {
        let Ok(peer) = Connection::accept(self.around.listen) else { return };
        let Ok(who) = peer.peer() else { return };
        let (pid, uid) = (who.pid.as_raw_nonzero().get(), who.uid.as_raw());
        let refused = |why| self.around.journal.log(Event::PeerRefused { pid, uid, why });
        if uid != self.around.peer_uid {
            return refused("wrong user");
        }
        if self.peer.is_some() {
            return refused("another peer is connected");
        }
        self.around.journal.log(Event::PeerUp { pid, uid });
        self.peer = Some(peer);
    }

    /// Requests the line; it comes locked or not at all.
    fn take_line(&mut self) {
        match line::request(self.around.config, self.around.clock) {
            Ok(line) => {
                self.line = Some(line);
                self.last_trouble = None;
                let now = self.now();
                self.feed(now, Input::LineHeld);
            }
            Err(error) => self.line_trouble(&error),
        }
    }

    fn line_trouble(&mut self, error: &LineError) {
        let pause = if error.is_busy() { LINE_RETRY } else { LINE_RETRY_SLOW };
        self.retry_at = self.now().plus(pause);
        let text = error.to_string();
        if self.last_trouble.as_ref() != Some(&text) {
            self.around.journal.log(Event::LineNotHeld(text.clone()));
            self.last_trouble = Some(text);
        }
    }

    /// Tells the machine, carries out what it says, and tells it how that went.
    fn feed(&mut self, now: BootTime, input: Input) {
        let mut out = self.machine.apply(now, input);
        loop {
            self.send(&out);
            let Some(edge) = out.edge else { return };
            let outcome = match edge {
                Edge::Unlock => self.unlock(),
                Edge::Lock => self.lock(),
            };
            let now = self.now();
            out = self.machine.apply(now, outcome);
        }
    }

    fn send(&mut self, out: &machine::Outputs) {
        for (sequence, report) in out.reports() {
            self.around.journal.log(Event::Decided(report));
            self.report(sequence, report);
        }
    }

    fn report(&mut self, sequence: u32, report: Report) {
        if let Some(peer) = &self.peer
            && peer.send(&codec::encode_report(sequence, &report)).is_err()
        {
            // Gone, or it does not read. Shut down so that the next wait finds it gone, which locks.
            rustix::net::shutdown(peer, rustix::net::Shutdown::Both).ok();
        }
    }

    fn unlock(&mut self) -> Input {
        if !self.supervisor.pulse_begins() {
            self.supervisor.pulse_ends();
            return Input::EdgeRefused;
        }
        self.pinged = self.now();
        match self.line.as_mut().map(|line| line.unlock(self.around.clock)) {
            Some(Ok(at)) => Input::EdgeMade(at),
            Some(Err(error)) => {
                self.around.journal.log(Event::EdgeFailed(error.to_string()));
                Input::EdgeFailed
            }
            None => {
                self.supervisor.pulse_ends();
                Input::LineLost
            }
        }
    }

    fn lock(&mut self) -> Input {
        let outcome = match self.line.as_mut().map(|line| line.lock(self.around.clock)) {
            Some(Ok(at)) => Input::Locked(at),
            Some(Err(error)) => {
                // Letting go and requesting it again asks the kernel once more for the locked value.
                self.around.journal.log(Event::EdgeFailed(error.to_string()));
                self.line = None;
                self.retry_at = self.now();
                self.supervisor.line(false);
                Input::LineLost
            }
            None => Input::LineLost,
        };
        self.supervisor.pulse_ends();
        outcome
    }

    fn feed_supervisor(&mut self) {
        let now = self.now();
        let period = if self.machine.pulsing() { Some(PING) } else { self.supervisor.idle_period() };
        if period.is_some_and(|period| now >= self.pinged.plus(period)) {
            self.supervisor.ping();
            self.pinged = now;
        }
    }
}
