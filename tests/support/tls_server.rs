//! A scripted HTTP/1.1 server over TLS that may misbehave in every way a test asks for. It shares no code with the
//! client or the sandbox: it reads bytes and writes bytes.
// Each test binary uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// What the certificate says.
#[derive(Clone, Copy, PartialEq)]
pub enum Identity {
    /// 127.0.0.1, valid.
    Right,
    /// Another name.
    WrongName,
    /// 127.0.0.1, valid until 2020.
    Expired,
}

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// All of Content-Length came.
    pub whole: bool,
    /// Which connection, from 0.
    pub connection: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server does about a request.
pub enum Reply {
    /// Writes these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Writes these bytes and closes, TLS first.
    Last(Vec<u8>),
    /// Writes these bytes and cuts the TCP connection without a TLS farewell.
    Cut(Vec<u8>),
    /// Says farewell in TLS together with these bytes, but leaves TCP open.
    Farewell(Vec<u8>),
    /// Writes the first part, then one byte of the second at each pace, until the client goes away.
    Drip(Vec<u8>, std::time::Duration),
    /// Writes the head and then this many bytes of `x`, as long as the client takes them.
    Flood(Vec<u8>, usize),
    /// Nothing, until the server is dropped or the client goes away.
    Silence,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;
type Early = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

struct Shared {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    stop: AtomicBool,
    wake: (Mutex<bool>, Condvar),
    open: Mutex<Vec<TcpStream>>,
    script: Box<Script>,
    early: Box<Early>,
}

/// A running server; stops when dropped.
pub struct TlsServer {
    pub address: SocketAddr,
    pub ca_file: PathBuf,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl TlsServer {
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Identity::Right, script, |_| None)
    }

    /// `early` sees the head of a request before its body is read and may answer at once.
    pub fn with(
        identity: Identity,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        early: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        let (config, ca_pem) = tls(identity);
        std::fs::write(&ca_file, ca_pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            requests: Mutex::new(Vec::new()),
            connections: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            wake: (Mutex::new(false), Condvar::new()),
            open: Mutex::new(Vec::new()),
            script: Box::new(script),
            early: Box::new(early),
        });
        let acceptor = {
            let shared = shared.clone();
            std::thread::spawn(move || accept(&listener, &config, &shared))
        };
        Self { address, ca_file, shared, acceptor: Some(acceptor), _directory: directory }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The requests whose path ends so.
    pub fn seen(&self, method: &str, path: &str) -> Vec<Request> {
        let all = self.requests();
        all.into_iter().filter(|request| request.method == method && request.path.ends_with(path)).collect()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        *self.shared.wake.0.lock().unwrap() = true;
        self.shared.wake.1.notify_all();
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accept call.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, config: &Arc<ServerConfig>, shared: &Arc<Shared>) {
    let mut workers = Vec::new();
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        // Otherwise each answer after the session tickets may wait 40 ms for an acknowledgement.
        stream.set_nodelay(true).unwrap();
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.lock().unwrap().push(stream.try_clone().unwrap());
        let (config, shared) = (config.clone(), shared.clone());
        workers.push(std::thread::spawn(move || {
            let connection = ServerConnection::new(config).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            while serve(&mut stream, &shared, number).is_some() {}
            let _ = stream.sock.shutdown(Shutdown::Both);
        }));
    }
    for worker in workers {
        let _ = worker.join();
    }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// One request; `None` ends the connection.
fn serve(stream: &mut Stream, shared: &Shared, connection: usize) -> Option<()> {
    let mut request = head(stream, connection)?;
    if let Some(reply) = (shared.early)(&request) {
        shared.requests.lock().unwrap().push(request);
        return answer(stream, shared, reply);
    }
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let length = request.header("content-length").map_or(0, |value| value.parse::<usize>().unwrap());
    let mut buffer = [0; 16 * 1024];
    while request.body.len() < length {
        let wanted = (length - request.body.len()).min(buffer.len());
        match stream.read(&mut buffer[..wanted]) {
            Ok(count) if count > 0 => request.body.extend_from_slice(&buffer[..count]),
            _ => {
                request.whole = false;
                shared.requests.lock().unwrap().push(request);
                return None;
            }
        }
    }
    shared.requests.lock().unwrap().push(request.clone());
    let reply = (shared.script)(&request);
    answer(stream, shared, reply)
}

fn head(stream: &mut Stream, connection: usize) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 || bytes.len() > 64 * 1024 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    Some(Request { method, path, headers, body: Vec::new(), whole: true, connection })
}

fn answer(stream: &mut Stream, shared: &Shared, reply: Reply) -> Option<()> {
    match reply {
        Reply::Bytes(bytes) => return stream.write_all(&bytes).ok(),
        Reply::Last(bytes) => {
            stream.write_all(&bytes).ok()?;
            stream.conn.send_close_notify();
            stream.flush().ok()?;
        }
        Reply::Cut(bytes) => stream.write_all(&bytes).ok()?,
        Reply::Farewell(bytes) => {
            // Buffered together, so that both reach the client in one read.
            stream.conn.writer().write_all(&bytes).ok()?;
            stream.conn.send_close_notify();
            stream.flush().ok()?;
            // TCP stays open, and what comes is thrown away: the client's next request gets no answer.
            let mut buffer = [0; 4096];
            while stream.sock.read(&mut buffer).is_ok_and(|count| count > 0) {}
        }
        Reply::Drip(bytes, pace) => {
            for byte in bytes {
                stream.write_all(&[byte]).ok()?;
                if rest(shared, Some(pace)) {
                    break;
                }
            }
        }
        Reply::Flood(head, count) => {
            stream.write_all(&head).ok()?;
            let block = [b'x'; 64 * 1024];
            for _ in 0..count / block.len() {
                stream.write_all(&block).ok()?;
            }
        }
        Reply::Silence => {
            rest(shared, None);
        }
    }
    None
}

/// Waits for `span`, or for the end of the server, which it tells.
fn rest(shared: &Shared, span: Option<std::time::Duration>) -> bool {
    let stopped = shared.wake.0.lock().unwrap();
    match span {
        Some(span) => *shared.wake.1.wait_timeout_while(stopped, span, |stopped| !*stopped).unwrap().0,
        None => *shared.wake.1.wait_while(stopped, |stopped| !*stopped).unwrap(),
    }
}

fn tls(identity: Identity) -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let name = if identity == Identity::WrongName { "another.example" } else { "127.0.0.1" };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if identity == Identity::Expired {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &ca).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    (Arc::new(config), ca.pem())
}

/// An answer with a JSON body and its length.
pub fn json(status: &str, body: &str) -> Vec<u8> {
    with_headers(status, "content-type: application/json\r\n", body)
}

/// An answer with these header lines and the body's length.
pub fn with_headers(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
