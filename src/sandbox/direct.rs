//! The stand-in without a wire: a request goes in as a value and its answer comes out, at once. For the simulation, which
//! has a network of its own.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hyper::Request;
use hyper::body::Bytes;
use secrecy::SecretString;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::exchange::{Call, http_date};
use super::scenario::Scenario;
use super::service::Service;
use super::world::{JobSeen, World};
use crate::clock::{Clock, Random};

/// A service that is asked directly.
pub(crate) struct Direct(Service);

/// What it says.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Direct {
    pub(crate) fn new(
        base_url: &str,
        (partner_id, api_key): (&str, &str),
        scenario: Scenario,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self(Service {
            partner_id: partner_id.to_owned(),
            api_key: SecretString::from(api_key),
            base_url: base_url.to_owned(),
            clock,
            random,
            verbose: false,
            world: Mutex::new(World::new(scenario)),
        })
    }

    /// Answers one whole request.
    pub(crate) fn answer(&self, request: Request<Vec<u8>>) -> Said {
        let (parts, body) = request.into_parts();
        let answer = match Endpoint::of(&parts.method, parts.uri.path()) {
            None => Answer::refusal(404, "Resource not found."),
            Some((endpoint, rest)) => at_once(async {
                let call = Call::read(endpoint, &parts, Bytes::from(body)).await;
                call.answer(&self.0, &parts, rest).await
            }),
        };
        let answer = answer.with("date", http_date(self.0.wall().as_unix_millis()));
        let (kind, body) = answer.content.into_parts();
        let mut headers = answer.headers;
        headers.push(("content-type", kind));
        Said { status: answer.status, headers, body: body.to_vec() }
    }

    /// Changes what is played.
    pub(crate) fn play(&self, change: impl FnOnce(&mut Scenario)) {
        change(&mut self.0.world().scenario);
    }

    /// The jobs it was given, oldest first, each with when it is decided.
    pub(crate) fn jobs(&self) -> Vec<(JobSeen, Option<crate::clock::BootTime>)> {
        self.0.world().jobs().map(|job| (job.seen.clone(), job.decided_at)).collect()
    }
}

/// Runs what has nothing to wait for: the whole body is there.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a request whose body is there has nothing to wait for"),
    }
}
