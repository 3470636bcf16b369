//! One attempt's own things while it is under way: who waits for its end, its pictures, its times.

use super::message::ClaimOrder;
use crate::access::{AttemptId, JobId, Note, Outcome};
use crate::capture::CameraCapture;
use crate::clock::BootTime;
use crate::control::Reply;
use crate::smileid::Failure;
use crate::store::Pseudonym;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// When what happened; microseconds of boot time.
#[derive(Debug, Default, Clone, Copy)]
pub struct Times {
    /// The claim came in.
    pub claimed: Option<BootTime>,
    /// The last picture was taken.
    pub captured: Option<BootTime>,
    /// The burst's last picture was encoded and handed over.
    pub encoded: Option<BootTime>,
    /// The job was durable.
    pub stored: Option<BootTime>,
    /// The service's acceptance was parsed.
    pub accepted: Option<BootTime>,
    /// The verdict was parsed.
    pub verdict: Option<BootTime>,
    /// Verdict and intent were durable.
    pub intended: Option<BootTime>,
    /// Just before the grant was handed to the socket.
    pub granted: Option<BootTime>,
    /// The edge, by the guard's stamp.
    pub edge: Option<BootTime>,
}

fn micros(from: Option<BootTime>, to: Option<BootTime>) -> Option<u64> {
    u64::try_from(to?.since(from?).as_micros()).ok()
}

impl Times {
    /// Microseconds from the claim to each later moment, and of the two spans that matter.
    pub fn to_json(self) -> Value {
        let from_claim = |to| micros(self.claimed, to);
        json!({
            "captured_us": from_claim(self.captured),
            "encoded_us": from_claim(self.encoded),
            "stored_us": from_claim(self.stored),
            "accepted_us": from_claim(self.accepted),
            "verdict_us": from_claim(self.verdict),
            "intended_us": from_claim(self.intended),
            "granted_us": from_claim(self.granted),
            "edge_us": from_claim(self.edge),
            "verdict_to_edge_us": micros(self.verdict, self.edge),
            "grant_to_edge_us": micros(self.granted, self.edge),
        })
    }
}

/// An attempt under way, or a claim that is being judged.
pub struct Story {
    /// The claim and its claimer.
    pub order: ClaimOrder,
    /// The person in the audit.
    pub subject: Option<Pseudonym>,
    /// Notes that wait for the next commit.
    pub notes: Vec<Note>,
    /// The pictures, from the burst's end to the durable job.
    pub pictures: Option<CameraCapture>,
    /// How many liveness pictures were taken.
    pub pictures_taken: u32,
    /// The job.
    pub job: Option<JobId>,
    /// The last failed submission.
    pub failure: Option<Failure>,
    /// The service's word, once it came.
    pub verdict: Option<String>,
    /// When what happened.
    pub times: Times,
    /// Durable commits before this attempt.
    pub commits_before: u64,
    /// Durable commits up to the edge.
    pub commits_to_edge: Option<u64>,
    /// The intent to unlock is written and nothing has come of it yet.
    pub intent_open: bool,
    /// Stops the camera.
    pub cancelled: Arc<AtomicBool>,
}

/// A sentence with what the service said to it.
pub fn with_answer(sentence: String, told: Option<&str>) -> String {
    match told {
        Some(told) => format!("{sentence}: {told}"),
        None => sentence,
    }
}

impl Story {
    /// A story that begins.
    pub fn new(order: ClaimOrder, subject: Option<Pseudonym>, commits_before: u64) -> Self {
        let times = Times { claimed: Some(order.received), ..Times::default() };
        Self {
            order,
            subject,
            notes: Vec::new(),
            pictures: None,
            pictures_taken: 0,
            job: None,
            failure: None,
            verdict: None,
            times,
            commits_before,
            commits_to_edge: None,
            intent_open: false,
            cancelled: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whose story.
    pub fn attempt(&self) -> AttemptId {
        self.order.claim.attempt
    }

    /// Tells the claimer something; one who does not read loses it.
    pub fn tell(&self, reply: Reply) {
        let _ = self.order.replies.try_send(reply);
    }

    /// Tells the claimer how it goes.
    pub fn progress(&self, step: &str, text: &str, more: Value) {
        let mut object = json!({"step": step, "attempt": self.attempt().to_string()});
        if let (Some(map), Some(extra)) = (object.as_object_mut(), more.as_object()) {
            map.extend(extra.clone());
        }
        self.tell(Reply::Progress { object, text: text.to_owned() });
    }

    /// Tells the claimer the end.
    pub fn end(&self, outcome: &Outcome) {
        let told = self.failure.as_ref().filter(|_| *outcome == Outcome::JobRejected);
        let text = with_answer(outcome.sentence(), told.and_then(|failure| failure.told.as_deref()));
        self.tell(Reply::Done { exit: outcome.exit_code(), object: self.summary(outcome.word()), text });
    }

    /// What `--json` shows of the attempt.
    pub fn summary(&self, outcome: &str) -> Value {
        json!({
            "attempt": self.attempt().to_string(),
            "job": self.job.map(|job| job.to_string()),
            "outcome": outcome,
            "verdict": self.verdict,
            "pictures": self.pictures_taken,
            "failure": self.failure.as_ref().map(|failure| failure.kind.name()),
            "answer": self.failure.as_ref().and_then(|failure| failure.told.as_deref()),
            "commits_to_edge": self.commits_to_edge,
            "times": self.times.to_json(),
        })
    }
}
