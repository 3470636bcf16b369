//! `latchd gpio pulse`: it moves nothing itself. It makes sure that nobody uses the door, has `latchd-guard
//! --test-pulse` do it, and writes to the journal that it was done.

use super::super::session::Session;
use super::super::{ConfigFile, Failure, output};
use crate::guard::socket::Connection;
use crate::logging;
use log::Level;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What must not run meanwhile, in the order in which it is stopped.
const UNITS: [&str; 3] = ["latchd.service", "latchd-guard.socket", "latchd-guard.service"];
/// Where systemd shows that it runs the machine (sd_booted).
const SYSTEMD: &str = "/run/systemd/system";

/// Runs `latchd gpio pulse`.
pub fn run(format: output::Format, file: &ConfigFile, pulse_ms: u32) -> Result<ExitCode, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::usage(
            "a test pulse unlocks the door, so it takes root",
            "run it again with sudo",
        ));
    }
    let session = Session::open(&file.config)?;
    let door = &session.config.door;
    let units = if Path::new(SYSTEMD).exists() { running_units()? } else { Vec::new() };
    let guard = Connection::connect(&door.guard_socket).is_ok();
    if let Some(failure) = in_the_way(&units, session.daemon_runs(), guard, &door.guard_socket) {
        return Err(failure);
    }
    pulse(format, &door.guard_config, pulse_ms)
}

/// Which of the units run.
fn running_units() -> Result<Vec<String>, Failure> {
    let told = Command::new("systemctl").arg("is-active").args(UNITS).stdin(Stdio::null()).output();
    match told {
        Ok(told) => Ok(active(&String::from_utf8_lossy(&told.stdout))),
        // Whether the door is in use cannot be told, so it counts as in use.
        Err(error) => Err(Failure::failed(
            format!("systemctl cannot be asked whether the door is in use: {error}"),
            "run it where systemctl is on the path",
        )),
    }
}

/// PURE. Those of [`UNITS`] that `systemctl is-active` calls neither inactive, failed nor unknown; it prints a word a unit.
fn active(told: &str) -> Vec<String> {
    let mut words = told.lines().map(str::trim);
    UNITS
        .iter()
        // No word for a unit: it may run.
        .filter(|_| !matches!(words.next(), Some("inactive" | "failed" | "unknown")))
        .map(|unit| (*unit).to_owned())
        .collect()
}

/// PURE. What must be stopped first.
fn in_the_way(units: &[String], daemon: bool, guard: bool, socket: &Path) -> Option<Failure> {
    let remedy = "stop it first, then try again";
    if !units.is_empty() {
        let names = units.join(" ");
        return Some(Failure::failed(
            format!("the door is in use: {names} {}", if units.len() == 1 { "runs" } else { "run" }),
            format!("systemctl stop {names}"),
        ));
    }
    if daemon {
        return Some(Failure::failed("the door is in use: latchd runs", remedy));
    }
    if guard {
        let cause = format!("the door is in use: a latchd-guard answers on {}", socket.display());
        return Some(Failure::failed(cause, remedy));
    }
    None
}

fn pulse(format: output::Format, guard_config: &Path, pulse_ms: u32) -> Result<ExitCode, Failure> {
    let program = guard_program()?;
    // Ctrl-C reaches the guard too, which locks; we stay to say so.
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false))).ok();
    let who = asked_by();
    let pulse_text = pulse_ms.to_string();
    logging::to_journal(
        Level::Warn,
        "a test pulse was asked for",
        &[("by", &who), ("pulse_ms", &pulse_text)],
    );
    let ended = Command::new(&program)
        .arg("--config")
        .arg(guard_config)
        .args(["--test-pulse", &pulse_text])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Failure::failed(format!("{}: {error}", program.display()), "install latchd-guard")
        })?;
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.trim_end().replace("latchd-guard: ", "");
    let exit = ended.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    let level = if exit == 0 { Level::Warn } else { Level::Error };
    let exit_text = exit.to_string();
    logging::to_journal(
        level,
        &format!("test pulse: {said}"),
        &[("by", &who), ("pulse_ms", &pulse_text), ("exit", &exit_text)],
    );
    if exit != 0 {
        let (cause, remedy) = said.rsplit_once("; ").unwrap_or((&said, "see the journal"));
        return Err(Failure { cause: cause.into(), remedy: remedy.into(), exit });
    }
    output::line(&match format {
        output::Format::Json => json!({"kind": "done", "asked_ms": pulse_ms, "text": said}).to_string(),
        output::Format::Human => said,
    });
    Ok(ExitCode::SUCCESS)
}

/// The guard that was installed with this program, and no other of the search path: it will unlock the door.
fn guard_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("this program's own place is not known: {error}"), "is /proc mounted?")
    })?;
    let program = own.with_file_name("latchd-guard");
    if program.exists() {
        return Ok(program);
    }
    Err(Failure::failed(format!("{} is not there", program.display()), "install latchd-guard next to latchd"))
}

/// The person behind sudo, if there is one.
fn asked_by() -> String {
    let uid = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok());
    uid.map_or_else(|| "root".into(), |uid| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_that_runs_or_may_run_is_in_the_way() {
        assert!(active("inactive\ninactive\ninactive\n").is_empty());
        assert!(active("unknown\nfailed\ninactive\n").is_empty());
        assert_eq!(active("active\ninactive\ninactive\n"), ["latchd.service"]);
        assert_eq!(active("inactive\nactive\nactivating\n"), &UNITS[1..]);
        assert_eq!(active("deactivating\nreloading\nwhatever\n"), UNITS);
        // An answer that breaks off is no permission.
        assert_eq!(active(""), UNITS);
        assert_eq!(active("inactive\n"), &UNITS[1..]);
    }

    #[test]
    fn what_to_stop_is_said() {
        let socket = Path::new("/run/latchd-guard/guard.sock");
        let units = active("active\nactive\ninactive\n");
        let failure = in_the_way(&units, true, true, socket).unwrap();
        assert_eq!(failure.remedy, "systemctl stop latchd.service latchd-guard.socket");
        assert!(failure.cause.contains("latchd.service latchd-guard.socket run"), "{failure}");
        assert!(in_the_way(&[], true, false, socket).unwrap().cause.contains("latchd runs"));
        assert!(in_the_way(&[], false, true, socket).unwrap().cause.contains("guard.sock"));
        assert!(in_the_way(&[], false, false, socket).is_none());
    }
}
