//! The drain's thread: submits the jobs that wait and asks for verdicts that nobody waits for. What it learns
//! ends in the queue and the audit; it has no handle to the guard (door-rules 2).

use super::ahead::Ahead;
use super::error::AgentError;
use super::job::{Sendable, load};
use super::records::{self, Already};
use super::shared::{Shared, Unsettled, submission_limit};
use crate::access::{JobId, Task};
use crate::clock::BootTime;
use crate::queue::policy::{self, Turn};
use crate::queue::{self, Move, QueueError};
use crate::smileid::{Accepted, CheckAccepted, CheckHandle, Handle, LookUp, Repeat, Status};
use crate::store::Transaction;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest sleep: a deadline that was computed wrongly costs minutes, not days.
const NAP: Duration = Duration::from_secs(600);
/// Shortest sleep.
const BREATH: Duration = Duration::from_millis(20);
/// First and longest pause after the disk refused something: it is neither hammered, nor is the service.
const SORE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How often the service may say that it does not know a job that it took: with the backoff some hours.
const NOT_FOUND_TRIES: u32 = 12;

/// A service that has not decided for so long will not: somebody has to look.
const OVERDUE: Duration = Duration::from_secs(24 * 3600);

/// What a step leads to.
enum Next {
    /// Look again at once.
    Go,
    /// This job is in `sending` already, by the commit that ended the one before it: send it first of all.
    Send(JobId),
    /// Nothing to do until then.
    Sleep(Duration),
}

/// What ends the drain's sleep.
pub trait Alarm {
    /// Sleeps until it is woken, at most this long.
    ///
    /// # Errors
    /// The time is over, or nobody will wake it any more.
    fn sleep(&self, nap: Duration) -> Result<(), RecvTimeoutError>;
}

impl Alarm for Receiver<()> {
    fn sleep(&self, nap: Duration) -> Result<(), RecvTimeoutError> {
        self.recv_timeout(nap)
    }
}

/// Runs until the process ends. Woken by new jobs, operators and the network; otherwise by the next due time.
pub fn run(shared: &Shared, woken: &dyn Alarm, ahead: &dyn Ahead) {
    let mark = shared.watchdog.register("drain", submission_limit(&shared.config));
    let (mut nap, mut sore, mut turns, mut begun) = (Duration::ZERO, SORE.0, 0_u32, None);
    loop {
        match woken.sleep(nap) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        loop {
            // Whoever stands at the door comes first; the end of the attempt wakes this thread.
            if begun.is_none() && must_yield(shared) {
                nap = NAP;
                break;
            }
            mark.busy(shared.clock.boot());
            turns = turns.wrapping_add(1);
            let turn = policy::turn(turns);
            let next = match begun.take() {
                Some(job) => hand_over(shared, job, Some((turn, ahead))),
                None => step(shared, turn, ahead),
            };
            if !matches!(next, Ok(Next::Send(_))) {
                // Pictures are not kept for later.
                drop(ahead.take());
            }
            mark.resting();
            match next {
                Ok(Next::Go) => sore = SORE.0,
                Ok(Next::Send(job)) => (sore, begun) = (SORE.0, Some(job)),
                Ok(Next::Sleep(pause)) => {
                    nap = pause.clamp(BREATH, NAP);
                    break;
                }
                Err(error) => {
                    log::error!(pause_s = sore.as_secs(); "the queue cannot go on: {error}");
                    nap = sore;
                    sore = (sore * 2).min(SORE.1);
                    break;
                }
            }
        }
    }
}

/// Whether somebody is at the door, or the daemon ends.
fn must_yield(shared: &Shared) -> bool {
    shared.attempt_active.load(Ordering::Acquire) || shared.is_stopping()
}

/// What there is to do.
enum Work {
    Submit(JobId),
    Poll(JobId),
    LookUp(JobId),
    Nothing(Option<BootTime>),
}

fn next(tx: &Transaction<'_>, turn: Turn) -> Result<Work, QueueError> {
    let verdict = || {
        if let Some(poll) = queue::pending_polls(tx, 1)?.pop() {
            return Ok(Some(Work::Poll(poll.id)));
        }
        Ok::<_, QueueError>(queue::pending_lookups(tx, 1)?.pop().map(|look| Work::LookUp(look.id)))
    };
    let submission = || Ok(queue::next_due(tx)?.map(Work::Submit));
    let found = match turn {
        Turn::Verdict => verdict()?.map_or_else(submission, |work| Ok(Some(work))),
        Turn::Submission => submission()?.map_or_else(verdict, |work| Ok(Some(work))),
    };
    Ok(match found? {
        Some(work) => work,
        None => Work::Nothing(queue::next_wake(tx)?),
    })
}

/// The job that would be submitted next.
pub(super) fn next_submission(shared: &Shared, turn: Turn) -> Result<Option<JobId>, AgentError> {
    Ok(match shared.store.read(|tx| next(tx, turn))? {
        Work::Submit(job) => Some(job),
        Work::Poll(_) | Work::LookUp(_) | Work::Nothing(_) => None,
    })
}

/// One piece of work. An error is the disk's: what the service says ends in the queue.
fn step(shared: &Shared, turn: Turn, ahead: &dyn Ahead) -> Result<Next, AgentError> {
    catch_up(shared)?;
    match shared.store.read(|tx| next(tx, turn))? {
        Work::Submit(job) => return begin_and_send(shared, job, Some((turn, ahead))),
        Work::Poll(job) => poll(shared, job)?,
        Work::LookUp(job) => look_up(shared, job)?,
        Work::Nothing(due) => {
            return Ok(Next::Sleep(due.map_or(NAP, |due| due.since(shared.clock.boot()))));
        }
    }
    Ok(Next::Go)
}

/// Writes down what a full or failing disk did not take. Nothing is sent before that is done.
fn catch_up(shared: &Shared) -> Result<(), AgentError> {
    let mut unsettled = shared.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some((job, what)) = unsettled.last() {
        let written = match what {
            Unsettled::Accepted(remote_job) => records::accepted(shared, *job, remote_job, Already::Nothing),
            Unsettled::Failed(failure) => records::try_settle(shared, *job, failure, vec![]),
        };
        match written {
            // An operator was faster: what is written stands.
            Ok(()) | Err(AgentError::Queue(QueueError::Illegal { .. } | QueueError::Unknown(_))) => {
                unsettled.pop();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Submits one job; what the service says of it ends in the queue.
pub(super) fn send(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    begin_and_send(shared, job, None).map(drop)
}

/// Whose turn it is afterwards, and who reads that job meanwhile. With it, the job may be begun by the commit that this one
/// ends with.
type Following<'a> = Option<(Turn, &'a dyn Ahead)>;

fn begin_and_send(shared: &Shared, job: JobId, following: Following<'_>) -> Result<Next, AgentError> {
    let begin = || shared.store.write(|tx| queue::begin(tx, job, records::queue_api(shared)));
    if planted!(SentBeforeCommit) {
        let next = hand_over(shared, job, None);
        return begin().map_err(AgentError::from).and(next);
    }
    begin()?;
    hand_over(shared, job, following)
}

/// Sends a job that is in `sending`.
fn hand_over(shared: &Shared, job: JobId, following: Following<'_>) -> Result<Next, AgentError> {
    let read = following.and_then(|(_, ahead)| ahead.take()).filter(|(read, _)| *read == job);
    let loaded = match read {
        Some((_, read)) => read.begun(shared),
        None => load(shared, job),
    };
    let turn = following.map(|(turn, _)| turn);
    if let (Some((turn, ahead)), false) = (following, must_yield(shared)) {
        ahead.ask(turn);
    }
    let sent = match loaded {
        Ok(Sendable::Door(outgoing)) => outgoing.submit(shared).map(|accepted| {
            let Accepted { handle, report } = accepted;
            let already = report.as_ref().map_or(Already::Nothing, Already::Report);
            take(shared, job, &handle.remote_job, already, turn)
        }),
        Ok(Sendable::Check(outgoing)) => outgoing.submit(shared).map(|accepted| {
            let CheckAccepted { handle, finding } = accepted;
            let already = finding.as_ref().map_or(Already::Nothing, Already::Finding);
            take(shared, job, &handle.remote_job, already, turn)
        }),
        Err(error) => Err(error.into_failure()),
    };
    sent.unwrap_or_else(|failure| {
        log::warn!(job:% = job, failure = failure.kind.name(); "submission failed: {failure}");
        records::settle(shared, job, &failure, vec![]);
        Ok(Next::Go)
    })
}

/// Makes the acceptance durable, and in the same commit that the next job is being sent: one commit a job where many wait.
fn take(
    shared: &Shared,
    job: JobId,
    remote_job: &str,
    already: Already<'_>,
    turn: Option<Turn>,
) -> Result<Next, AgentError> {
    let settled = || shared.unsettled.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    if let Some(turn) = turn.filter(|_| settled() && !must_yield(shared)) {
        let both = shared.store.write(|tx| {
            records::accept(tx, shared, job, remote_job, already)?;
            Ok::<_, AgentError>(match next(tx, turn)? {
                Work::Submit(following) => {
                    queue::begin(tx, following, records::queue_api(shared))?;
                    Next::Send(following)
                }
                Work::Poll(_) | Work::LookUp(_) | Work::Nothing(_) => Next::Go,
            })
        });
        match both {
            Ok(next) => return Ok(next),
            // Whatever is wrong with the other one must not cost this one its acceptance.
            Err(error) => log::debug!(job:% = job; "written once more without another job: {error}"),
        }
    }
    records::accepted(shared, job, remote_job, already)
        .inspect_err(|_| shared.remember(job, Unsettled::Accepted(remote_job.to_owned())))
        .map(|()| Next::Go)
}

/// A job as the service knows it.
enum Known {
    Door(Handle),
    Check(CheckHandle),
}

fn known(shared: &Shared, job: JobId) -> Result<Known, AgentError> {
    let row = shared.store.read(|tx| queue::info(tx, job))?;
    let (user_id, remote_job) = (row.user_id, row.remote.unwrap_or_else(|| job.to_string()));
    Ok(match row.task {
        Task::Door(product) => Known::Door(Handle { product, user_id, remote_job }),
        Task::Check(check) => Known::Check(CheckHandle { check, user_id, remote_job }),
    })
}

/// Asks for the verdict on one job.
pub(super) fn poll(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    let told = match known(shared, job)? {
        Known::Door(handle) => match shared.client.status(&handle) {
            Ok(Status::Final(report)) => return records::drained_verdict(shared, job, &report),
            Ok(Status::Pending) => Ok(true),
            Ok(Status::NotFound) => Ok(false),
            Err(failure) => Err(failure),
        },
        Known::Check(handle) => match shared.client.check_status(&handle) {
            Ok(Status::Final(finding)) => return records::drained_finding(shared, job, &finding),
            Ok(Status::Pending) => Ok(true),
            Ok(Status::NotFound) => Ok(false),
            Err(failure) => Err(failure),
        },
    };
    match told {
        Ok(true) => pending(shared, job),
        Ok(false) => not_found(shared, job),
        Err(failure) => {
            log::debug!(job:% = job, failure = failure.kind.name(); "no status: {failure}");
            postpone(shared, job)
        }
    }
}

/// The service has the job and says that it works on it.
fn pending(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    if shared.store.read(|tx| queue::age_in_state(tx, job))? < OVERDUE {
        return postpone(shared, job);
    }
    log::error!(job:% = job; "the service has not decided for a day; the job is held");
    records::overdue(shared, job)
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
fn look_up(shared: &Shared, job: JobId) -> Result<(), AgentError> {
    let own = job.to_string();
    let found = match known(shared, job)? {
        Known::Door(handle) => match shared.client.look_up(&handle) {
            Ok(LookUp::Done(report)) => {
                return records::accepted(shared, job, &own, Already::Report(&report));
            }
            other => other.map(without_answer),
        },
        Known::Check(handle) => match shared.client.check_look_up(&handle) {
            Ok(LookUp::Done(finding)) => {
                return records::accepted(shared, job, &own, Already::Finding(&finding));
            }
            other => other.map(without_answer),
        },
    };
    match found {
        // Sent already, and worked on.
        Ok(None) => records::accepted(shared, job, &own, Already::Nothing),
        // From here on it is a job that waits like the others, for its turn and for the end of a pause.
        Ok(Some(repeat)) => {
            let reserved = repeat == Repeat::ArchiveMissing;
            Ok(shared.store.write(|tx| queue::transition(tx, job, &Move::ProvedUntaken { reserved }))?)
        }
        Err(failure) => {
            log::debug!(job:% = job, failure = failure.kind.name(); "no look-up: {failure}");
            postpone(shared, job)
        }
    }
}

fn without_answer<R>(found: LookUp<R>) -> Option<Repeat> {
    match found {
        LookUp::NotReceived(repeat) => Some(repeat),
        LookUp::Processing | LookUp::Done(_) => None,
    }
}
