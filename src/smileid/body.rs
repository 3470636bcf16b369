//! A request body made of pieces that are borrowed where they lie or read when their turn comes: pictures are never copied
//! into one buffer.

use super::picture::{Kept, Picture};
use super::submission::Progress;
use crate::store::Wiped;
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

/// One piece of a body.
#[derive(Clone)]
pub(crate) enum Piece<'a> {
    /// Heads and small values, or what is borrowed from memory.
    Bytes(Cow<'a, [u8]>),
    /// A picture that is read when its turn comes.
    Kept(&'a dyn Kept),
}

impl Piece<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Kept(kept) => kept.bytes(),
        }
    }
}

impl<'a> From<Picture<'a>> for Piece<'a> {
    fn from(picture: Picture<'a>) -> Self {
        match picture {
            Picture::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            Picture::Kept(kept) => Self::Kept(kept),
        }
    }
}

impl From<Vec<u8>> for Piece<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

/// Pieces of known total length, read one after another.
///
/// Reading past the end is an error and not an end of file: an HTTP client that was promised more bytes would
/// otherwise wait for them for ever.
pub(crate) struct Body<'a, 'p> {
    pieces: Vec<Piece<'a>>,
    piece: usize,
    /// Within the piece, or within what was read of it.
    offset: usize,
    /// Of a kept picture: which part is in memory.
    part: Option<(u32, Wiped)>,
    length: u64,
    handed: u64,
    progress: Option<&'p mut dyn FnMut(Progress)>,
}

impl<'a, 'p> Body<'a, 'p> {
    /// A body of `pieces`, in this order.
    pub(crate) fn new(pieces: Vec<Piece<'a>>) -> Self {
        let length = pieces.iter().map(Piece::bytes).sum();
        Self { pieces, piece: 0, offset: 0, part: None, length, handed: 0, progress: None }
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

    /// Copies what comes next into `room`; 0 when the piece is at its end and the next one is up.
    fn fill(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.get(self.piece) else { return Ok(0) };
        let rest = match piece {
            Piece::Bytes(bytes) => bytes.get(self.offset..).unwrap_or_default(),
            Piece::Kept(kept) => {
                let next = self
                    .part
                    .as_ref()
                    .map_or(0, |(index, part)| if self.offset < part.len() { *index } else { index + 1 });
                if self.part.as_ref().is_none_or(|(index, _)| *index != next) && next < kept.pieces() {
                    self.part = Some((next, kept.piece(next)?));
                    self.offset = 0;
                }
                let part = self.part.as_ref().map_or(&[][..], |(_, part)| part.as_slice());
                part.get(self.offset..).unwrap_or_default()
            }
        };
        let count = rest.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.offset += count;
        if count == 0 {
            self.piece += 1;
            self.offset = 0;
            self.part = None;
        }
        Ok(count)
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        // Fill the whole buffer across pieces: each read becomes one TLS record.
        while self.piece < self.pieces.len()
            && let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty())
        {
            filled += self.fill(room)?;
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

/// All bytes of a body.
#[cfg(test)]
pub(crate) fn all(pieces: Vec<Piece<'_>>) -> Vec<u8> {
    let mut body = Body::new(pieces);
    let mut bytes = vec![0; usize::try_from(body.length()).unwrap_or(0)];
    assert!(body.read_exact(&mut bytes).is_ok());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reading_past_the_end_is_an_error() {
        let mut body = Body::new(vec![Picture::Bytes(b"abc").into()]);
        let mut buffer = [0; 8];
        assert_eq!(body.read(&mut buffer).unwrap(), 3);
        assert_eq!(body.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn progress_tells_first_and_last_byte_once() {
        let mut seen = Vec::new();
        let mut tell = |progress| seen.push(progress);
        let mut body = Body::new(vec![Picture::Bytes(b"abcd").into()]).reporting(&mut tell);
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

    /// Kept in parts of this size.
    struct InParts(Vec<u8>, usize);

    impl Kept for InParts {
        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }
        fn pieces(&self) -> u32 {
            u32::try_from(self.0.chunks(self.1).count()).unwrap()
        }
        fn piece(&self, index: u32) -> io::Result<Wiped> {
            let part = self.0.chunks(self.1).nth(index as usize);
            part.map(|part| part.to_vec().into()).ok_or(io::ErrorKind::NotFound.into())
        }
        fn crc32(&self) -> u32 {
            crc32fast::hash(&self.0)
        }
        fn head(&self) -> &[u8] {
            &self.0
        }
    }

    /// A picture that is damaged from its second part on.
    struct Damaged;

    impl Kept for Damaged {
        fn bytes(&self) -> u64 {
            8
        }
        fn pieces(&self) -> u32 {
            2
        }
        fn piece(&self, index: u32) -> io::Result<Wiped> {
            if index == 0 { Ok(vec![1; 4].into()) } else { Err(io::ErrorKind::InvalidData.into()) }
        }
        fn crc32(&self) -> u32 {
            0
        }
        fn head(&self) -> &[u8] {
            &[1; 4]
        }
    }

    #[test]
    fn a_picture_that_cannot_be_read_to_its_end_was_not_sent_whole() {
        let mut body = Body::new(vec![Piece::Kept(&Damaged)]);
        let mut buffer = [0; 3];
        assert!(body.read_exact(&mut buffer).is_ok());
        assert!(body.read(&mut buffer).and_then(|_| body.read(&mut buffer)).is_err());
        assert_eq!(body.handed(), BodyProgress::Partly);
    }

    proptest! {
        #[test]
        fn kept_pictures_come_out_as_they_are(
            pictures in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..90), 1_usize..40), 0..6),
            size in 1_usize..50,
        ) {
            let kept: Vec<_> = pictures.into_iter().map(|(bytes, part)| InParts(bytes, part)).collect();
            let expected: Vec<u8> = kept.iter().flat_map(|picture| picture.0.clone()).collect();
            let mut body = Body::new(kept.iter().map(|picture| Picture::Kept(picture).into()).collect());
            prop_assert_eq!(body.length(), expected.len() as u64);
            let mut read = Vec::new();
            let mut buffer = vec![0; size];
            while read.len() < expected.len() {
                let count = body.read(&mut buffer).unwrap();
                read.extend_from_slice(&buffer[..count]);
            }
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn all_pieces_come_out_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            size in 1_usize..50,
        ) {
            let expected = pieces.concat();
            let mut body = Body::new(pieces.iter().map(|piece| Picture::Bytes(piece).into()).collect());
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
