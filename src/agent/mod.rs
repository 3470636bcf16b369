//! The composition root: starts the threads, owns the channels, drives the attempt machine. It knows all rooms
//! and decides nothing: what it is told becomes an event, what the machine commands is obeyed in order.
//!
//! | thread | works on | limit of one piece |
//! |---|---|---|
//! | director (main) | the attempt machine, every message | 30 s |
//! | guard-link | the socket to the guard, heartbeats | - (the guard watches it) |
//! | camera | one burst | 150 s |
//! | submitter | the job of the person at the door | by its time limits |
//! | drain | the jobs that wait | by its time limits |
//! | housekeeping | network changes, retention, the audit's head | 60 s |
//! | control-read, control-operator | the two sockets; a thread a connection | - |
//! | watchdog | pings systemd while no other thread is stuck | - |
//! | signals, log | SIGTERM, SIGHUP; log lines | - |

pub mod ahead;
pub mod alone;
pub mod bulk;
#[cfg(feature = "web")]
pub(crate) mod callbacks;
pub(crate) mod camera;
pub mod checks;
mod control;
mod details;
pub(crate) mod director;
pub(crate) mod drain;
mod error;
pub(crate) mod housekeeping;
mod job;
pub mod lists;
pub(crate) mod lock;
pub(crate) mod message;
mod network;
pub(crate) mod operations;
mod owner;
pub(crate) mod records;
pub mod recover;
pub mod rotate;
pub mod sets;
pub(crate) mod shared;
pub mod solo;
mod story;
pub(crate) mod submitter;
mod watchdog;

pub use error::AgentError;
pub use shared::{api_key, database_path, free_space, open_store};

use crate::access::{LockoutRule, Machine, Rules, WhoMayOpen};
use crate::capture;
use crate::clock::{Clock, SystemClock, SystemRandom};
use crate::config::model::{FaceCheck, Who};
use crate::config::{Config, GuardConfig};
use crate::control::{ControlError, server};
use crate::guard::{Link, link as guard_link};
use crate::store::Opening;
use control::Control;
use crossbeam_channel::bounded;
use director::{Director, Ears, Hands};
use lock::LockView;
use message::Message;
use sd_notify::NotifyState;
use shared::{DatabaseAlarm, Opened, Shared};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Messages that may wait for the director. The camera's progress is dropped when it is full; everybody else waits.
const MESSAGES: usize = 64;
/// Whose members may act on the operator socket of the service.
const OPERATORS: &str = "latchd-operator";
/// Reports of the guard that may wait for the director.
const GUARD_REPORTS: usize = 64;
/// How long a clean stop waits for submissions under way.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long somebody who enrols waits for the verdict.
const ENROLMENT_WAIT: Duration = Duration::from_secs(30);

/// The attempt machine's rules of a configuration.
pub(crate) fn rules(config: &Config) -> Rules {
    Rules {
        who: match config.door.who {
            Who::Listed => WhoMayOpen::Listed,
            Who::AnyEnrolled => WhoMayOpen::AnyEnrolled,
        },
        window: Duration::from_millis(config.door.window_ms.into()),
        unlock: Duration::from_millis(config.door.unlock_ms.into()),
        enrolment_wait: ENROLMENT_WAIT,
        away: (config.capture.face == FaceCheck::Required).then_some(capture::AWAY_MAX),
    }
}

/// The lock-out rule of a configuration.
fn lockout_rule(config: &Config) -> LockoutRule {
    let minutes = |count: u32| Duration::from_secs(u64::from(count) * 60);
    LockoutRule {
        denials: config.lockout.denials,
        within: minutes(config.lockout.within_minutes),
        lasts: minutes(config.lockout.minutes),
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), AgentError> {
    std::thread::Builder::new().name(name.into()).spawn(body).map(drop).map_err(AgentError::Thread)
}

/// Why a daemon ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Its files changed and hold: it is to begin again with them.
    Reload,
}

/// Whether the files hold that a daemon would begin again with: what is wrong, and its remedy.
pub type Check = Box<dyn Fn() -> Result<(), String> + Send>;

/// Runs the daemon until SIGTERM or SIGINT, or until a SIGHUP finds files that hold by `check`. As a `service` the control
/// sockets are for the groups; elsewhere only this user may ask or act.
///
/// # Errors
/// Something of the start failed; nothing runs then.
pub fn run(config: &Config, guard: &GuardConfig, service: bool, check: Check) -> Result<Ended, AgentError> {
    // A core file would hold keys and faces (queue promise 10).
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random = Arc::new(SystemRandom);
    let Opened { shared, opening, woken } = Shared::open(config, guard, Arc::clone(&clock), random)?;
    start_records(&shared, &opening)?;

    let (read_path, operator_path) = server::socket_paths(&config.device.run_dir);
    std::fs::create_dir_all(&config.device.run_dir)
        .map_err(|source| ControlError::Io { path: config.device.run_dir.display().to_string(), source })?;
    let service =
        service || (sd_notify::booted().unwrap_or(false) && std::env::var_os("NOTIFY_SOCKET").is_some());
    let readers = server::bind(&read_path, if service { 0o660 } else { 0o600 })?;
    let operators = if service {
        server::bind_for_group(&operator_path, OPERATORS)?
    } else {
        server::bind(&operator_path, 0o600)?
    };

    let (messages, inbox) = bounded(MESSAGES);
    // One order each may wait; the director never blocks on its workers.
    let (camera_orders, camera_inbox) = bounded(1);
    let (submit_orders, submit_inbox) = bounded(2);
    let lock = Arc::new(Mutex::new(LockView::default()));

    let link = Link::new(Arc::clone(&clock))?;
    let settings = guard_link::Settings { socket: config.door.guard_socket.clone(), config: guard.clone() };
    // Of its own, so that nobody else's messages hold the guard's reports back; the link waits when it is full.
    let (to_director, guard_inbox) = bounded(GUARD_REPORTS);
    let (handle, time) = (link.clone(), Arc::clone(&clock));
    thread("guard-link", move || {
        guard_link::run(&settings, time.as_ref(), &handle, &mut |report| {
            // Only a director that is gone does not take it.
            let _ = to_director.send(report);
        });
    })?;
    let (all, to_director) = (Arc::clone(&shared), messages.clone());
    thread("camera", move || camera::run(&all, &camera_inbox, &to_director))?;
    let (all, to_director) = (Arc::clone(&shared), messages.clone());
    thread("submitter", move || submitter::run(&all, &submit_inbox, &to_director))?;
    let all = Arc::clone(&shared);
    // The drain takes each answer before it asks again.
    let ((ask, asked), (answer, answers)) = (bounded(1), bounded(1));
    let reader = ahead::Reader { orders: ask, answers, asked: false.into() };
    thread("drain", move || drain::run(&all, &woken, &reader))?;
    let all = Arc::clone(&shared);
    thread("drain-ahead", move || ahead::run(&all, &asked, &answer))?;
    let all = Arc::clone(&shared);
    thread("housekeeping", move || housekeeping::run(&all))?;

    #[cfg(feature = "web")]
    listen(&shared)?;

    let control: Arc<dyn server::Handler> =
        Arc::new(Control::new(Arc::clone(&shared), messages.clone(), Arc::clone(&lock)));
    let handler = Arc::clone(&control);
    thread("control-read", move || server::serve(&readers, false, &handler))?;
    thread("control-operator", move || server::serve(&operators, true, &control))?;
    let told_to_stop = Arc::new(AtomicBool::new(false));
    signals(messages, check, Arc::clone(&told_to_stop))?;

    if let Some(limit) = sd_notify::watchdog_enabled() {
        let all = Arc::clone(&shared);
        thread("watchdog", move || all.watchdog.run(all.clock.as_ref(), limit / 2))?;
    }
    let hands = Hands { link: Box::new(link.clone()), camera: camera_orders, submitter: submit_orders };
    let mut director = Director::new(Arc::clone(&shared), Machine::new(rules(config)), hands, lock);
    notify(&[NotifyState::Ready, NotifyState::Status("at the door")]);
    log::info!(door = config.door.name.as_str(); "ready");
    let ended = director.run(&Ears { guard: guard_inbox, messages: inbox });

    match ended {
        Ended::Stopped => notify(&[NotifyState::Stopping]),
        Ended::Reload => match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => log::debug!("systemd was not told: {error}"),
        },
    }
    farewell(&shared);
    records::append(&shared, None, None, "stopped", vec![]);
    housekeeping::write_head(&shared, None);
    // Other threads still hold the database, so nothing closes it: empty its WAL here.
    if let Err(error) = shared.store.settle() {
        log::warn!("the database's log could not be emptied: {error}");
    }
    link.stop();
    for path in [read_path, operator_path] {
        let _ = std::fs::remove_file(path);
    }
    log::logger().flush();
    // Told while it was ending: it must not begin again.
    Ok(if told_to_stop.load(Ordering::Acquire) { Ended::Stopped } else { ended })
}

/// Callbacks that may wait to be followed; the service sends again what is refused.
#[cfg(feature = "web")]
const CALLBACKS: usize = 64;

/// Listens for the service's callbacks, where that is configured.
#[cfg(feature = "web")]
fn listen(shared: &Arc<Shared>) -> Result<(), AgentError> {
    let Some(wanted) = &shared.config.smile.callbacks else { return Ok(()) };
    let listen = wanted.listen.parse().map_err(|_| AgentError::Request {
        what: "smile.callbacks.listen",
        why: "is no address and port".into(),
        remedy: "write it as 0.0.0.0:8444",
    })?;
    let settings = crate::callbacks::Settings {
        listen,
        path: wanted.path.clone().unwrap_or_else(|| "/".to_owned()),
        certificate: wanted.cert_file.clone(),
        key: wanted.key_file.clone(),
    };
    let (told, notices) = bounded(CALLBACKS);
    let all = Arc::clone(shared);
    let genuine =
        Box::new(move |timestamp: &str, signature: &str| all.client.is_genuine(timestamp, signature));
    let tell = Box::new(move |notice| told.try_send(notice).is_ok());
    let (address, serve) = crate::callbacks::serve(settings, Arc::clone(&shared.clock), genuine, tell)?;
    thread("callbacks", serve)?;
    let all = Arc::clone(shared);
    thread("callbacks-follow", move || callbacks::run(&all, &notices))?;
    log::info!(address:% = address; "callbacks are listened to");
    Ok(())
}

/// No new work, and some time for what is under way: a submission that is cut off is an unknown outcome, and the camera puts
/// back what a dark face moved.
fn farewell(shared: &Shared) {
    shared.stopping.store(true, Ordering::Release);
    let (_keep, never) = bounded::<()>(0);
    let end = shared.clock.boot().plus(FAREWELL);
    while shared.watchdog.is_busy(&["submitter", "drain", "camera"]) && shared.clock.boot() < end {
        let _ = never.recv_timeout(Duration::from_millis(20));
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd was not told: {error}");
    }
}

/// The first rows of this run: what was found, what applies, what was interrupted.
pub(crate) fn start_records(shared: &Shared, opening: &Opening) -> Result<(), AgentError> {
    if let Opening::Quarantined { moved, sha256 } = opening {
        let moved_to = moved.first().map(|path| path.display().to_string()).unwrap_or_default();
        log::error!(moved_to = moved_to.as_str(), sha256 = sha256.as_str(); "the database was damaged and set aside; the list of people is empty");
        records::database_replaced(shared, &moved_to, sha256)?;
        *shared.alarm.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(DatabaseAlarm { moved_to, sha256: sha256.clone() });
    } else {
        *shared.alarm.lock().unwrap_or_else(PoisonError::into_inner) = records::open_alarm(shared)?;
    }
    match records::recover(shared).and_then(|()| records::effective(shared)) {
        // Exiting would not make room. Nothing is admitted while the disk is full, and what is found in `sending`
        // stays there: it is not sent again.
        Err(error) if error.is_full() => {
            log::error!("the disk is full: the daemon runs, and takes no pictures until there is room");
            Ok(())
        }
        other => other,
    }
}

fn signals(
    director: crossbeam_channel::Sender<Message>,
    check: Check,
    told_to_stop: Arc<AtomicBool>,
) -> Result<(), AgentError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let caught = [SIGTERM, SIGINT, SIGHUP];
    let mut signals = signal_hook::iterator::Signals::new(caught).map_err(AgentError::Thread)?;
    thread("signals", move || {
        for signal in &mut signals {
            let message = match signal {
                SIGHUP => match check() {
                    Ok(()) => Message::Reload,
                    Err(text) => {
                        log::error!("the changed configuration is not taken, the old one stays: {text}");
                        continue;
                    }
                },
                _ => {
                    told_to_stop.store(true, Ordering::Release);
                    Message::Stop
                }
            };
            let _ = director.send(message);
        }
    })
}
