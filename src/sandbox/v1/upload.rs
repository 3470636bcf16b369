//! `POST /v1/upload`: announces a job and answers where its zip goes.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::request::{authorize, object, switch, text};
use crate::access::Check;
use crate::sandbox::answer::Answer;
use crate::sandbox::endpoint::UPLOADS;
use crate::sandbox::seal;
use crate::sandbox::service::Service;
use crate::sandbox::world::{Job, JobSeen, Key, Protocol, V1Job};

/// Life of an upload URL, seconds.
const UPLOAD_SECONDS: i64 = 900;

/// Takes the job, or a retry of one whose zip never came.
pub(in crate::sandbox) fn upload(service: &Service, body: &Value) -> Answer {
    match checked(service, body) {
        Ok(answer) | Err(answer) => answer,
    }
}

fn checked(service: &Service, body: &Value) -> Result<Answer, Answer> {
    let body = object(body)?;
    authorize(service, body, "smile_client_id")?;
    let params = match body.get("partner_params") {
        Some(Value::Object(params)) => params,
        None | Some(Value::Null) => {
            return Err(Answer::v1("2213", "Missing required parameter: partner_params"));
        }
        Some(_) => return Err(Answer::v1("2204", "Wrong data type: partner_params")),
    };
    let (job_id, user_id) = (text(params, "job_id")?, text(params, "user_id")?);
    let product = product(params)?;
    let partner_params = free_params(params)?;
    let retry = switch(body, "retry")?;
    let new_face_allowed = switch(body, "allow_new_enroll")?;
    let use_enrolled_image = switch(body, "use_enrolled_image")?;
    let face_on_file = matches!(product, Check::DocumentVerification | Check::EnhancedDocumentVerification);
    if use_enrolled_image && !face_on_file {
        return Err(Answer::v1("2204", "Wrong data type: use_enrolled_image"));
    }
    if !callback_is_good(body.get("callback_url")) {
        return Err(Answer::v1("2204", "Wrong data type: callback_url"));
    }

    let (now, mut world) = (service.now(), service.world());
    let key = Key::V1(job_id.to_owned());
    if let Some(known) = world.find_mut(&key) {
        // A retry is for the same job, and only as long as its zip has not come.
        let waits =
            known.decided_at.is_none() && known.seen.user_id == user_id && known.seen.product == product;
        if !(retry && waits) {
            return Err(Answer::v1(
                "2215",
                "Job already exists. Did you mean to set the retry flag to true?",
            ));
        }
        known.seen.submissions = known.seen.submissions.saturating_add(1);
        let smile_job_id = known.v1.as_ref().map(|v1| v1.smile_job_id.clone()).unwrap_or_default();
        drop(world);
        return Ok(accepted(service, &smile_job_id));
    }
    let enrolled = world.is_enrolled(user_id, now);
    match product {
        Check::Authentication | Check::UpdatePhoto if !enrolled => {
            return Err(Answer::v1("2210", "No enrolled user exists for this user_id"));
        }
        Check::Registration if enrolled && !new_face_allowed => {
            return Err(Answer::v1("2209", "User is already enrolled"));
        }
        _ if use_enrolled_image && !enrolled => {
            return Err(Answer::v1("2210", "No enrolled user exists for this user_id"));
        }
        _ => {}
    }
    let number = world.next_number();
    let smile_job_id = format!("{number:010}");
    let v1 = V1Job {
        smile_job_id: smile_job_id.clone(),
        sandbox_result: partner_params.get("sandbox_result").cloned(),
        use_enrolled_image,
        ending: None,
    };
    let seen = JobSeen {
        protocol: Protocol::V1,
        product,
        job_id: job_id.to_owned(),
        user_id: user_id.to_owned(),
        received: now,
        received_wall: service.clock.wall(),
        image_bytes: Vec::new(),
        body_bytes: 0,
        partner_params,
        submissions: 1,
        decision: String::new(),
    };
    world.add(number, Job { seen, decided_at: None, v1: Some(v1) });
    drop(world);
    Ok(accepted(service, &smile_job_id))
}

fn accepted(service: &Service, smile_job_id: &str) -> Answer {
    let expires = service.wall().as_unix_millis().div_euclid(1000).saturating_add(UPLOAD_SECONDS).to_string();
    let object = format!("{smile_job_id}.zip");
    let signature = seal::sign_upload(service.key(), &object, &expires);
    let upload_url = format!(
        "{}{UPLOADS}{object}?Expires={expires}&Signature={signature}&x-amz-security-token={}\
         &x-amz-server-side-encryption=AES256",
        service.base_url,
        service.random_text(),
    );
    Answer::json(
        200,
        json!({
            "upload_url": upload_url, "smile_job_id": smile_job_id, "camera_config": null, "code": "2202",
            "ref_id": format!("{}-{smile_job_id}-{}", service.partner_id, service.random_text()),
        }),
    )
}

/// The job types that this sandbox plays.
fn product(params: &Map<String, Value>) -> Result<Check, Answer> {
    match params.get("job_type") {
        None | Some(Value::Null) => Err(Answer::v1("2213", "Missing required parameter: job_type")),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(1) => Ok(Check::BiometricKyc),
            Some(2) => Ok(Check::Authentication),
            Some(4) => Ok(Check::Registration),
            Some(6) => Ok(Check::DocumentVerification),
            Some(8) => Ok(Check::UpdatePhoto),
            Some(11) => Ok(Check::EnhancedDocumentVerification),
            _ => Err(Answer::v1("2212", "Invalid job_type: this sandbox plays 1, 2, 4, 6, 8 and 11")),
        },
        Some(_) => Err(Answer::v1("2204", "Wrong data type: job_type")),
    }
}

/// The partner's own parameters, which must be texts; an empty one comes back as `null`, as the service does it.
pub(super) fn free_params(params: &Map<String, Value>) -> Result<BTreeMap<String, String>, Answer> {
    params
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "job_id" | "user_id" | "job_type"))
        .map(|(name, value)| match value.as_str() {
            Some("") => Ok((name.clone(), "null".to_owned())),
            Some(text) => Ok((name.clone(), text.to_owned())),
            None => Err(Answer::v1("2204", &format!("Wrong data type: partner_params.{name}"))),
        })
        .collect()
}

fn callback_is_good(url: Option<&Value>) -> bool {
    match url {
        None | Some(Value::Null) => true,
        Some(Value::String(url)) => url.is_empty() || url.starts_with("https://"),
        Some(_) => false,
    }
}
