//! A job read back from the queue and sent to the service: the one path that both the submitter and the drain use.

use super::details;
use super::error::AgentError;
use super::shared::Shared;
use crate::access::{Check, JobId, PictureKind, Product, Task};
use crate::clock::Wall;
use crate::queue::{self, Job, QueueError};
use crate::smileid::{
    Accepted, CheckAccepted, CheckForm, CheckPictures, CheckSubmission, Consent, Details, Device, Enrolment,
    Failure, FailureKind, Images, Kept, Picture, Reject, Repeat, Submission,
};
use crate::store::{StoreError, Wiped};

/// A job of the door with its pictures, ready to be sent.
pub struct Outgoing {
    job: Job,
    product: Product,
    details: Details,
    consent: Consent,
}

/// A check with its pictures, ready to be sent.
pub struct OutgoingCheck {
    job: Job,
    check: Check,
    form: CheckForm,
}

/// Whichever a job of the queue is.
pub enum Sendable {
    /// For the door.
    Door(Box<Outgoing>),
    /// For nobody's door.
    Check(Box<OutgoingCheck>),
}

impl Sendable {
    /// As it is now that it is being sent: it may have been made for the other protocol when it was read.
    ///
    /// # Errors
    /// Its row cannot be read.
    pub fn begun(mut self, shared: &Shared) -> Result<Self, Unsendable> {
        let job = match &mut self {
            Self::Door(outgoing) => &mut outgoing.job,
            Self::Check(outgoing) => &mut outgoing.job,
        };
        job.info = shared.store.read(|tx| queue::info(tx, job.info.id)).map_err(AgentError::from)?;
        Ok(self)
    }
}

/// Why a job cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// The database or the seal.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The person's details are not readable.
    #[error("the job's details cannot be read")]
    Details,
    /// A check where a job of the door is meant.
    #[error("this is no job of the door")]
    NotForTheDoor,
}

impl Unsendable {
    /// As a failed submission: nothing was sent. Only a job whose own pictures or details are not readable will never be
    /// taken; whatever else the disk or the database refused is tried again.
    pub fn into_failure(self) -> Failure {
        let hopeless = match &self {
            Self::Details | Self::NotForTheDoor => true,
            Self::Agent(AgentError::Queue(QueueError::Store(error))) => {
                matches!(error, StoreError::Unsealable { .. } | StoreError::Row { .. })
            }
            Self::Agent(AgentError::Queue(error)) => {
                matches!(error, QueueError::ImagesErased(_) | QueueError::Unknown(_))
            }
            Self::Agent(_) => false,
        };
        let kind =
            if hopeless { FailureKind::RejectedJob(Reject::Invalid) } else { FailureKind::RefusedForCertain };
        not_sent(kind, &self.to_string())
    }
}

fn not_sent(kind: FailureKind, text: &str) -> Failure {
    Failure {
        kind,
        text: text.to_owned(),
        told: None,
        http: None,
        code: None,
        retry_after: None,
        server_date: None,
    }
}

/// Reads a job with its pictures.
pub fn load(shared: &Shared, id: JobId) -> Result<Sendable, Unsendable> {
    let (store, key) = (&shared.store, &shared.keys.queue);
    let sealed = store.read(|tx| queue::sealed(tx, id)).map_err(AgentError::from)?;
    // A small one is opened while others may commit already.
    let job =
        if sealed.is_whole() { sealed.open(key, None) } else { store.read(|tx| sealed.open(key, Some(tx))) };
    let job = job.map_err(AgentError::from)?;
    Ok(match job.info.task {
        Task::Door(product) => {
            let (details, consent) = details::from_bytes(&job.details).ok_or(Unsendable::Details)?;
            Sendable::Door(Box::new(Outgoing { job, product, details, consent }))
        }
        Task::Check(check) => {
            let form = serde_json::from_slice(&job.details).map_err(|_| Unsendable::Details)?;
            Sendable::Check(Box::new(OutgoingCheck { job, check, form }))
        }
    })
}

/// Certificates and signatures are judged by the time (queue promise 7).
fn clock_known(shared: &Shared) -> Result<(), Failure> {
    match shared.clock.wall() {
        Wall::Unknown => Err(not_sent(FailureKind::ClockUnknown, "the time is not known")),
        Wall::Known(_) => Ok(()),
    }
}

fn repeat_of(job: &Job) -> Repeat {
    if job.info.reserved { Repeat::ArchiveMissing } else { Repeat::AsFirst }
}

/// A picture that is unsealed part by part while it is sent, unless it is open already.
struct Sealed<'a> {
    shared: &'a Shared,
    job: &'a Job,
    picture: &'a queue::Kept,
}

impl Sealed<'_> {
    fn picture(&self) -> Picture<'_> {
        self.picture.opened.as_deref().map_or(Picture::Kept(self), |opened| Picture::Bytes(opened))
    }
}

impl Kept for Sealed<'_> {
    fn bytes(&self) -> u64 {
        self.picture.bytes
    }

    fn pieces(&self) -> u32 {
        self.picture.parts
    }

    fn piece(&self, index: u32) -> std::io::Result<Wiped> {
        let read = self.shared.store.read(|tx| queue::part(tx, self.job, self.picture, index));
        read.map_err(|error| std::io::Error::other(error.to_string()))
    }

    fn crc32(&self) -> u32 {
        self.picture.crc32
    }

    fn head(&self) -> &[u8] {
        &self.picture.head
    }
}

fn sealed<'a>(shared: &'a Shared, job: &'a Job) -> Vec<Sealed<'a>> {
    job.pictures.iter().map(|picture| Sealed { shared, job, picture }).collect()
}

fn of_kind<'a>(sealed: &'a [Sealed<'_>], kind: PictureKind) -> impl Iterator<Item = Picture<'a>> {
    sealed.iter().filter(move |sealed| sealed.picture.kind == kind).map(Sealed::picture)
}

impl Outgoing {
    /// Reads a job of the door with its pictures.
    pub fn load(shared: &Shared, id: JobId) -> Result<Self, Unsendable> {
        match load(shared, id)? {
            Sendable::Door(outgoing) => Ok(*outgoing),
            Sendable::Check(_) => Err(Unsendable::NotForTheDoor),
        }
    }

    /// Sends it.
    pub fn submit(&self, shared: &Shared) -> Result<Accepted, Failure> {
        clock_known(shared)?;
        let info = &self.job.info;
        let sealed = sealed(shared, &self.job);
        let liveness: Vec<_> = of_kind(&sealed, PictureKind::Liveness).collect();
        let selfie = of_kind(&sealed, PictureKind::Selfie).next().unwrap_or(Picture::Bytes(&[]));
        let submission = Submission {
            product: self.product,
            user_id: &info.user_id,
            job: info.id,
            details: &self.details,
            consent: &self.consent,
            images: Images { selfie, liveness: &liveness },
            partner_params: &shared.config.smile.partner_params,
            geo: shared.config.smile.geo,
            id_info: None,
            enrolment: if info.allow_new_enroll { Enrolment::Replace } else { Enrolment::OnlyNew },
            repeat: repeat_of(&self.job),
        };
        shared.client.submit(&submission, &mut |_| {})
    }
}

impl OutgoingCheck {
    /// Sends it.
    pub fn submit(&self, shared: &Shared) -> Result<CheckAccepted, Failure> {
        clock_known(shared)?;
        let info = &self.job.info;
        let sealed = sealed(shared, &self.job);
        let liveness: Vec<_> = of_kind(&sealed, PictureKind::Liveness).collect();
        let others: Vec<(PictureKind, Picture<'_>)> = sealed
            .iter()
            .filter(|sealed| !matches!(sealed.picture.kind, PictureKind::Selfie | PictureKind::Liveness))
            .map(|sealed| (sealed.picture.kind, sealed.picture()))
            .collect();
        let pictures = CheckPictures {
            selfie: of_kind(&sealed, PictureKind::Selfie).next(),
            liveness: &liveness,
            others: &others,
        };
        let device = device(shared);
        let repeat = repeat_of(&self.job);
        let submission =
            CheckSubmission::new(self.check, &info.user_id, info.id, &self.form, pictures, device, repeat)
                .map_err(|wrong| {
                    let kind = FailureKind::RejectedJob(Reject::Invalid);
                    not_sent(kind, &format!("{wrong}: {}", wrong.remedy))
                })?;
        shared.client.submit_check(&submission, &mut |_| {})
    }
}

/// What comes with every check of this device.
pub fn device(shared: &Shared) -> Device<'_> {
    let smile = &shared.config.smile;
    Device { api: smile.api, partner_params: &smile.partner_params, geo: smile.geo }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn a_disk_that_fails_buries_no_job_and_a_job_that_cannot_be_read_is_buried() {
        let kind = |error: StoreError| {
            Unsendable::Agent(AgentError::Queue(QueueError::Store(error))).into_failure().kind
        };
        let sqlite =
            |code: i32| StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        let io = StoreError::Io { what: "read", path: "x".into(), source: std::io::Error::other("gone") };
        for passing in [io, sqlite(ffi::SQLITE_IOERR_READ), sqlite(ffi::SQLITE_CORRUPT), StoreError::Busy] {
            let said = passing.to_string();
            assert_eq!(kind(passing), FailureKind::RefusedForCertain, "{said}");
        }
        let buried = FailureKind::RejectedJob(Reject::Invalid);
        assert_eq!(kind(StoreError::Unsealable { what: "a job's picture" }), buried);
        assert_eq!(Unsendable::Details.into_failure().kind, buried);
    }
}
