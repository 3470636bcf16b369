//! The camera's thread: one burst an order, the device open only meanwhile.

use super::message::Message;
use super::shared::Shared;
use super::watchdog::Mark;
use crate::access::AttemptId;
use crate::camera;
use crate::capture::Lens;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest burst the watchdog allows: the largest give-up time of the configuration and some.
pub const LIMIT: Duration = Duration::from_secs(150);

/// One burst.
pub struct BurstOrder {
    /// For which attempt.
    pub attempt: AttemptId,
    /// Set when the pictures are no longer wanted.
    pub cancelled: Arc<AtomicBool>,
}

/// Runs until the orders end. After the last picture the camera stays open until the attempt is over: whoever leaves before the
/// verdict does not enter (door-rules 12). One frame at a time is in memory; `director` bounds what waits.
pub fn run(shared: &Shared, orders: &Receiver<BurstOrder>, director: &Sender<Message>) {
    let mark = shared.watchdog.register("camera", LIMIT);
    for order in orders {
        mark.busy(shared.clock.boot());
        if !serve(shared, &order, director, &mark) {
            return;
        }
        mark.resting();
    }
}

/// One order. Whether the director still listens.
fn serve(shared: &Shared, order: &BurstOrder, director: &Sender<Message>, mark: &Mark) -> bool {
    let attempt = order.attempt;
    let (config, clock) = (&shared.config.capture, shared.clock.as_ref());
    let cancelled = || order.cancelled.load(Ordering::Acquire) || shared.is_stopping();
    let captured = |result| director.send(Message::Captured(attempt, Box::new(result))).is_ok();
    let mut source = match camera::open(&shared.config.camera, Arc::clone(&shared.clock)) {
        Ok(source) => source,
        Err(error) => return captured(Err(error.into())),
    };
    let mut lens = match Lens::new(source.as_mut(), config, clock) {
        Ok(lens) => lens,
        Err(error) => return captured(Err(error)),
    };
    let mut progress = |step| {
        // Progress is for a person's eyes: what finds the channel full is not worth waiting for.
        let _ = director.try_send(Message::Burst(attempt, step));
    };
    let result = lens.burst(&mut progress, &cancelled, &mut |_, _| {});
    let complete = result.is_ok();
    if !captured(result) {
        return false;
    }
    if complete {
        // The burst had its time; this has its own.
        mark.busy(clock.boot());
        let mut seen = |at| {
            let _ = director.try_send(Message::Seen(attempt, at));
        };
        lens.stay(&mut seen, &cancelled);
    }
    true
}
