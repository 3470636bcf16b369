//! Fills a queue for measuring: the real rows and seals, in large commits.

use super::error::AgentError;
use super::shared::{database_path, device_key, open_store};
use crate::access::{JobId, Product, UserId, sortable_id};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::Config;
use crate::config::model::Api;
use crate::queue::{self, Born, NewJob};
use crate::store::Mode;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of each picture.
const PICTURE: usize = 1024;

/// Makes `jobs` jobs in commits of `bulk` and says how long it took. They are held back for an hour, so that a
/// daemon that starts finds them waiting.
///
/// # Errors
/// There is a database already, or it cannot be written.
pub fn fill(config: &Config, jobs: u32, bulk: u32) -> Result<Duration, AgentError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let (store, _) = open_store(config, Mode::ReadWrite, &clock, &random)?;
    if store.read(queue::totals)?.unfinished > 0 {
        let path = database_path(config).display().to_string();
        return Err(AgentError::Request { what: "queue", why: format!("{path} has jobs already") });
    }
    let key = device_key(config, random.as_ref())?.queue();
    let user = UserId::parse("bench")
        .map_err(|error| AgentError::Request { what: "user id", why: error.to_string() })?;
    let picture = vec![0x5a; PICTURE];
    let liveness = [picture.as_slice(); 8];
    let api = match config.smile.api {
        Api::V1 => queue::Api::V1,
        Api::V3 => queue::Api::V3,
    };
    let begun = clock.boot();
    let mut left = jobs;
    while left > 0 {
        let count = left.min(bulk);
        store.write(|tx| {
            for _ in 0..count {
                let mut bytes = [0; 16];
                tx.random(&mut bytes);
                let id = JobId(sortable_id(clock.boot().as_millis(), bytes));
                queue::enqueue(
                    tx,
                    &key,
                    &NewJob {
                        id,
                        attempt: None,
                        user_id: &user,
                        product: Product::Authentication,
                        api,
                        allow_new_enroll: false,
                        details: b"{}",
                        selfie: &picture,
                        liveness: &liveness,
                        born: Born::New,
                    },
                )?;
                queue::postpone(tx, id, Duration::from_secs(3600))?;
            }
            Ok::<_, queue::QueueError>(())
        })?;
        left -= count;
    }
    store.settle()?;
    Ok(clock.boot().since(begun))
}
