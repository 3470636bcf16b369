//! What becomes of jobs: made durable, accepted, refused, put back, erased.

use super::{event, notes, tell_if_failed};
use crate::access::{
    AttemptId, Check, Finding, JobId, Note, PictureKind, Product, Report, SubmitFailure, Task, UserId,
};
use crate::agent::details;
use crate::agent::error::AgentError;
use crate::agent::shared::{Shared, Unsettled};
use crate::agent::story::Story;
use crate::clock::Wall;
use crate::people;
use crate::queue::policy::{self, Answer, PauseReason};
use crate::queue::{self, HeldReason, Move, SweptWhat};
use crate::smileid::{CheckForm, Failure, FailureKind};
use crate::store::Transaction;
use zeroize::Zeroizing;

/// The job becomes durable, born `sending`, with the notes so far: the first of the three commits to the edge.
pub fn store_job(shared: &Shared, story: &mut Story, job: JobId) -> Result<(), AgentError> {
    let Some(capture) = story.pictures.take() else { return Err(AgentError::NeedsDaemon) };
    let claim = &story.order.claim;
    let list = std::mem::take(&mut story.notes);
    let (subject, allow) = (story.subject, story.order.allow_new_enroll);
    shared.store.write(|tx| {
        let set = capture.set();
        let new = NewJob {
            job,
            attempt: Some(claim.attempt),
            user: &claim.user,
            product: claim.product,
            allow_new_enroll: allow,
            selfie: &set.selfie.0,
            liveness: set.liveness.iter().map(|jpeg| jpeg.0.as_slice()).collect(),
            born: queue::Born::Sending,
        };
        enqueue(tx, shared, &new)?;
        notes(tx, shared, subject, Some(job), list)
    })
}

/// A job to be made durable.
pub struct NewJob<'a> {
    /// Its id.
    pub job: JobId,
    /// The attempt at the door, if there is one.
    pub attempt: Option<AttemptId>,
    /// The person.
    pub user: &'a UserId,
    /// What is asked.
    pub product: Product,
    /// Replace a face the service knows.
    pub allow_new_enroll: bool,
    /// The selfie.
    pub selfie: &'a [u8],
    /// The liveness pictures.
    pub liveness: Vec<&'a [u8]>,
    /// Its first state.
    pub born: queue::Born,
}

/// The configured protocol, in the queue's words.
pub fn queue_api(shared: &Shared) -> queue::Api {
    shared.config.smile.api.into()
}

/// Writes a job with the person's details as they are now.
pub fn enqueue(tx: &Transaction<'_>, shared: &Shared, new: &NewJob<'_>) -> Result<(), AgentError> {
    let person = people::show(tx, &shared.keys.people, new.user)?;
    let details = person.as_ref().and_then(details::to_bytes).ok_or(AgentError::NoConsent)?;
    let liveness = new.liveness.iter().map(|jpeg| (PictureKind::Liveness, *jpeg));
    let pictures: Vec<_> = std::iter::once((PictureKind::Selfie, new.selfie)).chain(liveness).collect();
    queue::enqueue(
        tx,
        &shared.keys.queue,
        &queue::NewJob {
            id: new.job,
            attempt: new.attempt,
            user_id: new.user,
            task: Task::Door(new.product),
            api: queue_api(shared),
            allow_new_enroll: new.allow_new_enroll,
            details: &details,
            pictures: &pictures,
            born: new.born,
        },
    )?;
    Ok(())
}

/// A check to be made durable.
pub struct NewCheck<'a> {
    /// Its id.
    pub job: JobId,
    /// Whom it is about.
    pub user: &'a UserId,
    /// What is asked.
    pub check: Check,
    /// All that is said about it.
    pub form: &'a CheckForm,
    /// Its pictures.
    pub pictures: &'a [(PictureKind, &'a [u8])],
}

/// Writes a check, which waits for its turn like every job that nobody stands at a door for, and says who asked for it.
pub fn enqueue_check(shared: &Shared, new: &NewCheck<'_>, actor: String) -> Result<(), AgentError> {
    let details = Zeroizing::new(serde_json::to_vec(new.form).map_err(|_| AgentError::NoConsent)?);
    shared.store.write(|tx| {
        queue::enqueue(
            tx,
            &shared.keys.queue,
            &queue::NewJob {
                id: new.job,
                attempt: None,
                user_id: new.user,
                task: Task::Check(new.check),
                api: queue_api(shared),
                allow_new_enroll: new.form.allow_new_enroll,
                details: &details,
                pictures: new.pictures,
                born: queue::Born::New,
            },
        )?;
        let subject = people::pseudonym(tx, new.user)?;
        let fields = [("product", new.check.name().to_owned()), ("by", actor)];
        event(tx, shared, None, Some(new.job), subject, "check_submitted", fields)
    })
}

/// What came with the acceptance of a job that nobody waits for.
#[derive(Clone, Copy)]
pub enum Already<'a> {
    /// Nothing: it will be asked for.
    Nothing,
    /// The verdict on a job of the door, too late for it.
    Report(&'a Report),
    /// What a check found.
    Finding(&'a Finding),
}

/// The service took the job: its id is durable before anything follows from it (queue promise 2), together with the
/// result where the answer already was one. A pause of the queue, if there was one, is over with it, unless an operator
/// wanted it.
pub fn accepted(
    shared: &Shared,
    job: JobId,
    remote_job: &str,
    already: Already<'_>,
) -> Result<(), AgentError> {
    shared.store.write(|tx| accept(tx, shared, job, remote_job, already))
}

/// [`accepted`] within a commit that has more.
pub fn accept(
    tx: &Transaction<'_>,
    shared: &Shared,
    job: JobId,
    remote_job: &str,
    already: Already<'_>,
) -> Result<(), AgentError> {
    queue::transition(tx, job, &Move::Accept { remote: remote_job.to_owned() })?;
    match already {
        // Nobody waits: the service is given some time before it is asked.
        Already::Nothing => {
            let some = u64::from(shared.config.queue.backoff_min_ms);
            queue::postpone(tx, job, std::time::Duration::from_millis(some))?;
        }
        Already::Report(report) => super::verdicts::late(tx, shared, job, report)?,
        Already::Finding(finding) => super::verdicts::found(tx, shared, job, finding)?,
    }
    if queue::paused(tx)?.is_some_and(|pause| pause.reason != PauseReason::Operator) {
        queue::resume(tx)?;
        event(tx, shared, None, Some(job), None, "queue_resumed", [])?;
        log::info!("the service takes jobs again; the queue goes on");
    }
    Ok(())
}

/// What a failed submission means for the attempt.
pub fn submit_failure(failure: &Failure) -> SubmitFailure {
    match failure.kind {
        FailureKind::RefusedForCertain | FailureKind::TryLater => {
            SubmitFailure::RefusedForCertain { retry_after: failure.retry_after }
        }
        FailureKind::PerhapsTaken | FailureKind::Malformed | FailureKind::Duplicate => {
            SubmitFailure::PerhapsTaken
        }
        FailureKind::RejectedJob(_) => SubmitFailure::Rejected,
        FailureKind::ClockUnknown => SubmitFailure::ClockUnknown,
        kind if kind.pauses_queue() => SubmitFailure::Paused,
        _ => SubmitFailure::PerhapsTaken,
    }
}

/// What a failed submission means for the queue (queue promise 4).
fn queue_answer(failure: &Failure) -> Answer {
    let answered = failure.http.is_some();
    match failure.kind {
        FailureKind::RefusedForCertain | FailureKind::TryLater => {
            Answer::RefusedForCertain { retry_after: failure.retry_after, answered }
        }
        FailureKind::PerhapsTaken | FailureKind::Malformed => Answer::PerhapsTaken { answered },
        FailureKind::Unauthorised => Answer::Unauthorised,
        FailureKind::Unpaid => Answer::Unpaid,
        FailureKind::NotPermitted | FailureKind::Certificate | FailureKind::Configuration => {
            Answer::NotPermitted
        }
        FailureKind::RejectedJob(_) => Answer::RejectedJob {
            reason: match &failure.code {
                Some(code) => code.clone(),
                // Found on this device: nobody else has a sentence for it.
                None if !answered => failure.text.clone(),
                None => failure.kind.name().into(),
            },
            answer: failure.told.clone(),
        },
        FailureKind::Duplicate => Answer::Duplicate,
        FailureKind::ClockUnknown => Answer::ClockUnknown,
    }
}

fn course(
    tx: &Transaction<'_>,
    shared: &Shared,
    job: JobId,
    answer: &Answer,
) -> Result<policy::Course, AgentError> {
    let mut random = [0; 8];
    tx.random(&mut random);
    let facts = queue::info(tx, job)?.facts();
    Ok(policy::after_failure(answer, &facts, &shared.config.queue, u64::from_le_bytes(random)))
}

/// Moves a job whose submission failed; what the disk does not take is remembered for the drain to try again.
pub fn settle(shared: &Shared, job: JobId, failure: &Failure, list: Vec<Note>) {
    if let Err(error) = try_settle(shared, job, failure, list) {
        log::error!(job:% = job; "what became of the job could not be written: {error}");
        shared.remember(job, Unsettled::Failed(failure.clone()));
    }
}

/// Moves a job whose submission failed, with what that means for the whole queue, in one commit. A failure like the
/// one before writes no event: a device that is offline for days must not fill its disk with saying so.
pub fn try_settle(shared: &Shared, job: JobId, failure: &Failure, list: Vec<Note>) -> Result<(), AgentError> {
    let answer = queue_answer(failure);
    shared.store.write(|tx| {
        notes(tx, shared, None, Some(job), list)?;
        let tried_before = queue::info(tx, job)?.tries > 0;
        let course = course(tx, shared, job, &answer)?;
        queue::apply(tx, job, &course)?;
        if !tried_before || course.step != Move::NotSent {
            let mut fields =
                vec![("failure", failure.kind.name().to_owned()), ("step", course.step.name().to_owned())];
            if let Some(code) = &failure.code {
                fields.push(("code", code.clone()));
            }
            event(tx, shared, None, Some(job), None, "job_failed", fields)?;
        }
        if let Some(reason) = course.pause {
            event(tx, shared, None, Some(job), None, "queue_paused", [("reason", reason.name().to_owned())])?;
            log::error!(reason = reason.name(), remedy = failure.remedy(); "the queue is paused: {failure}");
        }
        Ok(())
    })
}

/// Gives a job up that will never be decided.
pub fn dead_letter(shared: &Shared, job: JobId, reason: &str) -> Result<(), AgentError> {
    shared.store.write(|tx| {
        queue::transition(tx, job, &Move::DeadLetter { reason: reason.to_owned(), answer: None })?;
        event(tx, shared, None, Some(job), None, "job_failed", [("failure", reason.to_owned())])
    })
}

/// Holds a job that the service took and does not decide: an operator can have it asked about again.
pub fn overdue(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    shared.store.write(|tx| {
        queue::transition(tx, job, &Move::Hold(HeldReason::Attention))?;
        event(tx, shared, None, Some(job), None, "job_overdue", [])
    })
}

/// Puts a job back that was never handed to the service.
pub fn put_back(shared: &Shared, job: JobId, list: Vec<Note>) {
    let result = shared.store.write(|tx| {
        notes(tx, shared, None, Some(job), list)?;
        let course =
            course(tx, shared, job, &Answer::RefusedForCertain { retry_after: None, answered: false })?;
        Ok(queue::apply(tx, job, &course)?)
    });
    tell_if_failed(shared, "put_back", result);
}

fn hours(span: std::time::Duration) -> String {
    (span.as_secs() / 3600).to_string()
}

/// The network changed: jobs that waited because it was gone are due at once.
pub fn hurry(shared: &Shared) {
    match shared.store.write(queue::hurry) {
        Ok(0) => {}
        Ok(jobs) => log::info!(jobs = jobs; "the network changed; waiting jobs are tried at once"),
        Err(error) => log::error!("waiting jobs could not be hurried: {error}"),
    }
    shared.wake();
}

/// Jobs that waited for the clock go on once it is known (queue promise 7); whether there were any.
pub fn release_clock_held(shared: &Shared) -> bool {
    if shared.clock.wall() == Wall::Unknown {
        return false;
    }
    match shared.store.read(queue::has_clock_held) {
        Ok(true) => {}
        _ => return false,
    }
    let result = shared.store.write(|tx| {
        let count = queue::release_clock_held(tx)?;
        event(tx, shared, None, None, None, "clock_known", [("jobs", count.to_string())])
    });
    let released = result.is_ok();
    tell_if_failed(shared, "release_clock_held", result);
    released
}

/// Erases and forgets what has had its time (queue promises 6 and 10).
pub fn sweep(shared: &Shared) {
    let result = shared.store.write(|tx| {
        for swept in queue::sweep(tx, &shared.config.queue, &shared.config.retention)? {
            let kind = match swept.what {
                SweptWhat::Expired => "job_expired",
                SweptWhat::ImagesErased => "job_erased",
            };
            event(tx, shared, None, Some(swept.id), None, kind, [("hours", hours(swept.age))])?;
        }
        let gone = queue::prune(tx, &shared.config.retention)?;
        if gone > 0 {
            log::info!(jobs = gone; "finished jobs had their time and are no longer listed");
        }
        Ok(())
    });
    tell_if_failed(shared, "sweep", result);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smileid::Reject;

    fn failure(kind: FailureKind, http: Option<u16>) -> Failure {
        let told = http.map(|_| "the user is not enrolled".to_owned());
        let text = "one line".to_owned();
        Failure { kind, text, told, http, code: None, retry_after: None, server_date: None }
    }

    #[test]
    fn the_network_hurries_only_what_the_service_did_not_answer() {
        for (http, answered) in [(Some(429), true), (None, false)] {
            let answer = queue_answer(&failure(FailureKind::RefusedForCertain, http));
            assert_eq!(answer, Answer::RefusedForCertain { retry_after: None, answered });
        }
    }

    #[test]
    fn a_refusal_keeps_the_services_sentence_and_a_check_of_our_own_its_reason() {
        let rejected = |http| queue_answer(&failure(FailureKind::RejectedJob(Reject::User), http));
        let (kind, said) = ("rejected_user".to_owned(), Some("the user is not enrolled".to_owned()));
        assert_eq!(rejected(Some(403)), Answer::RejectedJob { reason: kind, answer: said });
        assert_eq!(rejected(None), Answer::RejectedJob { reason: "one line".into(), answer: None });
    }
}
