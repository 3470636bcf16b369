//! Answers from the database of a stopped daemon: questions read it, changes open it under the daemon's own lock.

use super::error::AgentError;
use super::operations::{self, Actor, Backend};
use super::shared::{Keys, database_path, open_store};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::config::check::credential_path;
use crate::control::{Reply, Request};
use crate::store::{DeviceKey, Mode};
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
    let looks = request.only_reads();
    if matches!(request, Request::Status | Request::Claim { .. } | Request::Events { follow: true, .. }) {
        return Err(AgentError::NeedsDaemon);
    }
    if looks && !database_path(config).exists() {
        return Err(AgentError::NeedsDaemon);
    }
    let path = device_key.unwrap_or_else(|| credential_path("device-key", &config.device.device_key_file));
    let wants_key = !looks || matches!(request, Request::Verify { .. });
    // A question never makes a key: only the file that the daemon uses can answer it.
    let key = match (wants_key, looks && !path.exists()) {
        (false, _) => None,
        (true, true) => {
            return Err(AgentError::Request {
                what: "device key",
                why: format!(
                    "{} does not exist; name it with --device-key FILE (needs root)",
                    path.display()
                ),
            });
        }
        (true, false) => Some(DeviceKey::load_or_create(&path, random.as_ref())?),
    };
    let keys = key.map(|key| Keys { people: key.people(), queue: key.queue(), audit: key.audit() });
    let mode = if looks { Mode::ReadOnly } else { Mode::ReadWrite };
    let (store, _) = open_store(config, mode, &clock, &random)?;
    let backend = Backend { store: &store, keys: keys.as_ref(), door: &config.door.name };
    let actor = Actor { uid: rustix::process::getuid().as_raw() };
    operations::perform(&backend, actor, request, each)
}
