//! `latchd queue`.

use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::control::{Reply, Request};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The jobs that wait, and those that are done.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd queue list --state held\n  latchd queue retry 0198…\n  latchd queue retry \
(lifts the queue's pause)\n  latchd queue export 0198… ./evidence"
)]
pub struct QueueArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// All jobs, oldest first.
    List {
        /// Only jobs in this state: new, sending, accepted, decided, held, unknown_outcome, dead_letter, expired, dropped.
        #[arg(long)]
        state: Option<String>,
    },
    /// One job with the time of each state.
    Show {
        /// The job.
        job: String,
    },
    /// Submit a held, unknown or dead job again; without a job, lift the queue's pause.
    Retry {
        /// The job.
        job: Option<String>,
    },
    /// Give a job up and erase its pictures.
    Drop {
        /// The job.
        job: String,
    },
    /// Write a job and its pictures into a directory, readable by you alone.
    Export {
        /// The job.
        job: String,
        /// The directory, made when absent.
        directory: PathBuf,
    },
}

/// Runs `latchd queue`.
pub fn run(args: QueueArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    match args.action {
        Action::List { state } => session.perform(Request::QueueList { state }, format),
        Action::Show { job } => session.perform(Request::QueueShow { job }, format),
        Action::Retry { job } => session.perform(Request::QueueRetry { job }, format),
        Action::Drop { job } => session.perform(Request::QueueDrop { job }, format),
        Action::Export { job, directory } => {
            output::note("warning: these are pictures of a person's face; delete them when they have served");
            let mut failure = None;
            let code =
                session.perform_with(Request::QueueExport { job }, None, &mut |reply| match reply {
                    Reply::Item { object, text } => {
                        failure = write(&directory, &object).err().or(failure.take());
                        if failure.is_none() {
                            output::line(&text);
                        }
                        None
                    }
                    other => output::reply(format, other),
                })?;
            failure.map_or(Ok(code), Err)
        }
    }
}

/// Writes one file `{name, base64}` of an export with mode 0600.
fn write(directory: &Path, object: &serde_json::Value) -> anyhow::Result<()> {
    use base64::Engine;
    let field = |key: &str| object.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let name = field("name");
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    let bytes = base64::engine::general_purpose::STANDARD.decode(field("base64"));
    let (true, Ok(bytes)) = (plain, bytes) else {
        return Err(Failure::failed(
            "the export could not be read",
            "are command and daemon of one version?",
        )
        .into());
    };
    let path = directory.join(name);
    let written = std::fs::create_dir_all(directory).and_then(|()| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&bytes)
    });
    written.map_err(|error| {
        Failure::failed(
            format!("{}: {error}", path.display()),
            "name a new or empty directory that you may write",
        )
        .into()
    })
}
