//! What a submission and an answer come to inside this room: the one form that the protocols know. Outside of it a door's
//! job and a check have types of their own, which never meet (door-rules 4).

use super::failure::{Failure, FailureKind, Reject};
use super::picture::Picture;
use super::submission::{Consent, Details, Enrolment, IdInfo, Repeat};
use crate::access::{Check, Finding, JobId, PictureKind, Product, Report, Task, UserId, Verdict};
use crate::config::model::{Api, Geo};
use std::collections::BTreeMap;

/// One job, whatever it asks. Everything is borrowed.
pub(crate) struct Wire<'a> {
    pub(crate) task: Task,
    pub(crate) user_id: &'a UserId,
    /// Whether the user is named to a service that could make up a name itself.
    pub(crate) names_user: bool,
    pub(crate) job: JobId,
    pub(crate) details: &'a Details,
    pub(crate) consent: &'a Consent,
    pub(crate) selfie: Option<Picture<'a>>,
    pub(crate) liveness: &'a [Picture<'a>],
    /// Pictures of documents, and the one to compare with.
    pub(crate) others: &'a [(PictureKind, Picture<'a>)],
    /// What the picture to compare with is: `DOCUMENT`, `ID_PHOTO`, `PORTRAIT`.
    pub(crate) comparison: Option<&'static str>,
    pub(crate) id_info: Option<&'a IdInfo>,
    pub(crate) partner_params: &'a BTreeMap<String, String>,
    pub(crate) metadata: &'a BTreeMap<String, String>,
    pub(crate) geo: Option<Geo>,
    pub(crate) enrolment: Enrolment,
    pub(crate) repeat: Repeat,
    pub(crate) use_enrolled_image: bool,
    pub(crate) sandbox_result: Option<u16>,
}

impl Wire<'_> {
    /// What must not appear in any text about this job.
    pub(crate) fn private_words(&self) -> Vec<&str> {
        let details = self.details;
        let mut words = vec![details.given_names.as_str(), details.last_name.as_str(), self.user_id.as_str()];
        words.extend(details.email.as_deref());
        words.extend(details.phone.as_deref());
        words.extend(details.phone.as_deref().map(|phone| phone.trim_start_matches('+')));
        words.extend(details.given_names.split_whitespace());
        words.extend(details.last_name.split_whitespace());
        if let Some(info) = self.id_info {
            words.extend(info.fields().into_iter().filter_map(|(_, value)| value));
        }
        // Longest first: a full name must go before its parts.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words
    }
}

/// How a task goes to the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// v3: one multipart call to this path, then the status.
    V3(&'static str),
    /// v2: one multipart call to this path, whose answer is the verdict.
    V2(&'static str),
    /// v1: an upload slot, a zip, then the job's status.
    Archive,
    /// v1 or v2: one JSON call to this path, whose answer is the verdict.
    Number(&'static str),
}

/// The way of `task` when `api` is configured.
///
/// # Errors
/// The protocol has no such call; the text says which has.
pub(crate) fn way(task: Task, api: Api) -> Result<Way, Failure> {
    let check = match task {
        Task::Door(Product::Authentication) => Check::Authentication,
        Task::Door(Product::Registration) => Check::Registration,
        Task::Check(check) => check,
    };
    // Its only call, whatever protocol the rest goes by.
    if check == Check::BasicKyc {
        return Ok(Way::Number("v2/verify"));
    }
    let found = match (api, check) {
        (Api::V3, Check::Authentication) => Way::V3("authentication"),
        (Api::V3, Check::Registration) => Way::V3("registration"),
        (Api::V3, Check::Compare) => Way::V3("compare"),
        (Api::V3, Check::BiometricKyc) => Way::V3("biometric_kyc"),
        (Api::V3, Check::DocumentVerification) => Way::V3("document_verification"),
        (Api::V3, Check::EnhancedDocumentVerification) => Way::V3("enhanced_document_verification"),
        (Api::V3, Check::EnhancedKyc) => Way::V3("enhanced_kyc"),
        (Api::V2, Check::Authentication) => Way::V2("smart-selfie-authentication"),
        (Api::V2, Check::Registration) => Way::V2("smart-selfie-enroll"),
        (Api::V1, Check::EnhancedKyc) => Way::Number("v1/id_verification"),
        (Api::V1, Check::Compare) => return Err(no_call(check, "v1", "v3")),
        (Api::V1, _) => Way::Archive,
        (Api::V2, Check::Compare) => return Err(no_call(check, "v2", "v3")),
        (Api::V2, Check::UpdatePhoto) => return Err(no_call(check, "v2", "v1")),
        (Api::V2, _) => return Err(no_call(check, "v2", "v1 or v3")),
        (Api::V3, _) => return Err(no_call(check, "v3", "v1")),
    };
    Ok(found)
}

fn no_call(check: Check, configured: &str, other: &str) -> Failure {
    Failure::local(
        FailureKind::RejectedJob(Reject::Invalid),
        format!("{configured} has no call for {}; set [smile] api to {other}", check.name()),
    )
}

/// Which job is asked about.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) task: Task,
    pub(crate) user_id: &'a UserId,
    pub(crate) remote_job: &'a str,
}

/// An answer that decides, before it is known whether it is for a door.
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    pub(crate) user_id: String,
    pub(crate) remote_job: String,
    pub(crate) code: String,
    pub(crate) text: String,
}

impl Told {
    /// For the door's own products.
    pub(crate) fn report(self, product: Product) -> Report {
        let Self { verdict, user_id, remote_job, code, text } = self;
        Report { verdict, product, user_id, remote_job, code, text }
    }

    /// For everything else.
    pub(crate) fn finding(self, check: Check) -> Finding {
        let Self { verdict, user_id, remote_job, code, text } = self;
        Finding { verdict, check, user_id, remote_job, code, text }
    }
}

/// A job that the service has.
pub(crate) struct Taken {
    pub(crate) remote_job: String,
    /// The call's answer was the verdict already.
    pub(crate) told: Option<Told>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_its_way_or_the_protocol_that_has_one() {
        for check in Check::ALL {
            let ways = [Api::V1, Api::V2, Api::V3].map(|api| way(Task::Check(check), api));
            assert!(ways.iter().any(Result::is_ok), "{check:?}");
            for refused in ways.iter().filter_map(|way| way.as_ref().err()) {
                assert!(refused.text.contains(check.name()) && refused.text.contains("[smile] api"));
            }
        }
        for api in [Api::V1, Api::V2, Api::V3] {
            for product in [Product::Authentication, Product::Registration] {
                assert!(way(Task::Door(product), api).is_ok());
            }
        }
    }
}
