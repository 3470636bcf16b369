//! From a TOML file to a model, for any file whose model derives `JsonSchema`: syntax, keys, types and words are
//! judged key by key against the model's own table, so that one look reports every defect with its line.
//! Serde's reading comes last and adds what no table can say.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, Place, Problem, os_words};
use super::keys::{self, Found, Key, Kind, nearest};

/// No configuration is larger; a file that is, is something else.
const BYTES_MAX: u64 = 1 << 20;

/// A file as its reader found it, kept to say where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    file: PathBuf,
    lines: BTreeMap<String, usize>,
}

impl Source {
    /// A source that knows no lines, for a configuration made in code.
    pub fn without_lines(file: &Path) -> Self {
        Self { file: file.to_owned(), lines: BTreeMap::new() }
    }

    /// The file as it was named.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The place of a key. A key that the file does not have is placed at the nearest table around it.
    pub fn place(&self, key: &str) -> Place {
        let mut around = key;
        loop {
            if let Some(line) = self.lines.get(around) {
                return Place { file: self.file.clone(), line: Some(*line), key: key.to_owned() };
            }
            match around.rsplit_once('.') {
                Some((outer, _)) => around = outer,
                None => return Place { file: self.file.clone(), line: None, key: key.to_owned() },
            }
        }
    }
}

/// Reads and judges the file at `path`.
///
/// # Errors
/// Every defect of syntax, key, type and word that the file has.
pub fn read<T: DeserializeOwned + JsonSchema>(path: &Path) -> Result<(T, Source), ConfigErrors> {
    let unreadable = |why: String| ConfigErrors::one(Place::file(path), Problem::Unreadable(why));
    let file = std::fs::File::open(path).map_err(|error| unreadable(os_words(&error)))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(os_words(&error)))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(unreadable(format!("it is larger than {BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let place = Place { line: Some(line), ..Place::file(path) };
        ConfigErrors::one(place, Problem::Unreadable("it is not UTF-8 text".into()))
    })?;
    parse(&text, path)
}

/// Judges `text` as the content of `file`.
///
/// # Errors
/// As [`read`].
pub fn parse<T: DeserializeOwned + JsonSchema>(text: &str, file: &Path) -> Result<(T, Source), ConfigErrors> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader =
        Reader { text, keys: keys::table::<T>(), source: Source::without_lines(file), errors: Vec::new() };
    reader.note_lines(document.get_ref(), "");
    if !syntax.is_empty() {
        // A broken line makes nonsense of those after it: keys and types are judged once it is mended.
        let mut errors: Vec<_> = syntax.iter().map(|error| reader.located(error, Problem::Syntax)).collect();
        // What follows the first complaint about a line is a consequence of it.
        errors.dedup_by_key(|error| error.place.line);
        return Err(ConfigErrors(errors));
    }
    reader.judge_table(document.get_ref(), "");
    if !reader.errors.is_empty() {
        reader.errors.sort_by_key(|error| error.place.line);
        return Err(ConfigErrors(reader.errors));
    }
    match T::deserialize(toml::de::Deserializer::from(document)) {
        Ok(value) => Ok((value, reader.source)),
        Err(error) => Err(ConfigErrors(vec![reader.located(&error, Problem::Shape)])),
    }
}

struct Reader<'a> {
    text: &'a str,
    keys: Vec<Key>,
    source: Source,
    errors: Vec<ConfigError>,
}

fn dotted(prefix: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

impl Reader<'_> {
    fn line_at(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn note_lines(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let key = dotted(prefix, name.get_ref());
            let line = self.line_at(name.span().start);
            if let DeValue::Table(inner) = value.get_ref() {
                self.note_lines(inner, &key);
            }
            self.source.lines.insert(key, line);
        }
    }

    /// An error of the TOML library: its line, and the innermost key that stands on that line.
    fn located(&self, error: &toml::de::Error, problem: fn(String) -> Problem) -> ConfigError {
        let line = error.span().map(|span| self.line_at(span.start));
        let on_line = self.source.lines.iter().filter(|(_, at)| Some(**at) == line).map(|(key, _)| key);
        let key = on_line.max_by_key(|key| key.len()).cloned();
        let key = key.unwrap_or_else(|| line.map(|line| self.key_written_on(line)).unwrap_or_default());
        let place = Place { file: self.source.file.clone(), line, key };
        ConfigError { place, problem: problem(error.message().replace('\n', " ")) }
    }

    /// The key that a line seems to set, for lines that the library gives up on.
    fn key_written_on(&self, line: usize) -> String {
        let mut table = "";
        let mut key = "";
        for text in self.text.lines().take(line).map(str::trim) {
            key = text.split_once('=').map_or("", |(key, _)| key.trim());
            if let Some(header) = text.strip_prefix('[') {
                (table, key) = (header.trim_matches(['[', ']', ' ']), "");
            }
        }
        if key.is_empty() { table.to_owned() } else { dotted(table, key) }
    }

    fn report(&mut self, key: &str, problem: Problem) {
        self.errors.push(ConfigError { place: self.source.place(key), problem });
    }

    fn judge_table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let path = dotted(prefix, name.get_ref());
            let Some(kind) = self.keys.iter().find(|key| key.path == path).map(|key| key.kind.clone()) else {
                self.report_unknown(&path, prefix, name.get_ref());
                continue;
            };
            match (&kind, value.get_ref()) {
                (Kind::Table, DeValue::Table(inner)) => self.judge_table(inner, &path),
                (Kind::FreeTable, DeValue::Table(inner)) => self.judge_free_table(inner, &path),
                _ => self.judge_value(&kind, value, &path),
            }
        }
        let missing: Vec<_> = self
            .keys
            .iter()
            .filter(|key| key.required && parent(&key.path) == prefix)
            .filter(|key| !self.source.lines.contains_key(&key.path))
            .map(|key| (key.path.clone(), key.kind.wanted()))
            .collect();
        for (path, wanted) in missing {
            self.report(&path, Problem::Missing { wanted });
        }
    }

    fn judge_free_table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let path = dotted(prefix, name.get_ref());
            self.judge_value(&Kind::Text(0, u64::MAX), value, &path);
        }
    }

    fn judge_value(&mut self, kind: &Kind, value: &Spanned<DeValue<'_>>, path: &str) {
        let found = match value.get_ref() {
            DeValue::String(text) => Found::Text(text),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Found::Integer(number),
                Err(_) => Found::Integer(i128::MAX),
            },
            DeValue::Float(number) => Found::Number(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Found::Flag(*flag),
            DeValue::Datetime(_) => Found::Other("a date or time"),
            DeValue::Array(_) => Found::Other("a list"),
            DeValue::Table(_) => Found::Other("a table"),
        };
        if let Err(problem) = kind.judge_shape(&found) {
            self.report(path, problem);
        }
    }

    fn report_unknown(&mut self, path: &str, prefix: &str, name: &str) {
        let siblings: Vec<&str> =
            self.keys.iter().filter(|key| parent(&key.path) == prefix).map(|key| key.path.as_str()).collect();
        let elsewhere = || self.keys.iter().map(|key| key.path.as_str()).find(|path| last(path) == name);
        let near = nearest(name, siblings.iter().map(|path| last(path)))
            .and_then(|near| siblings.iter().copied().find(|path| last(path) == near))
            .or_else(elsewhere)
            .map(str::to_owned);
        let allowed = siblings.iter().map(|path| last(path).to_owned()).collect();
        self.report(path, Problem::UnknownKey { nearest: near, allowed });
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}
