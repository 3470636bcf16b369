//! Reads a request's body, never more than its bound and never longer than its time.

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use std::time::Duration;

/// A v3 request: the service's documents say 4.5 MB for all of it.
pub(super) const FORM_BYTES_MAX: u64 = 4_500_000;
/// A JSON request.
pub(super) const JSON_BYTES_MAX: u64 = 256 * 1024;
/// A zip. The store of the service sets no limit that is known.
pub(super) const ZIP_BYTES_MAX: u64 = 10_000_000;

/// The time for a whole body.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// What is still read, and thrown away, after an early answer, so that a client that writes before it reads gets to it.
const DRAIN_BYTES_MAX: u64 = 16 * 1024 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is longer than the bound. The rest is being thrown away meanwhile.
    TooLarge,
    /// The client went away or took too long.
    Broken,
}

/// The whole body, at most `bytes_max` long.
pub(super) async fn read(body: Incoming, bytes_max: u64) -> Result<Bytes, Unread> {
    match tokio::time::timeout(READ_TIME_MAX, read_bounded(body, bytes_max)).await {
        Ok(result) => result,
        Err(_) => Err(Unread::Broken),
    }
}

async fn read_bounded(mut body: Incoming, bytes_max: u64) -> Result<Bytes, Unread> {
    let announced = body.size_hint().lower();
    if announced > bytes_max {
        throw_away(body);
        return Err(Unread::TooLarge);
    }
    let mut whole = Vec::with_capacity(usize::try_from(announced).map_err(|_| Unread::TooLarge)?);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if (whole.len() as u64).saturating_add(data.len() as u64) > bytes_max {
            throw_away(body);
            return Err(Unread::TooLarge);
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from(whole))
}

/// Reads on beside the answer, within bounds; what is left then ends with the connection.
pub(super) fn throw_away(mut body: Incoming) {
    tokio::spawn(async move {
        let drain = async {
            let mut total = 0_u64;
            while let Some(Ok(frame)) = body.frame().await {
                total = total.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
                if total > DRAIN_BYTES_MAX {
                    break;
                }
            }
        };
        // Ending by time is as good as ending by size: the connection goes either way.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, drain).await;
    });
}
