//! `GET /v3/status/{job_id}` and `POST /v3/replay/{job_id}`.

use serde_json::json;

use crate::sandbox::answer::Answer;
use crate::sandbox::service::{Service, is_job_id};
use crate::sandbox::world::Key;

/// Says that the callback of a finished job will be sent again. This sandbox sends none.
pub(in crate::sandbox) fn replay(service: &Service, job_id: &str) -> Answer {
    if !is_job_id(job_id) {
        return Answer::refusal(400, "\"job_id\" must be a valid TypeID with prefix 'job_'");
    }
    let now = service.now();
    let world = service.world();
    match world.find(&Key::V3(job_id.to_owned())) {
        None => Answer::refusal(404, "Job not found"),
        Some(job) if !job.is_decided(now) => Answer::refusal(409, "Job is still processing"),
        Some(job) => Answer::json(
            202,
            json!({
                "status": "accepted", "job_id": job_id, "user_id": job.seen.user_id,
                "message": "Callback replay accepted.",
            }),
        ),
    }
}

/// What the status header says of the version.
const API_VERSION: &str = "v3.952.0";

/// Where the job stands. The token was checked before.
pub(in crate::sandbox) fn status(service: &Service, job_id: &str) -> Answer {
    if !is_job_id(job_id) {
        return Answer::refusal(400, "\"jobId\" must be a valid TypeID with prefix 'job_'");
    }
    let now = service.now();
    let world = service.world();
    let found = world.find(&Key::V3(job_id.to_owned()));
    let (word, user_id) = match found {
        None => ("not_found", "unknown"),
        Some(job) if !job.is_decided(now) => ("processing", job.seen.user_id.as_str()),
        Some(job) => (job.seen.decision.as_str(), job.seen.user_id.as_str()),
    };
    let (status, message) = match word {
        "not_found" => (404, "Job not found"),
        "processing" => (202, "Job is still processing"),
        _ => (200, "Job completed"),
    };
    Answer::json(
        status,
        json!({
            "status": word, "job_id": job_id, "user_id": user_id, "message": message,
            "created_at": service.wall().to_rfc3339(),
        }),
    )
    .with("api_version", API_VERSION)
    .with("job_id", job_id)
    .with("user_id", user_id)
}
