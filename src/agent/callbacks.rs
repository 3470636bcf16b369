//! What follows from a callback: the job that it names is asked about now. What the job ends as is what the service says
//! over this device's own connection; there is no way from here to the guard (door-rules 2).

use super::error::AgentError;
use super::records::{self, Already};
use super::shared::Shared;
use crate::access::{JobId, Task};
use crate::callbacks::Notice;
use crate::queue::{self, Api, HeldReason, Move, State};
use crate::smileid::{CheckHandle, Handle, Status};
use crossbeam_channel::Receiver;
use std::time::Duration;

/// Runs until nobody tells anything any more.
pub fn run(shared: &Shared, notices: &Receiver<Notice>) {
    for notice in notices {
        match follow(shared, &notice) {
            Ok(true) => shared.wake(),
            Ok(false) => log::debug!("a callback named no job that waits for one"),
            Err(error) => log::error!("a callback could not be followed: {error}"),
        }
    }
}

/// Whether it led to anything.
pub fn follow(shared: &Shared, notice: &Notice) -> Result<bool, AgentError> {
    let found = shared.store.read(|tx| {
        let by_remote =
            notice.remote_job.as_deref().map(|remote| queue::by_remote(tx, remote)).transpose()?;
        match (by_remote.flatten(), notice.our_job) {
            (Some(row), _) => Ok(Some(row)),
            // v1 names our own id alone; in v3 it is how a job with a lost answer is known.
            (None, Some(own)) => Ok(queue::find(tx, own)?),
            (None, None) => Ok::<_, AgentError>(None),
        }
    })?;
    let Some(row) = found else { return Ok(false) };
    match (&row.state, row.api, notice.remote_job.as_deref()) {
        // v2 has no call that would tell: asking would end in nothing.
        (_, Api::V2, _) => Ok(false),
        (State::Accepted { .. }, ..) | (State::UnknownOutcome, Api::V1, _) => ask_now(shared, row.id, None),
        // A person has looked at it, or something came to light: asked again.
        (State::Held(HeldReason::Attention), ..) if row.remote.is_some() => {
            ask_now(shared, row.id, Some(Move::Release))
        }
        (State::UnknownOutcome, Api::V3, Some(remote)) => found_again(shared, &row, remote),
        _ => Ok(false),
    }
}

fn ask_now(shared: &Shared, job: JobId, first: Option<Move>) -> Result<bool, AgentError> {
    shared.store.write(|tx| {
        if let Some(step) = &first {
            queue::transition(tx, job, step)?;
        }
        queue::postpone(tx, job, Duration::ZERO)?;
        Ok(true)
    })
}

/// The answer to this job's submission was lost, and the callback says under which id the service has it. The body that
/// says so is not signed: it is believed when the service says of that id that it is about this person.
fn found_again(shared: &Shared, row: &queue::Info, remote: &str) -> Result<bool, AgentError> {
    let (user_id, remote_job) = (row.user_id.clone(), remote.to_owned());
    match row.task {
        Task::Door(product) => {
            let handle = Handle { product, user_id, remote_job };
            match shared.client.status(&handle) {
                Ok(Status::Final(report)) if report.user_id == row.user_id.as_str() => {
                    records::accepted(shared, row.id, remote, Already::Report(&report))?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        }
        Task::Check(check) => {
            let handle = CheckHandle { check, user_id, remote_job };
            match shared.client.check_status(&handle) {
                Ok(Status::Final(finding)) if finding.user_id == row.user_id.as_str() => {
                    records::accepted(shared, row.id, remote, Already::Finding(&finding))?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        }
    }
}
