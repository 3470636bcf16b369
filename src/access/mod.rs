//! PURE. The words of the trade and every rule over them. No I/O, no clock, no threads.

pub mod words;

pub use words::{AttemptId, JobId, Product, Report, UserId, Verdict};
