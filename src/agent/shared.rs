//! What the daemon's threads share: settings, the database, the keys, the client, the clock.

use super::error::AgentError;
use super::watchdog::Watchdog;
use crate::access::{AttemptId, JobId, UserId, sortable_id};
use crate::clock::{BootTime, Clock, Random, Wall};
use crate::config::check::credential_path;
use crate::config::{Config, GuardConfig};
use crate::store::{self, AuditKey, DeviceKey, Mode, Opening, PeopleKey, QueueKey, Settings, Store};
use crate::{people, queue, smileid};
use crossbeam_channel::Sender;
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The name of the database in the state directory.
const DATABASE: &str = "latchd.db";
/// An API key file larger than this is something else.
const KEY_FILE_LIMIT: u64 = 4096;

/// The keys that the rooms get, each its own.
pub struct Keys {
    /// Seals names and contact.
    pub people: PeopleKey,
    /// Wraps the jobs' keys.
    pub queue: QueueKey,
    /// Chains the events.
    pub audit: AuditKey,
}

impl Keys {
    /// All that are derived from the device key.
    pub fn of(device: &DeviceKey) -> Self {
        Self { people: device.people(), queue: device.queue(), audit: device.audit() }
    }
}

/// What is found at start that an operator must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAlarm {
    /// The old database's new name.
    pub moved_to: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// What became of a job that is being sent and could not be written down. At most one an attempt and one of the
/// drain: whoever cannot write sends nothing more.
pub enum Unsettled {
    /// The service took it, under this id.
    Accepted(String),
    /// It was not taken, or perhaps.
    Failed(smileid::Failure),
}

/// Longest that one submission may take by its time limits: token, connection, body and answer, all of it twice
/// (a refused token is renewed once), and the wait for a verdict.
pub fn submission_limit(config: &Config) -> Duration {
    let smile = &config.smile;
    let once = u64::from(smile.connect_timeout_ms)
        + u64::from(smile.send_timeout_ms)
        + 2 * u64::from(smile.answer_timeout_ms);
    Duration::from_millis(4 * once) + Duration::from_secs(60)
}

/// The machine that the process runs on.
pub trait Host: Send + Sync {
    /// What the file system of the database has left.
    fn free_space(&self) -> queue::FreeSpace;

    /// Ends the process: the database is damaged, and its next start sets it aside.
    fn abandon(&self);
}

struct Machine(PathBuf);

impl Host for Machine {
    fn free_space(&self) -> queue::FreeSpace {
        free_space(&self.0)
    }

    fn abandon(&self) {
        log::logger().flush();
        std::process::exit(1);
    }
}

/// What [`Shared`] is made of; all of it comes from outside.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Its keys.
    pub keys: Keys,
    /// The service.
    pub client: smileid::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The machine.
    pub host: Box<dyn Host>,
}

/// Shared by all threads of the daemon, and by commands that work alone.
pub struct Shared {
    /// `latchd.toml`.
    pub config: Config,
    /// `guard.toml`.
    pub guard: GuardConfig,
    /// The database.
    pub store: Store,
    /// Its keys.
    pub keys: Keys,
    /// The service.
    pub client: smileid::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The machine.
    pub host: Box<dyn Host>,
    /// Who is stuck.
    pub watchdog: Watchdog,
    /// An attempt is under way: the drain waits (queue promise 3).
    pub attempt_active: AtomicBool,
    /// Wakes the drain; holds one wake-up, more at once are the same.
    pub wake_drain: Sender<()>,
    /// The daemon ends: no new work.
    pub stopping: AtomicBool,
    /// What could not be written down yet about jobs that are being sent.
    pub unsettled: Mutex<Vec<(JobId, Unsettled)>>,
    /// The database was replaced and nobody has said that they saw it.
    pub alarm: Mutex<Option<DatabaseAlarm>>,
}

/// What is opened for everybody.
pub struct Opened {
    /// Shared by all.
    pub shared: Arc<Shared>,
    /// What the database looked like.
    pub opening: Opening,
    /// The drain's end of [`Shared::wake_drain`].
    pub woken: crossbeam_channel::Receiver<()>,
}

/// The database file of a configuration.
pub fn database_path(config: &Config) -> PathBuf {
    config.device.state_dir.join(DATABASE)
}

/// Reads the device key, or makes it for a database that is not there yet: a second key would make what the first one
/// sealed unreadable.
pub fn device_key(config: &Config, random: &dyn Random) -> Result<DeviceKey, AgentError> {
    let fallback = &config.device.device_key_file;
    let path = credential_path("device-key", fallback);
    if path == *fallback {
        if !path.exists() && database_path(config).exists() {
            return Err(AgentError::NoDeviceKey { path: path.display().to_string() });
        }
        return Ok(DeviceKey::load_or_create(&path, random)?);
    }
    // A credential's mode is systemd's business, and it is never made here.
    std::fs::read(&path).ok().and_then(|bytes| DeviceKey::from_bytes(&bytes)).ok_or_else(|| {
        AgentError::Request {
            what: "device-key",
            why: "the credential is not 32 bytes".into(),
            remedy: "give the device-key credential that sealed this database",
        }
    })
}

/// Opens the database of a configuration.
pub fn open_store(
    config: &Config,
    mode: Mode,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<(Store, Opening), AgentError> {
    Ok(Store::open(Settings {
        path: database_path(config),
        vfs: None,
        clock: Arc::clone(clock),
        random: Arc::clone(random),
        mode,
        max_bytes: queue::file_limit(&config.queue),
    })?)
}

/// Reads the API key, from systemd's credential if there is one. A device with a broker has none.
pub fn api_key(config: &Config) -> Result<SecretString, AgentError> {
    if config.smile.broker.is_some() {
        return Ok(SecretString::from("none"));
    }
    let path = credential_path("smile-api-key", &config.smile.api_key_file);
    read_limited(&path)
        .map(|text| SecretString::from(text.trim().to_owned()))
        .map_err(|source| AgentError::ApiKey { path: path.display().to_string(), source })
}

/// What the file system of `directory` has left.
pub fn free_space(directory: &Path) -> queue::FreeSpace {
    match rustix::fs::statvfs(directory) {
        Ok(stat) => queue::FreeSpace {
            bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // File systems without a table of inodes say 0 of 0.
            inodes: (stat.f_files != 0).then_some(stat.f_favail),
        },
        // Unknown counts as full: nothing may be lost for want of an answer.
        Err(_) => queue::FreeSpace { bytes: 0, inodes: Some(0) },
    }
}

fn read_limited(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(KEY_FILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

impl Shared {
    /// How long to wait before the next look at a job that the service took at `taken`.
    pub fn pause(&self, taken: BootTime) -> Duration {
        let mut random = [0; 8];
        self.random.fill(&mut random);
        let longest = Duration::from_millis(self.config.smile.poll_interval_ms.into());
        smileid::pause(self.clock.boot().since(taken), longest, u64::from_le_bytes(random))
    }

    /// Opens all of it: key, database, client. Nothing talks to the network yet.
    pub fn open(
        config: &Config,
        guard: &GuardConfig,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Opened, AgentError> {
        let settings = smileid::Settings::from_config(&config.smile, api_key(config)?)?;
        let client = smileid::Client::new(settings, Arc::clone(&clock), Arc::clone(&random))?;
        let device_key = device_key(config, random.as_ref())?;
        let (store, opening) = open_store(config, Mode::ReadWrite, &clock, &random)?;
        let path = credential_path("device-key", &config.device.device_key_file);
        let device_key = store::matching_key(&store, device_key, &path, true)?;
        let keys = Keys::of(&device_key);
        let host = Box::new(Machine(config.device.state_dir.clone()));
        let (shared, woken) = Self::of(config, guard, Parts { store, keys, client, clock, random, host });
        Ok(Opened { shared, opening, woken })
    }

    /// Puts the parts together; gives also the drain's end of [`Shared::wake_drain`].
    pub fn of(
        config: &Config,
        guard: &GuardConfig,
        parts: Parts,
    ) -> (Arc<Self>, crossbeam_channel::Receiver<()>) {
        let Parts { store, keys, client, clock, random, host } = parts;
        let (wake_drain, woken) = crossbeam_channel::bounded(1);
        let shared = Arc::new(Self {
            config: config.clone(),
            guard: guard.clone(),
            store,
            keys,
            client,
            clock,
            random,
            host,
            watchdog: Watchdog::default(),
            attempt_active: AtomicBool::new(false),
            wake_drain,
            stopping: AtomicBool::new(false),
            unsettled: Mutex::new(Vec::new()),
            alarm: Mutex::new(None),
        });
        (shared, woken)
    }

    /// A connection of its own to the database, for reading.
    pub fn reader(&self) -> Result<Store, AgentError> {
        Ok(open_store(&self.config, Mode::ReadOnly, &self.clock, &self.random)?.0)
    }

    fn new_id(&self) -> [u8; 16] {
        let mut random = [0; 16];
        self.random.fill(&mut random);
        let millis = match self.clock.wall() {
            Wall::Known(time) => u64::try_from(time.as_unix_millis()).unwrap_or(0),
            Wall::Unknown => self.clock.boot().as_millis(),
        };
        sortable_id(millis, random)
    }

    /// A new attempt's id.
    pub fn new_attempt(&self) -> AttemptId {
        AttemptId(self.new_id())
    }

    /// A new job's id.
    pub fn new_job(&self) -> JobId {
        JobId(self.new_id())
    }

    /// Lets the drain look at once.
    pub fn wake(&self) {
        // Full means that it is woken already.
        let _ = self.wake_drain.try_send(());
    }

    /// Marks that somebody stands at the door, or not any more.
    pub fn set_attempt_active(&self, active: bool) {
        self.attempt_active.store(active, Ordering::Release);
        if !active {
            self.wake();
        }
    }

    /// Whether the daemon ends.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Keeps what a full or failing disk did not take, for the drain to try again.
    pub fn remember(&self, job: JobId, what: Unsettled) {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).push((job, what));
        self.wake();
    }

    /// The database alarm, if nobody has acknowledged it.
    pub fn database_alarm(&self) -> Option<DatabaseAlarm> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The person's random name in the audit.
    pub fn pseudonym(&self, user: &UserId) -> Option<store::Pseudonym> {
        self.store.read(|tx| people::pseudonym(tx, user)).ok().flatten()
    }
}
