//! A callback as anybody on the network may send it. The first three lines stand for the head's time stamp, signature and
//! job; what follows is the body.
#![no_main]

use latchd::callbacks::{Heard, Refused, Seen, judge};
use latchd::clock::{Wall, WallTime};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

/// The only signature that is genuine here, and the time that it stands for.
const SIGNATURE: &str = "ours";
const STAMP: &str = "2026-01-02T03:04:05.000Z";
const FRESH_MILLIS: u64 = 600_000;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut head =
        || lines.next().and_then(|line| std::str::from_utf8(line).ok()).filter(|line| !line.is_empty());
    let (timestamp, signature, job) = (head(), head(), head());
    let heard = Heard { timestamp, signature, job, body: lines.next().unwrap_or_default() };
    let now = WallTime::from_rfc3339(STAMP).expect("a time stamp");
    let mut seen = Seen::default();
    let believed = RefCell::new(None);
    let genuine = |stamp: &str, signature: &str| {
        let ours = signature == SIGNATURE;
        *believed.borrow_mut() = ours.then(|| stamp.to_owned());
        ours
    };
    let Ok(notice) = judge(heard, Wall::Known(now), genuine, &mut seen) else { return };

    // One that is listened to bears our signature of a fresh time, and names a job in words that fit an address.
    let stamp = believed.take().expect("a callback that nobody signed");
    let at = WallTime::from_rfc3339(&stamp).expect("a callback without a time");
    assert!(at.as_unix_millis().abs_diff(now.as_unix_millis()) <= FRESH_MILLIS);
    assert!(notice.remote_job.is_some() || notice.our_job.is_some());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    assert!(notice.remote_job.iter().all(|job| (1..=64).contains(&job.len()) && job.bytes().all(plain)));

    // It is heard once, not by a device without a clock, and not without the signature.
    assert_eq!(judge(heard, Wall::Known(now), genuine, &mut seen), Err(Refused::Repeated));
    assert_eq!(judge(heard, Wall::Unknown, genuine, &mut Seen::default()), Err(Refused::ClockUnknown));
    let forged = judge(heard, Wall::Known(now), |_, _| false, &mut Seen::default());
    assert_eq!(forged, Err(Refused::Unsigned));
});
