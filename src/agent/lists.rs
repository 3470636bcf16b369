//! The service's lists as they are kept beside the database: a small file that anybody may read, for there is nothing
//! of a person in it.

use super::error::AgentError;
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::smileid::{Client, Lists, Settings};
use secrecy::SecretString;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// A kept file that is larger is none of ours.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where they are kept.
pub fn path(config: &Config) -> PathBuf {
    config.device.state_dir.join("services.json")
}

/// The kept lists; `None` when there are none, or none that can be read: then nothing is held against them.
pub fn kept(config: &Config) -> Option<Lists> {
    let path = path(config);
    if std::fs::metadata(&path).ok()?.len() > BYTES_MAX {
        return None;
    }
    let bytes = std::fs::read(&path).ok()?;
    serde_json::from_slice(&bytes)
        .inspect_err(|_| log::warn!(file:% = path.display(); "the kept lists of the service cannot be read"))
        .ok()
}

/// Fetches the lists and keeps them; the file is whole or the old one.
///
/// # Errors
/// The service does not answer, or the file cannot be written.
pub fn refresh(config: &Config) -> Result<Lists, AgentError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    // The lists need no credentials, so whoever fetches them need not be able to read the key.
    let settings = Settings::from_config(&config.smile, SecretString::from("none"))?;
    let lists = Client::new(settings, clock, random)?.services().map_err(AgentError::Service)?;
    let path = path(config);
    let failed = |source| AgentError::File { path: path.display().to_string(), source };
    let new = path.with_extension("json.new");
    let mut file = std::fs::File::create(&new).map_err(failed)?;
    file.write_all(&serde_json::to_vec(&lists).unwrap_or_default()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&new, &path).map_err(failed)?;
    Ok(lists)
}
