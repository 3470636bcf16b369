//! From the grant to the edge of a recording line, and from a durable intent to the edge, with the real guard.

use super::print;
use crate::cli::{Failure, output};
use crate::clock::{BootTime, Clock, Random, SystemClock, SystemRandom};
use crate::config::GuardConfig;
use crate::guard::{Link, LinkReport, Report, Request, link as guard_link};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The value below which `share` of 1000 lie.
fn quantile(sorted: &[u64], share: usize) -> u64 {
    let index = sorted.len().saturating_sub(1) * share / 1000;
    sorted.get(index).copied().unwrap_or(0)
}

pub(super) fn summary(mut values: Vec<u64>) -> Value {
    values.sort_unstable();
    json!({
        "count": values.len(),
        "median_us": quantile(&values, 500),
        "p99_us": quantile(&values, 990),
        "max_us": values.last(),
    })
}

struct Scene {
    directory: PathBuf,
    guard: Option<Child>,
    made: bool,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(pid) = i32::try_from(guard.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let _ = guard.wait();
        }
        if self.made {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn io(what: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", what.display()), "name a --directory that may be written")
}

fn scene(directory: Option<PathBuf>) -> Result<Scene, Failure> {
    let made = directory.is_none();
    let directory = directory.unwrap_or_else(|| {
        let mut random = [0; 4];
        SystemRandom.fill(&mut random);
        std::env::temp_dir().join(format!("latchd-bench-{:08x}", u32::from_le_bytes(random)))
    });
    std::fs::create_dir_all(&directory).map_err(|error| io(&directory, &error))?;
    let config = directory.join("guard.toml");
    let text = format!(
        "lock = \"fail-secure\"\n\n[line]\nkind = \"recording\"\nfile = {:?}\n",
        directory.join("line.edges")
    );
    std::fs::write(&config, text).map_err(|error| io(&config, &error))?;
    let program =
        std::env::current_exe().map_err(|error| io(&directory, &error))?.with_file_name("latchd-guard");
    let guard = Command::new(&program)
        .arg("--config")
        .arg(&config)
        .arg("--socket")
        .arg(directory.join("guard.sock"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io(&program, &error))?;
    Ok(Scene { directory, guard: Some(guard), made })
}

/// A database like the daemon's, with one small row a commit.
fn database(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let database = rusqlite::Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT)", [])?;
    Ok(database)
}

fn commit(database: &rusqlite::Connection) -> rusqlite::Result<()> {
    database
        .execute("INSERT INTO row (text) VALUES ('a row of the size of an event: some hundred bytes')", [])?;
    Ok(())
}

/// Measures and prints.
pub fn run(format: output::Format, grants: u32, directory: Option<PathBuf>) -> anyhow::Result<()> {
    let scene = scene(directory)?;
    let guard = GuardConfig::load(&scene.directory.join("guard.toml"))
        .map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    let (path, clock) = (scene.directory.join("bench.db"), SystemClock::new());
    let database = database(&path).map_err(|error| io(&path, &error))?;
    let settings = guard_link::Settings { socket: scene.directory.join("guard.sock"), config: guard };
    let link = Link::new(Arc::new(SystemClock::new()))
        .map_err(|error| Failure::failed(error.to_string(), error.remedy()))?;
    let (told, reports) = crossbeam_channel::bounded(1024);
    let runner = link.clone();
    let thread = std::thread::spawn(move || {
        guard_link::run(&settings, &SystemClock::new(), &runner, &mut |report| {
            let _ = told.send(report);
        });
    });
    let bar = indicatif::ProgressBar::new(grants.into());
    let mut measured = Measured::default();
    let result = measure(grants, &link, &reports, &database, &clock, &mut measured, &bar);
    bar.finish_and_clear();
    link.stop();
    let _ = thread.join();
    result?;
    let object = json!({
        "grant_to_edge": summary(measured.grant_to_edge),
        "bare_commit": summary(measured.bare_commit),
        "intent_and_edge": summary(measured.intent_and_edge),
    });
    let figure = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let text = format!(
        "grant to edge: median {} us, p99 {} us\nbare durable commit: median {} us\ndurable intent and edge: median {} us, p99 {} us",
        figure("/grant_to_edge/median_us"),
        figure("/grant_to_edge/p99_us"),
        figure("/bare_commit/median_us"),
        figure("/intent_and_edge/median_us"),
        figure("/intent_and_edge/p99_us")
    );
    print(format, object, &text);
    Ok(())
}

#[derive(Default)]
struct Measured {
    grant_to_edge: Vec<u64>,
    bare_commit: Vec<u64>,
    intent_and_edge: Vec<u64>,
}

fn micros(from: BootTime, to: BootTime) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

fn measure(
    grants: u32,
    link: &Link,
    reports: &crossbeam_channel::Receiver<LinkReport>,
    database: &rusqlite::Connection,
    clock: &dyn Clock,
    measured: &mut Measured,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let failed = |what: &str| Failure::failed(format!("bench edge: {what}"), "try again on a quiet machine");
    let wait = |wanted: &dyn Fn(&LinkReport) -> Option<BootTime>| loop {
        match reports.recv_timeout(Duration::from_secs(5)) {
            Ok(report) => {
                if let Some(at) = wanted(&report) {
                    return Ok(at);
                }
            }
            Err(_) => return Err(failed("the guard does not answer")),
        }
    };
    wait(&|report| matches!(report, LinkReport::Up { .. }).then_some(BootTime::default()))?;
    for number in 0..grants {
        let mut id = [0; 16];
        SystemRandom.fill(&mut id);
        let attempt = crate::access::AttemptId(id);
        let begun = clock.boot();
        commit(database).map_err(|_| failed("the database does not commit"))?;
        measured.bare_commit.push(micros(begun, clock.boot()));

        let send = |request| link.send(request).map_err(|error| failed(&error.to_string()));
        send(Request::Arm { attempt, window_ms: 5_000 })?;
        wait(&|report| {
            matches!(report, LinkReport::Report(Report::Armed { attempt: a, .. }) if *a == attempt)
                .then_some(BootTime::default())
        })?;
        let intent = clock.boot();
        commit(database).map_err(|_| failed("the database does not commit"))?;
        let sent = send(Request::Grant { attempt, pulse_ms: 2 })?;
        let edge = wait(&|report| match report {
            LinkReport::Report(Report::Unlocked { attempt: a, at }) if *a == attempt => Some(*at),
            _ => None,
        })?;
        measured.grant_to_edge.push(micros(sent, edge));
        measured.intent_and_edge.push(micros(intent, edge));
        wait(&|report| match report {
            LinkReport::Report(Report::Locked { at, .. }) => Some(*at),
            _ => None,
        })?;
        bar.set_position(u64::from(number) + 1);
    }
    Ok(())
}
