//! Judges the values of a configuration: alone, against each other, against the files they name and against the
//! guard's file (door-rules 1, 4 and 5). Reports everything it finds at once. Reads metadata of the named files,
//! never what is in them.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::{Caution, ConfigError, ConfigErrors, Problem, Warning, Warnings, os_words};
use super::guard::{GuardConfig, LineConfig};
use super::keys::{self, Found};
use super::load::Source;
use super::model::{Api, Broker, Callbacks, CameraSource, Config, Environment, SandboxUnlock};

/// The systemd credential with the service's API key.
pub const API_KEY_CREDENTIAL: &str = "smile-api-key";
/// The systemd credential with the key that seals pictures and people.
pub const DEVICE_KEY_CREDENTIAL: &str = "device-key";

/// Where a credential is: systemd's own directory wins when it holds one of this name, else `fallback`.
pub fn credential_path(name: &str, fallback: &Path) -> PathBuf {
    credential_path_in(credentials_directory().as_deref(), name, fallback)
}

fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

fn credential_path_in(directory: Option<&Path>, name: &str, fallback: &Path) -> PathBuf {
    match directory.map(|directory| directory.join(name)).filter(|path| path.exists()) {
        Some(path) => path,
        None => fallback.to_owned(),
    }
}

/// Judges `config`, whose lines `source` knows, together with the guard's file.
///
/// # Errors
/// Every value that cannot work or must not be.
pub fn check(config: &Config, guard: &GuardConfig, source: &Source) -> Result<Warnings, ConfigErrors> {
    check_in(config, guard, source, credentials_directory().as_deref())
}

/// As [`check`], with systemd's credentials directory as an argument.
///
/// # Errors
/// As [`check`].
pub fn check_in(
    config: &Config,
    guard: &GuardConfig,
    source: &Source,
    credentials: Option<&Path>,
) -> Result<Warnings, ConfigErrors> {
    let mut check = Check { config, source, errors: Vec::new(), warnings: Vec::new() };
    check.ranges();
    check.service();
    check.partner_params();
    check.credentials(credentials);
    check.relations();
    check.against_guard(guard);
    check.errors.sort_by_key(|error| error.place.line);
    if check.errors.is_empty() { Ok(Warnings(check.warnings)) } else { Err(ConfigErrors(check.errors)) }
}

/// What the daemon will need and is not there yet: an installer or systemd may make it later, so it is told, not refused.
pub fn missing_places(config: &Config, source: &Source) -> Warnings {
    let picture = config.camera.file.as_ref().filter(|_| config.camera.source == CameraSource::File);
    let needed = [("device.state_dir", Some(&config.device.state_dir)), ("camera.file", picture)];
    let missing = needed.into_iter().filter_map(|(key, path)| {
        let path = path?;
        // Only what is surely not there: a directory of the daemon's may be closed to whoever asks.
        let gone = std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        gone.then(|| Warning { place: source.place(key), caution: Caution::NotThere(path.clone()) })
    });
    Warnings(missing.collect())
}

struct Check<'a> {
    config: &'a Config,
    source: &'a Source,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

impl Check<'_> {
    fn report(&mut self, key: &str, problem: Problem) {
        self.errors.push(ConfigError { place: self.source.place(key), problem });
    }

    fn warn(&mut self, key: &str, caution: Caution) {
        self.warnings.push(Warning { place: self.source.place(key), caution });
    }

    /// Every range and length of the model, on the values as they are: also for a configuration made in code.
    fn ranges(&mut self) {
        let values = match toml::Value::try_from(self.config) {
            Ok(values) => values,
            Err(error) => return self.report("", Problem::Shape(error.to_string())),
        };
        for key in keys::table::<Config>() {
            let value = key.path.split('.').try_fold(&values, |table, name| table.get(name));
            let found = match value {
                Some(toml::Value::String(text)) => Found::Text(text),
                Some(toml::Value::Integer(number)) => Found::Integer(i128::from(*number)),
                Some(toml::Value::Float(number)) => Found::Number(*number),
                _ => continue,
            };
            if let Err(problem) = key.kind.judge(&found) {
                self.report(&key.path, problem);
            }
        }
    }

    fn service(&mut self) {
        let smile = &self.config.smile;
        let digits = smile.partner_id.chars().all(|c| c.is_ascii_digit());
        if smile.partner_id.is_empty() || smile.partner_id.len() > 10 || !digits {
            self.report("smile.partner_id", Problem::PartnerId);
        }
        for (key, url, query) in
            [("smile.base_url", &smile.base_url, false), ("smile.callback_url", &smile.callback_url, true)]
        {
            if let Some(url) = url
                && let Err(why) = judge_address(url, query)
            {
                self.report(key, Problem::Address(why));
            }
        }
        if let Some(file) = &smile.ca_file {
            self.file("smile.ca_file", file);
        }
        // Whether the file is there is the attempt's business, as with a camera that is unplugged.
        if self.config.camera.source == CameraSource::File && self.config.camera.file.is_none() {
            self.report("camera.file", Problem::NoCameraFile);
        }
    }

    fn file(&mut self, key: &str, file: &Path) {
        let why = match std::fs::metadata(file) {
            Ok(facts) if !facts.is_file() => "it is not a file".to_owned(),
            Ok(_) => match std::fs::File::open(file) {
                Ok(_) => return,
                Err(error) => os_words(&error),
            },
            Err(error) => os_words(&error),
        };
        self.report(key, Problem::MissingFile { file: file.to_owned(), why });
    }

    fn partner_params(&mut self) {
        // What the service keeps for itself, and the field by which its sandbox lets the caller choose the verdict.
        const RESERVED: [&str; 4] = ["job_id", "user_id", "job_type", "sandbox_result"];
        for (name, value) in &self.config.smile.partner_params {
            let key = format!("smile.partner_params.{name}");
            let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if RESERVED.contains(&name.as_str()) {
                self.report(&key, Problem::PartnerParam("the service keeps this name for itself"));
            } else if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
                self.report("smile.partner_params", Problem::PartnerParam("has a field with an unfit name"));
            } else if value.is_empty() || value.chars().count() > 256 || value.chars().any(char::is_control) {
                self.report(&key, Problem::PartnerParam("is empty, too long or has control characters"));
            }
        }
    }

    fn credentials(&mut self, directory: Option<&Path>) {
        match self.config.smile.broker.clone() {
            Some(broker) => self.broker(&broker),
            None => self.api_key(directory),
        }
        if let Some(callbacks) = self.config.smile.callbacks.clone() {
            self.callbacks(&callbacks);
        }
        // The device key may be absent: the first start makes it.
        let path = credential_path_in(directory, DEVICE_KEY_CREDENTIAL, &self.config.device.device_key_file);
        let _ = self.permissions("device.device_key_file", &path);
    }

    /// Callbacks are signed with the API key.
    fn callbacks(&mut self, callbacks: &Callbacks) {
        if callbacks.listen.parse::<std::net::SocketAddr>().is_err() {
            self.report(
                "smile.callbacks.listen",
                Problem::Callbacks("is no address and port such as 0.0.0.0:8444"),
            );
        }
        if callbacks.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            self.report("smile.callbacks.path", Problem::Callbacks("must begin with /"));
        }
        if self.config.smile.broker.is_some() {
            self.report(
                "smile.callbacks",
                Problem::Callbacks("cannot be verified without the API key, and a broker has it"),
            );
        }
        if cfg!(not(feature = "web")) {
            self.report("smile.callbacks", Problem::Callbacks("this build cannot listen (feature `web`)"));
        }
        self.file("smile.callbacks.cert_file", &callbacks.cert_file);
        match self.permissions("smile.callbacks.key_file", &callbacks.key_file) {
            Some(Ok(0)) => {
                self.report("smile.callbacks.key_file", Problem::EmptyFile(callbacks.key_file.clone()))
            }
            Some(Err(why)) => {
                let file = callbacks.key_file.clone();
                self.report("smile.callbacks.key_file", Problem::MissingFile { file, why });
            }
            Some(Ok(_)) | None => {}
        }
    }

    /// A device with a broker holds no API key, but a secret of its own.
    fn broker(&mut self, broker: &Broker) {
        if let Err(why) = judge_address(&broker.url, false) {
            self.report("smile.broker.url", Problem::Address(why));
        }
        if self.config.smile.api != Api::V3 {
            self.report("smile.broker", Problem::Broker("gives tokens, which only api = \"v3\" has"));
        }
        if broker.client_cert_file.is_some() != broker.client_key_file.is_some() {
            self.report(
                "smile.broker",
                Problem::Broker("needs client_cert_file and client_key_file together"),
            );
        } else if broker.credential_file.is_none() && broker.client_cert_file.is_none() {
            self.report("smile.broker", Problem::Broker("needs a credential_file or a client certificate"));
        }
        for (key, file) in [
            ("smile.broker.client_cert_file", &broker.client_cert_file),
            ("smile.broker.ca_file", &broker.ca_file),
        ] {
            file.iter().for_each(|file| self.file(key, file));
        }
        for (key, file) in [
            ("smile.broker.credential_file", &broker.credential_file),
            ("smile.broker.client_key_file", &broker.client_key_file),
        ] {
            let Some(file) = file else { continue };
            match self.permissions(key, file) {
                Some(Ok(0)) => self.report(key, Problem::EmptyFile(file.clone())),
                Some(Err(why)) => self.report(key, Problem::MissingFile { file: file.clone(), why }),
                Some(Ok(_)) | None => {}
            }
        }
    }

    fn api_key(&mut self, directory: Option<&Path>) {
        let fallback = &self.config.smile.api_key_file;
        let path = credential_path_in(directory, API_KEY_CREDENTIAL, fallback);
        match self.permissions("smile.api_key_file", &path) {
            Some(Ok(0)) => self.report("smile.api_key_file", Problem::EmptyFile(path)),
            Some(Err(why)) => {
                self.report(
                    "smile.api_key_file",
                    Problem::MissingCredential { name: API_KEY_CREDENTIAL, why },
                );
            }
            Some(Ok(_)) | None => {}
        }
    }

    /// The size of a secret's file or why there is none; `None` when something was reported already.
    fn permissions(&mut self, key: &str, path: &Path) -> Option<Result<u64, String>> {
        if !path.is_absolute() {
            // It may be the secret itself, written into the wrong place: the value is not repeated.
            self.report(key, Problem::NotAbsolute);
            return None;
        }
        let facts = match std::fs::metadata(path) {
            Ok(facts) if facts.is_file() => facts,
            Ok(_) => return Some(Err(format!("{} is not a file", path.display()))),
            Err(error) => return Some(Err(format!("{}: {}", path.display(), os_words(&error)))),
        };
        let mode = facts.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 {
            self.report(key, Problem::OpenToAll { file: path.to_owned(), mode });
            return None;
        }
        match std::fs::File::open(path) {
            Ok(_) => Some(Ok(facts.len())),
            Err(error) => Some(Err(format!("{}: {}", path.display(), os_words(&error)))),
        }
    }

    fn relations(&mut self) {
        let (queue, capture) = (&self.config.queue, &self.config.capture);
        let (ms, byte, c) = (u64::from, |byte: u8| u64::from(byte), capture);
        for (key, value, other_key, other) in [
            (
                "queue.backoff_min_ms",
                ms(queue.backoff_min_ms),
                "queue.backoff_max_ms",
                ms(queue.backoff_max_ms),
            ),
            (
                "capture.luminance_min",
                byte(c.luminance_min),
                "capture.luminance_hint",
                byte(c.luminance_hint),
            ),
            (
                "capture.face_luminance_min",
                byte(c.face_luminance_min),
                "capture.face_luminance_hint",
                byte(c.face_luminance_hint),
            ),
            (
                "capture.face_area_min_percent",
                byte(c.face_area_min_percent),
                "capture.face_area_max_percent",
                byte(c.face_area_max_percent),
            ),
        ] {
            if value > other {
                self.report(key, Problem::MoreThan { value, other_key, other });
            }
        }
        if capture.liveness_count.saturating_mul(capture.liveness_interval_ms) > capture.give_up_ms {
            let problem = Problem::BurstTooLong {
                give_up_ms: capture.give_up_ms,
                count: capture.liveness_count,
                interval_ms: capture.liveness_interval_ms,
            };
            self.report("capture.give_up_ms", problem);
        }
    }

    fn against_guard(&mut self, guard: &GuardConfig) {
        let door = &self.config.door;
        let asked = [
            ("door.window_ms", door.window_ms, "window_max_ms", guard.window_max_ms),
            ("door.unlock_ms", door.unlock_ms, "pulse_max_ms", guard.pulse_max_ms),
        ];
        for (key, value, guard_key, limit) in asked {
            if value > limit {
                let guard_file = door.guard_config.clone();
                self.report(key, Problem::BeyondGuard { value, guard_key, limit, guard_file });
            }
        }
        let sandbox = self.config.smile.environment == Environment::Sandbox;
        let commissioning = door.sandbox_unlock == SandboxUnlock::Commissioning;
        if commissioning && !sandbox {
            self.warn("door.sandbox_unlock", Caution::CommissioningForgotten);
        }
        if !matches!(guard.line, LineConfig::Gpio { .. }) {
            return;
        }
        if self.config.camera.source == CameraSource::File {
            self.report("camera.source", Problem::FileCameraOnRealLine(door.guard_config.clone()));
        }
        match (sandbox, commissioning) {
            (true, false) => {
                self.report("smile.environment", Problem::SandboxOnRealLine(door.guard_config.clone()));
            }
            (true, true) => self.warn("door.sandbox_unlock", Caution::Commissioning),
            (false, _) => {}
        }
        if self.config.smile.base_url.is_some() {
            self.warn("smile.base_url", Caution::OtherJudge);
        }
    }
}

/// https, a host, no user; without a fragment, and without a query unless `query`. The words never repeat the address.
fn judge_address(url: &str, query: bool) -> Result<(), &'static str> {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else {
        return Err("is no address");
    };
    if uri.scheme_str() != Some("https") {
        return Err("is not an https address");
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("has no host");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("has a user name in it");
    }
    if url.contains('#') {
        return Err("has a fragment");
    }
    if uri.query().is_some() && !query {
        return Err("has a query");
    }
    Ok(())
}
