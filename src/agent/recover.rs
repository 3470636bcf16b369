//! Salvages what verifies from a database that was set aside: people whose seal opens, lock-outs, and jobs whose pictures
//! all open under their own key. Nothing that fails is taken, and nothing that is taken opens the door by itself.

use super::alone::open_to_change;
use super::error::AgentError;
use super::shared::Keys;
use crate::access::UserId;
use crate::audit;
use crate::clock::{SystemClock, SystemRandom};
use crate::config::Config;
use crate::people::{self, NewPerson, OnExisting};
use crate::queue::policy::Class;
use crate::queue::{self, Born, HeldReason, Info, NewJob, Past, QueueError, State};
use crate::store::{Mode, Settings, Store, StoreError, Wiped};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be salvaged.
#[derive(Debug, Clone)]
pub struct Order {
    /// The damaged database, as it was set aside. It is not changed.
    pub file: PathBuf,
    /// The device key, where it is not in its place.
    pub device_key: Option<PathBuf>,
    /// Whether people get back what the damaged file says they may open: no seal protects that.
    pub trust_permissions: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// People taken over.
    pub people: u32,
    /// People who are on the list already, and stay as they are.
    pub people_known: u32,
    /// People whose row could not be read or unsealed.
    pub people_lost: u32,
    /// Lock-outs taken over.
    pub lockouts: u32,
    /// Jobs taken over.
    pub jobs: u32,
    /// Jobs that are in the queue already.
    pub jobs_known: u32,
    /// Unfinished jobs that could not be read or unsealed.
    pub jobs_lost: u32,
}

/// Takes over what verifies, each job in a commit of its own: whoever is interrupted begins again and loses nothing.
///
/// # Errors
/// The database in use cannot be opened, or nothing of the damaged one can be read.
pub fn run(config: &Config, order: &Order) -> Result<Recovered, AgentError> {
    let alone = open_to_change(config, order.device_key.clone())?;
    let (store, keys) = (&alone.store, &alone.keys);
    let copy = Copy::of(&order.file, &config.device.state_dir)?;
    let (damaged, _) = Store::open(Settings {
        path: copy.0.clone(),
        vfs: None,
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        mode: Mode::ReadOnly,
        max_bytes: 0,
    })?;
    let mut sum = Recovered::default();
    recover_people(&damaged, store, keys, order.trust_permissions, &mut sum)?;
    let lockouts = damaged.read(|from| store.write(|to| people::take_over(from, to)))?;
    sum.lockouts = u32::try_from(lockouts).unwrap_or(u32::MAX);
    recover_jobs(&damaged, store, keys, &mut sum)?;
    store.write(|tx| {
        let fields = [
            ("uid", rustix::process::getuid().as_raw().to_string()),
            ("people", sum.people.to_string()),
            ("lockouts", sum.lockouts.to_string()),
            ("jobs", sum.jobs.to_string()),
            ("lost", (sum.people_lost + sum.jobs_lost).to_string()),
        ];
        let event = audit::Event {
            kind: "database_recovered",
            door: &config.door.name,
            attempt: None,
            job: None,
            subject: None,
            fields: BTreeMap::from(fields),
        };
        audit::append(tx, &keys.audit, &event).map_err(AgentError::from)
    })?;
    store.settle()?;
    Ok(sum)
}

/// A copy to work on: reading a database with its log writes beside it, and what was set aside stays as it is.
struct Copy(PathBuf);

/// A database's companion.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Copy {
    fn of(file: &Path, directory: &Path) -> Result<Self, AgentError> {
        let copy = Self(directory.join("latchd.db.recovering"));
        for suffix in ["", "-wal"] {
            let (from, to) = (beside(file, suffix), beside(&copy.0, suffix));
            if !suffix.is_empty() && !from.exists() {
                let _ = fs::remove_file(&to);
                continue;
            }
            let failed =
                |source| AgentError::Store(StoreError::Io { what: "copy", path: from.clone(), source });
            let mut source = fs::File::open(&from).map_err(failed)?;
            let mut options = fs::OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut target = options.open(&to).map_err(failed)?;
            std::io::copy(&mut source, &mut target).map_err(failed)?;
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }
}

fn recover_people(
    damaged: &Store,
    store: &Store,
    keys: &Keys,
    trust: bool,
    sum: &mut Recovered,
) -> Result<(), AgentError> {
    let ids = damaged.read(|tx| Ok::<_, StoreError>(people::readable_ids(tx)))?;
    for text in ids {
        let Ok(user) = UserId::parse(&text) else {
            sum.people_lost += 1;
            continue;
        };
        // Unsealed under the user's own id: a row that was mixed up does not open.
        let Ok(Some(person)) = damaged.read(|tx| people::show(tx, &keys.people, &user)) else {
            sum.people_lost += 1;
            continue;
        };
        let person = NewPerson {
            user_id: user.clone(),
            may_open: trust && person.may_open,
            contact: person.contact,
            consent: person.consent,
        };
        let known = store.read(|tx| people::standing(tx, &user))?.listed;
        if known {
            sum.people_known += 1;
        } else if store.write(|tx| people::add(tx, &keys.people, &person, OnExisting::Refuse)).is_ok() {
            sum.people += 1;
        } else {
            sum.people_lost += 1;
        }
    }
    Ok(())
}

fn recover_jobs(damaged: &Store, store: &Store, keys: &Keys, sum: &mut Recovered) -> Result<(), AgentError> {
    let ids = damaged.read(|tx| Ok::<_, StoreError>(queue::readable_ids(tx)))?;
    for id in ids {
        let info = match damaged.read(|tx| queue::info(tx, id)) {
            Ok(info) => info,
            Err(_) => {
                sum.jobs_lost += 1;
                continue;
            }
        };
        if matches!(info.state, State::Decided(_) | State::Expired | State::Dropped { .. }) {
            continue;
        }
        match recover_job(damaged, store, keys, &info) {
            Ok(()) => sum.jobs += 1,
            Err(QueueError::Exists(_)) => sum.jobs_known += 1,
            // The disk in use, not the damaged file.
            Err(QueueError::Store(error @ (StoreError::Full { .. } | StoreError::Busy))) => {
                return Err(error.into());
            }
            Err(error) => {
                log::warn!(job:% = id; "a job is lost: {error}");
                sum.jobs_lost += 1;
            }
        }
    }
    Ok(())
}

fn recover_job(damaged: &Store, store: &Store, keys: &Keys, info: &Info) -> Result<(), QueueError> {
    let (mut details, mut pictures) = (Wiped::default(), Vec::new());
    if info.has_images {
        // All of it is unsealed: what does not verify is not taken.
        damaged.read(|tx| {
            let job = queue::load(tx, &keys.queue, info.id)?;
            for kept in &job.pictures {
                pictures.push((kept.kind, queue::whole(tx, &job, kept)?));
            }
            details = job.details;
            Ok::<_, QueueError>(())
        })?;
    } else if matches!(info.state, State::New | State::Held(HeldReason::Clock)) {
        return Err(QueueError::ImagesErased(info.id));
    }
    let pictures: Vec<_> = pictures.iter().map(|(kind, jpeg)| (*kind, jpeg.0.as_slice())).collect();
    let job = NewJob {
        id: info.id,
        attempt: info.attempt,
        user_id: &info.user_id,
        task: info.task,
        api: info.api,
        allow_new_enroll: info.allow_new_enroll,
        details: &details,
        pictures: &pictures,
        born: Born::New,
    };
    let past = Past {
        state: info.state.clone(),
        reserved: info.reserved,
        remote: info.remote.as_deref(),
        resubmits: info.resubmits,
        retried: info.class == Class::Retried,
        created: info.created.wall.known(),
        has_images: info.has_images,
    };
    store.write(|tx| queue::restore(tx, &keys.queue, &job, &past))
}
