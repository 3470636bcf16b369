//! Human and JSON output in one place. Results go to stdout, everything else to stderr.

use super::Failure;
use crate::control::Reply;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// The exit code of what the user called off.
pub const INTERRUPTED: u8 = 130;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// From the `--json` flag.
    pub fn from_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Human }
    }
}

/// Prints one line of result. A reader that went away (`| head`) ends the process quietly, as for other tools.
pub fn line(text: &str) {
    let mut out = anstream::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints one line of result; on a terminal in place of the one before.
pub fn again(text: &str, terminal: bool) {
    if !terminal {
        return line(text);
    }
    let mut out = anstream::stdout().lock();
    let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
}

/// Prints an error with its remedy to stderr.
pub fn error(cause: &str, remedy: &str) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "{style}error:{style:#} {cause}");
    if !remedy.is_empty() {
        let _ = writeln!(err, "  try: {remedy}");
    }
}

/// Prints what ends a command without a result: an object as any other for machines, an error for people.
pub fn failure(format: Format, failure: &Failure) -> ExitCode {
    let Failure { cause, remedy, exit } = failure;
    match format {
        Format::Json => {
            line(&json!({"kind": "failed", "exit": exit, "cause": cause, "remedy": remedy}).to_string());
        }
        // Somebody meant it: no error.
        Format::Human if *exit == INTERRUPTED => note(cause),
        Format::Human => error(cause, remedy),
    }
    ExitCode::from(*exit)
}

/// A remark on stderr that is not a result.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// An object with its `kind`, on one line.
pub fn object(kind: &str, mut value: Value) -> String {
    if let Some(map) = value.as_object_mut() {
        map.insert("kind".into(), json!(kind));
    }
    value.to_string()
}

/// Prints one reply; the exit code if it was the last.
pub fn reply(format: Format, reply: Reply) -> Option<ExitCode> {
    match (reply, format) {
        (Reply::Progress { object: value, .. }, Format::Json) => line(&object("progress", value)),
        (Reply::Progress { text, .. }, Format::Human) => note(&text),
        (Reply::Item { object: value, .. }, Format::Json) => line(&object("item", value)),
        (Reply::Item { text, .. }, Format::Human) => line(&text),
        (Reply::Done { exit, object: value, .. }, Format::Json) => {
            line(&object("done", value));
            return Some(ExitCode::from(exit));
        }
        (Reply::Done { exit, text, .. }, Format::Human) => {
            if !text.is_empty() {
                line(&text);
            }
            return Some(ExitCode::from(exit));
        }
        (Reply::Failed { exit, cause, remedy }, format) => {
            return Some(failure(format, &Failure { cause, remedy, exit }));
        }
    }
    None
}
