//! `latchd device`.

use super::session::Session;
use super::{ConfigFile, output};
use crate::agent::rotate;
use crate::control::Reply;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// This device's own key.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sudo systemctl stop latchd && sudo -u latchd latchd device rotate-key && sudo \
systemctl start latchd"
)]
pub struct DeviceArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a new device key and seal everything for it; the daemon must be stopped.
    ///
    /// Keys of jobs, people and the audit go over to the new key in one commit. Events from before can still be verified. A
    /// crash at any moment loses nothing: the next start takes the key that the database was sealed for. A copy of the
    /// database made before needs the old key, which is gone afterwards.
    #[command(
        after_help = "Examples:\n  latchd device rotate-key\n  latchd device rotate-key --device-key /run/device.key"
    )]
    RotateKey {
        /// The key's file, when it is not where the configuration says.
        #[arg(long, value_name = "FILE")]
        device_key: Option<PathBuf>,
    },
}

/// Runs `latchd device`.
pub fn run(args: DeviceArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let Action::RotateKey { device_key } = args.action;
    let session = Session::open(&args.config.config)?;
    session.refuse_daemon()?;
    let mut told = |step: rotate::Step| {
        let reply = Reply::Progress { object: json!({"step": step.name()}), text: step.name().to_owned() };
        let _ = output::reply(format, reply);
    };
    let done =
        rotate::run(&session.config, device_key, &mut told).map_err(|error| session.failure(&error))?;
    let mut text =
        format!("a new device key; {} jobs and {} people are sealed for it", done.jobs, done.people);
    if done.unreadable > 0 {
        text.push_str(&format!("; {} rows could not be read before and still cannot", done.unreadable));
    }
    if !done.settled {
        text.push_str(
            "; BUT another program reads the database, and its log still holds what the old key sealed: start the daemon, and end that program",
        );
    }
    let object = json!({
        "jobs": done.jobs, "people": done.people, "unreadable": done.unreadable, "settled": done.settled,
    });
    let exit = u8::from(!done.settled);
    Ok(output::reply(format, Reply::Done { exit, object, text }).unwrap_or(ExitCode::FAILURE))
}
