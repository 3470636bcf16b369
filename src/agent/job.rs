//! A job read back from the queue and sent to the service: the one path that both the submitter and the drain use.

use super::details;
use super::error::AgentError;
use super::shared::Shared;
use crate::access::{JobId, Product, UserId};
use crate::queue::{self, Content};
use crate::smileid::{
    Consent, Details, Enrolment, Failure, FailureKind, Handle, Images, Reject, Repeat, Submission,
};

/// A job with its pictures, ready to be sent.
pub struct Outgoing {
    job: JobId,
    user_id: UserId,
    product: Product,
    allow_new_enroll: bool,
    details: Details,
    consent: Consent,
    content: Content,
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
    /// As a failed submission: a job that cannot be read will never be taken.
    pub fn into_failure(self) -> Failure {
        Failure {
            kind: FailureKind::RejectedJob(Reject::Invalid),
            text: self.to_string(),
            http: None,
            code: None,
            retry_after: None,
            server_date: None,
        }
    }
}

impl Outgoing {
    /// Reads a job with its pictures.
    pub fn load(shared: &Shared, job: JobId) -> Result<Self, Unsendable> {
        let (row, content) = shared
            .store
            .read(|tx| {
                let row = queue::show(tx, job)?;
                let content = queue::open_content(tx, &shared.keys.queue, job)?;
                Ok::<_, queue::QueueError>((row, content))
            })
            .map_err(AgentError::from)?;
        let (details, consent) = details::from_bytes(content.details()).ok_or(Unsendable::Details)?;
        Ok(Self {
            job,
            user_id: row.user_id,
            product: row.product,
            allow_new_enroll: row.allow_new_enroll,
            details,
            consent,
            content,
        })
    }

    /// Sends it as a first submission.
    pub fn submit(&self, shared: &Shared) -> Result<Handle, Failure> {
        self.submit_as(shared, Repeat::AsFirst)
    }

    /// Sends it.
    pub fn submit_as(&self, shared: &Shared, repeat: Repeat) -> Result<Handle, Failure> {
        let liveness: Vec<&[u8]> = self.content.liveness().iter().map(Vec::as_slice).collect();
        let submission = Submission {
            product: self.product,
            user_id: &self.user_id,
            job: self.job,
            details: &self.details,
            consent: &self.consent,
            images: Images { selfie: self.content.selfie(), liveness: &liveness },
            partner_params: &shared.config.smile.partner_params,
            geo: shared.config.smile.geo,
            id_info: None,
            enrolment: if self.allow_new_enroll { Enrolment::Replace } else { Enrolment::OnlyNew },
            repeat,
        };
        shared.client.submit(&submission, &mut |_| {}).map(|accepted| accepted.handle)
    }
}
