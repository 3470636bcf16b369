//! What the demo prints: steps as they happen, a progress bar for the burst, a table at the end.

use super::super::output::{self, Format};
use crate::control::Reply;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const TITLE: Style = Style::new().bold();

/// One check: what should be, and whether it was.
#[derive(Debug, Clone)]
pub struct Check {
    /// What should be.
    pub what: String,
    /// Whether it was.
    pub seen: bool,
}

/// One scene of the story.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What happens.
    pub title: &'static str,
    /// How the attempt ended.
    pub outcome: String,
    /// The service's word.
    pub verdict: String,
    /// Milliseconds from the claim to its end.
    pub from_claim_ms: Option<f64>,
    /// Milliseconds from the verdict to the edge.
    pub verdict_to_edge_ms: Option<f64>,
    /// Edges seen on the line during the scene.
    pub edges: usize,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// Prints for people or machines.
pub struct Printer {
    format: Format,
}

impl Printer {
    /// A printer.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// A line for people.
    pub fn say(&self, text: &str) {
        match self.format {
            Format::Human => output::line(text),
            Format::Json => output::line(&json!({"kind": "progress", "text": text}).to_string()),
        }
    }

    /// A scene begins.
    pub fn begin(&self, number: usize, title: &str) {
        if self.format == Format::Human {
            let gap = if number == 1 { "" } else { "\n" };
            output::line(&format!("{gap}{TITLE}{number}. {title}{TITLE:#}"));
        }
    }

    /// A bar for the pictures of one burst; drawn on a terminal only.
    pub fn bar(&self) -> ProgressBar {
        if self.format == Format::Json {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("   pictures [{bar:24.cyan}] {pos}/{len} {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }

    /// A reply of the daemon while an attempt runs.
    pub fn follow(&self, bar: &ProgressBar, reply: &Reply) {
        let Reply::Progress { object, text } = reply else { return };
        let number = |key: &str| object.get(key).and_then(Value::as_u64);
        match (number("taken"), number("of")) {
            (Some(taken), Some(of)) => {
                bar.set_length(of);
                bar.set_position(taken);
            }
            _ => {
                bar.suspend(|| {
                    if self.format == Format::Human {
                        output::line(&format!("   {text}"));
                    }
                });
            }
        }
    }

    /// A scene is over.
    pub fn end(&self, scene: &Scene) {
        match self.format {
            Format::Json => output::line(&scene_json(scene).to_string()),
            Format::Human => {
                for check in &scene.checks {
                    let (style, mark) = if check.seen { (GOOD, "ok") } else { (BAD, "NO") };
                    output::line(&format!("   {style}{mark}{style:#} {}", check.what));
                }
            }
        }
    }
}

fn scene_json(scene: &Scene) -> Value {
    json!({
        "kind": "item",
        "title": scene.title,
        "outcome": scene.outcome,
        "verdict": scene.verdict,
        "from_claim_ms": scene.from_claim_ms,
        "verdict_to_edge_ms": scene.verdict_to_edge_ms,
        "edges": scene.edges,
        "checks": scene.checks.iter().map(|c| json!({"what": c.what, "seen": c.seen})).collect::<Vec<_>>(),
    })
}

/// Prints the table; whether all of it was observed.
pub fn table(printer: &Printer, scenes: &[Scene]) -> bool {
    let checks = || scenes.iter().flat_map(|scene| &scene.checks);
    let (all, seen) = (checks().count(), checks().filter(|check| check.seen).count());
    if printer.format == Format::Json {
        output::line(&json!({"kind": "done", "observed": seen, "of": all}).to_string());
        return seen == all;
    }
    let figure = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1}"));
    output::line(&format!(
        "\n{TITLE}{:<44} {:<14} {:<9} {:>11} {:>15} {:>6}{TITLE:#}",
        "attempt", "outcome", "verdict", "ms in all", "verdict->edge", "edges"
    ));
    for scene in scenes {
        output::line(&format!(
            "{:<44} {:<14} {:<9} {:>11} {:>15} {:>6}",
            scene.title,
            scene.outcome,
            scene.verdict,
            figure(scene.from_claim_ms),
            figure(scene.verdict_to_edge_ms),
            scene.edges
        ));
    }
    let style = if seen == all { GOOD } else { BAD };
    output::line(&format!("\n{style}{seen} of {all} promises observed{style:#}"));
    seen == all
}
