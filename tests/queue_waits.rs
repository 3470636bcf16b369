//! When a job's turn comes again: after a network's silence, a service's word, a look-up, a pause, an operator's word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use latchd::config::model::Queue;
use latchd::queue::policy::{Answer, PauseReason, after_failure};
use latchd::queue::{self, Api, Born, HeldReason, Move, State, StateName};

#[path = "support/desk.rs"]
mod desk;
use desk::*;

#[test]
fn a_network_that_comes_back_ends_the_waiting_but_not_what_the_service_asked_for() {
    let desk = desk();
    let config = Queue::default();
    let fail = |number: u8, answer: Answer| {
        let id = desk.add(number, Api::V3, Born::Sending);
        let course = after_failure(&answer, &desk.info(id).facts(), &config, 7);
        desk.write(|tx| queue::apply(tx, id, &course)).unwrap();
        id
    };
    let waiting = fail(1, Answer::RefusedForCertain { retry_after: None, answered: false });
    fail(2, Answer::RefusedForCertain { retry_after: Some(Duration::from_secs(600)), answered: true });
    // 429 without Retry-After: the service is there, and wants fewer calls.
    fail(3, Answer::RefusedForCertain { retry_after: None, answered: true });
    assert_eq!(desk.due(), None);
    assert_eq!(desk.write(queue::hurry).unwrap(), 1);
    assert_eq!(desk.due(), Some(waiting));
    assert_eq!(desk.write(queue::hurry).unwrap(), 0, "nothing left to hurry");
}

#[test]
fn what_was_never_taken_waits_while_the_queue_is_paused_and_remembers_that_its_id_is_known() {
    let desk = desk();
    let job = desk.add(1, Api::V1, Born::Sending);
    desk.go(job, Move::LoseAnswer).unwrap();
    desk.write(|tx| queue::pause(tx, PauseReason::Unpaid)).unwrap();
    desk.go(job, Move::ProvedUntaken { reserved: true }).unwrap();
    assert_eq!(desk.due(), None, "paused");
    desk.write(queue::resume).unwrap();
    assert_eq!(desk.due(), Some(job));
    // Over each step at which it surely is not taken, until it is sent again and its answer is lost.
    for step in [Move::Hold(HeldReason::Clock), Move::Release, Move::Send, Move::NotSent, Move::Send] {
        desk.go(job, step.clone()).unwrap();
        assert!(desk.info(job).reserved, "{}", step.name());
    }
    desk.go(job, Move::LoseAnswer).unwrap();
    assert!(!desk.info(job).reserved);
    desk.go(job, Move::ProvedUntaken { reserved: false }).unwrap();
    assert!(!desk.info(job).reserved);
}

#[test]
fn tries_count_until_the_service_has_the_job_or_an_operator_begins_anew() {
    let desk = desk();
    let job = desk.add(1, Api::V1, Born::Sending);
    for (step, tries) in [
        (Move::NotSent, 1),
        (Move::Hold(HeldReason::Clock), 1),
        (Move::Release, 1),
        (Move::Send, 1),
        (Move::Resubmit, 2),
        (Move::Send, 2),
        (Move::LoseAnswer, 3),
        (Move::Resubmit, 3),
        (Move::Send, 3),
        (Move::LoseAnswer, 4),
        (Move::ProvedUntaken { reserved: true }, 4),
        (Move::Send, 4),
        (Move::DeadLetter { reason: "2203".into(), answer: None }, 0),
        (Move::Retry, 0),
        (Move::Send, 0),
        (accept(), 0),
        (Move::Hold(HeldReason::Attention), 0),
        (Move::Release, 0),
    ] {
        desk.go(job, step.clone()).unwrap();
        assert_eq!(desk.info(job).tries, tries, "{}", step.name());
    }
}

#[test]
fn a_job_that_an_operator_puts_back_goes_over_the_protocol_of_now() {
    let desk = desk();
    let job = desk.add(1, Api::V1, Born::Sending);
    desk.go(job, Move::LoseAnswer).unwrap();
    desk.write(|tx| queue::adopt(tx, Api::V3)).unwrap();
    desk.write(|tx| queue::retry(tx, job)).unwrap();
    desk.write(|tx| queue::begin(tx, job, Api::V3)).unwrap();
    assert_eq!((desk.info(job).api, desk.info(job).state), (Api::V3, State::Sending));
    desk.go(job, accept()).unwrap();
    assert!(!desk.info(job).has_images, "v3 needs its pictures no more");
}

#[test]
fn another_protocol_takes_over_what_was_never_sent_and_gives_up_the_rest() {
    let desk = desk();
    let fresh = desk.add(1, Api::V1, Born::New);
    let taken = desk.add(2, Api::V1, Born::Sending);
    desk.go(taken, accept()).unwrap();
    let lost = desk.add(3, Api::V1, Born::Sending);
    desk.go(lost, Move::LoseAnswer).unwrap();
    assert_eq!(desk.write(|tx| queue::adopt(tx, Api::V3)).unwrap(), [taken, lost]);
    assert_eq!(desk.info(fresh).api, Api::V3);
    assert_eq!(desk.info(fresh).state, State::New);
    assert_eq!(desk.info(taken).state.name(), StateName::DeadLetter);
    assert_eq!(desk.info(lost).state.name(), StateName::DeadLetter);
    assert!(desk.write(|tx| queue::adopt(tx, Api::V3)).unwrap().is_empty());
}
