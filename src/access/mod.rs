//! PURE. The words of the trade and every rule over them. No I/O, no clock, no threads: time comes in as a value.

pub mod admit;
pub mod check;
pub mod decide;
pub mod lockout;
pub mod machine;
pub mod outcome;
pub mod words;

pub use admit::{Claim, NotAdmitted, Readiness, Standing, WhoMayOpen};
pub use check::{Check, Finding, PictureKind, Task};
pub use decide::{Decision, Expected, decide};
pub use lockout::LockoutRule;
pub use machine::{Command, Event, Machine, Note, Rules, SubmitFailure};
pub use outcome::Outcome;
pub use words::{AttemptId, JobId, Product, Report, UserId, Verdict, sortable_id};
