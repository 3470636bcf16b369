//! Receives one request: within a limit of bytes and of time as a whole, and read no further than it must be.

use super::{Picture, Request};
use crate::clock::Clock;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longest request line on `read.sock`, in bytes: questions are short, and every member of a group may ask.
pub const READ_LIMIT: usize = 8 * 1024;
/// Longest request line on `operator.sock`, in bytes: the pictures of a check are the largest, 4.5 MB as base64.
pub const OPERATOR_LIMIT: usize = 6_500_000;
/// Longest request line of anything but an import of people and a check with its pictures. A value in memory takes many times its length on the line.
const SMALL: usize = 64 * 1024;
/// How long a client may take over the whole of its request.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no request. The text never repeats what was sent, which may be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRequest {
    /// Nothing was sent: the client only looked whether somebody listens.
    #[error("nothing was asked")]
    Nothing,
    /// The line has no end.
    #[error("the request ended early")]
    Early,
    /// The line did not end in time.
    #[error("the request did not arrive within 10 seconds")]
    Late,
    /// The line is too long.
    #[error("the request is too long")]
    TooLong,
    /// It acts, and the socket only answers questions.
    #[error("this socket only answers questions")]
    Acts,
    /// It is no request.
    #[error("the request is not understood")]
    NotUnderstood,
}

impl NoRequest {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Acts => "use operator.sock",
            Self::TooLong => "import fewer people at once, or smaller pictures",
            Self::Nothing | Self::Early | Self::Late => "send one line of JSON",
            Self::NotUnderstood => "are command and daemon of one version?",
        }
    }
}

/// Reads one line without its end. Each read waits only for what is left of [`PATIENCE`], so that a client that sends a
/// byte now and then does not keep its connection.
pub fn line(stream: &mut UnixStream, limit: usize, clock: &dyn Clock) -> Result<Vec<u8>, NoRequest> {
    let deadline = clock.boot().plus(PATIENCE);
    let mut line = Vec::new();
    let mut chunk = [0; READ_LIMIT];
    loop {
        let left = deadline.since(clock.boot());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(NoRequest::Late);
        }
        let count = match stream.read(&mut chunk) {
            Ok(0) if line.is_empty() => return Err(NoRequest::Nothing),
            Ok(0) => return Err(NoRequest::Early),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(NoRequest::Late),
            Err(_) => return Err(NoRequest::Early),
        };
        let chunk = chunk.get(..count).unwrap_or_default();
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = chunk.get(..end.unwrap_or(count)).unwrap_or_default();
        if line.len() + part.len() > limit {
            return Err(NoRequest::TooLong);
        }
        line.extend_from_slice(part);
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// What is asked, and nothing else of the line.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    ask: Cow<'a, str>,
}

/// A request that may be long, read straight into its texts: anything else in their place is refused at once,
/// where the tagged [`Request`] would first build it in memory.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    #[serde(rename = "ask")]
    _ask: String,
    format: String,
    text: String,
}

/// The other one: its pictures are decoded while the line is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submit {
    #[serde(rename = "ask")]
    _ask: String,
    product: String,
    #[serde(default)]
    user_id: Option<String>,
    form: String,
    #[serde(default)]
    pictures: Vec<Picture>,
    #[serde(default)]
    wait: bool,
}

/// Reads a line that came over a socket which may act or not: first only what is asked.
pub fn request(line: &[u8], may_act: bool) -> Result<Request, NoRequest> {
    let no = |_| NoRequest::NotUnderstood;
    let question: Question<'_> = serde_json::from_slice(line).map_err(no)?;
    if !may_act && !Request::READS.contains(&&*question.ask) {
        return Err(NoRequest::Acts);
    }
    if question.ask == "people-import" {
        let Import { format, text, .. } = serde_json::from_slice(line).map_err(no)?;
        return Ok(Request::PeopleImport { format, text });
    }
    if question.ask == "submit" {
        let Submit { product, user_id, form, pictures, wait, .. } =
            serde_json::from_slice(line).map_err(no)?;
        return Ok(Request::Submit { product, user_id, form, pictures, wait });
    }
    if line.len() > SMALL {
        return Err(NoRequest::TooLong);
    }
    serde_json::from_slice(line).map_err(no)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootTime, ManualClock, SystemClock, Wall};
    use std::io::Write;

    /// What the other end's `bytes` are received as.
    fn received(bytes: &[u8], limit: usize) -> Result<Vec<u8>, NoRequest> {
        let (mut near, far) = UnixStream::pair().unwrap();
        let bytes = bytes.to_vec();
        let sender = std::thread::spawn(move || {
            let mut far = far;
            far.write_all(&bytes).ok();
        });
        let got = line(&mut near, limit, &SystemClock::new());
        drop(near);
        sender.join().unwrap();
        got
    }

    #[test]
    fn a_line_is_received_whole_up_to_its_limit() {
        let long = [vec![b'x'; 20_000], b"\n".to_vec()].concat();
        assert_eq!(received(&long, 20_000).map(|line| line.len()), Ok(20_000));
        assert_eq!(received(&long, 19_999), Err(NoRequest::TooLong));
        assert_eq!(received(b"{}\nmore", READ_LIMIT), Ok(b"{}".to_vec()));
        assert_eq!(received(b"{}", READ_LIMIT), Err(NoRequest::Early));
        assert_eq!(received(b"", READ_LIMIT), Err(NoRequest::Nothing));
    }

    /// A clock that goes on by four seconds each time it is read.
    struct Hasty(ManualClock);

    impl Clock for Hasty {
        fn boot(&self) -> BootTime {
            self.0.advance(Duration::from_secs(4));
            self.0.boot()
        }
        fn wall(&self) -> Wall {
            self.0.wall()
        }
        fn boot_id(&self) -> crate::clock::BootId {
            self.0.boot_id()
        }
    }

    #[test]
    fn a_client_that_sends_now_and_then_is_late_all_the_same() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let bytes = vec![b'x'; 100 * READ_LIMIT];
        // Something can always be read: only the deadline ends this.
        let sender = std::thread::spawn(move || drop(far.write_all(&bytes)));
        let clock = Hasty(ManualClock::new(BootTime::from_millis(0), Wall::Unknown));
        assert_eq!(line(&mut near, OPERATOR_LIMIT, &clock), Err(NoRequest::Late));
        drop(near);
        sender.join().unwrap();
    }

    #[test]
    fn a_reader_learns_that_it_may_not_act_before_the_rest_is_read() {
        for text in [
            r#"{"ask":"people-import","format":7}"#,
            r#"{"person":[0,0,0],"ask":"people-add"}"#,
            r#"{"ask":"claim"}"#,
        ] {
            assert_eq!(request(text.as_bytes(), false).err(), Some(NoRequest::Acts), "{text}");
        }
        assert!(matches!(request(br#"{"ask":"status"}"#, false), Ok(Request::Status)));
        for text in ["7", "{}", "[]", r#"{"ask":7}"#, r#"{"ask":"status","ask":"status"}"#, ""] {
            assert_eq!(request(text.as_bytes(), false).err(), Some(NoRequest::NotUnderstood), "{text}");
        }
    }

    #[test]
    fn only_an_import_may_be_long_and_it_is_texts() {
        let zeros = format!("[{}0]", "0,".repeat(SMALL));
        for (text, cause) in [
            (format!(r#"{{"ask":"people-add","person":{zeros}}}"#), NoRequest::TooLong),
            (format!(r#"{{"ask":"people-import","format":{zeros},"text":""}}"#), NoRequest::NotUnderstood),
            (r#"{"ask":"people-import","format":"csv","text":"","x":1}"#.into(), NoRequest::NotUnderstood),
        ] {
            assert_eq!(request(text.as_bytes(), true).err(), Some(cause));
        }
        let sent = Request::PeopleImport { format: "csv".into(), text: "x\n".repeat(SMALL) };
        let line = serde_json::to_vec(&sent).unwrap();
        assert!(
            matches!(request(&line, true), Ok(Request::PeopleImport { text, .. }) if text.len() == 2 * SMALL)
        );
    }
}
