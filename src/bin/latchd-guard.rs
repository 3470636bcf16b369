//! latchd-guard: the lock. Command line in; everything else is in `latchd::guard`.

use latchd::clock::SystemClock;
use latchd::config::guard::GuardConfig;
use latchd::guard::journal::Journal;
use latchd::guard::{GuardError, LockCause, server, socket, test_pulse, users, warden};
use rustix::process::{DumpableBehavior, Signal};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

const HELP: &str = "\
latchd-guard: the only process that can unlock the door

usage:
  latchd-guard --config FILE                   serve on standard input (a listening socket, by systemd)
  latchd-guard --config FILE --socket PATH     serve on PATH, for machines without systemd
  latchd-guard --config FILE --test-pulse MS   unlock once for MS milliseconds, to try the wiring
  latchd-guard --help | --version

examples:
  latchd-guard --config /etc/latchd/guard.toml --test-pulse 500
  latchd-guard --config /etc/latchd/guard.toml --socket /run/latchd-guard/guard.sock

exit status: 0 done, 1 failed, 2 usage or configuration
";

enum Mode {
    Serve(Parent),
    Warden(PathBuf),
    TestPulse(u32),
}

/// Who started a guard that serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    Systemd,
    Warden,
    Test,
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let place =
            info.location().map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        say(&format!("panic place={place} text={:?}", text.unwrap_or_default()));
    }));
    // No core file, and no other process of this user may look into this one.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return print(HELP);
    }
    if words.iter().any(|word| word == "--version" || word == "-V") {
        return print(concat!("latchd-guard ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    let (config_path, mode) = match parse(&arguments) {
        Ok(parsed) => parsed,
        Err(text) => {
            say(&format!("{text}; see latchd-guard --help"));
            return ExitCode::from(2);
        }
    };
    let config = match GuardConfig::load(&config_path) {
        Ok(config) => config,
        Err(error) => {
            say(&format!("{error}; {}", error.remedy()));
            return ExitCode::from(2);
        }
    };
    match start(&config_path, &config, mode) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            say(&format!("{error}; {}", error.remedy()));
            ExitCode::from(if error.is_configuration() { 2 } else { 1 })
        }
    }
}

fn parse(arguments: &[std::ffi::OsString]) -> Result<(PathBuf, Mode), String> {
    let (mut config, mut mode) = (None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let name = word.to_string_lossy();
        let mut value = || words.next().ok_or_else(|| format!("{name} needs a value"));
        let chosen = match &*name {
            "--config" => {
                config = Some(PathBuf::from(value()?));
                continue;
            }
            "--socket" => Mode::Warden(PathBuf::from(value()?)),
            "--test-pulse" => {
                let text = value()?.to_string_lossy();
                Mode::TestPulse(
                    text.parse()
                        .map_err(|_| format!("--test-pulse {text:?} is no number of milliseconds"))?,
                )
            }
            warden::CHILD_ARGUMENT => Mode::Serve(Parent::Warden),
            warden::TEST_ARGUMENT => Mode::Serve(Parent::Test),
            _ => return Err(format!("unknown argument {name:?}")),
        };
        if mode.replace(chosen).is_some() {
            return Err(format!("{name} cannot go with another mode"));
        }
    }
    let config = config.ok_or("--config FILE is missing")?;
    Ok((config, mode.unwrap_or(Mode::Serve(Parent::Systemd))))
}

fn start(config_path: &Path, config: &GuardConfig, mode: Mode) -> Result<u8, GuardError> {
    let clock = SystemClock::new();
    let (signalled, stop) =
        signals().map_err(|source| GuardError::System { call: "signal handlers", source })?;
    let signals = signalled.as_fd();
    let peer_uid = users::peer_uid(config.peer_user.as_deref())?;
    match mode {
        Mode::Serve(parent) => {
            let (input, output) = (std::io::stdin(), std::io::stdout());
            let listen = input.as_fd();
            socket::check_listening(listen)?;
            let pipe = (parent != Parent::Systemd).then_some(output.as_fd());
            if let Some(pipe) = pipe {
                // The pipe's end tells of the warden's death too; the signal also reaches a guard that waits for nothing.
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).ok();
                let system =
                    |errno: rustix::io::Errno| GuardError::System { call: "fcntl", source: errno.into() };
                let flags = rustix::fs::fcntl_getfl(pipe).map_err(system)?;
                rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK).map_err(system)?;
            }
            let (journal, peer_uid) = match parent {
                // The test's own process is the agent.
                Parent::Test => (Journal::start_quiet("latchd-guard"), rustix::process::geteuid().as_raw()),
                Parent::Systemd | Parent::Warden => (Journal::start("latchd-guard"), peer_uid),
            };
            let (clock, journal) = (&clock, &journal);
            server::run(&server::Surroundings {
                clock,
                config,
                peer_uid,
                listen,
                signals,
                warden: pipe,
                journal,
            })?;
            Ok(0)
        }
        Mode::Warden(path) => {
            let socket = socket::listen(&path, peer_uid)?;
            let journal = Journal::start("latchd-guard(warden)");
            let (clock, listen) = (&clock, socket.as_fd());
            let around = warden::Surroundings {
                clock,
                config: config_path,
                listen,
                signals,
                journal: &journal,
                child: warden::CHILD_ARGUMENT,
            };
            let ended = warden::run(&around);
            std::fs::remove_file(&path).ok();
            ended
        }
        Mode::TestPulse(pulse_ms) => {
            let around = test_pulse::Surroundings {
                clock: Arc::new(clock),
                config_path,
                config,
                signals: &signalled,
                stop: &stop,
            };
            let pulse = test_pulse::run(&around, pulse_ms)?;
            let open = pulse.locked.since(pulse.unlocked).as_millis();
            say(&format!("unlocked for {open} ms, locked again ({})", pulse.cause.name()));
            // Whoever asked may end it early; anything else that did is a fault.
            Ok(u8::from(!matches!(pulse.cause, LockCause::PulseEnd | LockCause::Shutdown)))
        }
    }
}

/// A descriptor that becomes readable when the process is to stop, and the one that makes it so. A terminal's stop key
/// counts as that: a stopped guard would hold the door open.
fn signals() -> std::io::Result<(UnixStream, UnixStream)> {
    let (read, write) = UnixStream::pair()?;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::TSTP] {
        signal_hook::low_level::pipe::register(signal.as_raw(), write.try_clone()?)?;
    }
    Ok((read, write))
}

fn say(text: &str) {
    let line = format!("latchd-guard: {text}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
