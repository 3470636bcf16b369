//! The people whom this door knows, what they consented to, and who is locked out.
//!
//! All of it is rows; names and contact are sealed under the device key and appear in no list, no `Debug` and
//! no error. Whether a denial leads to a lock-out is decided elsewhere: here it is only made to last over
//! restarts (door-rules 13, 15, 16). Each function works in the caller's transaction.

mod error;
mod import;
mod lockout;
mod model;
mod rows;

pub use error::PeopleError;
use import::COLUMNS;
pub use import::{ImportFormat, parse as parse_import, parse_one};
pub use lockout::{
    Subject, clear_denials, denials_since, lift, locked_out_readers, lockout, record_denial,
    recover_at_start, set_lockout, take_over,
};
pub use model::{Consent, Contact, ContactChange, NewPerson, PersonChange};
pub use rows::{
    Added, Imported, Listed, OnExisting, Person, Standing, add, by_pseudonym, change, erase, import, list,
    pseudonym, readable_ids, remove, reseal, show, standing,
};
