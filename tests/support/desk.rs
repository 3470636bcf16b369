//! A store on a temporary disk, with a clock that moves when told.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use latchd::access::{AttemptId, JobId, PictureKind, Product, Task, UserId, Verdict};
use latchd::clock::{BootTime, ManualClock, SystemRandom, Wall, WallTime};
use latchd::queue::{self, Api, Born, Decided, Move, NewJob, QueueError};
use latchd::store::{DeviceKey, Mode, QueueKey, Settings, Store, StoreError};

pub const HOUR: Duration = Duration::from_secs(3600);
pub const DETAILS: &[u8] = br#"{"given_names":"Ada"}"#;

pub struct Desk {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub key: QueueKey,
    pub _dir: tempfile::TempDir,
}

pub fn key() -> QueueKey {
    DeviceKey::from_bytes(&[9; 32]).unwrap().queue()
}

pub fn settings(path: &Path, clock: Arc<ManualClock>) -> Settings {
    let random = Arc::new(SystemRandom);
    Settings { path: path.into(), vfs: None, clock, random, mode: Mode::ReadWrite, max_bytes: 256 << 20 }
}

pub fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let wall = Wall::Known(WallTime::from_rfc3339("2026-06-01T12:00:00Z").unwrap());
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(60_000), wall));
    let (store, _) = Store::open(settings(&dir.path().join("latchd.db"), clock.clone())).unwrap();
    Desk { store, clock, key: key(), _dir: dir }
}

pub fn id(number: u8) -> JobId {
    JobId([number; 16])
}

impl Desk {
    pub fn write<T>(
        &self,
        work: impl FnOnce(&latchd::store::Transaction<'_>) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        self.store.write(work)
    }

    pub fn add(&self, number: u8, api: Api, born: Born) -> JobId {
        self.write(|tx| enqueue(tx, &self.key, id(number), api, born)).unwrap();
        id(number)
    }

    pub fn go(&self, id: JobId, step: Move) -> Result<(), QueueError> {
        self.write(|tx| queue::transition(tx, id, &step))
    }

    pub fn info(&self, id: JobId) -> queue::Info {
        self.store.read(|tx| queue::info(tx, id)).unwrap()
    }

    pub fn due(&self) -> Option<JobId> {
        self.store.read(queue::next_due).unwrap()
    }

    pub fn rows(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.store.read(|tx| tx.one(&sql, [], |row| row.get(0))).map(Option::unwrap).map_err(plain).unwrap()
    }
}

pub fn plain(error: StoreError) -> StoreError {
    error
}

pub fn enqueue(
    tx: &latchd::store::Transaction<'_>,
    key: &QueueKey,
    id: JobId,
    api: Api,
    born: Born,
) -> Result<(), QueueError> {
    let user = UserId::parse("emp-0042").unwrap();
    let liveness: Vec<Vec<u8>> = (0..8).map(|n| vec![n; 1024]).collect();
    let selfie = (PictureKind::Selfie, b"the selfie of somebody".as_slice());
    let liveness = liveness.iter().map(|jpeg| (PictureKind::Liveness, jpeg.as_slice()));
    let pictures: Vec<_> = std::iter::once(selfie).chain(liveness).collect();
    let job = NewJob {
        id,
        attempt: Some(AttemptId([7; 16])),
        user_id: &user,
        task: Task::Door(Product::Authentication),
        api,
        allow_new_enroll: false,
        details: DETAILS,
        pictures: &pictures,
        born,
    };
    queue::enqueue(tx, key, &job)
}

pub fn approved() -> Move {
    Move::Decide(Decided { verdict: Verdict::Approved, code: "clear".into(), text: "ok".into() })
}

pub fn accept() -> Move {
    Move::Accept { remote: "r-1".into() }
}
