//! The lock. A process of its own (`latchd-guard`) holds the line that moves the strike; the agent talks to it
//! over a Unix seqpacket socket and can at most ask.
//!
//! - [`protocol`] and [`codec`]: the words of the two and their 64-byte frames.
//! - [`machine`]: PURE. Arm, grant, pulse, heartbeat (door-rules 1, 3, 5).
//! - [`line`], [`gpio`], [`recording`]: the line itself; requested with its locked value in one call (door-rules 6, 7).
//! - [`chips`], [`watch`]: which lines there are; the edges of an input.
//! - [`server`], [`supervisor`], [`warden`], [`journal`], [`test_pulse`]: the guard's process.
//! - [`link`], [`relock`]: the agent's side. [`relock`] can only ever request the locked value.
//!
//! Nothing here knows the network, the database or a secret. Times are CLOCK_BOOTTIME.

pub mod chips;
pub mod codec;
pub mod effective;
mod error;
pub mod gpio;
pub mod journal;
pub mod line;
pub mod link;
pub mod machine;
pub mod protocol;
pub mod recording;
pub mod relock;
pub mod server;
pub mod socket;
pub mod supervisor;
pub mod test_pulse;
pub mod users;
pub mod warden;
pub mod watch;

pub use effective::{Effective, LineKind};
pub use error::GuardError;
pub use link::{DownCause, Link, LinkReport, Relock};
pub use protocol::{DisarmCause, Hello, LineState, LockCause, Refusal, Report, Request};
