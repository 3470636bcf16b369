//! What can go wrong with jobs.

use super::states::StateName;
use crate::access::JobId;
use crate::store::StoreError;

/// An error about a job.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No job has this id.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// A job with this id is there already.
    #[error("job {0} is in the queue already")]
    Exists(JobId),
    /// The state does not allow this step.
    #[error("job {id} is {}: it cannot {step}", from.name())]
    Illegal {
        /// The job.
        id: JobId,
        /// Its state.
        from: StateName,
        /// The step's name.
        step: &'static str,
    },
    /// Its pictures are on their way to the service.
    #[error("job {0} is being sent: nothing was erased")]
    BeingSent(JobId),
    /// A set of jobs that is not as it must be.
    #[error("the job set: {0}")]
    Set(&'static str),
    /// The file of a set.
    #[error("the job set's file: {0}")]
    SetFile(#[source] std::io::Error),
    /// The pictures are gone, and without them nothing can be sent or exported.
    #[error("job {0}: images erased")]
    ImagesErased(JobId),
}

impl QueueError {
    /// What an operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Store(error) => error.remedy(),
            Self::Unknown(_) => "latchd queue list shows the jobs",
            Self::Exists(_) => "report this as a defect, with the job's id",
            Self::Illegal { .. } => "latchd queue show tells where the job stands",
            Self::BeingSent(_) => "try again in a minute: a submission has its time limits",
            Self::Set(_) => {
                "check which file and which key these are; copy the set once more: nothing of it was taken"
            }
            Self::SetFile(_) => "check the medium and its free space",
            Self::ImagesErased(_) => "let the person try again: the pictures were erased as promised",
        }
    }
}
