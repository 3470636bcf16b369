//! Fills a queue for measuring: the real rows and seals, in large commits.

use super::details;
use super::error::AgentError;
use super::shared::{database_path, device_key, open_store};
use crate::access::{JobId, PictureKind, Product, Task, UserId, sortable_id};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::queue::{self, Born, NewJob};
use crate::store::{Mode, QueueKey, Store, matching_key};
use std::sync::Arc;
use std::time::Duration;

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Bulk<'a> {
    /// How many jobs.
    pub jobs: u32,
    /// How many of them share a commit.
    pub in_a_commit: u32,
    /// Not submitted before this long from now.
    pub held_back: Duration,
    /// The selfie and eight liveness pictures.
    pub pictures: [&'a [u8]; 9],
}

/// Makes the jobs, all of a test identity of the service, and says how long it took.
///
/// # Errors
/// There is a database already, or it cannot be written.
pub fn fill(config: &Config, bulk: Bulk<'_>) -> Result<Duration, AgentError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let key = device_key(config, random.as_ref())?;
    let (store, _) = open_store(config, Mode::ReadWrite, &clock, &random)?;
    let key = matching_key(&store, key, &config.device.device_key_file, true)?.queue();
    if store.read(queue::totals)?.unfinished > 0 {
        let path = database_path(config).display().to_string();
        return Err(AgentError::Request {
            what: "queue",
            why: format!("{path} has jobs already"),
            remedy: "name a configuration with another device.state_dir",
        });
    }
    let api = queue::Api::from(config.smile.api);
    let begun = clock.boot();
    enqueue(&store, &key, api, &bulk)?;
    store.settle()?;
    Ok(clock.boot().since(begun))
}

/// So many jobs of small pictures that are not due, as [`enqueue`] takes them.
pub fn small(jobs: u32, in_a_commit: u32) -> Bulk<'static> {
    const PICTURE: &[u8] = &[0x5a; 1024];
    Bulk { jobs, in_a_commit, held_back: Duration::ZERO, pictures: [PICTURE; 9] }
}

/// Makes the jobs in an open database.
///
/// # Errors
/// It cannot be written.
pub fn enqueue(store: &Store, key: &QueueKey, api: queue::Api, bulk: &Bulk<'_>) -> Result<(), AgentError> {
    let user = UserId::parse("bench").map_err(crate::people::PeopleError::NotAUserId)?;
    let clock = SystemClock::new();
    let details = details::test_identity();
    let mut pictures = bulk.pictures.map(|picture| (PictureKind::Liveness, picture));
    pictures[0].0 = PictureKind::Selfie;
    let mut left = bulk.jobs;
    while left > 0 {
        let count = left.min(bulk.in_a_commit.max(1));
        store.write(|tx| {
            for _ in 0..count {
                let mut bytes = [0; 16];
                tx.random(&mut bytes);
                let id = JobId(sortable_id(clock.boot().as_millis(), bytes));
                queue::enqueue(
                    tx,
                    key,
                    &NewJob {
                        id,
                        attempt: None,
                        user_id: &user,
                        task: Task::Door(Product::Authentication),
                        api,
                        allow_new_enroll: false,
                        details: &details,
                        pictures: &pictures,
                        born: Born::New,
                    },
                )?;
                queue::postpone(tx, id, bulk.held_back)?;
            }
            Ok::<_, queue::QueueError>(())
        })?;
        left -= count;
    }
    Ok(())
}
