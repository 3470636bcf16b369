//! The device key, and sealing with what is derived from it: XChaCha20-Poly1305 with a random nonce.
//!
//! A sealed value is one version byte, 24 bytes of nonce, the ciphertext and 16 bytes of tag. The `context` a
//! value is bound to names its row, so that a value moved to another row does not open.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{StoreError, files};
use crate::clock::Random;

const VERSION: u8 = 1;
const NONCE: usize = 24;
/// How much longer a sealed value is than the plain one: version, nonce and tag.
pub const OVERHEAD: usize = 1 + NONCE + 16;

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
    pub fn open_older(&self, until: i64, sealed: &[u8]) -> Result<Self, StoreError> {
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
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce);
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &bound(context) })
        .map_err(|_| StoreError::Unsealable { what: "a value that is too long to be sealed" })?;
    let mut bytes = Vec::with_capacity(1 + NONCE + sealed.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// Opens what [`seal`] made; `what` names it in the error.
pub fn open(
    key: &Secret,
    context: &[u8],
    sealed: &[u8],
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let refused = || StoreError::Unsealable { what };
    let (version, rest) = sealed.split_first().ok_or_else(refused)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or_else(refused)?;
    if *version != VERSION {
        return Err(refused());
    }
    cipher(key)
        .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &bound(context) })
        .map(Zeroizing::new)
        .map_err(|_| refused())
}

/// Opens a sealed key.
pub fn open_secret(
    key: &Secret,
    context: &[u8],
    sealed: &[u8],
    what: &'static str,
) -> Result<Secret, StoreError> {
    Secret::from_slice(&open(key, context, sealed, what)?).ok_or(StoreError::Unsealable { what })
}

fn cipher(key: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

fn bound(context: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(1 + context.len());
    aad.push(VERSION);
    aad.extend_from_slice(context);
    aad
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
            prop_assert_eq!(&*open(people.secret(), b"row 1", &sealed, "it").unwrap(), &plain);
            prop_assert!(open(people.secret(), b"row 2", &sealed, "it").is_err());
            prop_assert!(open(key(2).people().secret(), b"row 1", &sealed, "it").is_err());
            prop_assert!(open(key(1).queue().secret(), b"row 1", &sealed, "it").is_err());
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= flip;
            prop_assert!(open(people.secret(), b"row 1", &changed, "it").is_err());
            prop_assert!(open(people.secret(), b"row 1", &sealed[..at.index(sealed.len())], "it").is_err());
        }
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
