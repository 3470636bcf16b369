//! Pictures larger than what is sealed at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use latchd::access::{Check, PictureKind, Task, UserId};
use latchd::queue::{self, Api, Born, NewJob, QueueError};
use latchd::store::StoreError;

#[path = "support/desk.rs"]
mod desk;
use desk::*;

/// A large picture lies in parts, so that it can be sent without being in memory as a whole; none of them can be moved,
/// repeated or left out.
#[test]
fn a_large_picture_is_kept_in_parts_that_belong_together() {
    let large: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
    let user = UserId::parse("emp-0042").unwrap();
    let keep = |desk: &Desk| {
        let job = NewJob {
            id: id(9),
            attempt: None,
            user_id: &user,
            task: Task::Check(Check::DocumentVerification),
            api: Api::V3,
            allow_new_enroll: false,
            details: DETAILS,
            pictures: &[(PictureKind::DocumentFront, &large)],
            born: Born::New,
        };
        desk.write(|tx| queue::enqueue(tx, &desk.key, &job)).unwrap();
    };
    let desk = desk();
    keep(&desk);
    assert_eq!(desk.rows("images"), 7);
    let job = desk.store.read(|tx| queue::load(tx, &desk.key, id(9))).unwrap();
    let kept = &job.pictures[0];
    assert_eq!((kept.bytes, kept.parts, kept.crc32), (200_000, 7, crc32fast::hash(&large)));
    assert_eq!(desk.store.read(|tx| queue::whole(tx, &job, kept)).unwrap().0, large);
    for change in [
        "DELETE FROM images WHERE id & 65535 = 6",
        "UPDATE images SET id = id + 10; UPDATE images SET id = (job << 16) + 16 - (id & 65535)",
        "UPDATE images SET sealed = (SELECT sealed FROM images WHERE id & 65535 = 0) WHERE id & 65535 = 1",
        "UPDATE images SET number = 1",
    ] {
        let desk = desk::desk();
        keep(&desk);
        desk.write(|tx| {
            for statement in change.split(';') {
                tx.execute(statement, [])?;
            }
            Ok(())
        })
        .unwrap();
        let changed: Result<_, QueueError> = desk.store.read(|tx| queue::load(tx, &desk.key, id(9)));
        assert!(matches!(changed, Err(QueueError::Store(StoreError::Unsealable { .. }))), "{change}");
    }
}
