//! What one commit holds: the statements of several rooms put together, so that they become durable together or
//! not at all. No decision is taken here.

use super::details;
use super::error::AgentError;
use super::lockout_rule;
use super::shared::{DatabaseAlarm, Shared};
use super::story::Story;
use crate::access::{
    AttemptId, Claim, Decision, JobId, Note, Product, Report, Standing, SubmitFailure, UserId,
};
use crate::audit::{self, Event, Unlock};
use crate::clock::Wall;
use crate::people::{self, Subject};
use crate::queue::policy::{self, Answer, PauseReason};
use crate::queue::{self, Decided, HeldReason, Move, SweptWhat};
use crate::smileid::{Failure, FailureKind};
use crate::store::{Pseudonym, StoreError, Transaction};
use std::collections::BTreeMap;

type Fields = Vec<(&'static str, String)>;

/// Appends one event within a transaction.
pub fn event(
    tx: &Transaction<'_>,
    shared: &Shared,
    attempt: Option<AttemptId>,
    job: Option<JobId>,
    subject: Option<Pseudonym>,
    kind: &'static str,
    fields: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), AgentError> {
    let mut fields: BTreeMap<_, _> = fields.into_iter().collect();
    if shared.config.door.sandbox_unlock == crate::config::model::SandboxUnlock::Commissioning {
        // door-rules 4: every row of a door that a sandbox may open says so.
        fields.insert("sandbox_unlock", "commissioning".into());
    }
    let event = Event { kind, door: &shared.config.door.name, attempt, job, subject, fields };
    audit::append(tx, &shared.keys.audit, &event)?;
    Ok(())
}

fn notes(
    tx: &Transaction<'_>,
    shared: &Shared,
    subject: Option<Pseudonym>,
    notes: Vec<Note>,
) -> Result<(), AgentError> {
    for note in notes {
        event(tx, shared, Some(note.attempt), None, subject, note.kind, note.fields)?;
    }
    Ok(())
}

fn tell_if_failed(what: &'static str, result: Result<(), AgentError>) {
    let Err(error) = result else { return };
    log::error!(what = what; "could not be written: {error}");
    if let AgentError::Store(StoreError::Corrupt { .. }) = error {
        // The next start checks the whole file and sets it aside; going on would lose what is written from here on.
        log::error!("the database is damaged: the daemon ends, so that its next start sets the file aside");
        log::logger().flush();
        std::process::exit(1);
    }
}

/// Appends one event in a commit of its own. What cannot be written is in the journal at least.
pub fn append(
    shared: &Shared,
    attempt: Option<AttemptId>,
    job: Option<JobId>,
    kind: &'static str,
    fields: Fields,
) {
    let result = shared.store.write(|tx| match (kind, attempt) {
        ("unlock_done", Some(attempt)) => {
            let fields = fields.into_iter().collect();
            let unlock = Unlock { door: &shared.config.door.name, attempt, job, subject: None, fields };
            audit::unlock_done(tx, &shared.keys.audit, &unlock)?;
            Ok(())
        }
        _ => event(tx, shared, attempt, job, None, kind, fields),
    });
    tell_if_failed(kind, result);
}

/// Appends the notes of an attempt.
pub fn append_notes(shared: &Shared, subject: Option<Pseudonym>, list: Vec<Note>) {
    if !list.is_empty() {
        tell_if_failed("notes", shared.store.write(|tx| notes(tx, shared, subject, list)));
    }
}

/// What the list says of a claim.
pub fn standing(shared: &Shared, claim: &Claim) -> Result<Standing, AgentError> {
    shared.store.read(|tx| {
        let person = people::standing(tx, &claim.user)?;
        let reader = people::lockout(tx, Subject::Reader(&claim.reader))?;
        Ok(Standing {
            listed: person.listed,
            may_open: person.may_open,
            consent: person.consent.is_some(),
            user_locked_out: person.locked_out,
            reader_locked_out: reader,
        })
    })
}

fn free_space(shared: &Shared) -> queue::FreeSpace {
    match rustix::fs::statvfs(&shared.config.device.state_dir) {
        Ok(stat) => queue::FreeSpace {
            bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // File systems without a table of inodes say 0 of 0.
            inodes: (stat.f_files != 0).then_some(stat.f_favail),
        },
        // Unknown counts as full: nothing may be lost for want of an answer.
        Err(_) => queue::FreeSpace { bytes: 0, inodes: Some(0) },
    }
}

/// Whether the queue takes another job (queue promise 5).
pub fn queue_has_room(shared: &Shared) -> bool {
    let free = free_space(shared);
    match shared.store.read(|tx| queue::room(tx, &shared.config.queue, free)) {
        Ok(Ok(())) => true,
        Ok(Err(full)) => {
            log::warn!(remedy = full.remedy(); "no new capture: {full}");
            false
        }
        Err(error) => {
            log::error!("no new capture, the queue cannot be read: {error}");
            false
        }
    }
}

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
        notes(tx, shared, subject, list)
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

/// Writes a job with the person's details as they are now.
pub fn enqueue(tx: &Transaction<'_>, shared: &Shared, new: &NewJob<'_>) -> Result<(), AgentError> {
    let person = people::show(tx, &shared.keys.people, new.user)?;
    let details = person.as_ref().and_then(details::to_bytes).ok_or(AgentError::NoConsent)?;
    let api = match shared.config.smile.api {
        crate::config::model::Api::V1 => queue::Api::V1,
        crate::config::model::Api::V3 => queue::Api::V3,
    };
    queue::enqueue(
        tx,
        &shared.keys.queue,
        &queue::NewJob {
            id: new.job,
            attempt: new.attempt,
            user_id: new.user,
            product: new.product,
            api,
            allow_new_enroll: new.allow_new_enroll,
            details: &details,
            selfie: new.selfie,
            liveness: &new.liveness,
            born: new.born,
        },
    )?;
    Ok(())
}

/// The service took the job: its id is durable before anything follows from it (queue promise 2). A pause of the
/// queue, if there was one, is over with it, unless an operator wanted it.
pub fn accepted(shared: &Shared, job: JobId, remote_job: &str) -> Result<(), AgentError> {
    shared.store.write(|tx| {
        queue::transition(tx, job, &Move::Accept { remote: remote_job.to_owned() })?;
        if queue::paused(tx)?.is_some_and(|pause| pause.reason != PauseReason::Operator) {
            queue::resume(tx)?;
            event(tx, shared, None, Some(job), None, "queue_resumed", [])?;
            log::info!("the service takes jobs again; the queue goes on");
        }
        Ok(())
    })
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
    match failure.kind {
        FailureKind::RefusedForCertain | FailureKind::TryLater => {
            Answer::RefusedForCertain { retry_after: failure.retry_after }
        }
        FailureKind::PerhapsTaken | FailureKind::Malformed => Answer::PerhapsTaken,
        FailureKind::Unauthorised => Answer::Unauthorised,
        FailureKind::Unpaid => Answer::Unpaid,
        FailureKind::NotPermitted | FailureKind::Certificate | FailureKind::Configuration => {
            Answer::NotPermitted
        }
        FailureKind::RejectedJob(crate::smileid::Reject::TooLarge) => Answer::TooLarge,
        FailureKind::RejectedJob(_) => {
            Answer::RejectedJob { reason: failure.code.clone().unwrap_or_else(|| failure.kind.name().into()) }
        }
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

/// Moves a job whose submission failed, with what that means for the whole queue, in one commit.
pub fn settle(shared: &Shared, job: JobId, failure: &Failure, list: Vec<Note>) {
    let answer = queue_answer(failure);
    let result = shared.store.write(|tx| {
        notes(tx, shared, None, list)?;
        let course = course(tx, shared, job, &answer)?;
        queue::apply(tx, job, &course)?;
        let mut fields =
            vec![("failure", failure.kind.name().to_owned()), ("step", course.step.name().to_owned())];
        if let Some(code) = &failure.code {
            fields.push(("code", code.clone()));
        }
        event(tx, shared, None, Some(job), None, "job_failed", fields)?;
        if let Some(reason) = course.pause {
            event(tx, shared, None, Some(job), None, "queue_paused", [("reason", reason.name().to_owned())])?;
            log::error!(reason = reason.name(), remedy = failure.remedy(); "the queue is paused: {failure}");
        }
        Ok(())
    });
    tell_if_failed("settle", result);
}

/// Puts a job back that was never handed to the service.
pub fn put_back(shared: &Shared, job: JobId, list: Vec<Note>) {
    let result = shared.store.write(|tx| {
        notes(tx, shared, None, list)?;
        let course = course(tx, shared, job, &Answer::RefusedForCertain { retry_after: None })?;
        Ok(queue::apply(tx, job, &course)?)
    });
    tell_if_failed("put_back", result);
}

fn verdict_move(decision: Decision, report: &Report) -> Move {
    match decision {
        Decision::Hold | Decision::Mismatch => Move::Hold(HeldReason::Attention),
        _ => Move::Decide(Decided {
            verdict: report.verdict,
            code: report.code.clone(),
            text: report.text.clone(),
        }),
    }
}

/// The verdict becomes durable; with `intent` the intent to unlock shares the commit (door-rules 9), and a denial
/// brings its count and its lock-out (door-rules 13).
pub fn verdict(
    shared: &Shared,
    story: Option<&mut Story>,
    attempt: AttemptId,
    job: JobId,
    report: &Report,
    decision: Option<Decision>,
    intent: bool,
) -> Result<(), AgentError> {
    let (subject, claim, list) = match story {
        Some(story) => (story.subject, Some(story.order.claim.clone()), std::mem::take(&mut story.notes)),
        None => (None, None, vec![]),
    };
    shared.store.write(|tx| {
        notes(tx, shared, subject, list)?;
        let row = queue::info(tx, job)?;
        let decision = decision.unwrap_or_else(|| decision_of(&row, report));
        queue::transition(tx, job, &verdict_move(decision, report))?;
        if let Some(claim) = &claim {
            let fields = [("decision", decision.name().to_owned()), ("code", report.code.clone())];
            event(tx, shared, Some(attempt), Some(job), subject, "verdict", fields)?;
            if let Decision::Deny { .. } = decision {
                count_denial(tx, shared, claim, subject)?;
            }
        }
        if intent {
            let unlock = Unlock {
                door: &shared.config.door.name,
                attempt,
                job: Some(job),
                subject,
                fields: BTreeMap::new(),
            };
            audit::unlock_intent(tx, &shared.keys.audit, &unlock)?;
        }
        Ok(())
    })
}

/// What a report means for a job that nobody waits for.
pub fn decision_of(row: &queue::Info, report: &Report) -> Decision {
    crate::access::decide(
        crate::access::Expected {
            product: row.product,
            user: &row.user_id,
            remote_job: row.remote.as_deref().unwrap_or(""),
        },
        report,
    )
}

fn count_denial(
    tx: &Transaction<'_>,
    shared: &Shared,
    claim: &Claim,
    subject: Option<Pseudonym>,
) -> Result<(), AgentError> {
    let rule = lockout_rule(&shared.config);
    for (who, name) in [(Subject::User(&claim.user), "user"), (Subject::Reader(&claim.reader), "reader")] {
        people::record_denial(tx, who)?;
        let count = people::denials_since(tx, who, rule.within)?;
        if let Some(lasts) = rule.after_denial(count) {
            people::set_lockout(tx, who, lasts)?;
            let fields = [
                ("who", name.to_owned()),
                ("denials", count.to_string()),
                ("seconds", lasts.as_secs().to_string()),
            ];
            event(tx, shared, Some(claim.attempt), None, subject, "locked_out", fields)?;
            log::warn!(attempt:% = claim.attempt, who = name; "locked out after repeated denials");
        }
    }
    Ok(())
}

/// The verdict of a job from the queue: recorded, and nothing else (door-rules 2). There is no path from here to
/// the guard.
pub fn drained_verdict(shared: &Shared, job: JobId, report: &Report) -> Result<(), AgentError> {
    shared.store.write(|tx| {
        let row = queue::info(tx, job)?;
        let decision = decision_of(&row, report);
        queue::transition(tx, job, &verdict_move(decision, report))?;
        let subject = people::pseudonym(tx, &row.user_id)?;
        let fields = [
            ("verdict", report.verdict.name().to_owned()),
            ("decision", decision.name().to_owned()),
            ("code", report.code.clone()),
        ];
        event(tx, shared, row.attempt, Some(job), subject, "late_verdict", fields)
    })
}

/// At start: open intents become `unlock_interrupted`, jobs found in `sending` become unknown outcomes.
pub fn recover(shared: &Shared) -> Result<(), AgentError> {
    let (open, unknown) = shared.store.write(|tx| {
        people::recover_at_start(tx)?;
        let unknown = queue::recover_at_start(tx)?;
        for job in queue::resolve_unknown(tx, &shared.config.queue)? {
            event(tx, shared, None, Some(job), None, "job_resubmitted", [])?;
        }
        let open = audit::interrupt_open(tx, &shared.keys.audit)?;
        Ok::<_, AgentError>((open.len(), unknown.unknown.len()))
    })?;
    if open > 0 {
        log::warn!(count = open; "the door was being opened when the daemon ended; nothing is resumed");
    }
    if unknown > 0 {
        log::warn!(count = unknown; "jobs were being sent when the daemon ended; their outcome is unknown");
    }
    Ok(())
}

/// door-rules 14: the values that this run goes by.
pub fn effective(shared: &Shared) -> Result<(), AgentError> {
    let door = &shared.config.door;
    let fields: Fields = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("window_ms", door.window_ms.to_string()),
        ("unlock_ms", door.unlock_ms.to_string()),
        ("who", format!("{:?}", door.who)),
        ("api", format!("{:?}", shared.config.smile.api)),
        ("environment", format!("{:?}", shared.config.smile.environment)),
        ("luminance_min", shared.config.capture.luminance_min.to_string()),
        ("sharpness_min", shared.config.capture.sharpness_min.to_string()),
        ("liveness_count", shared.config.capture.liveness_count.to_string()),
        ("lockout", format!("{:?}", lockout_rule(&shared.config))),
        ("guard_effective", crate::guard::Effective::of(&shared.guard).to_string()),
    ];
    for (key, value) in &fields {
        log::info!(value = value.as_str(); "effective {key}");
    }
    shared.store.write(|tx| event(tx, shared, None, None, None, "started", fields))
}

/// The first event of a fresh database that took a damaged one's place.
pub fn database_replaced(shared: &Shared, moved_to: &str, sha256: &str) -> Result<(), AgentError> {
    let fields = [("moved_to", moved_to.to_owned()), ("sha256", sha256.to_owned())];
    shared.store.write(|tx| event(tx, shared, None, None, None, "database_replaced", fields))
}

/// The alarm of a replaced database that nobody acknowledged yet: it is the first event, and survives restarts.
pub fn open_alarm(shared: &Shared) -> Result<Option<DatabaseAlarm>, AgentError> {
    shared.store.read(|tx| {
        let Some(first) = audit::list(tx, 0, 1)?.into_iter().next() else { return Ok(None) };
        if first.kind != "database_replaced" || audit::has_kind(tx, "database_acknowledged")? {
            return Ok(None);
        }
        let field = |key: &str| first.fields.get(key).cloned().unwrap_or_default();
        Ok(Some(DatabaseAlarm { moved_to: field("moved_to"), sha256: field("sha256") }))
    })
}

fn hours(span: std::time::Duration) -> String {
    (span.as_secs() / 3600).to_string()
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
    tell_if_failed("release_clock_held", result);
    released
}

/// Erases what has had its time (queue promises 6 and 10).
pub fn sweep(shared: &Shared) {
    let result = shared.store.write(|tx| {
        for swept in queue::sweep(tx, &shared.config.queue, &shared.config.retention)? {
            let kind = match swept.what {
                SweptWhat::Expired => "job_expired",
                SweptWhat::ImagesErased => "job_erased",
            };
            event(tx, shared, None, Some(swept.id), None, kind, [("hours", hours(swept.age))])?;
        }
        Ok(())
    });
    tell_if_failed("sweep", result);
}
