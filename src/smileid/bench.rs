//! Measures the protocol client alone: authentications one after another over one kept connection.

use super::client::Client;
use super::failure::{Failure, FailureKind};
use super::settings::{Settings, SmileError, Trust};
use super::submission::{Consent, Details, Enrolment, Images, Repeat, Submission};
use crate::access::{JobId, Product, UserId, words::sortable_id};
use crate::clock::{Clock, Random, WallTime};
use crate::config::model::Smile;
use secrecy::SecretString;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Runs `plan`.
pub fn run(plan: &Plan, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Figures, BenchError> {
    let smile = Smile {
        base_url: Some(plan.url.clone()),
        ca_file: Some(plan.ca.clone()),
        partner_id: plan.partner_id.clone(),
        ..Smile::default()
    };
    let settings = Settings::from_config(&smile, plan.api_key.clone())?;
    debug_assert!(matches!(settings.trust, Trust::CaFile(_)));
    let client = Client::new(settings, clock.clone(), random.clone())?;

    let selfie = read(&plan.images, "selfie.jpg")?;
    let liveness = (0..8)
        .map(|index| read(&plan.images, &format!("liveness_{index}.jpg")))
        .collect::<Result<Vec<_>, _>>()?;
    let liveness: Vec<&[u8]> = liveness.iter().map(Vec::as_slice).collect();
    let images = Images { selfie: &selfie, liveness: &liveness };
    let details = Details {
        given_names: "Amina Fatou".into(),
        last_name: "Clearwater".into(),
        email: Some("amina.clearwater@example.com".into()),
        phone: None,
    };
    let consent = Consent {
        granted_at: WallTime::from_unix_millis(1_767_323_045_000),
        language: "EN".into(),
        policy_url: "https://example.com/privacy".into(),
    };
    let user = UserId::parse("bench-user").map_err(|error| BenchError::Job {
        number: 0,
        failure: Failure::local(FailureKind::Configuration, error.to_string()),
    })?;

    let start = clock.boot();
    client.warm().map_err(|failure| BenchError::Job { number: 0, failure })?;
    let warm_us = micros(clock.boot().since(start));
    let mut wall_us = Vec::new();
    for number in 0..plan.jobs {
        let start = clock.boot();
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let submission = Submission {
            product: Product::Authentication,
            user_id: &user,
            job: JobId(sortable_id(start.as_millis(), bytes)),
            details: &details,
            consent: &consent,
            images,
            partner_params: &BTreeMap::new(),
            geo: None,
            id_info: None,
            enrolment: Enrolment::OnlyNew,
            repeat: Repeat::AsFirst,
        };
        client.submit(&submission, &mut |_| {}).map_err(|failure| BenchError::Job { number, failure })?;
        wall_us.push(micros(clock.boot().since(start)));
    }
    let picture_bytes =
        liveness.iter().map(|picture| picture.len() as u64).sum::<u64>() + selfie.len() as u64;
    Ok(Figures { jobs: plan.jobs, picture_bytes, warm_us, wall_us })
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
