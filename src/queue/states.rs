//! PURE. The states of a job and which may follow which. One table, total: what it does not name is refused.

use crate::access::Verdict;

/// The protocol a job was made for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Api {
    /// REST v1: the job's id is ours, so an unknown outcome can be looked up.
    V1,
    /// REST v2: the answer is the verdict; a lost answer cannot be found again.
    V2,
    /// REST v3: the id comes with the answer; a lost answer cannot be found again.
    V3,
}

/// Where a job stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Waits to be submitted.
    New,
    /// Is being submitted.
    Sending,
    /// The service has it, under this id.
    Accepted {
        /// The service's id of the job (v3), or our own (v1).
        remote: String,
    },
    /// The service answered for good.
    Decided(Decided),
    /// Waits for something else than time.
    Held(HeldReason),
    /// Sent, and no answer came: the service may have it.
    UnknownOutcome,
    /// Will not be tried again by itself.
    DeadLetter {
        /// Why, in words for an operator.
        reason: String,
        /// The service's own sentence, if it refused it: one line, nothing of the person in it.
        answer: Option<String>,
    },
    /// Was not submitted within its time-to-live.
    Expired,
    /// An operator gave it up.
    Dropped {
        /// Who: a uid or a name of the control socket's peer.
        by: String,
    },
}

/// The service's answer, as the row keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// What the service decided.
    pub verdict: Verdict,
    /// Its raw status word or result code.
    pub code: String,
    /// Its text for people.
    pub text: String,
}

/// What a held job waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HeldReason {
    /// The time is not known, and submissions are signed with it.
    Clock,
    /// The service reviews it.
    Provisional,
    /// The service wants something from the operator.
    Attention,
}

/// A step from one state to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// Begins to submit it.
    Send,
    /// The service surely does not have it: back to waiting.
    NotSent,
    /// The service has it.
    Accept {
        /// Under this id.
        remote: String,
    },
    /// The answer was lost, or the process ended while sending.
    LoseAnswer,
    /// A look-up showed that the service does not have it.
    ProvedUntaken {
        /// It knows the job's id already and waits for the pictures (v1, code 2314).
        reserved: bool,
    },
    /// Submits it a second time although the service may have it; counted.
    Resubmit,
    /// The service answered for good.
    Decide(Decided),
    /// Waits for something else than time.
    Hold(HeldReason),
    /// What it was held for is over.
    Release,
    /// Gives it up, with the reason.
    DeadLetter {
        /// Why, in words for an operator.
        reason: String,
        /// The service's own sentence, if it refused it.
        answer: Option<String>,
    },
    /// Its time-to-live is over.
    Expire,
    /// An operator wants it tried again.
    Retry,
    /// An operator gives it up.
    Drop {
        /// Who.
        by: String,
    },
}

/// [`State`] without what it carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the words of State")]
pub enum StateName {
    New,
    Sending,
    Accepted,
    Decided,
    Held,
    UnknownOutcome,
    DeadLetter,
    Expired,
    Dropped,
}

impl StateName {
    /// Each of them.
    pub const ALL: [Self; 9] = [
        Self::New,
        Self::Sending,
        Self::Accepted,
        Self::Decided,
        Self::Held,
        Self::UnknownOutcome,
        Self::DeadLetter,
        Self::Expired,
        Self::Dropped,
    ];

    /// Those of jobs that are not at an end.
    pub const UNFINISHED: [Self; 5] =
        [Self::New, Self::Sending, Self::Accepted, Self::Held, Self::UnknownOutcome];

    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Decided => "decided",
            Self::Held => "held",
            Self::UnknownOutcome => "unknown_outcome",
            Self::DeadLetter => "dead_letter",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }

    /// The reverse of [`StateName::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl State {
    /// Which one it is.
    pub fn name(&self) -> StateName {
        match self {
            Self::New => StateName::New,
            Self::Sending => StateName::Sending,
            Self::Accepted { .. } => StateName::Accepted,
            Self::Decided(_) => StateName::Decided,
            Self::Held(_) => StateName::Held,
            Self::UnknownOutcome => StateName::UnknownOutcome,
            Self::DeadLetter { .. } => StateName::DeadLetter,
            Self::Expired => StateName::Expired,
            Self::Dropped { .. } => StateName::Dropped,
        }
    }
}

impl HeldReason {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Clock, Self::Provisional, Self::Attention];

    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Provisional => "provisional",
            Self::Attention => "attention",
        }
    }

    /// The reverse of [`HeldReason::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl Api {
    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// The reverse of [`Api::name`].
    pub fn parse(name: &str) -> Option<Self> {
        [Self::V1, Self::V2, Self::V3].into_iter().find(|api| api.name() == name)
    }
}

impl From<crate::config::model::Api> for Api {
    fn from(configured: crate::config::model::Api) -> Self {
        match configured {
            crate::config::model::Api::V1 => Self::V1,
            crate::config::model::Api::V2 => Self::V2,
            crate::config::model::Api::V3 => Self::V3,
        }
    }
}

impl Move {
    /// The stable name in errors and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::NotSent => "not_sent",
            Self::Accept { .. } => "accept",
            Self::LoseAnswer => "lose_answer",
            Self::ProvedUntaken { .. } => "proved_untaken",
            Self::Resubmit => "resubmit",
            Self::Decide(_) => "decide",
            Self::Hold(_) => "hold",
            Self::Release => "release",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Expire => "expire",
            Self::Retry => "retry",
            Self::Drop { .. } => "drop",
        }
    }

    /// Whether the job needs its pictures afterwards and must still have them.
    pub fn needs_images(&self) -> bool {
        matches!(self, Self::Send | Self::NotSent | Self::ProvedUntaken { .. } | Self::Resubmit | Self::Retry)
    }

    /// Whether the pictures are needless from this move on (door-rules, queue 6 and 10).
    pub fn erases_images(&self, api: Api) -> bool {
        match self {
            Self::Accept { .. } => api != Api::V1,
            Self::Send => planted!(ErasedWhenSent),
            Self::Hold(reason) => *reason != HeldReason::Clock,
            Self::Decide(_) | Self::Expire | Self::Drop { .. } => true,
            _ => false,
        }
    }
}

/// The state that `step` leads to, or `None` when it may not be taken from `from`.
///
/// `remote` is the service's id of the job if the row has one: a job that the service holds goes back to
/// accepted, and only such a job can.
pub fn next(from: &State, step: &Move, remote: Option<&str>) -> Option<State> {
    use StateName as N;
    let accepted = || remote.map(|remote| State::Accepted { remote: remote.to_owned() });
    match (from.name(), step) {
        (N::New, Move::Send) => Some(State::Sending),
        (N::Sending, Move::NotSent) => Some(State::New),
        (N::Sending | N::UnknownOutcome, Move::Accept { remote }) => {
            Some(State::Accepted { remote: remote.clone() })
        }
        (N::Sending, Move::LoseAnswer) => Some(State::UnknownOutcome),
        (N::UnknownOutcome, Move::ProvedUntaken { .. }) => Some(State::New),
        (N::Sending | N::UnknownOutcome, Move::Resubmit) => Some(State::New),
        (N::Accepted | N::UnknownOutcome, Move::Decide(decided)) => Some(State::Decided(decided.clone())),
        (N::New | N::Sending, Move::Hold(HeldReason::Clock)) => Some(State::Held(HeldReason::Clock)),
        (N::Accepted, Move::Hold(reason)) if *reason != HeldReason::Clock => Some(State::Held(*reason)),
        (N::Held, _) => next_of_held(from, step, accepted),
        (N::New | N::Sending | N::Accepted | N::UnknownOutcome, Move::DeadLetter { reason, answer }) => {
            Some(State::DeadLetter { reason: reason.clone(), answer: answer.clone() })
        }
        (N::New, Move::Expire) => Some(State::Expired),
        (N::UnknownOutcome | N::DeadLetter, Move::Retry) => Some(State::New),
        (N::New | N::Accepted | N::UnknownOutcome | N::DeadLetter, Move::Drop { by }) => {
            Some(State::Dropped { by: by.clone() })
        }
        _ => None,
    }
}

fn next_of_held(from: &State, step: &Move, accepted: impl Fn() -> Option<State>) -> Option<State> {
    let on_clock = *from == State::Held(HeldReason::Clock);
    match step {
        Move::Release if on_clock => Some(State::New),
        Move::Release => accepted(),
        Move::Decide(decided) if !on_clock => Some(State::Decided(decided.clone())),
        Move::Hold(reason) if !on_clock && *reason != HeldReason::Clock => Some(State::Held(*reason)),
        Move::Expire if on_clock => Some(State::Expired),
        Move::DeadLetter { reason, answer } => {
            Some(State::DeadLetter { reason: reason.clone(), answer: answer.clone() })
        }
        Move::Drop { by } => Some(State::Dropped { by: by.clone() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
