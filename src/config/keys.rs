//! The table of a file's keys, read off the JSON schema that schemars makes from the model: so the loader, the checks
//! and the reference page know the same keys, types, ranges and words, and none of them is written twice.

use schemars::JsonSchema;
use serde_json::Value;

use super::error::Problem;

/// One key or table of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Full dotted path.
    pub path: String,
    /// Its doc comment.
    pub doc: String,
    /// What its value may be.
    pub kind: Kind,
    /// The value when absent; `None` when there is none.
    pub default: Option<Value>,
    /// Must be present when its table is.
    pub required: bool,
    /// A value to show where there is no default.
    pub example: Option<Value>,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A table with keys of its own in the list.
    Table,
    /// A table whose keys are free and whose values are text.
    FreeTable,
    /// Text, a path included: least and most characters.
    Text(u64, u64),
    /// One of these words, each with its meaning.
    Words(Vec<(String, String)>),
    /// A whole number: least and most, and the most its type holds.
    Integer {
        /// Least that is accepted.
        min: i128,
        /// Most that is accepted.
        max: i128,
        /// Most that the type holds.
        holds: i128,
    },
    /// A number: least and most.
    Number(f64, f64),
    /// `true` or `false`.
    Flag,
}

/// A value as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Integer(i128),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// Something else, by its name.
    Other(&'static str),
}

impl Found<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a decimal number",
            Self::Flag(_) => "true or false",
            Self::Other(name) => name,
        }
    }
}

/// The keys of `T`'s file in the order of the model, tables before their keys.
pub fn table<T: JsonSchema>() -> Vec<Key> {
    let schema = schema::<T>();
    let mut keys = Vec::new();
    walk(&schema, &schema, "", 0, &mut keys);
    keys
}

/// The JSON schema of `T`'s file, with `f32` defaults as short as they were written.
pub fn schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    shorten(&mut schema);
    schema
}

/// 0.002 kept in 32 bits reads 0.0020000000949949026 in 64: writes such numbers as they were meant.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(map) => map.values_mut().for_each(shorten),
        Value::Number(number) if number.is_f64() => {
            #[allow(clippy::cast_possible_truncation)]
            // The comparison below finds out whether anything was lost.
            let narrow = number.as_f64().map(|wide| (wide, wide as f32));
            if let Some((wide, narrow)) = narrow
                && f64::from(narrow) == wide
                && let Ok(short) = narrow.to_string().parse::<f64>()
            {
                *value = Value::from(short);
            }
        }
        _ => {}
    }
}

/// Deeper than any file of ours; a schema that refers to itself ends here.
const DEPTH_MAX: usize = 6;

fn walk(root: &Value, table: &Value, prefix: &str, depth: usize, keys: &mut Vec<Key>) {
    if depth > DEPTH_MAX {
        return;
    }
    // A tagged table (one shape per word of its tag) offers the keys of all its shapes.
    let shapes: Vec<&Value> = match table.get("oneOf").and_then(Value::as_array) {
        Some(shapes) => shapes.iter().collect(),
        None => vec![table],
    };
    for shape in &shapes {
        for (name, property) in shape.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let (target, optional) = resolve(root, property);
            let mut new =
                key(&path, property, target, optional, shapes.iter().all(|shape| requires(shape, name)));
            if let Kind::Words(words) = &mut new.kind {
                // The tag's word has no comment of its own: the shape that it chooses has.
                let shape_doc = text(shape.get("description"));
                words
                    .iter_mut()
                    .filter(|(_, doc)| doc.is_empty())
                    .for_each(|word| word.1.clone_from(&shape_doc));
            }
            match keys.iter_mut().find(|key| key.path == path) {
                Some(Key { kind: Kind::Words(words), .. }) => {
                    if let Kind::Words(more) = new.kind {
                        words.extend(more);
                    }
                }
                Some(_) => {}
                None => {
                    let deeper = new.kind == Kind::Table;
                    keys.push(new);
                    if deeper {
                        walk(root, target, &path, depth + 1, keys);
                    }
                }
            }
        }
    }
}

fn requires(shape: &Value, name: &str) -> bool {
    shape.get("required").and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == name))
}

/// Follows `$ref` and the `anyOf` of an option; says whether the value may be absent.
fn resolve<'a>(root: &'a Value, property: &'a Value) -> (&'a Value, bool) {
    let null = |value: &Value| value.get("type").is_some_and(|t| t == "null");
    let any = property.get("anyOf").and_then(Value::as_array);
    let optional = any.is_some_and(|any| any.iter().any(null))
        || property
            .get("type")
            .and_then(Value::as_array)
            .is_some_and(|types| types.iter().any(|t| t == "null"));
    let inner = any.and_then(|any| any.iter().find(|value| !null(value))).unwrap_or(property);
    let target = match inner.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(inner),
        None => inner,
    };
    (target, optional)
}

fn key(path: &str, property: &Value, target: &Value, optional: bool, required: bool) -> Key {
    let own = property.get("description").or_else(|| target.get("description"));
    Key {
        path: path.to_owned(),
        doc: text(own),
        kind: kind(target),
        default: property.get("default").filter(|value| !value.is_null()).cloned(),
        required: required && !optional,
        example: property.get("examples").and_then(Value::as_array).and_then(|all| all.first()).cloned(),
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(target: &Value) -> Kind {
    let word = |value: &Value| {
        let name = value.get("const").and_then(Value::as_str)?;
        Some((name.to_owned(), text(value.get("description"))))
    };
    if let Some(word) = word(target) {
        return Kind::Words(vec![word]);
    }
    if let Some(words) = target
        .get("oneOf")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().map(word).collect::<Option<_>>())
    {
        return Kind::Words(words);
    }
    if let Some(words) = target.get("enum").and_then(Value::as_array) {
        return Kind::Words(
            words.iter().filter_map(Value::as_str).map(|w| (w.to_owned(), String::new())).collect(),
        );
    }
    let least = |name: &str| target.get(name).and_then(Value::as_i64).map(i128::from);
    let is = |name: &str| match target.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == name),
        Some(one) => one == name,
        None => false,
    };
    if is("integer") {
        let holds = match target.get("format").and_then(Value::as_str) {
            Some("uint8") => i128::from(u8::MAX),
            Some("uint16") => i128::from(u16::MAX),
            Some("uint32") => i128::from(u32::MAX),
            _ => i128::from(i64::MAX),
        };
        let (min, max) = (least("minimum").unwrap_or(0), least("maximum").unwrap_or(holds));
        return Kind::Integer { min, max, holds };
    }
    if is("number") {
        let end = |name: &str, open: f64| target.get(name).and_then(Value::as_f64).unwrap_or(open);
        return Kind::Number(end("minimum", f64::MIN), end("maximum", f64::MAX));
    }
    if is("boolean") {
        return Kind::Flag;
    }
    if is("string") {
        let end = |name: &str, open: u64| target.get(name).and_then(Value::as_u64).unwrap_or(open);
        return Kind::Text(end("minLength", 0), end("maxLength", 4096));
    }
    if target.get("properties").is_none() && target.get("oneOf").is_none() {
        return Kind::FreeTable;
    }
    Kind::Table
}

impl Kind {
    /// What to write, in words: `a whole number from 1000 to 30000, without quotes`.
    pub fn wanted(&self) -> String {
        match self {
            Self::Table => "a table".into(),
            Self::FreeTable => "a table of texts".into(),
            Self::Text(..) => "text in quotes".into(),
            Self::Words(words) => {
                let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("one of {}", all.join(", "))
            }
            Self::Integer { min, max, .. } => format!("a whole number from {min} to {max}, without quotes"),
            Self::Number(min, max) if *min > f64::MIN => {
                format!("a number from {min} to {max}, without quotes")
            }
            Self::Number(..) => "a number, without quotes".into(),
            Self::Flag => "true or false, without quotes".into(),
        }
    }

    /// Judges a value's type and words, and of its range only what its type cannot hold.
    pub fn judge_shape(&self, found: &Found<'_>) -> Result<(), Problem> {
        match (self, found) {
            (Self::Words(words), Found::Text(text)) if !words.iter().any(|(word, _)| word == text) => {
                let allowed: Vec<String> = words.iter().map(|(word, _)| word.clone()).collect();
                let nearest = nearest(text, allowed.iter().map(String::as_str)).map(str::to_owned);
                Err(Problem::UnknownWord { found: text.chars().take(40).collect(), allowed, nearest })
            }
            (Self::Integer { holds, .. }, Found::Integer(value)) if *value < 0 || value > holds => {
                self.judge(found)
            }
            (Self::Text(..) | Self::Words(_), Found::Text(_))
            | (Self::Integer { .. }, Found::Integer(_))
            | (Self::Number(..), Found::Number(_) | Found::Integer(_))
            | (Self::Flag, Found::Flag(_)) => Ok(()),
            _ => Err(Problem::WrongType { found: found.name(), wanted: self.wanted() }),
        }
    }

    /// Judges all that the key table knows about a value.
    pub fn judge(&self, found: &Found<'_>) -> Result<(), Problem> {
        match (self, found) {
            (Self::Integer { min, max, .. }, Found::Integer(value)) if value < min || value > max => {
                Err(Problem::OutOfRange {
                    found: value.to_string(),
                    min: min.to_string(),
                    max: max.to_string(),
                    above: value > max,
                })
            }
            // Written so that NaN, which is neither less nor more, is refused.
            (Self::Number(min, max), Found::Number(value)) if !(min <= value && value <= max) => {
                Err(Problem::OutOfRange {
                    found: value.to_string(),
                    min: min.to_string(),
                    max: max.to_string(),
                    above: value > max,
                })
            }
            (Self::Text(min, max), Found::Text(text)) => {
                let length = text.chars().count();
                let long = u64::try_from(length).unwrap_or(u64::MAX);
                if long < *min || long > *max {
                    return Err(Problem::Length { found: length, min: *min, max: *max });
                }
                Ok(())
            }
            (Self::Integer { .. }, Found::Integer(_)) => Ok(()),
            _ => self.judge_shape(found),
        }
    }
}

/// The candidate spelled most like `word`, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
