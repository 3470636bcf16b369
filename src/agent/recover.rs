//! Salvages what verifies from a database that was set aside: people whose seal opens, lock-outs, and jobs whose pictures
//! all open under their own key. Nothing that fails is taken, and nothing that is taken opens the door by itself.

use super::error::AgentError;
use super::operations::Actor;
use super::owner;
use super::shared::{Keys, open_store};
use crate::access::{JobId, UserId};
use crate::audit;
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::config::check::credential_path;
use crate::people::{self, NewPerson, OnExisting};
use crate::queue::{self, Born, HeldReason, Info, Move, NewJob, QueueError, State};
use crate::store::{DeviceKey, Mode, Settings, Store, StoreError, Transaction, matching_key};
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
    owner::check(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let path = order.device_key.clone();
    let path = path.unwrap_or_else(|| credential_path("device-key", &config.device.device_key_file));
    if !path.exists() {
        return Err(AgentError::NoDeviceKey { path: path.display().to_string() });
    }
    let key = DeviceKey::load_or_create(&path, random.as_ref())?;
    let (store, opening) = open_store(config, Mode::ReadWrite, &clock, &random)?;
    super::alone::refuse_replaced(&opening)?;
    let keys = Keys::of(&matching_key(&store, key, &path, true)?);
    let copy = Copy::of(&order.file, &config.device.state_dir)?;
    let (damaged, _) = Store::open(Settings {
        path: copy.0.clone(),
        vfs: None,
        clock,
        random,
        mode: Mode::ReadOnly,
        max_bytes: 0,
    })?;
    let mut sum = Recovered::default();
    recover_people(&damaged, &store, &keys, order.trust_permissions, &mut sum)?;
    sum.lockouts = recover_lockouts(&damaged, &store)?;
    recover_jobs(&damaged, &store, &keys, &mut sum)?;
    let actor = Actor { uid: rustix::process::getuid().as_raw() };
    store.write(|tx| {
        let fields = [
            ("uid", actor.uid.to_string()),
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

/// The values of a column from both ends: damage in the middle stops a walk, and what lies behind it is met the other way.
fn from_both_ends<T: rusqlite::types::FromSql + PartialEq>(
    tx: &Transaction<'_>,
    (table, column, order): (&str, &str, &str),
) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    let mut back: Vec<T> = Vec::new();
    for (way, to) in [("ASC", &mut found), ("DESC", &mut back)] {
        let sql = format!("SELECT {column} FROM {table} ORDER BY {order} {way}");
        // What was read before the damage counts.
        let _ = tx.each(&sql, [], |row| {
            to.push(row.get(0)?);
            Ok(true)
        });
    }
    back.retain(|value| !found.contains(value));
    found.extend(back.into_iter().rev());
    found
}

fn recover_people(
    damaged: &Store,
    store: &Store,
    keys: &Keys,
    trust: bool,
    sum: &mut Recovered,
) -> Result<(), AgentError> {
    let ids: Vec<String> =
        damaged.read(|tx| Ok::<_, StoreError>(from_both_ends(tx, ("people", "user_id", "id"))))?;
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

/// Who, how long, and since when, as the table has it.
type LockoutRow = (String, String, i64, [u8; 16], i64, Option<i64>);

/// A lock-out makes the door stricter: whatever can be read is taken.
fn recover_lockouts(damaged: &Store, store: &Store) -> Result<u32, AgentError> {
    let mut rows: Vec<LockoutRow> = Vec::new();
    let read = damaged.read(|tx| {
        tx.each("SELECT kind, name, lasts_ms, boot_id, boot_us, wall_ms FROM lockouts", [], |row| {
            rows.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
            Ok(true)
        })
    });
    if let Err(error) = read {
        log::warn!("not all lock-outs can be read: {error}");
    }
    let mut taken = 0;
    for row in rows {
        let changed = store.write(|tx| {
            tx.execute(
                "INSERT INTO lockouts (kind, name, lasts_ms, boot_id, boot_us, wall_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                row,
            )
        })?;
        taken += u32::try_from(changed).unwrap_or(0);
    }
    Ok(taken)
}

fn recover_jobs(damaged: &Store, store: &Store, keys: &Keys, sum: &mut Recovered) -> Result<(), AgentError> {
    let ids: Vec<[u8; 16]> =
        damaged.read(|tx| Ok::<_, StoreError>(from_both_ends(tx, ("jobs", "id", "seq"))))?;
    for id in ids.into_iter().map(JobId) {
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
    let mut details = zeroize::Zeroizing::new(b"{}".to_vec());
    let mut pictures = Vec::new();
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
    } else if info.remote.is_none() && info.state != State::UnknownOutcome {
        return Err(QueueError::ImagesErased(info.id));
    }
    let pictures: Vec<_> = pictures.iter().map(|(kind, jpeg)| (*kind, jpeg.0.as_slice())).collect();
    let accept = || info.remote.clone().map(|remote| Move::Accept { remote });
    let steps = match &info.state {
        State::New | State::Held(HeldReason::Clock) if !info.reserved => vec![],
        // The service may have it: looked up, or left to a person, never sent again as if it were new.
        State::New | State::Held(HeldReason::Clock) | State::Sending | State::UnknownOutcome => {
            vec![Some(Move::Send), Some(Move::LoseAnswer)]
        }
        State::DeadLetter { reason, answer } => {
            vec![Some(Move::DeadLetter { reason: reason.clone(), answer: answer.clone() })]
        }
        State::Accepted { .. } => vec![Some(Move::Send), accept()],
        State::Held(reason) => vec![Some(Move::Send), accept(), Some(Move::Hold(*reason))],
        State::Decided(_) | State::Expired | State::Dropped { .. } => vec![],
    };
    store.write(|tx| {
        queue::adopt_anew(tx)?;
        queue::enqueue(
            tx,
            &keys.queue,
            &NewJob {
                id: info.id,
                attempt: info.attempt,
                user_id: &info.user_id,
                task: info.task,
                api: info.api,
                allow_new_enroll: info.allow_new_enroll,
                details: &details,
                pictures: &pictures,
                born: Born::New,
            },
        )?;
        for step in steps {
            let step = step.ok_or(StoreError::Row { what: "jobs.remote_id" })?;
            queue::transition(tx, info.id, &step)?;
        }
        Ok(())
    })
}
