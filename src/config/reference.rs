//! Explains the configuration: the annotated file, the reference page and the JSON schema, all made from the model.

use serde_json::Value;
use std::fmt::Write;

use super::guard::GuardConfig;
use super::keys::{self, Key, Kind};
use super::model::Config;

/// The JSON schema of `latchd.toml`.
pub fn schema() -> Value {
    keys::schema::<Config>()
}

/// `latchd.toml` with every key at its default and its meaning above it. Keys without a default are commented out.
pub fn annotated_toml() -> String {
    let mut text = String::from(
        "# latchd.toml: every key, its meaning and its default. Keep only the lines that you change.\n\
         # `latchd config check --config FILE` judges a file; docs/configuration.md is the same as a page.\n",
    );
    let keys = keys::table::<Config>();
    for table in keys.iter().filter(|key| is_table(key)) {
        let free = table.default.is_none();
        let optional = free && table.kind == Kind::Table;
        text.push('\n');
        comment(&mut text, &table.doc);
        let _ = writeln!(text, "{}[{}]", if optional { "# " } else { "" }, table.path);
        for key in keys.iter().filter(|key| parent(&key.path) == table.path && !is_table(key)) {
            text.push('\n');
            comment(&mut text, &key.doc);
            if let Kind::Words(words) = &key.kind {
                for (word, meaning) in words {
                    comment(&mut text, &format!("  \"{word}\": {meaning}"));
                }
            }
            let name = key.path.rsplit('.').next().unwrap_or_default();
            match (&key.default, &key.example) {
                (Some(value), _) => {
                    let _ = writeln!(text, "{name} = {}", toml_value(value));
                }
                (None, Some(value)) => {
                    let _ = writeln!(text, "# {name} = {}", toml_value(value));
                }
                (None, None) => {}
            }
        }
    }
    text
}

/// The reference page of both files, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Made from the program's own model; `latchd config reference` prints it.\n\n\
         `latchd` reads `latchd.toml` (`--config`). Every key has a default but `smile.partner_id`. An unknown key, a wrong\n\
         type or an impossible value ends the program with exit code 2 and one line per defect: file, line, key, remedy.\n\
         `latchd config check` says the same without starting anything, `latchd config show` prints what counts.\n\
         The guard reads `guard.toml`; `latchd` reads it too, for its checks, and never writes it.\n",
    );
    page_of(&mut page, "latchd.toml", &keys::table::<Config>());
    page_of(&mut page, "guard.toml", &keys::table::<GuardConfig>());
    page
}

fn page_of(page: &mut String, file: &str, keys: &[Key]) {
    let _ = write!(page, "\n## {file}\n");
    rows(page, keys, "");
    for table in keys.iter().filter(|key| is_table(key)) {
        let _ = write!(page, "\n### `[{}]`\n\n{}\n", table.path, table.doc);
        rows(page, keys, &table.path);
    }
}

fn rows(page: &mut String, keys: &[Key], table: &str) {
    let mut rows = keys.iter().filter(|key| parent(&key.path) == table && !is_table(key)).peekable();
    if rows.peek().is_none() {
        return;
    }
    page.push_str("\n| key | default | meaning |\n|---|---|---|\n");
    for key in rows {
        let default = match &key.default {
            Some(value) => format!("`{}`", toml_value(value)),
            None if key.required => "must be given".into(),
            None => "none".into(),
        };
        let mut doc = key.doc.clone();
        if let Kind::Words(words) = &key.kind {
            for (word, meaning) in words {
                if !doc.is_empty() {
                    doc.push_str("<br>");
                }
                let _ = write!(doc, "`\"{word}\"`");
                if !meaning.is_empty() {
                    let _ = write!(doc, ": {meaning}");
                }
            }
        }
        let _ = writeln!(page, "| `{}` | {default} | {} |", key.path, doc.replace('|', "\\|"));
    }
}

fn is_table(key: &Key) -> bool {
    matches!(key.kind, Kind::Table | Kind::FreeTable)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// A default as TOML writes it: JSON writes these values alike.
fn toml_value(value: &Value) -> String {
    value.to_string()
}

/// Wraps `text` into comment lines of at most 110 characters.
fn comment(page: &mut String, text: &str) {
    let indent = text.len() - text.trim_start().len();
    let indent = " ".repeat(indent);
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() + indent.len() + 3 > 110 {
            let _ = writeln!(page, "# {indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(page, "# {indent}{line}");
    }
}
