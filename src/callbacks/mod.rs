//! The service's callbacks, for a device or a site's gateway that can be reached from outside.
//!
//! A callback decides nothing: its body is not signed, and one that was overheard can be sent again with another. It only
//! says that it is worth asking for a job's state now; what the job ends as is read over this device's own connection.

mod judge;
#[cfg(feature = "web")]
mod server;

pub use judge::{Heard, Notice, Refused, Seen, judge};
#[cfg(feature = "web")]
pub use server::{CallbackError, Settings, serve};
