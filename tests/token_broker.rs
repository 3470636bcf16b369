//! A device that holds no API key: its tokens come from a broker of the operator's, and can be refused to it alone.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "support/site.rs"]
mod site;

use latchd::broker::{self, Running, Settings};
use latchd::clock::{SystemClock, SystemRandom};
use latchd::config::model::{Broker, Smile};
use latchd::smileid;
use serde_json::Value;
use sha2::Digest as _;
use site::{API_KEY, Options, PARTNER, Site};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

fn sum(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn list(site: &Site, devices: &[(&str, &str, &str)]) {
    let device = |(name, kind, sum): &(&str, &str, &str)| {
        format!("[[device]]\nname = \"{name}\"\n{kind}_sha256 = \"{sum}\"\n")
    };
    fs::write(site.path("devices.toml"), devices.iter().map(device).collect::<String>()).unwrap();
}

/// A broker with the API key, before this site's sandbox; it speaks with the sandbox's own certificate.
fn broker(site: &Site, client_ca: Option<&Path>, tokens_an_hour: usize) -> (Running, Arc<Mutex<Vec<Value>>>) {
    let sandbox = site.sandbox.as_ref().unwrap();
    let smile = Smile {
        base_url: Some(sandbox.base_url().to_owned()),
        ca_file: Some(sandbox.ca_pem_path.clone()),
        partner_id: PARTNER.into(),
        ..Smile::default()
    };
    let settings = smileid::Settings::from_config(&smile, API_KEY.to_owned().into()).unwrap();
    let clock = Arc::new(SystemClock::new());
    let client = smileid::Client::new(settings, clock.clone(), Arc::new(SystemRandom)).unwrap();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: site.path("tls/server.pem"),
        key: site.path("tls/server.key"),
        client_ca: client_ca.map(Path::to_owned),
        devices: site.path("devices.toml"),
        tokens_an_hour,
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let audit = Arc::clone(&told);
    let running =
        broker::start(settings, client, clock, Arc::new(move |line| audit.lock().unwrap().push(line)))
            .unwrap();
    (running, told)
}

fn outcomes(told: &Mutex<Vec<Value>>) -> Vec<String> {
    told.lock().unwrap().iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The site's daemon is configured for a broker at this address, and its API key is taken away.
fn without_api_key(site: &Site, address: std::net::SocketAddr) {
    let section = format!(
        "[smile.broker]\nurl = \"https://{address}/token\"\ncredential_file = \"{}\"\nca_file = \"{}\"\n\n[camera]",
        site.path("credential").display(),
        site.path("tls/ca.pem").display()
    );
    let config = fs::read_to_string(site.path("latchd.toml")).unwrap();
    fs::write(site.path("latchd.toml"), config.replacen("[camera]", &section, 1)).unwrap();
    fs::remove_file(site.path("api-key")).unwrap();
}

#[test]
fn a_door_without_an_api_key_opens_until_its_credential_is_taken_back() {
    // Tokens that serve once, so that each call needs a new one.
    let mut site = Site::build(&Options { scenario: "token_seconds = 60\n", ..Options::default() });
    secret(&site.path("credential"), "one-for-door-7\n");
    list(&site, &[("door-7", "credential", &sum(b"one-for-door-7"))]);
    let (running, told) = broker(&site, None, 1000);
    without_api_key(&site, running.addr);
    site.import_people();
    site.start_guard();
    site.start_daemon();
    let answer = site.authenticate("approved");
    assert_eq!(answer.word("outcome"), "granted", "{answer:?}\n{}", site.logs());
    site.wait("the pulse's end", |site| site.is_locked());
    assert!(told.lock().unwrap().iter().all(|line| line["device"] == "door-7" && line["outcome"] == "token"));

    // Taken off the list: nothing of the device is believed any more, and its queue says so aloud.
    list(&site, &[]);
    let refused = site.authenticate("approved");
    assert_eq!((refused.exit, refused.word("outcome")), (4, "paused"), "{refused:?}");
    assert_eq!(outcomes(&told).last().map(String::as_str), Some("unauthorized"));

    // A new credential, without a restart of anything.
    list(&site, &[("door-7", "credential", &sum(b"another-one"))]);
    secret(&site.path("credential"), "another-one");
    assert_eq!(site.latchd(&["queue", "retry"]).exit, 0);
    site.wait("the drain", |site| site.jobs().iter().all(|job| job["state"] == "decided"));
    assert_eq!(site.openings(), 1, "what was drained opened nothing");
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");

    // The secrets stand nowhere.
    let written = site.logs() + &site.command(&["events"]) + &format!("{:?}", told.lock().unwrap());
    for secret in ["one-for-door-7", "another-one", API_KEY] {
        assert!(!written.contains(secret), "{secret}");
    }
}

#[test]
fn a_client_certificate_does_as_well_and_tokens_are_counted() {
    let site = Site::build(&Options::default());
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let own =
        rcgen::CertificateParams::new(vec!["door-8".into()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    fs::write(site.path("devices-ca.pem"), authority.pem()).unwrap();
    fs::write(site.path("own.pem"), own.pem()).unwrap();
    secret(&site.path("own.key"), &own_key.serialize_pem());
    list(&site, &[("door-8", "certificate", &sum(own.der()))]);
    let (running, told) = broker(&site, Some(&site.path("devices-ca.pem")), 2);
    let device = |certificate: bool| {
        let file = |name: &str| certificate.then(|| site.path(name));
        secret(&site.path("credential"), "of-nobody");
        let smile = Smile {
            base_url: Some(site.sandbox.as_ref().unwrap().base_url().to_owned()),
            ca_file: Some(site.path("tls/ca.pem")),
            partner_id: PARTNER.into(),
            broker: Some(Broker {
                url: format!("https://{}/token", running.addr),
                credential_file: (!certificate).then(|| site.path("credential")),
                client_cert_file: file("own.pem"),
                client_key_file: file("own.key"),
                ca_file: Some(site.path("tls/ca.pem")),
            }),
            ..Smile::default()
        };
        let settings = smileid::Settings::from_config(&smile, String::from("none").into()).unwrap();
        smileid::Client::new(settings, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).unwrap()
    };
    let known = device(true);
    known.new_token().unwrap();
    known.new_token().unwrap();
    let limited = known.new_token().unwrap_err();
    assert_eq!(limited.http, Some(429));
    assert!(limited.retry_after.is_some_and(|wait| wait.as_secs() > 3000), "{limited:?}");
    let stranger = device(false).new_token().unwrap_err();
    assert_eq!(stranger.kind, smileid::FailureKind::Unauthorised);
    assert_eq!(outcomes(&told), ["token", "token", "rate_limited", "unauthorized"]);
    // A broker that is away is a network that is away.
    drop(running);
    assert_eq!(known.new_token().unwrap_err().kind, smileid::FailureKind::TryLater);
}

#[test]
fn a_section_that_cannot_work_is_named() {
    let site = Site::build(&Options::default());
    let config = fs::read_to_string(site.path("latchd.toml")).unwrap();
    let credential = site.path("credential");
    secret(&credential, "x");
    let credential = format!("credential_file = \"{}\"", credential.display());
    for (section, api, named) in [
        ("url = \"http://b.example\"", "v3", "smile.broker.url"),
        ("url = \"https://b.example\"", "v3", "credential_file or a client certificate"),
        ("url = \"https://b.example\"\ncredential_file = \"/nowhere\"", "v3", "/nowhere"),
        ("url = \"https://b.example\"\nclient_key_file = \"/x\"", "v3", "together"),
        (&format!("url = \"https://b.example\"\n{credential}"), "v1", "api = \"v3\""),
    ] {
        let text = config.replace("api = \"v3\"", &format!("api = \"{api}\""));
        let text = text.replacen("[camera]", &format!("[smile.broker]\n{section}\n\n[camera]"), 1);
        fs::write(site.path("latchd.toml"), text).unwrap();
        let answer = site.latchd(&["config", "check"]);
        assert_eq!(answer.exit, 2, "{section}: {answer:?}");
        assert!(
            answer.stdout.contains(named) || answer.word("cause").contains(named),
            "{section}: {answer:?}"
        );
    }
}
