//! `make test` plays 200 seeds; `make sim SEEDS=n FIRST=n` as many as are wanted.

use std::sync::Mutex;

use super::explore::{Budget, explore};
use super::planted::{self, Bug};
use super::run::{histories, history};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_seed_is_one_history() {
    let (one, two) = (history(7), history(7));
    assert_eq!(one.hash, two.hash);
    assert_ne!(one.hash, history(8).hash);
}

/// The bugs that agent and guard alone can show.
const OF_THE_LOCK: [Bug; 11] = [
    Bug::GrantKeepsArm,
    Bug::ArmWithoutEnd,
    Bug::ArmSurvivesHangUp,
    Bug::PulseSurvivesHangUp,
    Bug::HeartbeatIgnored,
    Bug::PulseWithoutEnd,
    Bug::LateApprovalOpens,
    Bug::OpensBeforeIntent,
    Bug::GrantedBeforeEdge,
    Bug::AnyPerson,
    Bug::ProvisionalOpens,
];

/// door-rules 1 to 5 and 9, in every order that the bounds allow.
#[test]
fn no_order_of_events_opens_the_door_wrongly() {
    // `make sim` looks further.
    let troubles = u8::try_from(number("LATCHD_SIM_TROUBLES", 1)).unwrap();
    let steps = number("LATCHD_SIM_STEPS", 4);
    let explored = explore(Budget { steps, claims: 2, verdicts: 2, troubles });
    println!("model check: {} states, {} steps", explored.states, explored.steps);
    assert_eq!(explored.broken, None);
}

#[test]
fn each_bug_of_the_lock_breaks_some_order_of_events() {
    for bug in OF_THE_LOCK {
        planted::plant(Some(bug));
        let explored = explore(Budget { steps: 5, claims: 2, verdicts: 2, troubles: 1 });
        let (rule, way) = explored.broken.unwrap_or_else(|| panic!("{bug:?} is not found"));
        println!("| {} | {rule} | {} steps, {} states |", bug.text(), way.len(), explored.states);
    }
    planted::plant(None);
}

/// Each planted bug is found; LATCHD_SIM_TABLE=1 prints the table of docs/simulation.md. In three parts, which run side by side.
fn found_in_part(part: usize) {
    let mut missed = Vec::new();
    for bug in Bug::ALL.iter().skip(part).step_by(3) {
        println!("{bug:?}");
        let found = histories(1, 500, Some(*bug), true, &|_| {});
        match found.first() {
            Some(one) => {
                println!("| {} | {} | {} |", bug.text(), one.seed, one.violation.as_deref().unwrap_or(""))
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "500 seeds do not find {missed:?}");
}

#[test]
fn each_planted_bug_is_found_one_third() {
    found_in_part(0);
}

#[test]
fn each_planted_bug_is_found_another_third() {
    found_in_part(1);
}

#[test]
fn each_planted_bug_is_found_last_third() {
    found_in_part(2);
}

#[test]
fn no_history_breaks_a_rule() {
    let (first, count) = (number("LATCHD_SIM_FIRST", 1), number("LATCHD_SIM_SEEDS", 200));
    let sums = Mutex::new([0_u64; 8]);
    let found = histories(first, count, None, false, &|one| {
        let mut sums = sums.lock().unwrap();
        let parts =
            [1, one.claims as u64, one.jobs as u64, one.edges, one.boots, one.syncs, one.steps, one.gone];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        // LATCHD_SIM_TRACE=1 with one seed shows what happens in it.
        one.lines.iter().filter(|_| count == 1).for_each(|line| println!("{line}"));
        if sums[0].is_multiple_of(500) {
            println!("{} histories", sums[0]);
        }
    });
    let sums = sums.lock().unwrap();
    println!(
        "simulation: {} histories, {} claims, {} jobs, {} edges, {} boots, {} syncs, {} steps, {} events gone",
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
    );
    for one in found.iter().take(5) {
        println!("seed {}: {}", one.seed, one.violation.as_deref().unwrap_or(""));
        one.lines.iter().for_each(|line| println!("  {line}"));
    }
    assert!(found.is_empty(), "{} seeds break a rule; the first is {}", found.len(), found[0].seed);
    assert!(sums[3] > 0, "no door ever opened: the histories prove nothing");
    assert!(sums[7] > 0, "no event ever went: the histories prove nothing of that");
}
