//! Answers the control sockets: claims go to the director, everything else to the database.

use super::checks::{self, CheckOrder};
use super::error::AgentError;
use super::lock::LockView;
use super::message::{ClaimOrder, Message};
use super::operations::{self, Actor};
use super::shared::Shared;
use crate::access::{Claim, JobId, PictureKind, Product, Task, UserId};
use crate::control::server::{Answer, Handler, Peer};
use crate::control::{Picture, Reply, Request};
use crate::queue;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines that may wait for a claimer; more are lost, the attempt goes on.
const LINES: usize = 64;
/// How often a claimer who hears nothing is checked for being there.
const GLANCE: Duration = Duration::from_millis(500);
/// How often a follower of events is given news.
const FOLLOW: Duration = Duration::from_millis(500);

/// The daemon's side of both sockets.
pub struct Control {
    shared: Arc<Shared>,
    director: Sender<Message>,
    lock: Arc<Mutex<LockView>>,
}

impl Control {
    /// Answers for these.
    pub fn new(shared: Arc<Shared>, director: Sender<Message>, lock: Arc<Mutex<LockView>>) -> Self {
        Self { shared, director, lock }
    }

    fn claim(&self, order: ClaimOrder, replies: &crossbeam_channel::Receiver<Reply>, answer: &mut Answer) {
        let attempt = order.claim.attempt;
        if self.director.send(Message::Claim(Box::new(order))).is_err() {
            return;
        }
        let mut called_off = false;
        loop {
            if !called_off && answer.called_off() {
                called_off = true;
                // The attempt's end is the last reply.
                let _ = self.director.send(Message::Abandon(attempt));
            }
            match replies.recv_timeout(GLANCE) {
                Ok(reply) => {
                    let last = reply.is_last();
                    if answer.send(&reply).is_err() {
                        let _ = self.director.send(Message::Abandon(attempt));
                        return;
                    }
                    if last {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) if answer.abandoned() => {
                    let _ = self.director.send(Message::Abandon(attempt));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // the request's own fields
    fn submit(
        &self,
        peer: Peer,
        product: &str,
        user_id: Option<String>,
        form: &str,
        pictures: Vec<Picture>,
        wait: bool,
        answer: &mut Answer,
    ) {
        let order = check_order(product, user_id, form, pictures);
        let Some(order) = order else {
            let cause = "the check is not understood".to_owned();
            let remedy = "are command and daemon of one version?".to_owned();
            let _ = answer.send(&Reply::Failed { exit: 2, cause, remedy });
            return;
        };
        let actor = reader_of(peer);
        let answer = std::cell::RefCell::new(answer);
        let mut gone = || {
            let answer = answer.borrow();
            answer.called_off() || answer.abandoned()
        };
        let mut each = |reply: Reply| drop(answer.borrow_mut().send(&reply));
        if let Err(error) = checks::in_daemon(&self.shared, order, actor, wait, &mut gone, &mut each) {
            let (exit, cause, remedy) = (error.exit_code(), error.to_string(), error.remedy());
            each(Reply::Failed { exit, cause, remedy });
        }
    }

    fn follow(&self, mut after: i64, answer: &mut Answer) {
        let (_keep, never) = bounded::<()>(0);
        loop {
            let mut gone = false;
            let read = operations::events(&self.shared.store, after, &mut |seq, reply| {
                after = seq;
                gone |= answer.send(&reply).is_err();
            });
            if read.is_err() || gone || answer.abandoned() {
                return;
            }
            let _ = never.recv_timeout(FOLLOW);
        }
    }
}

/// Has the service send a job's callback once more.
fn replay(shared: &Shared, job: &str) -> Result<Reply, AgentError> {
    let id = JobId::parse(job).ok_or_else(|| AgentError::Request {
        what: "job",
        why: "an id is 32 hexadecimal digits".into(),
        remedy: "copy it from `latchd queue list`",
    })?;
    let row = shared.store.read(|tx| queue::info(tx, id))?;
    let remote = row.remote.ok_or(AgentError::NotAtTheService)?;
    shared.client.replay(&remote).map_err(AgentError::Service)?;
    let text = "the service sends the callback again".to_owned();
    Ok(Reply::Done { exit: 0, object: json!({ "job": job }), text })
}

fn check_order(
    product: &str,
    user_id: Option<String>,
    form: &str,
    pictures: Vec<Picture>,
) -> Option<CheckOrder> {
    let Task::Check(check) = Task::parse(product)? else { return None };
    let pictures = pictures
        .into_iter()
        .map(|picture| Some((PictureKind::parse(&picture.kind)?, picture.bytes)))
        .collect::<Option<_>>()?;
    Some(CheckOrder { check, user_id, form: serde_json::from_str(form).ok()?, pictures })
}

/// Who claims over the socket is known by the kernel's word for its user: five denials of a badge reader that runs as one
/// user do not lock out an operator who runs as another (door-rules 13).
fn reader_of(peer: Peer) -> String {
    format!("socket:{}", peer.uid)
}

impl Handler for Control {
    fn handle(&self, peer: Peer, request: Request, answer: &mut Answer) {
        match request {
            Request::Claim { product, user_id, wait, allow_new_enroll } => {
                let (Some(product), Ok(user)) = (Product::parse(&product), UserId::parse(&user_id)) else {
                    let cause = "the product or the user id is not understood".to_owned();
                    let remedy = crate::access::words::NotAUserId.to_string();
                    let _ = answer.send(&Reply::Failed { exit: 2, cause, remedy });
                    return;
                };
                let (told, replies) = bounded(LINES);
                let reader = reader_of(peer);
                let claim = Claim { attempt: self.shared.new_attempt(), user, product, reader };
                let received = self.shared.clock.boot();
                let order = ClaimOrder { claim, allow_new_enroll, no_wait: !wait, received, replies: told };
                self.claim(order, &replies, answer);
            }
            Request::Submit { product, user_id, form, pictures, wait } => {
                self.submit(peer, &product, user_id, &form, pictures, wait, answer);
            }
            Request::QueueReplay { job } => {
                let reply = replay(&self.shared, &job).unwrap_or_else(|error| Reply::Failed {
                    exit: error.exit_code(),
                    cause: error.to_string(),
                    remedy: error.remedy(),
                });
                let _ = answer.send(&reply);
            }
            Request::Events { after, follow: true } => self.follow(after, answer),
            Request::Status => {
                let lock = self
                    .lock
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .to_json(self.shared.clock.boot());
                let _ = answer.send(&operations::status(&self.shared, lock));
            }
            other => {
                let actor = Actor { uid: peer.uid };
                // Questions have a connection of their own: a long walk of the audit must not hold the door up.
                let own = other.only_reads().then(|| self.shared.reader().ok()).flatten();
                let mut backend = operations::Backend::of(&self.shared);
                if let Some(own) = &own {
                    backend.store = own;
                }
                let changes = !other.only_reads();
                let mut send = |reply: Reply| drop(answer.send(&reply));
                if let Err(error) = operations::perform(&backend, actor, other, &mut send) {
                    send(Reply::Failed {
                        exit: error.exit_code(),
                        cause: error.to_string(),
                        remedy: error.remedy(),
                    });
                }
                if changes {
                    self.shared.wake();
                }
            }
        }
    }
}
