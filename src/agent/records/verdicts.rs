//! What the service's word leads to, in one commit each.

use super::{event, marked, notes};
use crate::access::{AttemptId, Decision, Finding, JobId, Report, Task, Verdict};
use crate::agent::error::AgentError;
use crate::agent::lockout_rule;
use crate::agent::shared::Shared;
use crate::agent::story::Story;
use crate::audit::{self, Unlock};
use crate::people::{self, Subject};
use crate::queue::{self, Decided, HeldReason, Move};
use crate::store::{Pseudonym, Transaction};

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

/// The verdict of an attempt under way becomes durable; with `intent` the intent to unlock shares the commit
/// (door-rules 9), and a denial brings its count and its lock-out (door-rules 13).
pub fn verdict(
    shared: &Shared,
    story: &mut Story,
    job: JobId,
    report: &Report,
    decision: Decision,
    intent: bool,
) -> Result<(), AgentError> {
    let (subject, attempt) = (story.subject, story.attempt());
    let list = std::mem::take(&mut story.notes);
    let claim = &story.order.claim;
    shared.store.write(|tx| {
        notes(tx, shared, subject, Some(job), list)?;
        queue::transition(tx, job, &verdict_move(decision, report))?;
        let fields = [("decision", decision.name().to_owned()), ("code", report.code.clone())];
        event(tx, shared, Some(attempt), Some(job), subject, "verdict", fields)?;
        if let Decision::Deny { .. } = decision {
            count_denial(tx, shared, Subject::User(&claim.user), Some(attempt), subject)?;
            count_denial(tx, shared, Subject::Reader(&claim.reader), Some(attempt), subject)?;
        }
        if intent {
            let unlock = Unlock {
                door: &shared.config.door.name,
                attempt,
                job: Some(job),
                subject,
                fields: marked(shared, []),
            };
            audit::unlock_intent(tx, &shared.keys.audit, &unlock)?;
        }
        Ok(())
    })
}

/// What a report means for a job that nobody waits for. A report on something else than a job of the door is none.
pub fn decision_of(row: &queue::Info, report: &Report) -> Decision {
    let Task::Door(product) = row.task else { return Decision::Mismatch };
    crate::access::decide(
        crate::access::Expected {
            product,
            user: &row.user_id,
            remote_job: row.remote.as_deref().unwrap_or(""),
        },
        report,
    )
}

fn count_denial(
    tx: &Transaction<'_>,
    shared: &Shared,
    who: Subject<'_>,
    attempt: Option<AttemptId>,
    subject: Option<Pseudonym>,
) -> Result<(), AgentError> {
    if planted!(DenialsForgotten) {
        return Ok(());
    }
    let rule = lockout_rule(&shared.config);
    people::record_denial(tx, who)?;
    let count = people::denials_since(tx, who, rule.within)?;
    let Some(lasts) = rule.after_denial(count) else { return Ok(()) };
    people::set_lockout(tx, who, lasts)?;
    let name = match who {
        Subject::User(_) => "user",
        Subject::Reader(_) => "reader",
    };
    let fields =
        [("who", name.to_owned()), ("denials", count.to_string()), ("seconds", lasts.as_secs().to_string())];
    event(tx, shared, attempt, None, subject, "locked_out", fields)?;
    log::warn!(who = name; "locked out after repeated denials");
    Ok(())
}

/// The verdict of a job that nobody waits for: recorded, and nothing else (door-rules 2). There is no path from here to
/// the guard.
pub fn drained_verdict(shared: &Shared, job: JobId, report: &Report) -> Result<(), AgentError> {
    shared.store.write(|tx| late(tx, shared, job, report))
}

/// As [`drained_verdict`], within a commit.
pub(super) fn late(
    tx: &Transaction<'_>,
    shared: &Shared,
    job: JobId,
    report: &Report,
) -> Result<(), AgentError> {
    let row = queue::info(tx, job)?;
    let decision = decision_of(&row, report);
    queue::transition(tx, job, &verdict_move(decision, report))?;
    let subject = people::pseudonym(tx, &row.user_id)?;
    let fields = [
        ("verdict", report.verdict.name().to_owned()),
        ("decision", decision.name().to_owned()),
        ("code", report.code.clone()),
    ];
    event(tx, shared, row.attempt, Some(job), subject, "late_verdict", fields)?;
    // Who walks away before the answer is counted all the same (door-rules 13); which reader it was is forgotten.
    if let Decision::Deny { .. } = decision {
        count_denial(tx, shared, Subject::User(&row.user_id), row.attempt, subject)?;
    }
    Ok(())
}

/// What a check found: recorded, and nothing else. A finding about another job, person or product, and one that a person
/// has to look at, holds the job.
pub fn drained_finding(shared: &Shared, job: JobId, finding: &Finding) -> Result<(), AgentError> {
    shared.store.write(|tx| found(tx, shared, job, finding))
}

/// As [`drained_finding`], within a commit.
pub(super) fn found(
    tx: &Transaction<'_>,
    shared: &Shared,
    job: JobId,
    finding: &Finding,
) -> Result<(), AgentError> {
    let row = queue::info(tx, job)?;
    // A user id that was made up from the job's is one that the service may not have been told.
    let same_user = finding.user_id == row.user_id.as_str() || row.user_id.as_str() == job.to_string();
    let same = row.task == Task::Check(finding.check)
        && same_user
        && row.remote.as_deref() == Some(&finding.remote_job);
    let step = match finding.verdict {
        _ if !same => Move::Hold(HeldReason::Attention),
        Verdict::Provisional => Move::Hold(HeldReason::Attention),
        verdict => Move::Decide(Decided { verdict, code: finding.code.clone(), text: finding.text.clone() }),
    };
    queue::transition(tx, job, &step)?;
    let subject = people::pseudonym(tx, &row.user_id)?;
    let fields = [
        ("product", finding.check.name().to_owned()),
        ("verdict", if same { finding.verdict.name() } else { "mismatch" }.to_owned()),
        ("code", finding.code.clone()),
    ];
    event(tx, shared, None, Some(job), subject, "check_decided", fields)
}
