//! The two control sockets: what can be asked of a running daemon, and by whom.
//!
//! `read.sock` answers questions; `operator.sock` also acts. The file mode decides who may connect; the peer's
//! uid goes into the audit. One request a connection: a line of JSON in, lines of JSON out, the last of them
//! [`Reply::Done`] or [`Reply::Failed`].

pub mod client;
mod picture;
mod places;
mod receive;
pub mod server;

pub use picture::Picture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the device is.
    Status,
    /// The jobs, newest last.
    QueueList(JobFilter),
    /// The queue in numbers.
    QueueStats,
    /// One job.
    QueueShow {
        /// The job.
        job: String,
    },
    /// The audit's events.
    Events {
        /// Only events after this sequence number.
        #[serde(default)]
        after: i64,
        /// Keep the connection and send what comes.
        #[serde(default)]
        follow: bool,
    },
    /// Walk the audit's chain.
    Verify {
        /// A head written down earlier, hexadecimal.
        #[serde(default)]
        head: Option<String>,
    },
    /// Somebody claims an identity at the door, or enrols.
    Claim {
        /// `authentication` or `registration`.
        product: String,
        /// The claimed identity.
        user_id: String,
        /// Answer at the end of the attempt; otherwise as soon as the job is durable.
        wait: bool,
        /// Enrol again a person whom the service already knows.
        #[serde(default)]
        allow_new_enroll: bool,
    },
    /// A check that is about no door, with its pictures.
    Submit {
        /// What is asked.
        product: String,
        /// About whom; made up from the job's id when left out.
        #[serde(default)]
        user_id: Option<String>,
        /// All that is said about it, as JSON.
        form: String,
        /// Its pictures.
        #[serde(default)]
        pictures: Vec<Picture>,
        /// Answer with the result; otherwise as soon as the job is durable.
        #[serde(default)]
        wait: bool,
    },
    /// Put a person on the list.
    PeopleAdd {
        /// The person, as in an import file.
        person: Value,
        /// Overwrite who is there.
        #[serde(default)]
        replace: bool,
    },
    /// The list, without names.
    PeopleList,
    /// One person with names and contact.
    PeopleShow {
        /// Whom.
        user_id: String,
    },
    /// Take a person off the list.
    PeopleRemove {
        /// Whom.
        user_id: String,
    },
    /// Erase everything about a person, jobs included.
    PeopleErase {
        /// Whom.
        user_id: String,
    },
    /// Put many people on the list, all or none.
    PeopleImport {
        /// `csv` or `json`.
        format: String,
        /// The file's content.
        text: String,
    },
    /// Lift a lock-out.
    PeopleUnlockOut {
        /// The person, or
        #[serde(default)]
        user_id: Option<String>,
        /// the reader.
        #[serde(default)]
        reader: Option<String>,
    },
    /// Submit a job again, or end its hold.
    QueueRetry {
        /// The job; `None` lifts the queue's pause.
        #[serde(default)]
        job: Option<String>,
    },
    /// Give a job up.
    QueueDrop {
        /// The job.
        job: String,
    },
    /// Have the service send a job's callback once more.
    QueueReplay {
        /// The job.
        job: String,
    },
    /// A job with its pictures, for a person to look at.
    QueueExport {
        /// The job.
        job: String,
    },
    /// The operator has seen that the database was replaced.
    Acknowledge,
}

/// Which jobs are listed; what is left out is no condition.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobFilter {
    /// Only jobs in this state.
    pub state: Option<String>,
    /// Only jobs that ask this.
    pub product: Option<String>,
    /// Only jobs about this person.
    pub user_id: Option<String>,
    /// Only jobs made at least so long ago: a span such as `36h`, or a time.
    pub older_than: Option<String>,
    /// Only jobs made since then: a span such as `36h`, or a time.
    pub since: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl Request {
    /// The names of what may be asked on `read.sock`; everything else acts.
    pub const READS: [&'static str; 6] =
        ["status", "queue-list", "queue-stats", "queue-show", "events", "verify"];

    /// Whether it may be asked on `read.sock`.
    pub fn only_reads(&self) -> bool {
        Self::READS.contains(&self.name())
    }

    /// The stable name, for the audit and the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::QueueList(_) => "queue-list",
            Self::QueueStats => "queue-stats",
            Self::QueueShow { .. } => "queue-show",
            Self::Events { .. } => "events",
            Self::Verify { .. } => "verify",
            Self::Claim { .. } => "claim",
            Self::Submit { .. } => "submit",
            Self::PeopleAdd { .. } => "people-add",
            Self::PeopleList => "people-list",
            Self::PeopleShow { .. } => "people-show",
            Self::PeopleRemove { .. } => "people-remove",
            Self::PeopleErase { .. } => "people-erase",
            Self::PeopleImport { .. } => "people-import",
            Self::PeopleUnlockOut { .. } => "people-unlock-out",
            Self::QueueRetry { .. } => "queue-retry",
            Self::QueueDrop { .. } => "queue-drop",
            Self::QueueReplay { .. } => "queue-replay",
            Self::QueueExport { .. } => "queue-export",
            Self::Acknowledge => "acknowledge",
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({})", self.name())
    }
}

/// One line of an answer: an object for machines and a text for people.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Something is under way.
    Progress {
        /// For machines.
        object: Value,
        /// For people.
        text: String,
    },
    /// One row of a list.
    Item {
        /// For machines.
        object: Value,
        /// For people.
        text: String,
    },
    /// The end.
    Done {
        /// The exit code of the command-line contract.
        exit: u8,
        /// For machines.
        object: Value,
        /// For people.
        text: String,
    },
    /// It did not work.
    Failed {
        /// The exit code of the command-line contract.
        exit: u8,
        /// What went wrong, and where.
        cause: String,
        /// What to do.
        remedy: String,
    },
}

impl Reply {
    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Progress { .. } => "Reply(progress)",
            Self::Item { .. } => "Reply(item)",
            Self::Done { .. } => "Reply(done)",
            Self::Failed { .. } => "Reply(failed)",
        })
    }
}

/// Why a control socket could not be served or asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No daemon listens there.
    #[error("no daemon listens on {path}")]
    NotRunning {
        /// The socket.
        path: String,
    },
    /// The socket's mode keeps this user out.
    #[error("this user may not use {path}")]
    NotAllowed {
        /// The socket.
        path: String,
    },
    /// Anything else of the operating system.
    #[error("{path}: {source}")]
    Io {
        /// The socket.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The asker gave up, and the daemon did not say how it ended.
    #[error("interrupted")]
    Interrupted,
    /// The daemon went away in mid-answer, or speaks otherwise.
    #[error("the daemon's answer ended early or could not be read")]
    BrokenAnswer,
}

impl ControlError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } => {
                "start it (`systemctl start latchd`, or `latchd run --config FILE`), or name the --config whose \
                 device.run_dir has this socket"
            }
            Self::NotAllowed { .. } => {
                "become a member of the group latchd-operator (or latchd for reading), or use sudo"
            }
            Self::Io { .. } => "check the directory `device.run_dir` of the configuration",
            Self::Interrupted => "`latchd events` shows what became of it",
            Self::BrokenAnswer => "see the journal of latchd.service; are command and daemon of one version?",
        }
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        let path = path.display().to_string();
        match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Self::NotRunning { path },
            std::io::ErrorKind::PermissionDenied => Self::NotAllowed { path },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reading_socket_only_reads() {
        assert!(Request::Status.only_reads());
        for request in [
            Request::Claim {
                product: "authentication".into(),
                user_id: "u".into(),
                wait: true,
                allow_new_enroll: false,
            },
            Request::PeopleList,
            Request::QueueDrop { job: "x".into() },
            Request::Acknowledge,
        ] {
            assert!(!request.only_reads(), "{}", request.name());
        }
    }

    #[test]
    fn an_unknown_field_or_question_is_refused() {
        for text in
            [r#"{"ask":"open-the-door"}"#, r#"{"ask":"queue-drop","job":"x","force":true}"#, "{}", "7"]
        {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Request>(r#"{"ask":"status"}"#).is_ok());
    }

    #[test]
    fn debug_output_shows_no_content() {
        let request = Request::PeopleImport { format: "csv".into(), text: "Amina".into() };
        assert!(!format!("{request:?}").contains("Amina"));
    }
}
