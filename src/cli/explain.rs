//! `latchd explain`: what the service's words and codes mean, for the door, the operator and this client.

use super::{Failure, output};
use crate::smileid::codes::{CODES, Code, Family};
use serde_json::json;
use std::process::ExitCode;

/// What a word or code of the service means.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd explain 0822\n  latchd explain block\n  latchd explain --json | jq -r .code\n\n\
Exit codes: 0 explained; 1 a code that latchd does not know, which opens nothing; 2 command line."
)]
pub struct ExplainArgs {
    /// The word or code, as `latchd queue show` or the portal names it; without it all are listed.
    code: Option<String>,
    /// Only what may come with this v1 job type, such as 2 for an authentication.
    #[arg(long, value_name = "NUMBER")]
    job_type: Option<u8>,
    /// All as a Markdown page.
    #[arg(long, conflicts_with_all = ["code", "job_type"])]
    markdown: bool,
}

/// Explains.
pub fn run(args: &ExplainArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    if args.markdown {
        output::line(page().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = args.code.as_deref().map(str::trim);
    let rows: Vec<_> = CODES
        .iter()
        .filter(|row| wanted.is_none_or(|code| row.code == code))
        .filter(|row| args.job_type.is_none_or(|kind| row.is_for(kind)))
        .collect();
    if rows.is_empty() {
        let code = wanted.unwrap_or("the job type");
        return Err(Failure::failed(
            format!(
                "{code:?} has no word or code that latchd knows: it opens nothing and waits for a person"
            ),
            "`latchd explain` lists those it knows; ask the service about the others",
        )
        .into());
    }
    for row in &rows {
        output::line(&match format {
            output::Format::Json => output::object("item", serde_json::to_value(row)?),
            output::Format::Human if wanted.is_some() => text(row),
            output::Format::Human => format!("{:<28} {:<18} {}", row.code, row.family.words(), row.meaning),
        });
    }
    if format == output::Format::Json {
        output::line(&output::object("done", json!({"codes": rows.len()})));
    }
    Ok(ExitCode::SUCCESS)
}

fn job_types(row: &Code) -> String {
    row.job_types.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

fn text(row: &Code) -> String {
    let kinds =
        if row.job_types.is_empty() { String::new() } else { format!(", job type {}", job_types(row)) };
    format!(
        "{} ({}{kinds}): {}\n  door:   {}\n  latchd: {}",
        row.code,
        row.family.words(),
        row.meaning,
        row.decision.words(),
        row.action.words()
    )
}

/// The page docs/codes.md.
fn page() -> String {
    let mut page = String::from(
        "# What the service's codes mean\n\nMade by `latchd explain --markdown`. A code that is not here opens nothing and waits \
         for a person. `latchd explain CODE` tells of one.\n",
    );
    for family in
        [Family::Status, Family::Answer, Family::Reason, Family::Result, Family::Request, Family::Http]
    {
        page += &format!(
            "\n## {}\n\n| code | job types | meaning | door | latchd |\n|---|---|---|---|---|\n",
            family.words()
        );
        for row in CODES.iter().filter(|row| row.family == family) {
            page += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                row.code,
                job_types(row),
                row.meaning,
                row.decision.words(),
                row.action.words()
            );
        }
    }
    page
}
