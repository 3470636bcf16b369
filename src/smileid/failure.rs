//! What can go wrong between this device and the service, sorted by what the queue must do about it
//! (door-rules, queue promise 4).

use crate::clock::WallTime;
use std::fmt;
use std::time::Duration;

/// What a failed call means for the job. Each kind asks for another reaction of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// The service surely holds nothing of this submission: it may be sent again.
    RefusedForCertain,
    /// The whole body left and no clear answer came: it may have been taken. Never repeat blindly.
    PerhapsTaken,
    /// A look-up or a token call brought nothing. Ask again later; this says nothing about the job.
    TryLater,
    /// The answer to a look-up is not what the protocol says. Ask again later, and tell somebody.
    Malformed,
    /// Key, token, signature or time stamp refused, also after one renewal: pause the queue.
    Unauthorised,
    /// The account has no money: pause the queue.
    Unpaid,
    /// Product, address, callback domain or SDK not permitted for the account: pause the queue.
    NotPermitted,
    /// This job will never be taken: dead-letter it, and it only.
    RejectedJob(Reject),
    /// The service already has a job of this id (v1): look it up.
    Duplicate,
    /// The server's certificate is not trusted: nothing was sent, pause the queue.
    Certificate,
    /// Address, redirect or settings are wrong: pause the queue.
    Configuration,
    /// The wall clock is not known, and the call would have to be signed with it. Nothing was sent.
    ClockUnknown,
}

/// Why a job is refused for good.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reject {
    /// A field or a picture is missing or wrong.
    Invalid,
    /// The pictures are too large.
    TooLarge,
    /// Another form of body was expected.
    MediaType,
    /// It is about this user: unknown, already enrolled, disabled, or not covered by the token.
    User,
}

impl FailureKind {
    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::RefusedForCertain => "refused_for_certain",
            Self::PerhapsTaken => "perhaps_taken",
            Self::TryLater => "try_later",
            Self::Malformed => "malformed_answer",
            Self::Unauthorised => "unauthorised",
            Self::Unpaid => "unpaid",
            Self::NotPermitted => "not_permitted",
            Self::RejectedJob(Reject::Invalid) => "rejected_invalid",
            Self::RejectedJob(Reject::TooLarge) => "rejected_too_large",
            Self::RejectedJob(Reject::MediaType) => "rejected_media_type",
            Self::RejectedJob(Reject::User) => "rejected_user",
            Self::Duplicate => "duplicate",
            Self::Certificate => "certificate",
            Self::Configuration => "configuration",
            Self::ClockUnknown => "clock_unknown",
        }
    }

    /// Every job would fail the same way: the queue pauses with one alarm and probes (queue promise 4).
    pub fn pauses_queue(self) -> bool {
        matches!(
            self,
            Self::Unauthorised | Self::Unpaid | Self::NotPermitted | Self::Certificate | Self::Configuration
        )
    }

    /// What an operator can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RefusedForCertain | Self::TryLater => "check the network; the device tries again by itself",
            Self::PerhapsTaken => {
                "v1 looks the job up by itself; for v3 compare with the portal, then `latchd queue retry` or `drop`"
            }
            Self::Malformed => "check that [smile] base_url and api name the right service",
            Self::Unauthorised => "check the API key, the partner id, the environment and the device's clock",
            Self::Unpaid => "top up the account's wallet in the portal",
            Self::NotPermitted => {
                "have product, device address, callback domain and SDK name enabled in the portal"
            }
            Self::RejectedJob(Reject::TooLarge) => "lower [capture] jpeg_quality or take the pictures again",
            Self::RejectedJob(Reject::User) => "enrol the person, or correct the user id",
            Self::RejectedJob(_) => {
                "read the service's text with `latchd queue show`; correct and submit anew"
            }
            Self::Duplicate => "none needed: the job is looked up",
            Self::Certificate => "check [smile] ca_file, the server's name and the device's clock",
            Self::Configuration => "correct [smile] base_url, api or callback_url",
            Self::ClockUnknown => "let the device reach a time server or set its clock",
        }
    }
}

/// A call that did not bring what was asked.
///
/// Safe to print: the text holds no secret, no name and no picture, and at most 200 characters.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", .kind.name())]
pub struct Failure {
    /// What it means for the job.
    pub kind: FailureKind,
    /// One line for people.
    pub text: String,
    /// The service's own sentence, as [`Failure::text`] without what this device adds.
    pub told: Option<String>,
    /// HTTP status, when an answer came.
    pub http: Option<u16>,
    /// The service's own code, such as `2215`.
    pub code: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The server's clock, when the answer told it.
    pub server_date: Option<WallTime>,
}

impl Failure {
    /// A failure found on this device, before or without an answer.
    pub(crate) fn local(kind: FailureKind, text: impl AsRef<str>) -> Self {
        Self {
            kind,
            text: one_line(text.as_ref()),
            told: None,
            http: None,
            code: None,
            retry_after: None,
            server_date: None,
        }
    }

    /// What an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        self.kind.remedy()
    }

    /// The same failure seen by a submission that has not begun: what only means "ask again" for a token
    /// means "surely not taken" for the job.
    #[must_use]
    pub(crate) fn before_entry(mut self) -> Self {
        if matches!(self.kind, FailureKind::TryLater | FailureKind::Malformed) {
            self.kind = FailureKind::RefusedForCertain;
        }
        self
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("text", &self.text)
            .field("http", &self.http)
            .field("code", &self.code)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

/// Longest text for people that is kept of an answer.
pub(crate) const TEXT_MAX: usize = 200;

/// `text` as one line of at most [`TEXT_MAX`] characters without control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// [`one_line`] of a text of the service, which may echo what it was sent: each of `secrets` is cut out first.
pub(crate) fn scrubbed(text: &str, secrets: &[&str]) -> String {
    // A service's text of any length must not make this slow: nobody reads past the first lines anyway.
    let head: String = text.chars().take(4 * TEXT_MAX).collect();
    let mut clean = head;
    for secret in secrets.iter().filter(|secret| secret.len() >= 2) {
        clean = without(&clean, secret);
    }
    one_line(&clean)
}

/// `text` with every occurrence of `secret`, upper or lower case, replaced by three dots. A short one must stand
/// as a word of its own: somebody is called Al, and `invalid` should stay readable.
fn without(text: &str, secret: &str) -> String {
    // Lower-casing ASCII keeps byte positions, so that the cut falls on the same characters.
    let (low_text, low_secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in low_text.match_indices(&low_secret) {
        let (Some(before), Some(after)) = (text.get(..at), text.get(at + secret.len()..)) else { continue };
        let inside = word(before.chars().next_back()) || word(after.chars().next());
        if at < from || (secret.chars().count() < 4 && inside) {
            continue;
        }
        clean.push_str(text.get(from..at).unwrap_or_default());
        clean.push('…');
        from = at + secret.len();
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_short_line() {
        let text = one_line(&format!("a\r\nb\u{1b}[31m{}", "x".repeat(900)));
        assert!(text.starts_with("a  b [31mx"), "{text}");
        assert_eq!(text.chars().count(), TEXT_MAX);
    }

    #[test]
    fn what_we_sent_is_cut_out_of_the_service_text() {
        let text = scrubbed(
            "No match for AMINA Fatou (Amina.Clearwater@Example.com)",
            &["amina.clearwater@example.com", "Amina Fatou"],
        );
        assert_eq!(text, "No match for … (…)");
        assert_eq!(scrubbed("Ünal: ünal", &["ünal"]), "Ünal: …");
        assert_eq!(scrubbed("invalid AL, al.", &["Al"]), "invalid …, ….");
        assert_eq!(scrubbed("aaaaa", &["aaaa"]), "…a");
    }

    #[test]
    fn before_a_submission_a_failed_token_is_a_certain_refusal() {
        for (kind, seen) in [
            (FailureKind::TryLater, FailureKind::RefusedForCertain),
            (FailureKind::Malformed, FailureKind::RefusedForCertain),
            (FailureKind::Unauthorised, FailureKind::Unauthorised),
            (FailureKind::Certificate, FailureKind::Certificate),
        ] {
            assert_eq!(Failure::local(kind, "x").before_entry().kind, seen);
        }
    }
}
