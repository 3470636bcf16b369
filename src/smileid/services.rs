//! What the service can be asked about: its published lists of numbers, documents and banks, kept for when there is no
//! network, and what they say about a form.

use super::body::Body;
use super::check::CheckForm;
use super::classify::Endpoint;
use super::client::Client;
use super::failure::Failure;
use super::fields::{BadField, bad};
use super::transport::Call;
use crate::access::Check;
use crate::config::model::Api;
use regex_lite::RegexBuilder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ureq::http::Method;

/// A kind of number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IdType {
    /// Two capital letters.
    pub country: String,
    /// Its name on the wire.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name for people.
    pub label: String,
    /// What a number must match.
    pub regex: String,
    /// Fields that must be there.
    #[serde(default)]
    pub required_fields: Vec<String>,
    /// The bank, where the number is one of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_code: Option<String>,
}

/// A kind of document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Two capital letters.
    pub country: String,
    /// Its name on the wire.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// Whether it has a back to be handed in.
    pub has_back: bool,
}

/// A bank.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bank {
    /// Two capital letters, where the list says.
    #[serde(default)]
    pub country: Option<String>,
    /// Its name.
    pub name: String,
    /// Its code.
    pub code: String,
}

/// All of it, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lists {
    /// When they were fetched, RFC 3339; `None` where the time was not known.
    pub fetched_at: Option<String>,
    /// Kinds of numbers.
    pub id_types: Vec<IdType>,
    /// Kinds of documents.
    pub documents: Vec<Document>,
    /// Banks.
    pub bank_codes: Vec<Bank>,
}

/// Longest pattern that is tried on a number.
const PATTERN_MAX: usize = 512;
/// Most memory of a compiled pattern, in bytes.
const COMPILED_MAX: usize = 256 * 1024;

impl Client {
    /// Fetches the lists. They need no credentials.
    ///
    /// # Errors
    /// No answer, or none that is a list.
    pub fn services(&self) -> Result<Lists, Failure> {
        let id_types = self.list("supported_id_types", "id_types")?;
        let documents = self.list("supported_documents", "valid_documents")?;
        let bank_codes = self.list("bank_codes", "bank_codes")?;
        Ok(Lists {
            fetched_at: self.clock.wall().known().map(crate::clock::WallTime::to_rfc3339),
            id_types: understood(id_types),
            documents: documents.iter().flat_map(documents_of).collect(),
            bank_codes: understood(bank_codes),
        })
    }

    fn list(&self, name: &str, field: &'static str) -> Result<Vec<Value>, Failure> {
        let url = format!("{}/v3/services/{name}", self.settings.base);
        let headers = self.source_headers().to_vec();
        let call = Call { endpoint: Endpoint::List, method: Method::GET, url: &url, headers };
        let exchange = self.transport.exchange(call, &mut Body::new(Vec::new()));
        let object = self.success(Api::V3, &exchange, &[])?;
        let list = object.get(field).and_then(Value::as_array).cloned();
        list.ok_or_else(|| exchange.failure(Api::V3, "it has no such list", &[]))
    }
}

/// The entries that have the published form. One that has not makes the others no worse.
fn understood<T: serde::de::DeserializeOwned>(entries: Vec<Value>) -> Vec<T> {
    entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

/// A country's entry has its documents inside.
fn documents_of(entry: &Value) -> Vec<Document> {
    let country = entry.get("country").and_then(|country| country.get("code")).and_then(Value::as_str);
    let kinds = entry.get("id_types").and_then(Value::as_array);
    let (Some(country), Some(kinds)) = (country, kinds) else { return Vec::new() };
    let document = |kind: &Map<String, Value>| {
        let text = |name: &str| kind.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Document {
            country: country.to_owned(),
            code: text("code")?,
            name: text("name")?,
            has_back: kind.get("has_back").and_then(Value::as_bool).unwrap_or(false),
        })
    };
    kinds.iter().filter_map(|kind| document(kind.as_object()?)).collect()
}

const REFRESH: &str = "see `latchd services`; where its list is old, `latchd services --refresh`";

impl Lists {
    /// Holds a form against the lists.
    ///
    /// # Errors
    /// Country, kind or number is none that the service takes, or a field is missing that it wants for this kind.
    pub fn check(&self, check: Check, form: &CheckForm) -> Result<(), BadField> {
        match check {
            Check::BiometricKyc | Check::EnhancedKyc | Check::BasicKyc => self.check_number(form),
            Check::DocumentVerification | Check::EnhancedDocumentVerification => self.check_document(form),
            Check::Registration | Check::Authentication | Check::Compare | Check::UpdatePhoto => Ok(()),
        }
    }

    fn check_number(&self, form: &CheckForm) -> Result<(), BadField> {
        let of_country: Vec<_> =
            self.id_types.iter().filter(|entry| Some(&entry.country) == form.country.as_ref()).collect();
        if of_country.is_empty() {
            return bad("country", "is none in which the service checks numbers", REFRESH);
        }
        let of_kind: Vec<_> =
            of_country.into_iter().filter(|entry| Some(&entry.kind) == form.id_type.as_ref()).collect();
        let Some(first) = of_kind.first() else {
            return bad("id_type", "is none that the service has for this country", REFRESH);
        };
        let number = form.id_number.as_deref().unwrap_or_default();
        if !of_kind.iter().any(|entry| entry.takes(number)) {
            return bad("id_number", "does not have the form of this kind of number", REFRESH);
        }
        let wants_bank = of_kind.iter().all(|entry| entry.bank_code.is_some());
        if wants_bank && !of_kind.iter().any(|entry| entry.bank_code == form.bank_code) {
            return bad("bank_code", "is none of this kind of account", REFRESH);
        }
        for field in &first.required_fields {
            let missing = match field.as_str() {
                "first_name" | "given_names" => form.given_names.is_empty(),
                "last_name" => form.last_name.is_empty(),
                "middle_name" => form.middle_name.is_none(),
                "dob" => form.dob.is_none(),
                "phone_number" => form.phone.is_none(),
                "operator" => form.operator.is_none(),
                // The others are looked at elsewhere, or are none that this device knows.
                _ => false,
            };
            if missing {
                return bad(
                    field.clone(),
                    "is missing, and this kind of number needs it",
                    "add it to the form",
                );
            }
        }
        Ok(())
    }

    fn check_document(&self, form: &CheckForm) -> Result<(), BadField> {
        let mut of_country =
            self.documents.iter().filter(|entry| Some(&entry.country) == form.country.as_ref()).peekable();
        if of_country.peek().is_none() {
            return bad("country", "is none whose documents the service judges", REFRESH);
        }
        match &form.id_type {
            Some(kind) if !of_country.any(|entry| entry.code == *kind) => {
                bad("id_type", "is none of this country's documents that the service judges", REFRESH)
            }
            _ => Ok(()),
        }
    }
}

impl IdType {
    /// Whether a number has this kind's form. A pattern that cannot be used here refuses nothing: the service judges it.
    fn takes(&self, number: &str) -> bool {
        if self.regex.len() > PATTERN_MAX {
            return true;
        }
        let pattern = RegexBuilder::new(&self.regex).size_limit(COMPILED_MAX).build();
        pattern.map_or(true, |pattern| pattern.is_match(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lists() -> Lists {
        let types = json!([
            { "country": "NG", "type": "BVN", "label": "Bank Verification Number", "regex": "^\\d{11}$",
              "required_fields": ["first_name", "last_name", "dob"] },
            { "country": "NG", "type": "BANK_ACCOUNT", "label": "Account", "regex": "^\\d{10}$", "bank_code": "044" },
            { "country": "KE", "type": "ODD", "label": "A pattern of another engine", "regex": "(?<=x)1" },
            { "country": "XX" }, 7,
        ]);
        let documents = json!({ "country": { "code": "NG" }, "id_types": [{ "code": "PASSPORT", "name": "Passport" }, {}] });
        Lists {
            fetched_at: None,
            id_types: understood(types.as_array().unwrap().clone()),
            documents: documents_of(&documents),
            bank_codes: Vec::new(),
        }
    }

    fn form(country: &str, kind: &str, number: &str) -> CheckForm {
        CheckForm {
            given_names: "A".into(),
            last_name: "B".into(),
            country: Some(country.into()),
            id_type: Some(kind.into()),
            id_number: Some(number.into()),
            dob: Some("1990-01-01".into()),
            ..CheckForm::default()
        }
    }

    #[test]
    fn entries_without_the_published_form_are_left_out() {
        assert_eq!((lists().id_types.len(), lists().documents.len()), (3, 1));
    }

    #[test]
    fn a_number_is_held_against_the_services_own_pattern() {
        let field = |form: &CheckForm| lists().check(Check::EnhancedKyc, form).err().map(|bad| bad.field);
        assert_eq!(field(&form("NG", "BVN", "12345678901")), None);
        assert_eq!(field(&form("NG", "BVN", "1234567890")).as_deref(), Some("id_number"));
        assert_eq!(field(&form("NG", "NIN", "12345678901")).as_deref(), Some("id_type"));
        assert_eq!(field(&form("GH", "BVN", "12345678901")).as_deref(), Some("country"));
        let without = CheckForm { dob: None, ..form("NG", "BVN", "12345678901") };
        assert_eq!(field(&without).as_deref(), Some("dob"));
        let account = form("NG", "BANK_ACCOUNT", "1234567890");
        assert_eq!(field(&account).as_deref(), Some("bank_code"));
        let named = CheckForm { bank_code: Some("044".into()), ..account };
        assert_eq!(field(&named), None);
        assert_eq!(field(&form("KE", "ODD", "anything")), None, "what cannot be tried refuses nothing");
    }

    #[test]
    fn a_document_is_one_of_its_countrys() {
        let field = |country, kind| {
            lists()
                .check(Check::EnhancedDocumentVerification, &form(country, kind, ""))
                .err()
                .map(|bad| bad.field)
        };
        assert_eq!(field("NG", "PASSPORT"), None);
        assert_eq!(field("NG", "LIBRARY_CARD").as_deref(), Some("id_type"));
        assert_eq!(field("GH", "PASSPORT").as_deref(), Some("country"));
        assert!(lists().check(Check::Compare, &form("GH", "x", "")).is_ok());
    }
}
