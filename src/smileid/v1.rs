//! REST v1: upload (reserves our job id), PUT of the archive, job_status.

use super::archive::Archive;
use super::body::Body;
use super::classify::Endpoint;
use super::client::Client;
use super::failure::{Failure, FailureKind, one_line};
use super::settings::{geo_params, is_plain_https};
use super::signature;
use super::submission::{Accepted, Enrolment, Handle, LookUp, Progress, Repeat, Status, Submission};
use super::transport::{Answer, Call, Exchange, text_or_number};
use super::verdict;
use crate::access::{Product, Report};
use crate::clock::{Wall, WallTime};
use crate::config::model::Api;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use ureq::http::{HeaderValue, Method};

/// How far the time stamp of a signed answer may lie from our own clock.
const FRESH_MILLIS: u64 = 10 * 60 * 1000;
const SELFIE: &str = "selfie.jpg";

struct Signed {
    timestamp: String,
    signature: String,
}

/// What a job_status answer says.
enum Told {
    Done(Report),
    Running,
    ArchiveMissing,
}

impl Client {
    /// Time stamp and signature of this moment. A device that does not know the time cannot sign.
    fn v1_sign(&self) -> Result<Signed, Failure> {
        let Wall::Known(now) = self.transport.wall() else {
            let text = "the device's clock is not set and v1 signs with the time";
            return Err(Failure::local(FailureKind::ClockUnknown, text));
        };
        let timestamp = now.to_rfc3339();
        let signature = signature::sign(&self.settings.api_key, &timestamp, &self.settings.partner_id);
        Ok(Signed { timestamp, signature })
    }

    fn v1_post(&self, endpoint: Endpoint, path: &str, body: &Value) -> Exchange {
        let url = format!("{}/v1/{path}", self.settings.base);
        let headers = vec![("content-type", HeaderValue::from_static("application/json"))];
        let call = Call { endpoint, method: Method::POST, url: &url, headers };
        self.transport.exchange(call, &mut Body::new(vec![Cow::Owned(body.to_string().into_bytes())]))
    }

    pub(crate) fn v1_submit(
        &self,
        submission: &Submission<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Accepted, Failure> {
        let secrets = self.secrets(submission);
        let signed = self.v1_sign()?;
        let request = self.v1_upload_request(submission, &signed);
        let exchange = self.v1_post(Endpoint::Upload, "upload", &request);
        let object = self.success(&exchange, &secrets)?;
        if object.get("code").and_then(text_or_number).as_deref() != Some("2202") {
            return Err(exchange.failure(Api::V1, "the code is not 2202", &secrets));
        }
        let url = object
            .get("upload_url")
            .and_then(Value::as_str)
            .ok_or_else(|| exchange.failure(Api::V1, "no upload address", &secrets))?;
        if !is_plain_https(url, true) {
            let text = "the service names an upload address that is not https";
            return Err(Failure::local(FailureKind::Configuration, text));
        }
        progress(Progress::Reserved);

        let info = v1_info(submission, &request, url);
        let headers = vec![("content-type", HeaderValue::from_static("application/zip"))];
        let call = Call { endpoint: Endpoint::Put, method: Method::PUT, url, headers };
        let mut body = Body::new(archive(&info, submission)).reporting(progress);
        let exchange = self.transport.exchange(call, &mut body);
        match &exchange.result {
            Ok(Answer { http: 200..=299, .. }) => Ok(Accepted {
                handle: Handle::own(submission.product, submission.user_id.clone(), submission.job),
            }),
            _ => Err(exchange.failure(Api::V1, "", &secrets)),
        }
    }

    fn v1_upload_request(&self, submission: &Submission<'_>, signed: &Signed) -> Value {
        let mut request = json!({
            "file_name": "selfie.zip",
            "smile_client_id": self.settings.partner_id,
            "timestamp": signed.timestamp,
            "signature": signed.signature,
            "partner_params": partner_params(submission),
            "callback_url": self.settings.callback_url.as_deref().unwrap_or(""),
            "model_parameters": {},
            "use_enrolled_image": false,
            "source_sdk": self.settings.source_sdk,
            "source_sdk_version": self.settings.source_sdk_version,
        });
        if let Some(object) = request.as_object_mut() {
            if submission.product == Product::Registration {
                let replace = submission.enrolment == Enrolment::Replace;
                object.insert("allow_new_enroll".to_owned(), json!(replace));
            }
            if submission.repeat == Repeat::ArchiveMissing {
                object.insert("retry".to_owned(), json!(true));
            }
        }
        request
    }

    fn v1_ask(&self, handle: &Handle) -> Result<Exchange, Failure> {
        let signed = self.v1_sign()?;
        let request = json!({
            "signature": signed.signature,
            "timestamp": signed.timestamp,
            "partner_id": self.settings.partner_id,
            "job_id": handle.remote_job,
            "user_id": handle.user_id.as_str(),
            "image_links": false,
            "history": false,
        });
        Ok(self.v1_post(Endpoint::JobStatus, "job_status", &request))
    }

    fn v1_read(&self, handle: &Handle, exchange: &Exchange) -> Result<Told, Failure> {
        let secrets = [self.settings.api_key.expose_secret(), handle.user_id.as_str()];
        let object = self.success(exchange, &secrets)?;
        self.check_signature(object)
            .and_then(|()| read_job_status(object, handle.product))
            .map_err(|why| exchange.failure(Api::V1, why, &secrets))
    }

    /// An answer must be signed with our key, lately.
    fn check_signature(&self, object: &Map<String, Value>) -> Result<(), &'static str> {
        let field = |name: &str| object.get(name).and_then(Value::as_str);
        let (Some(timestamp), Some(signature)) = (field("timestamp"), field("signature")) else {
            return Err("it is not signed");
        };
        if !signature::verify(&self.settings.api_key, timestamp, &self.settings.partner_id, signature) {
            return Err("its signature is not made with our key");
        }
        let signed_at = WallTime::from_rfc3339(timestamp).ok_or("its time stamp is none")?;
        if let Wall::Known(now) = self.transport.wall() {
            let apart = now.as_unix_millis().abs_diff(signed_at.as_unix_millis());
            if apart > FRESH_MILLIS {
                return Err("it was signed more than ten minutes from now");
            }
        }
        Ok(())
    }

    pub(crate) fn v1_status(&self, handle: &Handle) -> Result<Status, Failure> {
        let exchange = self.v1_ask(handle)?;
        Ok(match self.v1_read(handle, &exchange)? {
            Told::Done(report) => Status::Final(report),
            Told::Running => Status::Pending,
            Told::ArchiveMissing => Status::NotFound,
        })
    }

    pub(crate) fn v1_look_up(&self, handle: &Handle) -> Result<LookUp, Failure> {
        let exchange = self.v1_ask(handle)?;
        match self.v1_read(handle, &exchange) {
            Ok(Told::Done(report)) => Ok(LookUp::Done(report)),
            Ok(Told::Running) => Ok(LookUp::Processing),
            Ok(Told::ArchiveMissing) => Ok(LookUp::NotReceived(Repeat::ArchiveMissing)),
            // The service refuses to speak of this job in a way that is no other known trouble: it does not know
            // it. Should that be wrong, a plain submission of the same job id is refused as a duplicate: no harm.
            Err(Failure {
                http: Some(400 | 404),
                kind: FailureKind::Malformed | FailureKind::Configuration,
                ..
            }) if exchange.result.as_ref().is_ok_and(|answer| names_an_error(&answer.json)) => {
                Ok(LookUp::NotReceived(Repeat::AsFirst))
            }
            Err(failure) => Err(failure),
        }
    }
}

fn names_an_error(json: &Result<Map<String, Value>, &'static str>) -> bool {
    json.as_ref().is_ok_and(|object| object.get("error").is_some_and(Value::is_string))
}

/// `job_type` is the one value that is a number.
fn partner_params(submission: &Submission<'_>) -> Value {
    let mut params: Map<String, Value> =
        submission.partner_params.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let geo = submission.geo.map(geo_params).into_iter().flatten();
    params.extend(geo.map(|(name, value)| (name, json!(value))));
    params.insert("user_id".to_owned(), json!(submission.user_id.as_str()));
    params.insert("job_id".to_owned(), json!(submission.job.to_string()));
    params.insert("job_type".to_owned(), json!(verdict::job_type(submission.product)));
    Value::Object(params)
}

fn liveness_name(index: usize) -> String {
    format!("liveness_{index}.jpg")
}

/// info.json as the official clients write it. Type 0 is a selfie file, 4 a liveness file.
fn v1_info(submission: &Submission<'_>, upload: &Value, upload_url: &str) -> Value {
    let mut images = vec![json!({ "image_type_id": 0, "image": "", "file_name": SELFIE })];
    images.extend(
        (0..submission.images.liveness.len())
            .map(|index| json!({ "image_type_id": 4, "image": "", "file_name": liveness_name(index) })),
    );
    let mut id_info = Map::new();
    if let Some(info) = submission.id_info {
        id_info.extend(
            info.fields().into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))),
        );
        // No identity authority is asked for these two products.
        id_info.insert("entered".to_owned(), json!("false"));
    }
    let contact = submission.id_info.is_some_and(|info| info.email.is_some() || info.phone_number.is_some());
    json!({
        "package_information": {
            "apiVersion": { "buildNumber": 0, "majorVersion": 2, "minorVersion": 0 },
            "language": "rust",
        },
        "misc_information": {
            "signature": upload.get("signature"),
            "timestamp": upload.get("timestamp"),
            "retry": "false",
            "partner_params": upload.get("partner_params"),
            "file_name": upload.get("file_name"),
            "smile_client_id": upload.get("smile_client_id"),
            "callback_url": upload.get("callback_url"),
            "userData": {
                "isVerifiedProcess": false, "name": "", "fbUserID": "", "firstName": "", "lastName": "",
                "gender": "", "email": "", "phone": "", "countryCode": "+", "countryName": "",
            },
        },
        "id_info": id_info,
        "images": images,
        "server_information": upload_url,
        "consent_information": { "consented": {
            "consent_granted_date": submission.consent.granted_at.to_rfc3339(),
            "personal_details": true,
            "contact_information": contact,
            "document_information": false,
        }},
    })
}

fn archive<'a>(info: &Value, submission: &Submission<'a>) -> Vec<Cow<'a, [u8]>> {
    let mut archive = Archive::default();
    archive.add("info.json", Cow::Owned(info.to_string().into_bytes()));
    archive.add(SELFIE, Cow::Borrowed(submission.images.selfie));
    for (index, bytes) in submission.images.liveness.iter().enumerate() {
        archive.add(&liveness_name(index), Cow::Borrowed(bytes));
    }
    archive.finish()
}

/// What an answer whose signature is checked says about a job of `product`.
fn read_job_status(object: &Map<String, Value>, product: Product) -> Result<Told, &'static str> {
    let code = object.get("code").and_then(text_or_number).ok_or("no code")?;
    let flag = |name: &str| object.get(name).and_then(Value::as_bool);
    let complete = flag("job_complete").ok_or("no job_complete")?;
    let success = flag("job_success").ok_or("no job_success")?;
    match (code.as_str(), complete) {
        ("2314", false) => return Ok(Told::ArchiveMissing),
        ("2302", false) => return Ok(Told::Running),
        ("2302", true) => {}
        _ => return Err("the code is neither 2302 nor 2314"),
    }
    let result = object.get("result").and_then(Value::as_object).ok_or("no result")?;
    let field = |name: &str| result.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
    let params = result.get("PartnerParams").and_then(Value::as_object).ok_or("no PartnerParams")?;
    let param = |name: &str| params.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
    let user = param("user_id").ok_or("no user id")?;
    let job = param("job_id").ok_or("no job id")?;
    let job_type = params.get("job_type").and_then(text_or_number).ok_or("no job type")?;
    if job_type != verdict::job_type(product).to_string() {
        return Err("it is of another job type");
    }
    let result_code = field("ResultCode").ok_or("no ResultCode")?;
    Ok(Told::Done(Report {
        verdict: verdict::of_result_code(product, result_code, success),
        product,
        user_id: user.to_owned(),
        remote_job: job.to_owned(),
        code: one_line(result_code).chars().take(32).collect(),
        text: one_line(field("ResultText").unwrap_or_default()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Verdict;
    use proptest::prelude::*;

    fn approves(bytes: &[u8]) -> bool {
        let Some(object) = super::super::json::object(bytes) else { return false };
        let told = read_job_status(&object, Product::Authentication);
        matches!(told, Ok(Told::Done(report)) if report.verdict == Verdict::Approved)
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_approve(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!approves(&bytes));
        }

        /// Objects that nearly are an approval: only the exact form is one.
        #[test]
        fn only_the_exact_form_approves(
            code in prop::sample::select(vec!["\"2302\"", "2302", "\"2314\"", "null"]),
            complete in prop::sample::select(vec!["true", "false", "\"true\"", "1"]),
            success in prop::sample::select(vec!["true", "false", "\"true\"", "null"]),
            result_code in prop::sample::select(vec!["\"0820\"", "820", "\"0840\"", "\"0821\"", "\"0820 \""]),
            job_type in prop::sample::select(vec!["2", "\"2\"", "4", "null"]),
        ) {
            let text = format!(
                "{{\"code\":{code},\"job_complete\":{complete},\"job_success\":{success},\"result\":{{\
                 \"ResultCode\":{result_code},\"PartnerParams\":{{\"job_id\":\"j\",\"user_id\":\"u\",\
                 \"job_type\":{job_type}}}}}}}"
            );
            let exact = code.contains("2302")
                && complete == "true"
                && success == "true"
                && result_code == "\"0820\""
                && job_type.contains('2');
            prop_assert_eq!(approves(text.as_bytes()), exact, "{}", text);
        }
    }
}
