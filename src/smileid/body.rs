//! A request body made of pieces that are borrowed where they lie: pictures are never copied into one buffer.

use super::submission::Progress;
use std::borrow::Cow;
use std::io::{self, Read};

/// How much of a request's body was handed to the connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyProgress {
    /// Not a byte. The service cannot have the job.
    NotStarted,
    /// Some, but not the last byte. The service cannot have the whole job.
    Partly,
    /// The last byte too: from here on only an answer tells what became of it.
    Whole,
}

/// Pieces of known total length, read one after another.
///
/// Reading past the end is an error and not an end of file: an HTTP client that was promised more bytes would
/// otherwise wait for them for ever.
pub(crate) struct Body<'a, 'p> {
    pieces: Vec<Cow<'a, [u8]>>,
    piece: usize,
    offset: usize,
    length: u64,
    handed: u64,
    progress: Option<&'p mut dyn FnMut(Progress)>,
}

impl<'a, 'p> Body<'a, 'p> {
    /// A body of `pieces`, in this order.
    pub(crate) fn new(pieces: Vec<Cow<'a, [u8]>>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, piece: 0, offset: 0, length, handed: 0, progress: None }
    }

    /// Tells `progress` when the first and when the last byte is handed over.
    pub(crate) fn reporting(mut self, progress: &'p mut dyn FnMut(Progress)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Bytes in all: the Content-Length.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// How far it got.
    pub(crate) fn handed(&self) -> BodyProgress {
        match self.handed {
            // An empty body is complete with the headers.
            handed if handed >= self.length => BodyProgress::Whole,
            0 => BodyProgress::NotStarted,
            _ => BodyProgress::Partly,
        }
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        // Fill the whole buffer across pieces: each read becomes one TLS record.
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let Some(piece) = self.pieces.get(self.piece) else { break };
            let rest = piece.get(self.offset..).unwrap_or_default();
            let count = rest.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            filled += count;
            self.offset += count;
            if count == rest.len() {
                self.piece += 1;
                self.offset = 0;
            }
        }
        if filled == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "body read past its declared length"));
        }
        let before = self.handed;
        self.handed += filled as u64;
        if let Some(progress) = self.progress.as_mut().filter(|_| filled > 0) {
            if before == 0 {
                progress(Progress::Sending { bytes: self.length });
            }
            if self.handed == self.length {
                progress(Progress::Sent);
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reading_past_the_end_is_an_error() {
        let mut body = Body::new(vec![Cow::Borrowed(b"abc".as_slice())]);
        let mut buffer = [0; 8];
        assert_eq!(body.read(&mut buffer).unwrap(), 3);
        assert_eq!(body.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn progress_tells_first_and_last_byte_once() {
        let mut seen = Vec::new();
        let mut tell = |progress| seen.push(progress);
        let mut body = Body::new(vec![Cow::Borrowed(b"abcd".as_slice())]).reporting(&mut tell);
        let mut buffer = [0; 2];
        assert_eq!(body.handed(), BodyProgress::NotStarted);
        body.read_exact(&mut buffer).unwrap();
        assert_eq!(body.handed(), BodyProgress::Partly);
        body.read_exact(&mut buffer).unwrap();
        assert_eq!(body.handed(), BodyProgress::Whole);
        drop(body);
        assert_eq!(seen, [Progress::Sending { bytes: 4 }, Progress::Sent]);
    }

    #[test]
    fn an_empty_body_is_whole() {
        assert_eq!(Body::new(vec![]).handed(), BodyProgress::Whole);
    }

    proptest! {
        #[test]
        fn all_pieces_come_out_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            size in 1_usize..50,
        ) {
            let expected = pieces.concat();
            let mut body = Body::new(pieces.iter().map(|piece| Cow::Borrowed(piece.as_slice())).collect());
            prop_assert_eq!(body.length(), expected.len() as u64);
            let mut read = Vec::new();
            let mut buffer = vec![0; size];
            while read.len() < expected.len() {
                let count = body.read(&mut buffer).unwrap();
                read.extend_from_slice(&buffer[..count]);
            }
            prop_assert_eq!(read, expected);
            prop_assert_eq!(body.handed(), BodyProgress::Whole);
        }
    }
}
