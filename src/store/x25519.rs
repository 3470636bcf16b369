//! X25519 (RFC 7748): a secret that two keys agree on, for what is sealed to somebody who is not here.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The public key of a secret one.
pub fn public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// What this secret key and the other's public key agree on; `None` for a public key that would agree with everybody.
pub fn agree(secret: &[u8; 32], other: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*other));
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> [u8; 32] {
        let digits: Vec<u8> = hex.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
        let mut all = [0; 32];
        all.iter_mut().zip(digits.chunks(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
        all
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn both_sides_agree_as_in_the_rfc() {
        let alice = bytes("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099b2f61e95bb7a2fa62a");
        let bob = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        assert_eq!(public(&alice), bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
        let shared = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*agree(&alice, &public(&bob)).unwrap(), shared);
        assert_eq!(*agree(&bob, &public(&alice)).unwrap(), shared);
    }

    #[test]
    fn a_key_that_agrees_with_everybody_is_refused() {
        assert!(agree(&[7; 32], &[0; 32]).is_none());
    }
}
