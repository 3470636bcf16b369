//! PURE. Whether a callback is one of the service's, of now, and not heard before.

use crate::access::JobId;
use crate::clock::{Wall, WallTime};
use serde::Deserialize;
use std::collections::VecDeque;

/// How far its time stamp may lie from the device's clock.
const FRESH_MILLIS: u64 = 10 * 60 * 1000;
/// Callbacks that are remembered: more than come within the time that one is fresh.
const SEEN_MAX: usize = 4096;
/// Longest id that is looked at.
const ID_MAX: usize = 64;

/// What was heard: v3 signs in headers, v1 and v2 in the body.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// `Response-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `Response-Signature`.
    pub signature: Option<&'a str>,
    /// `Job-ID`, the service's own.
    pub job: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// Which job is worth asking about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The service's id of it.
    pub remote_job: Option<String>,
    /// Our own id of it, from the partner's parameters.
    pub our_job: Option<JobId>,
}

/// Why a callback is not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not JSON, or it names no job.
    #[error("it names no job")]
    Malformed,
    /// Signature missing or not ours.
    #[error("it is not signed with our key")]
    Unsigned,
    /// Signed too long ago, or in the future.
    #[error("it was signed more than ten minutes from now")]
    Stale,
    /// The device does not know the time, so nothing is fresh. The service sends it again.
    #[error("the device does not know the time")]
    ClockUnknown,
    /// Heard before.
    #[error("it was heard before")]
    Repeated,
}

/// What was heard lately.
#[derive(Debug, Default)]
pub struct Seen(VecDeque<(String, String)>);

/// Everything else of a body, which may hold photographs, is skipped as it is read.
#[derive(Deserialize)]
struct Body {
    timestamp: Option<String>,
    signature: Option<String>,
    partner_params: Option<Params>,
    #[serde(rename = "PartnerParams")]
    v1_params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    job_id: Option<String>,
}

/// Judges a callback. `genuine` says whether a signature is that of a time stamp, in constant time.
///
/// # Errors
/// Why it is not listened to.
pub fn judge(
    heard: Heard<'_>,
    now: Wall,
    genuine: impl Fn(&str, &str) -> bool,
    seen: &mut Seen,
) -> Result<Notice, Refused> {
    let unsigned =
        |timestamp: &str, signature: &str| timestamp.len() > ID_MAX || !genuine(timestamp, signature);
    let by_headers = heard.timestamp.zip(heard.signature);
    // A body of somebody else is not even read, where that can be told before.
    if by_headers.is_some_and(|(timestamp, signature)| unsigned(timestamp, signature)) {
        return Err(Refused::Unsigned);
    }
    let body: Body = serde_json::from_slice(heard.body).map_err(|_| Refused::Malformed)?;
    let by_body = || body.timestamp.as_deref().zip(body.signature.as_deref());
    let (timestamp, signature) = by_headers.or_else(by_body).ok_or(Refused::Unsigned)?;
    if by_headers.is_none() && unsigned(timestamp, signature) {
        return Err(Refused::Unsigned);
    }
    let Wall::Known(now) = now else { return Err(Refused::ClockUnknown) };
    let signed_at = WallTime::from_rfc3339(timestamp).ok_or(Refused::Stale)?;
    if now.as_unix_millis().abs_diff(signed_at.as_unix_millis()) > FRESH_MILLIS {
        return Err(Refused::Stale);
    }
    let good = |id: &&str| {
        (1..=ID_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    let own = body.partner_params.or(body.v1_params).and_then(|params| params.job_id);
    let notice = Notice {
        remote_job: heard.job.filter(good).map(str::to_owned),
        our_job: own.as_deref().and_then(JobId::parse),
    };
    let name = match &notice {
        Notice { remote_job: None, our_job: None } => return Err(Refused::Malformed),
        Notice { remote_job, our_job } => format!("{remote_job:?} {our_job:?}"),
    };
    seen.note(name, timestamp)?;
    Ok(notice)
}

impl Seen {
    fn note(&mut self, job: String, timestamp: &str) -> Result<(), Refused> {
        let entry = (job, timestamp.to_owned());
        if self.0.contains(&entry) {
            return Err(Refused::Repeated);
        }
        if self.0.len() == SEEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(entry);
        Ok(())
    }

    /// Forgets the last one: it could not be passed on, and must be listened to when it comes again.
    pub fn take_back(&mut self) {
        self.0.pop_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: &str = "2026-01-02T03:04:05.000Z";
    const OURS: &str =
        r#"{"partner_params":{"job_id":"11111111-1111-1111-1111-111111111111"},"image_links":{"a":[1]}}"#;

    fn at(millis: i64) -> Wall {
        let noon = WallTime::from_rfc3339(STAMP).unwrap();
        Wall::Known(WallTime::from_unix_millis(noon.as_unix_millis() + millis))
    }

    fn heard(body: &str) -> Heard<'_> {
        Heard {
            timestamp: Some(STAMP),
            signature: Some("good"),
            job: Some("job_01h8x9y2z3a4b5c6d7e8f9g0h1"),
            body: body.as_bytes(),
        }
    }

    fn said(heard: Heard<'_>, now: Wall, seen: &mut Seen) -> Result<Notice, Refused> {
        judge(heard, now, |timestamp, signature| timestamp == STAMP && signature == "good", seen)
    }

    #[test]
    fn a_fresh_one_is_heard_once() {
        let mut seen = Seen::default();
        let notice = said(heard(OURS), at(0), &mut seen).unwrap();
        assert_eq!(notice.our_job, Some(JobId([0x11; 16])));
        assert_eq!(notice.remote_job.as_deref(), Some("job_01h8x9y2z3a4b5c6d7e8f9g0h1"));
        assert_eq!(said(heard(OURS), at(1), &mut seen), Err(Refused::Repeated));
        seen.take_back();
        assert!(said(heard(OURS), at(2), &mut seen).is_ok());
    }

    #[test]
    fn v1_signs_in_its_body() {
        let body = format!(
            r#"{{"timestamp":"{STAMP}","signature":"good","ResultCode":"0820",
               "PartnerParams":{{"job_id":"11111111-1111-1111-1111-111111111111","job_type":2}}}}"#
        );
        let bare = Heard { timestamp: None, signature: None, job: None, body: body.as_bytes() };
        assert_eq!(said(bare, at(0), &mut Seen::default()).unwrap().our_job, Some(JobId([0x11; 16])));
    }

    #[test]
    fn what_is_wrong_is_not_listened_to() {
        let no = |heard, now| said(heard, now, &mut Seen::default()).unwrap_err();
        assert_eq!(no(Heard { signature: Some("bad"), ..heard(OURS) }, at(0)), Refused::Unsigned);
        assert_eq!(no(Heard { signature: None, ..heard(OURS) }, at(0)), Refused::Unsigned);
        assert_eq!(no(heard(OURS), at(600_001)), Refused::Stale);
        assert_eq!(no(heard(OURS), at(-600_001)), Refused::Stale);
        assert_eq!(no(heard(OURS), Wall::Unknown), Refused::ClockUnknown);
        for body in ["", "[]", "7", "{\"partner_params\":7}"] {
            assert_eq!(no(heard(body), at(0)), Refused::Malformed, "{body}");
        }
        assert_eq!(no(Heard { job: Some("../x"), ..heard("{}") }, at(0)), Refused::Malformed);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Seen::default();
        for number in 0..=SEEN_MAX {
            seen.note(number.to_string(), STAMP).unwrap();
        }
        assert_eq!(seen.0.len(), SEEN_MAX);
    }

    proptest! {
        #[test]
        fn nothing_unsigned_is_heard(body in prop::collection::vec(any::<u8>(), 0..300), stamp in ".{0,40}") {
            let heard = Heard { timestamp: Some(&stamp), signature: Some("bad"), job: Some("job_1"), body: &body };
            prop_assert!(said(heard, at(0), &mut Seen::default()).is_err());
        }
    }
}
