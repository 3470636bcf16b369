//! Answers from the database of a stopped daemon: questions read it, changes open it under the daemon's own lock.

use super::error::AgentError;
use super::operations::{self, Actor, Backend};
use super::owner;
use super::shared::{Keys, database_path, open_store};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::config::check::credential_path;
use crate::control::{Reply, Request};
use crate::store::{DeviceKey, Mode, Opening, Store, matching_key};
use std::path::PathBuf;
use std::sync::Arc;

/// Answers `request`. A question does not need the device key, unless it walks the audit's chain.
///
/// # Errors
/// No database, a wrong key, or what was asked cannot be done.
pub fn answer(
    config: &Config,
    device_key: Option<PathBuf>,
    request: Request,
    each: &mut dyn FnMut(Reply),
) -> Result<(), AgentError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    // Who only looks leaves no trace, whoever it is.
    let looks = request.only_reads() || matches!(request, Request::PeopleList | Request::PeopleShow { .. });
    if matches!(request, Request::Status | Request::Claim { .. } | Request::Events { follow: true, .. }) {
        return Err(AgentError::NeedsDaemon);
    }
    let exists = database_path(config).exists();
    if looks && !exists {
        return Err(AgentError::NeedsDaemon);
    }
    if !looks {
        owner::check(config)?;
    }
    let path = device_key.unwrap_or_else(|| credential_path("device-key", &config.device.device_key_file));
    let key = match request {
        Request::QueueList(_)
        | Request::QueueStats
        | Request::QueueShow { .. }
        | Request::Events { .. }
        | Request::PeopleList => None,
        // A second key would make what the first one sealed unreadable.
        _ if exists && !path.exists() => {
            return Err(AgentError::NoDeviceKey { path: path.display().to_string() });
        }
        _ => Some(DeviceKey::load_or_create(&path, random.as_ref())?),
    };
    let mode = if looks { Mode::ReadOnly } else { Mode::ReadWrite };
    let (store, opening) = open_store(config, mode, &clock, &random)?;
    refuse_replaced(&opening)?;
    let key = key.map(|key| matching_key(&store, key, &path, !looks)).transpose()?;
    let keys = key.as_ref().map(Keys::of);
    let backend = Backend { store: &store, keys: keys.as_ref(), door: &config.door.name, alone: true };
    let actor = Actor { uid: rustix::process::getuid().as_raw() };
    operations::perform(&backend, actor, request, each)
}

/// The database of a stopped daemon, under its lock, and its keys.
pub(super) struct Alone {
    /// The database.
    pub store: Store,
    /// Its keys.
    pub keys: Keys,
}

/// Opens it to be changed, or makes it.
pub(super) fn open_to_change(config: &Config, device_key: Option<PathBuf>) -> Result<Alone, AgentError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    owner::check(config)?;
    let path = device_key.unwrap_or_else(|| credential_path("device-key", &config.device.device_key_file));
    if database_path(config).exists() && !path.exists() {
        return Err(AgentError::NoDeviceKey { path: path.display().to_string() });
    }
    let key = DeviceKey::load_or_create(&path, random.as_ref())?;
    let (store, opening) = open_store(config, Mode::ReadWrite, &clock, &random)?;
    refuse_replaced(&opening)?;
    let key = matching_key(&store, key, &path, true)?;
    Ok(Alone { store, keys: Keys::of(&key) })
}

/// A database that was just set aside is the daemon's to report: its first event names it.
pub(super) fn refuse_replaced(opening: &Opening) -> Result<(), AgentError> {
    match opening {
        Opening::Quarantined { moved, .. } => Err(AgentError::Replaced {
            moved_to: moved.first().map(|path| path.display().to_string()).unwrap_or_default(),
        }),
        Opening::Fresh | Opening::Existing => Ok(()),
    }
}
