//! `latchd bench queue`: what it takes to make a capture durable, to find whose turn it is, and to start with a long queue.

mod depth;
mod enqueue;

use super::desk::Desk;
use super::print;
use crate::cli::output;
use serde_json::json;
use std::path::PathBuf;

/// What is measured.
#[derive(Debug, clap::Args)]
pub struct QueueArgs {
    /// Where; on the disk that is to be measured. 1.5 GB of it are needed for 100,000 jobs, and are free again afterwards.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Full-size captures that each side makes durable in one round.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Rounds of both in turn.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Jobs that wait, in rising order. As root the disk's pages are dropped from memory before each cold start.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 10_000, 100_000])]
    depths: Vec<u32>,
}

/// Measures and prints.
pub fn run(format: output::Format, mut args: QueueArgs) -> anyhow::Result<()> {
    args.depths.sort_unstable();
    let desk = Desk::new(args.directory)?;
    let (enqueue, first) = enqueue::measure(&desk, args.jobs, args.rounds)?;
    let (depth, second) = depth::measure(&desk, &args.depths)?;
    print(format, json!({"enqueue": enqueue, "depth": depth}), &format!("{first}\n{second}"));
    Ok(())
}
