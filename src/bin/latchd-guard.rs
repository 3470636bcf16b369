//! latchd-guard.
fn main() {}
