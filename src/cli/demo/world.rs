//! The demo's directory and its processes.

use super::super::Failure;
use super::warn;
use crate::access::UserId;
use crate::clock::{BootTime, Clock, SystemClock, SystemRandom};
use crate::control::{ControlError, Reply, Request, client, server};
use crate::guard::recording::{self, Edge};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The photograph that stands before the camera: see tests/fixtures/NOTICE.md.
pub const PHOTOGRAPH: &[u8] = include_bytes!("../../../tests/fixtures/astronaut.png");
const PARTNER: &str = "1234";
/// How long a process may take to come up, or something to be seen.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that runs.
pub struct World {
    directory: PathBuf,
    api_key: String,
    fast: bool,
    /// How long an approval may take, in milliseconds.
    pub window_ms: u32,
    sandbox: Option<Child>,
    sandbox_address: String,
    guard: Option<Child>,
    daemon: Option<Child>,
    clock: SystemClock,
}

pub fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{what}: {error}"), "see the *.log files in the demo's directory")
}

/// Waits without busy looping; nothing ever comes on this channel.
pub fn pause(span: Duration) {
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let _ = never.recv_timeout(span);
}

impl World {
    /// Makes the directory and starts sandbox, lock and daemon.
    pub fn build(fast: bool) -> Result<Self, Failure> {
        let clock = SystemClock::new();
        let mut random = [0_u8; 12];
        crate::clock::Random::fill(&SystemRandom, &mut random);
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let directory = std::env::temp_dir().join(format!("latchd-demo-{}", name.get(..8).unwrap_or("x")));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| failed(&directory.display().to_string(), &error))?;
        let mut world = Self {
            directory,
            api_key: format!("demo-{name}"),
            fast,
            window_ms: if fast { 2_500 } else { 4_000 },
            sandbox: None,
            sandbox_address: "127.0.0.1:0".into(),
            guard: None,
            daemon: None,
            clock,
        };
        world.write_files()?;
        world.start_sandbox()?;
        world.write("latchd.toml", world.config().as_bytes())?;
        world.start_guard()?;
        world.start_daemon()?;
        world.add_people()?;
        Ok(world)
    }

    /// Where everything is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The daemon's configuration.
    pub fn config_file(&self) -> PathBuf {
        self.path("latchd.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        use std::io::Write;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(name))
            .and_then(|mut file| file.write_all(content))
            .map_err(|error| failed(name, &error))
    }

    fn write_files(&self) -> Result<(), Failure> {
        self.write("photograph.png", PHOTOGRAPH)?;
        self.write("api-key", self.api_key.as_bytes())?;
        let late = self.window_ms + if self.fast { 700 } else { 1_500 };
        self.write(
            "scenario.toml",
            format!(
                "# What the stand-in for the service plays.\n[default]\ndecide_after_ms = 150\n\n\
                 [[user]]\nid = \"odd-word\"\nverdict = \"splendid\"\n\n\
                 [[user]]\nid = \"slow\"\ndecide_after_ms = {late}\n"
            )
            .as_bytes(),
        )?;
        self.write(
            "guard.toml",
            format!(
                "lock = \"fail-secure\"\npulse_max_ms = 10000\nwindow_max_ms = 15000\n\n[line]\nkind = \
                 \"recording\"\nfile = {:?}\n",
                self.path("line.edges")
            )
            .as_bytes(),
        )
    }

    fn config(&self) -> String {
        let fast = self.fast;
        include_str!("../../../config/demo.toml")
            .replace("@DIR@", &self.directory.display().to_string())
            .replace("@BASE_URL@", &format!("https://{}", self.sandbox_address))
            .replace("@WINDOW_MS@", &self.window_ms.to_string())
            .replace("@UNLOCK_MS@", if fast { "700" } else { "1500" })
            .replace("@LIVENESS@", if fast { "6" } else { "8" })
    }

    /// Puts something else before the camera: a file of frames, or the person again. The daemon reads its file anew.
    pub fn before_the_lens(&self, frames: Option<&[u8]>) -> Result<(), Failure> {
        let mut text = self.config();
        if let Some(frames) = frames {
            self.write("lens.mjpeg", frames)?;
            // Nobody who watches wants to wait for the default of 30 s.
            text = text
                .replace("photograph.png", "lens.mjpeg")
                .replace("still-with-sway", "plain")
                .replace("[capture]", "[capture]\ngive_up_ms = 5000");
        }
        self.write("latchd.toml", text.as_bytes())?;
        let starts = self.starts();
        let daemon = self.daemon.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        if let Some(pid) = daemon.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::HUP)
                .map_err(|error| failed("SIGHUP to the daemon", &error))?;
        }
        self.wait_for("the daemon with another camera", |world| world.starts() > starts && world.is_ready())
    }

    /// How often the daemon began to work, by the audit; 0 while none answers.
    fn starts(&self) -> usize {
        self.try_events()
            .unwrap_or_default()
            .iter()
            .filter(|event| event.get("event") == Some(&json!("started")))
            .count()
    }

    fn is_ready(&self) -> bool {
        self.status().is_some_and(|status| status.pointer("/lock/state") == Some(&json!("locked")))
    }

    fn program(name: &str) -> Result<PathBuf, Failure> {
        let own = std::env::current_exe().map_err(|error| failed("this program's own path", &error))?;
        if name == "latchd" {
            return Ok(own);
        }
        let beside = own.with_file_name(name);
        if beside.exists() {
            return Ok(beside);
        }
        Err(Failure::failed(
            format!("{} is missing", beside.display()),
            "build both programs: `cargo build --release`",
        ))
    }

    fn log(&self, name: &str) -> Result<Stdio, Failure> {
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path(name))
            .map(Stdio::from)
            .map_err(|error| failed(name, &error))
    }

    /// Starts the stand-in for the service, at the address it had before.
    pub fn start_sandbox(&mut self) -> Result<(), Failure> {
        let mut child = Command::new(Self::program("latchd")?)
            .args(["sandbox", "--listen", &self.sandbox_address, "--partner-id", PARTNER])
            .args(["--api-key", &self.api_key, "--verbose"])
            .arg("--tls-dir")
            .arg(self.path("tls"))
            .arg("--scenario")
            .arg(self.path("scenario.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log("sandbox.log")?)
            .spawn()
            .map_err(|error| failed("sandbox", &error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        self.sandbox = Some(child);
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let address =
            ready.get("listening").and_then(Value::as_str).and_then(|url| url.strip_prefix("https://"));
        match address {
            Some(address) => {
                address.clone_into(&mut self.sandbox_address);
                Ok(())
            }
            None => Err(failed("sandbox", &"it did not come up")),
        }
    }

    /// The network is gone: nothing listens any more.
    pub fn stop_sandbox(&mut self) {
        end(self.sandbox.take());
    }

    fn start_guard(&mut self) -> Result<(), Failure> {
        let child = Command::new(Self::program("latchd-guard")?)
            .arg("--config")
            .arg(self.path("guard.toml"))
            .arg("--socket")
            .arg(self.path("guard.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log("guard.log")?)
            .spawn()
            .map_err(|error| failed("latchd-guard", &error))?;
        self.guard = Some(child);
        Ok(())
    }

    /// Starts the daemon and waits until it and the lock are ready.
    pub fn start_daemon(&mut self) -> Result<(), Failure> {
        let child = Command::new(Self::program("latchd")?)
            .args(["run", "--config"])
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log("latchd.log")?)
            .spawn()
            .map_err(|error| failed("latchd run", &error))?;
        self.daemon = Some(child);
        self.wait_for("daemon and lock", Self::is_ready)
    }

    fn people() -> Value {
        let person = |id: &str, given: &str, last: &str| {
            let mail =
                format!("{}.{last}@example.com", given.split(' ').next().unwrap_or(given)).to_lowercase();
            json!({
                "user_id": id, "may_open": true, "given_names": given, "last_name": last, "email": mail,
                "consent_granted_at": "2026-01-02T03:04:05Z", "consent_language": "EN",
                "consent_policy_url": "https://example.com/privacy",
            })
        };
        // The service's published test identities: its sandbox judges names.
        json!([
            person("approved", "Amina Fatou", "Clearwater"),
            person("denied", "Rashid Omar", "Dangerfield"),
            person("odd-word", "Amina Fatou", "Clearwater"),
            person("slow", "Amina Fatou", "Clearwater"),
        ])
    }

    fn add_people(&self) -> Result<(), Failure> {
        self.write("people.json", Self::people().to_string().as_bytes())?;
        let output = Command::new(Self::program("latchd")?)
            .args(["people", "import", "--config"])
            .arg(self.config_file())
            .arg(self.path("people.json"))
            .output()
            .map_err(|error| failed("latchd people import", &error))?;
        if !output.status.success() {
            return Err(failed("latchd people import", &String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(())
    }

    /// Asks the daemon; each reply goes to `each`; the last one comes back.
    pub fn ask(&self, request: &Request, each: &mut dyn FnMut(&Reply)) -> Result<Reply, ControlError> {
        let (read, operator) = server::socket_paths(&self.directory);
        let socket = if request.only_reads() { read } else { operator };
        let mut last = None;
        client::ask(&socket, request, &mut |reply| {
            each(&reply);
            last = Some(reply);
        })?;
        last.ok_or(ControlError::BrokenAnswer)
    }

    /// Somebody claims an identity at the door.
    pub fn claim(
        &self,
        product: &str,
        user: &str,
        each: &mut dyn FnMut(&Reply),
    ) -> Result<Reply, ControlError> {
        debug_assert!(UserId::parse(user).is_ok());
        let request = Request::Claim {
            product: product.into(),
            user_id: user.into(),
            wait: true,
            allow_new_enroll: false,
        };
        self.ask(&request, each)
    }

    /// The daemon's status, if it answers.
    pub fn status(&self) -> Option<Value> {
        match self.ask(&Request::Status, &mut |_| {}) {
            Ok(Reply::Done { object, .. }) => Some(object),
            _ => None,
        }
    }

    /// All events of the audit.
    pub fn events(&self) -> Vec<Value> {
        self.try_events().unwrap_or_else(|error| {
            warn(&format!("events: {error}"));
            Vec::new()
        })
    }

    fn try_events(&self) -> Result<Vec<Value>, ControlError> {
        let mut events = Vec::new();
        let request = Request::Events { after: 0, follow: false };
        self.ask(&request, &mut |reply| {
            if let Reply::Item { object, .. } = reply {
                events.push(object.clone());
            }
        })?;
        Ok(events)
    }

    /// The line's edges, as recorded.
    pub fn edges(&self) -> Vec<Edge> {
        recording::edges(&self.path("line.edges")).unwrap_or_default()
    }

    /// Now, on the clock of the edges' stamps.
    pub fn now(&self) -> BootTime {
        self.clock.boot()
    }

    /// Waits until `seen` holds.
    pub fn wait_for(&self, what: &str, seen: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let end = self.now().plus(PATIENCE);
        while !seen(self) {
            if self.now() >= end {
                return Err(failed(what, &"not seen within 15 s"));
            }
            pause(Duration::from_millis(20));
        }
        Ok(())
    }

    /// SIGKILL to the daemon; when.
    pub fn kill_daemon(&mut self) -> Option<BootTime> {
        let mut child = self.daemon.take()?;
        let at = self.now();
        child.kill().ok()?;
        let _ = child.wait();
        Some(at)
    }

    /// SIGKILL to the process that holds the line; when.
    pub fn kill_guard(&self, pid: u32) -> Option<BootTime> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
        let at = self.now();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok()?;
        Some(at)
    }

    /// Ends everything and removes the directory.
    pub fn end(mut self) {
        self.stop_all();
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            warn(&format!("{}: {error}", self.directory.display()));
        }
    }

    fn stop_all(&mut self) {
        end(self.daemon.take());
        end(self.guard.take());
        end(self.sandbox.take());
    }
}

impl Drop for World {
    /// After an error the directory stays, for its logs.
    fn drop(&mut self) {
        self.stop_all();
        if self.directory.exists() {
            warn(&format!("the logs of this demo stay in {}", self.directory.display()));
        }
    }
}

/// SIGTERM, then SIGKILL.
fn end(child: Option<Child>) {
    let Some(mut child) = child else { return };
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    for _ in 0..100 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        pause(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
