//! A reference broker: gives devices of the operator's short-lived tokens, so that none of them holds the API key.
//!
//! One call, `POST /token`. A device shows its own bearer credential, of which only the SHA-256 is kept here, or a client
//! certificate; what it may ask for is bounded, and each request is one line of audit. Taking a device off the list
//! takes effect with its next request.

mod devices;
mod server;

pub use devices::{Device, Devices};
pub use server::{BrokerError, Running, Settings, start};
