//! `latchd events`.

use super::session::Session;
use super::{ConfigFile, output};
use crate::control::Request;
use std::path::PathBuf;
use std::process::ExitCode;

/// What happened at this door.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  latchd events --follow\n  latchd events --verify\n  \
sudo latchd events --verify --head 5f0c… --device-key /var/lib/latchd/device.key")]
pub struct EventsArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Only events after this sequence number.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: i64,
    /// Keep running and print what comes.
    #[arg(long, conflicts_with = "verify")]
    follow: bool,
    /// Walk the chain and say whether anything was changed.
    #[arg(long)]
    verify: bool,
    /// A head from the journal: detects a tail that was cut off.
    #[arg(long, value_name = "HEX", requires = "verify")]
    head: Option<String>,
    /// The device key, for the database of a stopped daemon.
    #[arg(long, value_name = "FILE", requires = "verify")]
    device_key: Option<PathBuf>,
}

/// Prints the events.
pub fn run(args: &EventsArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    let request = if args.verify {
        Request::Verify { head: args.head.clone() }
    } else {
        Request::Events { after: args.after, follow: args.follow }
    };
    session.perform_with(request, args.device_key.clone(), &mut |reply| output::reply(format, reply))
}
