//! The v3 calls.

mod details;
mod entry;
mod form;
mod services;
mod status;
mod token;

pub(super) use details::read_partner_params;
pub(super) use entry::submit;
pub(super) use form::{Form, read_form};
pub(super) use services::services;
pub(super) use status::{replay, status};
pub(super) use token::{check_token, issue};

/// `multipart/form-data` with its boundary, or the 415 that says so.
fn boundary(headers: &hyper::HeaderMap) -> Result<String, super::answer::Answer> {
    headers
        .get(hyper::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| multer::parse_boundary(value).ok())
        .ok_or_else(|| {
            super::answer::Answer::refusal(
                415,
                "Unsupported Media Type. Required Content-Type is multipart/form-data",
            )
        })
}
