//! The one way to the service: HTTP/1.1 over TLS, with a limit on everything that comes back.
//!
//! https only, no redirect is followed, no proxy of the environment is used, no request is sent twice. Answers
//! are read to their end, up to [`ANSWER_MAX`], so that the connection can be kept.

use super::body::{Body, BodyProgress};
use super::broker::Identity;
use super::classify::{Ended, Endpoint, Seen, classify};
use super::failure::{Failure, FailureKind, one_line, scrubbed};
use super::json;
use super::link::TlsConnector;
use super::resolver::CachingResolver;
use super::settings::{SmileError, Timeouts, Trust};
use crate::clock::{BootTime, Clock, Wall, WallTime};
use crate::config::model::Api;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use ureq::{Agent, SendBody};

/// Most bytes of an answer's body.
pub const ANSWER_MAX: u64 = 256 * 1024;
/// Most bytes of one of the service's lists.
const LIST_MAX: u64 = 4 * 1024 * 1024;
/// A kept connection older than this is not used: a server that closes it in the same moment would leave a
/// submission's fate open.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(5);
/// Further apart than this, the device's clock is taken for wrong.
pub(crate) const CLOCKS_APART: Duration = Duration::from_secs(60);
/// Bodies larger than this ask before they are sent, so that a refusal by size costs no upload.
const ASK_BEFORE: u64 = 1_000_000;
/// One full TLS record. Two at a time go out: measured a quarter less CPU per job than one, and no more than four.
const BUFFER: usize = 16 * 1024;

/// What brings a request to the service and its answer back: [`OverTls`] does. A simulation carries them in its own way.
pub(crate) trait Carrier: Send + Sync {
    /// Brings it there, once. `body` is `None` for a request that has none; an answer's body of more than `limit` bytes is
    /// not read.
    fn carry(
        &self,
        request: Request<()>,
        body: Option<&mut Body<'_, '_>>,
        limit: u64,
    ) -> Result<Response<Result<Vec<u8>, Unread>>, Lost>;
}

/// Why an answer has no body.
pub(crate) enum Unread {
    TooLarge,
    Broken(Lost),
}

/// HTTP/1.1 over TLS, with a pool of connections.
struct OverTls(Agent);

/// The way to the service, and what was learnt about the server's clock.
pub(crate) struct Transport {
    carrier: Box<dyn Carrier>,
    clock: Arc<dyn Clock>,
    used: AtomicU64,
    server_time: Mutex<Option<(BootTime, WallTime)>>,
}

/// A request without its body.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(&'static str, HeaderValue)>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) http: u16,
    /// The body as a JSON object, or why it is none.
    pub(crate) json: Result<Map<String, Value>, &'static str>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) date: Option<WallTime>,
}

/// No answer.
pub(crate) enum Lost {
    Certificate(String),
    Broken(String),
    Nonsense(&'static str),
}

/// A call as it went: how much was handed over, and what came back.
pub(crate) struct Exchange {
    pub(crate) endpoint: Endpoint,
    pub(crate) sent: BodyProgress,
    pub(crate) result: Result<Answer, Lost>,
}

impl Transport {
    /// A pool that trusts `trust` and shows `own` to a server that asks.
    pub(crate) fn new(
        trust: &Trust,
        timeouts: Timeouts,
        own: Option<Identity>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SmileError> {
        let config = Agent::config_builder()
            .https_only(true)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("latchd/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .input_buffer_size(BUFFER)
            .output_buffer_size(2 * BUFFER)
            .max_response_header_size(BUFFER)
            .max_idle_age(IDLE_MAX)
            .max_idle_connections(4)
            .max_idle_connections_per_host(2)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_send_request(Some(timeouts.send))
            .timeout_await_100(Some(Duration::from_millis(200)))
            .timeout_send_body(Some(timeouts.send))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_recv_body(Some(timeouts.answer))
            .build();
        let connector = TlsConnector { tls: Arc::new(tls(trust, own)?), clock: clock.clone() };
        let resolver = CachingResolver::new(clock.clone());
        let agent = Agent::with_parts(config, connector, resolver);
        Ok(Self::over(Box::new(OverTls(agent)), clock))
    }

    /// Over a carrier of one's own.
    pub(crate) fn over(carrier: Box<dyn Carrier>, clock: Arc<dyn Clock>) -> Self {
        Self { carrier, clock, used: AtomicU64::new(0), server_time: Mutex::new(None) }
    }

    /// Sends `call` with `body` and reads the answer. Never repeats anything.
    pub(crate) fn exchange(&self, call: Call<'_>, body: &mut Body<'_, '_>) -> Exchange {
        let endpoint = call.endpoint;
        let result = self.run(call, body);
        if result.is_ok() {
            self.used.store(self.clock.boot().as_micros(), Ordering::Relaxed);
        }
        Exchange { endpoint, sent: body.handed(), result }
    }

    fn run(&self, call: Call<'_>, body: &mut Body<'_, '_>) -> Result<Answer, Lost> {
        let mut request = Request::builder().method(&call.method).uri(call.url);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let bodiless = matches!(call.method, Method::GET | Method::HEAD);
        if !bodiless {
            request = request.header(header::CONTENT_LENGTH, body.length());
            if body.length() > ASK_BEFORE {
                request = request.header(header::EXPECT, "100-continue");
            }
        }
        let request = request.body(()).map_err(|_| Lost::Nonsense("the request cannot be formed"))?;
        // The lists of all countries are the only long answers.
        let limit = if call.endpoint == Endpoint::List { LIST_MAX } else { ANSWER_MAX };
        let response = self.carrier.carry(request, (!bodiless).then_some(body), limit)?;
        self.answer(response, limit)
    }

    fn answer(&self, response: Response<Result<Vec<u8>, Unread>>, limit: u64) -> Result<Answer, Lost> {
        let (head, body) = response.into_parts();
        let date = text_of(&head.headers, header::DATE).and_then(http_date);
        if let Some(date) = date {
            self.learn(date);
        }
        let now = date.or_else(|| self.clock.wall().known());
        let retry_after =
            text_of(&head.headers, header::RETRY_AFTER).and_then(|text| read_retry_after(text, now));
        let success = head.status.is_success();
        let too_large = if limit == LIST_MAX {
            "the list is larger than 4 MiB"
        } else {
            "the answer is larger than 256 KiB"
        };
        let json = match body {
            Ok(bytes) => json_object(&head.headers, &bytes, success),
            Err(Unread::TooLarge) => Err(too_large),
            // An error status has said enough; a success without its body has not.
            Err(Unread::Broken(lost)) if success => return Err(lost),
            Err(Unread::Broken(_)) => Err("the answer broke off"),
        };
        Ok(Answer { http: head.status.as_u16(), json, retry_after, date })
    }

    /// Notes the server's clock; the first time that it is far from the device's, that is said.
    fn learn(&self, date: WallTime) {
        let mut told = self.server_time.lock().unwrap_or_else(PoisonError::into_inner);
        let off = self.clock.wall().known().map(|own| apart(own, date)).filter(|off| *off > CLOCKS_APART);
        if let (Some(off), None) = (off, told.as_ref()) {
            log::warn!(
                seconds = off.as_secs(), remedy = "let the device reach a time server or set its clock";
                "the device's clock is not the service's: requests are signed with the service's time"
            );
        }
        *told = Some((self.clock.boot(), date));
    }

    /// Time since an answer last came; long when none ever did.
    pub(crate) fn idle(&self) -> Duration {
        match self.used.load(Ordering::Relaxed) {
            0 => Duration::MAX,
            used => self.clock.boot().since(BootTime::from_micros(used)),
        }
    }

    /// The server's clock as last told, moved on to now.
    pub(crate) fn server_time(&self) -> Option<WallTime> {
        let told = *self.server_time.lock().unwrap_or_else(PoisonError::into_inner);
        told.map(|(at, date)| {
            let since = i64::try_from(self.clock.boot().since(at).as_millis()).unwrap_or(i64::MAX);
            WallTime::from_unix_millis(date.as_unix_millis().saturating_add(since))
        })
    }

    /// The time that requests are signed with: the device's own, or the service's where the two are apart. It is the
    /// service's clock that judges a signature, and a board without a battery may start months late. A device that does
    /// not know the time at all stays without: it could not judge the certificate that the service's time came under.
    pub(crate) fn wall(&self) -> Wall {
        match (self.clock.wall(), self.server_time()) {
            (Wall::Known(own), Some(server)) if apart(own, server) > CLOCKS_APART => Wall::Known(server),
            (own, _) => own,
        }
    }
}

impl Carrier for OverTls {
    fn carry(
        &self,
        request: Request<()>,
        body: Option<&mut Body<'_, '_>>,
        limit: u64,
    ) -> Result<Response<Result<Vec<u8>, Unread>>, Lost> {
        let response = match body {
            None => self.0.run(request),
            Some(body) => self.0.run(request.map(|()| SendBody::from_reader(body))),
        };
        let (head, mut body) = response.map_err(|error| lost(&error))?.into_parts();
        let read = if body.content_length().unwrap_or(0) > limit {
            Err(Unread::TooLarge)
        } else {
            body.with_config().limit(limit).read_to_vec().map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(_) => Unread::TooLarge,
                error => Unread::Broken(lost(&error)),
            })
        };
        Ok(Response::from_parts(head, read))
    }
}

impl Exchange {
    /// v1 and v2: the service does not accept key, signature or time.
    pub(crate) fn refuses_the_signature(&self) -> bool {
        let Ok(Answer { http: 400..=499, json: Ok(object), .. }) = &self.result else { return false };
        let code = object.get("code").and_then(text_or_number);
        matches!(code.as_deref(), Some("2205" | "2405"))
    }

    /// The failure this exchange is, for an answer that is no success or says nonsense (`why`).
    pub(crate) fn failure(&self, api: Api, why: &str, secrets: &[&str]) -> Failure {
        let name = match self.endpoint {
            Endpoint::Token => "token",
            Endpoint::Entry => "submission",
            Endpoint::Status => "status",
            Endpoint::Upload => "upload",
            Endpoint::Put => "archive",
            Endpoint::JobStatus => "job_status",
            Endpoint::Number => "number check",
            Endpoint::List => "list",
            Endpoint::Replay => "replay",
        };
        let answer = match &self.result {
            Err(lost) => {
                let (ended, text) = match lost {
                    Lost::Certificate(text) => (Ended::CertificateRefused, text.as_str()),
                    Lost::Broken(text) => (Ended::Broken, text.as_str()),
                    Lost::Nonsense(text) => (Ended::Nonsense, *text),
                };
                let kind = classify(api, self.endpoint, self.sent, ended);
                return Failure::local(kind, format!("{name}: {text}"));
            }
            Ok(answer) => answer,
        };
        let none = Map::new();
        let object = answer.json.as_ref().unwrap_or(&none);
        let code = object.get("code").and_then(text_or_number);
        let told =
            object.get("message").or_else(|| object.get("error")).and_then(Value::as_str).unwrap_or("");
        let (ended, text) = if (200..300).contains(&answer.http) {
            (Ended::Nonsense, format!("{name}: answer {}: {why}", answer.http))
        } else {
            let seen = Seen {
                http: answer.http,
                code: code.as_deref(),
                message: told,
                job_id_null: object.get("job_id").is_some_and(Value::is_null),
                retry_after: answer.retry_after,
            };
            let coded = code.as_deref().map(|code| format!(" code {code}")).unwrap_or_default();
            (Ended::Answered(seen), format!("{name}: answer {}{coded} {told}", answer.http))
        };
        let kind = classify(api, self.endpoint, self.sent, ended);
        Failure {
            kind,
            text: scrubbed(&text, secrets),
            told: Some(scrubbed(told, secrets)).filter(|told| !told.is_empty()),
            http: Some(answer.http),
            code: code.map(|code| one_line(&code).chars().take(16).collect()),
            retry_after: answer.retry_after,
            server_date: answer.date,
        }
    }
}

/// How far two moments lie from each other.
pub(crate) fn apart(one: WallTime, other: WallTime) -> Duration {
    Duration::from_millis(one.as_unix_millis().abs_diff(other.as_unix_millis()))
}

/// TLS 1.2 and 1.3 with the certificates to trust; none at all is an error that names its remedy.
fn tls(trust: &Trust, own: Option<Identity>) -> Result<ClientConfig, SmileError> {
    let (place, found) = match trust {
        Trust::System => ("the system's store".to_owned(), rustls_native_certs::load_native_certs().certs),
        Trust::CaFile(file) => {
            let pem = std::fs::read(file)
                .map_err(|error| SmileError::CaFile { file: file.clone(), reason: error.to_string() })?;
            let found = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
            (file.display().to_string(), found)
        }
    };
    let mut store = RootCertStore::empty();
    let (usable, unusable) = store.add_parsable_certificates(found);
    if usable == 0 {
        return Err(SmileError::NoCertificates { place, unusable });
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SmileError::Tls(error.to_string()))?
        .with_root_certificates(store);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(own.chain, own.key)
            .map_err(|error| SmileError::Broker(format!("client certificate: {error}")))?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Why no answer came, in words that hold nothing of the request.
fn lost(error: &ureq::Error) -> Lost {
    match error {
        ureq::Error::Io(io) => {
            let tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    Lost::Certificate(tls.map(ToString::to_string).unwrap_or_default())
                }
                Some(other) => Lost::Broken(format!("TLS: {other}")),
                None => Lost::Broken(format!("connection: {}", io.kind())),
            }
        }
        ureq::Error::Rustls(rustls::Error::InvalidCertificate(why)) => Lost::Certificate(format!("{why:?}")),
        ureq::Error::Timeout(phase) => Lost::Broken(format!("timed out ({phase})")),
        ureq::Error::HostNotFound => Lost::Broken("host not found".to_owned()),
        ureq::Error::LargeResponseHeader(..) => Lost::Nonsense("the answer's head is too large"),
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => Lost::Nonsense("the answer is not HTTP"),
        _ => Lost::Broken("connection failed".to_owned()),
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The body as a JSON object. A success must say that it is JSON; an error's body is only read for its text.
fn json_object(headers: &HeaderMap, bytes: &[u8], success: bool) -> Result<Map<String, Value>, &'static str> {
    let kind = text_of(headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if success && !kind.eq_ignore_ascii_case("application/json") {
        return Err("the answer's content type is not application/json");
    }
    json::object(bytes).ok_or("the answer is not a whole JSON object, or says something twice")
}

fn http_date(text: &str) -> Option<WallTime> {
    let stamp = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(WallTime::from_unix_millis(stamp.as_millisecond()))
}

/// Retry-After in seconds or as a date, at most a day. A date in the past means now.
fn read_retry_after(text: &str, now: Option<WallTime>) -> Option<Duration> {
    const DAY: u64 = 24 * 3600;
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(DAY).min(DAY)));
    }
    let millis = http_date(text)?.as_unix_millis().saturating_sub(now?.as_unix_millis());
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0).min(DAY * 1000)))
}

/// A field that some answers carry as text and some as a number.
pub(crate) fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A header value that debug output of the HTTP library shows as `Sensitive`.
pub(crate) fn secret_header(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| Failure::local(FailureKind::Malformed, "a value cannot be sent as a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_as_seconds_as_a_date_and_as_nonsense() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(now.is_some());
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(24 * 3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:40:37 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:40:37 GMT", Some(24 * 3600)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(read_retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
        // A date means nothing to a device that does not know the time.
        assert_eq!(read_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", None), None);
    }

    #[test]
    fn secrets_do_not_show_in_the_debug_output_of_a_request() {
        let request =
            Request::builder().header("smileid-token", secret_header("t0ken").unwrap()).body(()).unwrap();
        assert!(!format!("{request:?}").contains("t0ken"));
    }
}
