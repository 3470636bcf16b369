//! REST v1: upload (reserves our job id), PUT of the archive, job_status; and the one-call checks of a number.

use super::archive::Archive;
use super::body::{Body, Piece};
use super::classify::Endpoint;
use super::client::Client;
use super::failure::{Failure, FailureKind, Reject, one_line};
use super::picture::Picture;
use super::settings::{geo_params, is_plain_https};
use super::signature;
use super::submission::{Enrolment, IdInfo, LookUp, Progress, Repeat, Status};
use super::transport::{Answer, CLOCKS_APART, Call, Exchange, apart, text_or_number};
use super::v3::metadata;
use super::verdict;
use super::wire::{Asked, Taken, Told, Wire};
use crate::access::{Check, PictureKind, Task};
use crate::clock::{Wall, WallTime};
use crate::config::model::Api;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use ureq::http::{HeaderValue, Method};

/// How far the time stamp of a signed answer may lie from our own clock.
const FRESH_MILLIS: u64 = 10 * 60 * 1000;
const SELFIE: &str = "selfie.jpg";

/// A time and its signature, as requests carry them.
pub(crate) struct Signed {
    at: WallTime,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
}

/// What a job_status answer says.
enum Answered {
    Done(Told),
    Running,
    ArchiveMissing,
}

impl Client {
    /// Time stamp and signature of this moment. A device that does not know the time cannot sign.
    pub(crate) fn sign(&self) -> Result<Signed, Failure> {
        if self.broker.is_some() {
            let text = "this call is signed with the API key, and a device with a broker has none";
            return Err(Failure::local(FailureKind::RejectedJob(Reject::Invalid), text));
        }
        let Wall::Known(now) = self.transport.wall() else {
            let text = "the device's clock is not set and v1 and v2 sign with the time";
            return Err(Failure::local(FailureKind::ClockUnknown, text));
        };
        let timestamp = now.to_rfc3339();
        let signature = signature::sign(&self.settings.api_key, &timestamp, &self.settings.partner_id);
        Ok(Signed { at: now, timestamp, signature })
    }

    /// Runs a signed `call`. One that is refused for its signature while the answer shows that the device's clock is wrong
    /// is signed anew with the service's time and repeated, once: such a refusal is certain.
    pub(crate) fn with_signature(
        &self,
        mut call: impl FnMut(&Signed) -> Exchange,
    ) -> Result<Exchange, Failure> {
        let signed = self.sign()?;
        let first = call(&signed);
        let now = self.transport.wall().known();
        let clock_was_wrong = now.is_some_and(|now| apart(now, signed.at) > CLOCKS_APART);
        if !(clock_was_wrong && first.refuses_the_signature()) {
            return Ok(first);
        }
        Ok(call(&self.sign()?))
    }

    fn post_json(&self, endpoint: Endpoint, path: &str, body: &mut Body<'_, '_>) -> Exchange {
        let url = format!("{}/{path}", self.settings.base);
        let headers = vec![("content-type", HeaderValue::from_static("application/json"))];
        let call = Call { endpoint, method: Method::POST, url: &url, headers };
        self.transport.exchange(call, body)
    }

    pub(crate) fn v1_submit(
        &self,
        wire: &Wire<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Taken, Failure> {
        let secrets = self.secrets(wire);
        let mut request = Value::Null;
        let exchange = self.with_signature(|signed| {
            request = self.v1_upload_request(wire, signed);
            self.post_json(Endpoint::Upload, "v1/upload", &mut whole(&request))
        })?;
        let object = self.success(Api::V1, &exchange, &secrets)?;
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

        let info = v1_info(wire, &request, url);
        let headers = vec![("content-type", HeaderValue::from_static("application/zip"))];
        let call = Call { endpoint: Endpoint::Put, method: Method::PUT, url, headers };
        let mut body = Body::new(archive(&info, wire)).reporting(progress);
        let exchange = self.transport.exchange(call, &mut body);
        match &exchange.result {
            Ok(Answer { http: 200..=299, .. }) => Ok(Taken { remote_job: wire.job.to_string(), told: None }),
            _ => Err(exchange.failure(Api::V1, "", &secrets)),
        }
    }

    fn v1_upload_request(&self, wire: &Wire<'_>, signed: &Signed) -> Value {
        let mut request = json!({
            "file_name": "selfie.zip",
            "smile_client_id": self.settings.partner_id,
            "timestamp": signed.timestamp,
            "signature": signed.signature,
            "partner_params": partner_params(wire),
            "callback_url": self.settings.callback_url.as_deref().unwrap_or(""),
            "model_parameters": {},
            "use_enrolled_image": wire.use_enrolled_image,
            "source_sdk": self.settings.source_sdk,
            "source_sdk_version": self.settings.source_sdk_version,
        });
        if let Some(object) = request.as_object_mut() {
            if wire.task.enrols() {
                let replace = wire.enrolment == Enrolment::Replace;
                object.insert("allow_new_enroll".to_owned(), json!(replace));
            }
            if wire.repeat == Repeat::ArchiveMissing {
                object.insert("retry".to_owned(), json!(true));
            }
            if !wire.metadata.is_empty() {
                object.insert("metadata".to_owned(), metadata(wire));
            }
        }
        request
    }

    /// Enhanced and Basic KYC: one call, whose signed answer is the result. What it carries of the authority's record is
    /// read no further than the code: it is nobody's business here.
    pub(crate) fn number_submit(
        &self,
        path: &str,
        wire: &Wire<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Taken, Failure> {
        let secrets = self.secrets(wire);
        let exchange = self.with_signature(|signed| {
            let request = self.number_request(wire, signed);
            self.post_json(Endpoint::Number, path, &mut whole(&request).reporting(progress))
        })?;
        let object = self.success(Api::V1, &exchange, &secrets)?;
        let told = self.check_signature(object).and_then(|()| read_result(object, wire.task, true));
        let told = told.map_err(|why| exchange.failure(Api::V1, why, &secrets))?;
        Ok(Taken { remote_job: told.remote_job.clone(), told: Some(told) })
    }

    fn number_request(&self, wire: &Wire<'_>, signed: &Signed) -> Value {
        let mut request = json!({
            "partner_id": self.settings.partner_id,
            "timestamp": signed.timestamp,
            "signature": signed.signature,
            "source_sdk": self.settings.source_sdk,
            "source_sdk_version": self.settings.source_sdk_version,
            "partner_params": partner_params(wire),
            "consent_information": consent(wire),
        });
        if let Some(object) = request.as_object_mut() {
            object.extend(id_fields(wire).map(|(name, value)| (name.to_owned(), json!(value))));
            if let Some(url) = &self.settings.callback_url {
                object.insert("callback_url".to_owned(), json!(url));
            }
            if !wire.metadata.is_empty() {
                object.insert("metadata".to_owned(), metadata(wire));
            }
        }
        request
    }

    fn v1_ask(&self, asked: Asked<'_>) -> Result<Exchange, Failure> {
        self.with_signature(|signed| {
            let request = self.status_request(asked, signed);
            self.post_json(Endpoint::JobStatus, "v1/job_status", &mut whole(&request))
        })
    }

    fn status_request(&self, asked: Asked<'_>, signed: &Signed) -> Value {
        json!({
            "signature": signed.signature,
            "timestamp": signed.timestamp,
            "partner_id": self.settings.partner_id,
            "job_id": asked.remote_job,
            "user_id": asked.user_id.as_str(),
            "image_links": false,
            "history": false,
        })
    }

    fn v1_read(&self, asked: Asked<'_>, exchange: &Exchange) -> Result<Answered, Failure> {
        let secrets = [self.settings.api_key.expose_secret(), asked.user_id.as_str()];
        let object = self.success(Api::V1, exchange, &secrets)?;
        self.check_signature(object)
            .and_then(|()| read_job_status(object, asked.task))
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

    pub(crate) fn v1_status(&self, asked: Asked<'_>) -> Result<Status<Told>, Failure> {
        let exchange = self.v1_ask(asked)?;
        match self.v1_read(asked, &exchange) {
            Ok(Answered::Done(told)) => Ok(Status::Final(told)),
            Ok(Answered::Running) => Ok(Status::Pending),
            Ok(Answered::ArchiveMissing) => Ok(Status::NotFound),
            Err(failure) if is_unknown_there(&exchange, &failure) => Ok(Status::NotFound),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) fn v1_look_up(&self, asked: Asked<'_>) -> Result<LookUp<Told>, Failure> {
        let exchange = self.v1_ask(asked)?;
        match self.v1_read(asked, &exchange) {
            Ok(Answered::Done(told)) => Ok(LookUp::Done(told)),
            Ok(Answered::Running) => Ok(LookUp::Processing),
            Ok(Answered::ArchiveMissing) => Ok(LookUp::NotReceived(Repeat::ArchiveMissing)),
            // Should that be wrong, a plain submission of the same job id is refused as a duplicate: no harm.
            Err(failure) if is_unknown_there(&exchange, &failure) => Ok(LookUp::NotReceived(Repeat::AsFirst)),
            Err(failure) => Err(failure),
        }
    }
}

fn whole<'p>(request: &Value) -> Body<'static, 'p> {
    Body::new(vec![request.to_string().into_bytes().into()])
}

/// The service refuses to speak of this job in a way that is no other known trouble: it does not know it.
fn is_unknown_there(exchange: &Exchange, failure: &Failure) -> bool {
    let refused = matches!(failure.http, Some(400 | 404))
        && matches!(failure.kind, FailureKind::Malformed | FailureKind::Configuration);
    refused && exchange.result.as_ref().is_ok_and(|answer| names_an_error(&answer.json))
}

fn names_an_error(json: &Result<Map<String, Value>, &'static str>) -> bool {
    json.as_ref().is_ok_and(|object| object.get("error").is_some_and(Value::is_string))
}

/// `job_type` is the one value that is a number.
fn partner_params(wire: &Wire<'_>) -> Value {
    let mut params: Map<String, Value> =
        wire.partner_params.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let geo = wire.geo.map(geo_params).into_iter().flatten();
    params.extend(geo.map(|(name, value)| (name, json!(value))));
    if let Some(result) = wire.sandbox_result {
        params.insert("sandbox_result".to_owned(), json!(result.to_string()));
    }
    params.insert("user_id".to_owned(), json!(wire.user_id.as_str()));
    params.insert("job_id".to_owned(), json!(wire.job.to_string()));
    params.insert("job_type".to_owned(), json!(verdict::job_type_of(wire.task)));
    Value::Object(params)
}

fn id_fields<'a>(wire: &'a Wire<'_>) -> impl Iterator<Item = (&'static str, &'a str)> {
    let fields = wire.id_info.map(IdInfo::fields).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name, value?)))
}

/// Each picture's type in info.json, its file name and its bytes, in the order of the official clients.
fn entries<'a>(wire: &Wire<'a>) -> Vec<(u8, String, Picture<'a>)> {
    let selfie = wire.selfie.into_iter().map(|picture| (0, SELFIE.to_owned(), picture));
    let liveness = wire.liveness.iter().enumerate();
    let liveness = liveness.map(|(index, picture)| (4, format!("liveness_{index}.jpg"), *picture));
    let documents = wire.others.iter().filter_map(|(kind, picture)| {
        let number = match kind {
            PictureKind::DocumentFront => 1,
            PictureKind::DocumentBack => 5,
            // Compared in v3 only; the others are above.
            PictureKind::Comparison | PictureKind::Selfie | PictureKind::Liveness => return None,
        };
        let ending = if picture.is_png() { "png" } else { "jpg" };
        Some((number, format!("{}.{ending}", kind.name()), *picture))
    });
    selfie.chain(liveness).chain(documents).collect()
}

fn consent(wire: &Wire<'_>) -> Value {
    let contact = wire.id_info.is_some_and(|info| info.email.is_some() || info.phone_number.is_some());
    json!({ "consented": {
        "consent_granted_date": wire.consent.granted_at.to_rfc3339(),
        "personal_details": true,
        "contact_information": contact,
        "document_information": !wire.others.is_empty(),
    }})
}

/// info.json as the official clients write it.
fn v1_info(wire: &Wire<'_>, upload: &Value, upload_url: &str) -> Value {
    let images: Vec<Value> = entries(wire)
        .into_iter()
        .map(|(kind, name, _)| json!({ "image_type_id": kind, "image": "", "file_name": name }))
        .collect();
    let mut id_info: Map<String, Value> =
        id_fields(wire).map(|(name, value)| (name.to_owned(), json!(value))).collect();
    if wire.id_info.is_some() {
        // Only this product asks the identity authority.
        let entered = wire.task == Task::Check(Check::BiometricKyc);
        id_info.insert("entered".to_owned(), json!(entered.to_string()));
    }
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
        "consent_information": consent(wire),
    })
}

fn archive<'a>(info: &Value, wire: &Wire<'a>) -> Vec<Piece<'a>> {
    let mut archive = Archive::default();
    archive.add_text("info.json", info.to_string());
    for (_, name, picture) in entries(wire) {
        archive.add(&name, picture);
    }
    archive.finish()
}

/// What an answer whose signature is checked says about a job that asks `task`.
fn read_job_status(object: &Map<String, Value>, task: Task) -> Result<Answered, &'static str> {
    let code = object.get("code").and_then(text_or_number).ok_or("no code")?;
    let flag = |name: &str| object.get(name).and_then(Value::as_bool);
    let complete = flag("job_complete").ok_or("no job_complete")?;
    let success = flag("job_success").ok_or("no job_success")?;
    match (code.as_str(), complete) {
        ("2314", false) => return Ok(Answered::ArchiveMissing),
        ("2302", false) => return Ok(Answered::Running),
        ("2302", true) => {}
        _ => return Err("the code is neither 2302 nor 2314"),
    }
    let result = object.get("result").and_then(Value::as_object).ok_or("no result")?;
    read_result(result, task, success).map(Answered::Done)
}

/// A result object: of job_status, or of the one call of a number's check.
fn read_result(result: &Map<String, Value>, task: Task, success: bool) -> Result<Told, &'static str> {
    let field = |name: &str| result.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
    let params = result.get("PartnerParams").and_then(Value::as_object).ok_or("no PartnerParams")?;
    let param = |name: &str| params.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
    let user = param("user_id").ok_or("no user id")?;
    let job = param("job_id").ok_or("no job id")?;
    let job_type = params.get("job_type").and_then(text_or_number).ok_or("no job type")?;
    let asked = verdict::job_type_of(task).ok_or("no such job type")?;
    if job_type != asked.to_string() {
        return Err("it is of another job type");
    }
    let result_code = field("ResultCode").ok_or("no ResultCode")?;
    Ok(Told {
        verdict: verdict::of_code(asked, result_code, success),
        user_id: user.to_owned(),
        remote_job: job.to_owned(),
        code: one_line(result_code).chars().take(32).collect(),
        text: one_line(field("ResultText").unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Product, Verdict};
    use proptest::prelude::*;

    fn approves(bytes: &[u8]) -> bool {
        let Some(object) = super::super::json::object(bytes) else { return false };
        let told = read_job_status(&object, Task::Door(Product::Authentication));
        matches!(told, Ok(Answered::Done(told)) if told.verdict == Verdict::Approved)
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
