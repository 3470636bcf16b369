//! The director drives the attempt machine: it turns what the threads tell into events, obeys the commands in
//! order and decides nothing. It owns the only handle that can send a grant.

mod ends;

use super::Ended;
use super::camera::BurstOrder;
use super::lock::LockView;
use super::message::{ClaimOrder, Message, Submitted};
use super::records;
use super::shared::Shared;
use super::story::Story;
use super::submitter::SubmitOrder;
use super::watchdog::Mark;
use crate::access::{
    AttemptId, Command, Decision, Event, JobId, Machine, Note, Readiness, Report, SubmitFailure,
};
use crate::capture::{CameraCapture, CaptureError, Progress};
use crate::clock::BootTime;
use crate::control::Reply;
use crate::guard::link::Requests;
use crate::guard::{LinkReport, Report as GuardReport, Request};
use crossbeam_channel::{Receiver, RecvError, Sender, after, never, select};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the director may take over one message before it counts as stuck.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The director's hands.
pub struct Hands {
    /// The link to the guard.
    pub link: Box<dyn Requests>,
    /// The camera's thread.
    pub camera: Sender<BurstOrder>,
    /// The submitter's thread.
    pub submitter: Sender<SubmitOrder>,
}

/// Owns the attempt machine.
pub struct Director {
    shared: Arc<Shared>,
    machine: Machine,
    hands: Hands,
    mark: Arc<Mark>,
    /// What `latchd status` shows of the lock.
    lock: Arc<Mutex<LockView>>,
    current: Option<Story>,
    /// A claim that is just being judged.
    incoming: Option<Story>,
    /// The attempt whose pulse is under way: its intent is open until the line is locked again (door-rules 9).
    pulsing: Option<(AttemptId, BootTime)>,
    /// A changed configuration waits for the end of what is under way.
    reload: bool,
}

/// What the director hears. The guard has a channel of its own: a flood of claims must not hold its reports back.
pub struct Ears {
    /// From the link to the guard.
    pub guard: Receiver<LinkReport>,
    /// From everybody else.
    pub messages: Receiver<Message>,
}

/// How long a clean stop waits for the guard's word that the line is locked.
const LAST_WORD: Duration = Duration::from_millis(300);

impl Director {
    /// A director at rest.
    pub fn new(shared: Arc<Shared>, machine: Machine, hands: Hands, lock: Arc<Mutex<LockView>>) -> Self {
        let mark = shared.watchdog.register("director", LIMIT);
        Self {
            shared,
            machine,
            hands,
            mark,
            lock,
            current: None,
            incoming: None,
            pulsing: None,
            reload: false,
        }
    }

    /// Runs until [`Message::Stop`], or with [`Message::Reload`] until nobody is at the door.
    pub fn run(&mut self, ears: &Ears) -> Ended {
        loop {
            let due = self.deadline();
            let now = self.now();
            // Nothing ever comes from `never`: without a deadline only the channels wake this thread.
            let timer = due.map_or_else(never, |due| after(due.since(now)));
            let heard = select! {
                recv(ears.guard) -> report => report.map(Message::Guard),
                recv(ears.messages) -> message => message,
                recv(timer) -> _ => Ok(Message::Tick),
            };
            match heard {
                Ok(Message::Stop) | Err(RecvError) => break,
                Ok(message) => self.turn(message),
            }
            if self.reload && self.is_at_rest() {
                return Ended::Reload;
            }
        }
        self.mark.busy(self.now());
        self.stop(ears);
        Ended::Stopped
    }

    /// Takes one message, and then whatever is due by the time.
    pub fn turn(&mut self, message: Message) {
        self.mark.busy(self.now());
        self.hear(message);
        if self.deadline().is_some_and(|due| self.now() >= due) {
            self.feed(Event::Tick);
        }
        self.mark.resting();
    }

    /// When [`Message::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<BootTime> {
        self.machine.deadline()
    }

    /// Nobody is at the door, and no pulse is under way.
    pub fn is_at_rest(&self) -> bool {
        self.machine.attempt().is_none() && self.pulsing.is_none()
    }

    /// Whatever is under way ends without an open door, and its intent is not left open.
    fn stop(&mut self, ears: &Ears) {
        if let Some(attempt) = self.machine.attempt() {
            self.feed(Event::Cancelled { attempt });
        }
        let _ = self.hands.link.send(Request::Lock);
        let end = self.now().plus(LAST_WORD);
        while self.pulsing.is_some() {
            let left = end.since(self.now());
            match ears.guard.recv_timeout(left) {
                Ok(report) => self.hear(Message::Guard(report)),
                Err(_) => break,
            }
        }
        self.mark.resting();
    }

    fn now(&self) -> BootTime {
        self.shared.clock.boot()
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Claim(order) => self.claim(*order),
            Message::Abandon(attempt) => self.feed(Event::Cancelled { attempt }),
            Message::Burst(attempt, step) => self.burst(attempt, step),
            Message::Captured(attempt, result) => self.captured(attempt, *result),
            Message::Seen(attempt, at) => self.feed(Event::Seen { attempt, at }),
            Message::Guard(report) => self.guard(report),
            Message::Submitted(attempt, job, result) => self.submitted(attempt, job, result),
            Message::Reload => self.reload = true,
            Message::Tick | Message::Stop => {}
        }
    }

    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let commands = self.machine.handle(self.now(), event);
            for command in commands {
                self.obey(command, &mut events);
            }
        }
        self.shared.set_attempt_active(self.machine.attempt().is_some());
    }

    fn story(&mut self, attempt: AttemptId) -> Option<&mut Story> {
        [self.current.as_mut(), self.incoming.as_mut()]
            .into_iter()
            .flatten()
            .find(|story| story.attempt() == attempt)
    }

    // ------------------------------------------------------------------ what is heard

    fn claim(&mut self, order: ClaimOrder) {
        let claim = order.claim.clone();
        let subject = self.shared.pseudonym(&claim.user);
        let standing = match records::standing(&self.shared, &claim) {
            Ok(standing) => standing,
            Err(error) => {
                let _ = order.replies.try_send(Reply::Failed {
                    exit: 1,
                    cause: error.to_string(),
                    remedy: error.remedy(),
                });
                return;
            }
        };
        let queue = records::queue_has_room(&self.shared);
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner).is_ready();
        self.incoming = Some(Story::new(order, subject, self.shared.store.commits()));
        self.feed(Event::Claimed { claim, standing, readiness: Readiness { guard, queue } });
        self.incoming = None;
    }

    fn burst(&mut self, attempt: AttemptId, step: Progress) {
        let language = self.shared.config.capture.language;
        let Some(story) = self.story(attempt) else { return };
        match step {
            Progress::Hint(hint) => {
                story.progress("hint", hint.text(language), json!({"hint": hint.name()}));
            }
            Progress::Liveness { taken, of } => {
                story.pictures_taken = taken;
                story.progress(
                    "picture",
                    &format!("picture {taken} of {of}"),
                    json!({"taken": taken, "of": of}),
                );
            }
            Progress::Selfie => story.progress("selfie", "selfie taken", json!({})),
        }
    }

    /// Only a capture by this device's own camera can become the event that arms the guard (door-rules 4):
    /// pictures from files are of another type and do not get here.
    fn captured(&mut self, attempt: AttemptId, result: Result<CameraCapture, CaptureError>) {
        let now = self.now();
        let event = match result {
            Ok(capture) => {
                let last_picture = capture.set().taken;
                if let Some(story) = self.story(attempt) {
                    story.times.captured = Some(last_picture);
                    story.times.encoded = Some(now);
                    story.pictures = Some(capture);
                }
                Event::Captured { attempt, last_picture }
            }
            Err(error) => {
                log::warn!(attempt:% = attempt, reason = error.reason(); "no usable pictures: {error}");
                Event::CaptureFailed { attempt, reason: error.reason().to_owned() }
            }
        };
        self.feed(event);
    }

    fn guard(&mut self, report: LinkReport) {
        let change = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take(&report, self.now());
        if let Some((kind, fields)) = change {
            records::append(&self.shared, None, None, kind, fields);
        }
        match report {
            LinkReport::Down { .. } => {
                self.pulse_ended("lock_lost", self.now());
                self.feed(Event::LockLost);
            }
            LinkReport::Report(report) => self.guard_report(report),
            _ => {}
        }
    }

    fn guard_report(&mut self, report: GuardReport) {
        match report {
            GuardReport::Armed { attempt, .. } => self.feed(Event::Armed { attempt }),
            GuardReport::Unlocked { attempt, at } => {
                let commits = self.shared.store.commits();
                if let Some(story) = self.story(attempt) {
                    story.times.edge = Some(at);
                    story.commits_to_edge = Some(commits - story.commits_before);
                    story.intent_open = false;
                }
                self.pulsing = Some((attempt, at));
                self.feed(Event::Unlocked { attempt });
            }
            GuardReport::Locked { at, cause, .. } => {
                self.pulse_ended(cause.name(), at);
                self.feed(Event::Locked);
            }
            GuardReport::LineLost { .. } => {
                self.pulse_ended("line_lost", self.now());
                self.feed(Event::LockLost);
            }
            GuardReport::Refused { attempt, reason } => {
                self.feed(Event::LockRefused { attempt, reason: reason.name() });
            }
            _ => {}
        }
    }

    fn submitted(&mut self, attempt: AttemptId, job: JobId, result: Submitted) {
        let event = match result {
            Submitted::Accepted { remote_job, at } => {
                if let Some(story) = self.story(attempt) {
                    story.times.accepted = Some(at);
                    story.progress("accepted", "the service judges", json!({}));
                }
                Event::Accepted { attempt, remote_job }
            }
            Submitted::Failed(failure) => {
                log::warn!(attempt:% = attempt, job:% = job, failure = failure.kind.name(); "submission failed: {failure}");
                let kind = records::submit_failure(&failure);
                match self.story(attempt) {
                    Some(story) => story.failure = Some(failure),
                    // The attempt is over: the job alone is left.
                    None => {
                        records::settle(&self.shared, job, &failure, vec![]);
                        return;
                    }
                }
                Event::SubmitFailed { attempt, job, failure: kind }
            }
            Submitted::NotRecorded => Event::StoreFailed { attempt },
            Submitted::Verdict { report, at } => {
                if let Some(story) = self.story(attempt) {
                    story.times.verdict = Some(at);
                    story.verdict = Some(report.verdict.name().to_owned());
                }
                Event::Verdict { attempt, job, report }
            }
        };
        self.feed(event);
    }

    // ------------------------------------------------------------------ what is obeyed

    fn obey(&mut self, command: Command, events: &mut VecDeque<Event>) {
        match command {
            Command::Note(note) => self.note(note),
            Command::Begin { attempt, .. } => self.begin(attempt, events),
            Command::StopCamera { attempt } => {
                if let Some(story) = self.story(attempt) {
                    story.cancelled.store(true, Ordering::Release);
                }
            }
            Command::Arm { attempt, window } => {
                let window_ms = u32::try_from(window.as_millis()).unwrap_or(0);
                if self.hands.link.send(Request::Arm { attempt, window_ms }).is_err() {
                    events.push_back(Event::LockRefused { attempt, reason: "lock_lost" });
                }
            }
            Command::Disarm { attempt } => {
                // A lost link has no arm any more.
                let _ = self.hands.link.send(Request::Disarm { attempt });
            }
            Command::Store { attempt } => self.store(attempt, events),
            Command::Submit { attempt, job, until } => self.submit(attempt, job, until, events),
            Command::Settle { attempt, job } => self.settle(attempt, job),
            Command::RecordVerdict { attempt, job, report, decision, intent } => {
                self.record_verdict(attempt, job, &report, decision, intent, events);
            }
            Command::Grant { attempt, pulse } => {
                let pulse_ms = u32::try_from(pulse.as_millis()).unwrap_or(0);
                match self.hands.link.send(Request::Grant { attempt, pulse_ms }) {
                    Ok(sent) => {
                        if let Some(story) = self.story(attempt) {
                            story.times.granted = Some(sent);
                        }
                    }
                    Err(_) => events.push_back(Event::LockRefused { attempt, reason: "lock_lost" }),
                }
            }
            Command::Lock => {
                // A lost link is locked by the guard's hang-up and by the relock.
                let _ = self.hands.link.send(Request::Lock);
            }
            Command::Finish { attempt, outcome } => self.finish(attempt, &outcome),
        }
    }

    fn note(&mut self, note: Note) {
        match self.story(note.attempt) {
            Some(story) => story.notes.push(note),
            None => records::append_notes(&self.shared, None, None, vec![note]),
        }
    }

    fn begin(&mut self, attempt: AttemptId, events: &mut VecDeque<Event>) {
        self.current = self.incoming.take();
        let Some(story) = self.story(attempt) else { return };
        story.progress("capture", "look into the camera", json!({}));
        let cancelled = Arc::clone(&story.cancelled);
        // A submitter that is busy has a warm connection anyway.
        let _ = self.hands.submitter.try_send(SubmitOrder::Warm);
        if self.hands.camera.try_send(BurstOrder { attempt, cancelled }).is_err() {
            events.push_back(Event::CaptureFailed { attempt, reason: "camera_busy".into() });
        }
    }

    fn store(&mut self, attempt: AttemptId, events: &mut VecDeque<Event>) {
        let shared = Arc::clone(&self.shared);
        let Some(story) = self.story(attempt) else { return };
        let job = shared.new_job();
        match records::store_job(&shared, story, job) {
            Ok(()) => {
                story.job = Some(job);
                story.times.stored = Some(shared.clock.boot());
                story.progress("stored", "saved", json!({"job": job.to_string()}));
                if story.order.no_wait {
                    let object = story.summary("stored");
                    story.tell(Reply::Done {
                        exit: 0,
                        object,
                        text: "saved; the verdict will be in `latchd events`".into(),
                    });
                }
                events.push_back(Event::Stored { attempt, job });
            }
            Err(error) => {
                log::error!(attempt:% = attempt; "the job could not be saved: {error}");
                events.push_back(Event::StoreFailed { attempt });
            }
        }
    }

    fn submit(&mut self, attempt: AttemptId, job: JobId, until: BootTime, events: &mut VecDeque<Event>) {
        let order = SubmitOrder::Submit { attempt, job, until };
        if self.hands.submitter.try_send(order).is_err() {
            // Still busy with the attempt before: this one can wait in the queue.
            let failure = SubmitFailure::RefusedForCertain { retry_after: None };
            events.push_back(Event::SubmitFailed { attempt, job, failure });
        }
    }

    fn settle(&mut self, attempt: AttemptId, job: JobId) {
        let shared = Arc::clone(&self.shared);
        let (failure, notes) = match self.story(attempt) {
            Some(story) => (story.failure.clone(), std::mem::take(&mut story.notes)),
            None => (None, vec![]),
        };
        match failure {
            Some(failure) => records::settle(&shared, job, &failure, notes),
            None => records::put_back(&shared, job, notes),
        }
    }

    fn record_verdict(
        &mut self,
        attempt: AttemptId,
        job: JobId,
        report: &Report,
        decision: Option<Decision>,
        intent: bool,
        events: &mut VecDeque<Event>,
    ) {
        let shared = Arc::clone(&self.shared);
        let recorded = match (self.story(attempt), decision) {
            (Some(story), Some(decision)) => records::verdict(&shared, story, job, report, decision, intent),
            // The attempt is over: nothing can follow from it.
            _ => records::drained_verdict(&shared, job, report),
        };
        match (recorded, intent) {
            (Ok(()), true) => {
                if let Some(story) = self.story(attempt) {
                    story.times.intended = Some(shared.clock.boot());
                    story.intent_open = true;
                }
                events.push_back(Event::VerdictStored { attempt });
            }
            (Ok(()), false) => {}
            (Err(error), _) => {
                log::error!(attempt:% = attempt, job:% = job; "the verdict could not be saved: {error}");
                if intent {
                    events.push_back(Event::StoreFailed { attempt });
                }
            }
        }
    }
}
