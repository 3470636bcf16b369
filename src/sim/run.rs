//! One history from its seed, and many of them on all processors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::disk::Stop;
use super::planted::{self, Bug};
use super::vfs::Mounted;
use super::world::{Happening, MILLI, SECOND, World};
use crate::audit;
use crate::store::DeviceKey;

/// What came of a history.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub seed: u64,
    pub hash: u64,
    pub violation: Option<String>,
    pub steps: u64,
    pub claims: usize,
    pub jobs: usize,
    pub edges: u64,
    pub boots: u64,
    pub syncs: u64,
    /// Events that had their time.
    pub gone: u64,
    pub lines: Vec<String>,
}

/// After this long without faults nothing moves any more: a job that the service does not decide is held after a day.
const CALM: u64 = 30 * 3600 * SECOND;
/// And after so many steps.
const CALM_STEPS: u64 = 1_000_000;

/// Plays the history of a seed.
pub fn history(seed: u64) -> History {
    let mut world = World::new(seed);
    // The list of people is there before anything goes wrong.
    let begin = world.now();
    world.run_until(begin + SECOND);
    world.after(100 * MILLI, Happening::Person);
    world.after(SECOND, Happening::Fault);
    world.after(5 * SECOND, Happening::Operator);
    let busy = world.chance.micros(60 * SECOND, 600 * SECOND);
    let end = world.now() + busy;
    world.run_until(end);
    world.calm();
    drain(&mut world);
    // A last start finds what an interruption left.
    world.kill_agent(Stop::Kill);
    let end = world.now() + 10 * SECOND;
    world.run_until(end);
    drain(&mut world);
    judge(&mut world);
    let (claims, jobs) = world.oracle.counts();
    let syncs = world.mounted.disk().syncs;
    world.kill_agent(Stop::Kill);
    History {
        seed,
        hash: world.oracle.hash(),
        violation: world.oracle.violation().map(str::to_owned),
        steps: world.steps,
        claims,
        jobs,
        edges: world.oracle.edges,
        boots: world.boots,
        syncs,
        gone: world.oracle.events.gone,
        lines: world.oracle.lines().to_vec(),
    }
}

/// Lets time pass until nothing moves any more.
fn drain(world: &mut World) {
    let (begin, steps) = (world.now(), world.steps);
    while !world.oracle.is_violated() && !is_drained(world) {
        let next = world.now() + 30 * SECOND;
        if next > begin + CALM || world.steps > steps + CALM_STEPS {
            break;
        }
        world.run_until(next);
    }
}

/// Nothing waits that time alone would move.
fn is_drained(world: &World) -> bool {
    if world.awaits_callbacks() {
        return false;
    }
    let Some(agent) = &world.agent else { return false };
    let moving: Result<Option<i64>, crate::store::StoreError> = agent.shared.store.read(|tx| {
        tx.one("SELECT count(*) FROM jobs WHERE state IN ('new', 'sending', 'accepted')", [], |row| {
            row.get(0)
        })
    });
    matches!(moving, Ok(Some(0)))
        && agent.director.is_at_rest()
        && agent.shared.unsettled.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

fn judge(world: &mut World) {
    if world.oracle.is_violated() {
        return;
    }
    let Some(agent) = &world.agent else {
        return world.oracle.violated("liveness: the agent does not start when all is calm");
    };
    let Some(key) = DeviceKey::from_bytes(&super::process::DEVICE_KEY) else { return };
    let verified = agent.shared.store.read(|tx| audit::verify(tx, &key.audit(), None));
    if !matches!(&verified, Ok(found) if found.broken_at.is_none()) {
        let text = format!("the audit's chain is broken: {verified:?}");
        world.oracle.violated(&text);
    }
    world.note_events();
    let jobs = world.network().service.jobs();
    let config = world.config.clone();
    let copy = Mounted::new(world.mounted.disk().as_seen());
    world.oracle.judge_end(&copy, &jobs, &config);
}

/// Plays seeds from `first` on, on all processors, until one is violated when `until_found`; calls `each` with every one.
pub fn histories(
    first: u64,
    count: u64,
    bug: Option<Bug>,
    until_found: bool,
    each: &(dyn Fn(&History) + Sync),
) -> Vec<History> {
    let next = AtomicU64::new(first);
    let found = Mutex::new(Vec::<History>::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                planted::plant(bug);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over =
                        until_found && !found.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
                    if seed >= first + count || over {
                        return;
                    }
                    let history = history(seed);
                    each(&history);
                    if history.violation.is_some() {
                        found.lock().unwrap_or_else(PoisonError::into_inner).push(history);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|history| history.seed);
    found
}
