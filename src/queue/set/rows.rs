//! What the frames of a set hold: where it comes from, then job after job with its bytes, then how many they were. One job
//! is in memory at a time.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use super::frames::{Frames, Private, Public, Unframe};
use crate::access::{AttemptId, JobId, PictureKind, Task, UserId};
use crate::clock::{Random, WallTime};
use crate::queue::jobs::{Born, NewJob, PART};
use crate::queue::policy::Class;
use crate::queue::restore::{Past, restore};
use crate::queue::row::reason_of;
use crate::queue::{Api, HeldReason, Info, Job, QueueError, State};
use crate::store::{QueueKey, Transaction, Wiped};

const ORIGIN: u8 = b'O';
const JOB: u8 = b'J';
const BYTES: u8 = b'B';
const END: u8 = b'E';

/// Most bytes of one job that are read into memory: a request to the service has less than a third of it.
const LARGEST: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    door: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    jobs: u64,
}

/// A job's row as it travels. A job that was being sent travels as one of unknown outcome.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    job: String,
    attempt: Option<String>,
    user_id: String,
    product: String,
    api: String,
    allow_new_enroll: bool,
    state: String,
    reason: Option<String>,
    reserved: bool,
    remote_id: Option<String>,
    resubmits: u32,
    retried: bool,
    created_ms: Option<i64>,
    has_images: bool,
    details: u64,
    pictures: Vec<Picture>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Picture {
    kind: String,
    bytes: u64,
}

fn json(value: &impl Serialize) -> Result<Wiped, QueueError> {
    serde_json::to_vec(value).map(Wiped::from).map_err(|_| QueueError::Set("a row cannot be written"))
}

/// Writes a set.
pub struct SetWriter<'a, W: Write> {
    frames: Frames<'a, W>,
    jobs: u64,
}

impl<'a, W: Write> SetWriter<'a, W> {
    /// Begins a set of the jobs of `door`.
    pub fn begin(out: W, recipient: &Public, door: &str, random: &'a dyn Random) -> Result<Self, QueueError> {
        let mut frames = Frames::begin(out, recipient, random)?;
        frames.write(ORIGIN, &json(&Origin { door: door.to_owned() })?, false)?;
        Ok(Self { frames, jobs: 0 })
    }

    /// The set's own name, as the events have it.
    pub fn name(&self) -> String {
        self.frames.name()
    }

    /// Adds a job; of one that has its pictures, `job` is all of it, and `part` reads them.
    pub fn add(
        &mut self,
        info: &Info,
        job: Option<&Job>,
        mut part: impl FnMut(&Job, usize, u32) -> Result<Wiped, QueueError>,
    ) -> Result<(), QueueError> {
        let state = match &info.state {
            State::Sending => State::UnknownOutcome,
            other => other.clone(),
        };
        let kept = job.map_or(&[][..], |job| &job.pictures);
        let pictures = kept.iter().map(|kept| Picture { kind: kept.kind.name().into(), bytes: kept.bytes });
        let row = Row {
            job: info.id.to_string(),
            attempt: info.attempt.map(|attempt| attempt.to_string()),
            user_id: info.user_id.as_str().into(),
            product: info.task.name().into(),
            api: info.api.name().into(),
            allow_new_enroll: info.allow_new_enroll,
            state: state.name().name().into(),
            reason: reason_of(&state).map(str::to_owned),
            reserved: info.reserved,
            remote_id: info.remote.clone(),
            resubmits: info.resubmits,
            retried: info.class == Class::Retried,
            created_ms: info.created.wall.known().map(WallTime::as_unix_millis),
            has_images: job.is_some(),
            details: job.map_or(0, |job| job.details.len() as u64),
            pictures: pictures.collect(),
        };
        self.frames.write(JOB, &json(&row)?, false)?;
        if let Some(job) = job {
            for bytes in job.details.chunks(PART) {
                self.frames.write(BYTES, bytes, false)?;
            }
            for (index, kept) in job.pictures.iter().enumerate() {
                for number in 0..kept.parts {
                    self.frames.write(BYTES, &part(job, index, number)?, false)?;
                }
            }
        }
        self.jobs += 1;
        Ok(())
    }

    /// Ends the set; without this it counts as cut off. Gives what was written to.
    pub fn end(mut self) -> Result<W, QueueError> {
        self.frames.write(END, &json(&End { jobs: self.jobs })?, true)?;
        Ok(self.frames.into_inner())
    }
}

/// A job as it came out of a set. No `Debug`: it is all pictures and personal data.
pub struct Incoming {
    row: Row,
    details: Wiped,
    pictures: Vec<(PictureKind, Wiped)>,
}

/// Reads a set, job after job.
pub struct SetReader<R: Read> {
    frames: Unframe<R>,
    door: String,
    jobs: u64,
}

const ODD: QueueError = QueueError::Set("it is of another release, or was not made by latchd");

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, QueueError> {
    serde_json::from_slice(bytes).map_err(|_| ODD)
}

impl<R: Read> SetReader<R> {
    /// Begins to read; refuses another's set.
    pub fn begin(input: R, key: &Private) -> Result<Self, QueueError> {
        let mut frames = Unframe::begin(input, key)?;
        let Some((ORIGIN, bytes)) = frames.frame()? else { return Err(ODD) };
        let Origin { door } = parse(&bytes)?;
        Ok(Self { frames, door, jobs: 0 })
    }

    /// Whose jobs they were.
    pub fn door(&self) -> &str {
        &self.door
    }

    /// The set's own name, as the events have it.
    pub fn name(&self) -> String {
        self.frames.name()
    }

    /// The next job; `None` at the set's proper end.
    pub fn job(&mut self) -> Result<Option<Incoming>, QueueError> {
        let row: Row = match self.frames.frame()? {
            Some((JOB, bytes)) => parse(&bytes)?,
            Some((END, bytes)) => {
                let End { jobs } = parse(&bytes)?;
                // Whether nothing follows is asked as well.
                return if jobs == self.jobs && self.frames.frame()?.is_none() { Ok(None) } else { Err(ODD) };
            }
            _ => return Err(ODD),
        };
        let sizes = row.pictures.iter().map(|picture| picture.bytes);
        let total = sizes.fold(row.details, u64::saturating_add);
        if total > LARGEST {
            return Err(ODD);
        }
        let details = self.bytes(row.details)?;
        let mut pictures = Vec::with_capacity(row.pictures.len());
        for Picture { kind, bytes } in &row.pictures {
            pictures.push((PictureKind::parse(kind).ok_or(ODD)?, self.bytes(*bytes)?));
        }
        self.jobs += 1;
        Ok(Some(Incoming { row, details, pictures }))
    }

    fn bytes(&mut self, length: u64) -> Result<Wiped, QueueError> {
        let length = usize::try_from(length).map_err(|_| ODD)?;
        let mut bytes = Wiped::from(Vec::with_capacity(length));
        while bytes.len() < length {
            match self.frames.frame()? {
                Some((BYTES, more)) if !more.is_empty() && bytes.len() + more.len() <= length => {
                    bytes.extend_from_slice(&more);
                }
                _ => return Err(ODD),
            }
        }
        Ok(bytes)
    }
}

impl Incoming {
    /// Its id.
    pub fn id(&self) -> Result<JobId, QueueError> {
        JobId::parse(&self.row.job).ok_or(ODD)
    }

    /// Whom it is about.
    pub fn user(&self) -> Result<UserId, QueueError> {
        UserId::parse(&self.row.user_id).map_err(|_| ODD)
    }

    /// Whether all its words are understood.
    ///
    /// # Errors
    /// One is not.
    pub fn check(&self) -> Result<(), QueueError> {
        self.id()?;
        self.user()?;
        self.state()?;
        self.attempt()?;
        self.task()?;
        self.api().map(drop)
    }

    fn attempt(&self) -> Result<Option<AttemptId>, QueueError> {
        self.row.attempt.as_deref().map(|text| AttemptId::parse(text).ok_or(ODD)).transpose()
    }

    fn task(&self) -> Result<Task, QueueError> {
        Task::parse(&self.row.product).ok_or(ODD)
    }

    fn api(&self) -> Result<Api, QueueError> {
        Api::parse(&self.row.api).ok_or(ODD)
    }

    /// Its state, which is that of a job that is not at an end.
    pub fn state(&self) -> Result<State, QueueError> {
        let Row { state, reason, remote_id, .. } = &self.row;
        Ok(match state.as_str() {
            "new" => State::New,
            "accepted" => State::Accepted { remote: remote_id.clone().ok_or(ODD)? },
            "unknown_outcome" => State::UnknownOutcome,
            "held" => State::Held(reason.as_deref().and_then(HeldReason::parse).ok_or(ODD)?),
            _ => return Err(ODD),
        })
    }
}

/// Puts a job into this queue as it was: see [`restore`].
///
/// # Errors
/// [`QueueError::Exists`], or the set is odd.
pub fn take_in(tx: &Transaction<'_>, key: &QueueKey, job: &Incoming) -> Result<(), QueueError> {
    let Incoming { row, details, pictures } = job;
    let user_id = job.user()?;
    let pictures: Vec<_> = pictures.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())).collect();
    let new = NewJob {
        id: job.id()?,
        attempt: job.attempt()?,
        user_id: &user_id,
        task: job.task()?,
        api: job.api()?,
        allow_new_enroll: row.allow_new_enroll,
        details,
        pictures: &pictures,
        born: Born::New,
    };
    let past = Past {
        state: job.state()?,
        reserved: row.reserved,
        remote: row.remote_id.as_deref(),
        resubmits: row.resubmits,
        retried: row.retried,
        created: row.created_ms.map(WallTime::from_unix_millis),
        has_images: row.has_images,
    };
    restore(tx, key, &new, &past)
}
