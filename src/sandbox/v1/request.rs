//! What the two JSON calls have in common: reading, partner, signature.

use serde_json::{Map, Value};

use crate::clock::WallTime;
use crate::sandbox::answer::Answer;
use crate::sandbox::seal;
use crate::sandbox::service::Service;

/// The object in a request's body.
pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, Answer> {
    body.as_object().ok_or_else(|| Answer::v1("2204", "The request body must be a JSON object"))
}

/// A text that must be there and not be empty.
pub(super) fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Result<&'a str, Answer> {
    match body.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null) | Some(Value::String(_)) => {
            Err(Answer::v1("2213", &format!("Missing required parameter: {field}")))
        }
        Some(_) => Err(Answer::v1("2204", &format!("Wrong data type: {field}"))),
    }
}

/// A switch, which old clients send as text.
pub(super) fn switch(body: &Map<String, Value>, field: &str) -> Result<bool, Answer> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(word)) if word == "true" => Ok(true),
        Some(Value::String(word)) if word == "false" => Ok(false),
        Some(_) => Err(Answer::v1("2204", &format!("Wrong data type: {field}"))),
    }
}

/// Checks partner and signature. `partner_field` is where this call names the partner.
pub(super) fn authorize(
    service: &Service,
    body: &Map<String, Value>,
    partner_field: &str,
) -> Result<(), Answer> {
    let partner_id = text(body, partner_field)?;
    let timestamp = text(body, "timestamp")?;
    let signature = text(body, "signature")?;
    // Over the raw text that came, whatever its form: that is what the client signed.
    let genuine = seal::verify_v1(service.key(), timestamp, &service.partner_id, signature);
    if !genuine || partner_id != service.partner_id || !is_timely(service, timestamp) {
        return Err(Answer::v1("2205", "You are not authorized to do that"));
    }
    Ok(())
}

fn is_timely(service: &Service, timestamp: &str) -> bool {
    let Some(skew) = service.world().scenario.clock_skew_seconds else { return true };
    WallTime::from_rfc3339(timestamp).is_some_and(|stamp| {
        stamp.as_unix_millis().abs_diff(service.wall().as_unix_millis()) <= u64::from(skew) * 1000
    })
}

/// Whom an upload call is about, for faults; nothing is checked.
pub(in crate::sandbox) fn user_of_upload(body: &Value) -> Option<&str> {
    body.get("partner_params")?.get("user_id")?.as_str()
}

/// Whom a job_status call is about, for faults; nothing is checked.
pub(in crate::sandbox) fn user_of_status(body: &Value) -> Option<&str> {
    body.get("user_id")?.as_str()
}
