//! One job without a daemon: the configured database under its own lock, the same list, consent and queue, and no
//! door. There is no link to a guard in this file: whatever the verdict, nothing opens (door-rules 4).

use super::alone;
use super::error::AgentError;
use super::job::Outgoing;
use super::owner;
use super::records::{self, Already, NewJob};
use super::shared::{Opened, Shared};
use super::story::with_answer;
use crate::access::admit::admit;
use crate::access::{
    AttemptId, Claim, Decision, JobId, NotAdmitted, Outcome, Product, Readiness, Report, UserId,
};
use crate::capture::{self, CaptureError, CaptureSet};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::{Config, GuardConfig};
use crate::control::Reply;
use crate::people::PeopleError;
use crate::smileid::{Accepted, Failure, Handle, Status};
use crate::{camera, queue};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the verdict is waited for; the job is in the queue anyway.
const WAIT: Duration = Duration::from_secs(60);

/// Pictures handed in.
#[derive(Debug, Clone)]
pub struct Files {
    /// The selfie.
    pub selfie: PathBuf,
    /// The liveness pictures.
    pub liveness: Vec<PathBuf>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Authentication or registration.
    pub product: Product,
    /// The claimed identity.
    pub user_id: String,
    /// Replace a face the service knows.
    pub allow_new_enroll: bool,
    /// Do not wait for the verdict.
    pub no_wait: bool,
    /// Pictures from files instead of the camera.
    pub files: Option<Files>,
}

/// How a job ended without a door.
enum End {
    Outcome(Outcome),
    /// The submission failed.
    NotTaken(Outcome, Failure),
    /// Approved, and no door was involved.
    Approved,
    /// Durable; nobody waits.
    Stored,
}

/// Runs one job; the last reply is sent unless an error comes back.
///
/// # Errors
/// The database or the client could not be opened, or a word of the order is wrong.
pub fn run(
    config: &Config,
    guard: &GuardConfig,
    order: Order,
    given_up: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Reply),
) -> Result<(), AgentError> {
    let user = UserId::parse(&order.user_id).map_err(PeopleError::NotAUserId)?;
    if !super::shared::database_path(config).exists() {
        return Err(AgentError::NeedsDaemon);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    owner::check(config)?;
    let Opened { shared, opening, .. } = Shared::open(config, guard, clock, random)?;
    alone::refuse_replaced(&opening)?;
    let claim =
        Claim { attempt: shared.new_attempt(), user, product: order.product, reader: "command".into() };
    let mut job = None;
    let end = attempt(&shared, &claim, &order, &mut job, given_up, each)?;
    let answer = match &end {
        End::NotTaken(_, failure) => failure.told.clone(),
        _ => None,
    };
    let (word, exit, text) = match &end {
        End::NotTaken(outcome, _) => {
            let text = sentence(outcome, job.is_some());
            let told = answer.as_deref().filter(|_| *outcome == Outcome::JobRejected);
            (outcome.word(), outcome.exit_code(), with_answer(text, told))
        }
        End::Outcome(outcome) => (outcome.word(), outcome.exit_code(), sentence(outcome, job.is_some())),
        End::Approved => ("approved", 0, "approved: no door was involved".to_owned()),
        End::Stored => ("stored", 0, "saved; no door involved; sent when the daemon runs".to_owned()),
    };
    let fields = vec![("outcome", word.to_owned()), ("door", "none".to_owned())];
    records::append(&shared, Some(claim.attempt), job, "attempt_ended", fields);
    let object = json!({
        "attempt": claim.attempt.to_string(),
        "job": job.map(|job| job.to_string()),
        "outcome": word,
        "answer": answer,
        "door": "none",
    });
    each(Reply::Done { exit, object, text });
    Ok(())
}

/// What there is to say where no door is near and perhaps no daemon will run soon.
fn sentence(outcome: &Outcome, stored: bool) -> String {
    match outcome {
        Outcome::Offline => {
            "saved: the service cannot be reached; no door involved; sent when the daemon runs".into()
        }
        Outcome::Paused => {
            "saved: the service refuses every job of this device (`latchd queue retry` when that is mended); no \
             door involved; sent when the daemon runs"
                .into()
        }
        Outcome::Expired => {
            "undecided: no verdict within a minute; no door involved; asked again when the daemon runs".into()
        }
        Outcome::Held => "undecided: a person has to look at this job; no door involved".into(),
        Outcome::Undecided => "undecided: the service gave no decision; no door involved".into(),
        Outcome::UnknownOutcome => {
            "undecided: the answer was lost and the job is held (`latchd queue list`); no door involved"
                .into()
        }
        Outcome::Cancelled if stored => {
            "interrupted; the job is saved and goes on when the daemon runs".into()
        }
        Outcome::Cancelled => "interrupted; nothing was saved".into(),
        other => other.sentence(),
    }
}

fn attempt(
    shared: &Shared,
    claim: &Claim,
    order: &Order,
    made: &mut Option<JobId>,
    given_up: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Reply),
) -> Result<End, AgentError> {
    let mut standing = records::standing(shared, claim)?;
    // Nothing opens here, so `may_open` is not asked for; being listed and consent are.
    standing.may_open = true;
    let readiness = Readiness { guard: true, queue: records::queue_has_room(shared) };
    if let Err(reason) = admit(claim, super::rules(&shared.config).who, standing, readiness) {
        debug_assert!(reason != NotAdmitted::Busy);
        return Ok(End::Outcome(Outcome::NotAdmitted(reason)));
    }
    let pictures = match take_pictures(shared, claim.attempt, order.files.as_ref(), given_up, each) {
        Ok(pictures) => pictures,
        Err(_) if given_up() => return Ok(End::Outcome(Outcome::Cancelled)),
        Err(error) => {
            each(Reply::Progress { object: json!({"step": "refused"}), text: error.to_string() });
            return Ok(End::Outcome(Outcome::CaptureFailed(error.reason().into())));
        }
    };
    let job = shared.new_job();
    shared.store.write(|tx| {
        let new = NewJob {
            job,
            attempt: Some(claim.attempt),
            user: &claim.user,
            product: claim.product,
            allow_new_enroll: order.allow_new_enroll,
            selfie: &pictures.selfie.0,
            liveness: pictures.liveness.iter().map(|jpeg| jpeg.0.as_slice()).collect(),
            born: if order.no_wait { queue::Born::New } else { queue::Born::Sending },
        };
        records::enqueue(tx, shared, &new)
    })?;
    *made = Some(job);
    each(Reply::Progress { object: json!({"step": "stored", "job": job.to_string()}), text: "saved".into() });
    if order.no_wait {
        return Ok(End::Stored);
    }
    if given_up() {
        return Ok(End::Outcome(Outcome::Cancelled));
    }
    submit(shared, claim, job, given_up)
}

fn take_pictures(
    shared: &Shared,
    attempt: AttemptId,
    files: Option<&Files>,
    given_up: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Reply),
) -> Result<CaptureSet, CaptureError> {
    if let Some(files) = files {
        let loaded = capture::files::load(
            &files.selfie,
            &files.liveness,
            &shared.config.capture,
            shared.clock.boot(),
        )?;
        return Ok(loaded.into_set());
    }
    let mut source = camera::open(&shared.config.camera, Arc::clone(&shared.clock))?;
    let mut progress = |step: capture::Progress| {
        if let capture::Progress::Liveness { taken, of } = step {
            each(Reply::Progress {
                object: json!({"step": "picture", "attempt": attempt.to_string(), "taken": taken, "of": of}),
                text: format!("picture {taken} of {of}"),
            });
        }
    };
    let captured = capture::capture(
        source.as_mut(),
        &shared.config.capture,
        shared.clock.as_ref(),
        &mut progress,
        given_up,
    )?;
    Ok(captured.into_set())
}

fn submit(
    shared: &Shared,
    claim: &Claim,
    job: JobId,
    given_up: &dyn Fn() -> bool,
) -> Result<End, AgentError> {
    let sent = match Outgoing::load(shared, job) {
        Ok(outgoing) => outgoing.submit(shared),
        Err(error) => Err(error.into_failure()),
    };
    let Accepted { handle, report } = match sent {
        Ok(accepted) => accepted,
        Err(failure) => {
            records::settle(shared, job, &failure, vec![]);
            return Ok(End::NotTaken(outcome_of(&failure), failure));
        }
    };
    records::accepted(shared, job, &handle.remote_job, Already::Nothing)?;
    if let Some(report) = report {
        return judged(shared, claim, job, &report);
    }
    wait(shared, claim, job, &handle, given_up)
}

fn outcome_of(failure: &Failure) -> Outcome {
    use crate::access::SubmitFailure;
    match records::submit_failure(failure) {
        SubmitFailure::RefusedForCertain { .. } | SubmitFailure::ClockUnknown => Outcome::Offline,
        SubmitFailure::PerhapsTaken => Outcome::UnknownOutcome,
        SubmitFailure::Rejected => Outcome::JobRejected,
        SubmitFailure::Paused => Outcome::Paused,
    }
}

fn judged(shared: &Shared, claim: &Claim, job: JobId, report: &Report) -> Result<End, AgentError> {
    let row = shared.store.read(|tx| queue::info(tx, job))?;
    let decision = records::decision_of(&row, report);
    records::drained_verdict(shared, job, report)?;
    Ok(match decision {
        Decision::Approve if claim.product == Product::Registration => End::Outcome(Outcome::Enrolled),
        Decision::Approve => End::Approved,
        Decision::Deny { spoof } => End::Outcome(Outcome::Denied { spoof }),
        Decision::Hold => End::Outcome(Outcome::Held),
        Decision::Undecided | Decision::Mismatch | Decision::Unknown => End::Outcome(Outcome::Undecided),
    })
}

fn wait(
    shared: &Shared,
    claim: &Claim,
    job: JobId,
    handle: &Handle,
    given_up: &dyn Fn() -> bool,
) -> Result<End, AgentError> {
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let taken = shared.clock.boot();
    let until = taken.plus(WAIT);
    loop {
        let _ = never.recv_timeout(shared.pause(taken));
        if let Ok(Status::Final(report)) = shared.client.status(handle) {
            return judged(shared, claim, job, &report);
        }
        if given_up() {
            return Ok(End::Outcome(Outcome::Cancelled));
        }
        if shared.clock.boot() >= until {
            return Ok(End::Outcome(Outcome::Expired));
        }
    }
}
