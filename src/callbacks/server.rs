//! The listener's one thread: TLS, `POST` to one path, an answer at once.

use super::judge::{Heard, Notice, Refused, Seen, judge};
use crate::clock::Clock;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Connections at once; the next ones wait. The service comes over a few.
const CONNECTIONS_MAX: usize = 8;
/// For the handshake, for a head, and for a whole body.
const PATIENCE: Duration = Duration::from_secs(20);
/// The service says that a callback may be 1.5 MB large.
const BODY_BYTES_MAX: usize = 1_600_000;
/// A request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener is set up with.
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path of the callback address.
    pub path: String,
    /// Its certificate chain, PEM.
    pub certificate: PathBuf,
    /// The key of that certificate, PEM.
    pub key: PathBuf,
}

/// Why a listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// A file is missing or not what it should be.
    #[error("{file}: {why}", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The address is taken or not this machine's.
    #[error("callbacks cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// TLS or the thread could not be set up.
    #[error("callbacks cannot be listened to: {0}")]
    Start(String),
}

impl CallbackError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File { .. } => "give readable PEM files in [smile.callbacks]",
            Self::Listen { .. } => "choose an address of this machine and a free port in [smile.callbacks]",
            Self::Start(_) => "check that certificate and key belong together",
        }
    }
}

/// Whether a signature is that of a time stamp.
pub type Genuine = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;
/// Takes a notice; `false` when it cannot now, and the service is to send it again.
pub type Tell = Box<dyn Fn(Notice) -> bool + Send + Sync>;

struct Listener {
    path: String,
    clock: Arc<dyn Clock>,
    genuine: Genuine,
    tell: Tell,
    seen: Mutex<Seen>,
}

fn bad(file: &Path, why: impl ToString) -> CallbackError {
    CallbackError::File { file: file.to_owned(), why: why.to_string() }
}

fn tls(settings: &Settings) -> Result<ServerConfig, CallbackError> {
    let pem = std::fs::read(&settings.certificate).map_err(|error| bad(&settings.certificate, error))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let pem =
        zeroize::Zeroizing::new(std::fs::read(&settings.key).map_err(|error| bad(&settings.key, error))?);
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| bad(&settings.key, "no private key in it"))?;
    let broken = |error: rustls::Error| CallbackError::Start(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(broken)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Binds at once, and gives what runs for ever in a thread of the caller's, with the address.
///
/// # Errors
/// A file is not usable, or the address.
pub fn serve(
    settings: Settings,
    clock: Arc<dyn Clock>,
    genuine: Genuine,
    tell: Tell,
) -> Result<(SocketAddr, impl FnOnce() + Send), CallbackError> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(&settings)?));
    let refused = |source| CallbackError::Listen { address: settings.listen, source };
    let listener = std::net::TcpListener::bind(settings.listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CallbackError::Start(error.to_string()))?;
    let own = Arc::new(Listener { path: settings.path, clock, genuine, tell, seen: Mutex::default() });
    Ok((address, move || runtime.block_on(accept(listener, acceptor, own))))
}

async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor, own: Arc<Listener>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, own) = (acceptor.clone(), own.clone());
        tokio::spawn(async move {
            connection(socket, acceptor, own).await;
            drop(place);
        });
    }
}

async fn connection(socket: TcpStream, acceptor: TlsAcceptor, own: Arc<Listener>) {
    let Ok(Ok(socket)) = tokio::time::timeout(PATIENCE, acceptor.accept(socket)).await else { return };
    let answer = service_fn(move |request| {
        let own = own.clone();
        async move { Ok::<_, Infallible>(answer(&own, request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), answer)
        .await;
}

async fn answer(own: &Listener, request: Request<Incoming>) -> Response<String> {
    let (parts, body) = request.into_parts();
    let status = match (parts.uri.path() == own.path, parts.method == Method::POST) {
        (false, _) => StatusCode::NOT_FOUND,
        (true, false) => StatusCode::METHOD_NOT_ALLOWED,
        (true, true) => {
            let whole = Limited::new(body, BODY_BYTES_MAX).collect();
            match tokio::time::timeout(PATIENCE, whole).await {
                Ok(Ok(whole)) => own.listen(&parts.headers, &whole.to_bytes()),
                Ok(Err(_)) => StatusCode::PAYLOAD_TOO_LARGE,
                Err(_) => StatusCode::REQUEST_TIMEOUT,
            }
        }
    };
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}

impl Listener {
    fn listen(&self, headers: &hyper::HeaderMap, body: &Bytes) -> StatusCode {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let heard = Heard {
            timestamp: header("response-timestamp"),
            signature: header("response-signature"),
            job: header("job-id"),
            body,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match judge(heard, self.clock.wall(), &self.genuine, &mut seen) {
            Ok(notice) => {
                if (self.tell)(notice) {
                    return StatusCode::OK;
                }
                seen.take_back();
                StatusCode::SERVICE_UNAVAILABLE
            }
            Err(Refused::Repeated) => StatusCode::OK,
            Err(refused) => {
                log::warn!("a callback is not listened to: {refused}");
                match refused {
                    Refused::Malformed => StatusCode::BAD_REQUEST,
                    Refused::ClockUnknown => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::UNAUTHORIZED,
                }
            }
        }
    }
}
