//! What keeps the daemon from starting, or a command from working alone.

use super::owner;
use crate::audit::AuditError;
use crate::control::ControlError;
use crate::guard::GuardError;
use crate::people::PeopleError;
use crate::queue::QueueError;
use crate::smileid::{BadField, Failure, SmileError};
use crate::store::StoreError;
use std::io::ErrorKind;
use std::path::Path;

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
        /// What to write instead.
        remedy: &'static str,
    },
    /// The service's callbacks cannot be listened to.
    #[cfg(feature = "web")]
    #[error(transparent)]
    Callbacks(#[from] crate::callbacks::CallbackError),
    /// A job that the service was not handed, or whose id there is not known.
    #[error("the service has no job by this id")]
    NotAtTheService,
    /// The service did not give what was asked.
    #[error(transparent)]
    Service(Failure),
    /// A file beside the database.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A field of a check is missing or wrong.
    #[error(transparent)]
    Field(#[from] BadField),
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
    #[error("{directory} or its database belongs to {owner}")]
    WrongUser {
        /// The state directory.
        directory: String,
        /// Whose it is.
        owner: String,
    },
    /// There is no state directory yet, and whose it will be is not known here.
    #[error("the state directory {directory} is not there")]
    NoDirectory {
        /// The state directory.
        directory: String,
    },
    /// Root would make a database that the service's user cannot open.
    #[error("{directory} has no database yet, and one that root makes the user {service} cannot open")]
    RootMakes {
        /// The state directory.
        directory: String,
        /// The user that the service runs as.
        service: &'static str,
    },
    /// The database of a stopped daemon was asked for something that only a daemon can do.
    #[error("only a running daemon can do this")]
    NeedsDaemon,
}

impl AgentError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Store(error) | Self::Queue(QueueError::Store(error)) => {
                barred_from(error).and_then(owner::remedy).unwrap_or_else(|| error.remedy().into())
            }
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
            Self::Request { remedy, .. } => (*remedy).into(),
            Self::Field(field) => field.remedy.into(),
            #[cfg(feature = "web")]
            Self::Callbacks(error) => error.remedy().into(),
            Self::NotAtTheService => "`latchd queue show` tells how far the job got".into(),
            Self::Service(failure) => failure.remedy().into(),
            Self::File { .. } => "check the directory's owner and free space".into(),
            Self::NoConsent => "record it with `latchd people add --replace --consent-…`".into(),
            Self::Replaced { .. } => {
                "start the daemon, which writes it into the events; then import the people again".into()
            }
            Self::NoDeviceKey { .. } => {
                "put the key of this database back, or name it with --device-key FILE; without it what it sealed is lost, and \
                 the database must be moved away for a new start"
                    .into()
            }
            Self::WrongUser { owner, .. } => {
                format!("start the daemon first, or run it as that user: sudo -u {owner} latchd …")
            }
            Self::NoDirectory { directory } => {
                format!(
                    "start the daemon first, or make it as the user that the daemon runs as: mkdir -m 0700 {directory}"
                )
            }
            Self::RootMakes { service, .. } => {
                format!(
                    "start the daemon first, or run it as its user: sudo -u {service} latchd people add …"
                )
            }
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
                StoreError::NewerSchema { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::InUse { .. }
                | StoreError::WrongKey
                | StoreError::DeviceKey { .. },
            )
            | Self::Smile(_)
            | Self::ApiKey { .. }
            | Self::Request { .. }
            | Self::Field(_)
            | Self::File { .. }
            | Self::NoDeviceKey { .. }
            | Self::WrongUser { .. }
            | Self::NoDirectory { .. }
            | Self::RootMakes { .. }
            | Self::NeedsDaemon => 2,
            Self::Store(error) if barred_from(error).is_some() => 2,
            // A wrong value; that there is no such person is another matter.
            Self::People(error) => match error {
                PeopleError::Store(_) | PeopleError::Exists | PeopleError::Unlisted => 1,
                PeopleError::Field { .. }
                | PeopleError::NotAUserId(_)
                | PeopleError::Column { .. }
                | PeopleError::NoObject
                | PeopleError::Line { .. } => 2,
            },
            _ => 1,
        }
    }
}

/// The file that this user may not open or write, when that is the trouble.
fn barred_from(error: &StoreError) -> Option<&Path> {
    match error {
        StoreError::Io { path, source, .. } if source.kind() == ErrorKind::PermissionDenied => Some(path),
        StoreError::ReadOnly { path } => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restart_cannot_mend_is_exit_2() {
        let io = |kind: ErrorKind| {
            AgentError::from(StoreError::Io {
                what: "open",
                path: "/x/device.key".into(),
                source: kind.into(),
            })
        };
        assert_eq!(io(ErrorKind::PermissionDenied).exit_code(), 2);
        assert_eq!(io(ErrorKind::Other).exit_code(), 1, "a disk may come back");
    }
}
