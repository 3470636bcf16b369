//! One request and its answer: which call it is, what goes wrong with it, what is said.

use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Content, Cut, Form, Stream};
use super::endpoint::Endpoint;
use super::fault::{Fault, FaultKind, RetryAfter, Stage, Step};
use super::intake::{self, FORM_BYTES_MAX, JSON_BYTES_MAX, Unread, ZIP_BYTES_MAX};
use super::service::Service;
use super::spoil;
use super::world::Key;
use super::{v1, v2, v3};
use crate::access::Check;

/// How long an answer that never comes is not given, before the connection ends.
const SILENCE: Duration = Duration::from_secs(600);

/// Answers one request; [`Cut`] ends the connection.
pub(super) async fn exchange(
    service: Arc<Service>,
    request: Request<Incoming>,
) -> Result<Response<Stream>, Cut> {
    let (parts, body) = request.into_parts();
    let Some((endpoint, rest)) = Endpoint::of(&parts.method, parts.uri.path()) else {
        intake::throw_away(body);
        let methods = Endpoint::methods(parts.uri.path()).join(", ");
        let answer = if methods.is_empty() {
            Answer::refusal(404, "Resource not found.")
        } else {
            Answer::refusal(405, "Method not allowed.").with("allow", methods)
        };
        return Ok(finish(&service, answer, Form::Whole));
    };
    let mut fault = arrived(&service, endpoint, rest);
    if let Some(fault) = fault.take_if(|fault| fault.kind.stage() == Stage::Head) {
        tokio::time::sleep(fault.delay).await;
        return Err(Cut);
    }
    let body = match intake::read(body, bytes_max(endpoint)).await {
        Ok(body) => body,
        Err(Unread::Broken) => return Err(Cut),
        Err(Unread::TooLarge) => {
            return Ok(finish(&service, too_large(endpoint).with("connection", "close"), Form::Whole));
        }
    };
    let call = Call::read(endpoint, &parts, body).await;
    let user = call.user(&parts).map(str::to_owned);
    if let Some(user) = user.as_deref().filter(|_| endpoint.names_its_user_in_the_body()) {
        let met = meet(&service, endpoint, Step::UserKnown(user));
        fault = fault.or(met);
    }
    if let Some(fault) = fault.take_if(|fault| fault.kind.stage() == Stage::Body) {
        tokio::time::sleep(fault.delay).await;
        return instead(&service, &fault.kind).map(|answer| finish(&service, answer, Form::Whole));
    }
    let answer = call.answer(&service, &parts, rest).await;
    let user = user.or_else(|| known_user(&service, endpoint, rest));
    service.note_refusal(endpoint, user.as_deref(), &answer);
    if let Some(user) = user {
        let wait = service.world().scenario.rule(&user).answer_after;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
    match fault {
        None => Ok(finish(&service, answer, Form::Whole)),
        Some(fault) => spoilt(&service, answer, fault).await,
    }
}

/// Counts the call and finds the fault it meets, as far as its head tells.
fn arrived(service: &Service, endpoint: Endpoint, rest: &str) -> Option<Fault> {
    let user = known_user(service, endpoint, rest);
    *service.world().calls.entry(endpoint).or_default() += 1;
    let met = meet(service, endpoint, Step::Arrived);
    let of_user = user.and_then(|user| meet(service, endpoint, Step::UserKnown(&user)));
    met.or(of_user)
}

fn meet(service: &Service, endpoint: Endpoint, step: Step<'_>) -> Option<Fault> {
    let mut world = service.world();
    let world = &mut *world;
    world.counters.meet(&world.scenario.faults, endpoint, step)
}

/// Whom a call is about whose path names a job.
fn known_user(service: &Service, endpoint: Endpoint, rest: &str) -> Option<String> {
    let key = match endpoint {
        Endpoint::V3Status | Endpoint::V3Replay => Key::V3(rest.to_owned()),
        Endpoint::V1Put => Key::Object(rest.trim_end_matches(".zip").to_owned()),
        _ => return None,
    };
    service.world().find(&key).map(|job| job.seen.user_id.clone())
}

const fn bytes_max(endpoint: Endpoint) -> u64 {
    match endpoint {
        Endpoint::V1Put => ZIP_BYTES_MAX,
        entry if entry.entry().is_some() => FORM_BYTES_MAX,
        _ => JSON_BYTES_MAX,
    }
}

fn too_large(endpoint: Endpoint) -> Answer {
    match endpoint {
        Endpoint::V1Put => Answer::storage(
            400,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
        ),
        _ => Answer::gateway(413),
    }
}

/// A request whose body was read.
pub(super) enum Call {
    Token(Bytes),
    V3Entry(Check, Result<Box<v3::Form>, Answer>),
    V2Entry(Check, Result<Box<v3::Form>, Answer>),
    Status,
    Replay,
    Services,
    Upload(Value),
    Put(Bytes),
    JobStatus(Value),
    Number(Check, Value),
}

impl Call {
    pub(super) async fn read(endpoint: Endpoint, parts: &Parts, body: Bytes) -> Self {
        let Some(check) = endpoint.entry() else { return Self::read_plain(endpoint, body) };
        let form = v3::read_form(check, &parts.headers, body).await.map(Box::new);
        match endpoint {
            Endpoint::V2Enroll | Endpoint::V2Authentication => Self::V2Entry(check, form),
            _ => Self::V3Entry(check, form),
        }
    }

    fn read_plain(endpoint: Endpoint, body: Bytes) -> Self {
        // What is no JSON is no object either, and refused as such.
        let json = |body: Bytes| serde_json::from_slice(&body).unwrap_or(Value::Null);
        match endpoint {
            Endpoint::V1Upload => Self::Upload(json(body)),
            Endpoint::V1JobStatus => Self::JobStatus(json(body)),
            Endpoint::V1IdVerification => Self::Number(Check::EnhancedKyc, json(body)),
            Endpoint::V2Verify => Self::Number(Check::BasicKyc, json(body)),
            Endpoint::V1Put => Self::Put(body),
            Endpoint::V3Token => Self::Token(body),
            Endpoint::V3Services => Self::Services,
            Endpoint::V3Replay => Self::Replay,
            _ => Self::Status,
        }
    }

    /// Whom the body says that the call is about.
    fn user<'a>(&'a self, parts: &'a Parts) -> Option<&'a str> {
        match self {
            Self::V3Entry(_, form) | Self::V2Entry(_, form) => form
                .as_ref()
                .ok()
                .and_then(|form| form.user_id.as_deref())
                .or_else(|| parts.headers.get("user-id").and_then(|value| value.to_str().ok())),
            Self::Upload(body) | Self::Number(_, body) => v1::user_of_upload(body),
            Self::JobStatus(body) => v1::user_of_status(body),
            Self::Token(_) | Self::Status | Self::Replay | Self::Services | Self::Put(_) => None,
        }
    }

    /// The service's answer. The token is looked at before anything else.
    pub(super) async fn answer(self, service: &Service, parts: &Parts, rest: &str) -> Answer {
        match self {
            Self::Token(body) => v3::issue(service, &parts.headers, body).await,
            Self::V3Entry(check, form) => match (v3::check_token(service, &parts.headers), form) {
                (Err(answer), _) | (Ok(_), Err(answer)) => answer,
                (Ok(claims), Ok(form)) => v3::submit(service, check, &parts.headers, &claims, &form),
            },
            Self::V2Entry(check, form) => match (v2::authorize(service, &parts.headers), form) {
                (Err(answer), _) | (Ok(()), Err(answer)) => answer,
                (Ok(()), Ok(form)) => v2::submit(service, check, &form),
            },
            Self::Replay => match v3::check_token(service, &parts.headers) {
                Ok(_) => v3::replay(service, rest),
                Err(answer) => answer,
            },
            Self::Services => v3::services(rest, parts.uri.query().unwrap_or_default()),
            Self::Number(check, body) => v1::number(service, check, &body),
            Self::Status => match v3::check_token(service, &parts.headers) {
                Ok(_) => v3::status(service, rest),
                Err(answer) => answer,
            },
            Self::Upload(body) => v1::upload(service, &body),
            Self::Put(body) => {
                v1::put(service, rest, parts.uri.query().unwrap_or_default(), &parts.headers, &body)
            }
            Self::JobStatus(body) => v1::job_status(service, &body),
        }
    }
}

/// What is said instead of the service's answer.
fn instead(service: &Service, kind: &FaultKind) -> Result<Answer, Cut> {
    match kind {
        FaultKind::Redirect { status, location } => {
            Ok(Answer::refusal(*status, "Moved.").with("location", location.as_str()))
        }
        FaultKind::Status { status, retry_after, body, content_type, gateway, .. } => {
            let mut answer = match (body, gateway) {
                (Some(text), _) => Answer {
                    status: *status,
                    headers: Vec::new(),
                    content: Content::Text {
                        content_type: content_type.clone().unwrap_or_else(|| "application/json".into()),
                        text: text.clone(),
                    },
                },
                (None, true) => Answer::gateway(*status),
                (None, false) => Answer::refusal(*status, "This answer was scripted."),
            };
            match retry_after {
                None => {}
                Some(RetryAfter::Text(text)) => answer = answer.with("retry-after", text.as_str()),
                Some(RetryAfter::DateIn(span)) => {
                    let millis = i64::try_from(span.as_millis()).unwrap_or(0);
                    let at = service.wall().as_unix_millis().saturating_add(millis);
                    answer = answer.with("retry-after", http_date(at));
                }
            }
            Ok(answer)
        }
        _ => Err(Cut),
    }
}

/// Plays a fault on an answer that is ready.
async fn spoilt(service: &Service, mut answer: Answer, fault: Fault) -> Result<Response<Stream>, Cut> {
    tokio::time::sleep(fault.delay).await;
    let form = match fault.kind {
        FaultKind::HalfAnswer => Form::Half,
        FaultKind::TruncatedJson => Form::Truncated,
        FaultKind::Drip { gap } => Form::Drip { gap },
        FaultKind::HugeBody { bytes } => Form::Huge { bytes },
        FaultKind::Late => Form::Whole,
        FaultKind::Silence => {
            tokio::time::sleep(SILENCE).await;
            return Err(Cut);
        }
        kind @ FaultKind::Status { .. } => {
            answer = instead(service, &kind)?;
            Form::Whole
        }
        FaultKind::WrongContentType { content_type } => {
            answer.content = spoil::retyped(answer.content, content_type);
            Form::Whole
        }
        FaultKind::Edit { set, remove } => {
            spoil::edit(&mut answer, set, &remove);
            Form::Whole
        }
        FaultKind::OtherJob => {
            spoil::other_job(&mut answer, &service.type_id("job"));
            Form::Whole
        }
        FaultKind::OtherUser => {
            spoil::other_user(&mut answer, "somebody-else");
            Form::Whole
        }
        FaultKind::DropBeforeBody
        | FaultKind::DropAfterBody
        | FaultKind::DropAnswer
        | FaultKind::Redirect { .. } => {
            return Err(Cut);
        }
    };
    Ok(finish(service, answer, form))
}

fn finish(service: &Service, answer: Answer, form: Form) -> Response<Stream> {
    answer.with("date", http_date(service.wall().as_unix_millis())).into_response(form)
}

/// Unix milliseconds as HTTP writes dates.
pub(super) fn http_date(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .and_then(|at| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_are_as_http_writes_them() {
        assert_eq!(http_date(1_767_323_045_000), "Fri, 02 Jan 2026 03:04:05 GMT");
    }
}
