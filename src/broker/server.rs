//! The broker's one thread: TLS, one call, one line of audit a request.

use super::devices::{Devices, Rates};
use crate::clock::{Clock, Wall, WallTime};
use crate::smileid::{Client, Failure};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

/// Connections at once; the next ones wait.
const CONNECTIONS_MAX: usize = 64;
/// For the TLS handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a connection could not be taken (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a broker is set up with.
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its own certificate chain, PEM.
    pub certificate: PathBuf,
    /// The key of that certificate, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM; without it certificates are not asked for.
    pub client_ca: Option<PathBuf>,
    /// The list of devices; read anew for each request.
    pub devices: PathBuf,
    /// Tokens that a device may have in an hour.
    pub tokens_an_hour: usize,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// A file is missing or not what it should be.
    #[error("{file}: {why}", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// TLS or the thread could not be set up.
    #[error("the broker cannot start: {0}")]
    Start(String),
}

impl BrokerError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File { .. } => "give readable PEM files and a list of devices; see docs/broker.md",
            Self::Listen { .. } => "choose an address of this machine and a free port",
            Self::Start(_) => "check that certificate and key belong together",
        }
    }
}

/// A broker that runs; it ends when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Told each request, as one object.
pub type Audit = Arc<dyn Fn(serde_json::Value) + Send + Sync>;

struct Broker {
    settings: Settings,
    client: Client,
    clock: Arc<dyn Clock>,
    rates: Mutex<Rates>,
    audit: Audit,
}

/// Starts a broker that gets its tokens by `client`, which holds the API key.
///
/// # Errors
/// A file is not usable, or the address.
pub fn start(
    settings: Settings,
    client: Client,
    clock: Arc<dyn Clock>,
    audit: Audit,
) -> Result<Running, BrokerError> {
    devices(&settings.devices)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(&settings)?));
    let refused = |source| BrokerError::Listen { address: settings.listen, source };
    let listener = std::net::TcpListener::bind(settings.listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let start = |error: std::io::Error| BrokerError::Start(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
    let (stop, stopped) = oneshot::channel();
    let broker = Arc::new(Broker { settings, client, clock, rates: Mutex::default(), audit });
    let thread = std::thread::Builder::new()
        .name("broker".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, acceptor, broker) => {}
                }
            });
        })
        .map_err(start)?;
    Ok(Running { addr, stop: Some(stop), thread: Some(thread) })
}

fn bad(file: &Path, why: impl ToString) -> BrokerError {
    BrokerError::File { file: file.to_owned(), why: why.to_string() }
}

fn devices(file: &Path) -> Result<Devices, BrokerError> {
    let text = std::fs::read_to_string(file).map_err(|error| bad(file, error))?;
    Devices::parse(&text).map_err(|why| bad(file, why))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let pem = std::fs::read(file).map_err(|error| bad(file, error))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(bad(file, "no certificate in it")) } else { Ok(found) }
}

fn tls(settings: &Settings) -> Result<ServerConfig, BrokerError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let broken = |error: &dyn std::fmt::Display| BrokerError::Start(error.to_string());
    let pem = std::fs::read(&settings.key).map_err(|error| bad(&settings.key, error))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| bad(&settings.key, "no private key in it"))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(file)?);
            // Who shows none may still show a credential.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| broken(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates(&settings.certificate)?, key)
        .map_err(|error| broken(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, broker: Arc<Broker>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((socket, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, broker) = (acceptor.clone(), broker.clone());
        tokio::spawn(async move {
            connection(socket, peer, acceptor, broker).await;
            drop(place);
        });
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, broker: Arc<Broker>) {
    let Ok(Ok(socket)) = tokio::time::timeout(PATIENCE, acceptor.accept(socket)).await else { return };
    let certificate = socket.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.map(|certificate| Arc::<[u8]>::from(certificate.as_ref()));
    let answer = service_fn(move |request| {
        let (broker, certificate) = (broker.clone(), certificate.clone());
        async move { Ok::<_, Infallible>(answer(broker, peer, certificate, &request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), answer)
        .await;
}

/// What a request ends as: the audit's word, the status, and what is said.
struct Said {
    outcome: &'static str,
    status: StatusCode,
    body: serde_json::Value,
    retry_after: Option<Duration>,
}

fn refused(outcome: &'static str, status: StatusCode, message: &str) -> Said {
    Said { outcome, status, body: json!({ "status": outcome, "message": message }), retry_after: None }
}

async fn answer(
    broker: Arc<Broker>,
    peer: SocketAddr,
    certificate: Option<Arc<[u8]>>,
    request: &Request<Incoming>,
) -> Response<String> {
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let asked = (request.method() == Method::POST, request.uri().path() == "/token");
    let deciding = broker.clone();
    // The service is asked over a blocking connection; what is decided before takes no time.
    let decided = tokio::task::spawn_blocking(move || {
        let device = deciding.device(bearer.as_deref(), certificate.as_deref());
        let said = match asked {
            (true, true) => deciding.token(device.as_deref()),
            (_, true) => refused("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "POST"),
            _ => refused("not_found", StatusCode::NOT_FOUND, "POST /token"),
        };
        (device, said)
    });
    let (device, said) = decided.await.unwrap_or_else(|_| {
        (None, refused("failed", StatusCode::INTERNAL_SERVER_ERROR, "the broker failed"))
    });
    let at = match broker.clock.wall() {
        Wall::Known(now) => Some(WallTime::to_rfc3339(now)),
        Wall::Unknown => None,
    };
    (broker.audit)(json!({ "at": at, "device": device, "peer": peer.ip(), "outcome": said.outcome }));
    let mut response = Response::new(said.body.to_string());
    *response.status_mut() = said.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if let Some(wait) = said.retry_after {
        headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

impl Broker {
    fn device(&self, bearer: Option<&str>, certificate: Option<&[u8]>) -> Option<String> {
        // Read anew, so that a device can be taken off at any time. A list that cannot be read lets nobody in.
        let devices = devices(&self.settings.devices).ok()?;
        let shown = [bearer.map(str::as_bytes), certificate];
        shown.into_iter().flatten().find_map(|shown| devices.find(shown)).map(str::to_owned)
    }

    fn token(&self, device: Option<&str>) -> Said {
        let Some(device) = device else {
            return refused("unauthorized", StatusCode::UNAUTHORIZED, "no device of the list");
        };
        let now = self.clock.boot();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(wait) = rates.take(device, self.settings.tokens_an_hour, now) {
            let said = refused("rate_limited", StatusCode::TOO_MANY_REQUESTS, "too many tokens in an hour");
            return Said { retry_after: Some(wait), ..said };
        }
        drop(rates);
        match self.client.new_token() {
            Ok(token) => Said {
                outcome: "token",
                status: StatusCode::OK,
                body: json!({ "token": token.expose_secret() }),
                retry_after: None,
            },
            Err(failure) => unavailable(&failure),
        }
    }
}

/// The device learns that the service gave nothing, and not why: that is the operator's business.
fn unavailable(failure: &Failure) -> Said {
    log::error!(failure = failure.kind.name(), remedy = failure.remedy(); "the service gives no token: {failure}");
    refused("service_unavailable", StatusCode::BAD_GATEWAY, "the service gives no token")
}
