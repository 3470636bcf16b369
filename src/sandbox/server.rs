//! The server: one thread, one runtime, bounded connections.

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

use super::endpoint::Endpoint;
use super::error::SandboxError;
use super::exchange::exchange;
use super::scenario::Scenario;
use super::service::Service;
use super::tls;
use super::world::{JobSeen, World};
use crate::clock::{Clock, Random, SystemClock, SystemRandom};

/// Connections at a time; more wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 64;
/// Head of a request, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// What is read from the connection at once, at most: a job of ordinary size in few pieces.
const READ_BUFFER_BYTES_MAX: usize = 512 * 1024;
/// From the first byte of a connection to its end of greetings.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Without a whole request head for this long a connection ends, also a kept one between two requests.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// The pause after the system refused a connection (no free file descriptors), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a sandbox is set up.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The account, digits. v3 leaves leading zeros out, v1 does not.
    pub partner_id: String,
    /// The account's key.
    pub api_key: SecretString,
    /// Where the certificate authority is kept.
    pub tls_dir: PathBuf,
    /// Host names and addresses for the certificate, beside the address listened on and this machine's own.
    pub names: Vec<String>,
    /// What is played.
    pub scenario: Scenario,
    /// One line a job on standard error.
    pub verbose: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings(listen={} tls_dir={})", self.listen, self.tls_dir.display())
    }
}

/// A sandbox that runs; it ends when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The certificate that clients trust.
    pub ca_pem_path: PathBuf,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.addr)
    }
}

/// Starts a sandbox on the machine's own clock and randomness.
///
/// # Errors
/// [`SandboxError`] when it cannot listen, or its certificate authority is not usable.
pub fn start(settings: Settings) -> Result<Running, SandboxError> {
    start_with(settings, Arc::new(SystemClock::new()), Arc::new(SystemRandom))
}

/// Starts a sandbox on the given clock and randomness.
///
/// # Errors
/// As [`start`].
pub fn start_with(
    settings: Settings,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Running, SandboxError> {
    check_account(&settings)?;
    let identity = tls::identity(&settings.tls_dir, &names(&settings))?;
    let refused = |source| SandboxError::Listen { address: settings.listen, source };
    let listener = std::net::TcpListener::bind(settings.listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let service = Arc::new(Service {
        partner_id: settings.partner_id,
        api_key: settings.api_key,
        base_url: base_url(addr),
        clock,
        random,
        verbose: settings.verbose,
        world: Mutex::new(World::new(settings.scenario)),
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SandboxError::Thread)?;
    let (stop, stopped) = oneshot::channel();
    let acceptor = TlsAcceptor::from(identity.config);
    let serving = service.clone();
    let thread = std::thread::Builder::new()
        .name("sandbox".into())
        .spawn(move || {
            // What still runs when this ends is dropped with the runtime: connections end at once.
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, acceptor, serving) => {}
                }
            });
        })
        .map_err(SandboxError::Thread)?;
    Ok(Running { addr, ca_pem_path: identity.ca_pem_path, service, stop: Some(stop), thread: Some(thread) })
}

fn check_account(settings: &Settings) -> Result<(), SandboxError> {
    let digits = settings.partner_id.trim_start_matches('0');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SandboxError::Credential { what: "the partner id", why: "it must be a number above 0" });
    }
    let key = settings.api_key.expose_secret();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SandboxError::Credential {
            what: "the API key",
            why: "it must be printable characters without spaces, since it travels in a header",
        });
    }
    Ok(())
}

/// The address, this machine's own names, and those given; each once.
fn names(settings: &Settings) -> Vec<String> {
    let mut names = vec!["127.0.0.1".to_owned(), "::1".to_owned(), "localhost".to_owned()];
    let listen = settings.listen.ip();
    let listen = (!listen.is_unspecified()).then(|| listen.to_string());
    for name in listen.into_iter().chain(settings.names.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A server on every address is reached on this machine's own.
fn base_url(addr: SocketAddr) -> String {
    match addr.ip().is_unspecified() {
        true => format!("https://{}:{}", Ipv4Addr::LOCALHOST, addr.port()),
        false => format!("https://{addr}"),
    }
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, service: Arc<Service>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            log::error!(error:% = error; "the sandbox cannot use its socket");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let (acceptor, service) = (acceptor.clone(), service.clone());
                tokio::spawn(async move {
                    connection(socket, acceptor, service).await;
                    drop(place);
                });
            }
            Err(error) => {
                log::warn!(error:% = error; "the sandbox could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection to its end. Whatever ends it is the client's business: it sees it.
async fn connection(socket: TcpStream, acceptor: TlsAcceptor, service: Arc<Service>) {
    // Answers are small and awaited.
    let _ = socket.set_nodelay(true);
    let Ok(Ok(socket)) = tokio::time::timeout(HANDSHAKE_TIME_MAX, acceptor.accept(socket)).await else {
        return;
    };
    let exchanges = service_fn(move |request| exchange(service.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(READ_BUFFER_BYTES_MAX)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(socket), exchanges)
        .await;
    if let Err(error) = served {
        log::debug!(error:% = error; "a sandbox connection ended early");
    }
}

impl Running {
    /// `https://address:port`
    pub fn base_url(&self) -> &str {
        &self.service.base_url
    }

    /// The certificate that clients trust.
    pub fn ca_pem_path(&self) -> &Path {
        &self.ca_pem_path
    }

    /// All jobs so far, oldest first.
    pub fn jobs(&self) -> Vec<JobSeen> {
        self.service.world().jobs().map(|job| job.seen.clone()).collect()
    }

    /// How often each endpoint was called, answered or not.
    pub fn calls(&self) -> BTreeMap<Endpoint, u64> {
        self.service.world().calls.clone()
    }

    /// How often one endpoint was called.
    pub fn calls_of(&self, endpoint: Endpoint) -> u64 {
        self.service.world().calls.get(&endpoint).copied().unwrap_or(0)
    }

    /// Plays another scenario from the next call on. Faults count from 1 again; jobs and enrolments stay.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.service.world().set_scenario(scenario);
    }

    /// Ends it: the port is free and every connection closed when this returns.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself; then nobody listens.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the sandbox's thread ended by a panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
