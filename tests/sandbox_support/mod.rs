//! A desk for the sandbox's tests: a server on a clock that moves by hand, a client that trusts its certificate, and a
//! raw TLS client for what no HTTP client would show.
#![allow(dead_code, reason = "each test file uses its own part")]

use latchd::clock::{BootTime, ManualClock, SystemRandom, Wall, WallTime};
use latchd::sandbox::{Running, Scenario, Settings, start_with};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub const KEY: &str = "test-key";
pub const PARTNER: &str = "1234";

pub struct Desk {
    pub running: Running,
    pub clock: Arc<ManualClock>,
    pub agent: ureq::Agent,
    pub dir: TempDir,
}

/// A sandbox that plays `scenario`, on 2026-01-02T03:04:05Z.
pub fn desk(scenario: &str) -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let wall = Wall::Known(WallTime::from_unix_millis(1_767_323_045_000));
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(1000), wall));
    let settings = settings(&dir, scenario);
    let running = start_with(settings, clock.clone(), Arc::new(SystemRandom)).unwrap();
    let agent = agent(&running);
    Desk { running, clock, agent, dir }
}

pub fn settings(dir: &TempDir, scenario: &str) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        partner_id: PARTNER.into(),
        api_key: KEY.into(),
        tls_dir: dir.path().into(),
        names: Vec::new(),
        scenario: Scenario::parse(scenario).unwrap(),
        verbose: false,
    }
}

pub fn agent(running: &Running) -> ureq::Agent {
    let ca = std::fs::read(running.ca_pem_path()).unwrap();
    let ca = ureq::tls::Certificate::from_pem(&ca).unwrap();
    let tls = ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(vec![ca])))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into()
}

/// What came back.
pub struct Said {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn said(answer: ureq::http::Response<ureq::Body>) -> Said {
    let (head, mut body) = answer.into_parts();
    let text = body.read_to_string().unwrap();
    Said { status: head.status.as_u16(), headers: head.headers, text }
}

/// One part of a form.
#[derive(Clone)]
pub struct Part {
    pub name: &'static str,
    pub file: Option<&'static str>,
    pub kind: Option<&'static str>,
    pub bytes: Vec<u8>,
}

pub fn text(name: &'static str, value: &str) -> Part {
    Part { name, file: None, kind: None, bytes: value.into() }
}

pub fn object(name: &'static str, value: &Value) -> Part {
    Part { name, file: None, kind: Some("application/json"), bytes: value.to_string().into() }
}

pub fn picture(name: &'static str, bytes: &[u8]) -> Part {
    Part { name, file: Some("x.jpg"), kind: Some("image/jpeg"), bytes: bytes.into() }
}

pub fn jpeg(side: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..side * side * 3).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode(&pixels, side, side, image::ColorType::Rgb8.into())
        .unwrap();
    bytes
}

pub fn consent() -> Value {
    json!({
        "granted": true, "granted_at": "2026-01-02T03:00:00.000Z", "notice_language": "EN",
        "notice_privacy_policy_url": "https://example.com/privacy",
    })
}

pub fn amina() -> Value {
    json!({ "given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com" })
}

/// A right job.
pub fn job(user_id: &str) -> Vec<Part> {
    let mut parts = vec![
        text("user_id", user_id),
        object("user_details", &amina()),
        object("consent", &consent()),
        object("partner_params", &json!({ "door": "north" })),
        picture("selfie_image", &jpeg(64)),
    ];
    parts.extend((0..8).map(|_| picture("liveness_images", &jpeg(32))));
    parts
}

pub const BOUNDARY: &str = "----latchd-test-boundary";

pub fn form(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        write!(body, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"", part.name).unwrap();
        if let Some(file) = part.file {
            write!(body, "; filename=\"{file}\"").unwrap();
        }
        if let Some(kind) = part.kind {
            write!(body, "\r\nContent-Type: {kind}").unwrap();
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&part.bytes);
        body.extend_from_slice(b"\r\n");
    }
    write!(body, "--{BOUNDARY}--\r\n").unwrap();
    body
}

impl Desk {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.base_url())
    }

    pub fn ask_token(&self, partner: &str, key: &str) -> Said {
        let call = self.agent.post(self.url("/v3/token")).header("smileid-partner-id", partner);
        said(call.header("smileid-api-key", key).send_empty().unwrap())
    }

    pub fn token(&self) -> String {
        self.ask_token(PARTNER, KEY).json()["token"].as_str().unwrap().to_owned()
    }

    pub fn submit(&self, product: &str, parts: &[Part]) -> Said {
        self.submit_with(product, parts, &[("smileid-token", &self.token())])
    }

    pub fn submit_with(&self, product: &str, parts: &[Part], headers: &[(&str, &str)]) -> Said {
        let call = self.agent.post(self.url(&format!("/v3/{product}")));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        let call = call.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        said(call.send(&form(parts)[..]).unwrap())
    }

    pub fn status(&self, job_id: &str) -> Said {
        let call = self.agent.get(self.url(&format!("/v3/status/{job_id}")));
        said(call.header("smileid-token", self.token()).call().unwrap())
    }

    pub fn post_json(&self, path: &str, body: &Value) -> Said {
        let call = self.agent.post(self.url(path)).header("content-type", "application/json");
        said(call.send(body.to_string()).unwrap())
    }

    pub fn put(&self, url: &str, kind: &str, body: &[u8]) -> Said {
        said(self.agent.put(url).header("content-type", kind).send(body).unwrap())
    }

    /// A raw TLS connection.
    pub fn raw(&self) -> Raw {
        Raw::open(&self.running)
    }
}

/// Bytes over TLS, nothing else.
pub struct Raw(rustls::StreamOwned<rustls::ClientConnection, TcpStream>);

impl Raw {
    pub fn open(running: &Running) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(running.ca_pem_path()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let socket = TcpStream::connect(running.addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        let tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        Self(rustls::StreamOwned::new(tls, socket))
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// What the next read gives: a byte, the end, or that nothing came in time.
    pub fn next_byte(&mut self) -> std::io::Result<usize> {
        self.0.read(&mut [0])
    }

    /// How long a read may take.
    pub fn patience(&mut self, time: Duration) {
        self.0.sock.set_read_timeout(Some(time)).unwrap();
    }

    /// All that comes until the connection ends; a read that times out fails the test.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("still open: {error}"),
                // Ended without a farewell, or reset.
                Err(_) => return all,
            }
        }
    }

    /// Reads up to the end of the head, and gives it.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "ended in the head");
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    pub fn exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// The bytes of an authentication call.
pub fn authentication_bytes(token: &str, parts: &[Part]) -> Vec<u8> {
    let body = form(parts);
    let mut bytes = format!(
        "POST /v3/authentication HTTP/1.1\r\nhost: x\r\nsmileid-token: {token}\r\ncontent-length: {}\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}
