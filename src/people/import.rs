//! Import files: CSV with a header, or JSON objects with the same names. All or nothing; an error names the line and
//! never a person. What a file does not speak of stays as it is recorded; an empty field takes it away.
//!
//! The CSV reader is our own hundred lines: a crate would bring record numbers, and what an operator needs in an
//! error is the line as the editor counts it, also after quoted line breaks.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::model::{ContactChange, PersonChange};
use super::{Consent, PeopleError};
use crate::access::UserId;
use crate::access::words::NotAUserId;
use crate::clock::{Wall, WallTime};

/// What an import file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportFormat {
    /// Comma-separated, UTF-8, first line the column names (RFC 4180).
    Csv,
    /// One array of objects, or objects one after the other.
    Json,
}

/// Largest import file, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;

/// What an import file may say of a person.
pub(super) const COLUMNS: [&str; 9] = [
    "user_id",
    "may_open",
    "given_names",
    "last_name",
    "email",
    "phone",
    "consent_granted_at",
    "consent_language",
    "consent_policy_url",
];
/// What `people show --json` prints beside the columns.
const IGNORED: &str = "kind";

/// What a record says in one column.
#[derive(Default)]
enum Field {
    /// The record has no such column: what is recorded stays.
    #[default]
    Absent,
    /// Empty: what is recorded goes.
    Empty,
    Text(String),
    Flag(bool),
}

type Record = [Field; COLUMNS.len()];

/// Reads a whole file; each person comes with the line it begins on. `now` bounds the time of consents.
pub fn parse(text: &str, format: ImportFormat, now: Wall) -> Result<Vec<(usize, PersonChange)>, PeopleError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(at(1, "the file is larger than 16 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let records = match format {
        ImportFormat::Csv => csv(text)?,
        ImportFormat::Json => json(text)?,
    };
    let mut people = Vec::with_capacity(records.len());
    let mut seen = std::collections::HashMap::new();
    for (line, record) in records {
        let person = person(record, now).map_err(|error| at(line, error))?;
        if let Some(first) = seen.insert(person.user_id.clone(), line) {
            return Err(at(line, format!("the user id of line {first} again")));
        }
        people.push((line, person));
    }
    Ok(people)
}

/// Reads one person, an object with the columns' names.
pub fn parse_one(object: &Value, now: Wall) -> Result<PersonChange, PeopleError> {
    let object = Object::deserialize(object).map_err(|_| PeopleError::NoObject)?;
    person(record(object)?, now)
}

fn at(line: usize, why: impl std::fmt::Display) -> PeopleError {
    PeopleError::Line { line, why: why.to_string() }
}

fn refuse<T>(field: &'static str, why: &'static str) -> Result<T, PeopleError> {
    Err(PeopleError::Field { field, why })
}

impl Field {
    /// A text that may be left out or taken away.
    fn optional(self, field: &'static str) -> Result<Option<Option<String>>, PeopleError> {
        match self {
            Self::Absent => Ok(None),
            Self::Empty => Ok(Some(None)),
            Self::Text(text) => Ok(Some(Some(text))),
            Self::Flag(_) => refuse(field, "must be a text"),
        }
    }

    /// A text that may be left out; empty is for the person's own check to refuse.
    fn name(self, field: &'static str) -> Result<Option<String>, PeopleError> {
        Ok(self.optional(field)?.map(Option::unwrap_or_default))
    }
}

fn person(record: Record, now: Wall) -> Result<PersonChange, PeopleError> {
    let [user_id, may_open, given_names, last_name, email, phone, granted, language, policy] = record;
    let Some(user_id) = user_id.name("user_id")? else { return refuse("user_id", "is missing") };
    let may_open = match may_open {
        Field::Flag(flag) => flag,
        Field::Text(text) if text == "true" => true,
        Field::Text(text) if text == "false" => false,
        _ => return refuse("may_open", "must be true or false"),
    };
    let person = PersonChange {
        user_id: UserId::parse(&user_id).map_err(|_| PeopleError::NotAUserId(NotAUserId))?,
        may_open,
        contact: ContactChange {
            given_names: given_names.name("given_names")?,
            last_name: last_name.name("last_name")?,
            email: email.optional("email")?,
            phone: phone.optional("phone")?,
        },
        consent: consent(
            granted.optional("consent_granted_at")?,
            language.optional("consent_language")?,
            policy.optional("consent_policy_url")?,
        )?,
    };
    person.check(now)?;
    Ok(person)
}

/// The three parts go together: all are there, all are empty, or the record does not speak of consent.
fn consent(
    granted: Option<Option<String>>,
    language: Option<Option<String>>,
    policy: Option<Option<String>>,
) -> Result<Option<Option<Consent>>, PeopleError> {
    const WHY: &str = "is missing: a consent has its time, its language and its policy url";
    if granted.is_none() && language.is_none() && policy.is_none() {
        return Ok(None);
    }
    match (granted.flatten(), language.flatten(), policy.flatten()) {
        (None, None, None) => Ok(Some(None)),
        (Some(granted), Some(language), Some(policy_url)) => {
            let Some(granted_at) = WallTime::from_rfc3339(&granted) else {
                return refuse("consent_granted_at", "must be a time such as 2026-01-02T03:04:05Z");
            };
            Ok(Some(Some(Consent { granted_at, language, policy_url })))
        }
        (None, _, _) => refuse("consent_granted_at", WHY),
        (_, None, _) => refuse("consent_language", WHY),
        (_, _, None) => refuse("consent_policy_url", WHY),
    }
}

/// A JSON object with its keys in order and none of them lost: twice the same key must be seen.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(Object(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

fn record(Object(keys): Object) -> Result<Record, PeopleError> {
    let mut record = Record::default();
    for (key, value) in keys {
        if key == IGNORED {
            continue;
        }
        let known = COLUMNS.iter().zip(record.iter_mut()).find(|(column, _)| **column == key);
        let Some((column, field)) = known else { return Err(PeopleError::Column { name: key }) };
        if !matches!(field, Field::Absent) {
            return refuse(column, "is there twice");
        }
        *field = match value {
            Value::Null => Field::Empty,
            Value::String(text) if text.is_empty() => Field::Empty,
            Value::String(text) => Field::Text(text),
            Value::Bool(flag) => Field::Flag(flag),
            _ => return refuse(column, "must be a text"),
        };
    }
    Ok(record)
}

/// One array of objects, or objects one after the other as `people show --json` prints them.
fn json(text: &str) -> Result<Vec<(usize, Record)>, PeopleError> {
    // serde_json's own texts quote the input where a type is wrong: only its place is kept.
    let wrong = |error: serde_json::Error| at(error.line().max(1), "this is not JSON, or not objects");
    let mut items: Vec<&RawValue> = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.map_err(wrong)?;
        if value.get().starts_with('[') {
            items.extend(serde_json::from_str::<Vec<&RawValue>>(value.get()).map_err(wrong)?);
        } else {
            items.push(value);
        }
    }
    let mut records = Vec::with_capacity(items.len());
    // The raw items are parts of the text, in its order: the lines before each are counted once.
    let (mut offset, mut line) = (0, 1);
    for item in items {
        let start = (item.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        line += breaks(text.get(offset..start).unwrap_or_default());
        offset = start;
        let object = serde_json::from_str(item.get()).map_err(|_| at(line, PeopleError::NoObject))?;
        records.push((line, record(object).map_err(|error| at(line, error))?));
    }
    Ok(records)
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The columns of a header, as places in [`COLUMNS`].
fn header(line: usize, names: &[String]) -> Result<Vec<usize>, PeopleError> {
    let place = |name: &String| COLUMNS.iter().position(|column| column == name);
    if !names.iter().any(|name| place(name).is_some()) {
        // Perhaps no names of columns but somebody's: nothing of the line is repeated.
        let other = names.iter().any(|name| name.contains([';', '\t']));
        let why = if other {
            "the columns must be separated by commas, not by semicolons or tabs".to_owned()
        } else {
            format!("the first line must name the columns, separated by commas: {}", COLUMNS.join(","))
        };
        return Err(at(line, why));
    }
    let mut order = Vec::with_capacity(names.len());
    for name in names {
        let Some(column) = place(name) else {
            return Err(at(line, PeopleError::Column { name: name.clone() }));
        };
        if order.contains(&column) {
            return Err(at(line, format!("the column {name} is there twice")));
        }
        order.push(column);
    }
    // Without a column the recorded value stays; these two every line must say.
    for (index, column) in COLUMNS.iter().enumerate().take(2) {
        if !order.contains(&index) {
            return Err(at(line, format!("the column {column} is missing")));
        }
    }
    Ok(order)
}

fn csv(text: &str) -> Result<Vec<(usize, Record)>, PeopleError> {
    let mut records = split(text)?.into_iter();
    let (line, names) = records.next().ok_or_else(|| at(1, "the file is empty"))?;
    let order = header(line, &names)?;
    records
        .map(|(line, fields)| {
            if fields.len() != order.len() {
                return Err(at(line, format!("{} fields instead of {}", fields.len(), order.len())));
            }
            let mut record = Record::default();
            for (column, field) in order.iter().zip(fields) {
                if let Some(place) = record.get_mut(*column) {
                    *place = if field.is_empty() { Field::Empty } else { Field::Text(field) };
                }
            }
            Ok((line, record))
        })
        .collect()
}

/// Splits into records with the line each begins on; empty lines are passed over.
fn split(text: &str) -> Result<Vec<(usize, Vec<String>)>, PeopleError> {
    let mut records = Vec::new();
    let (mut line, mut first) = (1, 1);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut quoted_field = false;
    let mut chars = text.chars().peekable();
    loop {
        match chars.next() {
            Some('"') if field.is_empty() && !quoted_field => {
                quoted_field = true;
                let opened = line;
                loop {
                    match chars.next() {
                        Some('"') if chars.peek() == Some(&'"') => {
                            chars.next();
                            field.push('"');
                        }
                        Some('"') => break,
                        Some(c) => {
                            line += usize::from(c == '\n');
                            field.push(c);
                        }
                        None => return Err(at(opened, "a quotation mark is not closed")),
                    }
                }
                if !matches!(chars.peek(), None | Some(',' | '\n' | '\r')) {
                    return Err(at(line, "text behind a closing quotation mark"));
                }
            }
            Some('"') => return Err(at(line, "a quotation mark inside a field that is not quoted")),
            Some(',') => {
                fields.push(std::mem::take(&mut field));
                quoted_field = false;
            }
            Some('\r') if matches!(chars.peek(), Some('\n') | None) => {}
            end @ (Some('\n') | None) => {
                if !fields.is_empty() || !field.is_empty() || quoted_field {
                    fields.push(std::mem::take(&mut field));
                    records.push((first, std::mem::take(&mut fields)));
                }
                quoted_field = false;
                line += 1;
                first = line;
                if end.is_none() {
                    return Ok(records);
                }
            }
            Some(c) => field.push(c),
        }
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
