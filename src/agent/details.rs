//! What the service wants to know of the person: taken from the list when the job is made, sealed with the job,
//! so that a job can be submitted after the person was taken off the list, and erased with the job's key.

use crate::clock::WallTime;
use crate::people::Person;
use crate::smileid::{Consent, Details};
use serde::{Deserialize, Serialize};

/// The sealed form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    given_names: String,
    last_name: String,
    email: Option<String>,
    phone: Option<String>,
    consent_granted_ms: i64,
    consent_language: String,
    consent_policy_url: String,
}

/// The bytes that are sealed with the job; `None` without a recorded consent (door-rules 16).
pub fn to_bytes(person: &Person) -> Option<Vec<u8>> {
    let consent = person.consent.as_ref()?;
    let stored = Stored {
        given_names: person.contact.given_names.clone(),
        last_name: person.contact.last_name.clone(),
        email: person.contact.email.clone(),
        phone: person.contact.phone.clone(),
        consent_granted_ms: consent.granted_at.as_unix_millis(),
        consent_language: consent.language.clone(),
        consent_policy_url: consent.policy_url.clone(),
    };
    serde_json::to_vec(&stored).ok()
}

/// The reverse; `None` when the bytes are something else.
pub fn from_bytes(bytes: &[u8]) -> Option<(Details, Consent)> {
    let stored: Stored = serde_json::from_slice(bytes).ok()?;
    Some((
        Details {
            given_names: stored.given_names,
            last_name: stored.last_name,
            email: stored.email,
            phone: stored.phone,
        },
        Consent {
            granted_at: WallTime::from_unix_millis(stored.consent_granted_ms),
            language: stored.consent_language,
            policy_url: stored.consent_policy_url,
        },
    ))
}

/// The details of a published test identity of the service, for measuring.
pub fn test_identity() -> Vec<u8> {
    let stored = Stored {
        given_names: "Amina Fatou".into(),
        last_name: "Clearwater".into(),
        email: Some("amina.clearwater@example.com".into()),
        phone: None,
        consent_granted_ms: crate::clock::WALL_FLOOR.as_unix_millis(),
        consent_language: "EN".into(),
        consent_policy_url: "https://example.com/privacy".into(),
    };
    serde_json::to_vec(&stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_with_a_job_is_read_back() {
        let (details, consent) = from_bytes(&test_identity()).unwrap();
        assert_eq!(details.last_name, "Clearwater");
        assert_eq!(consent.language, "EN");
        for broken in ["", "{}", r#"{"given_names":"x"}"#, "[1]"] {
            assert!(from_bytes(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
