//! `latchd broker`.

use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::agent::api_key;
use crate::broker::{self, Settings};
use crate::clock::{Clock, SystemClock, SystemRandom};
use crate::smileid::{Client, Settings as Smile};
use anyhow::Context as _;
use serde_json::json;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Give devices of yours short-lived tokens, so that none of them holds the API key.
///
/// The configuration's [smile] section names the service, the partner and the API key. Each request is one JSON line on
/// standard output. SIGTERM or Ctrl-C ends it. docs/broker.md is its page.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latchd broker --config broker.toml --listen 0.0.0.0:8443 --cert broker.pem --key \
broker.key --devices devices.toml"
)]
pub struct BrokerArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// The broker's certificate chain, PEM.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The key of that certificate, PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Authorities of the devices' client certificates, PEM; without it devices show bearer credentials only.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// The list of devices, TOML; read anew for each request.
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// How many tokens a device may have in an hour. One lives for about a quarter of an hour.
    #[arg(long, value_name = "N", default_value_t = 30)]
    tokens_an_hour: usize,
}

/// Runs until a signal ends it.
///
/// # Errors
/// The configuration, a file or the address is not usable.
pub fn run(args: BrokerArgs) -> anyhow::Result<ExitCode> {
    let (mut ended, on_signal) = UnixStream::pair().context("cannot wait for signals")?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let notice = on_signal.try_clone().context("cannot wait for signals")?;
        signal_hook::low_level::pipe::register(signal, notice).context("cannot wait for signals")?;
    }
    let session = Session::open(&args.config.config)?;
    if session.config.smile.broker.is_some() {
        return Err(
            Failure::usage("[smile.broker]: a broker has the API key itself", "remove the section").into()
        );
    }
    let key = api_key(&session.config).map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    let smile = Smile::from_config(&session.config.smile, key)
        .map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let client = Client::new(smile, Arc::clone(&clock), Arc::new(SystemRandom))
        .map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    let settings = Settings {
        listen: args.listen,
        certificate: args.cert,
        key: args.key,
        client_ca: args.client_ca,
        devices: args.devices,
        tokens_an_hour: args.tokens_an_hour,
    };
    let audit = Arc::new(|object| output::line(&output::object("item", object)));
    let running = broker::start(settings, client, clock, audit)
        .map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    output::line(&output::object("progress", json!({ "listening": format!("https://{}", running.addr) })));
    let _ = ended.read(&mut [0]);
    drop(running);
    Ok(ExitCode::SUCCESS)
}
