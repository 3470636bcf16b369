//! `latchd status`.

use super::session::Session;
use super::{ConfigFile, output};
use crate::control::Request;
use std::process::ExitCode;

/// How the daemon, its queue and its lock are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  latchd status\n  latchd status --json\n  latchd status --acknowledge")]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Say that you have seen the alarm of a replaced database.
    #[arg(long)]
    acknowledge: bool,
}

/// Prints the status.
pub fn run(args: &StatusArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    if args.acknowledge {
        return session.perform(Request::Acknowledge, format);
    }
    session.perform(Request::Status, format)
}
