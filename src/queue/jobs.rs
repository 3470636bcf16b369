//! A job's row: making it, reading it, moving it, and what a restart finds.

use super::age::{count_turn, forget_old, mark_on};
use super::policy::{self, Class, Facts};
use super::row::{COLUMNS, answer_of, read_row, reason_of, verdict_name};
use super::states::{self, Api, HeldReason, Move, State};
use super::{QueueError, due};
use crate::access::{AttemptId, JobId, PictureKind, Task};
use crate::config::model::Queue;
use crate::store::seal::{self, Secret};
use crate::store::{QueueKey, Stamp, StoreError, Transaction};

/// How a job comes into the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Born {
    /// Somebody stands at the door: it is submitted at once, ahead of all others (door-rules, queue 3).
    Sending,
    /// It waits its turn.
    New,
}

/// A capture to be kept. No `Debug`: it is all pictures and personal data.
pub struct NewJob<'a> {
    /// Its id, the client's own.
    pub id: JobId,
    /// The attempt whose camera took the pictures.
    pub attempt: Option<AttemptId>,
    /// Whom it is about.
    pub user_id: &'a crate::access::UserId,
    /// What is asked.
    pub task: Task,
    /// The protocol it is made for.
    pub api: Api,
    /// Registration only: whether an already enrolled person may be enrolled anew.
    pub allow_new_enroll: bool,
    /// What the submission needs besides pictures, opaque here.
    pub details: &'a [u8],
    /// Its pictures, those of one kind in their order.
    pub pictures: &'a [(PictureKind, &'a [u8])],
    /// Submitted at once or waiting.
    pub born: Born,
}

/// A job's row without its pictures and details.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Info {
    /// Its place in the order of all jobs, over all boots.
    pub seq: i64,
    /// Its id.
    pub id: JobId,
    /// The attempt it comes from.
    pub attempt: Option<AttemptId>,
    /// Whom it is about.
    pub user_id: crate::access::UserId,
    /// What is asked.
    pub task: Task,
    /// The line that it waits in.
    pub class: Class,
    /// Its protocol.
    pub api: Api,
    /// Registration only: whether an already enrolled person may be enrolled anew.
    pub allow_new_enroll: bool,
    /// Where it stands.
    pub state: State,
    /// When that began.
    pub since: Stamp,
    /// When it was made.
    pub created: Stamp,
    /// The service knows its id and waits for its pictures (v1): they must be sent with that word.
    pub reserved: bool,
    /// The service's id of it, kept also when it is held or decided.
    pub remote: Option<String>,
    /// Submissions, polls and look-ups that failed in this state.
    pub tries: u32,
    /// Second submissions after lost answers.
    pub resubmits: u32,
    /// Whether it still has its pictures.
    pub has_images: bool,
    /// Bytes of pictures and details when it was made.
    pub bytes: u64,
}

impl Info {
    /// What the policy looks at.
    pub fn facts(&self) -> Facts {
        Facts {
            api: self.api,
            task: self.task,
            allow_new_enroll: self.allow_new_enroll,
            tries: self.tries,
            resubmits: self.resubmits,
        }
    }
}

/// Most bytes of a picture that are sealed together, and hence in memory at once while it is sent. SQLite copies them twice on
/// their way: with more the C library would give pages back to the kernel after each part, and ask for them again.
pub const PART: usize = 32 * 1024;
/// What a start did to jobs that the last process left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// Found in `sending`: whether the service has them is unknown.
    pub unknown: Vec<JobId>,
}

/// Makes a job durable with its caller's commit; pictures and details sealed under a key of its own.
pub fn enqueue(tx: &Transaction<'_>, key: &QueueKey, job: &NewJob<'_>) -> Result<(), QueueError> {
    let own = Secret::random(tx.source());
    let details = seal::seal(&own, &context(job.id, "details", 0), job.details, tx.source())?;
    let bytes = job.details.len() + job.pictures.iter().map(|(_, picture)| picture.len()).sum::<usize>();
    let state = match job.born {
        Born::Sending => State::Sending,
        Born::New => State::New,
    };
    let boot_number = mark_on(tx)?;
    // Made for another protocol, or on another device: the next start looks at all jobs once more.
    tx.execute("DELETE FROM facts WHERE name = 'protocol' AND value <> ?1", [job.api.name()])?;
    let (boot_id, boot, wall) = tx.now().columns();
    let made = tx.execute(
        "INSERT INTO jobs (id, attempt, user_id, product, api, allow_new_enroll, state, class, due_boot, due_us,
             bytes, details, images, state_boot_id, state_boot_us, state_wall_ms,
             created_boot_id, created_boot_us, created_wall_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?13, ?14, ?11, ?8, ?9, 1, ?10, ?11, ?12, ?10, ?11, ?12)
         ON CONFLICT (id) DO NOTHING",
        rusqlite::params![
            job.id.0,
            job.attempt.map(|attempt| attempt.0),
            job.user_id.as_str(),
            job.task.name(),
            job.api.name(),
            job.allow_new_enroll,
            state.name().name(),
            i64::try_from(bytes).unwrap_or(i64::MAX),
            details,
            boot_id,
            boot,
            wall,
            Class::of(job.task).number(),
            boot_number
        ],
    )?;
    if made == 0 {
        return Err(QueueError::Exists(job.id));
    }
    let seq = tx.last_id();
    let wrapped = seal::seal(key.secret(), &context(job.id, "key", 0), own.expose(), tx.source())?;
    tx.execute("INSERT INTO job_keys (job, wrapped) VALUES (?1, ?2)", (seq, wrapped))?;
    let (first, last) = image_ids(seq);
    let mut ids = first..=last;
    let mut numbers = [0_u32; PictureKind::ALL.len()];
    let mut sealed = Vec::new();
    for (kind, picture) in job.pictures {
        let Some(next) = numbers.get_mut(*kind as usize) else { continue };
        let (kind, number) = (kind.name(), *next);
        *next += 1;
        let parts = u32::try_from(picture.chunks(PART).len()).unwrap_or(u32::MAX);
        for (part, bytes) in (0_u32..).zip(picture.chunks(PART)) {
            let context = part_context(job.id, kind, number, (part, parts));
            seal::seal_into(&mut sealed, &own, &context, bytes, tx.source())?;
            let at = ids.next().ok_or(StoreError::Unsealable { what: "a job of so many pictures" })?;
            let sql = "INSERT INTO images (id, kind, number, sealed) VALUES (?1, ?2, ?3, ?4)";
            tx.execute(sql, (at, kind, number, &sealed))?;
        }
    }
    add_time(tx, seq, &state)
}

/// A job's row.
pub fn info(tx: &Transaction<'_>, id: JobId) -> Result<Info, QueueError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    tx.one(&sql, [id.0], read_row)?.ok_or(QueueError::Unknown(id))?.info()
}

/// A job's row, if there is one.
pub fn find(tx: &Transaction<'_>, id: JobId) -> Result<Option<Info>, QueueError> {
    match info(tx, id) {
        Ok(row) => Ok(Some(row)),
        Err(QueueError::Unknown(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The row of the job that the service knows by this id.
pub fn by_remote(tx: &Transaction<'_>, remote: &str) -> Result<Option<Info>, QueueError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE remote_id = ?1");
    tx.one(&sql, [remote], read_row)?.map(|stored| stored.info()).transpose()
}

/// Moves a job on, if the table of [`states`] allows it; erases its pictures and key in the same commit when
/// the move makes them needless. The new state may act at once; see [`due::postpone`].
pub fn transition(tx: &Transaction<'_>, id: JobId, step: &Move) -> Result<(), QueueError> {
    let info = info(tx, id)?;
    let illegal = || QueueError::Illegal { id, from: info.state.name(), step: step.name() };
    let to = states::next(&info.state, step, info.remote.as_deref()).ok_or_else(illegal)?;
    if step.needs_images() && !info.has_images {
        return Err(QueueError::ImagesErased(id));
    }
    let remote = match &to {
        State::Accepted { remote } => Some(remote.clone()),
        State::New | State::Sending => None,
        _ => info.remote.clone(),
    };
    let decided = match &to {
        State::Decided(decided) => Some(decided),
        _ => None,
    };
    let tries = tries_after(&info, step);
    let reserved = match step {
        Move::ProvedUntaken { reserved } => *reserved,
        // Until it is sent it stays so. Once its answer is lost it may have been taken, and is looked up anew.
        Move::Send | Move::NotSent | Move::Hold(HeldReason::Clock) | Move::Release => info.reserved,
        _ => false,
    };
    let resubmits = info.resubmits.saturating_add(u32::from(*step == Move::Resubmit));
    // An operator's word moves it to the front; it stays there until it is at an end.
    let class = if *step == Move::Retry { Class::Retried } else { info.class };
    let boot_number = mark_on(tx)?;
    let (boot_id, boot, wall) = tx.now().columns();
    tx.execute(
        "UPDATE jobs SET state = ?2, reason = ?3, remote_id = ?4, verdict = ?5, code = ?6, answer = ?7,
             tries = ?8, resubmits = ?9, due_boot = ?14, due_us = ?11, due_asked = 0, class = ?15,
             state_boot_id = ?10, state_boot_us = ?11, state_wall_ms = ?12, reserved = ?13
         WHERE seq = ?1",
        rusqlite::params![
            info.seq,
            to.name().name(),
            reason_of(&to),
            remote,
            decided.map(|decided| verdict_name(decided.verdict)),
            decided.map(|decided| &decided.code),
            answer_of(&to),
            tries,
            resubmits,
            boot_id,
            boot,
            wall,
            reserved,
            boot_number,
            class.number()
        ],
    )?;
    if step.erases_images(info.api) {
        // The service's answer ends it, as it ends nearly all; whoever gives it up wants it gone.
        let routine = matches!(step, Move::Accept { .. } | Move::Decide(_) | Move::Hold(_));
        erase(tx, info.seq, if routine { Left::Noise } else { Left::Zeros })?;
    }
    note_time(tx, info.seq, &to)?;
    if *step == Move::Send {
        // Sent while the queue stands still, it is the probe: the next one has its own time.
        due::probe_later(tx)?;
        count_turn(tx)?;
    }
    Ok(())
}

/// Tries count until the service has the job: between new, held for the clock, sending and an outcome that is looked up
/// or submitted again it is the same endeavour, and a job that goes round in it must wait longer each time (door-rules,
/// queue 4). Only the service's taking it, or an operator, begins anew.
fn tries_after(info: &Info, step: &Move) -> u32 {
    let failed = match step {
        Move::NotSent | Move::LoseAnswer => true,
        Move::Resubmit => info.state == State::Sending,
        Move::Send | Move::ProvedUntaken { .. } | Move::Hold(HeldReason::Clock) => false,
        Move::Release if info.state == State::Held(HeldReason::Clock) => false,
        _ => return 0,
    };
    info.tries.saturating_add(u32::from(failed))
}

/// Begins to submit a job over the configured protocol: one that an operator put back may have been made for the other.
pub fn begin(tx: &Transaction<'_>, id: JobId, configured: Api) -> Result<(), QueueError> {
    let sql = "UPDATE jobs SET api = ?1, reserved = 0 WHERE id = ?2 AND api <> ?1 AND state = 'new'";
    tx.execute(sql, (configured.name(), id.0))?;
    transition(tx, id, &Move::Send)
}

/// What an erase leaves where sealed pictures were; key and details are overwritten in any case.
pub(super) enum Left {
    /// Nothing of them.
    Zeros,
    /// Themselves, until the room is used again: without the key they are noise.
    Noise,
}

/// Deletes pictures, details and key of a job; the row stays (door-rules, queue 8 and 10).
pub(super) fn erase(tx: &Transaction<'_>, seq: i64, left: Left) -> Result<(), QueueError> {
    if planted!(KeysAreKept) {
        return Ok(());
    }
    let (pictures, ids) = ("DELETE FROM images WHERE id BETWEEN ?1 AND ?2", image_ids(seq));
    match left {
        Left::Zeros => tx.execute(pictures, ids)?,
        Left::Noise => tx.delete_sealed(pictures, ids)?,
    };
    tx.execute("DELETE FROM job_keys WHERE job = ?1", [seq])?;
    tx.execute("UPDATE jobs SET details = NULL, images = 0 WHERE seq = ?1", [seq])?;
    Ok(())
}

/// Once after each start, before anything is sent: a job found in `sending` may be at the service. v3 waits for
/// a callback or a person, v1 is looked up ([`due::pending_lookups`]). Notes this boot.
pub fn recover_at_start(tx: &Transaction<'_>) -> Result<Recovered, QueueError> {
    let unknown = ids(tx, "SELECT id FROM jobs WHERE state = 'sending' ORDER BY seq")?;
    for id in &unknown {
        let step = if planted!(SendingIsRetried) { Move::NotSent } else { Move::LoseAnswer };
        if !planted!(SendingIsForgotten) {
            transition(tx, *id, &step)?;
        }
    }
    mark_on(tx)?;
    forget_old(tx)?;
    Ok(Recovered { unknown })
}

/// Puts jobs of unknown outcome back to `new` where the policy allows a second submission.
pub fn resolve_unknown(tx: &Transaction<'_>, config: &Queue) -> Result<Vec<JobId>, QueueError> {
    let mut resubmitted = Vec::new();
    // The order would tempt SQLite to read all jobs in theirs.
    let sql = "SELECT id FROM jobs INDEXED BY jobs_unknown
               WHERE state = 'unknown_outcome' AND api <> 'v1' ORDER BY seq";
    for id in ids(tx, sql)? {
        let info = info(tx, id)?;
        if info.has_images && policy::may_resubmit(&info.facts(), config) {
            transition(tx, id, &Move::Resubmit)?;
            due::back_off(tx, id, config)?;
            resubmitted.push(id);
        }
    }
    Ok(resubmitted)
}

/// The time is known: what waited for it may be submitted. Gives how many.
pub fn release_clock_held(tx: &Transaction<'_>) -> Result<u32, QueueError> {
    let held = ids(tx, "SELECT id FROM jobs WHERE state = 'held' AND reason = 'clock' ORDER BY seq")?;
    for id in &held {
        transition(tx, *id, &Move::Release)?;
    }
    Ok(u32::try_from(held.len()).unwrap_or(u32::MAX))
}

/// At start, after a change of the configured protocol: jobs that were never sent are made for the new one; what the
/// other one may have cannot be asked about any more and becomes a dead letter. Gives those.
pub fn adopt(tx: &Transaction<'_>, configured: Api) -> Result<Vec<JobId>, QueueError> {
    let api = configured.name();
    // Looking at every job would delay the start of a deep queue, and the protocol hardly ever changes.
    let known =
        tx.one("SELECT value FROM facts WHERE name = 'protocol'", [], |row| row.get::<_, String>(0))?;
    if known.as_deref() == Some(api) {
        return Ok(Vec::new());
    }
    tx.execute(
        "INSERT INTO facts (name, value) VALUES ('protocol', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
        [api],
    )?;
    tx.execute(
        "UPDATE jobs SET api = ?1, reserved = 0
         WHERE api <> ?1 AND state IN ('new', 'held') AND remote_id IS NULL",
        [api],
    )?;
    let sql = "SELECT id FROM jobs WHERE api <> ?1 AND state IN ('accepted', 'unknown_outcome') ORDER BY seq";
    let foreign = tx.all(sql, [api], |row| row.get(0).map(JobId))?;
    for id in &foreign {
        let reason = "it was made for the other protocol".to_owned();
        transition(tx, *id, &Move::DeadLetter { reason, answer: None })?;
    }
    Ok(foreign)
}

/// Whether a job waits for the clock: a read, so that a round of housekeeping that finds none writes nothing.
pub fn has_clock_held(tx: &Transaction<'_>) -> Result<bool, QueueError> {
    Ok(tx
        .one("SELECT 1 FROM jobs WHERE state = 'held' AND reason = 'clock' LIMIT 1", [], |_| Ok(()))?
        .is_some())
}

fn ids(tx: &Transaction<'_>, sql: &str) -> Result<Vec<JobId>, QueueError> {
    Ok(tx.all(sql, [], |row| row.get(0).map(JobId))?)
}

pub(super) fn note_time(tx: &Transaction<'_>, seq: i64, state: &State) -> Result<(), QueueError> {
    // A job that is tried for days writes the same states again and again: the first time and the last are kept.
    // Hence a row is replaced only where there are two.
    let its = (seq, state.name().name());
    let second =
        "SELECT number FROM job_times WHERE job = ?1 AND state = ?2 ORDER BY number LIMIT 1 OFFSET 1";
    if let Some(second) = tx.one(second, its, |row| row.get::<_, i64>(0))? {
        let sql = "DELETE FROM job_times WHERE job = ?1 AND state = ?2 AND number >= ?3";
        tx.execute(sql, (its.0, its.1, second))?;
    }
    add_time(tx, seq, state)
}

fn add_time(tx: &Transaction<'_>, seq: i64, state: &State) -> Result<(), QueueError> {
    let (boot_id, boot, wall) = tx.now().columns();
    tx.execute(
        // Selected from the table itself the row would go through a temporary one.
        "INSERT INTO job_times (job, number, state, reason, boot_id, boot_us, wall_ms)
         VALUES (?1, coalesce((SELECT max(number) FROM job_times WHERE job = ?1), 0) + 1, ?2, ?3, ?4, ?5, ?6)",
        (seq, state.name().name(), reason_of(state), boot_id, boot, wall),
    )?;
    Ok(())
}

/// The first and the last id that parts of this job's pictures can have.
pub(super) fn image_ids(seq: i64) -> (i64, i64) {
    let first = seq.saturating_mul(1 << 16);
    (first, first.saturating_add(0xffff))
}

/// Bound to its place and to how many there are: none can be moved, and the last cannot be left out.
pub(super) fn part_context(id: JobId, kind: &str, number: u32, (part, of): (u32, u32)) -> Vec<u8> {
    [context(id, kind, number), part.to_be_bytes().to_vec(), of.to_be_bytes().to_vec()].concat()
}

/// What a sealed part of a job is bound to.
pub(super) fn context(id: JobId, what: &str, number: u32) -> Vec<u8> {
    [b"job ".as_slice(), &id.0, what.as_bytes(), &number.to_be_bytes()].concat()
}
