//! A door for tests: the real daemon, the real guard and the sandbox in one temporary directory. Everything is
//! looked at from outside: through the commands, the recorded edges and the audit.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use latchd::guard::recording::{self, Edge, Level};
use latchd::sandbox::{self, Running, Scenario};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const API_KEY: &str = "test-key-5d1f0c7a";
pub const PARTNER: &str = "1234";

/// What a site is made of.
pub struct Options<'a> {
    /// The sandbox's scenario file.
    pub scenario: &'a str,
    /// `v3` or `v1`.
    pub api: &'a str,
    /// Replacements in the configuration, after it was made.
    pub config: &'a [(&'a str, &'a str)],
    /// People besides the standard ones.
    pub people: Value,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { scenario: "", api: "v3", config: &[], people: json!([]) }
    }
}

pub struct Site {
    pub directory: tempfile::TempDir,
    pub sandbox: Option<Running>,
    address: SocketAddr,
    scenario: String,
    guard: Option<Child>,
    daemon: Option<Child>,
}

/// The last line of a command's JSON output, its exit code, and all it printed.
#[derive(Debug)]
pub struct Answer {
    pub exit: i32,
    pub last: Value,
    pub lines: Vec<Value>,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn word(&self, key: &str) -> &str {
        self.last.get(key).and_then(Value::as_str).unwrap_or("-")
    }
}

pub fn person(id: &str, given: &str, last: &str) -> Value {
    let mail = format!("{}.{last}@example.com", given.split(' ').next().unwrap_or(given)).to_lowercase();
    json!({
        "user_id": id, "may_open": true, "given_names": given, "last_name": last, "email": mail,
        "consent_granted_at": "2026-01-02T03:04:05Z", "consent_language": "EN",
        "consent_policy_url": "https://example.com/privacy",
    })
}

fn write(path: &Path, content: &[u8]) {
    use std::io::Write;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .unwrap();
}

impl Site {
    /// A site whose daemon is not started yet.
    pub fn build(options: &Options<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut site = Self {
            directory,
            sandbox: None,
            address: "127.0.0.1:0".parse().unwrap(),
            scenario: options.scenario.to_owned(),
            guard: None,
            daemon: None,
        };
        site.start_sandbox();
        write(&site.path("photograph.png"), include_bytes!("../fixtures/astronaut.png"));
        write(&site.path("api-key"), API_KEY.as_bytes());
        let dir = site.directory.path().display().to_string();
        write(
            &site.path("guard.toml"),
            format!(
                "lock = \"fail-secure\"\nheartbeat_timeout_ms = 100\n\n[line]\nkind = \"recording\"\nfile = \"{dir}/line.edges\"\n"
            )
            .as_bytes(),
        );
        let mut config = include_str!("../../config/demo.toml")
            .replace("@DIR@", &dir)
            .replace("@BASE_URL@", &format!("https://{}", site.address))
            .replace("@WINDOW_MS@", "8000")
            .replace("@UNLOCK_MS@", "300")
            .replace("@LIVENESS@", "6")
            .replace("[smile]", &format!("[smile]\napi = \"{}\"", options.api));
        for (from, to) in options.config {
            assert!(config.contains(from), "nothing to replace: {from}");
            config = config.replace(from, to);
        }
        write(&site.path("latchd.toml"), config.as_bytes());
        let mut people = vec![
            person("approved", "Amina Fatou", "Clearwater"),
            person("denied", "Rashid Omar", "Dangerfield"),
        ];
        people.extend(options.people.as_array().cloned().unwrap_or_default());
        write(&site.path("people.json"), Value::Array(people).to_string().as_bytes());
        site
    }

    /// A site with people on the list, and guard and daemon running.
    pub fn open(options: &Options<'_>) -> Self {
        let mut site = Self::build(options);
        site.import_people();
        site.start_guard();
        site.start_daemon();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn import_people(&self) {
        let people = self.path("people.json");
        let answer = self.latchd(&["people", "import", people.to_str().unwrap()]);
        assert_eq!(answer.exit, 0, "{answer:?}");
    }

    pub fn start_sandbox(&mut self) {
        let running = sandbox::start(sandbox::Settings {
            listen: self.address,
            partner_id: PARTNER.into(),
            api_key: API_KEY.to_owned().into(),
            tls_dir: self.directory.path().join("tls"),
            names: vec![],
            scenario: Scenario::parse(&self.scenario).unwrap(),
            verbose: false,
        })
        .unwrap();
        self.address = running.addr;
        self.sandbox = Some(running);
    }

    pub fn stop_sandbox(&mut self) {
        self.sandbox = None;
    }

    fn log(&self, name: &str) -> Stdio {
        fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap().into()
    }

    pub fn start_guard(&mut self) {
        self.guard = Some(
            Command::new(env!("CARGO_BIN_EXE_latchd-guard"))
                .arg("--config")
                .arg(self.path("guard.toml"))
                .arg("--socket")
                .arg(self.path("guard.sock"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(self.log("guard.log"))
                .spawn()
                .unwrap(),
        );
    }

    pub fn stop_guard(&mut self) {
        terminate(self.guard.take());
    }

    pub fn start_daemon(&mut self) {
        self.spawn_daemon();
        self.wait("the daemon and the lock", |site| {
            site.status().pointer("/lock/state") == Some(&json!("locked"))
        });
    }

    pub fn spawn_daemon(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_latchd"))
            .args(["run", "--config"])
            .arg(self.path("latchd.toml"))
            .stdin(Stdio::null())
            .stdout(self.log("latchd.out"))
            .stderr(self.log("latchd.log"))
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    pub fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// The exit code of a daemon that does not start.
    pub fn daemon_exit(&mut self) -> i32 {
        self.spawn_daemon();
        self.daemon.take().unwrap().wait().unwrap().code().unwrap_or(-1)
    }

    pub fn stop_daemon(&mut self) {
        terminate(self.daemon.take());
    }

    pub fn kill_daemon(&mut self) {
        let mut child = self.daemon.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs a command against this site's configuration.
    pub fn latchd(&self, args: &[&str]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_latchd"))
            .args(args)
            .arg("--json")
            .arg("--config")
            .arg(self.path("latchd.toml"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        answer(&output)
    }

    /// What a command prints for people.
    pub fn command(&self, args: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_latchd"))
            .args(args)
            .arg("--config")
            .arg(self.path("latchd.toml"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    pub fn authenticate(&self, user: &str) -> Answer {
        self.latchd(&["authenticate", "--user-id", user])
    }

    pub fn status(&self) -> Value {
        self.latchd(&["status"]).last
    }

    pub fn events(&self) -> Vec<Value> {
        let mut lines = self.latchd(&["events"]).lines;
        lines.pop();
        lines
    }

    pub fn has_event(&self, kind: &str) -> bool {
        self.events().iter().any(|event| event["event"] == kind)
    }

    pub fn jobs(&self) -> Vec<Value> {
        let mut lines = self.latchd(&["queue", "list"]).lines;
        lines.pop();
        lines
    }

    pub fn edges(&self) -> Vec<Edge> {
        recording::edges(&self.path("line.edges")).unwrap()
    }

    pub fn openings(&self) -> usize {
        self.edges().iter().filter(|edge| edge.level == Level::Unlocked).count()
    }

    pub fn is_locked(&self) -> bool {
        self.edges().last().is_none_or(|edge| edge.level == Level::Locked)
    }

    /// Waits for something to be seen; the time limit only ends a failed test.
    pub fn wait(&self, what: &str, seen: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !seen(self) {
            assert!(Instant::now() < end, "not seen: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn logs(&self) -> String {
        ["latchd.log", "guard.log"]
            .iter()
            .map(|name| fs::read_to_string(self.path(name)).unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        terminate(self.daemon.take());
        terminate(self.guard.take());
    }
}

pub fn answer(output: &Output) -> Answer {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Value> = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Answer {
        exit: output.status.code().unwrap_or(-1),
        last: lines.last().cloned().unwrap_or_default(),
        lines,
        stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn terminate(child: Option<Child>) {
    let Some(mut child) = child else { return };
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}
