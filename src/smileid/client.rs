//! The client the agent holds: one connection pool, one token, shared by its threads.

use super::body::Body;
use super::broker::BrokerLink;
use super::check::{CheckAccepted, CheckHandle, CheckSubmission};
use super::classify::Endpoint;
use super::failure::{Failure, FailureKind};
use super::settings::{Settings, SmileError};
use super::signature;
use super::submission::{Accepted, Handle, LookUp, Progress, Status, Submission};
use super::token::TokenCache;
use super::transport::{Call, Exchange, Transport};
use super::wire::{Asked, Taken, Told, Way, Wire, way};
use crate::access::Finding;
use crate::clock::{Clock, Random, WallTime};
use crate::config::model::Api;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderValue, Method};

/// Speaks to the service. `Send + Sync`; makes no thread and installs nothing global.
pub struct Client {
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    pub(crate) broker: Option<BrokerLink>,
    pub(crate) tokens: TokenCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    source: [(&'static str, HeaderValue); 2],
}

/// A connection used less than this ago is warm enough: a submission will find it open.
const WARM_ENOUGH: Duration = Duration::from_secs(3);

impl Client {
    /// Reads the certificates to trust. No connection is made yet.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SmileError> {
        let transport = Transport::new(&settings.trust, settings.timeouts, None, clock.clone())?;
        Self::with(settings, transport, clock, random)
    }

    /// Over a transport of one's own.
    pub(crate) fn with(
        settings: Settings,
        transport: Transport,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SmileError> {
        let broker = settings.broker.as_ref();
        let broker = broker.map(|broker| BrokerLink::new(broker, &settings, clock.clone())).transpose()?;
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("rest_api"));
        let source = [
            ("smileid-source-sdk", value(&settings.source_sdk)),
            ("smileid-source-sdk-version", value(&settings.source_sdk_version)),
        ];
        Ok(Self { settings, transport, broker, tokens: TokenCache::default(), clock, random, source })
    }

    /// The protocol this client speaks.
    pub fn api(&self) -> Api {
        self.settings.api
    }

    /// Makes what the next submission needs while the person still looks into the camera: a token (v3) and a
    /// connection that stays open. Costs nothing when both are there.
    pub fn warm(&self) -> Result<(), Failure> {
        if self.api() == Api::V3 {
            self.v3_token()?;
        }
        if self.transport.idle() < WARM_ENOUGH {
            return Ok(());
        }
        let url = format!("{}/", self.settings.base);
        let call = Call { endpoint: Endpoint::Status, method: Method::HEAD, url: &url, headers: Vec::new() };
        let exchange = self.transport.exchange(call, &mut Body::new(Vec::new()));
        // Any answer will do: the connection is what was wanted.
        match exchange.result {
            Ok(_) => Ok(()),
            Err(_) => Err(exchange.failure(self.api(), "", &[])),
        }
    }

    /// A new token of the service, for a device that holds no API key.
    ///
    /// # Errors
    /// The service gave none.
    pub fn new_token(&self) -> Result<SecretString, Failure> {
        self.v3_fetch_token().map(|token| SecretString::from(token.expose()))
    }

    /// Submits one job of the door, once. `progress` is told when the pictures begin to leave and when the last byte has
    /// left.
    ///
    /// # Errors
    /// The kind says whether the service may have the job; see [`FailureKind`].
    pub fn submit(
        &self,
        submission: &Submission<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Accepted, Failure> {
        submission.check()?;
        let Taken { remote_job, told } = self.send(&submission.wire(), progress)?;
        let (product, user_id) = (submission.product, submission.user_id.clone());
        let report = told.map(|told| told.report(product));
        Ok(Accepted { handle: Handle { product, user_id, remote_job }, report })
    }

    /// Submits one check, once; as [`Client::submit`].
    ///
    /// # Errors
    /// The kind says whether the service may have the job; see [`FailureKind`].
    pub fn submit_check(
        &self,
        submission: &CheckSubmission<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<CheckAccepted, Failure> {
        let wire = submission.wire();
        let check = submission.check();
        let Taken { remote_job, told } = self.send(&wire, progress)?;
        let finding = told.map(|told| told.finding(check));
        Ok(CheckAccepted {
            handle: CheckHandle { check, user_id: wire.user_id.clone(), remote_job },
            finding,
        })
    }

    fn send(&self, wire: &Wire<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Taken, Failure> {
        match way(wire.task, self.api())? {
            Way::V3(path) => self.v3_submit(path, wire, progress),
            Way::V2(path) => self.v2_submit(path, wire, progress),
            Way::Archive => self.v1_submit(wire, progress),
            Way::Number(path) => self.number_submit(path, wire, progress),
        }
    }

    /// Asks for the state of a job of the door.
    pub fn status(&self, handle: &Handle) -> Result<Status, Failure> {
        let told = self.ask(handle.asked())?;
        Ok(told.map(|told| told.report(handle.product)))
    }

    /// Asks for the state of a check.
    pub fn check_status(&self, handle: &CheckHandle) -> Result<Status<Finding>, Failure> {
        let told = self.ask(handle.asked())?;
        Ok(told.map(|told| told.finding(handle.check)))
    }

    fn ask(&self, asked: Asked<'_>) -> Result<Status<Told>, Failure> {
        match way(asked.task, self.api())? {
            Way::V3(_) => self.v3_status(asked),
            Way::Archive | Way::Number("v1/id_verification") => self.v1_status(asked),
            // The submission's answer was the verdict; there is no call that tells it again.
            Way::V2(_) | Way::Number(_) => Ok(Status::NotFound),
        }
    }

    /// Has the service send a finished v3 job's callback once more.
    ///
    /// # Errors
    /// It does not know the job, or the job is not finished.
    pub fn replay(&self, remote_job: &str) -> Result<(), Failure> {
        match self.api() {
            Api::V3 => self.v3_replay(remote_job),
            Api::V1 | Api::V2 => {
                Err(Failure::local(FailureKind::Configuration, "only v3 sends callbacks again"))
            }
        }
    }

    /// What became of a job whose submission got no clear answer. v1 only: v2 and v3 know no job by our own id.
    pub fn look_up(&self, handle: &Handle) -> Result<LookUp, Failure> {
        let told = self.look(handle.asked())?;
        Ok(told.map(|told| told.report(handle.product)))
    }

    /// As [`Client::look_up`], for a check.
    pub fn check_look_up(&self, handle: &CheckHandle) -> Result<LookUp<Finding>, Failure> {
        let told = self.look(handle.asked())?;
        Ok(told.map(|told| told.finding(handle.check)))
    }

    fn look(&self, asked: Asked<'_>) -> Result<LookUp<Told>, Failure> {
        match way(asked.task, self.api())? {
            Way::Archive | Way::Number("v1/id_verification") => self.v1_look_up(asked),
            Way::V2(_) | Way::V3(_) | Way::Number(_) => Err(Failure::local(
                FailureKind::Configuration,
                "v2 and v3 have no call that finds a job by our own id; only a callback or a person can tell",
            )),
        }
    }

    /// Whether the signature of a callback is one that only the service and the holder of the API key can make, over this
    /// very time stamp. The partner id is taken with and without its leading zeros: which of them it is, is not published.
    pub fn is_genuine(&self, timestamp: &str, signature: &str) -> bool {
        let by = |partner: &str| signature::verify(&self.settings.api_key, timestamp, partner, signature);
        self.broker.is_none() && (by(&self.settings.partner_id) | by(self.settings.unpadded_partner_id()))
    }

    /// The server's clock by its last answer's Date header, moved on to now. For a device that does not know the time.
    pub fn server_time(&self) -> Option<WallTime> {
        self.transport.server_time()
    }

    pub(crate) fn source_headers(&self) -> [(&'static str, HeaderValue); 2] {
        self.source.clone()
    }

    /// Words that must not be in any text about a job.
    pub(crate) fn secrets<'a>(&'a self, wire: &'a Wire<'_>) -> Vec<&'a str> {
        let mut words = vec![self.settings.api_key.expose_secret()];
        words.extend(wire.private_words());
        words
    }

    /// The object of a successful answer; everything else is the failure it means.
    pub(crate) fn success<'e>(
        &self,
        api: Api,
        exchange: &'e Exchange,
        secrets: &[&str],
    ) -> Result<&'e Map<String, Value>, Failure> {
        Self::object_of(api, exchange, secrets)
    }

    /// As [`Client::success`], of any exchange.
    pub(crate) fn object_of<'e>(
        api: Api,
        exchange: &'e Exchange,
        secrets: &[&str],
    ) -> Result<&'e Map<String, Value>, Failure> {
        match &exchange.result {
            Ok(answer) if (200..300).contains(&answer.http) => {
                answer.json.as_ref().map_err(|why| exchange.failure(api, why, secrets))
            }
            _ => Err(exchange.failure(api, "", secrets)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}
