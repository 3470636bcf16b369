//! The scenario file: TOML, no unknown keys, errors with their line.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use toml::Spanned;

use super::endpoint::Endpoint;
use super::error::SandboxError;
use super::fault::{Fault, FaultKind, JobFate, RetryAfter, Stage};
use super::scenario::{Rule, Scenario, UnknownIdentity};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    default: RuleTable,
    #[serde(default)]
    user: Vec<UserTable>,
    #[serde(default)]
    enrolled: BTreeSet<String>,
    unknown_identity: Option<Spanned<String>>,
    token_seconds: Option<u32>,
    #[serde(default)]
    callback_required: bool,
    clock_skew_seconds: Option<u32>,
    #[serde(default)]
    fault: Vec<FaultTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RuleTable {
    verdict: Option<String>,
    result_code: Option<String>,
    result_text: Option<String>,
    decide_after_ms: u64,
    answer_after_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    id: Spanned<String>,
    verdict: Option<String>,
    result_code: Option<String>,
    result_text: Option<String>,
    #[serde(default)]
    decide_after_ms: u64,
    #[serde(default)]
    answer_after_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultTable {
    endpoint: Option<Spanned<String>>,
    user: Option<String>,
    #[serde(default)]
    calls: Vec<u64>,
    #[serde(default)]
    delay_ms: u64,
    kind: Spanned<String>,
    status: Option<u16>,
    retry_after: Option<TextOrNumber>,
    retry_after_date_in_s: Option<u64>,
    body: Option<String>,
    content_type: Option<String>,
    gateway: Option<bool>,
    job: Option<String>,
    location: Option<String>,
    bytes: Option<u64>,
    gap_ms: Option<u64>,
    set: Option<toml::Table>,
    remove: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(u64),
}

/// The longest wait that can be scripted: a test that waits longer waits for nothing.
const WAIT_MAX_MS: u64 = 3_600_000;

pub(super) fn parse(text: &str) -> Result<Scenario, SandboxError> {
    let file: File = toml::from_str(text).map_err(|error| SandboxError::Scenario {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        what: error.message().trim().replace('\n', "; "),
    })?;
    let wrong = |at: usize, what: String| SandboxError::Scenario { line: line_of(text, at), what };

    let mut scenario = Scenario {
        default: rule(file.default),
        enrolled: file.enrolled,
        callback_required: file.callback_required,
        clock_skew_seconds: file.clock_skew_seconds,
        ..Scenario::default()
    };
    if let Some(seconds) = file.token_seconds {
        scenario.token_seconds = seconds;
    }
    if let Some(word) = file.unknown_identity {
        scenario.unknown_identity = match word.as_ref().as_str() {
            "refuse" => UnknownIdentity::Refuse,
            "block" => UnknownIdentity::Block,
            other => {
                let what = format!("unknown_identity is \"refuse\" or \"block\", not {other:?}");
                return Err(wrong(word.span().start, what));
            }
        };
    }
    let mut users = BTreeMap::new();
    for table in file.user {
        let at = table.id.span().start;
        let UserTable { id, verdict, result_code, result_text, decide_after_ms, answer_after_ms } = table;
        let table = RuleTable { verdict, result_code, result_text, decide_after_ms, answer_after_ms };
        let id = id.into_inner();
        if users.contains_key(&id) {
            return Err(wrong(at, format!("a second rule for user {id:?}")));
        }
        users.insert(id, rule(table));
    }
    scenario.users = users;
    for table in file.fault {
        let at = table.kind.span().start;
        scenario.faults.push(fault(table).map_err(|what| wrong(at, what))?);
    }
    Ok(scenario)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn millis(value: u64) -> Duration {
    Duration::from_millis(value.min(WAIT_MAX_MS))
}

fn rule(table: RuleTable) -> Rule {
    Rule {
        verdict: table.verdict,
        result_code: table.result_code,
        result_text: table.result_text,
        decide_after: millis(table.decide_after_ms),
        answer_after: millis(table.answer_after_ms),
    }
}

fn fault(mut table: FaultTable) -> Result<Fault, String> {
    let endpoint = match table.endpoint.as_ref().map(|name| name.as_ref().as_str()) {
        None | Some("*") => None,
        Some(name) => Some(Endpoint::parse(name).ok_or_else(|| {
            let known: Vec<_> = Endpoint::ALL.into_iter().map(Endpoint::name).collect();
            format!("no endpoint {name:?}; there are {}, and * for all", known.join(", "))
        })?),
    };
    if table.calls.contains(&0) {
        return Err("calls are counted from 1".into());
    }
    let kind = kind(&mut table)?;
    if table.user.is_some() {
        if endpoint == Some(Endpoint::V3Token) {
            return Err("a call of v3/token is about no user: leave `user` out".into());
        }
        if kind.stage() == Stage::Head && endpoint.is_none_or(Endpoint::names_its_user_in_the_body) {
            return Err("before the body is read nobody knows the user: leave `user` out".into());
        }
    }
    Ok(Fault { endpoint, user: table.user, calls: table.calls, delay: millis(table.delay_ms), kind })
}

/// Makes the kind out of its keys, and refuses keys that another kind has.
fn kind(table: &mut FaultTable) -> Result<FaultKind, String> {
    let word = table.kind.as_ref().clone();
    let missing = |key: &str| format!("kind {word:?} needs `{key}`");
    let kind = match word.as_str() {
        "status" => {
            let status = table.status.take().ok_or_else(|| missing("status"))?;
            if !(200..=599).contains(&status) {
                return Err(format!("{status} is no status of an answer (200 to 599)"));
            }
            FaultKind::Status {
                status,
                retry_after: retry_after(table)?,
                body: table.body.take(),
                content_type: table.content_type.take(),
                gateway: table.gateway.take().unwrap_or(false),
                job: match table.job.take().as_deref() {
                    Some("taken") => JobFate::Taken,
                    None | Some("not-taken") => JobFate::NotTaken,
                    Some(other) => return Err(format!("job is \"taken\" or \"not-taken\", not {other:?}")),
                },
            }
        }
        "drop-before-body" => FaultKind::DropBeforeBody,
        "drop-after-body" => FaultKind::DropAfterBody,
        "drop-answer" => FaultKind::DropAnswer,
        "half-answer" => FaultKind::HalfAnswer,
        "silence" => FaultKind::Silence,
        "late" if table.delay_ms == 0 => return Err(missing("delay_ms")),
        "late" => FaultKind::Late,
        "drip" => FaultKind::Drip { gap: millis(table.gap_ms.take().ok_or_else(|| missing("gap_ms"))?) },
        "redirect" => {
            let status = table.status.take().unwrap_or(307);
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Err(format!("{status} is no redirect (301, 302, 303, 307, 308)"));
            }
            FaultKind::Redirect {
                status,
                location: table.location.take().ok_or_else(|| missing("location"))?,
            }
        }
        "huge-body" => FaultKind::HugeBody { bytes: table.bytes.take().ok_or_else(|| missing("bytes"))? },
        "wrong-content-type" => FaultKind::WrongContentType {
            content_type: table.content_type.take().unwrap_or_else(|| "text/html".into()),
        },
        "truncated-json" => FaultKind::TruncatedJson,
        "missing-fields" => {
            let fields = table.remove.take().ok_or_else(|| missing("remove"))?;
            FaultKind::Edit { set: Vec::new(), remove: fields.iter().map(|field| path(field)).collect() }
        }
        "set-fields" => FaultKind::Edit {
            set: set_fields(&table.set.take().ok_or_else(|| missing("set"))?)?,
            remove: table.remove.take().unwrap_or_default().iter().map(|field| path(field)).collect(),
        },
        "other-job" => FaultKind::OtherJob,
        "other-user" => FaultKind::OtherUser,
        other => return Err(format!("no kind of fault is called {other:?}")),
    };
    match left_over(table) {
        Some(key) => Err(format!("`{key}` means nothing for kind {word:?}")),
        None => Ok(kind),
    }
}

fn left_over(table: &FaultTable) -> Option<&'static str> {
    [
        ("status", table.status.is_some()),
        ("retry_after", table.retry_after.is_some()),
        ("retry_after_date_in_s", table.retry_after_date_in_s.is_some()),
        ("body", table.body.is_some()),
        ("content_type", table.content_type.is_some()),
        ("gateway", table.gateway.is_some()),
        ("job", table.job.is_some()),
        ("location", table.location.is_some()),
        ("bytes", table.bytes.is_some()),
        ("gap_ms", table.gap_ms.is_some()),
        ("set", table.set.is_some()),
        ("remove", table.remove.is_some()),
    ]
    .into_iter()
    .find_map(|(key, there)| there.then_some(key))
}

fn retry_after(table: &mut FaultTable) -> Result<Option<RetryAfter>, String> {
    match (table.retry_after.take(), table.retry_after_date_in_s.take()) {
        (Some(_), Some(_)) => Err("retry_after or retry_after_date_in_s, not both".into()),
        (Some(TextOrNumber::Text(text)), None) => Ok(Some(RetryAfter::Text(text))),
        (Some(TextOrNumber::Number(seconds)), None) => Ok(Some(RetryAfter::Text(seconds.to_string()))),
        (None, Some(seconds)) => Ok(Some(RetryAfter::DateIn(Duration::from_secs(seconds)))),
        (None, None) => Ok(None),
    }
}

fn path(field: &str) -> Vec<String> {
    field.split('.').map(str::to_owned).collect()
}

/// Fields to set, by path: `"result.ResultCode" = "0821"` and `result.ResultCode = "0821"` are the same.
fn set_fields(table: &toml::Table) -> Result<Vec<(Vec<String>, serde_json::Value)>, String> {
    let mut fields = Vec::new();
    for (field, value) in table {
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => {
                for (mut tail, value) in set_fields(inner)? {
                    let mut whole = path(field);
                    whole.append(&mut tail);
                    fields.push((whole, value));
                }
            }
            value => {
                let value = serde_json::to_value(value).map_err(|error| format!("`set.{field}`: {error}"))?;
                fields.push((path(field), value));
            }
        }
    }
    Ok(fields)
}

#[cfg(test)]
#[path = "scenario_file_tests.rs"]
mod tests;
