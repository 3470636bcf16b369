//! `latchd authenticate` and `latchd enroll`.

use super::interrupt::Interrupt;
use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::access::Product;
use crate::agent::solo;
use crate::control::Request;
use std::path::PathBuf;
use std::process::ExitCode;

/// One attempt.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With a running daemon this is an attempt at the door. Without one it is a job only: no door \
is involved.\n\nExamples:\n  latchd authenticate --user-id emp-0042\n  latchd authenticate --user-id emp-0042 --image \
selfie.jpg --liveness 0.jpg --liveness 1.jpg …"
)]
pub struct ClaimArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The claimed identity: the person's id at the service.
    #[arg(long, value_name = "ID")]
    user_id: String,
    /// The selfie, from a file instead of the camera. Only without a running daemon.
    #[arg(long, value_name = "FILE", requires = "liveness")]
    image: Option<PathBuf>,
    /// A liveness picture; 6 to 8 of them.
    #[arg(long, value_name = "FILE", requires = "image")]
    liveness: Vec<PathBuf>,
    /// Do not wait for the verdict: exit 0 once the job is durable.
    #[arg(long)]
    no_wait: bool,
}

/// An enrolment.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With a running daemon its camera takes the pictures, and no door opens. Without one the configured \
camera or the files do.\n\nExamples:\n  latchd enroll --user-id emp-0042\n  latchd enroll --user-id emp-0042 \
--allow-new-enroll\n  latchd enroll --user-id emp-0042 --image selfie.jpg --liveness 0.jpg --liveness 1.jpg …"
)]
pub struct EnrollArgs {
    #[command(flatten)]
    claim: ClaimArgs,
    /// Replace the face of a person whom the service already knows.
    #[arg(long)]
    allow_new_enroll: bool,
}

/// Runs `latchd authenticate`.
pub fn authenticate(args: &ClaimArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    run(args, Product::Authentication, false, format)
}

/// Runs `latchd enroll`.
pub fn enroll(args: &EnrollArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    run(&args.claim, Product::Registration, args.allow_new_enroll, format)
}

fn run(
    args: &ClaimArgs,
    product: Product,
    allow_new_enroll: bool,
    format: output::Format,
) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    if session.daemon_runs() {
        if args.image.is_some() {
            return Err(Failure::usage(
                "a daemon runs here, and it takes its own pictures",
                "leave --image and --liveness out, or stop the daemon",
            )
            .into());
        }
        let request = Request::Claim {
            product: product.name().into(),
            user_id: args.user_id.clone(),
            wait: !args.no_wait,
            allow_new_enroll,
        };
        return session.perform(request, format);
    }
    let order = solo::Order {
        product,
        user_id: args.user_id.clone(),
        allow_new_enroll,
        no_wait: args.no_wait,
        files: args.image.clone().map(|selfie| solo::Files { selfie, liveness: args.liveness.clone() }),
    };
    let guard = session.check()?;
    let interrupt = Interrupt::watch().ok();
    let given_up = || interrupt.as_ref().is_some_and(Interrupt::seen);
    let mut exit = None;
    solo::run(&session.config, &guard, order, &given_up, &mut |reply| {
        exit = output::reply(format, reply).or(exit);
    })
    .map_err(|error| session.failure(&error))?;
    Ok(exit.unwrap_or(ExitCode::FAILURE))
}
