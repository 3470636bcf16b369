//! The JSON parts of the entry calls: consent, the person's details, the partner's parameters, metadata.

use serde_json::Value;
use std::collections::BTreeMap;

use crate::clock::WallTime;
use crate::sandbox::answer::Answer;

/// How far in the future a consent may have been given: clocks differ.
const CONSENT_AHEAD_MS: i64 = 60_000;

/// Checks a consent record.
pub(super) fn check_consent(consent: Option<&Value>, now: WallTime) -> Result<(), Answer> {
    let consent = consent.and_then(Value::as_object).ok_or_else(|| Answer::field("consent"))?;
    if consent.get("granted") != Some(&Value::Bool(true)) {
        return Err(Answer::field("consent.granted"));
    }
    let text = |name: &str| consent.get(name).and_then(Value::as_str);
    let granted_at = text("granted_at").and_then(WallTime::from_rfc3339);
    let latest = now.as_unix_millis().saturating_add(CONSENT_AHEAD_MS);
    if granted_at.is_none_or(|at| at.as_unix_millis() > latest) {
        return Err(Answer::field("consent.granted_at"));
    }
    if text("notice_language")
        .is_none_or(|word| word.len() != 2 || !word.bytes().all(|b| b.is_ascii_uppercase()))
    {
        return Err(Answer::field("consent.notice_language"));
    }
    if !text("notice_privacy_policy_url").is_some_and(is_https) {
        return Err(Answer::field("consent.notice_privacy_policy_url"));
    }
    let known = ["granted", "granted_at", "notice_language", "notice_privacy_policy_url"];
    match consent.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Answer::field(&format!("consent.{key}"))),
        None => Ok(()),
    }
}

/// Who the client says this is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub given_names: String,
    pub last_name: String,
    pub email: Option<String>,
}

/// Checks the person's details.
pub(super) fn read_person(details: Option<&Value>) -> Result<Person, Answer> {
    let details = details.and_then(Value::as_object).ok_or_else(|| Answer::field("user_details"))?;
    let name = |field: &str| {
        let text = details.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| Answer::field(&format!("user_details.{field}")))
    };
    let contact = |field: &str, good: fn(&str) -> bool| match details.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if good(text) => Ok(Some(text.clone())),
        Some(_) => Err(Answer::field(&format!("user_details.{field}"))),
    };
    let person = Person {
        given_names: name("given_names")?,
        last_name: name("last_name")?,
        email: contact("email", is_email)?,
    };
    if contact("phone_number", is_phone)?.is_none() && person.email.is_none() {
        return Err(Answer::refusal(400, "Either email or phone_number is required."));
    }
    let known = ["given_names", "last_name", "email", "phone_number"];
    match details.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Answer::field(&format!("user_details.{key}"))),
        None => Ok(person),
    }
}

/// Partner parameters: texts by name.
pub(in crate::sandbox) fn read_partner_params(
    params: Option<&Value>,
) -> Result<BTreeMap<String, String>, Answer> {
    let wrong = || Answer::field("partner_params");
    let Some(params) = params else { return Ok(BTreeMap::new()) };
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    params.as_object().ok_or_else(wrong)?.iter().map(text).collect::<Option<_>>().ok_or_else(wrong)
}

/// Metadata: an array of names and values of bounded length.
pub(super) fn check_metadata(metadata: Option<&Value>) -> Result<(), Answer> {
    let good = |entry: &Value| {
        let within = |field: &str, most: usize| {
            entry.get(field).and_then(Value::as_str).is_some_and(|text| text.chars().count() <= most)
        };
        within("name", 100) && within("value", 1000)
    };
    match metadata {
        None => Ok(()),
        Some(Value::Array(entries)) if entries.iter().all(good) => Ok(()),
        Some(_) => Err(Answer::field("metadata")),
    }
}

/// An absolute https URL with a host.
pub(super) fn is_https(text: &str) -> bool {
    text.parse::<hyper::Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()))
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(mailbox, host)| {
        !mailbox.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !text.contains(char::is_whitespace)
            && !host.contains('@')
    })
}

/// E.164: a plus sign, 7 to 15 digits, the first of them not 0.
fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::answer::Content;
    use serde_json::json;

    const NOW: WallTime = WallTime::from_unix_millis(1_767_323_045_000);

    fn named(answer: Answer) -> String {
        let Content::Json(body) = answer.content else { panic!("no JSON") };
        body["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn consent_is_whole_or_refused_by_field() {
        let good = json!({
            "granted": true, "granted_at": "2026-01-02T03:04:05.000Z", "notice_language": "EN",
            "notice_privacy_policy_url": "https://example.com/privacy",
        });
        assert!(check_consent(Some(&good), NOW).is_ok());
        for (field, value) in [
            ("granted", json!(false)),
            ("granted", json!("true")),
            ("granted_at", json!("2026-01-02T03:05:05.001Z")),
            ("granted_at", json!("yesterday")),
            ("notice_language", json!("en")),
            ("notice_language", json!("ENG")),
            ("notice_privacy_policy_url", json!("http://example.com/privacy")),
            ("notice_privacy_policy_url", json!("https://")),
            ("more", json!(1)),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            let message = named(check_consent(Some(&bad), NOW).unwrap_err());
            assert_eq!(message, format!("Required field 'consent.{field}' is missing or invalid."));
        }
        let mut ahead = good.clone();
        ahead["granted_at"] = json!("2026-01-02T03:05:05.000Z");
        assert!(check_consent(Some(&ahead), NOW).is_ok(), "a minute ahead is taken");
        assert!(check_consent(None, NOW).is_err());
    }

    #[test]
    fn a_person_has_names_and_one_contact() {
        let good = json!({ "given_names": "Jane", "last_name": "Smith", "email": null, "phone_number": "+2348012345678" });
        assert!(read_person(Some(&good)).is_ok());
        for (field, value) in [
            ("given_names", json!("")),
            ("last_name", json!(null)),
            ("email", json!("nobody")),
            ("email", json!("a@b@c.d")),
            ("phone_number", json!("2348012345678")),
            ("phone_number", json!("+0348012345")),
            ("dob", json!("1990-01-01")),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            let message = named(read_person(Some(&bad)).err().unwrap());
            assert_eq!(message, format!("Required field 'user_details.{field}' is missing or invalid."));
        }
        let bare = json!({ "given_names": "Jane", "last_name": "Smith" });
        assert_eq!(
            named(read_person(Some(&bare)).err().unwrap()),
            "Either email or phone_number is required."
        );
    }

    #[test]
    fn params_are_texts_and_metadata_is_bounded() {
        assert!(read_partner_params(Some(&json!({ "a": "b" }))).is_ok());
        assert!(read_partner_params(Some(&json!({ "a": 1 }))).is_err());
        assert!(read_partner_params(Some(&json!([]))).is_err());
        assert!(check_metadata(Some(&json!([{ "name": "n", "value": "v" }]))).is_ok());
        assert!(check_metadata(Some(&json!([{ "name": "n".repeat(101), "value": "v" }]))).is_err());
        assert!(check_metadata(Some(&json!({}))).is_err());
    }
}
