//! The v1 calls.

mod archive;
mod job_status;
mod number;
mod put;
mod request;
mod upload;

pub(super) use job_status::job_status;
pub(super) use number::number;
pub(super) use put::put;
pub(super) use request::{user_of_status, user_of_upload};
pub(super) use upload::upload;
