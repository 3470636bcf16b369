//! `latchd run`: the daemon.

use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::config::model::LogLevel;
use crate::{agent, logging};
use log::LevelFilter;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// The daemon.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latchd run --config /etc/latchd/latchd.toml\n\nRuns in the foreground until SIGTERM \
or Ctrl-C. SIGHUP makes it read its files again once nobody is at the door; if they do not hold, it goes on with the old \
ones and says why. Under systemd it says when it is ready and logs to the journal."
)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The control sockets are for the groups latchd (asks) and latchd-operator (acts), not for this user alone. Under systemd
    /// this is so by itself.
    #[arg(long)]
    service: bool,
}

/// A panic ends the process: one line says where, without the message, which may hold data.
fn say_where_a_panic_was() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
        log::error!(place = place.as_str(); "a defect in latchd; the daemon ends and the guard locks the door");
        log::logger().flush();
        output::error(&format!("a defect in latchd at {place}"), "report it with this place");
    }));
}

/// Runs the daemon.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    let guard = session.check()?;
    logging::start(match session.config.log.level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
    say_where_a_panic_was();
    let file = args.config.config.clone();
    let check = Box::new(move || match Session::open(&file).and_then(|session| session.check()) {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.to_string()),
    });
    match agent::run(&session.config, &guard, args.service, check).map_err(|error| session.failure(&error))? {
        agent::Ended::Stopped => Ok(ExitCode::SUCCESS),
        agent::Ended::Reload => Err(begin_again().into()),
    }
}

/// The same program in this process's place: nothing of the old configuration is left, as after a restart, and whoever
/// supervises this process goes on. Comes back only with the reason why not; then whoever started it starts it again.
fn begin_again() -> Failure {
    let program = std::env::current_exe();
    let why = match program {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    };
    Failure {
        cause: format!("begin again with the changed configuration: {why}"),
        remedy: "start it again".into(),
        exit: 1,
    }
}
