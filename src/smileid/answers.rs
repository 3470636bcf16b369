//! A client whose answers are handed to it: all of it but the network. For tests/fuzz, which plays a service that has lost
//! its wits.

use super::body::Body;
use super::client::Client;
use super::settings::{Settings, SmileError};
use super::transport::{Carrier, Lost, Transport, Unread};
use crate::clock::{Clock, Random};
use std::io;
use std::sync::Arc;
use ureq::http::{Request, Response};

/// One answer as it would come over the network.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// HTTP status.
    pub http: u16,
    /// Names and values of its head.
    pub head: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Answers a request by its path.
pub type Answers = Box<dyn Fn(&str) -> Said + Send + Sync>;

struct Handed(Answers);

impl Carrier for Handed {
    fn carry(
        &self,
        request: Request<()>,
        body: Option<&mut Body<'_, '_>>,
        limit: u64,
    ) -> Result<Response<Result<Vec<u8>, Unread>>, Lost> {
        if let Some(body) = body {
            let length = body.length();
            let read = io::copy(&mut io::Read::take(body, length), &mut io::sink());
            read.map_err(|error| Lost::Broken(error.kind().to_string()))?;
        }
        let said = (self.0)(request.uri().path());
        let too_large = u64::try_from(said.body.len()).unwrap_or(u64::MAX) > limit;
        let mut response = Response::builder().status(said.http);
        for (name, value) in said.head {
            response = response.header(name, value);
        }
        let read = if too_large { Err(Unread::TooLarge) } else { Ok(said.body) };
        response.body(read).map_err(|_| Lost::Nonsense("the answer is not HTTP"))
    }
}

/// A client that is answered so.
///
/// # Errors
/// As [`Client::new`].
pub fn client(
    settings: Settings,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    answers: Answers,
) -> Result<Client, SmileError> {
    Client::with(settings, Transport::over(Box::new(Handed(answers)), clock.clone()), clock, random)
}
