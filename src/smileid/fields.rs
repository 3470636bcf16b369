//! What the service would refuse, found before anything is stored or sent: each field with its name and a remedy.
//! A value is never repeated in a message, for it may be a name or a number of somebody.

use super::submission::{Consent, Details, IdInfo};
use std::collections::BTreeMap;

/// A field that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct BadField {
    /// Its name on the wire.
    pub field: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// A [`BadField`] of these words.
pub(crate) fn bad<T>(
    field: impl Into<String>,
    problem: &'static str,
    remedy: &'static str,
) -> Result<T, BadField> {
    Err(BadField { field: field.into(), problem, remedy })
}

/// Most characters of a name.
const NAME_MAX: usize = 100;

/// Characters that change what a line looks like: control characters, and those that turn the direction of writing.
/// Letters of right-to-left scripts are letters like others.
fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn name(field: &str, value: &str) -> Result<(), BadField> {
    if value.trim().is_empty() {
        return bad(field, "is empty", "give the name as the person's document has it");
    }
    optional_name(field, value)
}

fn optional_name(field: &str, value: &str) -> Result<(), BadField> {
    if value.chars().count() > NAME_MAX {
        return bad(field, "has more than 100 characters", "give the name as the person's document has it");
    }
    if value.chars().any(disturbs) {
        let remedy = "type it anew; letters of every script are fine";
        return bad(field, "has characters that control the text instead of writing it", remedy);
    }
    Ok(())
}

/// 1 to `most` visible ASCII characters of `more` or letters and digits.
fn token(
    field: &'static str,
    value: &str,
    most: usize,
    more: &str,
    remedy: &'static str,
) -> Result<(), BadField> {
    let good = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    if value.is_empty() || value.len() > most || !value.chars().all(good) {
        return bad(field, "does not have the form that the service takes", remedy);
    }
    Ok(())
}

impl Details {
    /// Names, and a way to reach the person.
    pub(crate) fn check(&self) -> Result<(), BadField> {
        name("given_names", &self.given_names)?;
        name("last_name", &self.last_name)?;
        if self.email.is_none() && self.phone.is_none() {
            return bad("email", "and phone_number are both missing", "give one of the two");
        }
        self.check_contact()
    }

    /// What is there, where nothing needs to be.
    pub(crate) fn check_optional(&self) -> Result<(), BadField> {
        optional_name("given_names", &self.given_names)?;
        optional_name("last_name", &self.last_name)?;
        self.check_contact()
    }

    fn check_contact(&self) -> Result<(), BadField> {
        if let Some(email) = &self.email {
            let shape =
                email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            if !shape || email.len() > 254 || email.chars().any(|c| c.is_whitespace() || disturbs(c)) {
                return bad("email", "is no e-mail address", "write it as name@example.com");
            }
        }
        if let Some(phone) = &self.phone {
            let digits = phone.strip_prefix('+').unwrap_or_default();
            let good = (7..=15).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !digits.starts_with('0');
            if !good {
                let remedy = "write + and 7 to 15 digits without spaces, as in +2348012345678";
                return bad("phone_number", "is not in international form", remedy);
            }
        }
        Ok(())
    }
}

impl Consent {
    /// Its form; when it was given is for the caller's clock to judge.
    pub(crate) fn check(&self) -> Result<(), BadField> {
        if self.language.len() != 2 || !self.language.bytes().all(|b| b.is_ascii_alphabetic()) {
            return bad("consent language", "is not two letters", "write EN, FR, PT …");
        }
        let url = &self.policy_url;
        if !url.starts_with("https://")
            || url.len() > 2048
            || url.chars().any(|c| c.is_whitespace() || disturbs(c))
        {
            return bad("consent policy_url", "is no https address", "give the address of the notice shown");
        }
        Ok(())
    }
}

impl IdInfo {
    /// The fields that are there.
    pub(crate) fn check(&self) -> Result<(), BadField> {
        if let Some(country) = &self.country
            && !(country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return bad("country", "is not two capital letters", "write NG, KE, ZA … (ISO 3166-1 alpha-2)");
        }
        if let Some(kind) = &self.id_type {
            token("id_type", kind, 64, "_-", "write it as `latchd services` lists it, as in NIN_V2")?;
        }
        if let Some(number) = &self.id_number {
            token("id_number", number, 64, "_-/.", "write it as the document has it, without spaces")?;
        }
        for (field, value) in [
            ("first_name", &self.first_name),
            ("middle_name", &self.middle_name),
            ("last_name", &self.last_name),
            ("operator", &self.operator),
        ] {
            value.as_deref().map_or(Ok(()), |value| optional_name(field, value))?;
        }
        if let Some(dob) = &self.dob
            && (dob.len() != 10 || dob.parse::<jiff::civil::Date>().is_err())
        {
            return bad("dob", "is no date", "write it as 1990-12-31");
        }
        if let Some(code) = &self.bank_code {
            token("bank_code", code, 20, "", "write it as `latchd services` lists it")?;
        }
        Ok(())
    }
}

/// Metadata: bounded names and values.
pub(crate) fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), BadField> {
    for (name, value) in metadata {
        let good = |text: &str, most: usize| {
            (1..=most).contains(&text.chars().count()) && !text.chars().any(disturbs)
        };
        if !good(name, 100) || !good(value, 1000) {
            let shown: String = name.chars().filter(|c| !disturbs(*c)).take(40).collect();
            let remedy = "a name has 1 to 100 characters and a value 1 to 1000, without control characters";
            return bad(format!("metadata {shown}"), "does not fit", remedy);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    fn details() -> Details {
        Details {
            given_names: "آمنة فاطمة".into(),
            last_name: "Ọládélé".into(),
            email: Some("a@example.com".into()),
            phone: Some("+2348012345678".into()),
        }
    }

    #[test]
    fn letters_of_every_script_are_names_and_signs_that_control_the_text_are_not() {
        details().check().unwrap();
        for wrong in ["", "  ", &"x".repeat(1000), "a\u{202e}b", "a\nb", "\u{2066}a"] {
            let person = Details { given_names: wrong.into(), ..details() };
            let error = person.check().unwrap_err();
            assert_eq!(error.field, "given_names");
            assert!(wrong.trim().is_empty() || !error.to_string().contains(wrong));
        }
    }

    #[test]
    fn contacts_have_their_forms() {
        for wrong in ["+234 801 234 5678", "08012345678", "+0801234567", "+12345", "+1234567890123456"] {
            let person = Details { phone: Some(wrong.into()), ..details() };
            assert_eq!(person.check().unwrap_err().field, "phone_number", "{wrong}");
        }
        for wrong in ["a", "a@b", "@b.c", "a b@c.d"] {
            let person = Details { email: Some(wrong.into()), ..details() };
            assert_eq!(person.check().unwrap_err().field, "email", "{wrong}");
        }
        let nobody = Details { email: None, phone: None, ..details() };
        assert!(nobody.check().is_err() && nobody.check_optional().is_ok());
    }

    #[test]
    fn numbers_and_dates_have_their_forms() {
        let field = |info: IdInfo| info.check().unwrap_err().field;
        let one = |value: &str| Some(value.to_owned());
        for country in ["ng", "NGA", "N", "Ñ", ""] {
            assert_eq!(field(IdInfo { country: one(country), ..IdInfo::default() }), "country", "{country}");
        }
        for number in ["", "12 34", "1\n2", &"1".repeat(65)] {
            assert_eq!(field(IdInfo { id_number: one(number), ..IdInfo::default() }), "id_number");
        }
        for dob in ["1990-2-3", "1990-02-30", "31.12.1990", "1990-12-31T00:00:00Z"] {
            assert_eq!(field(IdInfo { dob: one(dob), ..IdInfo::default() }), "dob", "{dob}");
        }
        let good = IdInfo {
            country: one("NG"),
            id_type: one("NIN_V2"),
            id_number: one("00000000000"),
            dob: one("1990-12-31"),
            ..IdInfo::default()
        };
        good.check().unwrap();
    }

    #[test]
    fn a_consent_and_metadata_have_their_forms() {
        let good = Consent {
            granted_at: WallTime::from_unix_millis(1_767_323_045_000),
            language: "en".into(),
            policy_url: "https://example.com/privacy".into(),
        };
        good.check().unwrap();
        assert!(Consent { language: "eng".into(), ..good.clone() }.check().is_err());
        assert!(Consent { policy_url: "http://example.com".into(), ..good }.check().is_err());
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check_metadata(&map("a", "b")).unwrap();
        for (name, value) in [("", "b"), ("a", ""), (&*"a".repeat(101), "b"), ("a", &*"b".repeat(1001))] {
            assert!(check_metadata(&map(name, value)).is_err());
        }
    }
}
