//! The submitter's thread: the job of the person at the door, over a connection kept warm.
//!
//! It submits, makes the acceptance durable, and asks for the verdict until nobody waits any more. What it
//! leaves unfinished belongs to the drain.

use super::job::Outgoing;
use super::message::{Message, Submitted};
use super::records::{self, Already};
use super::shared::{Shared, Unsettled, submission_limit};
use crate::access::{AttemptId, JobId};
use crate::clock::BootTime;
use crate::smileid::{Accepted, Handle, Status};
use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, Sender};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the submitter is asked to do.
pub enum SubmitOrder {
    /// Somebody looks into the camera: have token and connection ready.
    Warm,
    /// Submit this job and watch it.
    Submit {
        /// For whom.
        attempt: AttemptId,
        /// What.
        job: JobId,
        /// When nobody waits any more.
        until: BootTime,
    },
}

/// Where orders come from, and how the time between two looks passes.
pub trait Orders {
    /// Waits for an order.
    ///
    /// # Errors
    /// There will be none any more.
    fn next(&self) -> Result<SubmitOrder, RecvError>;

    /// Waits for an order, at most this long.
    ///
    /// # Errors
    /// The time is over, or there will be none any more.
    fn within(&self, span: Duration) -> Result<SubmitOrder, RecvTimeoutError>;
}

impl Orders for Receiver<SubmitOrder> {
    fn next(&self) -> Result<SubmitOrder, RecvError> {
        self.recv()
    }

    fn within(&self, span: Duration) -> Result<SubmitOrder, RecvTimeoutError> {
        self.recv_timeout(span)
    }
}

/// Runs until the orders end.
pub fn run(shared: &Shared, orders: &dyn Orders, director: &Sender<Message>) {
    let mark = shared.watchdog.register("submitter", submission_limit(&shared.config));
    let mut next = orders.next().ok();
    while let Some(order) = next {
        mark.busy(shared.clock.boot());
        next = match order {
            SubmitOrder::Warm => {
                if let Err(failure) = shared.client.warm() {
                    log::debug!(failure = failure.kind.name(); "the service could not be warmed up: {failure}");
                }
                None
            }
            SubmitOrder::Submit { attempt, job, until } => {
                submit(shared, orders, director, attempt, job, until)
            }
        };
        mark.resting();
        if next.is_none() {
            next = orders.next().ok();
        }
    }
}

/// Gives the order that interrupted the watching, if one did.
fn submit(
    shared: &Shared,
    orders: &dyn Orders,
    director: &Sender<Message>,
    attempt: AttemptId,
    job: JobId,
    until: BootTime,
) -> Option<SubmitOrder> {
    let tell = |result| director.send(Message::Submitted(attempt, job, result)).is_ok();
    let outgoing = match Outgoing::load(shared, job) {
        Ok(outgoing) => outgoing,
        Err(error) => {
            log::error!(attempt:% = attempt, job:% = job; "the job could not be read back: {error}");
            tell(Submitted::Failed(error.into_failure()));
            return None;
        }
    };
    let Accepted { handle, report } = match outgoing.submit(shared) {
        Ok(accepted) => accepted,
        Err(failure) => {
            tell(Submitted::Failed(failure));
            return None;
        }
    };
    let at = shared.clock.boot();
    if let Err(error) = records::accepted(shared, job, &handle.remote_job, Already::Nothing) {
        // The service has it: the drain tries again to write that down. Without the durable id nothing may follow
        // from the verdict.
        log::error!(attempt:% = attempt, job:% = job; "the acceptance could not be saved: {error}");
        shared.remember(job, Unsettled::Accepted(handle.remote_job));
        tell(Submitted::NotRecorded);
        return None;
    }
    if !tell(Submitted::Accepted { remote_job: handle.remote_job.clone(), at }) {
        return None;
    }
    if let Some(report) = report {
        tell(Submitted::Verdict { report, at: shared.clock.boot() });
        return None;
    }
    watch(shared, orders, &handle, (at, until), &|result| {
        tell(result);
    })
}

/// Asks for the verdict until it is there, the time is over or another order comes.
fn watch(
    shared: &Shared,
    orders: &dyn Orders,
    handle: &Handle,
    (taken, until): (BootTime, BootTime),
    tell: &dyn Fn(Submitted),
) -> Option<SubmitOrder> {
    loop {
        // When the attempt is over, or the daemon ends, the job is the drain's.
        let over = !shared.attempt_active.load(Ordering::Acquire) || shared.is_stopping();
        let left = until.since(shared.clock.boot());
        if over || left.is_zero() {
            return None;
        }
        match orders.within(shared.pause(taken).min(left)) {
            Ok(order) => return Some(order),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        match shared.client.status(handle) {
            Ok(Status::Final(report)) => {
                tell(Submitted::Verdict { report, at: shared.clock.boot() });
                return None;
            }
            Ok(Status::Pending | Status::NotFound) => {}
            Err(failure) => log::debug!(failure = failure.kind.name(); "no status: {failure}"),
        }
    }
}
