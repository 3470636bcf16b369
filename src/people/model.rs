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

/// A person as an import file knows them. `None` is a column that the file does not have: what is recorded stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonChange {
    /// The claimed identity.
    pub user_id: UserId,
    /// Whether this person may open the door. Never kept: whoever writes the file says it.
    pub may_open: bool,
    /// Names and contact.
    pub contact: ContactChange,
    /// `Some(None)` takes a recorded consent away.
    pub consent: Option<Option<Consent>>,
}

/// Names and contact of a [`PersonChange`]; `Some(None)` takes away. `Debug` hides all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactChange {
    /// Given names.
    pub given_names: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
}

impl fmt::Debug for ContactChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactChange(hidden)")
    }
}

impl Drop for ContactChange {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.given_names.zeroize();
        self.last_name.zeroize();
        self.email.zeroize();
        self.phone.zeroize();
    }
}

impl NewPerson {
    /// Checks each field; `now` bounds the consent's time when the clock is known.
    pub fn check(&self, now: Wall) -> Result<(), PeopleError> {
        if self.user_id.as_str() == UserId::ERASED {
            return Err(PeopleError::Field { field: "user_id", why: "stands for people who were erased" });
        }
        let Contact { given_names, last_name, email, phone } = &self.contact;
        name("given_names", given_names)?;
        name("last_name", last_name)?;
        reachable(email.as_deref(), phone.as_deref())?;
        self.consent.as_ref().map_or(Ok(()), |consent| consent.check(now))
    }
}

impl PersonChange {
    /// Checks the fields that are there, as [`NewPerson::check`].
    pub fn check(&self, now: Wall) -> Result<(), PeopleError> {
        let ContactChange { given_names, last_name, email, phone } = &self.contact;
        given_names.as_deref().map_or(Ok(()), |text| name("given_names", text))?;
        last_name.as_deref().map_or(Ok(()), |text| name("last_name", text))?;
        match (email, phone) {
            (Some(email), Some(phone)) => reachable(email.as_deref(), phone.as_deref())?,
            _ => {
                email.iter().flatten().try_for_each(|text| email_shape(text))?;
                phone.iter().flatten().try_for_each(|text| phone_shape(text))?;
            }
        }
        self.consent.iter().flatten().try_for_each(|consent| consent.check(now))
    }

    /// Whether what is recorded of this person has to be known.
    pub fn keeps_something(&self) -> bool {
        let ContactChange { given_names, last_name, email, phone } = &self.contact;
        given_names.is_none()
            || last_name.is_none()
            || email.is_none()
            || phone.is_none()
            || self.consent.is_none()
    }

    /// The person after the change; `known` is who was recorded before. A name that neither has is refused.
    pub fn onto(&self, known: Option<(Contact, Option<Consent>)>) -> Result<NewPerson, PeopleError> {
        let (contact, consent) = known.map_or((None, None), |(contact, consent)| (Some(contact), consent));
        let change = &self.contact;
        let name = |given: &Option<String>, field, kept: fn(&Contact) -> &String| {
            let missing = PeopleError::Field { field, why: "is missing, and this person is not listed yet" };
            given.as_ref().or(contact.as_ref().map(kept)).cloned().ok_or(missing)
        };
        let reach = |given: &Option<Option<String>>, kept: fn(&Contact) -> &Option<String>| {
            given.as_ref().or(contact.as_ref().map(kept)).cloned().flatten()
        };
        Ok(NewPerson {
            user_id: self.user_id.clone(),
            may_open: self.may_open,
            contact: Contact {
                given_names: name(&change.given_names, "given_names", |contact| &contact.given_names)?,
                last_name: name(&change.last_name, "last_name", |contact| &contact.last_name)?,
                email: reach(&change.email, |contact| &contact.email),
                phone: reach(&change.phone, |contact| &contact.phone),
            },
            consent: self.consent.clone().unwrap_or(consent),
        })
    }
}

fn reachable(email: Option<&str>, phone: Option<&str>) -> Result<(), PeopleError> {
    if email.is_none() && phone.is_none() {
        return refuse("email", "or phone must be given");
    }
    email.map_or(Ok(()), email_shape)?;
    phone.map_or(Ok(()), phone_shape)
}

fn email_shape(text: &str) -> Result<(), PeopleError> {
    if is_email(text) { Ok(()) } else { refuse("email", "is no e-mail address") }
}

fn phone_shape(text: &str) -> Result<(), PeopleError> {
    if is_phone(text) { Ok(()) } else { refuse("phone", "must be + and 7 to 15 digits, the first not 0") }
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
