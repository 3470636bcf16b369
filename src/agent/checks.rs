//! Checks that are about no door: made durable like every job, sent in their turn by the drain, their result recorded.
//! There is no way from here to the guard: a check's job, handle and finding are types that nothing at the door takes
//! (door-rules 4).

use super::error::AgentError;
use super::job::device;
use super::records::{self, NewCheck};
use super::shared::Shared;
use super::{drain, lists, owner};
use crate::access::{Check, JobId, PictureKind, UserId, Verdict};
use crate::clock::{Clock, Random, SystemClock, SystemRandom, Wall, WallTime};
use crate::config::model::Environment;
use crate::config::{Config, GuardConfig};
use crate::control::Reply;
use crate::people::{self, PeopleError};
use crate::queue::{self, HeldReason, State};
use crate::smileid::{CheckForm, CheckPictures, CheckSubmission, ConsentForm, Picture, Repeat};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a result is waited for; the job is in the queue anyway.
const WAIT: Duration = Duration::from_secs(60);
/// How often the daemon's own row is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(250);

/// What is asked for.
#[derive(Debug)]
pub struct CheckOrder {
    /// What is asked.
    pub check: Check,
    /// About whom; made up from the job's id when left out.
    pub user_id: Option<String>,
    /// All that is said about it.
    pub form: CheckForm,
    /// Its pictures, those of one kind in their order.
    pub pictures: Vec<(PictureKind, Vec<u8>)>,
}

fn refuse(what: &'static str, why: impl Into<String>, remedy: &'static str) -> AgentError {
    AgentError::Request { what, why: why.into(), remedy }
}

/// Checks an order and makes it durable.
///
/// # Errors
/// A field is missing or wrong, the queue takes no more, or the disk refused it.
pub fn store(shared: &Shared, order: CheckOrder, actor: String) -> Result<JobId, AgentError> {
    let CheckOrder { check, user_id, mut form, pictures } = order;
    let job = shared.new_job();
    let named = user_id.map(|text| UserId::parse(&text)).transpose().map_err(PeopleError::NotAUserId)?;
    form.names_user = named.is_some();
    let enrolled = matches!(check, Check::Authentication | Check::Registration | Check::UpdatePhoto);
    let user = match named {
        Some(user) => user,
        None if enrolled => return Err(refuse("user_id", "is missing", "name the person with --user-id")),
        None => UserId::parse(&job.to_string()).map_err(PeopleError::NotAUserId)?,
    };
    if form.consent.is_none() {
        listed(shared, &user, &mut form)?;
    }
    if form.sandbox_result.is_some() && shared.config.smile.environment != Environment::Sandbox {
        let remedy = "leave it out, or set [smile] environment to \"sandbox\"";
        return Err(refuse("sandbox_result", "is for the service's sandbox only", remedy));
    }
    given_in_the_past(shared.clock.wall(), &form)?;
    let of = |wanted: PictureKind| pictures.iter().filter(move |(kind, _)| *kind == wanted);
    let liveness: Vec<_> = of(PictureKind::Liveness).map(|(_, bytes)| Picture::Bytes(bytes)).collect();
    let others: Vec<(PictureKind, Picture<'_>)> = pictures
        .iter()
        .filter(|(kind, _)| !matches!(kind, PictureKind::Selfie | PictureKind::Liveness))
        .map(|(kind, bytes)| (*kind, Picture::Bytes(bytes)))
        .collect();
    let submitted = CheckPictures {
        selfie: of(PictureKind::Selfie).next().map(|(_, bytes)| Picture::Bytes(bytes)),
        liveness: &liveness,
        others: &others,
    };
    CheckSubmission::new(check, &user, job, &form, submitted, device(shared), Repeat::AsFirst)
        .map_err(AgentError::Field)?;
    if let Some(lists) = lists::kept(&shared.config) {
        lists.check(check, &form).map_err(AgentError::Field)?;
    }
    if !records::queue_has_room(shared) {
        return Err(refuse(
            "queue",
            "takes no more jobs",
            "see `latchd status`; bring the link back or drop jobs",
        ));
    }
    let pictures: Vec<(PictureKind, &[u8])> =
        pictures.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())).collect();
    let new = NewCheck { job, user: &user, check, form: &form, pictures: &pictures };
    records::enqueue_check(shared, &new, actor)?;
    Ok(job)
}

/// Who is on the list, with consent, need not be described again.
fn listed(shared: &Shared, user: &UserId, form: &mut CheckForm) -> Result<(), AgentError> {
    let person = shared.store.read(|tx| people::show(tx, &shared.keys.people, user))?;
    let Some((person, consent)) = person.as_ref().and_then(|p| Some((p, p.consent.as_ref()?))) else {
        return Ok(());
    };
    let contact = &person.contact;
    if form.given_names.is_empty() && form.last_name.is_empty() {
        form.given_names.clone_from(&contact.given_names);
        form.last_name.clone_from(&contact.last_name);
        form.email = form.email.take().or_else(|| contact.email.clone());
        form.phone = form.phone.take().or_else(|| contact.phone.clone());
    }
    form.consent = Some(ConsentForm {
        granted_at: consent.granted_at.to_rfc3339(),
        language: consent.language.clone(),
        policy_url: consent.policy_url.clone(),
    });
    Ok(())
}

/// A consent is recorded, never promised (door-rules 16).
fn given_in_the_past(now: Wall, form: &CheckForm) -> Result<(), AgentError> {
    const AHEAD_MS: i64 = 60_000;
    let given = form.consent.as_ref().and_then(|consent| WallTime::from_rfc3339(&consent.granted_at));
    match (now, given) {
        (Wall::Known(now), Some(given))
            if given.as_unix_millis() > now.as_unix_millis().saturating_add(AHEAD_MS) =>
        {
            Err(refuse("consent granted_at", "lies in the future", "give the time at which it was given"))
        }
        _ => Ok(()),
    }
}

/// A job that somebody waits for, and whether the queue stands still.
fn look(shared: &Shared, job: JobId) -> Result<(queue::Info, bool), AgentError> {
    shared.store.read(|tx| Ok((queue::info(tx, job)?, queue::paused(tx)?.is_some())))
}

/// The last word on a job that somebody waits for; `None` while it may still come.
fn ended((row, paused): &(queue::Info, bool), over: bool) -> Option<Reply> {
    let mut code = None;
    let mut answer = None;
    let (word, exit, text) = match &row.state {
        State::Decided(decided) => {
            code = Some(decided.code.clone());
            answer = Some(decided.text.clone()).filter(|text| !text.is_empty());
            match decided.verdict {
                Verdict::Approved => ("approved", 0, "approved"),
                Verdict::Rejected { .. } => ("denied", 3, "denied"),
                Verdict::Undecided => ("undecided", 5, "undecided: the service could not judge"),
                Verdict::Unknown | Verdict::Provisional => (
                    "unknown",
                    5,
                    "undecided: the service's answer is none that latchd knows (`latchd explain`)",
                ),
            }
        }
        State::Held(HeldReason::Clock) => ("held", 4, "saved: the time is not known; sent as soon as it is"),
        State::Held(_) => ("held", 5, "undecided: a person has to look at this job"),
        State::DeadLetter { reason, answer: told } => {
            code = Some(reason.clone());
            answer.clone_from(told);
            ("job_rejected", 1, "the service does not take this job")
        }
        State::UnknownOutcome => {
            ("unknown_outcome", 5, "undecided: the answer was lost and the job is held (`latchd queue list`)")
        }
        State::Expired | State::Dropped { .. } => ("given_up", 1, "the job was given up"),
        State::New if *paused => {
            ("paused", 4, "saved: the queue stands still (`latchd status`); sent when it goes on")
        }
        State::New if row.tries > 0 => {
            ("offline", 4, "saved: the service could not be reached; sent when it can be")
        }
        State::New if over => ("stored", 4, "saved: it waits for its turn"),
        State::Accepted { .. } | State::Sending if over => {
            ("expired", 5, "undecided: no result within a minute; `latchd queue show` tells it later")
        }
        State::New | State::Sending | State::Accepted { .. } => return None,
    };
    let object = json!({
        "job": row.id.to_string(), "product": row.task.name(), "outcome": word, "code": code, "answer": answer,
    });
    let mut line = format!("{}: {text}", row.task.name());
    if let Some(code) = code {
        line.push_str(&format!(", code {code}"));
    }
    if let Some(answer) = answer {
        line.push_str(&format!(" ({answer})"));
    }
    Some(Reply::Done { exit, object, text: line })
}

fn saved(job: JobId) -> Reply {
    Reply::Progress { object: json!({"step": "stored", "job": job.to_string()}), text: "saved".into() }
}

fn stored(job: JobId, check: Check) -> Reply {
    let object = json!({"job": job.to_string(), "product": check.name(), "outcome": "stored"});
    Reply::Done { exit: 0, object, text: "saved; sent in its turn".into() }
}

/// Whoever calls it off waits to hear that; the job goes on.
fn interrupted(job: JobId, check: Check) -> Reply {
    let object = json!({"job": job.to_string(), "product": check.name(), "outcome": "cancelled"});
    Reply::Done { exit: 130, object, text: "interrupted; the job is saved and goes on".into() }
}

/// In the daemon: stores an order, and with `wait` tells what the drain made of it. `gone` says that nobody listens.
///
/// # Errors
/// As [`store`].
pub fn in_daemon(
    shared: &Shared,
    order: CheckOrder,
    actor: String,
    wait: bool,
    gone: &mut dyn FnMut() -> bool,
    each: &mut dyn FnMut(Reply),
) -> Result<(), AgentError> {
    let check = order.check;
    let job = store(shared, order, actor)?;
    shared.wake();
    if !wait {
        each(stored(job, check));
        return Ok(());
    }
    each(saved(job));
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let until = shared.clock.boot().plus(WAIT);
    loop {
        let over = shared.clock.boot() >= until || shared.is_stopping();
        if let Some(last) = ended(&look(shared, job)?, over) {
            each(last);
            return Ok(());
        }
        if gone() {
            each(interrupted(job, check));
            return Ok(());
        }
        let _ = never.recv_timeout(GLANCE);
    }
}

/// Without a daemon: the configured database under its own lock, one submission, and the wait for its result.
///
/// # Errors
/// The database or the client could not be opened, or as [`store`].
pub fn alone(
    config: &Config,
    guard: &GuardConfig,
    order: CheckOrder,
    wait: bool,
    given_up: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Reply),
) -> Result<(), AgentError> {
    if !super::shared::database_path(config).exists() {
        return Err(AgentError::NeedsDaemon);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    owner::check(config)?;
    let super::shared::Opened { shared, opening, .. } = Shared::open(config, guard, clock, random)?;
    super::alone::refuse_replaced(&opening)?;
    let check = order.check;
    let job = store(&shared, order, "command".into())?;
    if !wait {
        each(stored(job, check));
        return Ok(());
    }
    each(saved(job));
    drain::send(&shared, job)?;
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let taken = shared.clock.boot();
    let until = taken.plus(WAIT);
    loop {
        let looked = look(&shared, job)?;
        if let Some(last) = ended(&looked, shared.clock.boot() >= until) {
            each(last);
            return Ok(());
        }
        if given_up() {
            each(interrupted(job, check));
            return Ok(());
        }
        let _ = never.recv_timeout(shared.pause(taken));
        if matches!(looked.0.state, State::Accepted { .. }) {
            drain::poll(&shared, job)?;
        }
    }
}
