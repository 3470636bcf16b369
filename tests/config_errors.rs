//! What an installer gets for a wrong configuration: every defect at once, each with file, line, key and remedy.
//!
//! One folder per defect in `tests/fixtures/config`. `@DIR@` in a file stands for the folder the test runs in, where
//! `key` is a good API key. A folder without `guard.toml` has a recording line. Expected texts are whole lines.
#![allow(clippy::unwrap_used, clippy::panic)] // A failed assumption is a failed test.

use latchd::config::{Config, ConfigErrors, GuardConfig, Source, Warnings, check, load};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const RECORDING: &str = "lock = \"fail-secure\"\n[line]\nkind = \"recording\"\nfile = \"edges\"\n";

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(name);
        let text = fs::read_to_string(fixture.join("latchd.toml")).unwrap();
        fs::write(dir.path().join("latchd.toml"), text.replace("@DIR@", dir.path().to_str().unwrap()))
            .unwrap();
        let guard = fs::read_to_string(fixture.join("guard.toml")).unwrap_or(RECORDING.into());
        fs::write(dir.path().join("guard.toml"), guard).unwrap();
        let case = Self { dir };
        case.write("key", "an-api-key\n", 0o600);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn judge(&self, credentials: Option<&Path>) -> Result<Warnings, ConfigErrors> {
        let (config, source) = Config::load_with_source(&self.path("latchd.toml"))?;
        let (guard, _): (GuardConfig, Source) = load::read(&self.path("guard.toml"))?;
        check::check_in(&config, &guard, &source, credentials)
    }

    fn without_dir(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.judge(None).unwrap_err();
        assert!(errors.0.iter().all(|error| !error.remedy().is_empty()));
        self.without_dir(&errors.to_string()).lines().map(str::to_owned).collect()
    }
}

#[track_caller]
fn errors_of(name: &str, expected: &[&str]) {
    assert_eq!(Case::new(name).errors(), expected, "fixture {name}");
}

#[test]
fn ok_a_good_file_has_neither_errors_nor_warnings() {
    assert_eq!(Case::new("good").judge(None).unwrap(), Warnings::default());
}

#[test]
fn ok_what_is_not_there_yet_is_a_warning() {
    let case = Case::new("good");
    let text = fs::read_to_string(case.path("latchd.toml")).unwrap();
    let write = |text: &str| fs::write(case.path("latchd.toml"), text).unwrap();
    let dir = case.dir.path().display().to_string();
    let text = text.replace(
        "[device]",
        &format!(
            "[camera]\nsource = \"file\"\nfile = \"{dir}/face.jpg\"\n\n[device]\nstate_dir = \"{dir}/state\""
        ),
    );
    write(&text);
    let missing = || {
        let (config, source) = Config::load_with_source(&case.path("latchd.toml")).unwrap();
        case.without_dir(&check::missing_places(&config, &source).to_string())
    };
    let lines = missing();
    assert!(
        lines.contains("device.state_dir: state is not there; make it before the daemon starts"),
        "{lines}"
    );
    assert!(lines.contains("camera.file: face.jpg is not there"), "{lines}");
    fs::create_dir(case.path("state")).unwrap();
    fs::write(case.path("face.jpg"), b"").unwrap();
    assert_eq!(missing(), "");
    // Of another camera the file is not needed.
    fs::remove_file(case.path("face.jpg")).unwrap();
    write(&text.replace("source = \"file\"", "source = \"v4l2\""));
    assert_eq!(missing(), "");
}

#[test]
fn err_not_toml() {
    errors_of(
        "bad-toml",
        &[
            "latchd.toml:12: queue.max_jobs: not TOML: extra `=`, expected nothing; mend this line: every line is \
           `key = value`, `[table]` or `# comment`",
        ],
    );
    errors_of(
        "duplicate-key",
        &[
            "latchd.toml:13: log.level: not TOML: duplicate key; mend this line: every line is `key = value`, \
           `[table]` or `# comment`",
        ],
    );
}

#[test]
fn err_unknown_key_names_the_one_that_was_meant() {
    errors_of(
        "unknown-key",
        &["latchd.toml:11: door.window_msec: no such key; did you mean door.window_ms?"],
    );
    errors_of(
        "key-of-another-table",
        &["latchd.toml:12: lockout.window_ms: no such key; did you mean door.window_ms?"],
    );
    errors_of(
        "unknown-table",
        &[
            "latchd.toml:11: mqtt: no such key; remove it; the keys here are device, smile, camera, capture, door, \
           lockout, queue, retention, log",
        ],
    );
}

#[test]
fn err_a_secret_in_the_wrong_place_is_not_repeated() {
    errors_of(
        "secret-in-the-file",
        &["latchd.toml:3: smile.api_key: no such key; did you mean smile.api_key_file?"],
    );
    errors_of(
        "secret-as-path",
        &[
            "latchd.toml:3: smile.api_key_file: must be an absolute path; write the path of the file, from / on; never \
           the secret itself",
        ],
    );
}

#[test]
fn err_wrong_type() {
    errors_of(
        "wrong-type",
        &[
            "latchd.toml:11: door.window_ms: is text; write a \
             whole number from 1000 to 30000, without quotes",
            "latchd.toml:12: door.unlock_ms: is a decimal number; write a whole number from 100 to 60000, without quotes",
            "latchd.toml:15: camera.width: is a list; write a \
             whole number from 160 to 4096, without quotes",
            "latchd.toml:16: camera.device: is a whole number; write text in quotes",
        ],
    );
    errors_of("table-as-value", &["latchd.toml:1: log: is text; write a table"]);
}

#[test]
fn err_unknown_word_lists_the_words() {
    errors_of(
        "unknown-word",
        &[
            "latchd.toml:12: camera.source: \"v412\" is no word of this key; did you mean \"v4l2\"? The words are \
             \"v4l2\", \"file\"",
            "latchd.toml:15: queue.unknown_outcome: \"retry\" is no word of this key; write one of \"hold\", \
             \"resubmit-once\"",
        ],
    );
}

#[test]
fn err_a_number_that_its_type_cannot_hold() {
    errors_of(
        "number-beyond-its-type",
        &[
            "latchd.toml:12: capture.luminance_min: 300 is more than 255; set 0 to 255",
            "latchd.toml:15: queue.max_jobs: -1 is less than 10; set 10 to 1000000",
        ],
    );
}

#[test]
fn err_missing_half_of_a_position() {
    errors_of(
        "half-a-position",
        &["latchd.toml:11: smile.geo.longitude: missing; add it: a number from -180 to 180, without quotes"],
    );
}

#[test]
fn err_every_range_is_reported_at_once() {
    errors_of(
        "out-of-range",
        &[
            "latchd.toml:11: door.name: has 0 characters; write 1 to 64 characters",
            "latchd.toml:12: door.window_ms: 60000 is more than 30000; set 1000 to 30000",
            "latchd.toml:12: door.window_ms: 60000 is more than window_max_ms = 15000 in guard.toml; set 15000 or \
             less, or raise window_max_ms in guard.toml",
            "latchd.toml:13: door.unlock_ms: 50 is less than 100; set 100 to 60000",
            "latchd.toml:16: capture.jpeg_quality: 100 is more than 95; set 60 to 95",
            "latchd.toml:17: capture.sharpness_min: NaN is less than 0; set 0 to 10",
            "latchd.toml:20: smile.geo.latitude: 91 is more than 90; set -90 to 90",
            "latchd.toml:21: smile.geo.longitude: -200 is less than -180; set -180 to 180",
        ],
    );
}

#[test]
fn err_a_window_or_pulse_the_guard_would_refuse() {
    errors_of(
        "impossible-window",
        &[
            "latchd.toml:11: door.window_ms: 20000 is more than window_max_ms = 15000 in guard.toml; set 15000 or \
             less, or raise window_max_ms in guard.toml",
            "latchd.toml:12: door.unlock_ms: 12000 is more than pulse_max_ms = 10000 in guard.toml; set 10000 or \
             less, or raise pulse_max_ms in guard.toml",
        ],
    );
}

#[test]
fn err_missing_credential() {
    errors_of(
        "missing-credential",
        &[
            "latchd.toml:3: smile.api_key_file: the credential `smile-api-key` is missing: absent: no such file or directory; \
           put it there with mode 0600, or give the systemd credential smile-api-key \
           (LoadCredential=smile-api-key:PATH)",
        ],
    );
}

#[test]
fn ok_a_systemd_credential_wins_over_the_file() {
    let case = Case::new("missing-credential");
    fs::create_dir(case.path("credentials")).unwrap();
    case.write("credentials/smile-api-key", "key", 0o400);
    assert_eq!(case.judge(Some(&case.path("credentials"))).unwrap(), Warnings::default());
}

#[test]
fn err_a_credential_that_all_users_can_read_or_that_is_empty() {
    let case = Case::new("good");
    case.write("key", "an-api-key", 0o644);
    case.write("device.key", "0123", 0o602);
    let open = |key: &str, line: u32, file: &str, mode: u32| {
        format!("latchd.toml:{line}: {key}: {file} is open to all users (mode {mode:04o}); chmod 0600 {file}")
    };
    assert_eq!(
        case.errors(),
        [open("smile.api_key_file", 3, "key", 0o644), open("device.device_key_file", 6, "device.key", 0o602)]
    );
    case.write("key", "", 0o600);
    case.write("device.key", "0123", 0o600);
    assert_eq!(
        case.errors(),
        ["latchd.toml:3: smile.api_key_file: key is empty; write the secret into it, on one line"]
    );
}

#[test]
fn err_partner_id() {
    let remedy = "is empty or not digits; write the partner id as the portal shows it, in quotes: \"0042\"";
    errors_of("no-partner-id", &[&format!("latchd.toml:1: smile.partner_id: {remedy}")]);
    errors_of("partner-id-with-letters", &[&format!("latchd.toml:2: smile.partner_id: {remedy}")]);
}

#[test]
fn err_addresses_are_https_and_bare() {
    let remedy = "write https://HOST or https://HOST/PATH, without user, query or fragment";
    errors_of(
        "addresses",
        &[
            &format!("latchd.toml:4: smile.base_url: has a user name in it; {remedy}"),
            &format!("latchd.toml:5: smile.callback_url: is not an https address; {remedy}"),
        ],
    );
    errors_of(
        "address-with-query",
        &[
            &format!("latchd.toml:4: smile.base_url: has a query; {remedy}"),
            &format!("latchd.toml:5: smile.callback_url: has a fragment; {remedy}"),
            "latchd.toml:6: smile.ca_file: no-ca.pem: no such file or directory; put the file there, or correct the path",
        ],
    );
}

#[test]
fn err_partner_params_the_service_keeps_for_itself() {
    let remedy = "rename the field or change its text: keys are 1 to 64 of A-Z a-z 0-9 _ - and not job_id, user_id, \
                  job_type or sandbox_result; values are 1 to 256 characters";
    errors_of(
        "partner-params",
        &[
            &format!("latchd.toml:11: smile.partner_params: has a field with an unfit name; {remedy}"),
            &format!(
                "latchd.toml:12: smile.partner_params.sandbox_result: the service keeps this name for itself; {remedy}"
            ),
            &format!(
                "latchd.toml:13: smile.partner_params.site: is empty, too long or has control characters; {remedy}"
            ),
        ],
    );
}

#[test]
fn err_values_that_contradict_each_other() {
    errors_of(
        "backoff-upside-down",
        &[
            "latchd.toml:12: queue.backoff_min_ms: 60000 is more than queue.backoff_max_ms = 5000; lower it, or raise \
           queue.backoff_max_ms",
        ],
    );
    errors_of(
        "burst-too-long",
        &[
            "latchd.toml:13: capture.give_up_ms: 15000 is less than a burst takes: 8 pictures 2000 ms apart; raise \
             it, or take fewer pictures or take them faster",
            "latchd.toml:14: capture.luminance_min: 60 is more than capture.luminance_hint = 50; lower it, or raise \
             capture.luminance_hint",
        ],
    );
    errors_of(
        "file-camera-without-file",
        &[
            "latchd.toml:11: camera.file: missing while camera.source is \"file\"; name a picture, a directory of \
           pictures or an MJPEG file",
        ],
    );
}

/// door-rules 4.
#[test]
fn err_a_real_line_with_a_camera_of_files_or_with_the_services_sandbox() {
    errors_of(
        "real-line-file-camera",
        &["latchd.toml:12: camera.source: a file camera together with a real line (line.kind = \"gpio\" in \
           guard.toml); set camera.source = \"v4l2\", or give the guard a recording line"],
    );
    errors_of(
        "real-line-sandbox",
        &[
            "latchd.toml:2: smile.environment: the service's sandbox judges names, not faces, and guard.toml drives a \
           real line (line.kind = \"gpio\"); set smile.environment = \"production\", or door.sandbox_unlock = \
           \"commissioning\" while the installer stands there",
        ],
    );
}

/// door-rules 4.
#[test]
fn warned_of_are_commissioning_and_another_judge() {
    let warning = |name: &str| {
        let case = Case::new(name);
        case.without_dir(&case.judge(None).unwrap().to_string())
    };
    assert_eq!(
        warning("real-line-commissioning"),
        "latchd.toml:11: door.sandbox_unlock: COMMISSIONING: the service's sandbox, which judges names and not \
         faces, opens this door; set \"never\" before the installer leaves"
    );
    assert_eq!(
        warning("forgotten-commissioning"),
        "latchd.toml:10: door.sandbox_unlock: has no effect while smile.environment is \"production\"; set \"never\""
    );
    assert_eq!(
        warning("real-line-other-judge"),
        "latchd.toml:2: smile.base_url: the verdicts that open a real door come from another address than the \
         service's own; make sure that it is a gateway of this site and not a stand-in"
    );
}

#[test]
fn err_a_file_that_cannot_be_read() {
    let case = Case::new("good");
    let judged = |case: &Case| case.without_dir(&case.judge(None).unwrap_err().to_string());
    let remedy = "name a readable file of UTF-8 text";
    fs::write(case.path("latchd.toml"), b"[log]\nlevel = \"inf\xff\"\n").unwrap();
    assert_eq!(judged(&case), format!("latchd.toml:2: cannot be read: it is not UTF-8 text; {remedy}"));
    fs::write(case.path("latchd.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(
        judged(&case),
        format!("latchd.toml: cannot be read: it is larger than 1048576 bytes; {remedy}")
    );
    fs::remove_file(case.path("latchd.toml")).unwrap();
    assert_eq!(judged(&case), format!("latchd.toml: cannot be read: no such file or directory; {remedy}"));
}
