//! `GET /v3/services/…`: what the service can be asked about. A few entries of its published lists.

use serde_json::{Value, json};

use crate::sandbox::answer::Answer;

/// One of the lists, whole or of one country.
pub(in crate::sandbox) fn services(list: &str, query: &str) -> Answer {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let country = value("country").or(value("country_code"));
    let of = |entries: Value, place: fn(&Value) -> Option<&str>| -> Vec<Value> {
        let Value::Array(entries) = entries else { return Vec::new() };
        let wanted = |entry: &Value| country.is_none() || place(entry) == country;
        entries.into_iter().filter(wanted).collect()
    };
    match list {
        "supported_id_types" => Answer::json(200, json!({ "id_types": of(id_types(), plain) })),
        "bank_codes" => Answer::json(200, json!({ "bank_codes": of(bank_codes(), plain) })),
        "supported_documents" => Answer::json(200, json!({ "valid_documents": of(documents(), nested) })),
        _ => Answer::refusal(404, "Resource not found."),
    }
}

fn plain(entry: &Value) -> Option<&str> {
    entry.get("country")?.as_str()
}

fn nested(entry: &Value) -> Option<&str> {
    entry.get("country")?.get("code")?.as_str()
}

fn id_types() -> Value {
    json!([
        { "country": "NG", "type": "NIN_V2", "label": "National ID with Photo", "regex": "^[0-9]{11}$",
          "required_fields": ["first_name", "last_name"] },
        { "country": "NG", "type": "BVN", "label": "Bank Verification Number", "regex": "^\\d{11}$",
          "required_fields": ["first_name", "last_name", "dob"] },
        { "country": "KE", "type": "NATIONAL_ID", "label": "National ID", "regex": "^[0-9]{1,9}$",
          "required_fields": ["first_name", "last_name"] },
        { "country": "NG", "type": "BANK_ACCOUNT", "label": "Bank Account (Access Bank)", "regex": "^\\d{10}$",
          "bank_code": "044", "required_fields": ["first_name", "last_name"] },
    ])
}

fn bank_codes() -> Value {
    json!([
        { "country": "NG", "name": "Access Bank", "code": "044" },
        { "country": "NG", "name": "Zenith Bank", "code": "057" },
    ])
}

fn documents() -> Value {
    json!([
        { "country": { "code": "NG", "name": "Nigeria", "continent": "AFRICA" },
          "id_types": [
              { "code": "PASSPORT", "name": "Passport", "example": [], "has_back": false },
              { "code": "DRIVERS_LICENSE", "name": "Driver's License", "example": [], "has_back": true },
          ] },
        { "country": { "code": "KE", "name": "Kenya", "continent": "AFRICA" },
          "id_types": [{ "code": "NATIONAL_ID", "name": "National ID", "example": [], "has_back": true }] },
    ])
}
