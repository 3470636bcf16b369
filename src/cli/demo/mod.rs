//! `latchd demo`: the whole story on this machine, without hardware, with the real programs.
//!
//! The sandbox, the daemon and the lock run as processes of their own, as on a board. Only three things are
//! stand-ins, and are named as such: a photograph for the camera, the sandbox for the service, a file of edges
//! for the GPIO line. Every check looks from outside: at the edges in that file and at the audit.

mod lens;
mod report;
mod story;
mod world;

use super::Failure;
use super::output::{self, Format};
use crate::guard::recording::{Edge, Level};
use report::Printer;
use std::process::ExitCode;
use world::World;

/// The whole story.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  latchd demo\n  latchd demo --fast --json\n  latchd demo --serve")]
pub struct DemoArgs {
    /// Shorter pulses, fewer pictures: for tests.
    #[arg(long)]
    fast: bool,
    /// When the story is over, keep everything running until Ctrl-C and say how to talk to it.
    #[arg(long)]
    serve: bool,
}

/// Plays the story; exit 0 only if all of it was observed.
pub fn run(args: &DemoArgs, format: Format) -> anyhow::Result<ExitCode> {
    let printer = Printer::new(format);
    let mut world = World::build(args.fast)?;
    if args.serve {
        printer.say(&format!("everything of this demo is in {}", world.directory().display()));
    }
    let scenes = story::play(&mut world, &printer)?;
    let observed = report::table(&printer, &scenes);
    if args.serve && observed {
        serve(&world, &printer)?;
    }
    if observed {
        world.end();
    }
    Ok(if observed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn serve(world: &World, printer: &Printer) -> anyhow::Result<()> {
    let config = world.config_file().display().to_string();
    printer.say(&format!(
        "still running; in another terminal:\n  latchd authenticate --config {config} --user-id approved\n  latchd \
         status --config {config}\n  latchd events --config {config} --follow\nCtrl-C ends it"
    ));
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])
            .map_err(|error| Failure::failed(format!("signals: {error}"), "try without --serve"))?;
    signals.forever().next();
    Ok(())
}

/// How many times the line went to unlocked.
fn openings(edges: &[Edge]) -> usize {
    edges.iter().filter(|edge| edge.level == Level::Unlocked).count()
}

/// Whether the line is locked now, by its last edge.
fn is_locked(edges: &[Edge]) -> bool {
    edges.last().is_none_or(|edge| edge.level == Level::Locked)
}

fn warn(text: &str) {
    output::note(text);
}
