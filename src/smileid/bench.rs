//! Measures the protocol client alone: authentications one after another over one kept connection, and how soon a verdict
//! is known.

use super::client::Client;
use super::failure::{Failure, FailureKind};
use super::picture::Picture;
use super::settings::{Settings, SmileError, Trust};
use super::submission::{
    Accepted, Consent, Details, Enrolment, Images, Progress, Repeat, Status, Submission,
};
use crate::access::{JobId, Product, UserId, words::sortable_id};
use crate::clock::{Clock, Random, WallTime};
use crate::config::model::Smile;
use secrecy::SecretString;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What to measure. The certificate file is not optional: a benchmark never goes to the real service by mistake.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Address of the stand-in.
    pub url: String,
    /// Its CA.
    pub ca: PathBuf,
    /// Directory with `selfie.jpg` and `liveness_0.jpg` to `liveness_7.jpg`.
    pub images: PathBuf,
    /// How many jobs.
    pub jobs: u32,
    /// Partner id.
    pub partner_id: String,
    /// API key.
    pub api_key: SecretString,
}

/// A benchmark that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The settings cannot work.
    #[error(transparent)]
    Settings(#[from] SmileError),
    /// A picture is missing.
    #[error("{file}: {reason}", file = .file.display())]
    Picture {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A job failed.
    #[error("job {number}: {failure}")]
    Job {
        /// Which, from 0.
        number: u32,
        /// How.
        failure: Failure,
    },
}

impl BenchError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Settings(error) => error.remedy(),
            Self::Picture { .. } => "give a directory with selfie.jpg and liveness_0.jpg to liveness_7.jpg",
            Self::Job { failure, .. } => failure.remedy(),
        }
    }
}

/// What was measured: from the entry POST to the parsed acceptance, token and connection included in the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Jobs accepted.
    pub jobs: u32,
    /// Bytes of pictures in one job.
    pub picture_bytes: u64,
    /// Token and connection, in microseconds.
    pub warm_us: u64,
    /// Wall time of each job in microseconds, in order.
    pub wall_us: Vec<u64>,
}

impl Figures {
    /// The middle of the jobs' wall times, in microseconds.
    pub fn median_us(&self) -> u64 {
        let mut sorted = self.wall_us.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>, BenchError> {
    let file = directory.join(name);
    std::fs::read(&file).map_err(|error| BenchError::Picture { file, reason: error.to_string() })
}

/// What every measurement needs.
struct Bench {
    client: Client,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    selfie: Vec<u8>,
    liveness: Vec<Vec<u8>>,
    details: Details,
    consent: Consent,
    user: UserId,
}

impl Bench {
    fn new(plan: &Plan, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, BenchError> {
        let smile = Smile {
            base_url: Some(plan.url.clone()),
            ca_file: Some(plan.ca.clone()),
            partner_id: plan.partner_id.clone(),
            ..Smile::default()
        };
        let settings = Settings::from_config(&smile, plan.api_key.clone())?;
        debug_assert!(matches!(settings.trust, Trust::CaFile(_)));
        let client = Client::new(settings, clock.clone(), random.clone())?;
        let liveness = (0..8).map(|index| read(&plan.images, &format!("liveness_{index}.jpg")));
        Ok(Self {
            client,
            clock,
            random,
            selfie: read(&plan.images, "selfie.jpg")?,
            liveness: liveness.collect::<Result<_, _>>()?,
            details: Details {
                given_names: "Amina Fatou".into(),
                last_name: "Clearwater".into(),
                email: Some("amina.clearwater@example.com".into()),
                phone: None,
            },
            consent: Consent {
                granted_at: WallTime::from_unix_millis(1_767_323_045_000),
                language: "EN".into(),
                policy_url: "https://example.com/privacy".into(),
            },
            user: UserId::parse("bench-user").map_err(|error| BenchError::Job {
                number: 0,
                failure: Failure::local(FailureKind::Configuration, error.to_string()),
            })?,
        })
    }

    fn warm(&self) -> Result<(), BenchError> {
        self.client.warm().map_err(|failure| BenchError::Job { number: 0, failure })
    }

    fn submit(&self, number: u32, progress: &mut dyn FnMut(Progress)) -> Result<Accepted, BenchError> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        let liveness: Vec<_> = self.liveness.iter().map(|jpeg| Picture::Bytes(jpeg)).collect();
        let submission = Submission {
            product: Product::Authentication,
            user_id: &self.user,
            job: JobId(sortable_id(self.clock.boot().as_millis(), bytes)),
            details: &self.details,
            consent: &self.consent,
            images: Images { selfie: Picture::Bytes(&self.selfie), liveness: &liveness },
            partner_params: &BTreeMap::new(),
            geo: None,
            id_info: None,
            enrolment: Enrolment::OnlyNew,
            repeat: Repeat::AsFirst,
        };
        self.client.submit(&submission, progress).map_err(|failure| BenchError::Job { number, failure })
    }
}

/// Runs `plan`.
pub fn run(plan: &Plan, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Figures, BenchError> {
    let bench = Bench::new(plan, clock, random)?;
    let start = bench.clock.boot();
    bench.warm()?;
    let warm_us = micros(bench.clock.boot().since(start));
    let mut wall_us = Vec::new();
    for number in 0..plan.jobs {
        let start = bench.clock.boot();
        bench.submit(number, &mut |_| {})?;
        wall_us.push(micros(bench.clock.boot().since(start)));
    }
    let pictures = std::iter::once(&bench.selfie).chain(&bench.liveness);
    let picture_bytes = pictures.map(|picture| picture.len() as u64).sum();
    Ok(Figures { jobs: plan.jobs, picture_bytes, warm_us, wall_us })
}

/// How late a verdict was known, and for how many looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Known {
    /// From the service's decision, which it takes `decides` after the last byte left, in microseconds.
    pub late_us: u64,
    /// Status calls.
    pub looks: u32,
}

/// Jobs that are watched at once: what is measured is the pace, not the server.
const WATCHED: u32 = 8;

/// Submits the jobs of `plan` to a service that decides each after `decides`, and looks for each verdict at the pace of a
/// door, at most `longest` apart.
pub fn verdicts(
    plan: &Plan,
    decides: Duration,
    longest: Duration,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Vec<Known>, BenchError> {
    let bench = Bench::new(plan, clock, random)?;
    bench.warm()?;
    let watch = |number| -> Result<Known, BenchError> {
        let mut sent = bench.clock.boot();
        let accepted = bench.submit(number, &mut |step| {
            if step == Progress::Sent {
                sent = bench.clock.boot();
            }
        })?;
        let (_keep, never) = crossbeam_channel::bounded::<()>(0);
        let (taken, mut looks) = (bench.clock.boot(), 0);
        loop {
            let mut random = [0; 8];
            bench.random.fill(&mut random);
            let age = bench.clock.boot().since(taken);
            let _ = never.recv_timeout(super::pause(age, longest, u64::from_le_bytes(random)));
            looks += 1;
            let told = bench.client.status(&accepted.handle);
            if let Status::Final(_) = told.map_err(|failure| BenchError::Job { number, failure })? {
                let late = bench.clock.boot().since(sent).saturating_sub(decides);
                return Ok(Known { late_us: micros(late), looks });
            }
        }
    };
    std::thread::scope(|scope| {
        let watchers: Vec<_> = (0..WATCHED)
            .map(|first| {
                let numbers = (first..plan.jobs).step_by(WATCHED as usize);
                scope.spawn(move || numbers.map(watch).collect::<Result<Vec<_>, _>>())
            })
            .collect();
        let mut known = Vec::new();
        for watcher in watchers {
            known.extend(watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(known)
    })
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
