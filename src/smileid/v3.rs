//! REST v3: token, one multipart call that makes the job, status.

use super::body::Body;
use super::classify::Endpoint;
use super::client::Client;
use super::failure::{Failure, FailureKind, one_line};
use super::multipart::Form;
use super::settings::geo_params;
use super::submission::{Accepted, Enrolment, Handle, Progress, Status, Submission};
use super::token::Token;
use super::transport::{Answer, Call, Exchange, secret_header};
use super::verdict;
use crate::access::{Product, Report};
use crate::config::model::Api;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
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

    fn v3_fetch_token(&self) -> Result<Token, Failure> {
        let key = self.settings.api_key.expose_secret();
        let partner = HeaderValue::from_str(self.settings.unpadded_partner_id())
            .map_err(|_| Failure::local(FailureKind::Configuration, "the partner id cannot be sent"))?;
        let mut headers = vec![("smileid-partner-id", partner), ("smileid-api-key", secret_header(key)?)];
        headers.extend(self.source_headers());
        let url = format!("{}/v3/token", self.settings.base);
        let call = Call { endpoint: Endpoint::Token, method: Method::POST, url: &url, headers };
        let exchange = self.transport.exchange(call, &mut Body::new(Vec::new()));
        let object = self.success(&exchange, &[key])?;
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
        submission: &Submission<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Accepted, Failure> {
        let (path, user_header) = match submission.product {
            Product::Authentication => ("authentication", None),
            // The newest description of the interface takes the user id of a registration as a part, those before
            // it took this header and would make up an id without it. Both say the same here, so either is content.
            Product::Registration => {
                ("registration", HeaderValue::from_str(submission.user_id.as_str()).ok())
            }
        };
        let url = format!("{}/v3/{path}", self.settings.base);
        let progress = std::cell::RefCell::new(progress);
        let exchange = self
            .v3_with_token(
                || (progress.borrow_mut())(Progress::Renewing),
                |token| {
                    let (content_type, pieces) = self.v3_form(submission);
                    let mut headers = vec![("smileid-token", token)];
                    headers
                        .extend(HeaderValue::from_str(&content_type).ok().map(|kind| ("content-type", kind)));
                    headers.extend(user_header.clone().map(|user| ("user-id", user)));
                    headers.extend(self.source_headers());
                    let call = Call { endpoint: Endpoint::Entry, method: Method::POST, url: &url, headers };
                    let mut tell = |step| (progress.borrow_mut())(step);
                    let mut body = Body::new(pieces).reporting(&mut tell);
                    self.transport.exchange(call, &mut body)
                },
            )
            // A failure here is one of the token: the job itself was not sent, or was refused with 401.
            .map_err(Failure::before_entry)?;
        let secrets = self.secrets(submission);
        let object = self.success(&exchange, &secrets)?;
        accepted(object, submission).map_err(|why| exchange.failure(Api::V3, why, &secrets))
    }

    fn v3_form<'a>(&self, submission: &Submission<'a>) -> (String, Vec<std::borrow::Cow<'a, [u8]>>) {
        let mut form = Form::new(&*self.random);
        form.text("user_id", submission.user_id.as_str());
        if let Some(url) = &self.settings.callback_url {
            form.text("callback_url", url);
        }
        if submission.product == Product::Registration {
            let replace = submission.enrolment == Enrolment::Replace;
            form.text("allow_new_enroll", if replace { "true" } else { "false" });
        }
        let consent = submission.consent;
        form.json(
            "consent",
            &json!({
                "granted": true,
                "granted_at": consent.granted_at.to_rfc3339(),
                "notice_language": consent.language.to_ascii_uppercase(),
                "notice_privacy_policy_url": consent.policy_url,
            }),
        );
        let details = submission.details;
        let mut person = json!({ "given_names": details.given_names, "last_name": details.last_name });
        for (name, value) in [("email", &details.email), ("phone_number", &details.phone)] {
            if let (Some(object), Some(value)) = (person.as_object_mut(), value) {
                object.insert(name.to_owned(), json!(value));
            }
        }
        form.json("user_details", &person);
        let mut params = submission.partner_params.clone();
        params.extend(submission.geo.map(geo_params).into_iter().flatten());
        params.insert("job_id".to_owned(), submission.job.to_string());
        form.json("partner_params", &json!(params));
        form.jpeg("selfie_image", "selfie.jpg", submission.images.selfie);
        for (file, bytes) in LIVENESS.into_iter().zip(submission.images.liveness) {
            form.jpeg("liveness_images", file, bytes);
        }
        form.finish()
    }

    pub(crate) fn v3_status(&self, handle: &Handle) -> Result<Status, Failure> {
        if !is_job_id(&handle.remote_job) {
            return Err(Failure::local(FailureKind::Malformed, "the stored job id is none of the service's"));
        }
        let url = format!("{}/v3/status/{}", self.settings.base, handle.remote_job);
        let exchange = self.v3_with_token(
            || {},
            |token| {
                let mut headers = vec![("smileid-token", token)];
                headers.extend(self.source_headers());
                let call = Call { endpoint: Endpoint::Status, method: Method::GET, url: &url, headers };
                self.transport.exchange(call, &mut Body::new(Vec::new()))
            },
        )?;
        let secrets = [self.settings.api_key.expose_secret(), handle.user_id.as_str()];
        if let Ok(Answer { http: 404, json: Ok(object), .. }) = &exchange.result
            && object.get("status").and_then(Value::as_str).is_some_and(|word| word == "not_found")
        {
            return Ok(Status::NotFound);
        }
        let object = self.success(&exchange, &secrets)?;
        let http = exchange.result.as_ref().map_or(0, |answer| answer.http);
        read_status(http, object, handle.product).map_err(|why| exchange.failure(Api::V3, why, &secrets))
    }
}

/// A job id that can stand in an address as it is.
fn is_job_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn accepted(object: &Map<String, Value>, submission: &Submission<'_>) -> Result<Accepted, &'static str> {
    let field = |name: &str| object.get(name).and_then(Value::as_str);
    if !field("status").is_some_and(|word| word.eq_ignore_ascii_case("accepted")) {
        return Err("the status is not `accepted`");
    }
    let job = field("job_id").filter(|job| is_job_id(job)).ok_or("no usable job id")?;
    if field("user_id") != Some(submission.user_id.as_str()) {
        return Err("it names another user");
    }
    let handle = Handle {
        product: submission.product,
        user_id: submission.user_id.clone(),
        remote_job: job.to_owned(),
    };
    Ok(Accepted { handle })
}

/// The state that a status answer tells. Whose job it is, the caller compares.
pub(crate) fn read_status(
    http: u16,
    object: &Map<String, Value>,
    product: Product,
) -> Result<Status, &'static str> {
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
    Ok(Status::Final(Report {
        verdict: verdict::of_status_word(word),
        product,
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

    fn read(http: u16, bytes: &[u8]) -> Option<Status> {
        let object = super::super::json::object(bytes)?;
        read_status(http, &object, Product::Authentication).ok()
    }

    fn approves(state: &Option<Status>) -> bool {
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
