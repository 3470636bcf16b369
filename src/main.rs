//! latchd.
fn main() {}
