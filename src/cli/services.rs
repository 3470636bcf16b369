//! `latchd services`.

use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::agent::lists;
use crate::smileid::Lists;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What the service can be asked about.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The lists are fetched when there are none yet, and kept beside the database: then `latchd submit` \
holds countries, kinds and numbers against them, also without a network.\n\nExamples:\n  latchd services --country NG\n  \
latchd services --refresh\n  latchd services --json | jq -r 'select(.list == \"id_type\") | .type'"
)]
pub struct ServicesArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this country, two capital letters.
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// Fetch the lists anew.
    #[arg(long)]
    refresh: bool,
}

fn item(list: &str, mut object: Value, text: &str, format: output::Format) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("list".into(), list.into());
    }
    match format {
        output::Format::Json => output::line(&output::object("item", object)),
        output::Format::Human => output::line(text),
    }
}

fn show(lists: &Lists, country: Option<&str>, format: output::Format) -> u64 {
    let wanted = |of: &str| country.is_none_or(|country| country == of);
    let mut shown = 0;
    for entry in lists.id_types.iter().filter(|entry| wanted(&entry.country)) {
        let bank = entry.bank_code.as_deref().map(|code| format!(", bank code {code}")).unwrap_or_default();
        let text =
            format!("{}  number    {:<24} {}{bank}, {}", entry.country, entry.kind, entry.label, entry.regex);
        item("id_type", json!(entry), &text, format);
        shown += 1;
    }
    for entry in lists.documents.iter().filter(|entry| wanted(&entry.country)) {
        let back = if entry.has_back { ", has a back" } else { "" };
        let text = format!("{}  document  {:<24} {}{back}", entry.country, entry.code, entry.name);
        item("document", json!(entry), &text, format);
        shown += 1;
    }
    for entry in lists.bank_codes.iter().filter(|entry| entry.country.as_deref().is_none_or(wanted)) {
        let of = entry.country.as_deref().unwrap_or("  ");
        item(
            "bank_code",
            json!(entry),
            &format!("{of}  bank      {:<24} {}", entry.code, entry.name),
            format,
        );
        shown += 1;
    }
    shown
}

/// Runs `latchd services`.
pub fn run(args: &ServicesArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    let config = &session.config;
    let kept = if args.refresh { None } else { lists::kept(config) };
    let lists = match kept {
        Some(lists) => lists,
        None => lists::refresh(config).map_err(|error| Failure {
            cause: error.to_string(),
            remedy: error.remedy(),
            exit: error.exit_code(),
        })?,
    };
    let shown = show(&lists, args.country.as_deref(), format);
    let when = lists.fetched_at.as_deref().unwrap_or("an unknown time");
    match format {
        output::Format::Json => {
            let object = json!({"shown": shown, "fetched_at": lists.fetched_at});
            output::line(&output::object("done", object));
        }
        output::Format::Human => output::note(&format!("{shown} entries, fetched at {when}")),
    }
    Ok(ExitCode::SUCCESS)
}
