//! `latchd config`.

use super::session::Session;
use super::{ConfigFile, output};
use crate::config::reference;
use serde_json::json;
use std::process::ExitCode;

/// Check, show and explain the configuration.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd config check --config ./latchd.toml\n  latchd config show --json | jq \
.latchd.door\n  latchd config reference | less\n  latchd config schema > latchd.schema.json"
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
    #[command(
        after_help = "Examples:\n  sudo latchd config check\n  latchd config check --config ./latchd.toml"
    )]
    Check,
    /// The effective configuration, defaults included.
    #[command(after_help = "Example:\n  latchd config show --config ./latchd.toml")]
    Show,
    /// The JSON schema.
    #[command(after_help = "Example:\n  latchd config schema > latchd.schema.json")]
    Schema,
    /// Every key with its meaning, unit and default, as Markdown.
    #[command(after_help = "Example:\n  latchd config reference | less")]
    Reference,
}

/// Runs `latchd config`.
pub fn run(args: &ConfigArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Schema => output::line(&serde_json::to_string_pretty(&reference::schema())?),
        Action::Reference => output::line(reference::markdown().trim_end()),
        Action::Check => {
            let session = Session::open(&args.config.config)?;
            let warnings: Vec<_> =
                session.check_with_warnings()?.1.0.iter().map(ToString::to_string).collect();
            let guard = session.config.door.guard_config.display().to_string();
            output::line(&match format {
                output::Format::Json => output::object(
                    "done",
                    json!({"config": args.config.config, "guard_config": guard, "warnings": warnings}),
                ),
                output::Format::Human => format!("{} and {guard} are good", args.config.config.display()),
            });
        }
        Action::Show => {
            let session = Session::open(&args.config.config)?;
            output::line(&match format {
                output::Format::Json => output::object("done", json!({"latchd": session.config})),
                output::Format::Human => session.config.show().trim_end().to_owned(),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
