//! What the client must know, checked once: a value of [`Settings`] is usable.

use super::broker::Broker;
use super::submission::check_partner_params;
use crate::config::model::{Api, Environment, Geo, Smile};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where trust in the server's certificate comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The system's certificate store.
    System,
    /// The PEM certificates of this file, and no others.
    CaFile(PathBuf),
}

/// Limits of time. Each is a total, so that a server that drips bytes is cut as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Name look-up, TCP and TLS, each.
    pub connect: Duration,
    /// One request's body.
    pub send: Duration,
    /// One answer's head, and again its body.
    pub answer: Duration,
}

/// Checked settings of a [`super::Client`].
#[derive(Clone)]
pub struct Settings {
    pub(crate) api: Api,
    pub(crate) base: String,
    pub(crate) trust: Trust,
    /// As the portal shows it: v1 signs and sends the leading zeros.
    pub(crate) partner_id: String,
    /// Of no meaning when there is a broker.
    pub(crate) api_key: SecretString,
    pub(crate) broker: Option<Broker>,
    pub(crate) callback_url: Option<String>,
    pub(crate) timeouts: Timeouts,
    pub(crate) source_sdk: String,
    pub(crate) source_sdk_version: String,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmileError {
    /// The service's address is not plain https.
    #[error("[smile] base_url is not an https address without query, fragment or user: {0}")]
    BaseUrl(String),
    /// The callback address is not plain https.
    #[error("[smile] callback_url is not an https address: {0}")]
    CallbackUrl(String),
    /// The partner id is not a number.
    #[error("[smile] partner_id must be digits as the portal shows them, and not zero")]
    PartnerId,
    /// The key cannot be sent in a header.
    #[error("the API key is empty or has characters other than visible ASCII")]
    ApiKey,
    /// The broker's section cannot work.
    #[error("[smile.broker] {0}")]
    Broker(String),
    /// A free field cannot be sent.
    #[error("[smile.partner_params] {0}")]
    PartnerParams(String),
    /// The file of certificates cannot be read.
    #[error("[smile] ca_file {file}: {reason}", file = .file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Not one certificate to trust was found.
    #[error("no certificate to trust in {place} ({unusable} unusable)")]
    NoCertificates {
        /// The file, or the system's store.
        place: String,
        /// Entries that were no certificates.
        unusable: usize,
    },
    /// The TLS library refused its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl SmileError {
    /// What an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BaseUrl(_) => "write https://host, or remove base_url to use the service's own address",
            Self::CallbackUrl(_) => {
                "write an https address of the portal's allow-list, or remove callback_url"
            }
            Self::PartnerId => "copy the partner id from the portal",
            Self::ApiKey => {
                "copy the API key of this environment from the portal into the key file, on one line"
            }
            Self::Broker(_) => {
                "give url and a credential_file, or client_cert_file and client_key_file; see docs/configuration.md"
            }
            Self::PartnerParams(_) => "rename or shorten the field",
            Self::CaFile { .. } => "give a readable PEM file",
            Self::NoCertificates { .. } => "install ca-certificates, or set [smile] ca_file to a PEM file",
            Self::Tls(_) => "report this with the output of `latchd doctor`",
        }
    }
}

impl Settings {
    /// Checks the file's section. Without `base_url` the environment names the address.
    pub fn from_config(smile: &Smile, api_key: SecretString) -> Result<Self, SmileError> {
        let base = smile.base_url.as_deref().unwrap_or(match smile.environment {
            Environment::Production => "https://api.smileidentity.com",
            Environment::Sandbox => "https://testapi.smileidentity.com",
        });
        check_partner_params(&smile.partner_params, smile.geo.is_some())
            .map_err(SmileError::PartnerParams)?;
        let millis = |value: u32| Duration::from_millis(u64::from(value));
        let settings = Self {
            api: smile.api,
            base: base.trim_end_matches('/').to_owned(),
            trust: smile.ca_file.clone().map_or(Trust::System, Trust::CaFile),
            partner_id: smile.partner_id.clone(),
            api_key,
            broker: smile.broker.as_ref().map(Broker::from_config).transpose()?,
            callback_url: smile.callback_url.clone().filter(|url| !url.is_empty()),
            timeouts: Timeouts {
                connect: millis(smile.connect_timeout_ms),
                send: millis(smile.send_timeout_ms),
                answer: millis(smile.answer_timeout_ms),
            },
            source_sdk: "rest_api".to_owned(),
            source_sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The same settings with other limits of time.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    fn check(&self) -> Result<(), SmileError> {
        if self.broker.is_some() && self.api != Api::V3 {
            return Err(SmileError::Broker("tokens are v3's: api must be \"v3\"".to_owned()));
        }
        if !is_plain_https(&self.base, false) {
            return Err(SmileError::BaseUrl(shown(&self.base)));
        }
        if let Some(url) = &self.callback_url
            && !is_plain_https(url, true)
        {
            return Err(SmileError::CallbackUrl(shown(url)));
        }
        let digits = !self.partner_id.is_empty()
            && self.partner_id.len() <= 20
            && self.partner_id.bytes().all(|b| b.is_ascii_digit());
        if !digits || self.unpadded_partner_id().is_empty() {
            return Err(SmileError::PartnerId);
        }
        let key = self.api_key.expose_secret();
        if key.is_empty() || key.len() > 1024 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SmileError::ApiKey);
        }
        Ok(())
    }

    /// Host and port of the service.
    pub fn host(&self) -> (String, u16) {
        let uri = self.base.parse::<ureq::http::Uri>().unwrap_or_default();
        (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(443))
    }

    /// v3 wants the partner id without leading zeros.
    pub(crate) fn unpadded_partner_id(&self) -> &str {
        self.partner_id.trim_start_matches('0')
    }
}

/// An https address with a host, without user, fragment, white space and (unless `query`) query.
pub(crate) fn is_plain_https(url: &str, query: bool) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    if url.len() > 8192 || !url.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['#', '\\']) {
        return false;
    }
    if !query && rest.contains('?') {
        return false;
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    !authority.is_empty()
        && !authority.starts_with(':')
        && !authority.contains('@')
        && url.parse::<ureq::http::Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

/// An address as it may be printed: without a user's password and without the query.
fn shown(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let bare = match bare.rsplit_once('@') {
        Some((_, host)) => host,
        None => bare,
    };
    super::failure::one_line(bare)
}

/// The position as partner params: text, as all free fields are.
pub(crate) fn geo_params(geo: Geo) -> BTreeMap<String, String> {
    let mut params = BTreeMap::from([
        ("latitude".to_owned(), geo.latitude.to_string()),
        ("longitude".to_owned(), geo.longitude.to_string()),
    ]);
    if let Some(altitude) = geo.altitude {
        params.insert("altitude".to_owned(), altitude.to_string());
    }
    params
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("api", &self.api)
            .field("base", &self.base)
            .field("trust", &self.trust)
            .field("partner_id", &self.partner_id)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smile() -> Smile {
        Smile { partner_id: "0012".into(), ..Smile::default() }
    }

    fn key() -> SecretString {
        SecretString::from("k3y-of-a-test")
    }

    #[test]
    fn the_environment_names_the_address() {
        let settings = Settings::from_config(&smile(), key()).unwrap();
        assert_eq!(settings.base, "https://api.smileidentity.com");
        assert_eq!(settings.unpadded_partner_id(), "12");
        let sandbox = Smile { environment: Environment::Sandbox, ..smile() };
        assert_eq!(Settings::from_config(&sandbox, key()).unwrap().base, "https://testapi.smileidentity.com");
    }

    #[test]
    fn err_addresses_that_are_not_plain_https() {
        for bad in [
            "http://api.smileidentity.com",
            "https://",
            "https:///v3",
            "https://user:secret@host",
            "https://host/?a=b",
            "https://host/#x",
            "https://ho st",
            "ftp://host",
            "host",
            "https://host\\@evil",
        ] {
            let smile = Smile { base_url: Some(bad.into()), ..smile() };
            let error = Settings::from_config(&smile, key()).unwrap_err();
            assert!(matches!(error, SmileError::BaseUrl(_)), "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for good in ["https://127.0.0.1:8443", "https://[::1]:8443/", "https://gateway.example/smile/"] {
            let smile = Smile { base_url: Some(good.into()), ..smile() };
            let settings = Settings::from_config(&smile, key()).unwrap();
            assert_eq!(settings.base, good.trim_end_matches('/'));
        }
    }

    #[test]
    fn err_identity() {
        for bad in ["", "000", "12a", "1 2"] {
            let smile = Smile { partner_id: bad.into(), ..smile() };
            assert_eq!(Settings::from_config(&smile, key()).unwrap_err(), SmileError::PartnerId);
        }
        for bad in ["", "a b", "k\u{e9}y", "a\nb"] {
            let error = Settings::from_config(&smile(), SecretString::from(bad)).unwrap_err();
            assert_eq!(error, SmileError::ApiKey);
        }
    }

    #[test]
    fn err_free_fields_with_a_meaning_of_their_own() {
        for name in ["job_id", "user_id", "job_type", "sandbox_result", ""] {
            let params = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
            let smile = Smile { partner_params: params, ..smile() };
            assert!(
                matches!(Settings::from_config(&smile, key()), Err(SmileError::PartnerParams(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let settings = Settings::from_config(&smile(), key()).unwrap();
        assert!(!format!("{settings:?}").contains("k3y"));
    }
}
