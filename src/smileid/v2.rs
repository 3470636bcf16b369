//! REST v2: SmartSelfie as one signed multipart call whose answer is the verdict, and Basic KYC as one signed JSON call.
//!
//! There is no call that finds a v2 job again: a lost answer is an unknown outcome, as in v3.

use super::body::{Body, Piece};
use super::classify::Endpoint;
use super::client::Client;
use super::codes;
use super::failure::{Failure, one_line};
use super::multipart::Form;
use super::settings::geo_params;
use super::submission::{Enrolment, Progress};
use super::transport::Call;
use super::v3::{is_job_id, metadata, pictures};
use super::verdict;
use super::wire::{Taken, Told, Wire};
use crate::access::Verdict;
use crate::config::model::Api;
use serde_json::{Map, Value, json};
use ureq::http::{HeaderValue, Method};

impl Client {
    pub(crate) fn v2_submit(
        &self,
        path: &str,
        wire: &Wire<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Taken, Failure> {
        let url = format!("{}/v2/{path}", self.settings.base);
        let exchange = self.with_signature(|signed| {
            let (content_type, pieces) = self.v2_form(wire);
            let mut headers = self.source_headers().to_vec();
            for (name, value) in [
                ("content-type", content_type.as_str()),
                ("smileid-partner-id", &self.settings.partner_id),
                ("smileid-timestamp", &signed.timestamp),
                ("smileid-request-signature", &signed.signature),
            ] {
                // All of them are made here, of digits, letters and a few signs.
                headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
            }
            let call = Call { endpoint: Endpoint::Entry, method: Method::POST, url: &url, headers };
            self.transport.exchange(call, &mut Body::new(pieces).reporting(progress))
        })?;
        let secrets = self.secrets(wire);
        let object = self.success(Api::V2, &exchange, &secrets)?;
        read(object, wire).map_err(|why| exchange.failure(Api::V2, why, &secrets))
    }

    fn v2_form<'a>(&self, wire: &Wire<'a>) -> (String, Vec<Piece<'a>>) {
        let mut form = Form::new(&*self.random);
        form.text("user_id", wire.user_id.as_str());
        if let Some(url) = &self.settings.callback_url {
            form.text("callback_url", url);
        }
        if wire.task.enrols() {
            form.text(
                "allow_new_enroll",
                if wire.enrolment == Enrolment::Replace { "true" } else { "false" },
            );
        }
        if let Some(result) = wire.sandbox_result {
            form.text("sandbox_result", &result.to_string());
        }
        let mut params = wire.partner_params.clone();
        params.extend(wire.geo.map(geo_params).into_iter().flatten());
        // Not job_id: whether the service honours one here is not documented.
        params.insert("ref".to_owned(), wire.job.to_string());
        form.json("partner_params", &json!(params));
        if !wire.metadata.is_empty() {
            form.json("metadata", &metadata(wire));
        }
        pictures(&mut form, wire);
        form.finish()
    }
}

/// The verdict that a v2 answer is. An approval needs the word and an approving code of this job type: each alone is
/// unknown (door-rules 4).
fn read(object: &Map<String, Value>, wire: &Wire<'_>) -> Result<Taken, &'static str> {
    let field = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
    let word = field("status").ok_or("no status")?;
    let code = field("code").ok_or("no code")?;
    let job = field("job_id").filter(|job| is_job_id(job)).ok_or("no job id")?;
    let user = field("user_id").ok_or("no user id")?;
    if user != wire.user_id.as_str() {
        return Err("it names another user");
    }
    let known = verdict::job_type_of(wire.task).map(|job_type| verdict::of_code(job_type, code, true));
    let known = known.unwrap_or(Verdict::Unknown);
    let verdict = match (codes::of_answer(word), known) {
        (Some(Verdict::Approved), Verdict::Approved) => Verdict::Approved,
        (Some(Verdict::Provisional), _) => Verdict::Provisional,
        (Some(Verdict::Rejected { .. }), Verdict::Rejected { .. } | Verdict::Undecided) => known,
        // The service refuses, and does not say why in a way that is known: a spoof is not excluded.
        (Some(refused @ Verdict::Rejected { .. }), _) => refused,
        _ => Verdict::Unknown,
    };
    Ok(Taken {
        remote_job: job.to_owned(),
        told: Some(Told {
            verdict,
            user_id: user.to_owned(),
            remote_job: job.to_owned(),
            code: one_line(code).chars().take(32).collect(),
            text: one_line(field("message").unwrap_or_default()),
        }),
    })
}

#[cfg(test)]
#[path = "v2_tests.rs"]
mod tests;
