//! Loads the configuration and finds who answers: the running daemon, or the database of a stopped one.

use super::{Failure, output};
use crate::agent::alone;
use crate::config::{Config, ConfigErrors, GuardConfig, Source};
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
    // Each line ends with its own remedy.
    Failure::usage(errors.to_string(), "")
}

impl Session {
    /// Reads the file: syntax, keys, types and words.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let (config, source) = Config::load_with_source(file).map_err(|errors| refused(&errors))?;
        Ok(Self { config, source })
    }

    /// Checks it, together with the lock's file that it names; warnings go to stderr.
    pub fn check(&self) -> Result<GuardConfig, Failure> {
        let guard = GuardConfig::load(&self.config.door.guard_config)
            .map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
        let warnings = crate::config::check::check(&self.config, &guard, &self.source)
            .map_err(|errors| refused(&errors))?;
        for warning in &warnings.0 {
            output::note(&format!("warning: {warning}"));
        }
        Ok(guard)
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
        match client::ask(&self.socket(&request), &request, &mut take) {
            Err(ControlError::NotRunning { .. }) => {
                alone::answer(&self.config, device_key, request, &mut take).map_err(|error| Failure {
                    cause: error.to_string(),
                    remedy: error.remedy(),
                    exit: error.exit_code(),
                })?
            }
            Err(error) => return Err(Failure::failed(error.to_string(), error.remedy()).into()),
            Ok(()) => {}
        }
        Ok(exit.unwrap_or(ExitCode::FAILURE))
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
