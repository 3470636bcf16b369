//! `latchd queue`.

use super::session::Session;
use super::{ConfigFile, Failure, output, sets};
use crate::agent::recover::Order;
use crate::control::{JobFilter, Reply, Request};
use crate::queue::StateName;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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
    /// The jobs, oldest first.
    List(ListArgs),
    /// How many jobs there are and how old they are; nothing about a person.
    #[command(
        after_help = "Examples:\n  latchd queue stats\n  latchd queue stats --json | jq .oldest_seconds.new"
    )]
    Stats,
    /// One job with the time of each state.
    #[command(after_help = "Example:\n  latchd queue show 0198f3c2-…")]
    Show {
        /// The job.
        job: String,
    },
    /// Submit a held, unknown or dead job again; without a job, lift the queue's pause.
    #[command(after_help = "Examples:\n  latchd queue retry 0198f3c2-…\n  latchd queue retry")]
    Retry {
        /// The job.
        job: Option<String>,
    },
    /// Give a job up and erase its pictures.
    #[command(after_help = "Example:\n  latchd queue drop 0198f3c2-…")]
    Drop {
        /// The job.
        job: String,
    },
    /// Have the service send a job's callback once more (v3); needs a running daemon.
    #[command(after_help = "Example:\n  latchd queue replay 0198f3c2-…")]
    Replay {
        /// The job.
        job: String,
    },
    /// Salvage people, lock-outs and jobs from a damaged database that was set aside; the daemon must be stopped.
    #[command(after_help = "Example:\n  systemctl stop latchd\n  sudo -u latchd latchd queue recover \
/var/lib/latchd/latchd.db.damaged-…\n\nPeople come back without the right to open the door: nothing in a damaged \
file proves it.")]
    Recover {
        /// The damaged database.
        file: PathBuf,
        /// The device key that it was made with.
        #[arg(long, value_name = "FILE")]
        device_key: Option<PathBuf>,
        /// Give people back the right to open that the damaged file says they had.
        #[arg(long)]
        trust_permissions: bool,
    },
    /// Make a pair of keys for sets of jobs: FILE opens them and stays with you, FILE.pub goes to whoever exports.
    #[command(after_help = "Example:\n  latchd queue keygen --to rescue.key && ls rescue.key rescue.key.pub")]
    Keygen {
        /// Where the private key is written; neither file may be there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Write all unfinished jobs of a dead device, with their pictures, encrypted to a public key.
    ///
    /// Works on the database of a stopped daemon, or on a copy of it with the device key beside it. The jobs stay there: that
    /// database must not be used for sending any more.
    #[command(
        after_help = "Example:\n  latchd queue export-set --config dead/latchd.toml --device-key dead/device.key \
--recipient rescue.key.pub --to dead.set"
    )]
    ExportSet {
        /// The new file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// The public key, as `latchd queue keygen` wrote it.
        #[arg(long, value_name = "FILE")]
        recipient: PathBuf,
        /// The dead device's key, when it is not where the configuration says.
        #[arg(long, value_name = "FILE")]
        device_key: Option<PathBuf>,
    },
    /// Take the jobs of a set into this device's queue; the daemon must be stopped.
    ///
    /// They keep their ids and their age. What is here already is left alone, so the command can be repeated. What the dead device may
    /// have sent is not sent again. A set that is cut off or changed, or for another key, gives nothing.
    #[command(after_help = "Example:\n  latchd queue import-set dead.set --key rescue.key")]
    ImportSet {
        /// The set.
        file: PathBuf,
        /// The private key, as `latchd queue keygen` wrote it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Write a job and its pictures into a directory, readable by you alone.
    #[command(after_help = "Example:\n  latchd queue export 0198f3c2-… ./evidence && ls -l ./evidence")]
    Export {
        /// The job.
        job: String,
        /// The directory: made when absent, empty when not.
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd queue list --state held\n  latchd queue list --product authentication --since 2h\n  \
latchd queue list --state new --older-than 3d --limit 20\n  latchd queue list --user emp-0042 --since \
2026-11-02T09:30:00Z\n  latchd queue list --json | jq .state"
)]
struct ListArgs {
    /// Only jobs in this state.
    #[arg(long, value_parser = PossibleValuesParser::new(StateName::ALL.map(StateName::name)))]
    state: Option<String>,
    /// Only jobs that ask this, as the list names it: authentication, registration, biometric_kyc, …
    #[arg(long)]
    product: Option<String>,
    /// Only jobs about this person.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only jobs made at least so long ago, or before that time.
    #[arg(long, value_name = "SPAN|TIME")]
    older_than: Option<String>,
    /// Only jobs made within that span, or since that time.
    #[arg(long, value_name = "SPAN|TIME")]
    since: Option<String>,
    /// At most so many, the oldest.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
}

/// Runs `latchd queue`.
pub fn run(args: QueueArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    match args.action {
        Action::List(ListArgs { state, product, user, older_than, since, limit }) => {
            let filter = JobFilter { state, product, user_id: user, older_than, since, limit };
            session.perform(Request::QueueList(filter), format)
        }
        Action::Stats => session.perform(Request::QueueStats, format),
        Action::Show { job } => session.perform(Request::QueueShow { job }, format),
        Action::Retry { job } => session.perform(Request::QueueRetry { job }, format),
        Action::Drop { job } => session.perform(Request::QueueDrop { job }, format),
        Action::Replay { job } => session.perform(Request::QueueReplay { job }, format),
        Action::Recover { file, device_key, trust_permissions } => {
            recover(&session, Order { file, device_key, trust_permissions }, format)
        }
        Action::Keygen { to } => sets::keygen(&session, &to, format),
        Action::ExportSet { to, recipient, device_key } => {
            sets::export(&session, &to, &recipient, device_key, format)
        }
        Action::ImportSet { file, key } => sets::import(&session, &file, &key, format),
        Action::Export { job, directory } => export(&session, job, &directory, format),
    }
}

fn recover(session: &Session, order: Order, format: output::Format) -> anyhow::Result<ExitCode> {
    session.refuse_daemon()?;
    let done =
        crate::agent::recover::run(&session.config, &order).map_err(|error| session.failure(&error))?;
    let exit = u8::from(done.people_lost + done.jobs_lost > 0);
    let object = json!({
        "people": done.people, "people_known": done.people_known, "people_lost": done.people_lost,
        "lockouts": done.lockouts, "jobs": done.jobs, "jobs_known": done.jobs_known, "jobs_lost": done.jobs_lost,
    });
    let text = format!(
        "{} people, {} lock-outs and {} jobs are back; {} people and {} jobs could not be read",
        done.people, done.lockouts, done.jobs, done.people_lost, done.jobs_lost
    );
    output::reply(format, Reply::Done { exit, object, text });
    Ok(ExitCode::from(exit))
}

fn export(
    session: &Session,
    job: String,
    directory: &Path,
    format: output::Format,
) -> anyhow::Result<ExitCode> {
    refuse_occupied(directory)?;
    output::note("warning: these are pictures of a person's face; delete them when they have served");
    let mut failure = None;
    let mut files = 0_u32;
    let code = session.perform_with(Request::QueueExport { job }, None, &mut |reply| match reply {
        _ if failure.is_some() => None,
        Reply::Item { object, .. } => {
            match write(directory, &object) {
                Ok((path, bytes)) => {
                    files += 1;
                    let object = json!({"file": path, "bytes": bytes});
                    return output::reply(format, Reply::Item { object, text: path });
                }
                Err(error) => failure = Some(error),
            }
            None
        }
        Reply::Done { exit, mut object, .. } => match sync(directory) {
            Ok(()) => {
                if let Some(map) = object.as_object_mut() {
                    map.insert("files".into(), json!(files));
                }
                output::reply(format, Reply::Done { exit, object, text: format!("exported {files} files") })
            }
            Err(error) => {
                failure = Some(error);
                None
            }
        },
        other => output::reply(format, other),
    })?;
    failure.map_or(Ok(code), |failure| Err(failure.into()))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(
        format!("{}: {error}; the export is not complete", path.display()),
        "delete what was written, then name a new directory with room that you may write",
    )
}

/// A directory that exists must be empty: no file of another export may be taken for one of this.
fn refuse_occupied(directory: &Path) -> Result<(), Failure> {
    let refuse = |why: String| {
        Failure::usage(format!("{}: {why}", directory.display()), "name a new or an empty directory")
    };
    match std::fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(refuse("the directory is not empty".into())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// Writes one file `{name, base64}` of an export with mode 0600 in a directory with mode 0700; its path and size.
fn write(directory: &Path, object: &serde_json::Value) -> Result<(String, usize), Failure> {
    use base64::Engine;
    let field = |key: &str| object.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let name = field("name");
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    let bytes = base64::engine::general_purpose::STANDARD.decode(field("base64"));
    let (true, Ok(bytes)) = (plain, bytes) else {
        return Err(Failure::failed(
            "the export could not be read",
            "are command and daemon of one version?",
        ));
    };
    let path = directory.join(name);
    let written = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| std::fs::set_permissions(directory, Permissions::from_mode(0o700)))
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path))
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| cannot(&path, &error))?;
    Ok((path.display().to_string(), bytes.len()))
}

/// The names of the files survive a loss of power as well.
fn sync(directory: &Path) -> Result<(), Failure> {
    // Its own name, too, is in a directory.
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for place in [directory, parent] {
        File::open(place).and_then(|place| place.sync_all()).map_err(|error| cannot(place, &error))?;
    }
    Ok(())
}
