//! Why a sandbox did not start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The scenario file cannot be read.
    #[error("cannot read the scenario file {path}: {source}", path = path.display())]
    ScenarioUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The scenario does not mean anything.
    #[error("scenario, line {line}: {what}")]
    Scenario {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The partner id or the API key cannot be one.
    #[error("{what} is not usable: {why}")]
    Credential {
        /// Which of them.
        what: &'static str,
        /// The reason, without the value.
        why: &'static str,
    },
    /// A certificate or key file cannot be made or read.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    TlsFile {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The files are there but do not belong together or cannot be understood.
    #[error("the certificate authority in {dir} is not usable: {why}", dir = dir.display())]
    Authority {
        /// `--tls-dir`
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// A name for the certificate is no host name or address.
    #[error("cannot make a server certificate for {name:?}: {why}")]
    Name {
        /// The name given.
        name: String,
        /// What the certificate maker said.
        why: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address given.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// No thread or no runtime.
    #[error("cannot start the server's thread: {0}")]
    Thread(std::io::Error),
}

impl SandboxError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ScenarioUnreadable { .. } => {
                "give the path of a readable scenario file (docs/sandbox.md shows one)"
            }
            Self::Scenario { .. } => "correct that line; docs/sandbox.md lists every key",
            Self::Credential { .. } => {
                "give any digits as partner id and any printable text as key, the same as the client has"
            }
            Self::TlsFile { .. } => "give a directory that this user may create and write",
            Self::Authority { .. } => {
                "remove ca.pem and ca.key there; a new pair is made, which clients must trust anew"
            }
            Self::Name { .. } => "give host names or IP addresses only",
            Self::Listen { .. } => "stop what uses that port, or take port 0 for a free one",
            Self::Thread(_) => "free memory or threads on this machine",
        }
    }
}
