//! What the agent hands in and what it gets back.

use super::failure::{Failure, FailureKind, Reject};
use super::fields::BadField;
use super::picture::Picture;
use super::wire::{Asked, Wire};
use crate::access::{JobId, Product, Report, Task, UserId};
use crate::clock::WallTime;
use crate::config::model::Geo;
use std::collections::BTreeMap;
use std::fmt;

/// One job to submit. Everything is borrowed: the pictures lie once in memory, with the caller.
#[derive(Clone, Copy)]
pub struct Submission<'a> {
    /// What is asked.
    pub product: Product,
    /// About whom.
    pub user_id: &'a UserId,
    /// Our own id: v1 uses it as the service's job id, v3 carries it along in the partner params.
    pub job: JobId,
    /// The person's name and contact (v3).
    pub details: &'a Details,
    /// The recorded consent (door-rules 16).
    pub consent: &'a Consent,
    /// Selfie and liveness pictures.
    pub images: Images<'a>,
    /// Free fields that come back with the result.
    pub partner_params: &'a BTreeMap<String, String>,
    /// Where the device stands; sent only when set.
    pub geo: Option<Geo>,
    /// Identity document fields for the v1 archive.
    pub id_info: Option<&'a IdInfo>,
    /// What the service does when the user is already enrolled (registration).
    pub enrolment: Enrolment,
    /// First submission of this job id, or a repetition that a look-up allowed.
    pub repeat: Repeat,
}

/// What a registration does when the user already has a face at the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Enrolment {
    /// It fails: the enrolled face stays.
    #[default]
    OnlyNew,
    /// The stored face is replaced.
    Replace,
}

/// Whether the v1 upload carries `retry: true`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Repeat {
    /// As a first submission. A job id that was used before is then refused by the service.
    #[default]
    AsFirst,
    /// The service said that it waits for this job's archive (code 2314), and only then: what the flag does
    /// to a job whose archive was taken is not documented.
    ArchiveMissing,
}

/// The person as the service wants to be told. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Details {
    /// Given names.
    pub given_names: String,
    /// Family name.
    pub last_name: String,
    /// E-mail address; this or the phone number must be there.
    pub email: Option<String>,
    /// Phone number, `+` and 7 to 15 digits.
    pub phone: Option<String>,
}

/// A recorded consent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// When it was given.
    pub granted_at: WallTime,
    /// Language of the notice, two letters.
    pub language: String,
    /// https address of the privacy policy.
    pub policy_url: String,
}

/// The pictures of one capture, as JPEG.
#[derive(Clone, Copy)]
pub struct Images<'a> {
    /// The selfie.
    pub selfie: Picture<'a>,
    /// 6 to 8 liveness pictures in the order they were taken.
    pub liveness: &'a [Picture<'a>],
}

/// Identity document fields (v1 `id_info`). `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct IdInfo {
    /// Two-letter country.
    pub country: Option<String>,
    /// Kind of document or number.
    pub id_type: Option<String>,
    /// The number.
    pub id_number: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Date of birth, `YYYY-MM-DD`.
    pub dob: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone_number: Option<String>,
    /// Bank code.
    pub bank_code: Option<String>,
    /// Mobile money operator.
    pub operator: Option<String>,
}

/// How far a submission got, told while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// v1: the service has the job id and waits for the archive.
    Reserved,
    /// The first byte of the pictures is handed to the connection.
    Sending {
        /// Bytes of the body in all.
        bytes: u64,
    },
    /// The last byte is handed over: from here on the job may be taken.
    Sent,
    /// The token was refused; the submission is repeated once with a new one.
    Renewing,
}

/// The service has the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// What to poll with.
    pub handle: Handle,
    /// The verdict, where the submission's answer already is one (v2).
    pub report: Option<Report>,
}

/// Enough to ask for a job's state, also after a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handle {
    /// The submitted product.
    pub product: Product,
    /// The submitted user.
    pub user_id: UserId,
    /// v3: the id the service gave. v1: our own id's text.
    pub remote_job: String,
}

impl Handle {
    /// The handle of a v1 job, which exists before any answer: v1 knows jobs by our own id.
    pub fn own(product: Product, user_id: UserId, job: JobId) -> Self {
        Self { product, user_id, remote_job: job.to_string() }
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        let task = Task::Door(self.product);
        Asked { task, user_id: &self.user_id, remote_job: &self.remote_job }
    }
}

/// The state of a job the service was asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Status<R = Report> {
    /// Running.
    Pending,
    /// Decided. The caller compares user and job before it believes it (door-rules 4).
    Final(R),
    /// The service does not know it (v3), or waits for its archive (v1). Right after a submission: ask again.
    NotFound,
}

/// What became of a v1 job whose answer was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookUp<R = Report> {
    /// Decided: nothing to send.
    Done(R),
    /// The archive is there: nothing to send, poll.
    Processing,
    /// The service has no pictures of it: submit again, in this way.
    NotReceived(Repeat),
}

/// Most bytes of one request, pictures and all: the service's documented limit is 4.5 MB for the whole request.
pub const BYTES_MAX: usize = 4_500_000;

/// Most bytes of the pictures alone.
pub(crate) const PICTURES_MAX: u64 = (BYTES_MAX - 64 * 1024) as u64;

/// Names that mean something to the protocol and hence cannot be free fields. `sandbox_result` would let a
/// configuration file force an approval (door-rules 4).
const RESERVED: [&str; 4] = ["job_id", "user_id", "job_type", "sandbox_result"];

impl<T> Status<T> {
    /// The same state with another kind of answer.
    pub(crate) fn map<R>(self, turn: impl FnOnce(T) -> R) -> Status<R> {
        match self {
            Self::Pending => Status::Pending,
            Self::Final(told) => Status::Final(turn(told)),
            Self::NotFound => Status::NotFound,
        }
    }
}

impl<T> LookUp<T> {
    /// The same state with another kind of answer.
    pub(crate) fn map<R>(self, turn: impl FnOnce(T) -> R) -> LookUp<R> {
        match self {
            Self::Done(told) => LookUp::Done(turn(told)),
            Self::Processing => LookUp::Processing,
            Self::NotReceived(repeat) => LookUp::NotReceived(repeat),
        }
    }
}

static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();

impl<'a> Submission<'a> {
    /// As the protocols know it: with this door's own pictures, and nothing that could force a verdict (door-rules 4).
    pub(crate) fn wire(&self) -> Wire<'a> {
        Wire {
            task: Task::Door(self.product),
            user_id: self.user_id,
            names_user: true,
            job: self.job,
            details: self.details,
            consent: self.consent,
            selfie: Some(self.images.selfie),
            liveness: self.images.liveness,
            others: &[],
            comparison: None,
            id_info: self.id_info,
            partner_params: self.partner_params,
            metadata: &NO_METADATA,
            geo: self.geo,
            enrolment: self.enrolment,
            repeat: self.repeat,
            use_enrolled_image: false,
            sandbox_result: None,
        }
    }

    /// The checks that need no service. A job that fails them is not sent and will never be better.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let invalid = |text: &str| Failure::local(FailureKind::RejectedJob(Reject::Invalid), text);
        let wrong = |bad: BadField| invalid(&format!("{bad}: {}", bad.remedy));
        self.details.check().map_err(wrong)?;
        self.consent.check().map_err(wrong)?;
        check_partner_params(self.partner_params, self.geo.is_some()).map_err(|text| invalid(&text))?;
        if !(6..=8).contains(&self.images.liveness.len()) {
            return Err(invalid("6 to 8 liveness pictures are needed"));
        }
        let mut bytes = 0_u64;
        for picture in std::iter::once(&self.images.selfie).chain(self.images.liveness) {
            if !picture.is_jpeg() {
                return Err(invalid("a picture is no JPEG"));
            }
            bytes = bytes.saturating_add(picture.bytes());
        }
        if bytes > PICTURES_MAX {
            return Err(Failure::local(
                FailureKind::RejectedJob(Reject::TooLarge),
                format!("the pictures have {bytes} bytes, the service takes {BYTES_MAX} in all"),
            ));
        }
        Ok(())
    }
}

impl IdInfo {
    /// Wire name and value of each field.
    pub(crate) fn fields(&self) -> [(&'static str, Option<&str>); 11] {
        [
            ("country", self.country.as_deref()),
            ("id_type", self.id_type.as_deref()),
            ("id_number", self.id_number.as_deref()),
            ("first_name", self.first_name.as_deref()),
            ("middle_name", self.middle_name.as_deref()),
            ("last_name", self.last_name.as_deref()),
            ("dob", self.dob.as_deref()),
            ("email", self.email.as_deref()),
            ("phone_number", self.phone_number.as_deref()),
            ("bank_code", self.bank_code.as_deref()),
            ("operator", self.operator.as_deref()),
        ]
    }
}

/// Free fields: no reserved name, no empty value (v1 would turn it into the text `null`), bounded.
pub(crate) fn check_partner_params(params: &BTreeMap<String, String>, with_geo: bool) -> Result<(), String> {
    for (name, value) in params {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let geo = with_geo && ["latitude", "longitude", "altitude"].contains(&name.as_str());
        if RESERVED.contains(&name.as_str()) || geo {
            return Err(format!("partner param {shown} is reserved"));
        }
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err(format!(
                "partner param {shown:?}: a name has 1 to 64 bytes without control characters"
            ));
        }
        if value.is_empty() || value.len() > 1000 || value.chars().any(char::is_control) {
            return Err(format!(
                "partner param {shown}: a value has 1 to 1000 bytes without control characters"
            ));
        }
    }
    Ok(())
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Details(hidden)")
    }
}

impl fmt::Debug for IdInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdInfo(hidden)")
    }
}

impl fmt::Debug for Images<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Images(selfie {} bytes, {} liveness)", self.selfie.bytes(), self.liveness.len())
    }
}

impl fmt::Debug for Submission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submission({} {} {:?} {:?})", self.product.name(), self.job, self.images, self.repeat)
    }
}
