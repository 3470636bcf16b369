//! What the threads tell the director.

use crate::access::{AttemptId, Claim, JobId, Report};
use crate::capture::{CameraCapture, CaptureError, Progress};
use crate::clock::BootTime;
use crate::control::Reply;
use crate::guard::LinkReport;
use crate::smileid;
use crossbeam_channel::Sender;

/// One message to the director.
pub enum Message {
    /// Somebody claims an identity.
    Claim(Box<ClaimOrder>),
    /// The claimer went away.
    Abandon(AttemptId),
    /// The camera shows how the burst goes.
    Burst(AttemptId, Progress),
    /// The face is still there after the burst.
    Seen(AttemptId, BootTime),
    /// The burst is over.
    Captured(AttemptId, Box<Result<CameraCapture, CaptureError>>),
    /// From the link to the guard.
    Guard(LinkReport),
    /// From the submitter.
    Submitted(AttemptId, JobId, Submitted),
    /// A deadline passed.
    Tick,
    /// End the daemon cleanly.
    Stop,
    /// The configuration changed and holds: end once nobody is at the door, to begin again with it.
    Reload,
}

/// A claim and where its story is told.
pub struct ClaimOrder {
    /// The claim.
    pub claim: Claim,
    /// Replace the face of a person whom the service already knows.
    pub allow_new_enroll: bool,
    /// Answer as soon as the job is durable.
    pub no_wait: bool,
    /// When it was received.
    pub received: BootTime,
    /// The claimer; bounded, and a claimer who does not read loses lines but not the attempt.
    pub replies: Sender<Reply>,
}

/// How a submission goes.
pub enum Submitted {
    /// Taken by the service, and durable.
    Accepted {
        /// The job as the service knows it.
        remote_job: String,
        /// When the answer was parsed.
        at: BootTime,
    },
    /// Not taken, or perhaps.
    Failed(smileid::Failure),
    /// Taken by the service, but its id could not be made durable: nothing may follow from it.
    NotRecorded,
    /// The service's verdict.
    Verdict {
        /// The answer.
        report: Report,
        /// When it was parsed.
        at: BootTime,
    },
}
