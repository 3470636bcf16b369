//! What an operator and a monitoring see of the queue.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

use latchd::access::{Check, PictureKind, Product, Task, UserId};
use latchd::clock::{BootId, Wall};
use latchd::queue::{self, Api, Born, Filter, Move, NewJob, StateName, policy::PauseReason};
use std::time::Duration;

#[path = "support/desk.rs"]
mod desk;
use desk::*;
#[path = "support/site.rs"]
mod site;
use site::{Options, Site};

fn add(desk: &Desk, number: u8, user: &str, task: Task) {
    let user = UserId::parse(user).unwrap();
    let job = NewJob {
        id: id(number),
        attempt: None,
        user_id: &user,
        task,
        api: Api::V3,
        allow_new_enroll: false,
        details: DETAILS,
        pictures: &[(PictureKind::Selfie, b"a picture")],
        born: Born::New,
    };
    desk.write(|tx| queue::enqueue(tx, &desk.key, &job)).unwrap();
}

/// Jobs 1 to 4, an hour apart, the last two after a reboot without a clock.
fn four() -> Desk {
    let desk = desk();
    add(&desk, 1, "ada", Task::Door(Product::Authentication));
    desk.clock.advance(HOUR);
    add(&desk, 2, "ada", Task::Check(Check::BasicKyc));
    desk.clock.set_wall(Wall::Unknown);
    desk.clock.advance(HOUR);
    desk.write(queue::recover_at_start).unwrap();
    desk.clock.reboot(BootId([2; 16]));
    add(&desk, 3, "bob", Task::Door(Product::Authentication));
    desk.clock.advance(HOUR);
    add(&desk, 4, "bob", Task::Door(Product::Registration));
    desk.go(id(4), Move::Expire).unwrap();
    desk
}

#[test]
fn each_filter_leaves_out_what_it_should_and_all_work_together() {
    let desk = four();
    let listed = |filter: Filter| -> Vec<u8> {
        let rows = desk.store.read(|tx| queue::list(tx, &filter)).unwrap();
        rows.iter().map(|row| row.id.0[0]).collect()
    };
    let all = Filter::default;
    let user = |name: &str| Some(UserId::parse(name).unwrap());
    let door = Some(Task::Door(Product::Authentication));
    let hours = |count: u32| Some(count * HOUR);
    for (filter, expected) in [
        (all(), &[1, 2, 3, 4][..]),
        (Filter { state: Some(StateName::Expired), ..all() }, &[4]),
        (Filter { task: door, ..all() }, &[1, 3]),
        (Filter { user_id: user("bob"), ..all() }, &[3, 4]),
        (Filter { older_than: hours(2), ..all() }, &[1, 2]),
        (Filter { within: hours(1), ..all() }, &[3, 4]),
        (Filter { older_than: hours(1), within: hours(2), ..all() }, &[2, 3]),
        (Filter { limit: 3, ..all() }, &[1, 2, 3]),
        (Filter { limit: 0, ..all() }, &[]),
        (Filter { after: 2, limit: 1, ..all() }, &[3]),
        (
            Filter {
                user_id: user("ada"),
                task: door,
                state: Some(StateName::New),
                within: hours(9),
                ..all()
            },
            &[1],
        ),
        (Filter { user_id: user("eve"), ..all() }, &[]),
    ] {
        let said = format!("{filter:?}");
        assert_eq!(listed(filter), expected, "{said}");
    }
}

#[test]
fn the_numbers_are_those_of_the_rows() {
    let desk = four();
    let stats = desk.store.read(queue::stats).unwrap();
    assert_eq!(stats.unfinished, 3);
    let new = &stats.states["new"];
    assert_eq!((new.jobs, new.products["authentication"], new.products["basic_kyc"]), (3, 2, 1));
    assert_eq!(new.oldest, 3 * HOUR, "time on, over a reboot without a clock");
    assert_eq!(stats.states["expired"].jobs, 1);
    assert_eq!(stats.held_bytes, 3 * (9 + DETAILS.len() as u64));
    assert_eq!((stats.pause, stats.next_due), (None, Some(Duration::ZERO)));
    desk.write(|tx| queue::pause(tx, PauseReason::Unpaid)).unwrap();
    let stats = desk.store.read(queue::stats).unwrap();
    assert_eq!(stats.pause.unwrap().reason, PauseReason::Unpaid);
    assert_eq!(stats.next_due, Some(HOUR / 2), "the probe");
    let before = desk.store.commits();
    desk.store.read(queue::stats).unwrap();
    assert_eq!(desk.store.commits(), before);
}

/// The same words over the socket and on a stopped daemon's database, and nothing about a person in the numbers.
#[test]
fn lists_and_numbers_are_the_same_with_and_without_a_daemon() {
    let mut site = Site::open(&Options::default());
    site.stop_sandbox();
    let job = site.authenticate("approved").word("job").to_owned();
    for running in [true, false] {
        if !running {
            site.stop_daemon();
        }
        let listed = |line: &str| {
            let answer = site.latchd(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(answer.exit, 0, "{line}: {answer:?}");
            answer.lines.iter().filter(|line| line["kind"] == "item").count()
        };
        for (line, count) in [
            ("queue list", 1),
            ("queue list --state new --product authentication --user approved --since 1h --limit 5", 1),
            ("queue list --state held", 0),
            ("queue list --product registration", 0),
            ("queue list --user denied", 0),
            ("queue list --older-than 1h", 0),
            ("queue list --since 2026-01-01T00:00:00Z", 1),
            ("queue list --limit 0", 0),
        ] {
            // For a moment now and then the drain has it in `sending`.
            let seen = (0..50).any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                listed(line) == count
            });
            assert!(seen, "{line}: {}, running: {running}", listed(line));
        }
        for line in ["queue list --older-than soon", "queue list --product door", "queue list --user a,b"] {
            assert_eq!(site.latchd(&line.split(' ').collect::<Vec<_>>()).exit, 2, "{line}");
        }
        let mut stats = site.latchd(&["queue", "stats"]);
        while stats.last["states"]["sending"] == 1 {
            stats = site.latchd(&["queue", "stats"]);
        }
        assert_eq!(stats.last["states"]["new"], 1, "{stats:?}");
        assert_eq!(stats.last["products"]["new"]["authentication"], 1);
        assert!(stats.last["held_bytes"].as_u64().unwrap() > 10_000);
        assert!(!stats.stdout.contains("approved") && !stats.stdout.contains(&job), "{stats:?}");
    }
}
