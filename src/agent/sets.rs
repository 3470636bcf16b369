//! Sets of jobs that go from a dead device's database to another device; both daemons are stopped. What a set is, is in
//! [`queue`](crate::queue).

use super::alone::{Alone, open_to_change};
use super::error::AgentError;
use super::shared::{database_path, free_space};
use crate::access::JobId;
use crate::audit::{self, Event};
use crate::clock::SystemRandom;
use crate::config::Config;
use crate::people;
use crate::queue::{self, Filter, Full, Private, Public, QueueError, SetReader, SetWriter, StateName};
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Jobs that are listed at once.
const PAGE: u32 = 100;
/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The set's own name, which the events of both devices have.
    pub set: String,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs that could not be read, and are not in it.
    pub unreadable: Vec<JobId>,
}

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The set's own name.
    pub set: String,
    /// The door that the jobs come from.
    pub door: String,
    /// Jobs that are in this queue now.
    pub jobs: u64,
    /// Jobs that were in it already, and were left alone.
    pub present: u64,
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> AgentError {
    let path = path.display().to_string();
    move |source| AgentError::File { path, source }
}

fn create(path: &Path, mode: u32) -> Result<File, AgentError> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(file_error(path))
}

/// The file's name survives a loss of power as well.
fn sync_name(path: &Path) -> Result<(), AgentError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(file_error(parent))
}

/// Where the public key of a private one is written.
pub fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Makes a key that opens sets, and beside it the public key that they are encrypted to.
///
/// # Errors
/// One of the files is there already or cannot be written.
pub fn keygen(path: &Path) -> Result<(), AgentError> {
    let key = Private::random(&SystemRandom);
    let public = public_path(path);
    for (path, mode, text) in [(path, 0o600, key.to_text()), (&public, 0o644, key.public().to_text().into())]
    {
        let mut file = create(path, mode)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(file_error(path))?;
    }
    sync_name(path)
}

/// Writes all unfinished jobs, with their pictures, encrypted to the key in `recipient`, into the new file `to`. They stay where
/// they are: that device must not send them any more.
///
/// # Errors
/// No database, a wrong key, or a file cannot be read or written; what was begun to be written is removed.
pub fn export(
    config: &Config,
    device_key: Option<PathBuf>,
    recipient: &Path,
    to: &Path,
) -> Result<Exported, AgentError> {
    let database = database_path(config);
    if !database.exists() {
        return Err(StoreError::Missing { path: database }.into());
    }
    let recipient = Public::parse(&std::fs::read_to_string(recipient).map_err(file_error(recipient))?)?;
    let alone = open_to_change(config, device_key)?;
    let file = create(to, 0o600)?;
    let written = write_set(&alone, config, &recipient, file).and_then(|exported| {
        sync_name(to)?;
        let fields = [("set", exported.set.clone()), ("jobs", exported.jobs.to_string())];
        alone.store.write(|tx| event(tx, &alone, config, "set_exported", None, fields.into()))?;
        Ok(exported)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(to);
    }
    written
}

fn write_set(alone: &Alone, config: &Config, recipient: &Public, file: File) -> Result<Exported, AgentError> {
    let store = &alone.store;
    let mut set = SetWriter::begin(BufWriter::new(file), recipient, &config.door.name, &SystemRandom)?;
    let mut done = Exported { set: set.name(), jobs: 0, unreadable: Vec::new() };
    for state in StateName::UNFINISHED {
        let mut filter = Filter { state: Some(state), limit: PAGE, ..Filter::default() };
        loop {
            let rows = store.read(|tx| queue::list(tx, &filter))?;
            let Some(last) = rows.last() else { break };
            filter.after = last.seq;
            for row in rows {
                let job = match row.has_images {
                    true => match store.read(|tx| queue::load(tx, &alone.keys.queue, row.id)) {
                        Ok(job) => Some(job),
                        Err(QueueError::Store(StoreError::Unsealable { .. } | StoreError::Row { .. })) => {
                            done.unreadable.push(row.id);
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    },
                    false => None,
                };
                set.add(&row, job.as_ref(), |job, picture, part| {
                    let kept = job.pictures.get(picture).ok_or(QueueError::ImagesErased(row.id))?;
                    store.read(|tx| queue::part(tx, job, kept, part))
                })?;
                done.jobs += 1;
            }
        }
    }
    let file = set.end()?.into_inner().map_err(|error| QueueError::SetFile(error.into_error()))?;
    file.sync_all().map_err(QueueError::SetFile)?;
    Ok(done)
}

/// Takes the jobs of a set into this device's queue. The whole set is read first, so that one that is cut off, changed or for
/// somebody else gives nothing at all; then each job is one commit, and a set that was taken in before changes nothing.
///
/// # Errors
/// The set or a key is not as it must be, or the queue is full: then the jobs before stay, and the same command goes on later.
pub fn import(
    config: &Config,
    file: &Path,
    key: &Path,
    each: &mut dyn FnMut(JobId, bool),
) -> Result<Imported, AgentError> {
    let key =
        Private::parse(&zeroize::Zeroizing::new(std::fs::read_to_string(key).map_err(file_error(key))?))?;
    let mut set = File::open(file).map_err(file_error(file))?;
    let mut whole = SetReader::begin(BufReader::new(&set), &key)?;
    while let Some(job) = whole.job()? {
        job.check()?;
    }
    let alone = open_to_change(config, None)?;
    set.rewind().map_err(file_error(file))?;
    let mut reader = SetReader::begin(BufReader::new(&set), &key)?;
    let mut done = Imported { set: reader.name(), door: reader.door().to_owned(), jobs: 0, present: 0 };
    while let Some(job) = reader.job()? {
        let id = job.id()?;
        let free = free_space(&config.device.state_dir);
        let taken = alone.store.write(|tx| {
            if queue::find(tx, id)?.is_some() {
                return Ok(false);
            }
            queue::room(tx, &config.queue, free)?.map_err(|full| no_room(full, done.jobs))?;
            queue::take_in(tx, &alone.keys.queue, &job)?;
            let state = job.state()?.name().name().to_owned();
            let fields = [("set", done.set.clone()), ("from", done.door.clone()), ("state", state)];
            event(tx, &alone, config, "job_imported", Some((id, &job.user()?)), fields.into())?;
            Ok::<_, AgentError>(true)
        })?;
        if taken {
            done.jobs += 1;
        } else {
            done.present += 1;
        }
        each(id, taken);
    }
    Ok(done)
}

fn no_room(full: Full, taken: u64) -> AgentError {
    let why = format!("takes no more jobs ({taken} of the set were taken in): {full}");
    AgentError::Request { what: "queue", why, remedy: full.remedy() }
}

fn event(
    tx: &crate::store::Transaction<'_>,
    alone: &Alone,
    config: &Config,
    kind: &'static str,
    job: Option<(JobId, &crate::access::UserId)>,
    mut fields: BTreeMap<&'static str, String>,
) -> Result<(), AgentError> {
    fields.insert("uid", rustix::process::getuid().as_raw().to_string());
    let subject = job.map(|(_, user)| people::pseudonym(tx, user)).transpose()?.flatten();
    let job = job.map(|(id, _)| id);
    let event = Event { kind, door: &config.door.name, attempt: None, job, subject, fields };
    audit::append(tx, &alone.keys.audit, &event)?;
    Ok(())
}
