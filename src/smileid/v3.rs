//! REST v3: token, one multipart call that makes the job, status.

use super::body::{Body, Piece};
use super::classify::Endpoint;
use super::client::Client;
use super::failure::{Failure, FailureKind, one_line};
use super::multipart::Form;
use super::settings::geo_params;
use super::submission::{Enrolment, Progress, Status};
use super::token::Token;
use super::transport::{Answer, Call, Exchange, secret_header};
use super::verdict;
use super::wire::{Asked, Taken, Told, Wire};
use crate::access::{Check, PictureKind, Product, Task};
use crate::config::model::Api;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use ureq::http::{HeaderValue, Method};

/// File names of the liveness parts. All have the same part name, as the service wants it.
const LIVENESS: [&str; 8] = [
    "liveness_0.jpg",
    "liveness_1.jpg",
    "liveness_2.jpg",
    "liveness_3.jpg",
    "liveness_4.jpg",
    "liveness_5.jpg",
    "liveness_6.jpg",
    "liveness_7.jpg",
];

impl Client {
    /// A token, kept or new.
    pub(crate) fn v3_token(&self) -> Result<Token, Failure> {
        self.tokens.token(|| self.clock.boot(), || self.v3_fetch_token())
    }

    pub(crate) fn v3_fetch_token(&self) -> Result<Token, Failure> {
        if let Some(broker) = &self.broker {
            return broker.token();
        }
        let key = self.settings.api_key.expose_secret();
        let partner = HeaderValue::from_str(self.settings.unpadded_partner_id())
            .map_err(|_| Failure::local(FailureKind::Configuration, "the partner id cannot be sent"))?;
        let mut headers = vec![("smileid-partner-id", partner), ("smileid-api-key", secret_header(key)?)];
        headers.extend(self.source_headers());
        let url = format!("{}/v3/token", self.settings.base);
        let call = Call { endpoint: Endpoint::Token, method: Method::POST, url: &url, headers };
        let exchange = self.transport.exchange(call, &mut Body::new(Vec::new()));
        let object = self.success(Api::V3, &exchange, &[key])?;
        let token = object.get("token").and_then(Value::as_str).and_then(Token::parse);
        token.ok_or_else(|| exchange.failure(Api::V3, "no usable token", &[key]))
    }

    /// Runs `call` with a token; a refused one is renewed and the call repeated, once.
    fn v3_with_token(
        &self,
        mut renewing: impl FnMut(),
        mut call: impl FnMut(HeaderValue) -> Exchange,
    ) -> Result<Exchange, Failure> {
        let token = self.v3_token()?;
        let first = call(secret_header(token.expose())?);
        if !matches!(&first.result, Ok(Answer { http: 401, .. })) {
            return Ok(first);
        }
        self.tokens.forget(&token);
        renewing();
        let token = self.v3_token()?;
        let second = call(secret_header(token.expose())?);
        if matches!(&second.result, Ok(Answer { http: 401, .. })) {
            self.tokens.forget(&token);
        }
        Ok(second)
    }

    pub(crate) fn v3_submit(
        &self,
        path: &str,
        wire: &Wire<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Taken, Failure> {
        let (user_header, partner_header) = (user_header(wire), self.partner_header(wire));
        let url = format!("{}/v3/{path}", self.settings.base);
        let progress = std::cell::RefCell::new(progress);
        let exchange = self
            .v3_with_token(
                || (progress.borrow_mut())(Progress::Renewing),
                |token| {
                    let (content_type, pieces) = self.v3_form(wire);
                    let mut headers = vec![("smileid-token", token)];
                    headers
                        .extend(HeaderValue::from_str(&content_type).ok().map(|kind| ("content-type", kind)));
                    headers.extend(user_header.clone().map(|user| ("user-id", user)));
                    headers.extend(partner_header.clone().map(|partner| ("smileid-partner-id", partner)));
                    headers.extend(self.source_headers());
                    let call = Call { endpoint: Endpoint::Entry, method: Method::POST, url: &url, headers };
                    let mut tell = |step| (progress.borrow_mut())(step);
                    let mut body = Body::new(pieces).reporting(&mut tell);
                    self.transport.exchange(call, &mut body)
                },
            )
            // A failure here is one of the token: the job itself was not sent, or was refused with 401.
            .map_err(Failure::before_entry)?;
        let secrets = self.secrets(wire);
        let object = self.success(Api::V3, &exchange, &secrets)?;
        accepted(object, wire).map_err(|why| exchange.failure(Api::V3, why, &secrets))
    }

    /// Earlier descriptions of the interface required it on these calls; the present one does not.
    fn partner_header(&self, wire: &Wire<'_>) -> Option<HeaderValue> {
        let wanted = matches!(
            wire.task,
            Task::Check(
                Check::BiometricKyc | Check::DocumentVerification | Check::EnhancedDocumentVerification
            )
        );
        wanted.then(|| HeaderValue::from_str(self.settings.unpadded_partner_id()).ok()).flatten()
    }

    fn v3_form<'a>(&self, wire: &Wire<'a>) -> (String, Vec<Piece<'a>>) {
        let mut form = Form::new(&*self.random);
        if wire.names_user {
            form.text("user_id", wire.user_id.as_str());
        }
        if let Some(url) = &self.settings.callback_url {
            form.text("callback_url", url);
        }
        if wire.task.enrols() || wire.comparison.is_some() && wire.names_user {
            form.text("allow_new_enroll", truth(wire.enrolment == Enrolment::Replace));
        }
        if wire.use_enrolled_image {
            form.text("use_enrolled_image", "true");
        }
        if let Some(result) = wire.sandbox_result {
            form.text("sandbox_result", &result.to_string());
        }
        if let Task::Check(check) = wire.task {
            v3_fields(&mut form, check, wire);
        }
        let consent = wire.consent;
        form.json(
            "consent",
            &json!({
                "granted": true,
                "granted_at": consent.granted_at.to_rfc3339(),
                "notice_language": consent.language.to_ascii_uppercase(),
                "notice_privacy_policy_url": consent.policy_url,
            }),
        );
        let details = wire.details;
        let mut person = json!({ "given_names": details.given_names, "last_name": details.last_name });
        for (name, value) in [("email", &details.email), ("phone_number", &details.phone)] {
            if let (Some(object), Some(value)) = (person.as_object_mut(), value) {
                object.insert(name.to_owned(), json!(value));
            }
        }
        form.json("user_details", &person);
        form.json("partner_params", &json!(with_our_job(wire)));
        if !wire.metadata.is_empty() {
            form.json("metadata", &metadata(wire));
        }
        pictures(&mut form, wire);
        form.finish()
    }

    pub(crate) fn v3_replay(&self, remote_job: &str) -> Result<(), Failure> {
        if !is_job_id(remote_job) {
            return Err(Failure::local(FailureKind::Malformed, "the job id is none of the service's"));
        }
        let url = format!("{}/v3/replay/{remote_job}", self.settings.base);
        let exchange = self.v3_with_token(
            || {},
            |token| {
                let mut headers = vec![("smileid-token", token)];
                headers.extend(self.source_headers());
                let call = Call { endpoint: Endpoint::Replay, method: Method::POST, url: &url, headers };
                self.transport.exchange(call, &mut Body::new(Vec::new()))
            },
        )?;
        self.success(Api::V3, &exchange, &[self.settings.api_key.expose_secret()]).map(drop)
    }

    pub(crate) fn v3_status(&self, asked: Asked<'_>) -> Result<Status<Told>, Failure> {
        if !is_job_id(asked.remote_job) {
            return Err(Failure::local(FailureKind::Malformed, "the stored job id is none of the service's"));
        }
        let url = format!("{}/v3/status/{}", self.settings.base, asked.remote_job);
        let exchange = self.v3_with_token(
            || {},
            |token| {
                let mut headers = vec![("smileid-token", token)];
                headers.extend(self.source_headers());
                let call = Call { endpoint: Endpoint::Status, method: Method::GET, url: &url, headers };
                self.transport.exchange(call, &mut Body::new(Vec::new()))
            },
        )?;
        let secrets = [self.settings.api_key.expose_secret(), asked.user_id.as_str()];
        if let Ok(Answer { http: 404, json: Ok(object), .. }) = &exchange.result
            && object.get("status").and_then(Value::as_str).is_some_and(|word| word == "not_found")
        {
            return Ok(Status::NotFound);
        }
        let object = self.success(Api::V3, &exchange, &secrets)?;
        let http = exchange.result.as_ref().map_or(0, |answer| answer.http);
        read_status(http, object).map_err(|why| exchange.failure(Api::V3, why, &secrets))
    }
}

/// The newest description of the interface takes the user id as a part, those before it took this header and would make
/// up an id without it. Both say the same here, so either is content.
fn user_header(wire: &Wire<'_>) -> Option<HeaderValue> {
    let by_part_only = matches!(
        wire.task,
        Task::Door(Product::Authentication) | Task::Check(Check::Authentication | Check::Compare)
    );
    (!by_part_only).then(|| HeaderValue::from_str(wire.user_id.as_str()).ok()).flatten()
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The fields that only some checks have.
fn v3_fields(form: &mut Form<'_>, check: Check, wire: &Wire<'_>) {
    if let Some(word) = wire.comparison {
        form.text("comparison_image_type", word);
    }
    let Some(info) = wire.id_info else { return };
    let numbered = matches!(check, Check::BiometricKyc | Check::EnhancedKyc);
    let document = matches!(check, Check::DocumentVerification | Check::EnhancedDocumentVerification);
    let banked = check == Check::EnhancedKyc;
    for (field, value, wanted) in [
        ("country", &info.country, numbered || document),
        ("id_type", &info.id_type, numbered || document),
        ("id_number", &info.id_number, numbered),
        ("bank_code", &info.bank_code, banked),
        ("operator", &info.operator, banked),
    ] {
        if let Some(value) = value.as_deref().filter(|_| wanted) {
            form.text(field, value);
        }
    }
}

/// The partner's parameters with the position and our own job id, which comes back in the callback only.
fn with_our_job(wire: &Wire<'_>) -> BTreeMap<String, String> {
    let mut params = wire.partner_params.clone();
    params.extend(wire.geo.map(geo_params).into_iter().flatten());
    params.insert("job_id".to_owned(), wire.job.to_string());
    params
}

pub(super) fn metadata(wire: &Wire<'_>) -> Value {
    wire.metadata.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

pub(super) fn pictures<'a>(form: &mut Form<'a>, wire: &Wire<'a>) {
    if let Some(selfie) = wire.selfie {
        form.picture("selfie_image", "selfie.jpg", selfie);
    }
    for (file, picture) in LIVENESS.into_iter().zip(wire.liveness) {
        form.picture("liveness_images", file, *picture);
    }
    for (kind, picture) in wire.others {
        let (part, jpg, png) = match kind {
            PictureKind::DocumentFront => ("document", "document.jpg", "document.png"),
            PictureKind::DocumentBack => ("document_back", "document_back.jpg", "document_back.png"),
            PictureKind::Comparison => ("comparison_image", "comparison.jpg", "comparison.png"),
            // Sent above.
            PictureKind::Selfie | PictureKind::Liveness => continue,
        };
        form.picture(part, if picture.is_png() { png } else { jpg }, *picture);
    }
}

/// A job id that can stand in an address as it is.
pub(super) fn is_job_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn accepted(object: &Map<String, Value>, wire: &Wire<'_>) -> Result<Taken, &'static str> {
    let field = |name: &str| object.get(name).and_then(Value::as_str);
    if !field("status").is_some_and(|word| word.eq_ignore_ascii_case("accepted")) {
        return Err("the status is not `accepted`");
    }
    let job = field("job_id").filter(|job| is_job_id(job)).ok_or("no usable job id")?;
    if wire.names_user && field("user_id") != Some(wire.user_id.as_str()) {
        return Err("it names another user");
    }
    Ok(Taken { remote_job: job.to_owned(), told: None })
}

/// The state that a status answer tells. Whose job it is, the caller compares.
pub(crate) fn read_status(http: u16, object: &Map<String, Value>) -> Result<Status<Told>, &'static str> {
    let field = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
    let word = field("status").ok_or("no status")?;
    let job = field("job_id").filter(|job| is_job_id(job)).ok_or("no job id")?;
    let user = field("user_id").filter(|user| !user.is_empty()).ok_or("no user id")?;
    match (http, word) {
        (200 | 202, "processing") => return Ok(Status::Pending),
        (200, _) => {}
        // A job that runs has no verdict yet, whatever the word says.
        _ => return Err("status and HTTP status contradict each other"),
    }
    Ok(Status::Final(Told {
        verdict: verdict::of_status_word(word),
        user_id: user.to_owned(),
        remote_job: job.to_owned(),
        code: one_line(word).chars().take(32).collect(),
        text: one_line(field("message").unwrap_or_default()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Verdict;
    use proptest::prelude::*;

    fn read(http: u16, bytes: &[u8]) -> Option<Status<Told>> {
        let object = super::super::json::object(bytes)?;
        read_status(http, &object).ok()
    }

    fn approves(state: &Option<Status<Told>>) -> bool {
        matches!(state, Some(Status::Final(report)) if report.verdict == Verdict::Approved)
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_approve(http in 100_u16..600, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!approves(&read(http, &bytes)));
        }

        /// Objects that nearly are an approval: only the exact form is one.
        #[test]
        fn only_the_exact_form_approves(
            http in prop::sample::select(vec![200_u16, 201, 202, 204, 404, 500]),
            status in prop::sample::select(vec![
                "\"clear\"", "\"Clear\"", "\"clear \"", "null", "true", "[\"clear\"]", "{\"clear\":1}",
                "\"processing\"", "\"block\"",
            ]),
            job in prop::sample::select(vec!["\"job_1\"", "\"\"", "null", "1", "\"../x\""]),
            user in prop::sample::select(vec!["\"u\"", "\"\"", "null", "7"]),
            without in 0_usize..8,
        ) {
            let fields = [("status", status), ("job_id", job), ("user_id", user)];
            let kept = fields.iter().enumerate().filter(|(index, _)| *index != without);
            let text = kept.map(|(_, (name, value))| format!("\"{name}\":{value}")).collect::<Vec<_>>().join(",");
            let exact = http == 200 && status == "\"clear\"" && job == "\"job_1\"" && user == "\"u\"" && without > 2;
            prop_assert_eq!(approves(&read(http, format!("{{{text}}}").as_bytes())), exact);
        }
    }
}
