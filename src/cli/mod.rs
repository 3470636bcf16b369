//! The command line, one file a subcommand. It starts things and prints what comes back; it decides nothing.

mod bench;
#[cfg(feature = "sandbox")]
mod broker;
mod camera;
mod capture;
mod claim;
mod config;
#[cfg(feature = "sandbox")]
pub mod demo;
mod device;
mod doctor;
mod events;
mod explain;
mod gpio;
mod interrupt;
mod manual;
mod output;
mod people;
mod queue;
mod run;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod services;
mod session;
mod sets;
mod status;
mod submit;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The configuration file that is read when none is named.
const DEFAULT_CONFIG: &str = "/etc/latchd/latchd.toml";

/// A door that knows a face: camera and relay of a Linux board, verdicts of Smile ID.
#[derive(Debug, Parser)]
#[command(name = "latchd", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, granted or enrolled; 1 failed; 2 usage or configuration; 3 denied or not \
permitted; 4 queued (offline); 5 undecided; 130 interrupted.\n\nExamples:\n  latchd demo\n  latchd config check \
--config /etc/latchd/latchd.toml\n  latchd authenticate --user-id emp-0042\n  latchd queue list --json"
)]
pub struct Cli {
    /// One JSON object a line instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole story on this machine, without hardware: approval, denial, network loss, crashes.
    #[cfg(feature = "sandbox")]
    Demo(demo::DemoArgs),
    /// The daemon.
    Run(run::RunArgs),
    /// Who may open this door, with consent.
    People(people::PeopleArgs),
    /// A stand-in for Smile ID over TLS, for demonstration, tests and integrators.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
    /// Tokens for devices that hold no API key.
    #[cfg(feature = "sandbox")]
    Broker(broker::BrokerArgs),
    /// One attempt at the door, or without a daemon one job from camera or files.
    Authenticate(claim::ClaimArgs),
    /// Enrol a person's face.
    Enroll(claim::EnrollArgs),
    /// A check that is about no door: a document, a number, two faces, somebody who is not on the list.
    Submit(Box<submit::SubmitArgs>),
    /// What the service can be asked about: kinds of numbers and documents, by country.
    Services(services::ServicesArgs),
    /// The jobs that wait, and those that are done.
    Queue(queue::QueueArgs),
    /// What happened at this door.
    Events(events::EventsArgs),
    /// How the daemon, its queue and its lock are.
    Status(status::StatusArgs),
    /// This device's own key.
    Device(device::DeviceArgs),
    /// Look at everything the door needs; each finding with its remedy.
    Doctor(doctor::DoctorArgs),
    /// What a word or code of the service means, for the door and for latchd.
    Explain(explain::ExplainArgs),
    /// Open the door from afar (not offered by this version).
    Unlock(UnlockArgs),
    /// Cameras: list them, try the configured one, take one picture.
    Camera(camera::CameraArgs),
    /// A burst as the door would take it: nothing is kept or sent.
    Capture(capture::CaptureArgs),
    /// GPIO: list lines, watch an input, try the strike.
    Gpio(gpio::GpioArgs),
    /// Check, show and explain the configuration.
    Config(config::ConfigArgs),
    /// Measurements of this machine.
    Bench(bench::BenchArgs),
    /// Completions for a shell, on stdout.
    Completions(manual::CompletionsArgs),
    /// Manual pages.
    Man(manual::ManArgs),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct UnlockArgs {
    /// Why, for the audit.
    #[arg(long)]
    reason: String,
}

/// An error that has its line, its remedy and its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// What went wrong, and where.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// The exit code.
    pub exit: u8,
}

impl Failure {
    /// A wrong command line or configuration.
    pub fn usage(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into(), exit: 2 }
    }

    /// Something that did not work.
    pub fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into(), exit: 1 }
    }
}

/// Parses the command line, runs it and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            // Help and version.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) if std::env::args_os().any(|word| word == "--json") => {
            return output::failure(output::Format::Json, &wrong_command_line(&error.render().to_string()));
        }
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let format = output::Format::from_flag(cli.json);
    dispatch(cli.command, format).unwrap_or_else(|error| {
        let (remedy, exit) = error
            .downcast_ref::<Failure>()
            .map_or((String::new(), 1), |failure| (failure.remedy.clone(), failure.exit));
        output::failure(format, &Failure { cause: format!("{error:#}"), remedy, exit })
    })
}

/// The parser's text in two lines: its first paragraph is the cause, tips and usage are the remedy.
fn wrong_command_line(text: &str) -> Failure {
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n").map(line);
    let cause = paragraphs.next().unwrap_or_default();
    let mut remedy: Vec<_> = paragraphs.filter(|text| !text.starts_with("For more information")).collect();
    let (cause, values) = cause.split_once(" [possible values: ").unwrap_or((&cause, ""));
    if !values.is_empty() {
        remedy.insert(0, format!("write one of {}", values.trim_end_matches(']')));
    }
    if remedy.is_empty() {
        remedy.push("correct this value".into());
    }
    Failure::usage(cause.trim_start_matches("error: "), remedy.join("; "))
}

fn dispatch(command: Command, format: output::Format) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(feature = "sandbox")]
        Command::Demo(args) => demo::run(&args, format),
        Command::Run(args) => run::run(&args),
        Command::People(args) => people::run(args, format),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(args),
        #[cfg(feature = "sandbox")]
        Command::Broker(args) => broker::run(args),
        Command::Authenticate(args) => claim::authenticate(&args, format),
        Command::Enroll(args) => claim::enroll(&args, format),
        Command::Submit(args) => submit::run(&args, format),
        Command::Services(args) => services::run(&args, format),
        Command::Queue(args) => queue::run(args, format),
        Command::Events(args) => events::run(&args, format),
        Command::Status(args) => status::run(&args, format),
        Command::Device(args) => device::run(args, format),
        Command::Doctor(args) => doctor::run(&args, format),
        Command::Explain(args) => explain::run(&args, format),
        Command::Unlock(args) => {
            drop(args.reason);
            Err(Failure::usage(
                "this version does not open the door from afar",
                "use the key or the intercom; see docs/door-rules.md, rule 11",
            )
            .into())
        }
        Command::Camera(args) => camera::run(args, format),
        Command::Capture(args) => capture::run(&args, format),
        Command::Gpio(args) => gpio::run(args, format),
        Command::Config(args) => config::run(&args, format),
        Command::Bench(args) => bench::run(args, format),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_is_a_cause_and_a_remedy() {
        let wrong = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            wrong_command_line(&error.render().to_string())
        };
        let failure = wrong("latchd authenticate");
        assert!(failure.cause.starts_with("the following required arguments"), "{failure:?}");
        assert!(failure.cause.ends_with("--user-id <ID>"), "{failure:?}");
        assert!(failure.remedy.starts_with("Usage: latchd authenticate"), "{failure:?}");
        assert_eq!(failure.exit, 2);
        assert!(wrong("latchd statsu").remedy.contains("'status'"));
        let failure = wrong("latchd queue list --state lost");
        assert!(failure.remedy.starts_with("write one of new, sending, "), "{failure:?}");
        assert!(!failure.cause.contains("possible values"), "{failure:?}");
    }
}
