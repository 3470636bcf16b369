//! A person as data, and the checks that each field passes before it becomes a row.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::PeopleError;
use crate::access::UserId;
use crate::clock::{Wall, WallTime};

/// Names and contact, as the service asks for them. `Debug` hides all of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Given names, 1 to 100 characters.
    pub given_names: String,
    /// Family name, 1 to 100 characters.
    pub last_name: String,
    /// E-mail address; this or the phone number must be there.
    pub email: Option<String>,
    /// Phone number in international form, `+` and 7 to 15 digits.
    pub phone: Option<String>,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(hidden)")
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.given_names.zeroize();
        self.last_name.zeroize();
        self.email.zeroize();
        self.phone.zeroize();
    }
}

/// What a person agreed to, and when. Recorded, never invented (door-rules 16).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// When it was given.
    pub granted_at: WallTime,
    /// Language of the notice, two capital letters.
    pub language: String,
    /// Where the privacy policy that was shown can be read; https.
    pub policy_url: String,
}

/// A person to be listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPerson {
    /// The claimed identity.
    pub user_id: UserId,
    /// Whether this person may open the door (door-rules 15).
    pub may_open: bool,
    /// Names and contact.
    pub contact: Contact,
    /// Without it nothing is captured or sent.
    pub consent: Option<Consent>,
}

impl NewPerson {
    /// Checks each field; `now` bounds the consent's time when the clock is known.
    pub fn check(&self, now: Wall) -> Result<(), PeopleError> {
        let Contact { given_names, last_name, email, phone } = &self.contact;
        name("given_names", given_names)?;
        name("last_name", last_name)?;
        if email.is_none() && phone.is_none() {
            return refuse("email", "or phone must be given");
        }
        if !email.as_deref().is_none_or(is_email) {
            return refuse("email", "is no e-mail address");
        }
        if !phone.as_deref().is_none_or(is_phone) {
            return refuse("phone", "must be + and 7 to 15 digits, the first not 0");
        }
        self.consent.as_ref().map_or(Ok(()), |consent| consent.check(now))
    }
}

impl Consent {
    fn check(&self, now: Wall) -> Result<(), PeopleError> {
        if self.language.len() != 2 || !self.language.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return refuse("consent_language", "must be two capital letters");
        }
        if !is_https(&self.policy_url) {
            return refuse("consent_policy_url", "must be an https address");
        }
        if now.known().is_some_and(|now| self.granted_at > now) {
            return refuse("consent_granted_at", "is in the future");
        }
        Ok(())
    }
}

fn refuse(field: &'static str, why: &'static str) -> Result<(), PeopleError> {
    Err(PeopleError::Field { field, why })
}

fn name(field: &'static str, text: &str) -> Result<(), PeopleError> {
    if text.trim().is_empty() {
        return refuse(field, "must not be empty");
    }
    if text.chars().count() > 100 || text.chars().any(char::is_control) {
        return refuse(field, "must be at most 100 characters, none of them a control character");
    }
    Ok(())
}

/// The shape only: something, one `@`, a domain with a dot. Whether it exists is the service's business.
fn is_email(text: &str) -> bool {
    let plain =
        |c: char| !c.is_whitespace() && !c.is_control() && c != '@' && c != '"' && c != '<' && c != '>';
    let Some((local, domain)) = text.split_once('@') else { return false };
    let labels = domain.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    });
    text.len() <= 254 && !local.is_empty() && local.chars().all(plain) && domain.contains('.') && labels
}

/// `^\+[1-9]\d{6,14}$`
fn is_phone(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_https(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    text.len() <= 2000
        && !host.is_empty()
        && !host.contains('@')
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '`'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_is_international() {
        for good in ["+1234567", "+123456789012345"] {
            assert!(is_phone(good), "{good}");
        }
        for bad in ["1234567", "+0234567", "+123456", "+1234567890123456", "+12345 67", "+", ""] {
            assert!(!is_phone(bad), "{bad}");
        }
    }

    #[test]
    fn an_email_has_its_shape() {
        for good in ["a@b.co", "ada.l+x@mail.example.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in
            ["", "a", "a@b", "@b.co", "a@.co", "a@b..co", "a b@c.de", "a@b@c.de", "a@-b.co", "<a>@b.co"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn a_policy_is_shown_over_https() {
        assert!(is_https("https://example.org/privacy?lang=en"));
        for bad in ["http://example.org", "https://", "https:///x", "https://u@h/", "https://a b/", "ftp://x"]
        {
            assert!(!is_https(bad), "{bad}");
        }
    }

    #[test]
    fn consent_from_the_future_is_refused_only_when_the_clock_is_known() {
        let consent = Consent {
            granted_at: WallTime::from_unix_millis(2_000),
            language: "EN".into(),
            policy_url: "https://example.org".into(),
        };
        let at = |millis| Wall::Known(WallTime::from_unix_millis(millis));
        assert!(consent.check(at(2_000)).is_ok());
        assert!(matches!(
            consent.check(at(1_999)),
            Err(PeopleError::Field { field: "consent_granted_at", .. })
        ));
        assert!(consent.check(Wall::Unknown).is_ok());
    }
}
