//! Import files: CSV with a header, or a JSON array of objects with the same names. All or nothing; an error
//! names the line and never its content.
//!
//! The CSV reader is our own hundred lines: a crate would bring record numbers, and what an operator needs in an
//! error is the line as the editor counts it, also after quoted line breaks.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Consent, Contact, NewPerson, PeopleError};
use crate::access::UserId;
use crate::clock::{Wall, WallTime};

/// What an import file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportFormat {
    /// Comma-separated, UTF-8, first line the column names (RFC 4180).
    Csv,
    /// One array of objects.
    Json,
}

/// Largest import file, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;

const COLUMNS: [&str; 9] = [
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

/// Reads a whole file; each person comes with the line it begins on. `now` bounds the time of consents.
pub fn parse(text: &str, format: ImportFormat, now: Wall) -> Result<Vec<(usize, NewPerson)>, PeopleError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(at(1, "the file is larger than 16 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let people = match format {
        ImportFormat::Csv => csv(text)?,
        ImportFormat::Json => json(text)?,
    };
    let mut seen = std::collections::HashMap::new();
    for (line, person) in &people {
        person.check(now).map_err(|error| at(*line, error))?;
        if let Some(first) = seen.insert(&person.user_id, *line) {
            return Err(at(*line, format!("the user id of line {first} again")));
        }
    }
    Ok(people)
}

fn at(line: usize, why: impl std::fmt::Display) -> PeopleError {
    PeopleError::Line { line, why: why.to_string() }
}

/// One record as both formats give it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Record {
    user_id: String,
    may_open: bool,
    given_names: String,
    last_name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    consent_granted_at: Option<String>,
    #[serde(default)]
    consent_language: Option<String>,
    #[serde(default)]
    consent_policy_url: Option<String>,
}

impl Record {
    fn person(self, line: usize) -> Result<NewPerson, PeopleError> {
        let consent = match (self.consent_granted_at, self.consent_language, self.consent_policy_url) {
            (None, None, None) => None,
            (Some(granted), Some(language), Some(policy_url)) => {
                let granted_at = WallTime::from_rfc3339(&granted).ok_or_else(|| {
                    at(line, "consent_granted_at must be a time such as 2026-01-02T03:04:05Z")
                })?;
                Some(Consent { granted_at, language, policy_url })
            }
            _ => return Err(at(line, "a consent needs its time, its language and its policy url")),
        };
        Ok(NewPerson {
            user_id: UserId::parse(&self.user_id).map_err(|error| at(line, error))?,
            may_open: self.may_open,
            contact: Contact {
                given_names: self.given_names,
                last_name: self.last_name,
                email: self.email,
                phone: self.phone,
            },
            consent,
        })
    }
}

fn json(text: &str) -> Result<Vec<(usize, NewPerson)>, PeopleError> {
    // serde_json's own texts quote the input where a type is wrong: only its place is kept.
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| at(error.line().max(1), "not a JSON array of objects"))?;
    let mut people = Vec::with_capacity(items.len());
    // The raw items are parts of the text, in its order: the lines before each are counted once.
    let (mut offset, mut line) = (0, 1);
    for item in items {
        let start = (item.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        line += breaks(text.get(offset..start).unwrap_or_default());
        offset = start;
        let record: Record = serde_json::from_str(item.get()).map_err(|error| {
            at(line + error.line().saturating_sub(1), "not an object with the right fields and types")
        })?;
        people.push((line, record.person(line)?));
    }
    Ok(people)
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn csv(text: &str) -> Result<Vec<(usize, NewPerson)>, PeopleError> {
    let mut records = split(text)?.into_iter();
    let (line, header) = records.next().ok_or_else(|| at(1, "the file is empty"))?;
    let mut order = Vec::with_capacity(header.len());
    for name in &header {
        let column = COLUMNS
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| at(line, format!("unknown column; known are {}", COLUMNS.join(", "))))?;
        if order.contains(&column) {
            return Err(at(line, "a column is there twice"));
        }
        order.push(column);
    }
    for (index, column) in COLUMNS.iter().enumerate().take(4) {
        if !order.contains(&index) {
            return Err(at(line, format!("the column {column} is missing")));
        }
    }
    records
        .map(|(line, fields)| {
            if fields.len() != order.len() {
                return Err(at(line, format!("{} fields instead of {}", fields.len(), order.len())));
            }
            let mut columns: [Option<String>; COLUMNS.len()] = Default::default();
            for (column, field) in order.iter().zip(fields) {
                if let Some(place) = columns.get_mut(*column) {
                    *place = Some(field).filter(|field| !field.is_empty());
                }
            }
            let [user_id, may_open, given_names, last_name, email, phone, granted, language, policy] =
                columns;
            let may_open = match may_open.as_deref() {
                Some("true") => true,
                Some("false") => false,
                _ => return Err(at(line, "may_open must be true or false")),
            };
            Record {
                user_id: user_id.unwrap_or_default(),
                may_open,
                given_names: given_names.unwrap_or_default(),
                last_name: last_name.unwrap_or_default(),
                email,
                phone,
                consent_granted_at: granted,
                consent_language: language,
                consent_policy_url: policy,
            }
            .person(line)
            .map(|person| (line, person))
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "user_id,may_open,given_names,last_name,email,phone,consent_granted_at,consent_language,consent_policy_url\n";

    fn known() -> Wall {
        Wall::Known(WallTime::from_rfc3339("2026-06-01T00:00:00Z").unwrap())
    }

    fn read(text: &str) -> Result<Vec<(usize, NewPerson)>, PeopleError> {
        parse(text, ImportFormat::Csv, known())
    }

    #[test]
    fn ok_quotes_line_breaks_and_crlf() {
        let text = format!(
            "\u{feff}{HEAD}\r\nu1,true,\"Ada \"\"A\"\"\",\"Love,\nlace\",a@b.co,,2026-01-02T03:04:05+01:00,EN,https://x.org/p\r\n\nu2,false,Bo,Li,,+12345678,,,\n"
        );
        // A line break inside a name is read as such and then refused by the person's own check.
        let Err(PeopleError::Line { line: 3, why }) = read(&text) else { panic!("accepted") };
        assert!(why.starts_with("last_name"), "{why}");
        let people = read(&text.replace("Love,\nlace", "Love,lace")).unwrap();
        assert_eq!(people.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
        let (_, ada) = &people[0];
        assert_eq!((ada.contact.given_names.as_str(), ada.may_open), ("Ada \"A\"", true));
        assert_eq!(ada.consent.as_ref().unwrap().granted_at.to_rfc3339(), "2026-01-02T02:04:05.000Z");
        assert_eq!(people[1].1.consent, None);
    }

    #[test]
    fn err_names_the_line_and_not_its_content() {
        let row = |user: &str| format!("{user},true,Zelda,Secretname,z@b.co,,,,\n");
        for (text, line, word) in [
            (String::new(), 1, "empty"),
            ("user_id,nickname\n".into(), 1, "unknown column"),
            ("user_id,user_id\n".into(), 1, "twice"),
            ("user_id,may_open\n".into(), 1, "given_names is missing"),
            (format!("{HEAD}{}u2,true,Secretname\n", row("u1")), 3, "3 fields instead of 9"),
            (format!("{HEAD}{}{}", row("u1"), row("u1")), 3, "line 2 again"),
            (format!("{HEAD}{}", row("no spaces")), 2, "user id"),
            (format!("{HEAD}u1,yes,Zelda,Secretname,z@b.co,,,,\n"), 2, "may_open"),
            (format!("{HEAD}u1,true,Zelda,Secretname,,,,,\n"), 2, "email"),
            (format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,yesterday,EN,https://x.org\n"), 2, "such as"),
            (
                format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,2027-01-01T00:00:00Z,EN,https://x.org\n"),
                2,
                "future",
            ),
            (format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,,EN,https://x.org\n"), 2, "needs its time"),
            (
                format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,2026-01-01T00:00:00Z,en,https://x.org\n"),
                2,
                "capital",
            ),
            (format!("{HEAD}{}\"u2,true\n\n", row("u1")), 3, "not closed"),
            (format!("{HEAD}\"u1\"x,true\n"), 2, "behind"),
            (format!("{HEAD}u\"1,true\n"), 2, "inside"),
        ] {
            let error = read(&text).unwrap_err();
            let PeopleError::Line { line: seen, .. } = &error else { panic!("{error}") };
            assert_eq!(*seen, line, "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(!error.to_string().contains("Secretname"), "{error}");
        }
    }

    #[test]
    fn json_counts_lines_and_knows_its_fields() {
        let one = r#"{"user_id":"u1","may_open":true,"given_names":"Ada","last_name":"L","email":"a@b.co"}"#;
        let read = |text: &str| parse(text, ImportFormat::Json, known());
        assert_eq!(read(&format!("[\n{one}\n,\n{}]", one.replace("u1", "u2"))).unwrap()[1].0, 4);
        for (text, line) in [
            ("{}".to_owned(), 1),
            (format!("[{one},\n\n{{\"user_id\":\"u2\",\n\"may_open\":\"Secretname\"}}]"), 4),
            (format!("[{one},\n{}]", one.replace("email", "e-mail").replace("u1", "u2")), 2),
            (format!("[{one},\n{one}]"), 2),
            (format!("[{one},\n"), 2),
        ] {
            let error = read(&text).unwrap_err();
            assert!(matches!(error, PeopleError::Line { line: seen, .. } if seen == line), "{text} {error}");
            assert!(!error.to_string().contains("Secretname"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z,\"\n\r]{0,80}") {
            let _ = read(&text);
            let _ = read(&format!("{HEAD}{text}"));
        }

        #[test]
        fn fields_survive_quoting(rows in proptest::collection::vec(proptest::collection::vec("[ -~\n]{1,8}", 3), 1..5)) {
            let text: String = rows
                .iter()
                .map(|row| row.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect::<Vec<_>>().join(",") + "\r\n")
                .collect();
            let read: Vec<_> = split(&text).unwrap().into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
