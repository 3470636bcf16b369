//! Keyed sums: the v1 signature, the v3 token, the upload URL, and comparisons that take the same time for every wrong
//! guess.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // INVARIANT: HMAC takes a key of any length.
    #[allow(clippy::expect_used)]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes every key");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The v1 signature: base64 of HMAC-SHA256, keyed with the API key as text, over timestamp, partner id and
/// `sid_request`. The timestamp is the very text that is sent.
pub(super) fn sign_v1(api_key: &str, timestamp: &str, partner_id: &str) -> String {
    let sum = mac(api_key.as_bytes(), &[timestamp.as_bytes(), partner_id.as_bytes(), b"sid_request"]);
    STANDARD.encode(sum.finalize().into_bytes())
}

/// Whether `signature` is the one of [`sign_v1`], in constant time.
pub(super) fn verify_v1(api_key: &str, timestamp: &str, partner_id: &str, signature: &str) -> bool {
    STANDARD.decode(signature).is_ok_and(|sum| {
        mac(api_key.as_bytes(), &[timestamp.as_bytes(), partner_id.as_bytes(), b"sid_request"])
            .verify_slice(&sum)
            .is_ok()
    })
}

/// Whether two secrets are the same text, without telling by time where they differ.
pub(super) fn same_secret(ours: &str, theirs: &str) -> bool {
    let sum = mac(theirs.as_bytes(), &[b"same"]).finalize().into_bytes();
    mac(ours.as_bytes(), &[b"same"]).verify_slice(&sum).is_ok()
}

/// Signs the right to store one object until `expires` (Unix seconds).
pub(super) fn sign_upload(api_key: &str, object: &str, expires: &str) -> String {
    URL_SAFE_NO_PAD.encode(
        mac(api_key.as_bytes(), &[b"sandbox upload\0", object.as_bytes(), b"\0", expires.as_bytes()])
            .finalize()
            .into_bytes(),
    )
}

/// Whether `signature` is the one of [`sign_upload`].
pub(super) fn verify_upload(api_key: &str, object: &str, expires: &str, signature: &str) -> bool {
    URL_SAFE_NO_PAD.decode(signature).is_ok_and(|sum| {
        mac(api_key.as_bytes(), &[b"sandbox upload\0", object.as_bytes(), b"\0", expires.as_bytes()])
            .verify_slice(&sum)
            .is_ok()
    })
}

/// What a v3 token says. Times in Unix seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Claims {
    pub issued: i64,
    pub expires: i64,
    pub partner_id: String,
    pub api_url: String,
    pub user_id: Option<String>,
    pub product: Option<String>,
}

/// Keyed with the API key, so that a token outlives a restart of the sandbox as it outlives one of the service.
fn token_sum(api_key: &str, signed: &[u8]) -> Hmac<Sha256> {
    mac(api_key.as_bytes(), &[b"sandbox token\0", signed])
}

/// Makes a JWT (HS256) of `claims`.
pub(super) fn mint_token(api_key: &str, claims: &Claims) -> String {
    let mut body = json!({
        "iat": claims.issued, "exp": claims.expires, "partner_id": claims.partner_id, "api_url": claims.api_url,
        "payload": {}, "policy": 0,
    });
    if let Some(fields) = body.as_object_mut() {
        for (name, value) in [("user_id", &claims.user_id), ("product", &claims.product)] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), Value::from(value.as_str()));
            }
        }
    }
    let mut token = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(body.to_string()));
    let sum = token_sum(api_key, token.as_bytes()).finalize().into_bytes();
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(sum));
    token
}

/// Reads a token that [`mint_token`] made with this key; `None` for any other. Expiry is the caller's to judge.
pub(super) fn read_token(api_key: &str, token: &str) -> Option<Claims> {
    let (signed, sum) = token.rsplit_once('.')?;
    token_sum(api_key, signed.as_bytes()).verify_slice(&URL_SAFE_NO_PAD.decode(sum).ok()?).ok()?;
    let (_, body) = signed.split_once('.')?;
    let body: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Claims {
        issued: body.get("iat")?.as_i64()?,
        expires: body.get("exp")?.as_i64()?,
        partner_id: text("partner_id")?,
        api_url: text("api_url")?,
        user_id: text("user_id"),
        product: text("product"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors computed with the official Python library; the first also with openssl.
    #[test]
    fn the_v1_signature_is_the_official_one() {
        for (key, partner, timestamp, expected) in [
            ("test-key", "1234", "2026-01-02T03:04:05.000Z", "yY0jWq82u0GrukCY5figlLYrN2jKxiDTD9W9aBmmprI="),
            ("test-key", "1234", "2026-01-02T03:04:06.123Z", "1+qFjAJgrcB6pdWLjtUv36QCKoAbD4eMAVNnX4mNgSQ="),
            ("test-key", "001", "2026-01-02T03:04:05.000Z", "aBFTcHE0NkwLlBd08PRhdGF7dl/PG5VubNfDxkXkDlY="),
            ("test-key", "1", "2026-01-02T03:04:05.000Z", "YQiwj5MF1KlKuRL7Zqwr/drhuK62O81U2p0NlQwp96o="),
            ("kéy", "1234", "2026-01-02T03:04:05.000Z", "fsU3hbUADOwU42RM1QNtYPhwzqw8Qg3yAyyKfaDcr6s="),
        ] {
            assert_eq!(sign_v1(key, timestamp, partner), expected);
            assert!(verify_v1(key, timestamp, partner, expected));
            assert!(!verify_v1(key, timestamp, "12345", expected));
            assert!(!verify_v1("other", timestamp, partner, expected));
        }
        assert!(!verify_v1("test-key", "t", "1", "not base64 ?"));
    }

    fn claims() -> Claims {
        Claims {
            issued: 1_767_323_045,
            expires: 1_767_323_945,
            partner_id: "1234".into(),
            api_url: "https://127.0.0.1:1/v3".into(),
            user_id: Some("u-1".into()),
            product: None,
        }
    }

    #[test]
    fn a_token_is_read_by_its_own_key_only() {
        let token = mint_token("key", &claims());
        assert_eq!(read_token("key", &token), Some(claims()));
        assert_eq!(read_token("another", &token), None);
        assert_eq!(read_token("key", ""), None);
    }

    #[test]
    fn a_token_with_one_letter_changed_is_foreign() {
        let token = mint_token("key", &claims());
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            // The last letter of unpadded base64 may carry unused bits; a decoder that refuses them is as good.
            assert_eq!(read_token("key", &forged), None, "letter {index}");
        }
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret("k1", "k1"));
        assert!(!same_secret("k1", "k12"));
        assert!(!same_secret("k1", ""));
    }
}
