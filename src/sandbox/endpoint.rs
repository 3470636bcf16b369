//! The calls that are played, and how a path names them.

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
    /// `GET /v3/status/{job_id}`
    V3Status,
    /// `POST /v1/upload`
    V1Upload,
    /// `PUT` of the zip to the `upload_url`
    V1Put,
    /// `POST /v1/job_status`
    V1JobStatus,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 7] = [
        Self::V3Token,
        Self::V3Registration,
        Self::V3Authentication,
        Self::V3Status,
        Self::V1Upload,
        Self::V1Put,
        Self::V1JobStatus,
    ];

    /// The name in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3Token => "v3/token",
            Self::V3Registration => "v3/registration",
            Self::V3Authentication => "v3/authentication",
            Self::V3Status => "v3/status",
            Self::V1Upload => "v1/upload",
            Self::V1Put => "v1/put",
            Self::V1JobStatus => "v1/job_status",
        }
    }

    /// The reverse of [`Endpoint::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.name() == name)
    }

    /// Which endpoint a request line means, and what its path carries (a job id; a stored object's name).
    pub(super) fn of<'path>(method: &Method, path: &'path str) -> Option<(Self, &'path str)> {
        let post = *method == Method::POST;
        match path {
            "/v3/token" if post => Some((Self::V3Token, "")),
            "/v3/registration" if post => Some((Self::V3Registration, "")),
            "/v3/authentication" if post => Some((Self::V3Authentication, "")),
            "/v1/upload" if post => Some((Self::V1Upload, "")),
            "/v1/job_status" if post => Some((Self::V1JobStatus, "")),
            _ if *method == Method::GET => path.strip_prefix("/v3/status/").map(|id| (Self::V3Status, id)),
            _ if *method == Method::PUT => path.strip_prefix(UPLOADS).map(|object| (Self::V1Put, object)),
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
        matches!(self, Self::V3Registration | Self::V3Authentication | Self::V1Upload | Self::V1JobStatus)
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
