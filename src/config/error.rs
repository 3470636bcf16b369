//! What can be wrong with a configuration: where it is, what was seen, and what to write instead.
//!
//! Every error names file, line, full dotted key and remedy on one line. A value is shown only when it cannot be
//! a secret: addresses and credential paths are described, never repeated.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where in the files something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: PathBuf,
    /// Line from 1; absent when the file says nothing near it.
    pub line: Option<usize>,
    /// Full dotted key; empty when the defect belongs to no key.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        Ok(())
    }
}

/// One defect and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}; {}", .problem.remedy())]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

impl ConfigError {
    /// What to do about it, without the place.
    pub fn remedy(&self) -> String {
        self.problem.remedy()
    }
}

/// All defects that one look at the files found, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// A list of one.
    pub fn one(place: Place, problem: Problem) -> Self {
        Self(vec![ConfigError { place, problem }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(&self.0, f)
    }
}

impl std::error::Error for ConfigErrors {}

pub(super) fn write_lines<T: fmt::Display>(items: &[T], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str("\n")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

/// What is wrong. Numbers are kept as text: they come from integers and floats alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is no TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key that does not exist.
    #[error("no such key")]
    UnknownKey {
        /// Full dotted key that is spelled nearly so.
        nearest: Option<String>,
        /// The keys that may stand here.
        allowed: Vec<String>,
    },
    /// A key without which the file means nothing.
    #[error("missing")]
    Missing {
        /// What its value looks like.
        wanted: String,
    },
    /// A value of another type.
    #[error("is {found}")]
    WrongType {
        /// What stands there.
        found: &'static str,
        /// What must stand there.
        wanted: String,
    },
    /// A word that the key does not know.
    #[error("{found:?} is no word of this key")]
    UnknownWord {
        /// The word as it stands, cut at 40 characters.
        found: String,
        /// The words that may stand there.
        allowed: Vec<String>,
        /// The word spelled nearly so.
        nearest: Option<String>,
    },
    /// A number beyond its range.
    #[error("{found} is {} than {}", if *.above { "more" } else { "less" }, if *.above { .max } else { .min })]
    OutOfRange {
        /// The number as it stands.
        found: String,
        /// Least that is accepted.
        min: String,
        /// Most that is accepted.
        max: String,
        /// Beyond the upper end.
        above: bool,
    },
    /// A text that is too short or too long.
    #[error("has {found} characters")]
    Length {
        /// Characters it has.
        found: usize,
        /// Least that is accepted.
        min: u64,
        /// Most that is accepted.
        max: u64,
    },
    /// A combination that the file's types cannot express.
    #[error("{0}")]
    Shape(String),
    /// The partner id is not what the portal shows.
    #[error("is empty or not digits")]
    PartnerId,
    /// An address that cannot be used.
    #[error("{0}")]
    Address(&'static str),
    /// A free field the service keeps for itself or would change on the way.
    #[error("{0}")]
    PartnerParam(&'static str),
    /// A broker's section that cannot work.
    #[error("{0}")]
    Broker(&'static str),
    /// A listener that cannot work.
    #[error("{0}")]
    Callbacks(&'static str),
    /// A credential whose path depends on where the daemon is started.
    #[error("must be an absolute path")]
    NotAbsolute,
    /// A credential that is not there or not readable.
    #[error("the credential `{name}` is missing: {why}")]
    MissingCredential {
        /// The systemd credential's name.
        name: &'static str,
        /// The operating system's words.
        why: String,
    },
    /// A file that is not there or not readable.
    #[error("{}: {why}", .file.display())]
    MissingFile {
        /// The file.
        file: PathBuf,
        /// The operating system's words.
        why: String,
    },
    /// A credential every user of the machine can read or change.
    #[error("{} is open to all users (mode {mode:04o})", .file.display())]
    OpenToAll {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A credential without content.
    #[error("{} is empty", .0.display())]
    EmptyFile(PathBuf),
    /// The file camera has no file.
    #[error("missing while camera.source is \"file\"")]
    NoCameraFile,
    /// One value must not be beyond another of the same file.
    #[error("{value} is more than {other_key} = {other}")]
    MoreThan {
        /// The value.
        value: u64,
        /// Full dotted key of the other.
        other_key: &'static str,
        /// The other's value.
        other: u64,
    },
    /// A burst cannot be taken in the time given to it.
    #[error("{give_up_ms} is less than a burst takes: {count} pictures {interval_ms} ms apart")]
    BurstTooLong {
        /// The time given.
        give_up_ms: u32,
        /// Pictures of a burst.
        count: u32,
        /// Milliseconds between two.
        interval_ms: u32,
    },
    /// The guard would refuse what this file asks (door-rules 1 and 5).
    #[error("{value} is more than {guard_key} = {limit} in {}", .guard_file.display())]
    BeyondGuard {
        /// What is asked.
        value: u32,
        /// The guard's key.
        guard_key: &'static str,
        /// The guard's value.
        limit: u32,
        /// The guard's file.
        guard_file: PathBuf,
    },
    /// A real line with a camera anybody can feed with files (door-rules 4).
    #[error("a file camera together with a real line (line.kind = \"gpio\" in {})", .0.display())]
    FileCameraOnRealLine(PathBuf),
    /// A real line with a service that judges names (door-rules 4).
    #[error("the service's sandbox judges names, not faces, and {} drives a real line (line.kind = \"gpio\")", .0.display())]
    SandboxOnRealLine(PathBuf),
}

impl Problem {
    /// What to write or do instead.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreadable(_) => "name a readable file of UTF-8 text".into(),
            Self::Syntax(_) => "mend this line: every line is `key = value`, `[table]` or `# comment`".into(),
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Self::UnknownKey { nearest: None, allowed } => {
                format!("remove it; the keys here are {}", allowed.join(", "))
            }
            Self::Missing { wanted } => format!("add it: {wanted}"),
            Self::WrongType { wanted, .. } => format!("write {wanted}"),
            Self::UnknownWord { nearest: Some(nearest), allowed, .. } => {
                format!("did you mean \"{nearest}\"? The words are {}", quoted(allowed))
            }
            Self::UnknownWord { nearest: None, allowed, .. } => format!("write one of {}", quoted(allowed)),
            Self::OutOfRange { min, max, .. } => format!("set {min} to {max}"),
            Self::Length { min, max, .. } => format!("write {min} to {max} characters"),
            Self::Shape(_) => "correct it; `latchd config reference` shows every key".into(),
            Self::PartnerId => "write the partner id as the portal shows it, in quotes: \"0042\"".into(),
            Self::Address(_) => "write https://HOST or https://HOST/PATH, without user, query or fragment".into(),
            Self::PartnerParam(_) => "rename the field or change its text: keys are 1 to 64 of A-Z a-z 0-9 _ - and \
                                      not job_id, user_id, job_type or sandbox_result; values are 1 to 256 characters"
                .into(),
            Self::Broker(_) => "give url and a credential_file, or client_cert_file and client_key_file; with api = \"v3\"".into(),
            Self::Callbacks(_) => "correct it, or remove [smile.callbacks]: the device asks for results by itself".into(),
            Self::NotAbsolute => "write the path of the file, from / on; never the secret itself".into(),
            Self::MissingCredential { name, .. } => {
                format!("put it there with mode 0600, or give the systemd credential {name} (LoadCredential={name}:PATH)")
            }
            Self::MissingFile { .. } => "put the file there, or correct the path".into(),
            Self::OpenToAll { file, .. } => format!("chmod 0600 {}", file.display()),
            Self::EmptyFile(_) => "write the secret into it, on one line".into(),
            Self::NoCameraFile => "name a picture, a directory of pictures or an MJPEG file".into(),
            Self::MoreThan { other_key, .. } => format!("lower it, or raise {other_key}"),
            Self::BurstTooLong { .. } => "raise it, or take fewer pictures or take them faster".into(),
            Self::BeyondGuard { limit, guard_key, guard_file, .. } => {
                format!("set {limit} or less, or raise {guard_key} in {}", guard_file.display())
            }
            Self::FileCameraOnRealLine(_) => "set camera.source = \"v4l2\", or give the guard a recording line".into(),
            Self::SandboxOnRealLine(_) => "set smile.environment = \"production\", or door.sandbox_unlock = \
                                           \"commissioning\" while the installer stands there"
                .into(),
        }
    }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// Something that is allowed and that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {caution}; {}", .caution.remedy())]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What.
    pub caution: Caution,
}

/// What an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    /// The service's sandbox may move a real line (door-rules 4).
    #[error("COMMISSIONING: the service's sandbox, which judges names and not faces, opens this door")]
    Commissioning,
    /// The switch is set and has no effect: somebody forgot it.
    #[error("has no effect while smile.environment is \"production\"")]
    CommissioningForgotten,
    /// The verdicts that move a real line come from another address than the service's own.
    #[error("the verdicts that open a real door come from another address than the service's own")]
    OtherJudge,
    /// A file or directory that the daemon will need, and that may come later.
    #[error("{} is not there", .0.display())]
    NotThere(PathBuf),
}

impl Caution {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Commissioning => "set \"never\" before the installer leaves",
            Self::CommissioningForgotten => "set \"never\"",
            Self::OtherJudge => "make sure that it is a gateway of this site and not a stand-in",
            Self::NotThere(_) => "make it before the daemon starts, or correct the path",
        }
    }
}

/// All that an operator should know, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings(pub Vec<Warning>);

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(&self.0, f)
    }
}

/// Why a file could not be used, in the operating system's words without the number.
pub(super) fn os_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

impl Place {
    /// The file as a whole.
    pub fn file(file: &Path) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new() }
    }
}
