//! The least that a drain must do: for each job two durable commits and one request, with all of it prepared.

use super::desk::{Desk, failed, timed};
use super::{Target, print};
use crate::cli::{Failure, output};
use crate::clock::SystemClock;
use rusqlite::Connection;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest answer that is read.
const ANSWER_MAX: usize = 64 * 1024;

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn wrong(what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("bench floor: {what}"), "name the address and the CA that latchd sandbox prints")
}

fn connect(host: &str, ca: &Path) -> Result<Tls, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(wrong)? {
        roots.add(certificate.map_err(wrong)?).map_err(wrong)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    let name = ServerName::try_from(name).map_err(wrong)?;
    let stream = TcpStream::connect(host).map_err(wrong)?;
    stream.set_nodelay(true).map_err(wrong)?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(wrong)?;
    Ok(StreamOwned::new(session, stream))
}

/// Sends and reads one answer to its end; gives its body when its status is `wanted`.
fn exchange(tls: &mut Tls, request: &[u8], wanted: &str) -> Result<Value, Failure> {
    tls.write_all(request).and_then(|()| tls.flush()).map_err(wrong)?;
    let mut data = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = tls.read(&mut chunk).map_err(wrong)?;
        data.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if let Some(at) = data.windows(4).position(|four| four == b"\r\n\r\n") {
            let (head, body) = data.split_at(at + 4);
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                if !head.starts_with(&format!("http/1.1 {wanted}")) {
                    return Err(wrong(String::from_utf8_lossy(&data)));
                }
                return serde_json::from_slice(body).map_err(wrong);
            }
        }
        if count == 0 || data.len() > ANSWER_MAX {
            return Err(wrong("the answer has no end"));
        }
    }
}

fn submission(host: &str, token: &str, images: &Path) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let mut part = |head: &str, content: &[u8]| {
        body.extend_from_slice(
            format!("--floor\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    let consent = json!({
        "granted": true, "granted_at": "2026-01-02T03:04:05Z", "notice_language": "EN",
        "notice_privacy_policy_url": "https://example.com/privacy",
    });
    let details = json!({
        "given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com",
    });
    part("name=\"user_id\"", b"bench");
    part("name=\"callback_url\"", b"https://example.com/callback");
    part("name=\"consent\"\r\nContent-Type: application/json", consent.to_string().as_bytes());
    part("name=\"user_details\"\r\nContent-Type: application/json", details.to_string().as_bytes());
    for index in 0..9 {
        let (name, file) = match index {
            0 => ("selfie_image", "selfie.jpg".to_owned()),
            _ => ("liveness_images", format!("liveness_{}.jpg", index - 1)),
        };
        let path = images.join(&file);
        let jpeg = std::fs::read(&path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        part(&format!("name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: image/jpeg"), &jpeg);
    }
    body.extend_from_slice(b"--floor--\r\n");
    let head = format!(
        "POST /v3/authentication HTTP/1.1\r\nHost: {host}\r\nSmileID-Token: {token}\r\n\
         Content-Type: multipart/form-data; boundary=floor\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.into_bytes(), body].concat())
}

fn database(desk: &Desk) -> rusqlite::Result<Connection> {
    let database = Connection::open(desk.directory.join("floor.db"))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT NOT NULL, remote TEXT)")?;
    Ok(database)
}

/// Measures and prints.
pub fn run(format: output::Format, target: &Target, directory: Option<PathBuf>) -> anyhow::Result<()> {
    let host = target.url.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let desk = Desk::new(directory)?;
    let database = database(&desk).map_err(failed)?;
    let mut tls = connect(&host, &target.ca)?;
    let token = exchange(
        &mut tls,
        format!(
            "POST /v3/token HTTP/1.1\r\nHost: {host}\r\nsmileid-partner-id: {}\r\nsmileid-api-key: {}\r\n\
             Content-Length: 0\r\n\r\n",
            target.partner_id, target.api_key
        )
        .as_bytes(),
        "200",
    )?;
    let token = token.get("token").and_then(Value::as_str).ok_or_else(|| wrong("no token"))?;
    let request = submission(&host, token, &target.images)?;
    let mut one = || -> Result<(), Failure> {
        let sending = "INSERT INTO job (state) VALUES ('sending')";
        database.prepare_cached(sending).and_then(|mut row| row.execute([])).map_err(failed)?;
        let job = database.last_insert_rowid();
        let told = exchange(&mut tls, &request, "202")?;
        let remote = told.get("job_id").and_then(Value::as_str);
        let accepted = "UPDATE job SET state = 'accepted', remote = ?2 WHERE id = ?1";
        database.prepare_cached(accepted).and_then(|mut row| row.execute((job, remote))).map_err(failed)?;
        Ok(())
    };
    one()?;
    let (micros, done) = timed(&SystemClock::new(), || (0..target.jobs).try_for_each(|_| one()));
    done?;
    let per_second = f64::from(target.jobs) * 1e6 / micros.max(1) as f64;
    print(
        format,
        json!({"jobs": target.jobs, "request_bytes": request.len(), "per_second": per_second}),
        &format!(
            "{} prepared requests of {} bytes, two durable commits each: {per_second:.0} a second",
            target.jobs,
            request.len()
        ),
    );
    Ok(())
}
