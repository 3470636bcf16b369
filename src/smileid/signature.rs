//! The v1 request signature: HMAC-SHA256 over time stamp, partner id and a fixed word, keyed with the API key.
//!
//! It covers no body and can be replayed; TLS and the comparison of ids carry the weight.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

fn mac(key: &SecretString, timestamp: &str, partner_id: &str) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length; `None` is for the type only and reads as "no valid signature".
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).ok()?;
    mac.update(timestamp.as_bytes());
    mac.update(partner_id.as_bytes());
    mac.update(b"sid_request");
    Some(mac)
}

/// The signature of `timestamp` as base64. The very text that is signed must be sent.
pub(crate) fn sign(key: &SecretString, timestamp: &str, partner_id: &str) -> String {
    mac(key, timestamp, partner_id)
        .map(|mac| STANDARD.encode(mac.finalize().into_bytes()))
        .unwrap_or_default()
}

/// Whether `signature` is that of the received `timestamp` text. Constant time in the signature's bytes.
pub(crate) fn verify(key: &SecretString, timestamp: &str, partner_id: &str, signature: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(signature) else { return false };
    mac(key, timestamp, partner_id).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: [(&str, &str, &str, &str); 5] = [
        ("test-key", "1234", "2026-01-02T03:04:05.000Z", "yY0jWq82u0GrukCY5figlLYrN2jKxiDTD9W9aBmmprI="),
        ("test-key", "1234", "2026-01-02T03:04:06.123Z", "1+qFjAJgrcB6pdWLjtUv36QCKoAbD4eMAVNnX4mNgSQ="),
        ("test-key", "001", "2026-01-02T03:04:05.000Z", "aBFTcHE0NkwLlBd08PRhdGF7dl/PG5VubNfDxkXkDlY="),
        ("test-key", "1", "2026-01-02T03:04:05.000Z", "YQiwj5MF1KlKuRL7Zqwr/drhuK62O81U2p0NlQwp96o="),
        ("kéy", "1234", "2026-01-02T03:04:05.000Z", "fsU3hbUADOwU42RM1QNtYPhwzqw8Qg3yAyyKfaDcr6s="),
    ];

    #[test]
    fn signatures_are_those_of_the_official_client() {
        for (key, partner, timestamp, signature) in VECTORS {
            let key = SecretString::from(key);
            assert_eq!(sign(&key, timestamp, partner), signature);
            assert!(verify(&key, timestamp, partner, signature));
        }
    }

    #[test]
    fn anything_else_is_not_our_signature() {
        let key = SecretString::from("test-key");
        let (_, partner, timestamp, signature) = VECTORS[0];
        assert!(!verify(&key, "2026-01-02T03:04:05.001Z", partner, signature));
        assert!(!verify(&key, timestamp, "01234", signature));
        assert!(!verify(&SecretString::from("test-keY"), timestamp, partner, signature));
        for bad in ["", "yY0jWq82u0GrukCY5figlLYrN2jKxiDTD9W9aBmmprI", "!!", &signature[4..]] {
            assert!(!verify(&key, timestamp, partner, bad), "{bad}");
        }
    }
}
