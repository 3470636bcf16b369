//! The drain's thread: submits the jobs that wait and asks for verdicts that nobody waits for. What it learns
//! ends in the queue and the audit; it has no handle to the guard (door-rules 2).

use super::error::AgentError;
use super::job::Outgoing;
use super::records;
use super::shared::Shared;
use crate::access::JobId;
use crate::clock::BootTime;
use crate::queue::{self, Move, QueueError};
use crate::smileid::{Handle, LookUp, Repeat, Status};
use crate::store::Transaction;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest piece of work: all of a submission's time limits with one repetition.
const LIMIT: Duration = Duration::from_secs(300);
/// Longest sleep: a deadline that was computed wrongly costs minutes, not days.
const NAP: Duration = Duration::from_secs(600);

/// How often the service may say that it does not know a job that it took: with the backoff some hours.
const NOT_FOUND_TRIES: u32 = 12;
/// Shortest sleep: a job that is due but cannot be moved must not spin.
const BREATH: Duration = Duration::from_millis(20);

/// Runs until the process ends. Woken by new jobs, operators and the network; otherwise by the next due time.
pub fn run(shared: &Shared, woken: &Receiver<()>) {
    let mark = shared.watchdog.register("drain", LIMIT);
    let mut nap = Duration::ZERO;
    loop {
        match woken.recv_timeout(nap) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        loop {
            // Whoever stands at the door comes first; the end of the attempt wakes this thread.
            if shared.attempt_active.load(Ordering::Acquire) {
                nap = NAP;
                break;
            }
            mark.busy(shared.clock.boot());
            let next = step(shared);
            mark.resting();
            if let Some(pause) = next {
                nap = pause.min(NAP);
                break;
            }
        }
    }
}

/// What there is to do.
enum Work {
    Submit(JobId),
    Poll(JobId),
    LookUp(JobId),
    Nothing(Option<BootTime>),
}

fn next(tx: &Transaction<'_>) -> Result<Work, QueueError> {
    // Verdicts first: they are cheap, and somebody may look at the events.
    if let Some(poll) = queue::pending_polls(tx, 1)?.pop() {
        return Ok(Work::Poll(poll.id));
    }
    if let Some(look) = queue::pending_lookups(tx, 1)?.pop() {
        return Ok(Work::LookUp(look.id));
    }
    match queue::next_due(tx)? {
        Some(job) => Ok(Work::Submit(job)),
        None => Ok(Work::Nothing(queue::next_wake(tx)?)),
    }
}

/// One piece of work; how long to wait when there was none.
fn step(shared: &Shared) -> Option<Duration> {
    match shared.store.read(next) {
        Ok(Work::Submit(job)) => submit(shared, job),
        Ok(Work::Poll(job)) => poll(shared, job),
        Ok(Work::LookUp(job)) => look_up(shared, job),
        Ok(Work::Nothing(due)) => {
            return Some(due.map_or(NAP, |due| due.since(shared.clock.boot()).max(BREATH)));
        }
        Err(error) => {
            log::error!("the queue cannot be read: {error}");
            return Some(NAP);
        }
    }
    None
}

fn submit(shared: &Shared, job: JobId) {
    send(shared, job, Repeat::AsFirst);
}

fn send(shared: &Shared, job: JobId, repeat: Repeat) {
    let begun = shared.store.write(|tx| queue::transition(tx, job, &Move::Send));
    if let Err(error) = begun {
        log::error!(job:% = job; "the job cannot be sent: {error}");
        return;
    }
    let sent = match Outgoing::load(shared, job) {
        Ok(outgoing) => outgoing.submit_as(shared, repeat),
        Err(error) => Err(error.into_failure()),
    };
    match sent {
        Ok(handle) => {
            if let Err(error) = records::accepted(shared, job, &handle.remote_job) {
                log::error!(job:% = job; "the acceptance could not be saved: {error}");
            }
        }
        Err(failure) => {
            log::warn!(job:% = job, failure = failure.kind.name(); "submission failed: {failure}");
            records::settle(shared, job, &failure, vec![]);
        }
    }
}

fn handle(shared: &Shared, job: JobId) -> Option<Handle> {
    let row = shared.store.read(|tx| queue::info(tx, job)).ok()?;
    let remote_job = row.remote.unwrap_or_else(|| job.to_string());
    Some(Handle { product: row.product, user_id: row.user_id, remote_job })
}

fn poll(shared: &Shared, job: JobId) {
    let Some(handle) = handle(shared, job) else { return };
    let result = match shared.client.status(&handle) {
        Ok(Status::Final(report)) => records::drained_verdict(shared, job, &report),
        Ok(Status::Pending) => postpone(shared, job),
        Ok(Status::NotFound) => not_found(shared, job),
        Err(failure) => {
            log::debug!(job:% = job, failure = failure.kind.name(); "no status: {failure}");
            postpone(shared, job)
        }
    };
    if let Err(error) = result {
        log::error!(job:% = job; "the verdict could not be saved: {error}");
    }
}

fn postpone(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    shared.store.write(|tx| {
        queue::back_off(tx, job, &shared.config.queue)?;
        Ok(())
    })
}

/// The service does not know a job that it took. That happens right after the acceptance; when it stays so, the job
/// must not be polled for ever.
fn not_found(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    let tries = shared.store.read(|tx| queue::info(tx, job))?.tries;
    if tries < NOT_FOUND_TRIES {
        return postpone(shared, job);
    }
    log::error!(job:% = job; "the service does not know a job that it took");
    records::dead_letter(shared, job, "the service does not know it")
}

/// v1: what became of a job whose answer was lost (queue promise 2).
fn look_up(shared: &Shared, job: JobId) {
    let Some(handle) = handle(shared, job) else { return };
    let result = match shared.client.look_up(&handle) {
        Ok(LookUp::Done(report)) => records::accepted(shared, job, &handle.remote_job)
            .and_then(|()| records::drained_verdict(shared, job, &report)),
        Ok(LookUp::Processing) => records::accepted(shared, job, &handle.remote_job),
        Ok(LookUp::NotReceived(repeat)) => shared
            .store
            .write(|tx| queue::transition(tx, job, &Move::ProvedUntaken))
            .map_err(AgentError::from)
            .map(|()| send(shared, job, repeat)),
        Err(failure) => {
            log::debug!(job:% = job, failure = failure.kind.name(); "no look-up: {failure}");
            postpone(shared, job)
        }
    };
    if let Err(error) = result {
        log::error!(job:% = job; "the look-up could not be saved: {error}");
    }
}
