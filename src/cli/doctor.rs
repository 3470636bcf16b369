//! `latchd doctor`.

use super::session::Session;
use super::{ConfigFile, output};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::control::{Reply, Request, client, server};
use crate::doctor::{self, Finding, Level, Patient};
use anstyle::AnsiColor;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;

/// Look at everything the door needs; each finding with its remedy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It changes nothing, opens nothing and sends no job. Run it as root, so that it sees what the service sees. \
It streams some frames from the camera and shows none.\n\nExit codes: 0 no failure (warnings may be there); 1 something \
fails; 2 the configuration cannot be used.\n\nExamples:\n  sudo latchd doctor\n  sudo latchd doctor --json | jq -r \
'select(.level == \"failure\") | .remedy'"
)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs all checks and prints each finding as it comes.
pub fn run(args: &DoctorArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let mut report = Report { format, counts: [0; 3] };
    doctor::machine(&mut |finding| report.tell(&finding));
    let session = match Session::open(&args.config.config) {
        Ok(session) => session,
        Err(error) => {
            report.tell(&Finding::failure("configuration", error.cause, error.remedy));
            return Ok(report.end(true));
        }
    };
    let checked = session.check();
    match &checked {
        Ok(_) => {
            let seen = format!(
                "{} and {}",
                args.config.config.display(),
                session.config.door.guard_config.display()
            );
            report.tell(&Finding::ok("configuration", seen));
        }
        Err(error) => report.tell(&Finding::failure("configuration", &error.cause, &error.remedy)),
    }
    let daemon = status(&session);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let patient = Patient {
        config: &session.config,
        guard: checked.as_ref().ok(),
        daemon: daemon.as_ref(),
        clock: &clock,
        random: &random,
    };
    doctor::examine(&patient, &mut |finding| report.tell(&finding));
    Ok(report.end(checked.is_err()))
}

/// What the running daemon says of itself.
fn status(session: &Session) -> Option<Value> {
    let (read, _) = server::socket_paths(&session.config.device.run_dir);
    let mut status = None;
    let mut take = |reply| {
        if let Reply::Done { object, .. } = reply {
            status = Some(object);
        }
    };
    client::ask(&read, &Request::Status, &mut take).ok()?;
    status
}

struct Report {
    format: output::Format,
    /// Ok, warnings, failures.
    counts: [u32; 3],
}

impl Report {
    fn tell(&mut self, finding: &Finding) {
        let Finding { check, level, seen, remedy } = finding;
        let (index, color) = match level {
            Level::Ok => (0, AnsiColor::Green),
            Level::Warning => (1, AnsiColor::Yellow),
            Level::Failure => (2, AnsiColor::Red),
        };
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
        output::line(&match self.format {
            output::Format::Json => json!({
                "kind": "item", "check": check, "level": level.name(), "seen": seen, "remedy": remedy,
            })
            .to_string(),
            output::Format::Human => {
                let style = color.on_default().bold();
                let try_this =
                    if remedy.is_empty() { String::new() } else { format!("\n{:24}try: {remedy}", "") };
                format!("{style}{:<8}{style:#}{check:<14}  {seen}{try_this}", level.name())
            }
        });
    }

    fn end(self, unusable: bool) -> ExitCode {
        let [ok, warnings, failures] = self.counts;
        let exit = match (unusable, failures) {
            (true, _) => 2,
            (false, 0) => 0,
            (false, _) => 1,
        };
        let object = json!({"ok": ok, "warnings": warnings, "failures": failures});
        let text = format!("{ok} ok, {warnings} warnings, {failures} failures");
        output::reply(self.format, Reply::Done { exit, object, text }).unwrap_or(ExitCode::FAILURE)
    }
}
