//! What is at an end is forgotten at its hour, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use latchd::clock::{BootId, Wall};
use latchd::config::model::Retention;
use latchd::queue::{self, Api, Born, Move};

#[path = "support/desk.rs"]
mod desk;
use desk::*;

fn prune(desk: &Desk) -> usize {
    desk.write(|tx| queue::prune(tx, &Retention { finished_days: 2, ..Retention::default() })).unwrap()
}

/// door-rules, queue 6.
#[test]
fn finished_jobs_go_after_their_days_and_open_ones_stay() {
    let desk = desk();
    let ends: [&[Move]; 4] = [
        &[accept(), approved()],
        &[Move::NotSent, Move::Expire],
        &[Move::NotSent, Move::Drop { by: "uid 0".into() }],
        &[Move::LoseAnswer],
    ];
    for (number, steps) in (1..).zip(ends) {
        let job = desk.add(number, Api::V3, Born::Sending);
        for step in steps {
            desk.go(job, step.clone()).unwrap();
        }
    }
    let buried = desk.add(5, Api::V3, Born::Sending);
    desk.go(buried, Move::DeadLetter { reason: "2203".into(), answer: None }).unwrap();
    let lately = desk.add(6, Api::V3, Born::Sending);
    desk.clock.advance(48 * HOUR - HOUR);
    desk.go(lately, accept()).unwrap();
    desk.go(lately, approved()).unwrap();
    let before = desk.store.commits();
    assert_eq!((prune(&desk), desk.store.commits()), (0, before), "nothing is due, nothing is written");

    desk.clock.advance(HOUR);
    assert_eq!(prune(&desk), 3);
    let left = || -> Vec<_> {
        let all = queue::Filter { limit: 10, ..Default::default() };
        desk.store.read(|tx| queue::list(tx, &all)).unwrap().iter().map(|info| info.id).collect()
    };
    assert_eq!(
        left(),
        [id(4), buried, lately],
        "a lost answer waits for a person, pictures for their own hour"
    );
    let times = "SELECT count(*) FROM job_times WHERE job NOT IN (SELECT seq FROM jobs)";
    let stray = desk.store.read(|tx| tx.one(times, [], |row| row.get::<_, i64>(0))).map_err(plain).unwrap();
    assert_eq!(stray, Some(0));

    desk.clock.advance(48 * HOUR);
    desk.write(|tx| queue::sweep(tx, &Default::default(), &Retention::default())).unwrap();
    assert_eq!(prune(&desk), 2);
    assert_eq!(left(), [id(4)]);
}

#[test]
fn boots_are_noted_as_far_back_as_the_oldest_job() {
    let desk = desk();
    desk.clock.set_wall(Wall::Unknown);
    let reboot = |boot: u8| {
        desk.clock.reboot(BootId([boot; 16]));
        desk.write(queue::recover_at_start).unwrap();
    };
    for boot in 10..60 {
        reboot(boot);
    }
    assert_eq!(desk.rows("boots"), 1, "no job: this boot alone");
    let job = desk.add(1, Api::V3, Born::New);
    for boot in 60..65 {
        desk.clock.advance(HOUR);
        desk.write(queue::recover_at_start).unwrap();
        reboot(boot);
    }
    assert_eq!(desk.rows("boots"), 6, "its age needs them");
    desk.go(job, Move::Expire).unwrap();
    desk.clock.advance(48 * HOUR);
    assert_eq!(prune(&desk), 1);
    assert_eq!((desk.rows("jobs"), desk.rows("boots")), (0, 1));
}
