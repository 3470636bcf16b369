//! The calls that are played, and how a path names them.

use crate::access::Check;
use hyper::Method;

/// One call of the service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Endpoint {
    /// `POST /v3/token`
    V3Token,
    /// `POST /v3/registration`
    V3Registration,
    /// `POST /v3/authentication`
    V3Authentication,
    /// `POST /v3/compare`
    V3Compare,
    /// `POST /v3/biometric_kyc`
    V3BiometricKyc,
    /// `POST /v3/document_verification`
    V3Document,
    /// `POST /v3/enhanced_document_verification`
    V3EnhancedDocument,
    /// `POST /v3/enhanced_kyc`
    V3EnhancedKyc,
    /// `GET /v3/status/{job_id}`
    V3Status,
    /// `POST /v3/replay/{job_id}`
    V3Replay,
    /// `GET /v3/services/{list}`
    V3Services,
    /// `POST /v2/smart-selfie-enroll`
    V2Enroll,
    /// `POST /v2/smart-selfie-authentication`
    V2Authentication,
    /// `POST /v2/verify`
    V2Verify,
    /// `POST /v1/upload`
    V1Upload,
    /// `PUT` of the zip to the `upload_url`
    V1Put,
    /// `POST /v1/job_status`
    V1JobStatus,
    /// `POST /v1/id_verification`
    V1IdVerification,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 18] = [
        Self::V3Token,
        Self::V3Registration,
        Self::V3Authentication,
        Self::V3Compare,
        Self::V3BiometricKyc,
        Self::V3Document,
        Self::V3EnhancedDocument,
        Self::V3EnhancedKyc,
        Self::V3Status,
        Self::V3Replay,
        Self::V3Services,
        Self::V2Enroll,
        Self::V2Authentication,
        Self::V2Verify,
        Self::V1Upload,
        Self::V1Put,
        Self::V1JobStatus,
        Self::V1IdVerification,
    ];

    /// The name in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3Token => "v3/token",
            Self::V3Registration => "v3/registration",
            Self::V3Authentication => "v3/authentication",
            Self::V3Compare => "v3/compare",
            Self::V3BiometricKyc => "v3/biometric_kyc",
            Self::V3Document => "v3/document_verification",
            Self::V3EnhancedDocument => "v3/enhanced_document_verification",
            Self::V3EnhancedKyc => "v3/enhanced_kyc",
            Self::V3Status => "v3/status",
            Self::V3Replay => "v3/replay",
            Self::V3Services => "v3/services",
            Self::V2Enroll => "v2/smart-selfie-enroll",
            Self::V2Authentication => "v2/smart-selfie-authentication",
            Self::V2Verify => "v2/verify",
            Self::V1Upload => "v1/upload",
            Self::V1Put => "v1/put",
            Self::V1JobStatus => "v1/job_status",
            Self::V1IdVerification => "v1/id_verification",
        }
    }

    /// The reverse of [`Endpoint::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.name() == name)
    }

    /// Which endpoint a request line means, and what its path carries (a job id; a stored object's name).
    pub(super) fn of<'path>(method: &Method, path: &'path str) -> Option<(Self, &'path str)> {
        match *method {
            // What is posted goes to the path that the endpoint is named after.
            Method::POST => {
                if let Some(id) = path.strip_prefix("/v3/replay/") {
                    return Some((Self::V3Replay, id));
                }
                let by_path = |found: &Self| {
                    !matches!(found, Self::V3Status | Self::V3Replay | Self::V3Services | Self::V1Put)
                };
                Self::parse(path.strip_prefix('/')?).filter(by_path).map(|found| (found, ""))
            }
            Method::GET => {
                let status = path.strip_prefix("/v3/status/").map(|id| (Self::V3Status, id));
                status.or_else(|| path.strip_prefix("/v3/services/").map(|list| (Self::V3Services, list)))
            }
            Method::PUT => path.strip_prefix(UPLOADS).map(|object| (Self::V1Put, object)),
            _ => None,
        }
    }

    /// The methods of a path that is known; empty for any other path.
    pub(super) fn methods(path: &str) -> Vec<&'static str> {
        [Method::POST, Method::GET, Method::PUT]
            .iter()
            .filter(|method| Self::of(method, path).is_some())
            .map(|method| match *method {
                Method::POST => "POST",
                Method::GET => "GET",
                _ => "PUT",
            })
            .collect()
    }

    /// Whether whom a call is about stands in its body, so that it is unknown before the body was read.
    pub(super) const fn names_its_user_in_the_body(self) -> bool {
        !matches!(self, Self::V3Token | Self::V3Status | Self::V3Replay | Self::V3Services | Self::V1Put)
    }

    /// What a multipart call asks; `None` for the other calls.
    pub(super) const fn entry(self) -> Option<Check> {
        Some(match self {
            Self::V3Registration | Self::V2Enroll => Check::Registration,
            Self::V3Authentication | Self::V2Authentication => Check::Authentication,
            Self::V3Compare => Check::Compare,
            Self::V3BiometricKyc => Check::BiometricKyc,
            Self::V3Document => Check::DocumentVerification,
            Self::V3EnhancedDocument => Check::EnhancedDocumentVerification,
            Self::V3EnhancedKyc => Check::EnhancedKyc,
            _ => return None,
        })
    }
}

/// Where uploaded zips go on this server.
pub(super) const UPLOADS: &str = "/uploads/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_agree() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::parse(endpoint.name()), Some(endpoint));
        }
        assert_eq!(Endpoint::of(&Method::GET, "/v3/status/job_1"), Some((Endpoint::V3Status, "job_1")));
        assert_eq!(Endpoint::of(&Method::GET, "/v3/token"), None);
        assert_eq!(Endpoint::of(&Method::POST, "/v3/enroll"), None);
        assert_eq!(
            (Endpoint::methods("/v3/status/job_1"), Endpoint::methods("/v3/token")),
            (vec!["GET"], vec!["POST"])
        );
        assert_eq!(Endpoint::methods("/v3/enroll"), Vec::<&str>::new());
    }
}
