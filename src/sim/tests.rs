//! `make test` plays 200 seeds; `make sim SEEDS=n FIRST=n` as many as are wanted.

use std::sync::Mutex;

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

#[test]
fn no_history_breaks_a_rule() {
    let (first, count) = (number("LATCHD_SIM_FIRST", 1), number("LATCHD_SIM_SEEDS", 200));
    let sums = Mutex::new([0_u64; 7]);
    let found = histories(first, count, None, false, &|one| {
        let mut sums = sums.lock().unwrap();
        let parts = [1, one.claims as u64, one.jobs as u64, one.edges, one.boots, one.syncs, one.steps];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        // LATCHD_SIM_TRACE=1 with one seed shows what happens in it.
        one.lines.iter().filter(|_| count == 1).for_each(|line| println!("{line}"));
        if sums[0].is_multiple_of(500) {
            println!("{} histories", sums[0]);
        }
    });
    let sums = sums.lock().unwrap();
    println!(
        "simulation: {} histories, {} claims, {} jobs, {} edges, {} boots, {} syncs, {} steps",
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6]
    );
    for one in found.iter().take(5) {
        println!("seed {}: {}", one.seed, one.violation.as_deref().unwrap_or(""));
        one.lines.iter().for_each(|line| println!("  {line}"));
    }
    assert!(found.is_empty(), "{} seeds break a rule; the first is {}", found.len(), found[0].seed);
    assert!(sums[3] > 0, "no door ever opened: the histories prove nothing");
}
