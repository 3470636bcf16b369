//! The service's protocols, v1, v2 and v3, over one transport.
//!
//! This room turns a [`Submission`] into requests and answers into an [`access::Report`](crate::access::Report).
//! It decides nothing about doors or queues: it tells exactly what a failure means ([`FailureKind`]) and what the
//! service said ([`Status`]). What is sent where is in `docs/protocol.md`; the rules it keeps are door-rules 4, 13
//! and 16 and promise 4 of the queue.
//!
//! It makes no thread (a name look-up past its cache excepted), reads no clock but the one it is given, never
//! follows a redirect, never sends a request twice but for one renewal of a refused token, and holds a picture
//! nowhere: bodies are read from where the pictures lie, piece by piece.
//!
//! - [`client`]: what the agent calls. [`submission`]: the words it calls with. [`settings`]: checked settings.
//! - [`check`], [`fields`]: checks that are about no door, and what each field must look like. `wire`: what both kinds of
//!   job come to.
//! - `v3`, `v2`, `v1`: the protocols. [`codes`]: their words and codes as one table. [`verdict`]: the verdict of each. [`classify`]: what a failure means.
//! - `broker`: tokens without an API key.
//! - `transport`, `link`, `resolver`, `json`, `token`, `body`, `multipart`, `archive`, `signature`: the parts they are made of.
//! - [`services`]: the service's lists of what it can be asked about.
//! - [`pace`]: when to look at a job again (pure). [`result`]: a result for people and programs. [`bench`]: the client measured alone.
//!   `answers`: the client without the network, for tests/fuzz.

#[doc(hidden)]
pub mod answers;
mod archive;
pub mod bench;
pub mod body;
mod broker;
pub mod check;
pub mod classify;
pub mod client;
pub mod codes;
pub mod failure;
pub mod fields;
mod json;
mod link;
mod multipart;
pub mod pace;
pub mod picture;
mod resolver;
pub mod result;
pub mod services;
pub mod settings;
mod signature;
pub mod submission;
mod token;
pub(crate) mod transport;
mod v1;
mod v2;
mod v3;
pub mod verdict;
mod wire;

pub use body::BodyProgress;
pub use check::{
    CheckAccepted, CheckForm, CheckHandle, CheckPictures, CheckSubmission, Comparison, ConsentForm, Device,
};
pub use client::Client;
pub use failure::{Failure, FailureKind, Reject};
pub use fields::BadField;
pub use pace::pause;
pub use picture::{Kept, Picture};
pub use result::ResultLine;
pub use services::Lists;
pub use settings::{Settings, SmileError, Timeouts, Trust};
pub use submission::{
    Accepted, Consent, Details, Enrolment, Handle, IdInfo, Images, LookUp, Progress, Repeat, Status,
    Submission,
};
