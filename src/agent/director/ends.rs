//! What is written down when an attempt, or the pulse that it led to, is over.

use super::Director;
use crate::access::{AttemptId, Note, Outcome, Product};
use crate::agent::records;
use crate::agent::story::Story;
use crate::clock::BootTime;
use crate::guard::LockCause;
use serde_json::json;
use std::sync::atomic::Ordering;

impl Director {
    /// The intent was written and no edge came of it.
    fn close_intent(&self, attempt: AttemptId, outcome: &Outcome) {
        let fields = vec![("cause", format!("no_edge: {}", outcome.word()))];
        records::append(&self.shared, Some(attempt), None, "unlock_done", fields);
    }

    /// The strike fell back: the intent is done.
    pub(super) fn pulse_ended(&mut self, cause: &'static str, at: BootTime) {
        let Some((attempt, since)) = self.pulsing.take() else { return };
        let fields = vec![("cause", cause.to_owned()), ("open_ms", at.since(since).as_millis().to_string())];
        records::append(&self.shared, Some(attempt), None, "unlock_done", fields);
        if cause != LockCause::PulseEnd.name() {
            log::warn!(attempt:% = attempt, cause = cause; "the pulse ended early");
        }
    }

    pub(super) fn finish(&mut self, attempt: AttemptId, outcome: &Outcome) {
        let is = |story: &Option<Story>| story.as_ref().is_some_and(|story| story.attempt() == attempt);
        let story = if is(&self.current) {
            self.current.take()
        } else {
            self.incoming.take_if(|s| s.attempt() == attempt)
        };
        let Some(mut story) = story else { return };
        // The camera need not look any more.
        story.cancelled.store(true, Ordering::Release);
        let product = story.order.claim.product;
        if *outcome == Outcome::Granted {
            story.progress("granted", "door open", json!({}));
        }
        story.end(outcome);
        if story.intent_open {
            self.close_intent(attempt, outcome);
        }
        let kind = if *outcome == Outcome::Granted { "granted" } else { "attempt_ended" };
        let mut note = Note::new(attempt, kind).with("outcome", outcome.word());
        if let Outcome::CaptureFailed(reason) | Outcome::LockFailed(reason) = outcome {
            note = note.with("reason", reason.clone());
        }
        let mut notes = std::mem::take(&mut story.notes);
        notes.push(note);
        records::append_notes(&self.shared, story.subject, story.job, notes);
        log::info!(
            attempt:% = attempt, door = self.shared.config.door.name.as_str(), outcome = outcome.word(),
            product = product.name();
            "attempt ended"
        );
        let door_opened = product == Product::Authentication && *outcome == Outcome::Granted;
        if door_opened {
            log::info!(attempt:% = attempt, times:% = story.times.to_json(); "door opened");
        }
    }
}
