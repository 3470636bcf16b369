//! `latchd run`: the daemon.

use super::session::Session;
use super::{ConfigFile, output};
use crate::config::model::LogLevel;
use crate::{agent, logging};
use log::LevelFilter;
use std::process::ExitCode;

/// The daemon.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latchd run --config /etc/latchd/latchd.toml\n\nRuns in the foreground until SIGTERM \
or Ctrl-C. Under systemd it says when it is ready and logs to the journal."
)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigFile,
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
    agent::run(&session.config, &guard).map_err(|error| session.failure(&error))?;
    Ok(ExitCode::SUCCESS)
}
