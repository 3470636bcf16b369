//! Every word and code that the service answers with, as data: what it means for the door, for the operator and for this
//! client. The verdicts ([`super::verdict`]), the failures ([`super::classify`]) and `latchd explain` all read this one table.
//!
//! What is in no row is unknown: it opens nothing and waits for a person (door-rules 4).

use crate::access::Verdict;
use serde::Serialize;

/// Where a code appears.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `status` of a v3 job.
    Status,
    /// `status` of a v2 answer, beside a result code.
    Answer,
    /// `reason` in a v3 callback: told to people, decides nothing.
    Reason,
    /// `ResultCode` of a v1 job.
    Result,
    /// `code` of a refused v1 request.
    Request,
    /// HTTP status of a refused v3 request.
    Http,
}

impl Family {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Status => "v3 status",
            Self::Answer => "v2 status",
            Self::Reason => "v3 callback reason",
            Self::Result => "v1 result code",
            Self::Request => "v1 error code",
            Self::Http => "HTTP status",
        }
    }
}

/// What the door does. Only [`Decision::Opens`] moves anything, and only for an authentication that is fresh, for this
/// person and this job (door-rules 1 to 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Opens for an authentication under way; otherwise a person is enrolled or a record is made.
    Opens,
    /// Stays locked; counts as a denial (door-rules 13).
    Denies,
    /// As `Denies`, and the attempt ends at once: a spoof is named or cannot be excluded.
    DeniesSpoof,
    /// Stays locked until a person has looked.
    Holds,
    /// Stays locked; nothing was judged, so it is no denial.
    Undecided,
}

impl Decision {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Opens => "passed: opens for an authentication under way, and only then",
            Self::Denies => "stays locked, counts as a denial",
            Self::DeniesSpoof => "stays locked, counts as a denial; a spoof is possible",
            Self::Holds => "stays locked until a person has looked",
            Self::Undecided => "stays locked; nothing was judged, no denial",
        }
    }
}

/// What this client does by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing more: the job is at its end.
    Finish,
    /// Asks again later.
    Poll,
    /// Sends it again later, for it was surely not taken.
    Retry,
    /// Asks what became of it, and never sends blindly.
    LookUp,
    /// Buries this job alone, with the service's sentence.
    DeadLetter,
    /// Pauses the whole queue with one alarm, and probes every 30 minutes.
    Pause,
    /// Waits for a person.
    Review,
    /// The person must enrol (again) first; this job is buried.
    Enrol,
    /// New pictures are needed, as a new job.
    Capture,
}

impl Action {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Finish => "the job is at its end",
            Self::Poll => "latchd asks again by itself",
            Self::Retry => "latchd sends it again by itself",
            Self::LookUp => "latchd looks the job up by itself",
            Self::DeadLetter => "the job is buried; correct what is wrong and submit anew",
            Self::Pause => "the queue pauses with an alarm; nothing is lost",
            Self::Review => "a person decides in the service's portal",
            Self::Enrol => "the job is buried; enrol the person first",
            Self::Capture => "submit anew, with new pictures, as a new job",
        }
    }
}

/// One row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Code {
    /// The word or number.
    pub code: &'static str,
    /// Where it appears.
    pub family: Family,
    /// The v1 job types it belongs to; empty for all.
    pub job_types: &'static [u8],
    /// What the door does.
    pub decision: Decision,
    /// What this client does.
    pub action: Action,
    /// For the operator: what it means.
    pub meaning: &'static str,
    /// How the verdict is kept; for a request that was refused there is none.
    #[serde(skip)]
    pub verdict: Option<Verdict>,
}

const fn decision_of(verdict: Verdict) -> Decision {
    match verdict {
        Verdict::Approved => Decision::Opens,
        Verdict::Rejected { spoof: false } => Decision::Denies,
        Verdict::Rejected { spoof: true } => Decision::DeniesSpoof,
        Verdict::Provisional | Verdict::Unknown => Decision::Holds,
        Verdict::Undecided => Decision::Undecided,
    }
}

const fn judged(
    family: Family,
    code: &'static str,
    job_types: &'static [u8],
    verdict: Verdict,
    action: Action,
    meaning: &'static str,
) -> Code {
    Code { code, family, job_types, decision: decision_of(verdict), action, meaning, verdict: Some(verdict) }
}

const fn result(
    code: &'static str,
    job_types: &'static [u8],
    verdict: Verdict,
    action: Action,
    meaning: &'static str,
) -> Code {
    judged(Family::Result, code, job_types, verdict, action, meaning)
}

const fn refused(family: Family, code: &'static str, action: Action, meaning: &'static str) -> Code {
    Code { code, family, job_types: &[], decision: Decision::Undecided, action, meaning, verdict: None }
}

const fn reason(code: &'static str, decision: Decision, action: Action, meaning: &'static str) -> Code {
    Code { code, family: Family::Reason, job_types: &[], decision, action, meaning, verdict: None }
}

const PASS: Verdict = Verdict::Approved;
const FAIL: Verdict = Verdict::Rejected { spoof: false };
const SPOOF: Verdict = Verdict::Rejected { spoof: true };
const LOOK: Verdict = Verdict::Provisional;
const NOT_JUDGED: Verdict = Verdict::Undecided;
const UNKNOWN: Verdict = Verdict::Unknown;

use Action::{Capture, DeadLetter, Enrol, Finish, LookUp, Pause, Poll, Retry, Review};

/// The verdict of a word of the v3 status, if it is one of a finished job.
pub fn of_status(word: &str) -> Option<Verdict> {
    CODES.iter().find(|row| row.family == Family::Status && row.code == word)?.verdict
}

/// The verdict of a word of a v2 answer; its code has a say in it as well.
pub fn of_answer(word: &str) -> Option<Verdict> {
    CODES.iter().find(|row| row.family == Family::Answer && row.code == word)?.verdict
}

/// The verdict of a v1 result code for a job type, if it is known.
pub fn of_result(job_type: u8, code: &str) -> Option<Verdict> {
    CODES.iter().find(|row| row.family == Family::Result && row.code == code && row.is_for(job_type))?.verdict
}

impl Code {
    /// Whether the code may come with a v1 job type.
    pub fn is_for(&self, job_type: u8) -> bool {
        self.job_types.is_empty() || self.job_types.contains(&job_type)
    }
}

/// The whole table, in the order in which `latchd explain` lists it.
pub const CODES: &[Code] = &[
    // The status gives no reason, so a block may always be a spoof (door-rules 13).
    judged(Family::Status, "clear", &[], PASS, Finish, "passed"),
    judged(Family::Status, "attention", &[], LOOK, Review, "passed with a flag that a person must look at"),
    judged(
        Family::Status,
        "block",
        &[],
        SPOOF,
        Finish,
        "failed; the status gives no reason, the callback may",
    ),
    judged(
        Family::Status,
        "error",
        &[],
        NOT_JUDGED,
        Capture,
        "not decided: an unusable picture, or the service was down",
    ),
    refused(Family::Status, "processing", Poll, "not finished yet"),
    refused(
        Family::Status,
        "not_found",
        Poll,
        "not known yet, or another partner's job; lost when it stays so",
    ),
    judged(Family::Answer, "approved", &[], PASS, Finish, "passed, if its result code says so too"),
    judged(Family::Answer, "pending", &[], LOOK, Review, "a person at the service reviews"),
    // What does not say why may always be a spoof.
    judged(Family::Answer, "rejected", &[], SPOOF, Finish, "failed; its result code says why"),
    reason("document_expired", Decision::Holds, Review, "the document's date has passed"),
    reason("document_copy_detected", Decision::Holds, Review, "the document looks like a copy"),
    reason("age_requirement_not_met", Decision::Holds, Review, "the person is younger than the account asks"),
    reason("medium_risk", Decision::Holds, Review, "the fraud checks see a medium risk"),
    reason("information_outdated", Decision::Holds, Review, "the authority's record is old"),
    reason("high_risk", Decision::DeniesSpoof, Finish, "the fraud checks see a high risk"),
    reason("account_locked", Decision::DeniesSpoof, Finish, "the account is locked for fraud (older name)"),
    reason("account_locked_fraud", Decision::DeniesSpoof, Finish, "the account is locked for fraud"),
    reason("face_verification_failed", Decision::Denies, Finish, "the face is not the enrolled one"),
    reason("spoof_detected", Decision::DeniesSpoof, Finish, "no live face before the camera"),
    reason("identifier_not_found", Decision::Denies, Finish, "the authority does not know the number"),
    reason("document_check_failed", Decision::Denies, Finish, "the document's security features are missing"),
    reason(
        "unsupported_document",
        Decision::Denies,
        Finish,
        "the service does not judge this kind of document",
    ),
    reason("service_unavailable", Decision::Undecided, Capture, "a part of the service was down"),
    reason("internal_error", Decision::Undecided, Capture, "the service failed"),
    reason("image_unavailable_or_invalid", Decision::Undecided, Capture, "a picture could not be read"),
    reason(
        "content_policy_violated",
        Decision::Undecided,
        Review,
        "a picture is not allowed by the service's rules",
    ),
    reason("document_unclassifiable", Decision::Undecided, Capture, "the document could not be told"),
    reason("invalid_id_number", Decision::Undecided, Finish, "the number does not have the document's form"),
    result("0810", &[1, 6, 11], PASS, Finish, "enrolled, or the document is verified"),
    result(
        "0811",
        &[1, 6, 11],
        FAIL,
        Finish,
        "not verified: the face differs, is not live, or the document's features are missing",
    ),
    result("0812", &[6, 11], FAIL, Capture, "the document could not be told or its picture is unusable"),
    result("0812", &[1], LOOK, Review, "passed for now; a person reviews"),
    result("0813", &[], UNKNOWN, Review, "known to exist, its meaning is not published"),
    result("0814", &[], UNKNOWN, Review, "known to exist, its meaning is not published"),
    result("0815", &[], UNKNOWN, Review, "known to exist, its meaning is not published"),
    result("0816", &[6, 11], FAIL, Finish, "the service does not judge this kind of document"),
    result("0817", &[], UNKNOWN, Review, "known to exist, its meaning is not published"),
    result("0820", &[2], PASS, Finish, "authenticated"),
    result("0821", &[2], FAIL, Finish, "not the enrolled face"),
    result("0822", &[2], LOOK, Review, "passed for now; a person reviews"),
    result("0823", &[2], SPOOF, Finish, "possible spoof"),
    result("0824", &[2], LOOK, Review, "possible spoof; a person reviews"),
    result("0825", &[2], LOOK, Review, "the machine is not sure; a person reviews"),
    result("0840", &[4], PASS, Finish, "enrolled"),
    result("0841", &[4], FAIL, Finish, "not enrolled; as a rule this face is known under another user"),
    result("0842", &[4], LOOK, Review, "enrolled for now; a person reviews"),
    result("0843", &[4], SPOOF, Finish, "possible spoof"),
    result("0844", &[4], LOOK, Review, "possible spoof; a person reviews"),
    result("0846", &[4], LOOK, Review, "possible spoof; the person must wait for the review"),
    result("0907", &[], SPOOF, Finish, "possible spoof, by the account's strict setting"),
    // The archive or its pictures could not be used: nothing was judged, so it counts as no denial (door-rules 13).
    result("0001", &[], NOT_JUDGED, Capture, "data invalid, or a picture is missing or unusable"),
    result("0903", &[], NOT_JUDGED, Capture, "the archive could not be read"),
    result("0911", &[1], NOT_JUDGED, Capture, "no face found"),
    result("0912", &[1], NOT_JUDGED, Capture, "the picture is too poor"),
    result("0921", &[2], NOT_JUDGED, Capture, "no face found"),
    result("0922", &[2], NOT_JUDGED, Capture, "the picture is too poor"),
    result("0941", &[4], NOT_JUDGED, Capture, "no face found"),
    result("0942", &[4], NOT_JUDGED, Capture, "the picture is too poor"),
    result("1012", &[1, 5, 7], PASS, Finish, "the number is valid"),
    result("1013", &[1, 5, 7], FAIL, Finish, "the authority does not know the number"),
    result(
        "1014",
        &[1, 5, 7],
        NOT_JUDGED,
        Finish,
        "the number's form is not supported, or it is test data in production",
    ),
    result(
        "1015",
        &[1, 5, 7],
        NOT_JUDGED,
        Capture,
        "the authority cannot be reached; not charged, try in an hour or two",
    ),
    result("1016", &[1, 5, 7], NOT_JUDGED, Finish, "the product is not activated for the account"),
    result("1020", &[5], PASS, Finish, "the data match"),
    result("1021", &[5], PASS, Finish, "the data match in part"),
    result("1022", &[5], FAIL, Finish, "the data do not match"),
    result("1023", &[5], FAIL, Finish, "not found; not charged"),
    result("1220", &[2], PASS, Finish, "authenticated, by a person's review"),
    result("1221", &[2], FAIL, Finish, "not the enrolled face, by a person's review"),
    result("1222", &[2], SPOOF, Finish, "a spoof, by a person's review"),
    result("1240", &[4], PASS, Finish, "enrolled, by a person's review"),
    result("1241", &[4], FAIL, Capture, "the picture is unusable, by a person's review"),
    result("1242", &[4], SPOOF, Finish, "a spoof, by a person's review"),
    refused(Family::Request, "2201", Retry, "the service failed at an upload"),
    refused(Family::Request, "2202", Finish, "no error: the upload may begin"),
    refused(Family::Request, "2203", DeadLetter, "info.json is malformed"),
    refused(
        Family::Request,
        "2204",
        DeadLetter,
        "a field has the wrong type; sometimes key, environment or time are meant",
    ),
    refused(Family::Request, "2205", Pause, "not authorised: signature, clock, key or environment"),
    refused(
        Family::Request,
        "2207",
        DeadLetter,
        "the user is disabled and may be enabled again in the portal",
    ),
    refused(Family::Request, "2208", DeadLetter, "the user is deleted"),
    refused(Family::Request, "2209", DeadLetter, "the user is enrolled already"),
    refused(Family::Request, "2210", Enrol, "the user is not enrolled"),
    refused(Family::Request, "2211", Enrol, "the user must enrol again"),
    refused(Family::Request, "2212", DeadLetter, "the job type is invalid"),
    refused(Family::Request, "2213", DeadLetter, "a required field is missing"),
    refused(Family::Request, "2214", DeadLetter, "known to exist, its meaning is not published"),
    refused(
        Family::Request,
        "2215",
        LookUp,
        "the job id is used already: the first submission may have arrived",
    ),
    refused(Family::Request, "2216", Enrol, "the enrolled user has no photograph on file"),
    refused(Family::Request, "2220", Pause, "production is not enabled for the account"),
    refused(Family::Request, "2221", Pause, "known to exist; as a rule the account lacks credit"),
    refused(
        Family::Request,
        "2222",
        Retry,
        "too many requests for this number; it is blocked for three days or until it is reset",
    ),
    refused(Family::Request, "2301", Retry, "the service failed at a look-up"),
    refused(Family::Request, "2302", Finish, "no error: the look-up is answered"),
    refused(Family::Request, "2314", Poll, "the archive has not arrived"),
    refused(Family::Request, "2401", Retry, "the service failed at a number's check"),
    refused(Family::Request, "2405", Pause, "not authorised: signature, clock, key or environment"),
    refused(Family::Request, "2413", DeadLetter, "a required field is missing"),
    refused(Family::Request, "2414", DeadLetter, "known to exist, its meaning is not published"),
    refused(Family::Http, "400", DeadLetter, "a field is missing or invalid"),
    refused(Family::Http, "401", Pause, "the token is refused, also after one renewal"),
    refused(Family::Http, "402", Pause, "the wallet is empty"),
    refused(
        Family::Http,
        "403",
        Pause,
        "product, address, callback domain or SDK is not permitted; about a user it buries that job alone",
    ),
    refused(Family::Http, "404", Pause, "the address is wrong: nothing answers there"),
    refused(Family::Http, "408", LookUp, "the service gave up waiting: it may have been taken"),
    refused(Family::Http, "409", LookUp, "still being worked on, or in conflict"),
    refused(Family::Http, "413", DeadLetter, "the pictures are too large"),
    refused(Family::Http, "415", DeadLetter, "another form of body was expected"),
    refused(Family::Http, "424", LookUp, "something that the service needs failed: it may have been taken"),
    refused(Family::Http, "429", Retry, "too many requests"),
    refused(Family::Http, "500", LookUp, "the service failed: it may have been taken"),
    refused(Family::Http, "502", LookUp, "the gateway got no answer: it may have been taken"),
    refused(
        Family::Http,
        "503",
        LookUp,
        "the service is down: it may have been taken, unless it says when to come again",
    ),
    refused(Family::Http, "504", LookUp, "the gateway waited too long: it may have been taken"),
];

#[cfg(test)]
#[path = "codes_tests.rs"]
mod tests;
