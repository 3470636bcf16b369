//! `latchd bench`: measurements of this machine. docs/benchmarks.md says what is compared with what.

mod capture;
mod desk;
mod edge;
mod eyes;
mod floor;
mod queue;
mod wear;

use super::{Failure, output};
use crate::agent::bulk::small;
use crate::clock::{SystemClock, SystemRandom};
use crate::smileid::bench as submit;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Measurements of this machine.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What a frame costs: conversion, gate, encoding.
    Capture {
        /// A photograph.
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
    },
    /// What looking for a face costs: the network alone, averaging by format, whole frames of 1280x720.
    Eyes {
        /// A photograph with a face.
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// A frame of a camera that sends JPEGs.
        #[arg(long, value_name = "FILE")]
        mjpg: Option<PathBuf>,
        /// Instead, follow a face through so many frames, for a program that counts instructions.
        #[arg(long, value_name = "FRAMES", hide = true)]
        follow: Option<u32>,
    },
    /// The protocol client alone: N authentications, one after another over one connection.
    Submit(Target),
    /// How soon a door knows the verdict of a service that takes its time, and for how many status calls.
    Verdict {
        #[command(flatten)]
        target: Target,
        /// How long the stand-in takes for each verdict (`decide_after_ms` of its scenario).
        #[arg(long, value_name = "MS")]
        after_ms: u64,
        /// The longest pause between two looks (`[smile] poll_interval_ms`).
        #[arg(long, value_name = "MS", default_value_t = 350)]
        poll_interval_ms: u64,
    },
    /// Fills the queue of a configuration with jobs of small pictures, in bulk, and reports the time of a commit.
    /// Only into a database without jobs: it is for measuring the start with a full queue.
    Fill {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How many jobs.
        #[arg(long, default_value_t = 10_000)]
        jobs: u32,
        /// Directory with selfie.jpg and liveness_0.jpg to liveness_7.jpg: jobs of full size, due at once.
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
    },
    /// The least that a drain must do: two durable commits and one prepared request a job, one job after another.
    Floor {
        #[command(flatten)]
        target: Target,
        /// Directory for the database; on the disk that is measured.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Writes jobs from their enqueueing to their verdict, for a script that counts the bytes on the device.
    #[command(hide = true)]
    Wear(wear::WearArgs),
    /// A capture made durable beside bare SQLite, whose turn it is, and a start, with many jobs waiting.
    Queue(queue::QueueArgs),
    /// From the grant to the edge of a recording line, and from a durable intent to the edge, with the real guard.
    Edge {
        /// How many grants.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        grants: u32,
        /// Directory for the line and the database; on the disk that is measured.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// A stand-in, and what is sent to it.
#[derive(Debug, clap::Args)]
struct Target {
    /// The server, such as `latchd sandbox` prints it.
    #[arg(long)]
    url: String,
    /// Its certificate authority. Needed: a benchmark must not reach the real service.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Directory with selfie.jpg and liveness_0.jpg to liveness_7.jpg.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// How many jobs.
    #[arg(long, default_value_t = 50)]
    jobs: u32,
    /// The partner id.
    #[arg(long)]
    partner_id: String,
    /// The API key of the stand-in.
    #[arg(long)]
    api_key: String,
}

impl Target {
    fn plan(self) -> submit::Plan {
        let Self { url, ca, images, jobs, partner_id, api_key } = self;
        submit::Plan { url, ca, images, jobs, partner_id, api_key: api_key.into() }
    }
}

/// Runs `latchd bench`.
pub fn run(args: BenchArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Verdict { target, after_ms, poll_interval_ms } => {
            verdict(format, &target.plan(), after_ms, poll_interval_ms)?;
        }
        What::Submit(target) => {
            let plan = target.plan();
            let cpu = cpu_micros();
            let figures = submit::run(&plan, Arc::new(SystemClock::new()), Arc::new(SystemRandom))
                .map_err(|error| Failure::failed(error.to_string(), error.remedy()))?;
            let cpu = (cpu_micros() - cpu) / u64::from(figures.jobs.max(1));
            let usage = peak_memory();
            print(
                format,
                json!({
                    "jobs": figures.jobs, "picture_bytes": figures.picture_bytes, "warm_us": figures.warm_us,
                    "wall_us_median": figures.median_us(), "wall_us": figures.wall_us,
                    "cpu_us_per_job": cpu, "peak_rss_kib": usage,
                }),
                &format!(
                    "{} jobs, {} bytes of pictures each: median {} us, token and connection {} us",
                    figures.jobs,
                    figures.picture_bytes,
                    figures.median_us(),
                    figures.warm_us
                ),
            );
        }
        What::Capture { image } => capture::run(format, &image)?,
        What::Eyes { image, follow: Some(frames), .. } => eyes::follow(&image, frames)?,
        What::Eyes { image, mjpg, .. } => eyes::run(format, &image, mjpg.as_deref())?,
        What::Edge { grants, directory } => edge::run(format, grants, directory)?,
        What::Queue(args) => queue::run(format, args)?,
        What::Floor { target, directory } => floor::run(format, &target, directory)?,
        What::Wear(args) => wear::run(format, &args)?,
        What::Fill { config, jobs, images } => fill_queue(format, &config, jobs, images.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(
    format: output::Format,
    plan: &submit::Plan,
    after_ms: u64,
    poll_interval_ms: u64,
) -> anyhow::Result<()> {
    let (decides, longest) = (Duration::from_millis(after_ms), Duration::from_millis(poll_interval_ms));
    let mut known =
        submit::verdicts(plan, decides, longest, Arc::new(SystemClock::new()), Arc::new(SystemRandom))
            .map_err(|error| Failure::failed(error.to_string(), error.remedy()))?;
    known.sort_by_key(|known| known.late_us);
    let at = |share: usize| {
        known.get(known.len().saturating_sub(1) * share / 100).map_or(0, |known| known.late_us)
    };
    let looks = known.iter().map(|known| known.looks).max().unwrap_or(0);
    print(
        format,
        json!({
            "jobs": known.len(), "after_ms": after_ms, "late_us_p50": at(50), "late_us_p99": at(99), "looks_max": looks,
        }),
        &format!(
            "{} jobs decided after {after_ms} ms: known {} ms later (p50), {} ms (p99), at most {looks} looks",
            known.len(),
            at(50) / 1000,
            at(99) / 1000
        ),
    );
    Ok(())
}

/// Jobs in one commit of the bulk.
const BULK: u32 = 500;

fn fill_queue(format: output::Format, config: &Path, jobs: u32, images: Option<&Path>) -> anyhow::Result<()> {
    let session = super::session::Session::open(config)?;
    let mut files = Vec::new();
    for name in ["selfie".to_owned()].into_iter().chain((0..8).map(|number| format!("liveness_{number}"))) {
        let Some(directory) = images else { break };
        let path = directory.join(format!("{name}.jpg"));
        let read = std::fs::read(&path);
        files.push(
            read.map_err(|error| Failure::usage(format!("{}: {error}", path.display()), "see --help"))?,
        );
    }
    let mut bulk = small(jobs, BULK);
    // A daemon that starts finds them waiting.
    bulk.held_back = Duration::from_secs(3600);
    if !files.is_empty() {
        bulk.held_back = Duration::ZERO;
        bulk.in_a_commit = 20;
        bulk.pictures.iter_mut().zip(&files).for_each(|(picture, file)| *picture = file);
    }
    let taken = crate::agent::bulk::fill(&session.config, bulk).map_err(|error| Failure {
        cause: error.to_string(),
        remedy: error.remedy(),
        exit: error.exit_code(),
    })?;
    let per_job = taken.as_micros() / u128::from(jobs.max(1));
    print(
        format,
        json!({"jobs": jobs, "us_per_job": u64::try_from(per_job).ok()}),
        &format!("{jobs} jobs queued, {per_job} us a job in commits of {BULK}"),
    );
    Ok(())
}

/// Processor time of this process so far, in microseconds: client, token and connection included.
fn cpu_micros() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(used.tv_sec * 1_000_000 + used.tv_nsec / 1000).unwrap_or(0)
}

/// Peak resident memory of this process in KiB, from the kernel.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn print(format: output::Format, object: Value, text: &str) {
    match format {
        output::Format::Json => output::line(&output::object("done", object)),
        output::Format::Human => output::line(text),
    }
}
