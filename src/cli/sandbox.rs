//! `latchd sandbox`: a stand-in for Smile ID to develop and test against.

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;
use serde::Serialize;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Failure;
use crate::sandbox::{self, Scenario, Settings};

/// Run a stand-in for Smile ID v1 and v3 over TLS
///
/// It takes jobs as strictly as the service does and answers as a scenario file says: verdicts, delays, faults. It
/// judges names and scripts, never a face. When it is ready it prints one line of JSON with its address and the
/// certificate that clients must trust. SIGTERM or Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  latchd sandbox --listen 127.0.0.1:8443 --partner-id 1234 --api-key test-key --tls-dir ./sandbox
  latchd sandbox --listen 0.0.0.0:8443 --name bench.example --partner-id 1234 --api-key test-key \\
      --tls-dir ./sandbox --scenario bad-day.toml --verbose")]
pub struct SandboxArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// The partner id that clients must use
    #[arg(long, value_name = "ID")]
    pub partner_id: String,
    /// The API key that clients must use. Not a real one: it is visible in the process list
    #[arg(long, value_name = "KEY")]
    pub api_key: SecretString,
    /// Directory of the certificate authority; ca.pem is made there when absent and used again when present
    #[arg(long, value_name = "DIR")]
    pub tls_dir: PathBuf,
    /// A further host name or address that clients use (may be given again)
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// What to play (TOML); without it a service in good health
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Print one line a job to standard error, without pictures and names of people
    #[arg(long)]
    pub verbose: bool,
}

/// The line that says that clients may come. Its keys and their order are a promise.
#[derive(Serialize)]
struct Ready<'a> {
    listening: &'a str,
    ca: std::borrow::Cow<'a, str>,
    kind: &'static str,
}

impl<'a> Ready<'a> {
    fn new(listening: &'a str, ca: std::borrow::Cow<'a, str>) -> Self {
        Self { listening, ca, kind: "progress" }
    }
}

/// Runs until a signal ends it. Exit code 2 when it cannot be set up as asked.
///
/// # Errors
/// When standard output or the signals are not usable.
pub fn run(args: SandboxArgs) -> anyhow::Result<ExitCode> {
    let (mut ended, on_signal) = UnixStream::pair().context("cannot wait for signals")?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let notice = on_signal.try_clone().context("cannot wait for signals")?;
        signal_hook::low_level::pipe::register(signal, notice).context("cannot wait for signals")?;
    }
    let scenario = args.scenario.as_deref().map_or_else(|| Ok(Scenario::default()), Scenario::load);
    let running = scenario.and_then(|scenario| {
        sandbox::start(Settings {
            listen: args.listen,
            partner_id: args.partner_id,
            api_key: args.api_key,
            tls_dir: args.tls_dir,
            names: args.names,
            scenario,
            verbose: args.verbose,
        })
    });
    let running = running.map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    let ready = Ready::new(running.base_url(), running.ca_pem_path().to_string_lossy());
    let ready = serde_json::to_string(&ready).context("cannot write the line that says ready")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}").and_then(|()| out.flush()).context("cannot say that the sandbox is ready")?;
    drop(out);

    ended.read_exact(&mut [0]).context("cannot wait for signals")?;
    running.stop();
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SandboxArgs,
    }

    #[test]
    fn the_contracts_line_is_understood_and_hides_the_key() {
        Line::command().debug_assert();
        let line =
            "x --listen [::1]:0 --partner-id 085 --api-key s3cret --tls-dir d --name a --name b --verbose";
        let args = Line::try_parse_from(line.split(' ')).unwrap().args;
        assert_eq!(args.listen, "[::1]:0".parse().unwrap());
        assert_eq!((args.names.len(), args.scenario.is_none(), args.verbose), (2, true, true));
        assert!(!format!("{args:?}").contains("s3cret"));
        assert!(Line::try_parse_from(["x", "--listen", "127.0.0.1:0"]).is_err());
    }

    #[test]
    fn the_ready_line_is_the_promised_one() {
        let ready = Ready::new("https://127.0.0.1:1", "d/ca.pem".into());
        let line = serde_json::to_string(&ready).unwrap();
        assert_eq!(line, r#"{"listening":"https://127.0.0.1:1","ca":"d/ca.pem","kind":"progress"}"#);
    }

    #[test]
    fn what_cannot_be_set_up_ends_with_2() {
        let dir = tempfile::tempdir().unwrap();
        let args = SandboxArgs {
            listen: "127.0.0.1:0".parse().unwrap(),
            partner_id: "none".into(),
            api_key: "k".into(),
            tls_dir: dir.path().into(),
            names: Vec::new(),
            scenario: None,
            verbose: false,
        };
        let failure = run(args).unwrap_err().downcast::<Failure>().unwrap();
        assert_eq!(failure.exit, 2, "{failure:?}");
    }
}
