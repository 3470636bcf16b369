//! The v2 SmartSelfie calls: one signed multipart call, whose answer is the verdict.

use hyper::HeaderMap;
use serde_json::json;

use super::answer::Answer;
use super::judge;
use super::seal;
use super::service::Service;
use super::v3::{Form, read_partner_params};
use super::world::{Job, JobSeen, Protocol};
use crate::access::Check;
use crate::clock::WallTime;

/// Takes the job and judges it, or says what is wrong with it.
pub(super) fn submit(service: &Service, check: Check, form: &Form) -> Answer {
    match checked(service, check, form) {
        Ok(answer) | Err(answer) => answer,
    }
}

/// Partner, time and signature stand in headers; the signature is v1's.
pub(super) fn authorize(service: &Service, headers: &HeaderMap) -> Result<(), Answer> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (timestamp, signature) = (header("smileid-timestamp"), header("smileid-request-signature"));
    let genuine = seal::verify_v1(service.key(), timestamp, &service.partner_id, signature);
    let timely = service.world().scenario.clock_skew_seconds.is_none_or(|skew| {
        WallTime::from_rfc3339(timestamp).is_some_and(|stamp| {
            stamp.as_unix_millis().abs_diff(service.wall().as_unix_millis()) <= u64::from(skew) * 1000
        })
    });
    if !genuine || header("smileid-partner-id") != service.partner_id || !timely {
        return Err(Answer::v1("2205", "You are not authorized to do that"));
    }
    Ok(())
}

fn checked(service: &Service, check: Check, form: &Form) -> Result<Answer, Answer> {
    let user_id = match &form.user_id {
        Some(user_id) => user_id.clone(),
        None if check == Check::Registration => service.type_id("user"),
        None => return Err(Answer::v1("2213", "Missing required parameter: user_id")),
    };
    let partner_params = read_partner_params(form.partner_params.as_ref())?;
    let (now, mut world) = (service.now(), service.world());
    let enrolled = world.is_enrolled(&user_id, now);
    match check {
        Check::Authentication if !enrolled => {
            return Err(Answer::v1("2210", "No enrolled user exists for this user_id"));
        }
        Check::Registration if enrolled && form.allow_new_enroll != Some(true) => {
            return Err(Answer::v1("2209", "User is already enrolled"));
        }
        _ => {}
    }
    let ending = judge::v1_ending(world.scenario.rule(&user_id), check, form.sandbox_result.as_deref());
    if check == Check::Registration && ending.is_approval() {
        world.enrol(&user_id, now);
    }
    let job_id = service.type_id("job");
    let selfie = form.selfie.iter().map(|bytes| bytes.len());
    let seen = JobSeen {
        protocol: Protocol::V2,
        product: check,
        job_id: job_id.clone(),
        user_id: user_id.clone(),
        received: now,
        received_wall: service.clock.wall(),
        image_bytes: selfie.chain(form.liveness.iter().map(|bytes| bytes.len())).collect(),
        body_bytes: form.body_bytes,
        partner_params: partner_params.clone(),
        submissions: 1,
        decision: ending.code.clone(),
    };
    service.note(&seen);
    let number = world.next_number();
    world.add(number, Job { seen, decided_at: Some(now), v1: None });
    drop(world);
    let status = match (ending.is_approval(), ending.is_provisional()) {
        (true, _) => "approved",
        (_, true) => "pending",
        _ => "rejected",
    };
    let kind = if check == Check::Registration { "enrollment" } else { "authentication" };
    let time = service.wall().to_rfc3339();
    Ok(Answer::json(
        200,
        json!({
            "code": ending.code, "status": status, "message": ending.text, "job_id": job_id, "user_id": user_id,
            "job_type": format!("smart_selfie_{kind}"), "partner_id": service.partner_id,
            "partner_params": partner_params, "created_at": time, "updated_at": time,
        }),
    ))
}
