//! What keeps the daemon from starting, or a command from working alone.

use crate::audit::AuditError;
use crate::control::ControlError;
use crate::guard::GuardError;
use crate::people::PeopleError;
use crate::queue::QueueError;
use crate::smileid::SmileError;
use crate::store::StoreError;

/// Anything of the rooms, kept apart by its kind.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The list of people.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The events.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The service's client.
    #[error(transparent)]
    Smile(#[from] SmileError),
    /// The lock's link.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The control sockets.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The API key cannot be read.
    #[error("{path}: the API key cannot be read: {source}")]
    ApiKey {
        /// The file.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
    /// A word of the request is wrong.
    #[error("{what}: {why}")]
    Request {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A job without a recorded consent (door-rules 16).
    #[error("no consent is recorded for this person")]
    NoConsent,
    /// The database was damaged and has just been set aside.
    #[error("the database was damaged; it was set aside as {moved_to}")]
    Replaced {
        /// Its new name.
        moved_to: String,
    },
    /// The key that sealed this database is not where the configuration says.
    #[error("{path}: the device key of this database is not there")]
    NoDeviceKey {
        /// Where it was looked for.
        path: String,
    },
    /// Another user's database.
    #[error("{directory} belongs to another user")]
    WrongUser {
        /// The state directory.
        directory: String,
    },
    /// The database of a stopped daemon was asked for something that only a daemon can do.
    #[error("no daemon runs for this configuration")]
    NeedsDaemon,
}

impl AgentError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Store(error) => error.remedy().into(),
            Self::Queue(error) => error.remedy().into(),
            Self::People(error) => error.remedy(),
            Self::Audit(error) => error.remedy().into(),
            Self::Smile(error) => error.remedy().into(),
            Self::Guard(error) => error.remedy().into(),
            Self::Control(error) => error.remedy().into(),
            Self::ApiKey { .. } => {
                "write the key of the portal into this file, readable by the user latchd alone".into()
            }
            Self::Thread(_) => "check the limits of the unit (TasksMax, MemoryMax)".into(),
            Self::Request { .. } => "see --help of this command".into(),
            Self::NoConsent => "record it with `latchd people add --replace --consent-…`".into(),
            Self::Replaced { .. } => {
                "start the daemon, which writes it into the events; then import the people again".into()
            }
            Self::NoDeviceKey { .. } => {
                "start the daemon, which has it as a credential, or name it with --device-key FILE".into()
            }
            Self::WrongUser { .. } => "run it as that user: sudo -u latchd latchd …".into(),
            Self::NeedsDaemon => "start it with `latchd run --config FILE`, or name its --config".into(),
        }
    }

    /// Whether the disk or the database is full, in whichever room that was met.
    pub fn is_full(&self) -> bool {
        let store = match self {
            Self::Store(error)
            | Self::Queue(QueueError::Store(error))
            | Self::People(PeopleError::Store(error))
            | Self::Audit(AuditError::Store(error)) => error,
            _ => return false,
        };
        matches!(store, StoreError::Full { .. })
    }

    /// 2 for what a restart cannot mend, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Store(
                StoreError::NewerSchema { .. } | StoreError::ReadOnly { .. } | StoreError::InUse { .. },
            )
            | Self::Smile(_)
            | Self::ApiKey { .. }
            | Self::Request { .. }
            | Self::NoDeviceKey { .. }
            | Self::WrongUser { .. }
            | Self::NeedsDaemon => 2,
            _ => 1,
        }
    }
}
