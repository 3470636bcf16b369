//! `latchd.toml`: every key with its meaning, unit and default. The reference page, the JSON schema and the
//! annotated file are made from these comments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

mod camera;
mod capture;

pub use camera::{Camera, CameraFormat, CameraSource, Exposure, FileMode, PowerLine, Rotate};
pub use capture::{Capture, FaceCheck, Language, Liveness, Order};

/// Longest window an approval may have, in milliseconds (door-rules 1).
pub const WINDOW_MS_CEILING: u32 = 30_000;
/// Longest time a strike may be released, in milliseconds (door-rules 5).
pub const UNLOCK_MS_CEILING: u32 = 60_000;
/// Least pause between two tries, in milliseconds; the longest pause may not be less than this can grow to.
const BACKOFF_MS: (u32, u32) = (5_000, 1_800_000);
const WINDOW_MS: u32 = 15_000;
const UNLOCK_MS: u32 = 5_000;
const LIVENESS: (u32, u32) = (8, 350);
const GIVE_UP_MS: u32 = 30_000;

// Relations between defaults and their limits: a build that breaks one does not exist.
const _: () = {
    assert!(WINDOW_MS <= WINDOW_MS_CEILING);
    assert!(UNLOCK_MS <= UNLOCK_MS_CEILING);
    assert!(BACKOFF_MS.0 < BACKOFF_MS.1);
    assert!(LIVENESS.0 * LIVENESS.1 < GIVE_UP_MS);
};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where this device keeps and shows its things.
    pub device: Device,
    /// The service that judges the pictures.
    pub smile: Smile,
    /// Where pictures come from.
    pub camera: Camera,
    /// How pictures are taken and what is refused on the device.
    pub capture: Capture,
    /// The door and who may open it.
    pub door: Door,
    /// What repeated denials lead to.
    pub lockout: Lockout,
    /// The jobs that wait.
    pub queue: Queue,
    /// How long pictures are kept when their fate is open, and what is known of jobs that are at an end.
    pub retention: Retention,
    /// What is written to the journal.
    pub log: Log,
}

/// Where this device keeps and shows its things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Directory of the database. The daemon must be able to write it.
    pub state_dir: PathBuf,
    /// Directory of the control sockets.
    pub run_dir: PathBuf,
    /// File with 32 random bytes that seal pictures and people; made at first start when absent. A systemd credential named `device-key` wins.
    pub device_key_file: PathBuf,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/latchd".into(),
            run_dir: "/run/latchd".into(),
            device_key_file: "/var/lib/latchd/device.key".into(),
        }
    }
}

/// The service that judges the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Smile {
    /// The service's protocol.
    pub api: Api,
    /// Which of the service's two worlds judges.
    pub environment: Environment,
    /// Another address than the service's own, https only: a gateway of the site or a stand-in.
    #[schemars(example = "https://gateway.example.org/smile-id")]
    pub base_url: Option<String>,
    /// A file of PEM certificates to trust instead of the system's.
    #[schemars(example = "/etc/latchd/ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// The partner id as the portal shows it, in quotes, leading zeros included (1 to 10 digits).
    #[schemars(example = "0042")]
    pub partner_id: String,
    /// File with the API key. A systemd credential named `smile-api-key` wins. Not read when there is a broker.
    pub api_key_file: PathBuf,
    /// A broker of yours that hands out tokens, so that this device holds no API key; v3 only.
    pub broker: Option<Broker>,
    /// https address that the service calls when a job is done; without it the portal's own setting counts.
    #[schemars(example = "https://door.example.org/smile-id")]
    pub callback_url: Option<String>,
    /// Where this device listens for the service's callbacks; only where it can be reached from outside.
    pub callbacks: Option<Callbacks>,
    /// Free fields that come back with each result; not job_id, user_id, job_type or sandbox_result.
    pub partner_params: BTreeMap<String, String>,
    /// Where the device stands; sent only when set.
    pub geo: Option<Geo>,
    /// Longest wait for a connection with TLS, in milliseconds (100 to 60000).
    #[schemars(range(min = 100, max = 60_000))]
    pub connect_timeout_ms: u32,
    /// Longest time to send one request's body, in milliseconds (1000 to 600000).
    #[schemars(range(min = 1000, max = 600_000))]
    pub send_timeout_ms: u32,
    /// Longest wait for one answer, in milliseconds (1000 to 600000).
    #[schemars(range(min = 1000, max = 600_000))]
    pub answer_timeout_ms: u32,
    /// Longest pause between two looks at a job that somebody waits for and that the service took less than four seconds
    /// ago, in milliseconds (50 to 10000); older jobs are looked at every tenth of their age, at most every 2 s.
    #[schemars(range(min = 50, max = 10_000))]
    pub poll_interval_ms: u32,
}

impl Default for Smile {
    fn default() -> Self {
        Self {
            api: Api::V3,
            environment: Environment::Production,
            base_url: None,
            ca_file: None,
            partner_id: String::new(),
            api_key_file: "/etc/latchd/smile-api-key".into(),
            broker: None,
            callbacks: None,
            callback_url: None,
            partner_params: BTreeMap::new(),
            geo: None,
            connect_timeout_ms: 5_000,
            send_timeout_ms: 20_000,
            answer_timeout_ms: 20_000,
            poll_interval_ms: 350,
        }
    }
}

/// A listener for the service's callbacks. One only makes the device ask for a job's state at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Callbacks {
    /// Address and port to listen on, in quotes.
    #[schemars(example = "0.0.0.0:8444")]
    pub listen: String,
    /// Path of the callback address; / when left out.
    #[schemars(example = "/smile-id")]
    pub path: Option<String>,
    /// File with the certificate of the callback address' host, PEM.
    #[schemars(example = "/etc/latchd/callback.pem")]
    pub cert_file: PathBuf,
    /// File with the key of that certificate, PEM.
    #[schemars(example = "/etc/latchd/callback.key")]
    pub key_file: PathBuf,
}

/// Where tokens come from when this device holds no API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// https address that gives a token.
    #[schemars(example = "https://broker.example.org/token")]
    pub url: String,
    /// File with this device's bearer credential; read anew for each token. This or a client certificate, or both.
    pub credential_file: Option<PathBuf>,
    /// File with this device's client certificate, PEM; read at start and reload.
    pub client_cert_file: Option<PathBuf>,
    /// File with the key of that certificate, PEM.
    pub client_key_file: Option<PathBuf>,
    /// A file of PEM certificates to trust for the broker instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// An upload slot, a PUT of a zip, then the job's status.
    V1,
    /// SmartSelfie only: one signed multipart call whose answer is the verdict.
    V2,
    /// One multipart call with a signed token, then the job's status.
    V3,
}

/// Which of the service's two worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Verdicts on faces.
    Production,
    /// Verdicts on test names, not on faces: never opens a real door (door-rules 4).
    Sandbox,
}

/// Where the device stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Geo {
    /// Degrees north (-90 to 90).
    #[schemars(range(min = -90, max = 90), example = -1.286)]
    pub latitude: f64,
    /// Degrees east (-180 to 180).
    #[schemars(range(min = -180, max = 180), example = 36.817)]
    pub longitude: f64,
    /// Metres above sea level (-500 to 20000).
    #[schemars(range(min = -500, max = 20_000), example = 1795.0)]
    #[serde(default)]
    pub altitude: Option<f64>,
}

/// The door and who may open it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Door {
    /// The door's name, in events and in the journal (1 to 64 characters).
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Who may open (door-rules 15).
    pub who: Who,
    /// The lock's own file, read for the checks and never written.
    pub guard_config: PathBuf,
    /// The lock's socket.
    pub guard_socket: PathBuf,
    /// How long the strike is released, in milliseconds (100 to 60000, within the guard's `pulse_max_ms`).
    #[schemars(range(min = 100, max = UNLOCK_MS_CEILING))]
    pub unlock_ms: u32,
    /// How long after the last picture an approval may still open, in milliseconds (1000 to 30000, within the guard's `window_max_ms`).
    #[schemars(range(min = 1000, max = WINDOW_MS_CEILING))]
    pub window_ms: u32,
    /// Whether the service's sandbox may move a real line (door-rules 4).
    pub sandbox_unlock: SandboxUnlock,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            name: "door".into(),
            who: Who::Listed,
            guard_config: "/etc/latchd/guard.toml".into(),
            guard_socket: "/run/latchd-guard/guard.sock".into(),
            unlock_ms: UNLOCK_MS,
            window_ms: WINDOW_MS,
            sandbox_unlock: SandboxUnlock::Never,
        }
    }
}

/// Who may open the door (door-rules 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// People of the door's own list for whom `may_open` is set.
    Listed,
    /// Every person of the list, whether or not `may_open` is set. Consent is still asked of the list.
    AnyEnrolled,
}

/// Whether the service's sandbox may move a real line (door-rules 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxUnlock {
    /// It may not.
    Never,
    /// It may, while the installer stands there; warned of everywhere.
    Commissioning,
}

/// What repeated denials lead to (door-rules 13).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lockout {
    /// Denials of one user or one reader that lock out (1 to 100).
    #[schemars(range(min = 1, max = 100))]
    pub denials: u32,
    /// The span in which they count, in minutes (1 to 1440).
    #[schemars(range(min = 1, max = 1440))]
    pub within_minutes: u32,
    /// How long the lock-out lasts, in minutes (1 to 1440).
    #[schemars(range(min = 1, max = 1440))]
    pub minutes: u32,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { denials: 5, within_minutes: 10, minutes: 10 }
    }
}

/// The jobs that wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Most unfinished jobs (10 to 1000000). When reached, new captures are refused.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub max_jobs: u32,
    /// Room for the pictures that wait, in mebibytes; with its events the database file may become twice as large (16 to 65536).
    #[schemars(range(min = 16, max = 65_536))]
    pub max_mib: u32,
    /// Free space that is always left to others, in mebibytes (0 to 65536).
    #[schemars(range(min = 0, max = 65_536))]
    pub min_free_mib: u32,
    /// No job waits longer than this to be submitted, whatever its kind: then it expires, in hours (1 to 8760).
    #[schemars(range(min = 1, max = 8760))]
    pub time_to_live_hours: u32,
    /// An authentication at the door not submitted after this long expires, in hours (1 to 8760): who was there has long gone.
    #[schemars(range(min = 1, max = 8760))]
    pub authentication_hours: u32,
    /// An enrolment not submitted after this long expires, in hours (1 to 8760): the person would have to come again.
    #[schemars(range(min = 1, max = 8760))]
    pub registration_hours: u32,
    /// A check that is about no door and was not submitted after this long expires, in hours (1 to 8760).
    #[schemars(range(min = 1, max = 8760))]
    pub check_hours: u32,
    /// First pause after a failure, in milliseconds (50 to 600000).
    #[schemars(range(min = 50, max = 600_000))]
    pub backoff_min_ms: u32,
    /// Longest pause between two tries, in milliseconds (1000 to 86400000).
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub backoff_max_ms: u32,
    /// What happens to a v3 job whose answer was lost.
    pub unknown_outcome: UnknownOutcome,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_jobs: 10_000,
            max_mib: 2_048,
            min_free_mib: 64,
            time_to_live_hours: 8_760,
            authentication_hours: 24,
            registration_hours: 168,
            check_hours: 72,
            backoff_min_ms: BACKOFF_MS.0,
            backoff_max_ms: BACKOFF_MS.1,
            unknown_outcome: UnknownOutcome::Hold,
        }
    }
}

/// What happens to a v3 job whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownOutcome {
    /// It waits for a person.
    Hold,
    /// It is submitted once more: it may be billed twice.
    ResubmitOnce,
}

/// How long pictures are kept when their fate is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Pictures of unknown outcomes and dead letters are erased after this long, in hours of the device being on (0 to 8760).
    #[schemars(range(min = 0, max = 8760))]
    pub unresolved_hours: u32,
    /// Finished jobs leave `latchd queue list` after this long, in days (1 to 3650). Their events stay.
    #[schemars(range(min = 1, max = 3650))]
    pub finished_days: u32,
    /// Events are removed after this long, in days (0 to 3650; 0: never for their age). The newest 1000 stay in any case.
    #[schemars(range(min = 0, max = 3650))]
    pub events_days: u32,
    /// More events than this are not kept, whatever their age (10000 to 100000000), and no more than 1024 for each mebibyte of
    /// `queue.max_mib`. One takes some 200 bytes.
    #[schemars(range(min = 10_000, max = 100_000_000))]
    pub events_max: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { unresolved_hours: 72, finished_days: 90, events_days: 400, events_max: 1_000_000 }
    }
}

/// What is written to the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Least level that is written.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info }
    }
}

/// Least level of a line in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Only errors.
    Error,
    /// Warnings too.
    Warn,
    /// What happens at the door too.
    Info,
    /// What helps a developer too.
    Debug,
}
