//! What a sandbox plays: per user or for all, and the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::error::SandboxError;
use super::fault::Fault;
use super::scenario_file;

/// The whole play. [`Scenario::default`] is a service in good health that knows nobody yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// For users without a rule of their own.
    pub default: Rule,
    /// Rules by user id.
    pub users: BTreeMap<String, Rule>,
    /// User ids that are enrolled from the start.
    pub enrolled: BTreeSet<String>,
    /// What v3 answers about a person who is no published test identity.
    pub unknown_identity: UnknownIdentity,
    /// Life of a v3 token, seconds. The service gives 900.
    pub token_seconds: u32,
    /// Whether a v3 job without `callback_url` is refused, as when the portal has no default.
    pub callback_required: bool,
    /// How far a v1 timestamp may lie from this machine's time, seconds; `None`: any time is taken.
    pub clock_skew_seconds: Option<u32>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            default: Rule::default(),
            users: BTreeMap::new(),
            enrolled: BTreeSet::new(),
            unknown_identity: UnknownIdentity::Refuse,
            token_seconds: 900,
            callback_required: false,
            clock_skew_seconds: None,
            faults: Vec::new(),
        }
    }
}

/// How the jobs of one user go. What is left out is decided by the job itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rule {
    /// The v3 status word at the end. Any text, so that unknown words can be played.
    pub verdict: Option<String>,
    /// The v1 `ResultCode` at the end. Any text.
    pub result_code: Option<String>,
    /// The v1 `ResultText`.
    pub result_text: Option<String>,
    /// From the job's receipt (v1: of its zip) to its decision.
    pub decide_after: Duration,
    /// How long each answer to a call about this user is held back.
    pub answer_after: Duration,
}

/// What v3 answers about a person who is no published test identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownIdentity {
    /// HTTP 400.
    Refuse,
    /// The job is taken and ends as `block`.
    Block,
}

impl Scenario {
    /// Reads the TOML text of a scenario file.
    ///
    /// # Errors
    /// [`SandboxError::Scenario`] with the line, for an unknown key, a wrong type or a rule that means nothing.
    pub fn parse(text: &str) -> Result<Self, SandboxError> {
        scenario_file::parse(text)
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// As [`Scenario::parse`], and [`SandboxError::ScenarioUnreadable`].
    pub fn load(path: &Path) -> Result<Self, SandboxError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SandboxError::ScenarioUnreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// The rule for a user.
    pub(super) fn rule(&self, user_id: &str) -> &Rule {
        self.users.get(user_id).unwrap_or(&self.default)
    }
}
