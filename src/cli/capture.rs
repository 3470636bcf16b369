//! `latchd capture`: a burst as the door would take it, of which nothing is kept or sent; `latchd camera tune`: what the camera
//! shows of a face, frame by frame.

use super::camera::{failed, write_private};
use super::interrupt::Interrupt;
use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::camera;
use crate::capture::sheet::{Sheet, face_text};
use crate::capture::{self, CaptureError, Lens, Lookout, Progress};
use crate::clock::{BootTime, Clock, SystemClock};
use crate::config::model::Config;
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A burst as the door would take it: nothing is kept or sent.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd capture\n  latchd capture --trace /tmp/burst\n\nExit codes: 0 complete; 1 no usable pictures, or \
no camera; 2 command line or configuration; 130 interrupted."
)]
pub struct CaptureArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Write a contact sheet into this new directory: each frame with box, landmarks, measures, hint and reason. It holds
    /// pictures of people.
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
}

fn refused(error: &CaptureError) -> Failure {
    Failure::failed(error.to_string(), error.remedy())
}

/// Runs `latchd capture`.
pub fn run(args: &CaptureArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let config = Session::open(&args.config.config)?.config;
    if let Some(directory) = &args.trace {
        // Before anybody has stood in front of the camera for nothing.
        std::fs::DirBuilder::new().create(directory).map_err(|error| unwritable(directory, &error))?;
    }
    let interrupt = Interrupt::watch().ok();
    let given_up = || interrupt.as_ref().is_some_and(Interrupt::seen);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut source = camera::open(&config.camera, Arc::clone(&clock)).map_err(|error| failed(&error))?;
    let mut progress = |step: Progress| tell(format, &config, step);
    let (mut sheet, mut trouble) = (args.trace.as_ref().map(|_| Sheet::default()), None);
    let begun = clock.boot();
    let mut lens =
        Lens::new(source.as_mut(), &config.capture, clock.as_ref()).map_err(|error| refused(&error))?;
    let result = lens.burst(&mut progress, &given_up, &mut |frame, judged| {
        if let Some(sheet) = &mut sheet {
            trouble = trouble.take().or(sheet.add(frame, judged).err());
        }
    });
    let took = clock.boot().since(begun);
    let end = match &result {
        Ok(_) => format!("complete after {:.1} s", took.as_secs_f64()),
        Err(error) => error.to_string(),
    };
    let mut file = None;
    if let (Some(sheet), Some(directory)) = (&sheet, &args.trace) {
        let path = directory.join("index.html");
        write_private(&path, sheet.html(&end).as_bytes()).map_err(|error| unwritable(&path, &error))?;
        file = Some(path);
    }
    if let Some(error) = trouble {
        output::note(&format!("warning: a frame is missing on the sheet: {error}"));
    }
    if given_up() {
        let remedy = String::new();
        return Err(Failure { cause: "interrupted".into(), remedy, exit: output::INTERRUPTED }.into());
    }
    if let (Err(_), Some(file), output::Format::Human) = (&result, &file, format) {
        output::note(&format!("contact sheet: {}", file.display()));
    }
    let set = result.map_err(|error| refused(&error))?.into_set();
    let bytes = set.selfie.0.len() + set.liveness.iter().map(|jpeg| jpeg.0.len()).sum::<usize>();
    output::line(&match format {
        output::Format::Json => json!({
            "kind": "done", "pictures": set.liveness.len() + 1, "bytes": bytes, "after_ms": took.as_millis(), "trace": file,
        })
        .to_string(),
        output::Format::Human => {
            let sheet = file.map(|file| format!("; contact sheet: {}", file.display())).unwrap_or_default();
            format!("{end}: {} pictures, {bytes} bytes; nothing was kept or sent{sheet}", set.liveness.len() + 1)
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()), "name a new directory where you may write")
}

fn tell(format: output::Format, config: &Config, step: Progress) {
    let (object, text) = match step {
        Progress::Hint(hint) => (json!({"hint": hint.name()}), hint.text(config.capture.language).to_owned()),
        Progress::Liveness { taken, of } => {
            (json!({"taken": taken, "of": of}), format!("picture {taken} of {of}"))
        }
        Progress::Selfie => (json!({"selfie": true}), "selfie taken".to_owned()),
    };
    match format {
        output::Format::Json => output::line(&output::object("progress", object)),
        output::Format::Human => output::note(&text),
    }
}

/// Least time between two lines.
const LINE_EVERY: Duration = Duration::from_millis(200);

/// Runs `latchd camera tune` for so long, or until it is interrupted.
pub fn tune(format: output::Format, config: &Config, lasts: Option<Duration>) -> Result<(), Failure> {
    let Some(mut lookout) = Lookout::open(&config.capture).map_err(|error| refused(&error))? else {
        return Err(Failure {
            cause: "nobody looks for a face: capture.face = \"not-looked-at\"".into(),
            remedy: "set capture.face = \"required\", or use `latchd camera probe`".into(),
            exit: 2,
        });
    };
    let interrupt = Interrupt::watch().ok();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut source = camera::open(&config.camera, Arc::clone(&clock)).map_err(|error| failed(&error))?;
    let (begun, mut shown, mut looks) = (clock.boot(), None, 0_u32);
    while !interrupt.as_ref().is_some_and(Interrupt::seen)
        && lasts.is_none_or(|lasts| clock.boot().since(begun) < lasts)
    {
        let frame = source.next_frame().map_err(|error| failed(&error))?;
        if shown.is_some_and(|at: BootTime| frame.taken.since(at) < LINE_EVERY) {
            continue;
        }
        shown = Some(frame.taken);
        looks = looks.saturating_add(1);
        let glimpse = lookout.look(&frame).map_err(|error| refused(&error))?;
        let word =
            glimpse.trouble.map_or(if glimpse.dim { "dim" } else { "good" }, capture::gate::Reason::name);
        if format == output::Format::Json {
            let face = glimpse.face.map(|face| {
                json!({
                    "area": face.area_share, "right": face.offset.0, "down": face.offset.1,
                    "yaw": face.pose.map(|pose| pose.yaw), "pitch": face.pose.map(|pose| pose.pitch),
                    "roll": face.pose.map(|pose| pose.roll), "luminance": face.light.luma_mean,
                    "sharpness": face.light.sharpness,
                })
            });
            output::line(&json!({"kind": "item", "judged": word, "face": face}).to_string());
            continue;
        }
        let measures =
            glimpse.face.map(|face| face_text(&face).trim_end().replace('\n', "; ")).unwrap_or_default();
        output::again(&format!("{word:<16} {measures}"), std::io::stdout().is_terminal());
    }
    match format {
        output::Format::Json => output::line(&json!({"kind": "done", "looks": looks}).to_string()),
        output::Format::Human if std::io::stdout().is_terminal() => output::line(""),
        output::Format::Human => {}
    }
    Ok(())
}
