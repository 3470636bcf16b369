//! Loads the configuration and finds who answers: the running daemon, or the database of a stopped one.

use super::interrupt::Interrupt;
use super::{Failure, output};
use crate::agent::{AgentError, alone};
use crate::config::{Config, ConfigErrors, GuardConfig, Source, Warnings, check};
use crate::control::{ControlError, Reply, Request, client, server};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A configuration that was read. Whether it can work is checked by whoever works by it: who only asks the daemon
/// need not be able to read the key or the lock's file.
pub struct Session {
    /// `latchd.toml`.
    pub config: Config,
    source: Source,
}

fn refused(errors: &ConfigErrors) -> Failure {
    match errors.0.as_slice() {
        [one] => Failure::usage(format!("{}: {}", one.place, one.problem), one.remedy()),
        // Each line ends with its own remedy.
        _ => Failure::usage(errors.to_string(), ""),
    }
}

/// Where it needed a daemon, that there is `none`, and the socket that was tried.
fn failure(error: &AgentError, none: &ControlError) -> Failure {
    if matches!(error, AgentError::NeedsDaemon) {
        return Failure::usage(none.to_string(), none.remedy());
    }
    Failure { cause: error.to_string(), remedy: error.remedy(), exit: error.exit_code() }
}

impl Session {
    /// Reads the file: syntax, keys, types and words.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let (config, source) = Config::load_with_source(file).map_err(|errors| refused(&errors))?;
        Ok(Self { config, source })
    }

    /// Checks it, together with the lock's file that it names; warnings go to stderr.
    pub fn check(&self) -> Result<GuardConfig, Failure> {
        Ok(self.check_with_warnings()?.0)
    }

    /// As [`Session::check`], with the warnings.
    pub fn check_with_warnings(&self) -> Result<(GuardConfig, Warnings), Failure> {
        let guard = GuardConfig::load(&self.config.door.guard_config)
            .map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
        let mut warnings =
            check::check(&self.config, &guard, &self.source).map_err(|errors| refused(&errors))?;
        warnings.0.extend(check::missing_places(&self.config, &self.source).0);
        for warning in &warnings.0 {
            output::note(&format!("warning: {warning}"));
        }
        Ok((guard, warnings))
    }

    /// Asks the daemon, or answers from the database when none runs.
    pub fn perform(&self, request: Request, format: output::Format) -> anyhow::Result<ExitCode> {
        self.perform_with(request, None, &mut |reply| output::reply(format, reply))
    }

    /// As [`Session::perform`] with another device key for the stopped daemon's database, and each reply given to
    /// `each`, which says the exit code of the last one.
    pub fn perform_with(
        &self,
        request: Request,
        device_key: Option<PathBuf>,
        each: &mut dyn FnMut(Reply) -> Option<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let mut exit = None;
        let mut take = |reply: Reply| exit = each(reply).or(exit);
        let interrupt = Interrupt::watch().ok();
        let give_up = interrupt.as_ref().map(Interrupt::notice);
        match client::ask_until(&self.socket(&request), &request, give_up, &mut take) {
            Err(missing @ ControlError::NotRunning { .. }) => {
                alone::answer(&self.config, device_key, request, &mut take)
                    .map_err(|error| failure(&error, &missing))?;
            }
            Err(error) => {
                let exit = match error {
                    ControlError::Interrupted => output::INTERRUPTED,
                    ControlError::NotAllowed { .. } => 2,
                    _ => 1,
                };
                return Err(Failure { cause: error.to_string(), remedy: error.remedy().into(), exit }.into());
            }
            Ok(()) => {}
        }
        Ok(exit.unwrap_or(ExitCode::FAILURE))
    }

    /// What a command that works alone could not do.
    pub fn failure(&self, error: &AgentError) -> Failure {
        let path = server::socket_paths(&self.config.device.run_dir).1.display().to_string();
        failure(error, &ControlError::NotRunning { path })
    }

    /// Refuses what only a stopped daemon's database can be used for.
    pub fn refuse_daemon(&self) -> Result<(), Failure> {
        match self.daemon_runs() {
            true => Err(Failure::usage(
                "the daemon of this configuration runs",
                "stop it first: systemctl stop latchd",
            )),
            false => Ok(()),
        }
    }

    /// Whether the daemon of this configuration runs.
    pub fn daemon_runs(&self) -> bool {
        client::is_running(&server::socket_paths(&self.config.device.run_dir).0)
    }

    fn socket(&self, request: &Request) -> PathBuf {
        let (read, operator) = server::socket_paths(&self.config.device.run_dir);
        if request.only_reads() { read } else { operator }
    }
}
