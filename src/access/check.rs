//! What the service is asked about a person besides the door's two products.
//!
//! A check has types of its own from the submission to the [`Finding`]: nothing at the door takes one, so that no
//! document, number, comparison, enrolled picture or handed-in file can ever arm or open anything (door-rules 4).

use super::words::{Product, Verdict};
use std::fmt;

/// A check that is about no door, with pictures and fields that were handed in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// SmartSelfie registration of somebody who is not on this door's list. v1 job type 4.
    Registration,
    /// SmartSelfie authentication with handed-in pictures, or with the enrolled one. v1 job type 2.
    Authentication,
    /// Two faces: the selfie and a picture of a document or a portrait. v3 only.
    Compare,
    /// The face against the identity authority's. v1 job type 1.
    BiometricKyc,
    /// A document, its kind found by the service. v1 job type 6.
    DocumentVerification,
    /// A document together with the authority's record. v1 job type 11.
    EnhancedDocumentVerification,
    /// A number against the authority's record. v1 job type 5.
    EnhancedKyc,
    /// Whether the data match a number's record, without telling them. v2 only, whatever protocol is configured.
    BasicKyc,
    /// A new face for an enrolled person. v1 job type 8.
    UpdatePhoto,
}

impl Check {
    /// Each of them.
    pub const ALL: [Self; 9] = [
        Self::Registration,
        Self::Authentication,
        Self::Compare,
        Self::BiometricKyc,
        Self::DocumentVerification,
        Self::EnhancedDocumentVerification,
        Self::EnhancedKyc,
        Self::BasicKyc,
        Self::UpdatePhoto,
    ];

    /// The stable name in the database, JSON and logs: the service's own, and never that of a [`Product`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Registration => "smart_selfie_registration",
            Self::Authentication => "smart_selfie_authentication",
            Self::Compare => "smart_selfie_compare",
            Self::BiometricKyc => "biometric_kyc",
            Self::DocumentVerification => "document_verification",
            Self::EnhancedDocumentVerification => "enhanced_document_verification",
            Self::EnhancedKyc => "enhanced_kyc",
            Self::BasicKyc => "basic_kyc",
            Self::UpdatePhoto => "update_photo",
        }
    }
}

/// What a job asks: something for the door, or a check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Task {
    /// For the door.
    Door(Product),
    /// For nobody's door.
    Check(Check),
}

impl Task {
    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Door(product) => product.name(),
            Self::Check(check) => check.name(),
        }
    }

    /// The reverse of [`Task::name`].
    pub fn parse(name: &str) -> Option<Self> {
        let check = || Check::ALL.into_iter().find(|check| check.name() == name).map(Self::Check);
        Product::parse(name).map(Self::Door).or_else(check)
    }

    /// Whether it enrols a face, for which a second submission can do no harm unless it replaces one.
    pub fn enrols(self) -> bool {
        matches!(self, Self::Door(Product::Registration) | Self::Check(Check::Registration))
    }
}

/// Which picture of a job one is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PictureKind {
    /// The selfie.
    Selfie,
    /// One of the liveness pictures.
    Liveness,
    /// A document's front, or a passport's page.
    DocumentFront,
    /// A document's back.
    DocumentBack,
    /// The picture that the selfie is compared with.
    Comparison,
}

impl PictureKind {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Selfie, Self::Liveness, Self::DocumentFront, Self::DocumentBack, Self::Comparison];

    /// The stable name in the database and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Selfie => "selfie",
            Self::Liveness => "liveness",
            Self::DocumentFront => "document_front",
            Self::DocumentBack => "document_back",
            Self::Comparison => "comparison",
        }
    }

    /// The reverse of [`PictureKind::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The service's answer to a [`Check`]. Not a [`Report`](super::Report): the door does not know this type.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// What the service found.
    pub verdict: Verdict,
    /// What was asked.
    pub check: Check,
    /// The user the answer names.
    pub user_id: String,
    /// The job the answer names: the server's id in v3, our own in v1.
    pub remote_job: String,
    /// The service's raw status word or result code.
    pub code: String,
    /// The service's text for people, at most 200 characters, control characters removed.
    pub text: String,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Finding({:?} {} code={:?} job={:?})",
            self.check,
            self.verdict.name(),
            self.code,
            self.remote_job
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_a_name_of_its_own() {
        let tasks: Vec<_> = [Product::Authentication, Product::Registration]
            .into_iter()
            .map(Task::Door)
            .chain(Check::ALL.into_iter().map(Task::Check))
            .collect();
        for task in &tasks {
            assert_eq!(Task::parse(task.name()), Some(*task));
        }
        let names: std::collections::BTreeSet<_> = tasks.iter().map(|task| task.name()).collect();
        assert_eq!(names.len(), tasks.len());
        assert_eq!(Task::parse("door"), None);
    }
}
