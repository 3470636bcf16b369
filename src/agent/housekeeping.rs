//! The housekeeper's thread: hears the network come back, erases what has had its time, and writes the head of
//! the audit to the journal, so that a cut tail can be noticed.

use super::network::NetworkChanges;
use super::operations;
use super::records;
use super::shared::Shared;
use crate::audit;
use crate::clock::Wall;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often it looks for what has had its time.
const ROUND: Duration = Duration::from_secs(60);
/// How often it looks whether somebody has set the clock, while that is not known: held jobs wait for it.
const CLOCK_ROUND: Duration = Duration::from_secs(5);
/// How often a head that moved is written to the journal.
const HEAD: Duration = Duration::from_secs(3600);
/// Longest piece of work.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs until the process ends.
pub fn run(shared: &Shared) {
    let mark = shared.watchdog.register("housekeeping", LIMIT);
    let network = NetworkChanges::subscribe()
        .inspect_err(|error| {
            log::warn!("network changes are not seen, the queue waits for its timer: {error}")
        })
        .ok();
    let (_never, timer) = crossbeam_channel::bounded::<()>(0);
    let begun = shared.clock.boot();
    let (mut next_round, mut next_head) = (begun.plus(ROUND), begun.plus(HEAD));
    let mut head = None;
    let mut settled_at = 0;
    loop {
        let left = next_round.since(shared.clock.boot());
        let clock_known = shared.clock.wall() != Wall::Unknown;
        let left = if clock_known { left } else { left.min(CLOCK_ROUND) };
        let changed = match &network {
            Some(network) => network.wait(left),
            None => {
                let _ = timer.recv_timeout(left);
                false
            }
        };
        let now = shared.clock.boot();
        mark.busy(now);
        if changed {
            log::debug!("the network changed; the queue is looked at");
            records::hurry(shared);
        }
        if !clock_known && records::release_clock_held(shared) {
            shared.wake();
        }
        // By the time and not by the silence: a network that flaps must not keep pictures from being erased.
        if now >= next_round {
            next_round = now.plus(ROUND);
            settled_at = round(shared, settled_at);
        }
        if now >= next_head {
            next_head = now.plus(HEAD);
            head = write_head(shared, head);
        }
        mark.resting();
    }
}

/// One round; gives the number of commits up to which the log was emptied.
pub fn round(shared: &Shared, settled_at: u64) -> u64 {
    records::sweep(shared);
    // Nobody at the door waits for it.
    if !shared.attempt_active.load(Ordering::Acquire) {
        records::prune_events(shared);
    }
    if records::release_clock_held(shared) {
        shared.wake();
    }
    // Erased pictures leave the disk with the log that still holds them. An idle hour commits and writes nothing.
    let commits = shared.store.commits();
    if commits != settled_at && matches!(shared.store.settle(), Ok(true)) { commits } else { settled_at }
}

/// Writes the chain's head to the journal if it moved; gives the head that is written there now.
pub fn write_head(shared: &Shared, before: Option<[u8; 32]>) -> Option<[u8; 32]> {
    let now = shared.store.read(audit::head).ok().flatten()?;
    let (seq, link) = now;
    if before != Some(link) {
        log::info!(seq = seq, head = operations::hex(&link).as_str(); "head of the audit");
    }
    Some(link)
}
