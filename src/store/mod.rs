//! The one SQLite file that everything durable lives in.
//!
//! Opening checks before it changes anything: a newer schema or a read-only place is refused untouched, a
//! damaged file is set aside together with its WAL and a fresh one starts (never silently: see [`Opening`]).
//! WAL with `synchronous=FULL`: a transaction that returned is on the disk (door-rules, queue 1).
//!
//! There is one connection behind a mutex and no writer thread: SQLite has one writer anyway, a caller that
//! must know that its row is durable has to wait for it in either design, and without threads the simulation
//! can drive this room step by step. The name of SQLite's VFS, the clock and the randomness come from outside.
//! With a VFS of one's own the files are that VFS's business: then no lock file is made, no mode is set and a
//! damaged database is an error instead of being set aside.

mod aside;
mod belongs;
mod error;
mod files;
mod open;
mod rotate;
mod schema;
pub mod seal;
mod stamp;
mod transaction;
mod wiped;
pub mod x25519;

pub use belongs::{check_key, note_key};
pub use error::StoreError;
pub use open::{Mode, Opening, Settings, Store, clear_replaced};
pub use rotate::{install_key, matching_key, prepare_key};
pub use seal::{AuditKey, DeviceKey, PeopleKey, QueueKey};
pub use stamp::{Pseudonym, Stamp};
pub use transaction::Transaction;
pub use wiped::Wiped;

/// A damaged file up to this size is found at start as a whole; in a larger one the small tables are checked.
pub use open::WHOLE_CHECK_BYTES;

/// A database for one test, gone with its directory.
#[cfg(test)]
pub(crate) fn scratch(clock: std::sync::Arc<dyn crate::clock::Clock>) -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let random = std::sync::Arc::new(crate::clock::SystemRandom);
    let path = dir.path().join("latchd.db");
    let settings = Settings { path, vfs: None, clock, random, mode: Mode::ReadWrite, max_bytes: 1 << 30 };
    (Store::open(settings).unwrap().0, dir)
}
