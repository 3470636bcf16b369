//! A job read back from the queue and sent to the service: the one path that both the submitter and the drain use.

use super::details;
use super::error::AgentError;
use super::shared::Shared;
use crate::access::JobId;
use crate::clock::Wall;
use crate::queue::{self, Job, QueueError};
use crate::smileid::{
    Consent, Details, Enrolment, Failure, FailureKind, Handle, Images, Reject, Repeat, Submission,
};
use crate::store::StoreError;

/// A job with its pictures, ready to be sent.
pub struct Outgoing {
    job: Job,
    details: Details,
    consent: Consent,
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
}

impl Unsendable {
    /// As a failed submission: nothing was sent. Only a job whose own pictures or details are not readable will never be
    /// taken; whatever else the disk or the database refused is tried again.
    pub fn into_failure(self) -> Failure {
        let hopeless = match &self {
            Self::Details => true,
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

impl Outgoing {
    /// Reads a job with its pictures.
    pub fn load(shared: &Shared, id: JobId) -> Result<Self, Unsendable> {
        let job =
            shared.store.read(|tx| queue::load(tx, &shared.keys.queue, id)).map_err(AgentError::from)?;
        let (details, consent) = details::from_bytes(&job.details).ok_or(Unsendable::Details)?;
        Ok(Self { job, details, consent })
    }

    /// Sends it.
    pub fn submit(&self, shared: &Shared) -> Result<Handle, Failure> {
        if shared.clock.wall() == Wall::Unknown {
            // Certificates and signatures are judged by the time (queue promise 7).
            return Err(not_sent(FailureKind::ClockUnknown, "the time is not known"));
        }
        let info = &self.job.info;
        let liveness: Vec<&[u8]> = self.job.liveness.iter().map(|jpeg| jpeg.0.as_slice()).collect();
        let submission = Submission {
            product: info.product,
            user_id: &info.user_id,
            job: info.id,
            details: &self.details,
            consent: &self.consent,
            images: Images { selfie: &self.job.selfie.0, liveness: &liveness },
            partner_params: &shared.config.smile.partner_params,
            geo: shared.config.smile.geo,
            id_info: None,
            enrolment: if info.allow_new_enroll { Enrolment::Replace } else { Enrolment::OnlyNew },
            repeat: if info.reserved { Repeat::ArchiveMissing } else { Repeat::AsFirst },
        };
        shared.client.submit(&submission, &mut |_| {}).map(|accepted| accepted.handle)
    }
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
