//! A stand-in for Smile ID v1, v2 and v3 over TLS, for the demo, the tests and people who integrate.
//!
//! It is strict about what it receives (token, signature, part names, counts, JPEG-ness, sizes) and plays what a
//! [`Scenario`] says: verdicts per user, delays, and faults on the wire, so that a client can be held against a bad
//! server. It judges names and scripts, never a face: nothing it says is about the pictures.
//!
//! One server is one thread with a runtime of its own. Everything it keeps is bounded: connections, headers, bodies,
//! idle time, jobs. `docs/sandbox.md` is the page for its users.

mod answer;
#[cfg(test)]
pub(crate) mod direct;
mod endpoint;
mod error;
mod exchange;
mod fault;
mod identities;
mod intake;
mod judge;
mod picture;
mod scenario;
mod scenario_file;
mod seal;
mod server;
mod service;
mod spoil;
mod tls;
mod v1;
mod v2;
mod v3;
mod world;

pub use endpoint::Endpoint;
pub use error::SandboxError;
pub use fault::{Fault, FaultKind, JobFate, RetryAfter};
pub use scenario::{Rule, Scenario, UnknownIdentity};
pub use server::{Running, Settings, start, start_with};
pub use world::{JobSeen, Protocol};
