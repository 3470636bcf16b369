//! X25519 (RFC 7748): a secret that two keys agree on, for what is sealed to somebody who is not here.
//!
//! The libraries of this program keep no lasting keys of this kind, only such as live for one connection, so the ladder is
//! written out here: no branch and no address depends on a secret. It is held against the vectors of the RFC and, on
//! random keys, against ring.

use zeroize::Zeroizing;

/// A number modulo 2^255 - 19, in five parts of 51 bits, the least first.
type Field = [u64; 5];

const MASK: u64 = (1 << 51) - 1;
/// Four times the modulus, so that a difference stays positive.
const FOUR_P: Field = [4 * (MASK - 18), 4 * MASK, 4 * MASK, 4 * MASK, 4 * MASK];
const ZERO: Field = [0; 5];
const ONE: Field = [1, 0, 0, 0, 0];
/// The modulus less two, as bytes from the least: the exponent that inverts.
const INVERSE: [u8; 32] = {
    let mut exponent = [0xff; 32];
    exponent[0] = 0xeb;
    exponent[31] = 0x7f;
    exponent
};

/// The point whose multiples are public keys.
const BASE: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};

/// The public key of a secret one.
pub fn public(secret: &[u8; 32]) -> [u8; 32] {
    ladder(secret, &BASE)
}

/// What this secret key and the other's public key agree on; `None` for a public key that would agree with everybody.
pub fn agree(secret: &[u8; 32], other: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(ladder(secret, other));
    let any = shared.iter().fold(0, |any, byte| any | byte);
    (any != 0).then_some(shared)
}

fn ladder(secret: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    let mut scalar = Zeroizing::new(*secret);
    let [first, .., last] = &mut *scalar;
    *first &= 248;
    *last = *last & 127 | 64;
    let u = decode(point);
    let (mut x2, mut z2, mut x3, mut z3) = (ONE, ZERO, u, ONE);
    let mut swapped = 0;
    for byte in scalar.iter().rev() {
        for bit in (0..8).rev() {
            let bit = u64::from(byte >> bit & 1);
            swap(swapped ^ bit, &mut x2, &mut x3);
            swap(swapped ^ bit, &mut z2, &mut z3);
            swapped = bit;
            let (sum2, difference2) = (add(x2, z2), subtract(x2, z2));
            let (sum3, difference3) = (add(x3, z3), subtract(x3, z3));
            let (squared, squared_difference) = (multiply(sum2, sum2), multiply(difference2, difference2));
            let e = subtract(squared, squared_difference);
            let (da, cb) = (multiply(difference3, sum2), multiply(sum3, difference2));
            let (sum, difference) = (add(da, cb), subtract(da, cb));
            x3 = multiply(sum, sum);
            z3 = multiply(u, multiply(difference, difference));
            x2 = multiply(squared, squared_difference);
            z2 = multiply(e, add(squared, multiply(e, [121_665, 0, 0, 0, 0])));
        }
    }
    swap(swapped, &mut x2, &mut x3);
    swap(swapped, &mut z2, &mut z3);
    encode(multiply(x2, invert(z2)))
}

/// Exchanges the two when `condition` is 1, in the same time as when it is 0.
fn swap(condition: u64, a: &mut Field, b: &mut Field) {
    let mask = condition.wrapping_neg();
    for (a, b) in a.iter_mut().zip(b) {
        let difference = mask & (*a ^ *b);
        *a ^= difference;
        *b ^= difference;
    }
}

fn add([a0, a1, a2, a3, a4]: Field, [b0, b1, b2, b3, b4]: Field) -> Field {
    [a0 + b0, a1 + b1, a2 + b2, a3 + b3, a4 + b4]
}

fn subtract(a: Field, [b0, b1, b2, b3, b4]: Field) -> Field {
    let [a0, a1, a2, a3, a4] = add(a, FOUR_P);
    [a0 - b0, a1 - b1, a2 - b2, a3 - b3, a4 - b4]
}

fn multiply(a: Field, b: Field) -> Field {
    let [a0, a1, a2, a3, a4] = a.map(u128::from);
    let [b0, b1, b2, b3, b4] = b.map(u128::from);
    let c0 = a0 * b0 + 19 * (a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1);
    let c1 = a0 * b1 + a1 * b0 + 19 * (a2 * b4 + a3 * b3 + a4 * b2);
    let c2 = a0 * b2 + a1 * b1 + a2 * b0 + 19 * (a3 * b4 + a4 * b3);
    let c3 = a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + 19 * a4 * b4;
    let c4 = a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0;
    carry([c0, c1, c2, c3, c4])
}

/// Brings the parts below 2^51, but for a little that the next multiplication takes.
fn carry([c0, c1, c2, c3, c4]: [u128; 5]) -> Field {
    let mask = u128::from(MASK);
    let c1 = c1 + (c0 >> 51);
    let c2 = c2 + (c1 >> 51);
    let c3 = c3 + (c2 >> 51);
    let c4 = c4 + (c3 >> 51);
    let c0 = (c0 & mask) + 19 * (c4 >> 51);
    let c1 = (c1 & mask) + (c0 >> 51);
    // Each of them is far below 2^64 now.
    [c0 & mask, c1, c2 & mask, c3 & mask, c4 & mask].map(|part| part as u64)
}

fn invert(z: Field) -> Field {
    let mut power = ONE;
    for byte in INVERSE.iter().rev() {
        for bit in (0..8).rev() {
            power = multiply(power, power);
            // The exponent is no secret.
            if byte >> bit & 1 == 1 {
                power = multiply(power, z);
            }
        }
    }
    power
}

fn decode(bytes: &[u8; 32]) -> Field {
    let mut words = [0; 4];
    for (word, eight) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*eight);
    }
    let [w0, w1, w2, w3] = words;
    [w0, w0 >> 51 | w1 << 13, w1 >> 38 | w2 << 26, w2 >> 25 | w3 << 39, w3 >> 12].map(|part| part & MASK)
}

fn encode(number: Field) -> [u8; 32] {
    let [f0, f1, f2, f3, f4] = carry(carry(number.map(u128::from)).map(u128::from));
    // Whether the modulus must be taken away once more.
    let over = [f0 + 19, f1, f2, f3, f4].into_iter().fold(0, |carried, part| {
        // The first part has its 19 already.
        (part + carried) >> 51
    });
    let f0 = f0 + 19 * over;
    let f1 = f1 + (f0 >> 51);
    let f2 = f2 + (f1 >> 51);
    let f3 = f3 + (f2 >> 51);
    let f4 = f4 + (f3 >> 51);
    let [f0, f1, f2, f3, f4] = [f0, f1, f2, f3, f4].map(|part| part & MASK);
    let words = [f0 | f1 << 51, f1 >> 13 | f2 << 38, f2 >> 26 | f3 << 25, f3 >> 39 | f4 << 12];
    let mut bytes = [0; 32];
    for (eight, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *eight = word.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};

    fn hex(text: &str) -> [u8; 32] {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    /// RFC 7748, 5.2.
    #[test]
    fn the_vectors_of_the_rfc_hold() {
        for (scalar, point, expected) in [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
            ),
        ] {
            assert_eq!(ladder(&hex(scalar), &hex(point)), hex(expected));
        }
    }

    /// RFC 7748, 5.2: the function applied to its own results.
    #[test]
    fn a_thousand_rounds_end_where_the_rfc_says() {
        let (mut k, mut u) = (BASE, BASE);
        for round in 1..=1000 {
            (k, u) = (ladder(&k, &u), k);
            if round == 1 {
                assert_eq!(k, hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
            }
        }
        assert_eq!(k, hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    }

    proptest! {
        #[test]
        fn ring_agrees(secret in any::<[u8; 32]>()) {
            let theirs = EphemeralPrivateKey::generate(&X25519, &ring::rand::SystemRandom::new()).unwrap();
            let their_public: [u8; 32] = theirs.compute_public_key().unwrap().as_ref().try_into().unwrap();
            let ours = agree(&secret, &their_public).unwrap();
            let our_public = UnparsedPublicKey::new(&X25519, public(&secret));
            let same = agree_ephemeral(theirs, &our_public, |shared| shared == ours.as_slice()).unwrap();
            prop_assert!(same);
        }
    }

    #[test]
    fn a_point_that_agrees_with_everybody_is_refused() {
        let p = hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        let one = hex("0100000000000000000000000000000000000000000000000000000000000000");
        for point in [[0; 32], one, p] {
            assert!(agree(&[7; 32], &point).is_none(), "{point:02x?}");
        }
    }
}
