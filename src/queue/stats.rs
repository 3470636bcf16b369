//! How deep the queue is and how old: counted from the indexes alone, without reading a row but the oldest of each state.

use std::collections::BTreeMap;
use std::time::Duration;

use super::age::Boots;
use super::due::{Pause, next_wake, paused};
use super::limits::held_bytes;
use super::{QueueError, StateName};
use crate::store::{Stamp, Transaction};

/// The jobs in one state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Depth {
    /// How many.
    pub jobs: u64,
    /// How many of each product, by its stable name.
    pub products: BTreeMap<String, u64>,
    /// How long ago the oldest of them was made.
    pub oldest: Duration,
}

/// The queue in numbers. Nothing in it is about a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Jobs that are not at an end.
    pub unfinished: u64,
    /// By the state's stable name; states without jobs are left out.
    pub states: BTreeMap<&'static str, Depth>,
    /// Bytes of pictures and details that are still held: what `[queue] max_mib` limits.
    pub held_bytes: u64,
    /// Bytes of the database that are in use.
    pub file_bytes: u64,
    /// Why it stands still, if it does.
    pub pause: Option<Pause>,
    /// Until the next submission, poll or look-up; `None` when nothing waits.
    pub next_due: Option<Duration>,
}

/// Each over an index that knows all that is asked.
pub(super) const WALKS: [&str; 6] = [
    "SELECT seq, product, 'new' FROM jobs INDEXED BY jobs_new WHERE state = 'new'",
    "SELECT seq, product, 'sending' FROM jobs INDEXED BY jobs_sending WHERE state = 'sending'",
    "SELECT seq, product, 'accepted' FROM jobs INDEXED BY jobs_accepted WHERE state = 'accepted'",
    "SELECT seq, product, 'held' FROM jobs INDEXED BY jobs_held WHERE state = 'held'",
    "SELECT seq, product, 'unknown_outcome' FROM jobs INDEXED BY jobs_unknown WHERE state = 'unknown_outcome'",
    "SELECT seq, product, state FROM jobs INDEXED BY jobs_finished
     WHERE state = 'decided' OR state = 'expired' OR state = 'dropped' OR state = 'dead_letter'",
];

/// How many jobs there are in each state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Jobs that are not at an end.
    pub unfinished: u64,
    /// Jobs by the state's stable name; states without jobs are left out.
    pub by_state: BTreeMap<String, u64>,
}

/// By state: how many of each product, and the job that was made first.
type Counted = BTreeMap<&'static str, (BTreeMap<String, u64>, i64)>;

/// A walk over the indexes of the jobs: some ten milliseconds for 100,000 of them.
fn count(tx: &Transaction<'_>) -> Result<Counted, QueueError> {
    let mut counted = Counted::new();
    for walk in WALKS {
        tx.each(walk, [], |row| {
            let seq = row.get::<_, i64>(0)?;
            let (product, state) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
            let Some(state) = StateName::parse(state) else { return Ok(true) };
            let (products, first) = counted.entry(state.name()).or_insert_with(|| (BTreeMap::new(), seq));
            *first = seq.min(*first);
            match products.get_mut(product) {
                Some(count) => *count += 1,
                None => drop(products.insert(product.to_owned(), 1)),
            }
            Ok(true)
        })?;
    }
    Ok(counted)
}

/// Counts by state.
pub fn totals(tx: &Transaction<'_>) -> Result<Totals, QueueError> {
    let jobs = |(state, (products, _)): (&str, (BTreeMap<String, u64>, i64))| {
        (state.to_owned(), products.values().sum::<u64>())
    };
    let by_state: BTreeMap<String, u64> = count(tx)?.into_iter().map(jobs).collect();
    let unfinished = StateName::UNFINISHED.iter().filter_map(|state| by_state.get(state.name())).sum();
    Ok(Totals { unfinished, by_state })
}

/// Counts by state and product, with ages, room and what comes next.
pub fn stats(tx: &Transaction<'_>) -> Result<Stats, QueueError> {
    let (boots, now) = (Boots::read(tx)?, tx.now());
    let mut states = BTreeMap::new();
    for (state, (products, first)) in count(tx)? {
        let sql = "SELECT created_boot_id, created_boot_us, created_wall_ms FROM jobs WHERE seq = ?1";
        let made = tx.one(sql, [first], |row| Stamp::from_row(row, 0))?;
        let oldest = made.map_or(Duration::ZERO, |made| boots.age(&made, &now));
        states.insert(state, Depth { jobs: products.values().sum(), products, oldest });
    }
    let unfinished = StateName::UNFINISHED.iter().filter_map(|state| states.get(state.name()));
    Ok(Stats {
        unfinished: unfinished.map(|depth: &Depth| depth.jobs).sum(),
        states,
        held_bytes: held_bytes(tx)?,
        file_bytes: tx.used_bytes()?,
        pause: paused(tx)?,
        next_due: next_wake(tx)?.map(|due| due.since(now.boot)),
    })
}
