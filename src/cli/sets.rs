//! `latchd queue keygen`, `export-set` and `import-set`: the jobs of a dead device go on from another.

use super::output;
use super::session::Session;
use crate::agent::sets;
use crate::control::Reply;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn finished(format: output::Format, exit: u8, object: serde_json::Value, text: String) -> ExitCode {
    output::reply(format, Reply::Done { exit, object, text }).unwrap_or(ExitCode::FAILURE)
}

/// Makes the operator's pair of keys.
pub fn keygen(session: &Session, to: &Path, format: output::Format) -> anyhow::Result<ExitCode> {
    sets::keygen(to).map_err(|error| session.failure(&error))?;
    let public = sets::public_path(to);
    let text = format!(
        "{} opens sets: keep it off the devices; {} is what they are encrypted to",
        to.display(),
        public.display()
    );
    Ok(finished(format, 0, json!({"key": to, "recipient": public}), text))
}

/// Writes a set.
pub fn export(
    session: &Session,
    to: &Path,
    recipient: &Path,
    device_key: Option<PathBuf>,
    format: output::Format,
) -> anyhow::Result<ExitCode> {
    session.refuse_daemon()?;
    let done =
        sets::export(&session.config, device_key, recipient, to).map_err(|error| session.failure(&error))?;
    let mut text =
        format!("{} jobs are in {}; this database must not send them any more", done.jobs, to.display());
    for job in &done.unreadable {
        text.push_str(&format!("\n{job} cannot be read and is not among them"));
    }
    let unreadable: Vec<_> = done.unreadable.iter().map(ToString::to_string).collect();
    let object = json!({"set": done.set, "jobs": done.jobs, "unreadable": unreadable});
    Ok(finished(format, u8::from(!unreadable.is_empty()), object, text))
}

/// Takes a set in.
pub fn import(
    session: &Session,
    file: &Path,
    key: &Path,
    format: output::Format,
) -> anyhow::Result<ExitCode> {
    session.refuse_daemon()?;
    let mut each = |job: crate::access::JobId, taken: bool| {
        let word = if taken { "taken in" } else { "in this queue already" };
        let object = json!({"job": job.to_string(), "taken": taken});
        let _ = output::reply(format, Reply::Item { object, text: format!("{job}  {word}") });
    };
    let done =
        sets::import(&session.config, file, key, &mut each).map_err(|error| session.failure(&error))?;
    let text = format!(
        "{} jobs of the door {} taken in, {} were here already; start the daemon, which sends those that were never sent",
        done.jobs, done.door, done.present
    );
    let object = json!({"set": done.set, "from": done.door, "jobs": done.jobs, "present": done.present});
    Ok(finished(format, 0, object, text))
}
