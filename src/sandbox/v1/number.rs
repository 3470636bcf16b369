//! `POST /v1/id_verification` and `POST /v2/verify`: a number's check, whose answer is the result.

use serde_json::Value;

use super::job_status::result;
use super::request::{authorize, object, text};
use super::upload::free_params;
use crate::access::Check;
use crate::sandbox::answer::Answer;
use crate::sandbox::judge;
use crate::sandbox::seal;
use crate::sandbox::service::Service;
use crate::sandbox::world::{Job, JobSeen, Key, Protocol, V1Job};

/// Judges a number at once.
pub(in crate::sandbox) fn number(service: &Service, check: Check, body: &Value) -> Answer {
    match checked(service, check, body) {
        Ok(answer) | Err(answer) => answer,
    }
}

fn checked(service: &Service, check: Check, body: &Value) -> Result<Answer, Answer> {
    let size = body.to_string().len();
    let body = object(body)?;
    authorize(service, body, "partner_id")?;
    let params = body
        .get("partner_params")
        .and_then(Value::as_object)
        .ok_or_else(|| Answer::v1("2413", "Missing required parameter: partner_params"))?;
    let (job_id, user_id) = (text(params, "job_id")?, text(params, "user_id")?);
    match params.get("job_type").and_then(Value::as_u64) {
        Some(5) => {}
        _ => return Err(Answer::v1("2212", "Invalid job_type: this call takes 5")),
    }
    let partner_params = free_params(params)?;
    let (country, _, id_number) = (text(body, "country")?, text(body, "id_type")?, text(body, "id_number")?);
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Answer::v1("2414", "Wrong data type: country"));
    }
    let (now, mut world) = (service.now(), service.world());
    if world.find(&Key::V1(job_id.to_owned())).is_some() {
        return Err(Answer::v1("2215", "Job already exists. Did you mean to set the retry flag to true?"));
    }
    let sandbox_result = partner_params.get("sandbox_result").cloned();
    let ending =
        judge::number_ending(world.scenario.rule(user_id), check, sandbox_result.as_deref(), id_number);
    let number = world.next_number();
    let smile_job_id = format!("{number:010}");
    let seen = JobSeen {
        protocol: if check == Check::BasicKyc { Protocol::V2 } else { Protocol::V1 },
        product: check,
        job_id: job_id.to_owned(),
        user_id: user_id.to_owned(),
        received: now,
        received_wall: service.clock.wall(),
        image_bytes: Vec::new(),
        body_bytes: size,
        partner_params,
        submissions: 1,
        decision: ending.code.clone(),
    };
    service.note(&seen);
    let v1 = V1Job {
        smile_job_id: smile_job_id.clone(),
        sandbox_result,
        use_enrolled_image: false,
        ending: Some(ending.clone()),
    };
    let job = Job { seen, decided_at: Some(now), v1: Some(v1) };
    let mut says = result(&job, &smile_job_id, &ending);
    world.add(number, job);
    drop(world);
    let timestamp = service.wall().to_rfc3339();
    if let Some(fields) = says.as_object_mut() {
        fields.insert("ResultType".into(), "ID Verification".into());
        fields.insert("Country".into(), country.into());
        let signature = seal::sign_v1(service.key(), &timestamp, &service.partner_id);
        fields.insert("signature".into(), signature.into());
        fields.insert("timestamp".into(), timestamp.into());
    }
    Ok(Answer::json(200, says))
}
