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

    /// RFC 7748, section 5.2.
    #[test]
    fn both_sides_agree_as_in_the_rfc() {
        let secret = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let point = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let wanted = bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        assert_eq!(*agree(&secret, &point).unwrap(), wanted);
        let (one, two) = ([3; 32], [4; 32]);
        assert_eq!(agree(&one, &public(&two)).unwrap(), agree(&two, &public(&one)).unwrap());
    }

    #[test]
    fn a_key_that_agrees_with_everybody_is_refused() {
        assert!(agree(&[7; 32], &[0; 32]).is_none());
    }
}
