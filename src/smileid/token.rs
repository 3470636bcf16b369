//! The v3 token: fetched when needed, kept by time since boot, dropped when the service refuses it.
//!
//! The device's wall clock plays no part: a token lives for the span its own claims name (`exp - iat`), less a
//! minute, from the moment it was asked for. The signature is the service's own affair.

use crate::clock::BootTime;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A token is not used in its last minute.
const MARGIN: Duration = Duration::from_secs(60);
/// Longest span that is believed.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest token that is taken.
const LENGTH_MAX: usize = 8 * 1024;

/// A token as it is sent.
#[derive(Clone)]
pub(crate) struct Token(SecretString);

impl Token {
    /// Takes a token that can be sent in a header.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let good = !text.is_empty() && text.len() <= LENGTH_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Self(SecretString::from(text)))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// How long it may be used from the moment it was asked for; `None` when it does not tell: use it once.
    fn life(&self) -> Option<Duration> {
        let payload = self.expose().split('.').nth(1)?;
        let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let second = |name: &str| claims.get(name)?.as_f64().filter(|value| value.is_finite());
        let life = second("exp")? - second("iat")?;
        Duration::try_from_secs_f64(life)
            .ok()?
            .min(LIFE_MAX)
            .checked_sub(MARGIN)
            .filter(|life| !life.is_zero())
    }
}

struct Kept {
    token: Token,
    until: BootTime,
}

/// The one token of a client.
#[derive(Default)]
pub(crate) struct TokenCache {
    kept: Mutex<Option<Kept>>,
}

impl TokenCache {
    /// The kept token, or the one that `fetch` brings. While one thread fetches the others wait for its result.
    pub(crate) fn token<E>(
        &self,
        now: impl Fn() -> BootTime,
        fetch: impl FnOnce() -> Result<Token, E>,
    ) -> Result<Token, E> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| now() < kept.until) {
            return Ok(kept.token.clone());
        }
        *kept = None;
        let asked = now();
        let token = fetch()?;
        if let Some(life) = token.life() {
            *kept = Some(Kept { token: token.clone(), until: asked.plus(life) });
        }
        Ok(token)
    }

    /// Forgets `refused`, unless another thread has put a newer one in its place.
    pub(crate) fn forget(&self, refused: &Token) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|kept| kept.token.expose() == refused.expose()) {
            *kept = None;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::convert::Infallible;

    /// A token with these claims and no real signature.
    pub(crate) fn token_of(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn fetched_at(cache: &TokenCache, now: u64, text: &str, count: &Cell<u32>) -> Token {
        let fetch = || {
            count.set(count.get() + 1);
            Ok::<_, Infallible>(Token::parse(text).unwrap())
        };
        cache.token(|| BootTime::from_millis(now * 1000), fetch).unwrap()
    }

    #[test]
    fn a_token_is_kept_until_a_minute_before_its_end_by_boot_time() {
        // The claims' own dates are far in the past: only their distance counts.
        let text = token_of(r#"{"iat":1000,"exp":1900}"#);
        let (cache, count) = (TokenCache::default(), Cell::new(0));
        for (now, fetches) in [(10, 1), (11, 1), (849, 1), (850, 2), (1689, 2), (1690, 3)] {
            fetched_at(&cache, now, &text, &count);
            assert_eq!(count.get(), fetches, "at {now}");
        }
    }

    #[test]
    fn a_token_that_does_not_tell_its_end_is_used_once() {
        for text in [
            "opaque".to_owned(),
            token_of("{}"),
            token_of(r#"{"iat":5,"exp":64}"#),
            token_of(r#"{"iat":900,"exp":5}"#),
            token_of(r#"{"iat":"1","exp":"900"}"#),
            token_of(r#"{"iat":0,"exp":1e999}"#),
            token_of("[1]"),
            "a.%%%.c".to_owned(),
        ] {
            let (cache, count) = (TokenCache::default(), Cell::new(0));
            fetched_at(&cache, 1, &text, &count);
            fetched_at(&cache, 1, &text, &count);
            assert_eq!(count.get(), 2, "{text}");
        }
    }

    #[test]
    fn forgetting_a_refused_token_spares_a_newer_one() {
        let (cache, count) = (TokenCache::default(), Cell::new(0));
        let old = Token::parse(&token_of(r#"{"iat":0,"exp":901}"#)).unwrap();
        let new = token_of(r#"{"iat":0,"exp":902}"#);
        fetched_at(&cache, 1, &new, &count);
        cache.forget(&old);
        fetched_at(&cache, 2, &new, &count);
        assert_eq!(count.get(), 1);
        cache.forget(&Token::parse(&new).unwrap());
        fetched_at(&cache, 3, &new, &count);
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn a_token_that_would_break_a_header_is_none() {
        for bad in ["", "a b", "a\r\nx: y", "é", &"a".repeat(LENGTH_MAX + 1)] {
            assert!(Token::parse(bad).is_none());
        }
    }
}
