//! The camera's thread: one burst an order, the device open only meanwhile.

use super::message::Message;
use super::shared::Shared;
use crate::access::AttemptId;
use crate::{camera, capture};
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
        let attempt = order.attempt;
        let mut progress = |step: capture::Progress| {
            // Progress is for a person's eyes: what finds the channel full is not worth waiting for.
            let _ = director.try_send(Message::Burst(attempt, step));
        };
        let cancelled = || order.cancelled.load(Ordering::Acquire);
        let (config, clock) = (&shared.config.capture, shared.clock.as_ref());
        let result = camera::open(&shared.config.camera, Arc::clone(&shared.clock))
            .map_err(capture::CaptureError::from)
            .and_then(|mut source| {
                let pictures = capture::capture(source.as_mut(), config, clock, &mut progress, &cancelled)?;
                Ok((pictures, source))
            });
        let (result, source) =
            result.map_or_else(|error| (Err(error), None), |(set, source)| (Ok(set), Some(source)));
        if director.send(Message::Captured(attempt, Box::new(result))).is_err() {
            return;
        }
        if let Some(mut source) = source {
            let mut seen = |at| {
                let _ = director.try_send(Message::Seen(attempt, at));
            };
            capture::stay(source.as_mut(), config, clock, &mut seen, &cancelled);
        }
        mark.resting();
    }
}
