//! The device key, and sealing with what is derived from it: XChaCha20-Poly1305 with a random nonce.
//!
//! A sealed value is one version byte, 24 bytes of nonce, the ciphertext and 16 bytes of tag. The `context` a
//! value is bound to names its row, so that a value moved to another row does not open.
//!
//! Of the cipher, HChaCha20 makes a key and a short nonce out of the long one (draft-irtf-cfrg-xchacha, section 2.3); with these
//! ring does RFC 8439, which TLS brings along, in assembler for ARM too.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chacha20::{R20, hchacha};
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{StoreError, Wiped, files};
use crate::clock::Random;

const VERSION: u8 = 1;
const NONCE: usize = 24;
/// How much longer a sealed value is than the plain one: version, nonce and tag.
pub const OVERHEAD: usize = BODY + 16;
/// Where the ciphertext begins.
const BODY: usize = 1 + NONCE;

/// 32 secret bytes, wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A fresh random one.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut());
        Self(bytes)
    }

    /// The bytes, for a cipher or a MAC.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        (bytes.len() == secret.len()).then(|| {
            secret.copy_from_slice(bytes);
            Self(secret)
        })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The device's root secret. Only keys derived from it are used.
#[derive(Clone, Debug)]
pub struct DeviceKey(Secret);

macro_rules! derived {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Secret);

        impl $name {
            /// The key itself, for a cipher or a MAC.
            pub fn secret(&self) -> &Secret {
                &self.0
            }
        }
    };
}
derived! {
    /// Seals names and contact of people.
    PeopleKey
}
derived! {
    /// Wraps the random key of each job.
    QueueKey
}
derived! {
    /// Chains the events.
    AuditKey
}

impl DeviceKey {
    /// From bytes that come from elsewhere than a file of one's own, a systemd credential for example.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(Self)
    }

    /// Reads the key's file, or makes it. A wrong length, a file that others can read, and anything that is no
    /// file are refused: a key that is quietly replaced would lose every sealed row.
    pub fn load_or_create(path: &Path, random: &dyn Random) -> Result<Self, StoreError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, random),
            Err(error) => Err(StoreError::io("open", path, error)),
        }
    }

    /// Reads the key's file, as [`DeviceKey::load_or_create`].
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        File::open(path)
            .map_err(|error| StoreError::io("open", path, error))
            .and_then(|file| Self::read(path, file))
    }

    /// Makes a fresh key and its file, whatever was there.
    pub(super) fn create(path: &Path, random: &dyn Random) -> Result<Self, StoreError> {
        let key = Secret::random(random);
        files::write_durably(path, key.expose())?;
        Ok(Self(key))
    }

    fn read(path: &Path, mut file: File) -> Result<Self, StoreError> {
        let refuse = |why: String| StoreError::DeviceKey { path: path.to_owned(), why };
        let meta = file.metadata().map_err(|error| StoreError::io("look at", path, error))?;
        if !meta.is_file() {
            return Err(refuse("it is no file".into()));
        }
        let mode = meta.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(refuse(format!("its mode is {mode:04o}, others than the owner can use it")));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(33));
        Read::by_ref(&mut file)
            .take(33)
            .read_to_end(&mut bytes)
            .map_err(|error| StoreError::io("read", path, error))?;
        Self::from_bytes(&bytes).ok_or_else(|| refuse(format!("it has {} bytes instead of 32", meta.len())))
    }

    /// The key that seals people.
    pub fn people(&self) -> PeopleKey {
        PeopleKey(self.derive(b"latchd people 1"))
    }

    /// The key that wraps the keys of jobs.
    pub fn queue(&self) -> QueueKey {
        QueueKey(self.derive(b"latchd job keys 1"))
    }

    /// The key that chains events.
    pub fn audit(&self) -> AuditKey {
        AuditKey(self.derive(b"latchd events 1"))
    }

    fn derive(&self, purpose: &[u8]) -> Secret {
        Secret(Zeroizing::new(mac(&self.0, &[purpose])))
    }
}

impl AuditKey {
    /// Seals the key that signed the events up to `until` before this one.
    pub fn seal_older(&self, until: i64, older: &Self, random: &dyn Random) -> Result<Vec<u8>, StoreError> {
        seal(&self.keeper(), &until.to_be_bytes(), older.0.expose(), random)
    }

    /// The reverse of [`AuditKey::seal_older`].
    pub fn open_older(&self, until: i64, sealed: Vec<u8>) -> Result<Self, StoreError> {
        open_secret(&self.keeper(), &until.to_be_bytes(), sealed, "an older key of the events").map(Self)
    }

    fn keeper(&self) -> Secret {
        Secret(Zeroizing::new(mac(&self.0, &[b"latchd older keys of the events 1"])))
    }
}

/// HMAC-SHA256 over the parts, one after another.
pub fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length: a 32-byte one cannot be refused.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { std::process::abort() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Encrypts `plain` so that it opens only with `key` and for `context`.
pub fn seal(key: &Secret, context: &[u8], plain: &[u8], random: &dyn Random) -> Result<Vec<u8>, StoreError> {
    let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
    seal_into(&mut sealed, key, context, plain, random)?;
    Ok(sealed)
}

/// As [`seal`], in place of what `sealed` holds: for many values in a row.
pub fn seal_into(
    sealed: &mut Vec<u8>,
    key: &Secret,
    context: &[u8],
    plain: &[u8],
    random: &dyn Random,
) -> Result<(), StoreError> {
    let refused = || StoreError::Unsealable { what: "a value that is too long to be sealed" };
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce);
    sealed.clear();
    sealed.reserve(OVERHEAD + plain.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let (key, nonce) = cipher(key, &nonce).ok_or_else(refused)?;
    let body = sealed.get_mut(BODY..).ok_or_else(refused)?;
    let tag = key.seal_in_place_separate_tag(nonce, bound(context), body).map_err(|_| refused())?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(())
}

/// Opens what [`seal`] made; `what` names it in the error.
pub fn open(key: &Secret, context: &[u8], sealed: Vec<u8>, what: &'static str) -> Result<Wiped, StoreError> {
    let refused = || StoreError::Unsealable { what };
    let mut bytes = Wiped::from(sealed);
    let (version, rest) = bytes.split_first().ok_or_else(refused)?;
    let nonce = rest.first_chunk::<NONCE>().filter(|_| *version == VERSION).ok_or_else(refused)?;
    let (key, nonce) = cipher(key, nonce).ok_or_else(refused)?;
    // Opened in its own place and moved to the front.
    let length = key.open_within(nonce, bound(context), &mut bytes, BODY..).map_err(|_| refused())?.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Opens a sealed key.
pub fn open_secret(
    key: &Secret,
    context: &[u8],
    sealed: Vec<u8>,
    what: &'static str,
) -> Result<Secret, StoreError> {
    Secret::from_slice(&open(key, context, sealed, what)?).ok_or(StoreError::Unsealable { what })
}

fn cipher(key: &Secret, nonce: &[u8; NONCE]) -> Option<(LessSafeKey, Nonce)> {
    let (first, last) = nonce.split_first_chunk::<16>()?;
    let own: Zeroizing<[u8; 32]> = Zeroizing::new(hchacha::<R20>(key.expose().into(), first.into()).into());
    let mut short = [0; 12];
    short.get_mut(4..)?.copy_from_slice(last);
    let key = UnboundKey::new(&CHACHA20_POLY1305, own.as_slice()).ok()?;
    Some((LessSafeKey::new(key), Nonce::assume_unique_for_key(short)))
}

fn bound(context: &[u8]) -> Aad<Vec<u8>> {
    let mut aad = Vec::with_capacity(1 + context.len());
    aad.push(VERSION);
    aad.extend_from_slice(context);
    Aad::from(aad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;
    use proptest::prelude::*;

    fn key(byte: u8) -> DeviceKey {
        DeviceKey::from_bytes(&[byte; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_only_with_its_key_and_context(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let people = key(1).people();
            let sealed = seal(people.secret(), b"row 1", &plain, &SystemRandom).unwrap();
            prop_assert_eq!(&*open(people.secret(), b"row 1", sealed.clone(), "it").unwrap(), &plain);
            prop_assert!(open(people.secret(), b"row 2", sealed.clone(), "it").is_err());
            prop_assert!(open(key(2).people().secret(), b"row 1", sealed.clone(), "it").is_err());
            prop_assert!(open(key(1).queue().secret(), b"row 1", sealed.clone(), "it").is_err());
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= flip;
            prop_assert!(open(people.secret(), b"row 1", changed, "it").is_err());
            prop_assert!(open(people.secret(), b"row 1", sealed[..at.index(sealed.len())].to_vec(), "it").is_err());
        }
    }

    /// The cipher's own test vector: draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_cipher_is_the_published_one() {
        let key = Secret::from_slice(&std::array::from_fn::<u8, 32, _>(|at| 0x80 + at as u8)).unwrap();
        let nonce = std::array::from_fn::<u8, 24, _>(|at| 0x40 + at as u8);
        let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let mut text =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                         future, sunscreen would be it."
                .to_vec();
        let (key, nonce) = cipher(&key, &nonce).unwrap();
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut text).unwrap();
        assert_eq!(text[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        assert_eq!(tag.as_ref()[..8], [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79]);
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let people = key(1).people();
        let one = seal(people.secret(), b"", b"Ada", &SystemRandom).unwrap();
        assert_ne!(one, seal(people.secret(), b"", b"Ada", &SystemRandom).unwrap());
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let made = DeviceKey::load_or_create(&path, &SystemRandom).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let read = DeviceKey::load_or_create(&path, &SystemRandom).unwrap();
        assert_eq!(made.0.expose(), read.0.expose());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unfit_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        for (length, mode, word) in [(31, 0o600, "31 bytes"), (33, 0o600, "33 bytes"), (32, 0o640, "0640")] {
            std::fs::write(&path, vec![7; length]).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = DeviceKey::load_or_create(&path, &SystemRandom).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; length]);
        }
        assert!(matches!(
            DeviceKey::load_or_create(dir.path(), &SystemRandom),
            Err(StoreError::DeviceKey { .. } | StoreError::Io { .. })
        ));
    }

    #[test]
    fn debug_shows_no_key() {
        assert!(!format!("{:?} {:?}", key(0x41), key(0x41).audit()).contains("65"));
    }
}
