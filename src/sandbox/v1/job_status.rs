//! `POST /v1/job_status`: where a job stands, signed as requests are.

use serde_json::{Map, Value, json};

use super::request::{authorize, object, switch, text};
use crate::access::Check;
use crate::clock::BootTime;
use crate::sandbox::answer::Answer;
use crate::sandbox::judge::Ending;
use crate::sandbox::seal;
use crate::sandbox::service::Service;
use crate::sandbox::world::{Job, Key};

/// Where the job stands.
pub(in crate::sandbox) fn job_status(service: &Service, body: &Value) -> Answer {
    match checked(service, body) {
        Ok(answer) | Err(answer) => answer,
    }
}

fn checked(service: &Service, body: &Value) -> Result<Answer, Answer> {
    let body = object(body)?;
    authorize(service, body, "partner_id")?;
    let (job_id, user_id) = (text(body, "job_id")?, text(body, "user_id")?);
    let (with_links, with_history) = (switch(body, "image_links")?, switch(body, "history")?);

    let (now, world) = (service.now(), service.world());
    let job = world
        .find(&Key::V1(job_id.to_owned()))
        .filter(|job| job.seen.user_id == user_id)
        .ok_or_else(|| Answer::json(404, json!({ "error": "No job with this job_id and user_id" })))?;

    let (code, complete, success, result) = match (finished(job, now), job.decided_at) {
        (Some((ending, result)), _) => ("2302", true, ending.is_success(), result),
        (None, Some(_)) => ("2302", false, false, json!({})),
        (None, None) => ("2314", false, false, json!("No zip file received")),
    };
    let timestamp = service.wall().to_rfc3339();
    let mut says = Map::new();
    let mut say = |field: &str, value: Value| says.insert(field.to_owned(), value);
    say("signature", seal::sign_v1(service.key(), &timestamp, &service.partner_id).into());
    say("timestamp", timestamp.into());
    say("code", code.into());
    say("job_complete", complete.into());
    say("job_success", success.into());
    say("result", result);
    if with_history {
        let of_user = world.jobs().filter(|job| job.v1.is_some() && job.seen.user_id == user_id);
        let mut results: Vec<Value> =
            of_user.filter_map(|job| finished(job, now)).map(|(_, result)| result).collect();
        // The youngest tell most, and an answer has an end.
        results.reverse();
        results.truncate(HISTORY_MAX);
        say("history", results.into());
    }
    if with_links {
        say("image_links", json!({ "error": "This sandbox keeps no pictures" }));
    }
    Ok(Answer::json(200, says.into()))
}

const HISTORY_MAX: usize = 50;

/// How a decided job ended, and its result object.
fn finished(job: &Job, now: BootTime) -> Option<(&Ending, Value)> {
    let v1 = job.v1.as_ref().filter(|_| job.is_decided(now))?;
    let ending = v1.ending.as_ref()?;
    Some((ending, result(job, &v1.smile_job_id, ending)))
}

/// The number of a product.
pub(super) fn job_type(check: Check) -> u8 {
    match check {
        Check::BiometricKyc => 1,
        Check::Authentication => 2,
        Check::Compare => 3,
        Check::Registration => 4,
        Check::EnhancedKyc | Check::BasicKyc => 5,
        Check::DocumentVerification => 6,
        Check::UpdatePhoto => 8,
        Check::EnhancedDocumentVerification => 11,
    }
}

/// What was done, in the words of the product.
fn actions(check: Check, ending: &Ending) -> Value {
    let compared = match (ending.is_approval(), ending.is_provisional()) {
        (true, _) => "Completed",
        (_, true) => "Under Review",
        _ => "Failed",
    };
    let passed = if ending.is_approval() { "Passed" } else { compared };
    match check {
        Check::EnhancedKyc | Check::BasicKyc => {
            let verified = if ending.is_approval() { "Verified" } else { "Not Verified" };
            json!({ "Verify_ID_Number": verified, "Return_Personal_Info": "Not Returned" })
        }
        Check::DocumentVerification | Check::EnhancedDocumentVerification => json!({
            "Liveness_Check": passed, "Document_Check": passed, "Verify_Document": passed,
            "Selfie_To_ID_Card_Compare": compared, "Register_Selfie": "Not Applicable",
        }),
        Check::BiometricKyc => json!({
            "Liveness_Check": passed, "Selfie_To_ID_Authority_Compare": compared,
            "Verify_ID_Number": if ending.is_approval() { "Verified" } else { "Not Verified" },
        }),
        Check::Authentication | Check::Registration | Check::UpdatePhoto | Check::Compare => {
            let register = if ending.is_approval() { "Approved" } else { compared };
            let authenticates = check == Check::Authentication;
            json!({
                "Liveness_Check": passed,
                "Selfie_To_Registered_Selfie_Compare": if authenticates { compared } else { "Not Applicable" },
                "Register_Selfie": if authenticates { "Not Applicable" } else { register },
                "Human_Review_Compare": "Not Applicable",
            })
        }
    }
}

/// The result object of a job.
pub(super) fn result(job: &Job, smile_job_id: &str, ending: &Ending) -> Value {
    let mut params: Map<String, Value> =
        job.seen.partner_params.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    params.insert("job_id".into(), job.seen.job_id.as_str().into());
    params.insert("user_id".into(), job.seen.user_id.as_str().into());
    params.insert("job_type".into(), job_type(job.seen.product).to_string().into());
    json!({
        "Actions": actions(job.seen.product, ending),
        "ConfidenceValue": if ending.is_approval() { "99.999" } else { "0" },
        "IsFinalResult": if ending.is_provisional() { "false" } else { "true" },
        "IsMachineResult": "true",
        "JSONVersion": "1.0.0",
        "PartnerParams": params,
        "ResultCode": ending.code,
        "ResultText": ending.text,
        "ResultType": "SAIA",
        "SmileJobID": smile_job_id,
        "Source": "WebAPI",
    })
}
