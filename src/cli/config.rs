//! `latchd config`.

use super::session::Session;
use super::{ConfigFile, output};
use crate::config::reference;
use serde_json::json;
use std::process::ExitCode;

/// Check, show and explain the configuration.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd config check --config ./latchd.toml\n  latchd config reference | less"
)]
pub struct ConfigArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Check latchd.toml and the guard.toml it names; exit 2 when either is wrong.
    Check,
    /// The effective configuration, defaults included.
    Show,
    /// The JSON schema.
    Schema,
    /// Every key with its meaning, unit and default, as Markdown.
    Reference,
}

/// Runs `latchd config`.
pub fn run(args: &ConfigArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Schema => output::line(&serde_json::to_string_pretty(&reference::schema())?),
        Action::Reference => output::line(reference::markdown().trim_end()),
        Action::Check => {
            let session = Session::open(&args.config.config)?;
            session.check()?;
            let guard = session.config.door.guard_config.display().to_string();
            output::line(&match format {
                output::Format::Json => {
                    json!({"kind": "done", "config": args.config.config, "guard_config": guard}).to_string()
                }
                output::Format::Human => format!("{} and {guard} are good", args.config.config.display()),
            });
        }
        Action::Show => {
            let session = Session::open(&args.config.config)?;
            output::line(&match format {
                output::Format::Json => json!({"latchd": session.config}).to_string(),
                output::Format::Human => session.config.show().trim_end().to_owned(),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
