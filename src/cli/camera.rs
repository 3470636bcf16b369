//! `latchd camera`: which cameras there are, what the configured one does, and what it sees.

use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::camera::{self, About, CameraError, ControlValue, FormatFacts, NodeFacts, Size, Source};
use crate::capture::gate::{self, Light, Limits};
use crate::capture::{Survey, encode};
use crate::clock::{Clock, SystemClock};
use crate::config::model::{Camera, CameraSource, Config, Exposure, FaceCheck};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Frames until a camera has settled its exposure, on most.
const SETTLE_FRAMES: u32 = 10;

/// Cameras: list them, try the configured one, take one picture.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd camera list\n  latchd camera probe\n  latchd camera probe --device \
/dev/v4l/by-id/usb-046d_0825-video-index0 --frames 100\n  latchd camera tune\n  latchd camera snapshot -o /tmp/door.jpg\n\nExit codes: 0 done; \
1 the camera is absent, busy or gives no frame; 2 command line or configuration."
)]
pub struct CameraArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Each video node with its name, its place, its links that stay, its formats and who has it open.
    List,
    /// Open the camera as the daemon would: what was agreed on, frame rate, light, controls.
    Probe {
        #[command(flatten)]
        which: Which,
        /// Frames to measure over.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=1000))]
        frames: u32,
    },
    /// What the camera shows of a face, as it changes: to hang a camera and a lamp by. Ctrl-C ends it.
    Tune {
        #[command(flatten)]
        which: Which,
        /// End after so many seconds.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: Option<u32>,
    },
    /// One picture as the service would get it. It is a picture of people: take it with their knowledge.
    Snapshot {
        #[command(flatten)]
        which: Which,
        /// The JPEG file, made new and readable by you alone.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// This device instead of the configured one; with it the configuration file may be absent.
    #[arg(long, value_name = "PATH")]
    device: Option<PathBuf>,
}

/// Runs `latchd camera`.
pub fn run(args: CameraArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List => list(format),
        Action::Probe { which, frames } => probe(format, &configured(&args.config, which)?, frames)?,
        Action::Tune { which, seconds } => {
            let lasts = seconds.map(|seconds| Duration::from_secs(seconds.into()));
            super::capture::tune(format, &configured(&args.config, which)?, lasts)?;
        }
        Action::Snapshot { which, output } => snapshot(format, &configured(&args.config, which)?, &output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `latchd.toml`, with the camera of the command line if one is named.
fn configured(file: &ConfigFile, which: Which) -> Result<Config, Failure> {
    let Some(device) = which.device else { return Ok(Session::open(&file.config)?.config) };
    let mut config =
        if file.config.exists() { Session::open(&file.config)?.config } else { Config::default() };
    config.camera = Camera { source: CameraSource::V4l2, device, card: None, bus: None, ..config.camera };
    Ok(config)
}

pub(super) fn failed(error: &CameraError) -> Failure {
    let exit = if error.is_configuration() { 2 } else { 1 };
    Failure { cause: error.to_string(), remedy: error.remedy().into(), exit }
}

fn list(format: output::Format) {
    let nodes = camera::list();
    for node in &nodes {
        output::line(&match format {
            output::Format::Json => node_json(node).to_string(),
            output::Format::Human => node_text(node),
        });
    }
    match format {
        output::Format::Json => output::line(&json!({"kind": "done", "nodes": nodes.len()}).to_string()),
        output::Format::Human if nodes.is_empty() => {
            output::note("no video node: is the camera plugged in, and its driver in this kernel?");
        }
        output::Format::Human => {}
    }
}

fn node_json(node: &NodeFacts) -> Value {
    let holders: Vec<_> =
        node.holders.iter().map(|holder| json!({"pid": holder.pid, "name": holder.name})).collect();
    let (about, trouble) = match &node.about {
        Ok(about) => (Some(about), None),
        Err(why) => (None, Some(why)),
    };
    let formats = about.map(|about| about.formats.iter().map(format_json).collect::<Vec<_>>());
    json!({
        "kind": "item",
        "path": node.path,
        "card": about.map(|about| &about.card),
        "bus": about.map(|about| &about.bus),
        "driver": about.map(|about| &about.driver),
        "captures": about.is_some_and(|about| about.captures),
        "links": node.links,
        "formats": formats,
        "holders": holders,
        "trouble": trouble,
    })
}

fn format_json(format: &FormatFacts) -> Value {
    let sizes: Vec<_> = format.sizes.iter().map(size_text).collect();
    json!({"format": format.code, "understood": format.understood, "sizes": sizes})
}

fn size_text(size: &Size) -> String {
    match size {
        Size::One(width, height) => format!("{width}x{height}"),
        Size::Range(least, most) => format!("{}x{} to {}x{}", least.0, least.1, most.0, most.1),
    }
}

fn node_text(node: &NodeFacts) -> String {
    let mut text = match &node.about {
        Ok(About { card, bus, driver, captures, formats }) => {
            let mut text = format!("{}  card {card:?}  bus {bus:?}  driver {driver}", node.path.display());
            if !captures {
                text.push_str("  (no pictures from this node)");
            }
            let others = formats.iter().filter(|format| !format.understood).count();
            for format in formats.iter().filter(|format| format.understood) {
                let sizes: Vec<_> = format.sizes.iter().map(size_text).collect();
                let sizes = if sizes.is_empty() { "the signal's size".into() } else { sizes.join(" ") };
                text.push_str(&format!("\n  {}: {sizes}", format.code));
            }
            if others > 0 {
                text.push_str(&format!("\n  and {others} formats that latchd does not read"));
            }
            text
        }
        Err(why) => format!("{}  cannot be asked: {why}", node.path.display()),
    };
    for link in &node.links {
        text.push_str(&format!("\n  device = {:?}", link.display().to_string()));
    }
    for holder in &node.holders {
        text.push_str(&format!("\n  open in {holder}"));
    }
    text
}

fn look(source: &mut dyn Source, frames: u32) -> Result<Survey, CameraError> {
    let mut meter = gate::Meter::default();
    let seen = (0..frames).map(|_| source.next_frame().map(|frame| meter.measure(&frame, None)));
    Ok(Survey::of(&seen.collect::<Result<Vec<_>, _>>()?))
}

fn probe(format: output::Format, config: &Config, frames: u32) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut source = camera::open(&config.camera, clock).map_err(|error| failed(&error))?;
    let measured = look(source.as_mut(), frames).map_err(|error| failed(&error))?;
    let agreed = source.agreed().cloned();
    let controls = match &agreed {
        Some(agreed) => camera::controls(&agreed.path).map_err(|error| failed(&error))?,
        None => Vec::new(),
    };
    let remarks: Vec<_> = agreed.iter().flat_map(|agreed| &agreed.remarks).map(ToString::to_string).collect();
    if format == output::Format::Json {
        output::line(
            &json!({
                "kind": "done",
                "path": agreed.as_ref().map(|agreed| &agreed.path),
                "card": agreed.as_ref().map(|agreed| &agreed.card),
                "bus": agreed.as_ref().map(|agreed| &agreed.bus),
                "driver": agreed.as_ref().map(|agreed| &agreed.driver),
                "format": agreed.as_ref().map(|agreed| agreed.format),
                "width": agreed.as_ref().map(|agreed| agreed.width),
                "height": agreed.as_ref().map(|agreed| agreed.height),
                "fps_agreed": agreed.as_ref().and_then(|agreed| agreed.fps),
                "fps_driver": measured.fps.map(|fps| fps.0),
                "fps_used": measured.fps.map(|fps| fps.1),
                "frames": measured.frames,
                "returns": measured.returns,
                "luminance": measured.luminance,
                "sharpness": measured.sharpness,
                "exposure": agreed.as_ref().map(|agreed| &agreed.exposure),
                "remarks": remarks,
                "controls": controls.iter().map(control_json).collect::<Vec<_>>(),
            })
            .to_string(),
        );
        return Ok(());
    }
    for remark in &remarks {
        output::note(&format!("warning: {remark}"));
    }
    output::line(&source.describe());
    if let Some((driver, used)) = measured.fps {
        let agreed = agreed.as_ref().and_then(|agreed| agreed.fps);
        let agreed = agreed.map(|fps| format!(", {fps:.1} agreed on")).unwrap_or_default();
        output::line(&format!(
            "frames a second: {driver:.1} given, {used:.1} used{agreed} ({} frames)",
            measured.frames
        ));
    }
    if measured.returns > 0 {
        output::note(&format!("warning: the camera went away and came back, {} times", measured.returns));
    }
    let limits = &config.capture;
    let light = match Limits::from(limits).light(measured.luminance) {
        Light::Dark if limits.face == FaceCheck::Required => {
            "dark, unless a face is lit: see `latchd camera tune`"
        }
        Light::Dark => "too dark: pictures are refused",
        Light::Dim => "dark: people are asked for more light",
        Light::Enough => "enough",
    };
    output::line(&format!("mean luminance: {:.0} of 255, {light}", measured.luminance));
    output::line(&format!(
        "sharpness: {:.4}, at least {} is wanted",
        measured.sharpness, limits.sharpness_min
    ));
    if let Some(agreed) = &agreed {
        output::line(&match agreed.exposure.as_slice() {
            [] if config.camera.exposure == Exposure::Manual => {
                "light on a face: the exposure is the configured one".to_owned()
            }
            [] => "light on a face: this camera has no control for it".to_owned(),
            names => format!("light on a face: {}", names.join(", ")),
        });
    }
    for control in &controls {
        output::line(&control_text(control));
    }
    Ok(())
}

fn control_json((control, value): &ControlValue) -> Value {
    json!({
        "name": control.name, "kind": control.kind.name(), "least": control.least, "most": control.most,
        "step": control.step, "default": control.default, "value": value, "writable": control.writable,
    })
}

fn control_text((control, value): &ControlValue) -> String {
    let value = value.map_or_else(|| "not readable".into(), |value| value.to_string());
    let fixed = if control.writable { "" } else { ", cannot be set" };
    format!(
        "control {:?}: {value} ({}, {} to {}, default {}{fixed})",
        control.name,
        control.kind.name(),
        control.least,
        control.most,
        control.default
    )
}

fn snapshot(format: output::Format, config: &Config, file: &Path) -> Result<(), Failure> {
    output::note(
        "warning: this is a picture of whoever stands before the camera; delete it when it has served",
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut source = camera::open(&config.camera, clock).map_err(|error| failed(&error))?;
    for _ in 0..=SETTLE_FRAMES {
        source.advance().map_err(|error| failed(&error))?;
    }
    let raw = source.frame();
    let frame = raw.to_frame().map_err(|error| Failure::failed(error.to_string(), error.remedy()))?;
    let view = encode::View { width: frame.width, height: frame.height, rgb: &frame.rgb };
    let jpeg = encode::selfie(view, config.capture.jpeg_quality)
        .map_err(|error| Failure::failed(error.to_string(), error.remedy()))?;
    write_private(file, &jpeg.0).map_err(|error| {
        Failure::failed(
            format!("{}: {error}", file.display()),
            "name a new file in a directory that you may write",
        )
    })?;
    let luminance = gate::measure(&raw).overview.map(|overview| overview.luma_mean);
    output::line(&match format {
        output::Format::Json => json!({
            "kind": "done", "file": file, "bytes": jpeg.0.len(), "width": frame.width, "height": frame.height,
            "luminance": luminance,
        })
        .to_string(),
        output::Format::Human => format!(
            "{}: {} bytes of {}, mean luminance {:.0} of 255",
            file.display(),
            jpeg.0.len(),
            source.describe(),
            luminance.unwrap_or(0.0),
        ),
    });
    Ok(())
}

/// A file of its own, so that nobody's wider mode is taken over; a half-written one is removed.
pub(super) fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = made.write_all(bytes);
    if written.is_err() {
        std::fs::remove_file(file).ok();
    }
    written
}
