//! The deterministic simulation: the real attempt machine, guard machine, director, submitter, drain, queue, policy, store and
//! protocol client, on a simulated clock, disk, network, service, line, people and operators. One seed is one history, the
//! same each time; separate, simple oracles judge it. docs/simulation.md says what is checked and what it cannot see.
// A failed assumption is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod chance;
mod daemon;
mod disk;
mod events;
mod explore;
mod faults;
mod fiber;
mod lives;
mod lock;
mod network;
mod oracle;
mod people;
pub mod planted;
mod process;
mod run;
mod vfs;
mod wires;
mod world;

#[cfg(test)]
mod tests;
