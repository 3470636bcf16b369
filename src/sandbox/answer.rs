//! Answers: what a call says, and the ways in which its bytes can go wrong on the wire.

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// What a call says.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Content,
}

/// What an answer consists of.
#[derive(Debug)]
pub(super) enum Content {
    Json(Value),
    Text { content_type: String, text: String },
    Empty,
}

impl Content {
    /// Its type, empty for none, and its bytes.
    pub(super) fn into_parts(self) -> (String, Bytes) {
        match self {
            Self::Json(value) => ("application/json".into(), Bytes::from(value.to_string())),
            Self::Text { content_type, text } => (content_type, Bytes::from(text)),
            Self::Empty => (String::new(), Bytes::new()),
        }
    }
}

impl Answer {
    /// An answer of this status with a JSON body.
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(body) }
    }

    /// A v3 endpoint's refusal.
    pub(super) fn refusal(status: u16, message: impl Into<String>) -> Self {
        Self::json(status, json!({ "status": reason(status), "message": message.into() }))
    }

    /// The refusal of the gateway before the v3 endpoints.
    pub(super) fn gateway(status: u16) -> Self {
        let (word, message) = match status {
            401 => ("unauthorized", "Missing or invalid authentication credentials."),
            413 => ("payload_too_large", "Request payload is too large."),
            _ => ("integration_failure", "The request could not be handled."),
        };
        Self::json(status, json!({ "status": word, "message": message, "job_id": null, "user_id": null }))
    }

    /// A 400 that names the field.
    pub(super) fn field(name: &str) -> Self {
        Self::refusal(400, format!("Required field '{name}' is missing or invalid."))
    }

    /// A v1 refusal.
    pub(super) fn v1(code: &str, error: &str) -> Self {
        Self::json(400, json!({ "error": error, "code": code }))
    }

    /// The store's refusal, which is XML.
    pub(super) fn storage(status: u16, code: &str, message: &str) -> Self {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Self {
            status,
            headers: Vec::new(),
            content: Content::Text { content_type: "application/xml".into(), text },
        }
    }

    /// The same answer with one more header.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// For the wire. A header value that is none is left out.
    pub(super) fn into_response(self, form: Form) -> Response<Stream> {
        let (content_type, bytes) = self.content.into_parts();
        let mut response = Response::new(Stream::new(bytes, form));
        if let Ok(status) = hyper::StatusCode::from_u16(self.status) {
            *response.status_mut() = status;
        }
        let typed = (!content_type.is_empty()).then_some((CONTENT_TYPE, content_type));
        let others = self.headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value));
        for (name, value) in typed.into_iter().chain(others) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        413 => "Content Too Large",
        other => hyper::StatusCode::from_u16(other)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error"),
    }
}

/// How an answer's bytes go out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Whole,
    /// Half of the announced bytes, then the connection ends.
    Half,
    /// The first half, announced as all.
    Truncated,
    /// A byte each `gap`.
    Drip {
        gap: Duration,
    },
    /// An endless JSON text of this length instead.
    Huge {
        bytes: u64,
    },
}

/// The body on its way out.
pub(super) struct Stream {
    state: State,
}

enum State {
    Whole(Option<Bytes>),
    Half { announced: u64, bytes: Option<Bytes>, flushed: bool },
    Drip { left: Bytes, gap: Duration, pause: Option<Pin<Box<Sleep>>> },
    Huge { left: u64, started: bool },
}

/// The connection is to end here.
#[derive(Debug, thiserror::Error)]
#[error("the scenario ends this connection")]
pub(super) struct Cut;

const HUGE_CHUNK: &[u8] = &[b'['; 16 * 1024];
const HUGE_HEAD: &[u8] = b"{\"status\":\"clear\",\"message\":";

impl Stream {
    fn new(bytes: Bytes, form: Form) -> Self {
        let half = bytes.slice(..bytes.len() / 2);
        let state = match form {
            Form::Whole => State::Whole(Some(bytes)),
            Form::Truncated => State::Whole(Some(half)),
            Form::Half => State::Half { announced: bytes.len() as u64, bytes: Some(half), flushed: false },
            Form::Drip { gap } => State::Drip { left: bytes, gap, pause: None },
            Form::Huge { bytes } => State::Huge { left: bytes, started: false },
        };
        Self { state }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.state {
            State::Whole(bytes) => Poll::Ready(
                bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))),
            ),
            State::Half { bytes, flushed, .. } => match bytes.take() {
                Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                // One turn for the connection to write out what it has, before it is cut.
                _ if !*flushed => {
                    *flushed = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => Poll::Ready(Some(Err(Cut))),
            },
            State::Drip { left, gap, pause } => {
                if left.is_empty() {
                    return Poll::Ready(None);
                }
                let sleep = pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(*gap)));
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                *pause = None;
                Poll::Ready(Some(Ok(Frame::data(left.split_to(1)))))
            }
            State::Huge { left: 0, .. } => Poll::Ready(None),
            State::Huge { left, started } => {
                let source = if *started { HUGE_CHUNK } else { HUGE_HEAD };
                *started = true;
                let take = usize::try_from(*left).map_or(source.len(), |left| left.min(source.len()));
                *left = left.saturating_sub(take as u64);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(source).slice(..take)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            State::Half { .. } => false,
            State::Drip { left, .. } => left.is_empty(),
            State::Huge { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.state {
            State::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            State::Half { announced, .. } => *announced,
            State::Drip { left, .. } => left.len() as u64,
            State::Huge { left, .. } => *left,
        })
    }
}
