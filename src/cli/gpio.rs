//! `latchd gpio`: which lines there are, what an input does, and one pulse by the guard's own hand.

use super::{ConfigFile, Failure, output};
use crate::clock::{Clock, SystemClock, Wall};
use crate::config::guard::{Bias, Drive, LineConfig};
use crate::guard::chips::{self, ChipFacts, LineFacts};
use crate::guard::line::LineError;
use crate::guard::watch::{InputEdge, InputLine};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

mod pulse;

/// GPIO: list lines, watch an input, try the strike.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd gpio list\n  latchd gpio watch REX --active-low --bias pull-up\n  latchd gpio watch \
--chip pinctrl-bcm2711 --offset 17 --count 2\n  sudo systemctl stop latchd latchd-guard.socket latchd-guard && sudo \
latchd gpio pulse 500\n\nExit codes: 0 done; 1 the line is absent or busy, or the pulse failed; 2 command line or \
configuration; 130 interrupted."
)]
pub struct GpioArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Each chip and each of its lines with name, direction, holder and flags.
    List,
    /// The edges of an input line, until Ctrl-C or `--count`. An output is refused.
    Watch(WatchArgs),
    /// One pulse of the strike, made by latchd-guard with its ceiling and its relock. As root, both services stopped.
    Pulse {
        /// How long, in milliseconds (1 to `pulse_max_ms` of guard.toml).
        #[arg(value_name = "MS")]
        pulse_ms: u32,
    },
}

#[derive(Debug, clap::Args)]
struct WatchArgs {
    /// The line's name.
    #[arg(required_unless_present = "chip", conflicts_with = "chip")]
    line: Option<String>,
    /// The chip's path or label, instead of a name.
    #[arg(long, requires = "offset")]
    chip: Option<String>,
    /// The line's number on the chip.
    #[arg(long, requires = "chip")]
    offset: Option<u32>,
    /// The line is active when low.
    #[arg(long)]
    active_low: bool,
    /// Pull resistor: as-is, pull-up, pull-down, disabled.
    #[arg(long, default_value = "as-is", value_parser = bias)]
    bias: Bias,
    /// End after so many edges.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

fn bias(word: &str) -> Result<Bias, String> {
    match word {
        "as-is" => Ok(Bias::AsIs),
        "pull-up" => Ok(Bias::PullUp),
        "pull-down" => Ok(Bias::PullDown),
        "disabled" => Ok(Bias::Disabled),
        _ => Err("one of as-is, pull-up, pull-down, disabled".into()),
    }
}

/// Runs `latchd gpio`.
pub fn run(args: GpioArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List => list(format),
        Action::Watch(watched) => watch(format, watched)?,
        Action::Pulse { pulse_ms } => return Ok(pulse::run(format, &args.config, pulse_ms)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &LineError) -> Failure {
    Failure::failed(error.to_string(), error.remedy())
}

fn list(format: output::Format) {
    let found = chips::inventory(true);
    for chip in &found.chips {
        if format == output::Format::Human {
            output::line(&format!("{}  label {:?}  {} lines", chip.path.display(), chip.label, chip.count));
        }
        for line in &chip.lines {
            output::line(&match format {
                output::Format::Json => line_json(chip, line).to_string(),
                output::Format::Human => line_text(line),
            });
        }
    }
    for (path, why) in &found.silent {
        output::note(&format!("warning: {} cannot be asked: {why}", path.display()));
    }
    match format {
        output::Format::Json => output::line(
            &json!({"kind": "done", "chips": found.chips.len(), "silent": found.silent.len()}).to_string(),
        ),
        output::Format::Human if found.chips.is_empty() && found.silent.is_empty() => {
            output::note("no GPIO chip: does this kernel have the driver, and is /dev/gpiochip0 there?");
        }
        output::Format::Human => {}
    }
}

fn line_json(chip: &ChipFacts, line: &LineFacts) -> Value {
    json!({
        "kind": "item", "chip": chip.path, "label": chip.label, "offset": line.offset, "name": line.name,
        "direction": direction(line), "used": line.used, "consumer": line.consumer, "flags": line.flags,
    })
}

fn line_text(line: &LineFacts) -> String {
    let name = if line.name.is_empty() { "(no name)".into() } else { format!("{:?}", line.name) };
    let held = if line.used { format!("held by {}", line.holder()) } else { "free".into() };
    let flags = line.flags.join(" ");
    format!("  {:3}  {name:24} {:6}  {held}  {flags}", line.offset, direction(line)).trim_end().to_owned()
}

fn direction(line: &LineFacts) -> &'static str {
    if line.output { "output" } else { "input" }
}

fn watch(format: output::Format, args: WatchArgs) -> Result<(), Failure> {
    let WatchArgs { line: name, chip, offset, active_low, bias, count } = args;
    let line = LineConfig::Gpio { name, chip, offset, active_low, bias, drive: Drive::PushPull };
    let input = InputLine::open(&line).map_err(|error| failed(&error))?;
    let now = input.is_active().map_err(|error| failed(&error))?;
    if format == output::Format::Human {
        output::note(&format!("{} is {}; Ctrl-C ends", input.name(), state(now)));
    }
    let clock = SystemClock::new();
    let mut seen = 0;
    let mut last = 0;
    while count.is_none_or(|count| seen < count) {
        let Some(edge) = input.next(Duration::from_secs(3600)).map_err(|error| failed(&error))? else {
            continue;
        };
        seen += 1;
        let lost = edge.number.saturating_sub(last).saturating_sub(1);
        last = edge.number;
        output::line(&edge_line(format, edge, lost, clock.wall()));
    }
    if format == output::Format::Json {
        output::line(&json!({"kind": "done", "edges": seen}).to_string());
    }
    Ok(())
}

fn state(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

fn edge_line(format: output::Format, edge: InputEdge, lost: u32, wall: Wall) -> String {
    let at = wall.known().map(crate::clock::WallTime::to_rfc3339);
    match format {
        output::Format::Json => json!({
            "kind": "item", "state": state(edge.active), "at": at, "monotonic_us": edge.monotonic_us,
            "number": edge.number, "lost": lost,
        })
        .to_string(),
        output::Format::Human => {
            let at = at.unwrap_or_else(|| "clock unknown".into());
            let lost = if lost > 0 { format!("  ({lost} edges before it were lost)") } else { String::new() };
            let (seconds, micros) = (edge.monotonic_us / 1_000_000, edge.monotonic_us % 1_000_000);
            format!("{at}  {seconds}.{micros:06}  {}{lost}", state(edge.active))
        }
    }
}
