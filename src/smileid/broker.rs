//! Tokens from a broker of the operator's: then this device holds no API key, and what it holds instead can be taken back
//! from it alone.
//!
//! One call: `POST` to the broker's address, without a body, with the device's bearer credential or its client
//! certificate. The answer is the service's own, `{"token": "…"}`. The credential is read anew for each call, so
//! that it can be changed while the daemon runs.

use super::body::Body;
use super::classify::Endpoint;
use super::client::Client;
use super::failure::{Failure, FailureKind};
use super::settings::{Settings, SmileError, Trust, is_plain_https};
use super::token::Token;
use super::transport::{Call, Transport, secret_header};
use crate::clock::Clock;
use crate::config::model;
use crate::config::model::Api;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::http::Method;
use zeroize::Zeroizing;

/// A credential that is longer is something else.
const CREDENTIAL_MAX: u64 = 4096;

/// Checked settings of a broker.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    url: String,
    credential: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    trust: Trust,
}

impl Broker {
    /// Checks the file's section.
    pub(crate) fn from_config(broker: &model::Broker) -> Result<Self, SmileError> {
        if !is_plain_https(&broker.url, false) {
            return Err(SmileError::Broker("its url is not a plain https address".to_owned()));
        }
        let identity = match (&broker.client_cert_file, &broker.client_key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(SmileError::Broker(
                    "a client certificate needs its key, and a key its certificate".into(),
                ));
            }
        };
        if identity.is_none() && broker.credential_file.is_none() {
            return Err(SmileError::Broker(
                "it has neither a credential_file nor a client certificate".into(),
            ));
        }
        Ok(Self {
            url: broker.url.clone(),
            credential: broker.credential_file.clone(),
            identity,
            trust: broker.ca_file.clone().map_or(Trust::System, Trust::CaFile),
        })
    }
}

/// A device's certificate and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

fn identity((certificate, key): &(PathBuf, PathBuf)) -> Result<Identity, SmileError> {
    let bad = |file: &Path, why: String| SmileError::Broker(format!("{}: {why}", file.display()));
    let pem = fs::read(certificate).map_err(|error| bad(certificate, error.to_string()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(bad(certificate, "no certificate in it".to_owned()));
    }
    let pem = Zeroizing::new(fs::read(key).map_err(|error| bad(key, error.to_string()))?);
    let private =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| bad(key, "no private key in it".to_owned()))?;
    Ok(Identity { chain, key: private })
}

/// The way to a broker: a connection of its own, with its own trust.
pub(crate) struct BrokerLink {
    broker: Broker,
    transport: Transport,
}

impl BrokerLink {
    pub(crate) fn new(
        broker: &Broker,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SmileError> {
        let own = broker.identity.as_ref().map(identity).transpose()?;
        let transport = Transport::new(&broker.trust, settings.timeouts, own, clock)?;
        Ok(Self { broker: broker.clone(), transport })
    }

    /// Asks for a token.
    pub(crate) fn token(&self) -> Result<Token, Failure> {
        let credential = self.broker.credential.as_deref().map(read_credential).transpose()?;
        let mut headers = Vec::new();
        if let Some(credential) = &credential {
            let value = Zeroizing::new(format!("Bearer {}", credential.as_str()));
            headers.push(("authorization", secret_header(&value)?));
        }
        let call = Call { endpoint: Endpoint::Token, method: Method::POST, url: &self.broker.url, headers };
        let exchange = self.transport.exchange(call, &mut Body::new(Vec::new()));
        let secrets: Vec<&str> = credential.iter().map(|text| text.as_str()).collect();
        let object = Client::object_of(Api::V3, &exchange, &secrets)?;
        let token = object.get("token").and_then(Value::as_str).and_then(Token::parse);
        token.ok_or_else(|| exchange.failure(Api::V3, "no usable token", &secrets))
    }
}

fn read_credential(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let wrong = |why: &str| {
        let text = format!("the broker's credential {}: {why}", file.display());
        Failure::local(FailureKind::Unauthorised, text)
    };
    let mut text = Zeroizing::new(String::new());
    let opened = fs::File::open(file).map_err(|error| wrong(&error.to_string()))?;
    opened.take(CREDENTIAL_MAX).read_to_string(&mut text).map_err(|error| wrong(&error.to_string()))?;
    let trimmed = Zeroizing::new(text.trim().to_owned());
    if trimmed.is_empty() || !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("it is empty or has characters other than visible ASCII"));
    }
    Ok(trimmed)
}
