//! The v3 calls that make a job: it is checked, taken, and its end decided.

use hyper::HeaderMap;
use serde_json::json;

use super::details::{self, is_https};
use super::form::Form;
use crate::access::Check;
use crate::sandbox::answer::Answer;
use crate::sandbox::judge::{self, Claimed};
use crate::sandbox::seal::Claims;
use crate::sandbox::service::Service;
use crate::sandbox::world::{Job, JobSeen, Protocol};

/// Takes the job or says what is wrong with it.
pub(in crate::sandbox) fn submit(
    service: &Service,
    product: Check,
    headers: &HeaderMap,
    claims: &Claims,
    form: &Form,
) -> Answer {
    match checked(service, product, headers, claims, form) {
        Ok(answer) | Err(answer) => answer,
    }
}

fn checked(
    service: &Service,
    product: Check,
    headers: &HeaderMap,
    claims: &Claims,
    form: &Form,
) -> Result<Answer, Answer> {
    if claims.product.as_deref().is_some_and(|bound| bound != product.name()) {
        return Err(Answer::refusal(403, "Token is not authorized for this product."));
    }
    let named = one_user(headers, claims, form)?;
    let (user_id, named) = match named {
        Some(user_id) => (user_id, true),
        None if product == Check::Authentication => return Err(Answer::field("user_id")),
        None => (service.type_id("user"), false),
    };
    details::check_consent(form.consent.as_ref(), service.wall())?;
    let person = details::read_person(form.user_details.as_ref())?;
    let partner_params = details::read_partner_params(form.partner_params.as_ref())?;
    details::check_metadata(form.metadata.as_ref())?;
    if form.sandbox_result.as_deref().is_some_and(|number| judge::word_of_result(number).is_none()) {
        return Err(Answer::field("sandbox_result"));
    }

    let (now, mut world) = (service.now(), service.world());
    match &form.callback_url {
        Some(url) if !is_https(url) => return Err(Answer::field("callback_url")),
        None if world.scenario.callback_required => return Err(Answer::refusal(400, NO_CALLBACK)),
        _ => {}
    }
    let claimed = Claimed {
        given_names: &person.given_names,
        last_name: &person.last_name,
        email: person.email.as_deref(),
        sandbox_result: form.sandbox_result.as_deref(),
    };
    let mut decision = judge::v3_word(&world.scenario, &user_id, claimed)
        .map_err(|judge::NotATestIdentity| Answer::refusal(400, NO_TEST_IDENTITY))?;
    let again = product == Check::Registration && named && form.allow_new_enroll != Some(true);
    if again && world.is_enrolled(&user_id, now) {
        "block".clone_into(&mut decision);
    }
    if form.use_enrolled_image == Some(true) && !world.is_enrolled(&user_id, now) {
        "error".clone_into(&mut decision);
    }
    let decided_at = now.plus(world.scenario.rule(&user_id).decide_after);
    let enrols = product == Check::Registration || product == Check::Compare && named;
    if enrols && decision == "clear" {
        world.enrol(&user_id, decided_at);
    }

    let job_id = service.type_id("job");
    let others = [&form.document, &form.document_back, &form.comparison];
    let others = others.into_iter().flatten().map(|bytes| bytes.len());
    let selfie = form.selfie.iter().map(|bytes| bytes.len());
    let seen = JobSeen {
        protocol: Protocol::V3,
        product,
        job_id: job_id.clone(),
        user_id: user_id.clone(),
        received: now,
        received_wall: service.clock.wall(),
        image_bytes: selfie.chain(form.liveness.iter().map(|bytes| bytes.len())).chain(others).collect(),
        body_bytes: form.body_bytes,
        partner_params,
        submissions: 1,
        decision,
    };
    service.note(&seen);
    let number = world.next_number();
    world.add(number, Job { seen, decided_at: Some(decided_at), v1: None });
    drop(world);
    Ok(Answer::json(
        202,
        json!({
            "status": "accepted", "message": "Request accepted and queued for processing.", "job_id": job_id,
            "user_id": user_id, "created_at": service.wall().to_rfc3339(),
        }),
    ))
}

/// The user whom body, header and token name; they must not disagree.
fn one_user(headers: &HeaderMap, claims: &Claims, form: &Form) -> Result<Option<String>, Answer> {
    let header = match headers.get("user-id").map(|value| value.to_str()) {
        None => None,
        Some(Ok(text)) if !text.is_empty() => Some(text),
        Some(_) => return Err(Answer::field("user_id")),
    };
    let mut all = [form.user_id.as_deref(), header, claims.user_id.as_deref()].into_iter().flatten();
    let first = all.next();
    if all.any(|other| Some(other) != first) {
        return Err(Answer::refusal(403, "Token is not authorized for this user ID."));
    }
    match first {
        Some(user_id) if user_id.chars().count() > USER_ID_CHARS_MAX => Err(Answer::field("user_id")),
        other => Ok(other.map(str::to_owned)),
    }
}

/// The service names no limit; a longer one is a mistake.
const USER_ID_CHARS_MAX: usize = 256;
const NO_CALLBACK: &str = "A valid callback_url is required in the request or a default callback URL must be configured in the portal.";
const NO_TEST_IDENTITY: &str = "In sandbox mode, requests must use a recognized test identity.";
