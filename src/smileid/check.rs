//! Checks that are about no door: what is handed in, and what comes back. None of these types is one that the door takes.

use super::fields::{BadField, bad, check_metadata};
use super::picture::Picture;
use super::submission::{Consent, Details, Enrolment, IdInfo, PICTURES_MAX, Repeat, check_partner_params};
use super::wire::{Asked, Way, Wire, way};
use crate::access::{Check, Finding, JobId, PictureKind, Task, UserId};
use crate::clock::WallTime;
use crate::config::model::{Api, Geo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What the selfie is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// A document's front.
    Document,
    /// The picture cut out of a document.
    IdPhoto,
    /// A portrait.
    Portrait,
}

impl Comparison {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Document, Self::IdPhoto, Self::Portrait];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Document => "DOCUMENT",
            Self::IdPhoto => "ID_PHOTO",
            Self::Portrait => "PORTRAIT",
        }
    }
}

/// When, in which words and where somebody agreed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentForm {
    /// RFC 3339.
    pub granted_at: String,
    /// Language of the notice, two letters.
    pub language: String,
    /// https address of the notice.
    pub policy_url: String,
}

/// All that is said about a check besides its pictures: as a file, on the control socket, and sealed in the queue.
/// `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckForm {
    /// Given names.
    pub given_names: String,
    /// Family name.
    pub last_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number, `+` and 7 to 15 digits.
    pub phone: Option<String>,
    /// The recorded consent; without it nothing is sent (door-rules 16).
    pub consent: Option<ConsentForm>,
    /// Two capital letters.
    pub country: Option<String>,
    /// Kind of document or number, as the service lists it.
    pub id_type: Option<String>,
    /// The number.
    pub id_number: Option<String>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Date of birth, `YYYY-MM-DD`.
    pub dob: Option<String>,
    /// Bank code.
    pub bank_code: Option<String>,
    /// Mobile money operator.
    pub operator: Option<String>,
    /// What the picture to compare with is.
    pub comparison: Option<Comparison>,
    /// Free fields that come back with the result, besides the configured ones.
    pub partner_params: BTreeMap<String, String>,
    /// Names and values that the service keeps with the job.
    pub metadata: BTreeMap<String, String>,
    /// The face on file instead of a selfie.
    pub use_enrolled_image: bool,
    /// In the service's sandbox: the result to end with.
    pub sandbox_result: Option<u16>,
    /// Registration: replace the face of a person whom the service knows.
    pub allow_new_enroll: bool,
    /// The user id was given, and not made up from the job's.
    pub names_user: bool,
}

impl fmt::Debug for CheckForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckForm(hidden)")
    }
}

impl fmt::Debug for ConsentForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsentForm(hidden)")
    }
}

/// Pictures of a check, in the order in which they are sent.
#[derive(Clone, Copy)]
pub struct CheckPictures<'a> {
    /// The selfie, JPEG.
    pub selfie: Option<Picture<'a>>,
    /// 6 to 8 liveness pictures, JPEG.
    pub liveness: &'a [Picture<'a>],
    /// Documents (JPEG or PNG) and the picture to compare with (JPEG).
    pub others: &'a [(PictureKind, Picture<'a>)],
}

/// One check to submit: a form that was understood, with its pictures.
pub struct CheckSubmission<'a> {
    check: Check,
    user_id: &'a UserId,
    job: JobId,
    names_user: bool,
    details: Details,
    consent: Consent,
    id_info: IdInfo,
    comparison: Option<&'static str>,
    partner_params: BTreeMap<String, String>,
    metadata: &'a BTreeMap<String, String>,
    geo: Option<Geo>,
    pictures: CheckPictures<'a>,
    use_enrolled_image: bool,
    sandbox_result: Option<u16>,
    enrolment: Enrolment,
    repeat: Repeat,
}

/// What comes with every submission of a device.
#[derive(Clone, Copy)]
pub struct Device<'a> {
    /// The configured protocol.
    pub api: Api,
    /// The configured free fields.
    pub partner_params: &'a BTreeMap<String, String>,
    /// Where the device stands.
    pub geo: Option<Geo>,
}

/// Enough to ask for a check's state, also after a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckHandle {
    /// What was asked.
    pub check: Check,
    /// About whom.
    pub user_id: UserId,
    /// v3: the id the service gave. v1: our own id's text.
    pub remote_job: String,
}

impl CheckHandle {
    pub(crate) fn asked(&self) -> Asked<'_> {
        let task = Task::Check(self.check);
        Asked { task, user_id: &self.user_id, remote_job: &self.remote_job }
    }
}

/// The service has the check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckAccepted {
    /// What to poll with.
    pub handle: CheckHandle,
    /// The result, where the submission's answer already is one.
    pub finding: Option<Finding>,
}

/// Which pictures and fields a check must have.
struct Needs {
    selfie: bool,
    document: bool,
    comparison: bool,
    country: bool,
    id_type: bool,
    id_number: bool,
}

fn needs(check: Check) -> Needs {
    let none = Needs {
        selfie: false,
        document: false,
        comparison: false,
        country: false,
        id_type: false,
        id_number: false,
    };
    match check {
        Check::Registration | Check::Authentication | Check::UpdatePhoto => Needs { selfie: true, ..none },
        Check::Compare => Needs { selfie: true, comparison: true, ..none },
        Check::BiometricKyc => Needs { selfie: true, country: true, id_type: true, id_number: true, ..none },
        Check::DocumentVerification => Needs { selfie: true, document: true, country: true, ..none },
        Check::EnhancedDocumentVerification => {
            Needs { selfie: true, document: true, country: true, id_type: true, ..none }
        }
        Check::EnhancedKyc | Check::BasicKyc => {
            Needs { country: true, id_type: true, id_number: true, ..none }
        }
    }
}

/// Whether the face on file may stand for the selfie: nowhere that a face is enrolled or compared with another.
fn may_use_enrolled(check: Check, way: Way) -> bool {
    match check {
        Check::Authentication => matches!(way, Way::V3(_)),
        Check::DocumentVerification | Check::EnhancedDocumentVerification => way == Way::Archive,
        _ => false,
    }
}

impl<'a> CheckSubmission<'a> {
    /// Understands a form, with everything that can be found wrong without the service.
    ///
    /// # Errors
    /// The first field that is missing or wrong, with its remedy.
    pub fn new(
        check: Check,
        user_id: &'a UserId,
        job: JobId,
        form: &'a CheckForm,
        pictures: CheckPictures<'a>,
        device: Device<'a>,
        repeat: Repeat,
    ) -> Result<Self, BadField> {
        let Some(consent) = &form.consent else {
            let remedy = "record granted_at, language and policy_url of the consent that was given";
            return bad("consent", "is missing, and without one nothing is sent", remedy);
        };
        let Some(granted_at) = WallTime::from_rfc3339(&consent.granted_at) else {
            return bad("consent granted_at", "is no time", "write it as 2026-11-02T09:30:00Z");
        };
        let mut partner_params = device.partner_params.clone();
        partner_params.extend(form.partner_params.clone());
        let submission = Self {
            check,
            user_id,
            job,
            names_user: form.names_user,
            details: Details {
                given_names: form.given_names.clone(),
                last_name: form.last_name.clone(),
                email: form.email.clone(),
                phone: form.phone.clone(),
            },
            consent: Consent {
                granted_at,
                language: consent.language.clone(),
                policy_url: consent.policy_url.clone(),
            },
            id_info: IdInfo {
                country: form.country.clone(),
                id_type: form.id_type.clone(),
                id_number: form.id_number.clone(),
                first_name: Some(form.given_names.clone()).filter(|name| !name.is_empty()),
                middle_name: form.middle_name.clone(),
                last_name: Some(form.last_name.clone()).filter(|name| !name.is_empty()),
                dob: form.dob.clone(),
                email: form.email.clone(),
                phone_number: form.phone.clone(),
                bank_code: form.bank_code.clone(),
                operator: form.operator.clone(),
            },
            comparison: form.comparison.map(Comparison::word),
            partner_params,
            metadata: &form.metadata,
            geo: device.geo,
            pictures,
            use_enrolled_image: form.use_enrolled_image,
            sandbox_result: form.sandbox_result,
            enrolment: if form.allow_new_enroll { Enrolment::Replace } else { Enrolment::OnlyNew },
            repeat,
        };
        submission.check_all(device.api)?;
        Ok(submission)
    }

    fn check_all(&self, api: Api) -> Result<(), BadField> {
        let way = way(Task::Check(self.check), api).or_else(|_| {
            bad(self.check.name(), "has no call in the configured protocol", other_protocol(self.check))
        })?;
        match way {
            Way::V3(_) => self.details.check()?,
            _ => self.details.check_optional()?,
        }
        self.consent.check()?;
        self.id_info.check()?;
        check_metadata(self.metadata)?;
        check_partner_params(&self.partner_params, self.geo.is_some()).or_else(|_| {
            bad("partner_params", "has a reserved name or an unusable value", "rename or shorten the field")
        })?;
        self.check_needs(way)?;
        self.check_pictures()
    }

    fn check_needs(&self, way: Way) -> Result<(), BadField> {
        let needs = needs(self.check);
        for (needed, value, field) in [
            (needs.country, &self.id_info.country, "country"),
            (needs.id_type, &self.id_info.id_type, "id_type"),
            (needs.id_number, &self.id_info.id_number, "id_number"),
        ] {
            if needed && value.is_none() {
                return bad(
                    field,
                    "is missing",
                    "this product needs it; `latchd services` lists what there is",
                );
            }
        }
        if self.use_enrolled_image && !may_use_enrolled(self.check, way) {
            return bad("use_enrolled_image", "is not for this product", "hand in a selfie");
        }
        if needs.comparison && self.comparison.is_none() {
            return bad(
                "comparison_image_type",
                "is missing",
                "say what the picture is: document, id_photo, portrait",
            );
        }
        Ok(())
    }

    fn check_pictures(&self) -> Result<(), BadField> {
        let CheckPictures { selfie, liveness, others } = self.pictures;
        let needs = needs(self.check);
        let other = |kind| others.iter().find(|(own, _)| *own == kind);
        if needs.selfie && !self.use_enrolled_image && selfie.is_none() {
            return bad("selfie_image", "is missing", "hand in a selfie and 6 to 8 liveness pictures");
        }
        if selfie.is_some() && !needs.selfie {
            return bad("selfie_image", "is not for this product", "leave the pictures out");
        }
        let alone = self.check == Check::Compare && liveness.is_empty();
        if selfie.is_some() && !alone && !(6..=8).contains(&liveness.len()) {
            return bad("liveness_images", "are not 6 to 8", "hand in 6 to 8 pictures of one face");
        }
        if selfie.is_none() && !liveness.is_empty() {
            return bad("liveness_images", "come without a selfie", "hand in a selfie, or neither");
        }
        let front = other(PictureKind::DocumentFront);
        if needs.document != front.is_some() {
            return match front {
                None => bad("document", "is missing", "hand in a picture of the document's front"),
                Some(_) => bad("document", "is not for this product", "leave the document's pictures out"),
            };
        }
        if other(PictureKind::DocumentBack).is_some() && front.is_none() {
            return bad("document_back", "comes without a front", "hand in the document's front as well");
        }
        if needs.comparison != other(PictureKind::Comparison).is_some() {
            return bad(
                "comparison_image",
                "is needed for compare, and for compare only",
                "see --comparison",
            );
        }
        let mut bytes = 0_u64;
        for picture in selfie.into_iter().chain(liveness.iter().copied()) {
            if !picture.is_jpeg() {
                return bad("selfie_image", "or a liveness picture is no JPEG", "save it as JPEG");
            }
            bytes = bytes.saturating_add(picture.bytes());
        }
        for (kind, picture) in others {
            let png = picture.is_png() && *kind != PictureKind::Comparison;
            if !picture.is_jpeg() && !png {
                let problem = "is neither JPEG nor, for a document, PNG";
                return bad(kind.name(), problem, "save the picture in another form");
            }
            bytes = bytes.saturating_add(picture.bytes());
        }
        if bytes > PICTURES_MAX {
            return bad(
                "the pictures",
                "have more than the 4.5 MB that the service takes",
                "scale them down",
            );
        }
        Ok(())
    }

    pub(crate) fn wire(&self) -> Wire<'_> {
        // To name a user in a comparison enrols them when it passes: only for whom a user was named.
        let names_user = self.names_user || self.check != Check::Compare;
        Wire {
            task: Task::Check(self.check),
            user_id: self.user_id,
            names_user,
            job: self.job,
            details: &self.details,
            consent: &self.consent,
            selfie: self.pictures.selfie,
            liveness: self.pictures.liveness,
            others: self.pictures.others,
            comparison: self.comparison,
            id_info: Some(&self.id_info),
            partner_params: &self.partner_params,
            metadata: self.metadata,
            geo: self.geo,
            enrolment: self.enrolment,
            repeat: self.repeat,
            use_enrolled_image: self.use_enrolled_image,
            sandbox_result: self.sandbox_result,
        }
    }

    /// What is asked.
    pub fn check(&self) -> Check {
        self.check
    }
}

fn other_protocol(check: Check) -> &'static str {
    match check {
        Check::Compare => "set [smile] api to \"v3\"",
        Check::UpdatePhoto => "set [smile] api to \"v1\"",
        _ => "set [smile] api to \"v1\" or \"v3\"",
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
