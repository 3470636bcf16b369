//! The store behind `upload_url`: takes the zip, whose arrival starts the job. It speaks XML, as the real one does.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use super::archive;
use crate::access::Check;
use crate::sandbox::answer::{Answer, Content};
use crate::sandbox::judge;
use crate::sandbox::seal;
use crate::sandbox::service::Service;
use crate::sandbox::world::Key;

fn enrols(check: Check) -> bool {
    matches!(check, Check::Registration | Check::BiometricKyc | Check::UpdatePhoto)
}

/// Stores `body` as `object` (`0000000001.zip`) if the URL allows it.
pub(in crate::sandbox) fn put(
    service: &Service,
    object: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let (Some(expires), Some(signature)) = (value("Expires"), value("Signature")) else {
        return Answer::storage(403, "AccessDenied", "Access Denied");
    };
    // The type is part of what the real URL is signed for.
    let is_zip = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/zip");
    if !is_zip || !seal::verify_upload(service.key(), object, expires, signature) {
        let message = "The request signature we calculated does not match the signature you provided.";
        return Answer::storage(403, "SignatureDoesNotMatch", message);
    }
    let now_s = service.wall().as_unix_millis().div_euclid(1000);
    if expires.parse::<i64>().is_ok_and(|expires| expires <= now_s) {
        return Answer::storage(403, "AccessDenied", "Request has expired");
    }
    let key = Key::Object(object.trim_end_matches(".zip").to_owned());
    let mut world = service.world();
    let Some(job) = world.find(&key) else {
        return Answer::storage(403, "AccessDenied", "Access Denied");
    };
    let stored = Answer { status: 200, headers: Vec::new(), content: Content::Empty };
    if job.decided_at.is_some() {
        // The same bytes once more are harmless; the job goes on with the first.
        return stored;
    }
    let rule = world.scenario.rule(&job.seen.user_id).clone();
    let on_file = job.v1.as_ref().is_some_and(|v1| v1.use_enrolled_image);
    let (ending, image_bytes) = match archive::read(body, &job.seen, on_file) {
        Ok(image_bytes) => {
            let result = job.v1.as_ref().and_then(|v1| v1.sandbox_result.as_deref());
            (judge::v1_ending(&rule, job.seen.product, result), image_bytes)
        }
        Err(ending) => (ending, Vec::new()),
    };
    let decided_at = service.now().plus(rule.decide_after);
    if enrols(job.seen.product) && ending.is_approval() {
        let user_id = job.seen.user_id.clone();
        world.enrol(&user_id, decided_at);
    }
    if let Some(job) = world.find_mut(&key) {
        job.seen.decision.clone_from(&ending.code);
        job.seen.image_bytes = image_bytes;
        job.seen.body_bytes = body.len();
        job.decided_at = Some(decided_at);
        if let Some(v1) = &mut job.v1 {
            v1.ending = Some(ending);
        }
        service.note(&job.seen);
    }
    stored
}
