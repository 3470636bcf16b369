//! The keys of a set, and its frames.

use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::clock::Random;
use crate::queue::QueueError;
use crate::store::seal::{self, OVERHEAD, Secret, mac};
use crate::store::{Wiped, x25519};

/// The first line of a set.
const MAGIC: &[u8] = b"latchd job set 1\n";
/// What stands before a key in its file.
const PUBLIC: &str = "latchd-set-recipient-1 ";
const PRIVATE: &str = "latchd-set-key-1 ";
/// Most bytes of a frame before it is sealed: the kind and a part of a picture.
const FRAME: usize = 1 + 64 * 1024;
/// Marks the last frame.
const LAST: u32 = 1 << 31;

/// Whom a set is for. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Public([u8; 32]);

/// Who can read a set.
#[derive(Clone)]
pub struct Private(Secret);

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private(hidden)")
    }
}

fn key_in(text: &str, what: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim_end().strip_prefix(what)?).ok()?);
    (bytes.len() == 32).then_some(bytes)
}

impl Public {
    /// Reads what [`Public::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, QueueError> {
        let bytes = key_in(text, PUBLIC).and_then(|bytes| bytes.as_slice().try_into().ok());
        bytes.map(Self).ok_or(QueueError::Set("this is no recipient's key; `latchd queue keygen` makes one"))
    }

    /// One line.
    pub fn to_text(self) -> String {
        format!("{PUBLIC}{}\n", STANDARD.encode(self.0))
    }
}

impl Private {
    /// A fresh one.
    pub fn random(random: &dyn Random) -> Self {
        Self(Secret::random(random))
    }

    /// Reads what [`Private::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, QueueError> {
        let bytes = key_in(text, PRIVATE).and_then(|bytes| Secret::from_slice(&bytes));
        bytes
            .map(Self)
            .ok_or(QueueError::Set("this is no key that opens a set; `latchd queue keygen` makes one"))
    }

    /// One line.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PRIVATE}{}\n", STANDARD.encode(self.0.expose())))
    }

    /// What sets are encrypted to.
    pub fn public(&self) -> Public {
        Public(x25519::public(self.0.expose()))
    }
}

fn frame_key(shared: &Zeroizing<[u8; 32]>, once: &[u8; 32], recipient: &Public) -> Option<Secret> {
    let shared = Secret::from_slice(shared.as_slice())?;
    Secret::from_slice(&mac(&shared, &[b"latchd job set 1", once, &recipient.0]))
}

/// What a frame is bound to.
fn bound(once: &[u8; 32], number: u64, last: bool) -> Vec<u8> {
    [once.as_slice(), &number.to_be_bytes(), &[u8::from(last)]].concat()
}

/// Writes frames.
pub struct Frames<'a, W: Write> {
    out: W,
    key: Secret,
    once: [u8; 32],
    number: u64,
    random: &'a dyn Random,
}

impl<'a, W: Write> Frames<'a, W> {
    /// Begins a set for `recipient`.
    pub fn begin(mut out: W, recipient: &Public, random: &'a dyn Random) -> Result<Self, QueueError> {
        let secret = Secret::random(random);
        let once = x25519::public(secret.expose());
        let shared = x25519::agree(secret.expose(), &recipient.0);
        let key = shared.and_then(|shared| frame_key(&shared, &once, recipient));
        let key = key.ok_or(QueueError::Set("the recipient's key is none that only one can open"))?;
        for part in [MAGIC, &recipient.0, &once] {
            out.write_all(part).map_err(QueueError::SetFile)?;
        }
        Ok(Self { out, key, once, number: 0, random })
    }

    /// The set's own name: its public key's first bytes.
    pub fn name(&self) -> String {
        name(&self.once)
    }

    /// Writes one.
    pub fn write(&mut self, kind: u8, bytes: &[u8], last: bool) -> Result<(), QueueError> {
        let mut plain = Wiped::from(Vec::with_capacity(1 + bytes.len()));
        plain.push(kind);
        plain.extend_from_slice(bytes);
        let sealed = seal::seal(&self.key, &bound(&self.once, self.number, last), &plain, self.random)?;
        self.number += 1;
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX) | if last { LAST } else { 0 };
        self.out.write_all(&length.to_be_bytes()).map_err(QueueError::SetFile)?;
        self.out.write_all(&sealed).map_err(QueueError::SetFile)
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

fn name(once: &[u8; 32]) -> String {
    once.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What a frame holds: its kind and its content.
pub type Frame = (u8, Wiped);

/// Reads frames.
pub struct Unframe<R: Read> {
    input: R,
    key: Secret,
    once: [u8; 32],
    number: u64,
    over: bool,
}

const CUT: QueueError = QueueError::Set("it is cut off");

fn fill(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), QueueError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => CUT,
        _ => QueueError::SetFile(error),
    })
}

impl<R: Read> Unframe<R> {
    /// Begins to read a set.
    pub fn begin(mut input: R, key: &Private) -> Result<Self, QueueError> {
        let (mut magic, mut recipient, mut once) = ([0; MAGIC.len()], [0; 32], [0; 32]);
        fill(&mut input, &mut magic)?;
        if magic != MAGIC {
            return Err(QueueError::Set("this is no job set"));
        }
        fill(&mut input, &mut recipient)?;
        fill(&mut input, &mut once)?;
        if key.public().0 != recipient {
            return Err(QueueError::Set("it was made for another key"));
        }
        let shared = x25519::agree(key.0.expose(), &once);
        let key = shared.and_then(|shared| frame_key(&shared, &once, &Public(recipient)));
        let key = key.ok_or(QueueError::Set("its beginning is damaged"))?;
        Ok(Self { input, key, once, number: 0, over: false })
    }

    /// The set's own name.
    pub fn name(&self) -> String {
        name(&self.once)
    }

    /// The next frame; `None` after the last, behind which there is nothing.
    pub fn frame(&mut self) -> Result<Option<Frame>, QueueError> {
        if self.over {
            return match self.input.read(&mut [0]) {
                Ok(0) => Ok(None),
                Ok(_) => Err(QueueError::Set("something follows its end")),
                Err(error) => Err(QueueError::SetFile(error)),
            };
        }
        let mut length = [0; 4];
        fill(&mut self.input, &mut length)?;
        let length = u32::from_be_bytes(length);
        let (last, length) = (length & LAST != 0, (length & !LAST) as usize);
        if length > FRAME + OVERHEAD {
            return Err(QueueError::Set("a part of it was changed"));
        }
        let mut sealed = vec![0; length];
        fill(&mut self.input, &mut sealed)?;
        let context = bound(&self.once, self.number, last);
        let mut plain = seal::open(&self.key, &context, sealed, "a part of a job set")
            .map_err(|_| QueueError::Set("a part of it was changed"))?;
        self.number += 1;
        self.over = last;
        if plain.is_empty() {
            return Err(QueueError::Set("it has an empty part"));
        }
        let kind = plain.remove(0);
        Ok(Some((kind, plain)))
    }
}
