//! `latchd submit`.

use super::interrupt::Interrupt;
use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::access::{Check, PictureKind};
use crate::agent::checks::{self, CheckOrder};
use crate::capture::CaptureError;
use crate::capture::files::{load_document, load_liveness, load_selfie};
use crate::config::Config;
use crate::control::{Picture, Request};
use crate::smileid::{CheckForm, Comparison};
use clap::ValueEnum;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What can be asked.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Product {
    /// Enrol somebody who need not be on this door's list.
    Registration,
    /// Is this the enrolled person?
    Authentication,
    /// Are these two the same face? (v3)
    Compare,
    /// Is this the face that the identity authority has? (v1, v3)
    BiometricKyc,
    /// Is this document genuine and this person's? (v1, v3)
    Document,
    /// The same, with the authority's record. (v1, v3)
    EnhancedDocument,
    /// What does the authority know of this number? (v1, v3)
    EnhancedKyc,
    /// Do these data match the number's record? (by v2 in any case)
    BasicKyc,
    /// A new face for an enrolled person. (v1)
    UpdatePhoto,
}

impl Product {
    fn check(self) -> Check {
        match self {
            Self::Registration => Check::Registration,
            Self::Authentication => Check::Authentication,
            Self::Compare => Check::Compare,
            Self::BiometricKyc => Check::BiometricKyc,
            Self::Document => Check::DocumentVerification,
            Self::EnhancedDocument => Check::EnhancedDocumentVerification,
            Self::EnhancedKyc => Check::EnhancedKyc,
            Self::BasicKyc => Check::BasicKyc,
            Self::UpdatePhoto => Check::UpdatePhoto,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Compared {
    /// A document's front.
    Document,
    /// The picture cut out of a document.
    IdPhoto,
    /// A portrait.
    Portrait,
}

/// One check.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "No door opens, whatever the result. The job goes through the encrypted queue, so it may be \
handed in without a network. Fields come from --form (a JSON file, or - for standard input, which keeps names out of the \
list of processes); what is given as an option wins. Names and consent of a person on the list are taken from there.\n\n\
Exit codes: 0 approved, or saved with --no-wait; 1 the service does not take it; 2 a field is missing or wrong; 3 denied; \
4 saved, sent later; 5 undecided.\n\nExamples:\n  latchd submit document --form person.json --image selfie.jpg \
--liveness 0.jpg … --document front.jpg --document-back back.jpg\n  latchd submit enhanced-kyc --form person.json --country \
NG --id-type NIN_V2 --id-number 00000000000\n  latchd submit compare --form person.json --image selfie.jpg --comparison \
passport.jpg --comparison-type id-photo\n  echo '{\"given_names\":\"…\",\"last_name\":\"…\",\"email\":\"…\",\"consent\":\
{\"granted_at\":\"2026-11-02T09:30:00Z\",\"language\":\"EN\",\"policy_url\":\"https://…\"}}' | latchd submit registration \
--user-id emp-0042 --form - --image selfie.jpg --liveness 0.jpg …"
)]
pub struct SubmitArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// What is asked.
    product: Product,
    /// The person's id at the service; made up when left out and not needed.
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The fields, as JSON: a file, or - for standard input.
    #[arg(long, value_name = "FILE")]
    form: Option<PathBuf>,
    /// The selfie.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// A liveness picture; 6 to 8 of them.
    #[arg(long, value_name = "FILE", requires = "image")]
    liveness: Vec<PathBuf>,
    /// The document's front, or the passport's page; JPEG or PNG, sent as it is.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// The document's back.
    #[arg(long, value_name = "FILE", requires = "document")]
    document_back: Option<PathBuf>,
    /// The picture to compare the selfie with; JPEG, sent as it is.
    #[arg(long, value_name = "FILE", requires = "comparison_type")]
    comparison: Option<PathBuf>,
    /// What that picture is.
    #[arg(long, value_name = "WHAT")]
    comparison_type: Option<Compared>,
    /// Country, two capital letters.
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// Kind of document or number.
    #[arg(long, value_name = "TYPE")]
    id_type: Option<String>,
    /// The number.
    #[arg(long, value_name = "NUMBER")]
    id_number: Option<String>,
    /// A free field that comes back with the result.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    partner_param: Vec<(String, String)>,
    /// A name and value that the service keeps with the job.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Use the face on file instead of a selfie.
    #[arg(long, conflicts_with = "image")]
    use_enrolled_image: bool,
    /// Replace the face of a person whom the service already knows.
    #[arg(long)]
    allow_new_enroll: bool,
    /// In the service's sandbox: the result to end with.
    #[arg(long, value_name = "NUMBER")]
    sandbox_result: Option<u16>,
    /// Do not wait for the result: exit 0 once the job is durable.
    #[arg(long)]
    no_wait: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A form has a few hundred bytes.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// The form as text; on standard input, nothing of it is seen in the list of processes.
fn read_form(path: &Path) -> Result<CheckForm, Failure> {
    let shown = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FORM_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FORM_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("{shown}: {error}"), "name a readable file of JSON"))?;
    if text.len() as u64 > FORM_BYTES_MAX {
        return Err(Failure::usage(format!("{shown}: more than 64 KiB"), "a form is a small JSON object"));
    }
    serde_json::from_str(&text).map_err(|error| {
        // Only where, and which name: the parser's text may show what was written there.
        let place = format!("{shown}, line {} column {}", error.line(), error.column());
        Failure::usage(format!("{place}: no such form"), FORM_FIELDS)
    })
}

const FORM_FIELDS: &str = "an object with any of given_names, last_name, email, phone, consent {granted_at, language, \
policy_url}, country, id_type, id_number, middle_name, dob, bank_code, operator, comparison, partner_params, metadata";

impl SubmitArgs {
    fn form(&self) -> Result<CheckForm, Failure> {
        let mut form = self.form.as_deref().map_or(Ok(CheckForm::default()), read_form)?;
        for (place, given) in [
            (&mut form.country, &self.country),
            (&mut form.id_type, &self.id_type),
            (&mut form.id_number, &self.id_number),
        ] {
            if given.is_some() {
                place.clone_from(given);
            }
        }
        if let Some(kind) = self.comparison_type {
            form.comparison = Some(match kind {
                Compared::Document => Comparison::Document,
                Compared::IdPhoto => Comparison::IdPhoto,
                Compared::Portrait => Comparison::Portrait,
            });
        }
        form.partner_params.extend(self.partner_param.iter().cloned());
        form.metadata.extend(self.metadata.iter().cloned());
        form.use_enrolled_image |= self.use_enrolled_image;
        form.allow_new_enroll |= self.allow_new_enroll;
        form.sandbox_result = self.sandbox_result.or(form.sandbox_result);
        Ok(form)
    }

    fn pictures(&self, config: &Config) -> Result<Vec<(PictureKind, Vec<u8>)>, CaptureError> {
        let mut pictures = Vec::new();
        if let Some(path) = &self.image {
            pictures.push((PictureKind::Selfie, load_selfie(path, &config.capture)?.0));
        }
        let liveness = load_liveness(&self.liveness, &config.capture)?;
        pictures.extend(liveness.into_iter().map(|jpeg| (PictureKind::Liveness, jpeg.0)));
        for (kind, path) in [
            (PictureKind::DocumentFront, &self.document),
            (PictureKind::DocumentBack, &self.document_back),
            (PictureKind::Comparison, &self.comparison),
        ] {
            if let Some(path) = path {
                pictures.push((kind, load_document(path)?));
            }
        }
        Ok(pictures)
    }
}

/// Runs `latchd submit`.
pub fn run(args: &SubmitArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    let form = args.form()?;
    let pictures =
        args.pictures(&session.config).map_err(|error| Failure::usage(error.to_string(), error.remedy()))?;
    let check = args.product.check();
    if session.daemon_runs() {
        let request = Request::Submit {
            product: check.name().into(),
            user_id: args.user_id.clone(),
            form: serde_json::to_string(&form)?,
            pictures: pictures
                .into_iter()
                .map(|(kind, bytes)| Picture { kind: kind.name().into(), bytes })
                .collect(),
            wait: !args.no_wait,
        };
        return session.perform(request, format);
    }
    let guard = session.check()?;
    let interrupt = Interrupt::watch().ok();
    let given_up = || interrupt.as_ref().is_some_and(Interrupt::seen);
    let order = CheckOrder { check, user_id: args.user_id.clone(), form, pictures };
    let mut exit = None;
    checks::alone(&session.config, &guard, order, !args.no_wait, &given_up, &mut |reply| {
        exit = output::reply(format, reply).or(exit);
    })
    .map_err(|error| session.failure(&error))?;
    Ok(exit.unwrap_or(ExitCode::FAILURE))
}
