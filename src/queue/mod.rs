//! Jobs that survive: one row is one capture, on the disk before anything is sent.
//!
//! [`states`] and [`policy`] are pure: which state may follow which, and what to do after each kind of answer.
//! The rest puts that into rows, in the caller's transaction. Pictures and details are sealed with a
//! random key per job that the device key wraps; the key goes in the commit that makes the pictures needless
//! (door-rules, queue 8 and 10). Nothing here knows the guard: a queued job cannot unlock (door-rules 2).

mod age;
mod due;
mod erase;
mod error;
mod jobs;
mod limits;
mod load;
mod operator;
pub mod policy;
mod restore;
mod rewrap;
mod row;
mod set;
pub mod states;
mod stats;

pub use age::age_in_state;
pub use due::{
    Pause, Pending, apply, back_off, hurry, next_due, next_wake, pause, paused, pending_lookups,
    pending_polls, postpone, probe_later, resume,
};
pub use erase::{Forgotten, forget_person};
pub use error::QueueError;
pub use jobs::{
    Born, Info, NewJob, PART, Recovered, adopt, begin, by_remote, enqueue, find, has_clock_held, info,
    recover_at_start, release_clock_held, resolve_unknown, transition,
};
pub use limits::{FreeSpace, Full, INODES_MIN, Swept, SweptWhat, file_limit, prune, room, sweep};
pub use load::{Job, Kept, Sealed, load, part, sealed, whole};
pub use operator::{Export, Filter, Shown, TimedState, drop, export, list, retry, show};
pub use restore::{Past, readable_ids, restore};
pub use rewrap::rewrap;
pub use set::{Incoming, Private, Public, SetReader, SetWriter, take_in};
pub use states::{Api, Decided, HeldReason, Move, State, StateName};
pub use stats::{Depth, Stats, Totals, stats, totals};
