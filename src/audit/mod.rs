//! What happened at the door, in rows that are added, never changed, and that chain to each other.
//!
//! Each row carries an HMAC over its content and the row before it, under a key derived from the device key:
//! a changed, removed or reordered row breaks the chain, and a head noted elsewhere shows a cut tail. A row holds
//! no user id and no name, only a pseudonym whose meaning can be erased while the chain stays whole.
//! An unlock is an intent before the edge and a result after it (door-rules 9). Events that had their time go from the oldest
//! on, and a signed anchor stays in their place (`prune.rs`).

mod chain;
mod intents;
mod prune;
mod rotate;

pub use chain::{Breach, Event, Stored, Verification, append, head, latest, list, verify};
pub use intents::{OpenIntent, Unlock, interrupt_open, open_intents, unlock_done, unlock_intent};
pub use prune::{Anchor, Pruned, Rule, Why, anchor, prune, today};
pub use rotate::rotate;

use crate::store::StoreError;

/// An error of the events' table.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A result for an unlock that has no open intent.
    #[error("attempt {0} has no open unlock intent")]
    NoIntent(crate::access::AttemptId),
    /// A second intent of one attempt.
    #[error("attempt {0} has an unlock intent already")]
    SecondIntent(crate::access::AttemptId),
    /// Events that had their time are not as they were written: they stay, for they are evidence.
    #[error("events that had their time stay: at event {at} the chain is broken ({})", breach.text())]
    NotWhole {
        /// Where.
        at: i64,
        /// How.
        breach: Breach,
    },
}

impl AuditError {
    /// What an operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Store(error) => error.remedy(),
            Self::NoIntent(_) | Self::SecondIntent(_) => "report this as a defect, with the attempt's events",
            Self::NotWhole { .. } => "keep a copy of the database and look at `latchd events --verify`",
        }
    }
}
