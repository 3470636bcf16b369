//! The sandbox's own certificate authority: made once in its directory, used again at the next start.
//!
//! `ca.pem` is what clients trust, `ca.key` (0600) signs, `server.key` (0600) stays so that pins on it hold over
//! restarts. The server's certificate itself is signed anew at each start, for the names of that start, and written
//! to `server.pem` for people who look.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::SandboxError;

/// What clients trust, and what the server speaks with.
pub(super) struct Identity {
    pub ca_pem_path: PathBuf,
    pub config: Arc<ServerConfig>,
}

/// Makes or reads the authority in `dir` and a certificate for `names` (host names and addresses).
pub(super) fn identity(dir: &Path, names: &[String]) -> Result<Identity, SandboxError> {
    fs::create_dir_all(dir).map_err(|source| file_error("create", dir, source))?;
    let ca_pem_path = dir.join("ca.pem");
    let issuer = Issuer::new(authority(), authority_key(dir, &ca_pem_path)?);
    let server_key = key(&dir.join("server.key"))?;
    let server = certificate(names, &server_key, &issuer)?;
    check_chain(dir, &ca_pem_path, &server, names)?;
    write(&dir.join("server.pem"), &server.pem(), 0o644)?;

    let broken = |why: String| SandboxError::Authority { dir: dir.to_owned(), why };
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], private)
        .map_err(|error| broken(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { ca_pem_path, config: Arc::new(config) })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The same for every sandbox and every start: what a certificate says of its issuer follows from it.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "latchd sandbox authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Wide, because a board without a clock battery may believe in a wrong year.
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2060, 1, 1);
    params
}

/// The authority's key: read when it and the certificate are there, made with the certificate when neither is.
fn authority_key(dir: &Path, ca_pem_path: &Path) -> Result<KeyPair, SandboxError> {
    let key_path = dir.join("ca.key");
    let there = |path: &Path| path.try_exists().map_err(|source| file_error("look for", path, source));
    match (there(ca_pem_path)?, there(&key_path)?) {
        (true, true) => key(&key_path),
        (true, false) => {
            let why = "ca.pem is there but ca.key is not".into();
            Err(SandboxError::Authority { dir: dir.to_owned(), why })
        }
        // A key alone is a first start that was cut off between the two files, or a ca.pem that somebody removed.
        (false, _) => {
            let made = key(&key_path)?;
            let certificate = authority()
                .self_signed(&made)
                .map_err(|error| SandboxError::Authority { dir: dir.to_owned(), why: error.to_string() })?;
            write(ca_pem_path, &certificate.pem(), 0o644)?;
            Ok(made)
        }
    }
}

/// Reads the key at `path`, or makes it there.
fn key(path: &Path) -> Result<KeyPair, SandboxError> {
    let broken = |error: rcgen::Error| SandboxError::Authority {
        dir: path.parent().unwrap_or(path).to_owned(),
        why: format!("{}: {error}", path.display()),
    };
    match fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(broken),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = KeyPair::generate().map_err(broken)?;
            write(path, &made.serialize_pem(), 0o600)?;
            Ok(made)
        }
        Err(source) => Err(file_error("read", path, source)),
    }
}

fn certificate(
    names: &[String],
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Certificate, SandboxError> {
    let unusable =
        |error: rcgen::Error| SandboxError::Name { name: names.join(", "), why: error.to_string() };
    let mut params = CertificateParams::new(names).map_err(unusable)?;
    params.distinguished_name.push(DnType::CommonName, "latchd sandbox");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2059, 12, 31);
    params.signed_by(key, issuer).map_err(unusable)
}

/// Refuses at start what every client would refuse later: a `ca.pem` that is not of `ca.key`, a name nobody can use.
fn check_chain(
    dir: &Path,
    ca_pem_path: &Path,
    server: &Certificate,
    names: &[String],
) -> Result<(), SandboxError> {
    let broken = |why: String| SandboxError::Authority { dir: dir.to_owned(), why };
    let ca =
        CertificateDer::from_pem_file(ca_pem_path).map_err(|error| broken(format!("ca.pem: {error}")))?;
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(|error| broken(format!("ca.pem: {error}")))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| broken(error.to_string()))?;
    // Any moment inside the validity serves: what is checked is the chain, not the time.
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    for name in names {
        let unusable = |why: String| SandboxError::Name { name: name.clone(), why };
        let server_name = ServerName::try_from(name.as_str()).map_err(|error| unusable(error.to_string()))?;
        verifier
            .verify_server_cert(server.der(), &[], &server_name, &[], moment)
            .map_err(|error| broken(format!("ca.pem does not fit ca.key ({error})")))?;
    }
    Ok(())
}

/// Writes a whole file or none: a sandbox that is killed while it starts must be able to start again.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), SandboxError> {
    let fresh = path.with_extension("new");
    let result = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&fresh, path));
    result.map_err(|source| file_error("write", path, source))
}

fn file_error(action: &'static str, path: &Path, source: std::io::Error) -> SandboxError {
    SandboxError::TlsFile { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names() -> Vec<String> {
        ["127.0.0.1", "::1", "localhost"].map(String::from).to_vec()
    }

    #[test]
    fn the_authority_is_made_once_and_its_keys_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = identity(dir.path(), &names()).unwrap();
        let pem = fs::read(&first.ca_pem_path).unwrap();
        identity(dir.path(), &[String::from("door.example")]).unwrap();
        assert_eq!(fs::read(&first.ca_pem_path).unwrap(), pem);
        for file in ["ca.key", "server.key"] {
            let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn somebody_elses_certificate_is_refused_at_start() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        identity(one.path(), &names()).unwrap();
        identity(two.path(), &names()).unwrap();
        fs::copy(one.path().join("ca.pem"), two.path().join("ca.pem")).unwrap();
        assert!(matches!(identity(two.path(), &names()), Err(SandboxError::Authority { .. })));
        fs::remove_file(one.path().join("ca.key")).unwrap();
        assert!(matches!(identity(one.path(), &names()), Err(SandboxError::Authority { .. })));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            identity(dir.path(), &[String::from("not a name")]),
            Err(SandboxError::Name { .. })
        ));
    }
}
