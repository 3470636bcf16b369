//! A new device key for the database of a stopped daemon. Whatever is sealed is sealed anew in one commit; see
//! [`store::matching_key`](crate::store::matching_key) for why a crash at any step loses nothing.

use super::alone::refuse_replaced;
use super::error::AgentError;
use super::owner;
use super::shared::{database_path, open_store};
use crate::audit::{self, Event};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::config::check::{DEVICE_KEY_CREDENTIAL, credential_path};
use crate::store::{self, DeviceKey, Mode, StoreError};
use crate::{people, queue};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How far the change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new key is durable beside the old one.
    Prepared,
    /// The database is sealed for the new key.
    Committed,
    /// The new key has the old one's place.
    Installed,
}

impl Step {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Committed => "committed",
            Self::Installed => "installed",
        }
    }
}

/// What was sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// Keys of jobs.
    pub jobs: u64,
    /// People.
    pub people: u64,
    /// Rows that the old key did not open either; they stay as they were.
    pub unreadable: u64,
    /// What the old key sealed is gone from the database's files.
    pub settled: bool,
}

/// Makes a new device key and seals the database for it; `each` hears of each step when it is done.
///
/// # Errors
/// A daemon runs, the old key is not this database's, or a file cannot be written. Nothing is lost by any of them.
pub fn run(
    config: &Config,
    device_key: Option<PathBuf>,
    each: &mut dyn FnMut(Step),
) -> Result<Rotated, AgentError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    owner::check(config)?;
    let database = database_path(config);
    if !database.exists() {
        return Err(StoreError::Missing { path: database }.into());
    }
    let path = key_file(config, device_key)?;
    let old = DeviceKey::load(&path)?;
    let (store, opening) = open_store(config, Mode::ReadWrite, &clock, &random)?;
    refuse_replaced(&opening)?;
    let old = store::matching_key(&store, old, &path, true)?;
    let new = store::prepare_key(&path, random.as_ref())?;
    each(Step::Prepared);
    let uid = rustix::process::getuid().as_raw().to_string();
    // An error here may come after the commit: the new key's file stays, and the next opening knows which one counts.
    let (jobs, people) = store.write(|tx| {
        let jobs = queue::rewrap(tx, &old.queue(), &new.queue())?;
        let people = people::reseal(tx, &old.people(), &new.people())?;
        let event = |kind, fields| Event {
            kind,
            door: &config.door.name,
            attempt: None,
            job: None,
            subject: None,
            fields: BTreeMap::from(fields),
        };
        let counts = [("jobs", jobs.0.to_string()), ("people", people.0.to_string())];
        let last = event("device_key_rotated", counts);
        let first = event("device_key_taken", [("uid", uid), ("after", "device_key_rotated".to_owned())]);
        audit::rotate(tx, (&old.audit(), &new.audit()), &last, &first)?;
        store::note_key(tx, &new.audit())?;
        Ok::<_, AgentError>((jobs, people))
    })?;
    each(Step::Committed);
    store::install_key(&path)?;
    each(Step::Installed);
    let settled = store.settle()?;
    Ok(Rotated { jobs: jobs.0, people: people.0, unreadable: jobs.1 + people.1, settled })
}

/// The file that is replaced. A systemd credential is a copy that systemd makes at each start: that cannot be.
fn key_file(config: &Config, named: Option<PathBuf>) -> Result<PathBuf, AgentError> {
    let fallback = &config.device.device_key_file;
    let path = match named {
        Some(path) => path,
        None if credential_path(DEVICE_KEY_CREDENTIAL, fallback) != *fallback => {
            return Err(AgentError::Request {
                what: "device-key",
                why: "is a systemd credential, which cannot be replaced from here".into(),
                remedy: "decrypt it into a file in memory, name that with --device-key FILE, and encrypt what is there afterwards",
            });
        }
        None => fallback.clone(),
    };
    if path.exists() { Ok(path) } else { Err(AgentError::NoDeviceKey { path: path.display().to_string() }) }
}
