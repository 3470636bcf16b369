//! What the measurements of the queue share: a directory on the disk that is measured, a database in it, jobs.

use crate::access::{JobId, PictureKind, Product, Task, UserId};
use crate::cli::Failure;
use crate::clock::{BootTime, Clock, Random, SystemClock, SystemRandom};
use crate::queue::{self, Api, Born, NewJob, PART, QueueError};
use crate::store::{DeviceKey, Mode, QueueKey, Settings, Store, StoreError, Transaction, seal};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A full-size capture: a selfie of 60 kB and eight liveness pictures of 20 kB.
pub const SIZES: [usize; 9] = [60_000, 20_000, 20_000, 20_000, 20_000, 20_000, 20_000, 20_000, 20_000];
/// Bytes of names, contact and consent of one person, about.
pub const DETAILS: usize = 220;
/// `statfs` of a directory in memory.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

/// What went wrong, as the command says it.
pub fn failed(error: impl Display) -> Failure {
    Failure::failed(error.to_string(), "name a --directory with room on the disk that is to be measured")
}

/// A directory that is made for one measurement and goes with it.
pub struct Desk {
    /// Where.
    pub directory: PathBuf,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Desk {
    /// Makes one in `parent`, else among the system's temporary files.
    pub fn new(parent: Option<PathBuf>) -> Result<Self, Failure> {
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        let mut random = [0; 4];
        SystemRandom.fill(&mut random);
        let directory = parent.join(format!("latchd-bench-{:08x}", u32::from_le_bytes(random)));
        let at = |error: &dyn Display| failed(format!("{}: {error}", directory.display()));
        std::fs::create_dir(&directory).map_err(|error| at(&error))?;
        let desk = Self { directory: directory.clone() };
        let kind = rustix::fs::statfs(&directory).map_err(|error| at(&error))?.f_type;
        if [TMPFS, RAMFS].map(|kind| kind as u64).contains(&(kind as u64)) {
            return Err(at(&"lies in memory: durable commits cost nothing there"));
        }
        Ok(desk)
    }

    /// Opens latchd's own database of this name in it.
    pub fn open(&self, name: &str) -> Result<Store, Failure> {
        open(&self.directory.join(name))
    }
}

/// Opens latchd's own database.
pub fn open(path: &Path) -> Result<Store, Failure> {
    let settings = Settings {
        path: path.to_owned(),
        vfs: None,
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        mode: Mode::ReadWrite,
        max_bytes: u64::MAX,
    };
    Ok(Store::open(settings).map_err(failed)?.0)
}

/// What makes jobs.
pub struct Maker {
    key: QueueKey,
    user: UserId,
    details: Vec<u8>,
    pictures: Vec<Vec<u8>>,
}

impl Maker {
    /// With pictures of these sizes, all of random bytes, the first being the selfie.
    pub fn new(sizes: &[usize]) -> Result<Self, Failure> {
        let key = DeviceKey::from_bytes(&bytes(32)).ok_or_else(|| failed("no key"))?;
        Ok(Self {
            key: key.queue(),
            user: UserId::parse("bench").map_err(failed)?,
            details: bytes(DETAILS),
            pictures: sizes.iter().map(|size| bytes(*size)).collect(),
        })
    }

    /// Bytes of one job's pictures and details.
    pub fn payload(&self) -> usize {
        self.details.len() + self.pictures.iter().map(Vec::len).sum::<usize>()
    }

    /// Seals all of it once without a database; gives the bytes that came of it.
    pub fn seal(&self) -> Result<usize, StoreError> {
        let parts = self.pictures.iter().flat_map(|picture| picture.chunks(PART));
        let all = parts.chain(std::iter::once(self.details.as_slice()));
        let sealed = all.map(|part| Ok(seal::seal(self.key.secret(), b"bench", part, &SystemRandom)?.len()));
        sealed.sum()
    }

    /// Makes one job durable with its caller's commit.
    pub fn enqueue(&self, tx: &Transaction<'_>, born: Born) -> Result<JobId, QueueError> {
        let mut id = [0; 16];
        tx.random(&mut id);
        // In the order of their making, as the daemon's are.
        let id = JobId(crate::access::sortable_id(tx.now().boot.as_millis(), id));
        let kinds = std::iter::once(PictureKind::Selfie).chain(std::iter::repeat(PictureKind::Liveness));
        let pictures: Vec<_> = kinds.zip(self.pictures.iter().map(Vec::as_slice)).collect();
        let job = NewJob {
            id,
            attempt: None,
            user_id: &self.user,
            task: Task::Door(Product::Authentication),
            api: Api::V3,
            allow_new_enroll: false,
            details: &self.details,
            pictures: &pictures,
            born,
        };
        queue::enqueue(tx, &self.key, &job).map(|()| id)
    }
}

/// Random bytes: no disk and no file system makes them smaller.
pub fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    SystemRandom.fill(&mut bytes);
    bytes
}

/// What `work` took, in microseconds, with what it gave.
pub fn timed<T>(clock: &dyn Clock, work: impl FnOnce() -> T) -> (u64, T) {
    let begun = clock.boot();
    let value = work();
    (micros(begun, clock.boot()), value)
}

fn micros(from: BootTime, to: BootTime) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

/// The value below which `share` of 1000 lie.
pub fn quantile(values: &[u64], share: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) * share / 1000).copied().unwrap_or(0)
}

/// Median, 99 of 100, and the largest.
pub fn summary(values: &[u64]) -> Value {
    json!({
        "count": values.len(), "p50_us": quantile(values, 500), "p99_us": quantile(values, 990),
        "max_us": quantile(values, 1000),
    })
}
