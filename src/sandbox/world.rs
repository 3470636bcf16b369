//! What a sandbox knows: its scenario, the jobs it was given, who is enrolled, how often it was called.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::endpoint::Endpoint;
use super::fault::Counters;
use super::judge::Ending;
use super::scenario::Scenario;
use crate::access::Check;
use crate::clock::{BootTime, Wall};

/// The oldest job is forgotten beyond this many.
const JOBS_MAX: usize = 100_000;

/// Which of the service's protocols a job came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Upload, zip, job status; or one call of a number's check.
    V1,
    /// One signed call, whose answer is the verdict.
    V2,
    /// One multipart call, status.
    V3,
}

impl Protocol {
    /// `v1` or `v3`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }
}

/// One job as the service saw it, for assertions. Holds no picture and no name; `Debug` hides whom it is about.
#[derive(Clone, PartialEq, Eq)]
pub struct JobSeen {
    /// How it came.
    pub protocol: Protocol,
    /// What was asked.
    pub product: Check,
    /// v3: the id that the sandbox gave; v1: the client's own.
    pub job_id: String,
    /// Whom it is about.
    pub user_id: String,
    /// When it was received (v1: the upload call).
    pub received: BootTime,
    /// The same by the wall clock.
    pub received_wall: Wall,
    /// Bytes of each picture, the selfie first. Empty for a v1 job without its zip, and with `use_enrolled_image`.
    pub image_bytes: Vec<usize>,
    /// Bytes of the whole request body (v1: of the zip).
    pub body_bytes: usize,
    /// The partner's own parameters. v1: without job and user id and job type.
    pub partner_params: BTreeMap<String, String>,
    /// How often the job was handed in: more than 1 for v1 with `retry`.
    pub submissions: u32,
    /// The status word (v3) or result code (v1) at the end; empty for a v1 job without its zip.
    pub decision: String,
}

impl JobSeen {
    /// How many pictures came with it.
    pub fn images(&self) -> usize {
        self.image_bytes.len()
    }
}

impl fmt::Debug for JobSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "JobSeen({} {} job={} images={} decision={:?} at {:?})",
            self.protocol.name(),
            self.product.name(),
            self.job_id,
            self.images(),
            self.decision,
            self.received
        )
    }
}

/// A job with what only its own protocol needs.
#[derive(Debug)]
pub(super) struct Job {
    pub seen: JobSeen,
    /// `None`: a v1 job without its zip.
    pub decided_at: Option<BootTime>,
    pub v1: Option<V1Job>,
}

/// What only v1 needs.
#[derive(Debug)]
pub(super) struct V1Job {
    pub smile_job_id: String,
    /// The sandbox_result that came with the upload call.
    pub sandbox_result: Option<String>,
    /// The upload call said that the face on file stands for the selfie.
    pub use_enrolled_image: bool,
    /// Present with the zip.
    pub ending: Option<Ending>,
}

impl Job {
    pub(super) fn is_decided(&self, now: BootTime) -> bool {
        self.decided_at.is_some_and(|at| at <= now)
    }
}

/// Everything behind the lock.
#[derive(Debug, Default)]
pub(super) struct World {
    pub scenario: Scenario,
    pub counters: Counters,
    pub calls: BTreeMap<Endpoint, u64>,
    jobs: BTreeMap<u64, Job>,
    numbers: HashMap<Key, u64>,
    enrolled: HashMap<String, BootTime>,
    next_number: u64,
}

/// How a job is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// By the id that was given in v3.
    V3(String),
    /// By the client's id in v1.
    V1(String),
    /// By the name of the zip in the store.
    Object(String),
}

impl World {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self { scenario, ..Self::default() }
    }

    /// Plays another scenario from now on; jobs and enrolments stay.
    pub(super) fn set_scenario(&mut self, scenario: Scenario) {
        self.scenario = scenario;
        self.counters.reset();
    }

    /// Numbers jobs from 1; the number is part of the ids that v1 shows.
    pub(super) fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn add(&mut self, number: u64, job: Job) {
        if self.jobs.len() >= JOBS_MAX
            && let Some((_, oldest)) = self.jobs.pop_first()
        {
            for key in keys(&oldest) {
                self.numbers.remove(&key);
            }
        }
        for key in keys(&job) {
            self.numbers.insert(key, number);
        }
        self.jobs.insert(number, job);
    }

    pub(super) fn find(&self, key: &Key) -> Option<&Job> {
        self.jobs.get(self.numbers.get(key)?)
    }

    pub(super) fn find_mut(&mut self, key: &Key) -> Option<&mut Job> {
        self.jobs.get_mut(self.numbers.get(key)?)
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Whether a face is on file for this user.
    pub(super) fn is_enrolled(&self, user_id: &str, now: BootTime) -> bool {
        self.scenario.enrolled.contains(user_id) || self.enrolled.get(user_id).is_some_and(|at| *at <= now)
    }

    /// A registration that passes puts a face on file when it is decided.
    pub(super) fn enrol(&mut self, user_id: &str, at: BootTime) {
        let since = self.enrolled.entry(user_id.to_owned()).or_insert(at);
        *since = at.min(*since);
    }
}

fn keys(job: &Job) -> Vec<Key> {
    match &job.v1 {
        None => vec![Key::V3(job.seen.job_id.clone())],
        Some(v1) => vec![Key::V1(job.seen.job_id.clone()), Key::Object(v1.smile_job_id.clone())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Job {
        let seen = JobSeen {
            protocol: Protocol::V3,
            product: Check::Authentication,
            job_id: id.into(),
            user_id: "u-secret".into(),
            received: BootTime::from_millis(1),
            received_wall: Wall::Unknown,
            image_bytes: vec![1, 2],
            body_bytes: 3,
            partner_params: BTreeMap::new(),
            submissions: 1,
            decision: "clear".into(),
        };
        Job { seen, decided_at: Some(BootTime::from_millis(5)), v1: None }
    }

    #[test]
    fn the_oldest_job_is_forgotten_with_its_key() {
        let mut world = World::default();
        for index in 0..=JOBS_MAX {
            let number = world.next_number();
            world.add(number, job(&index.to_string()));
        }
        assert_eq!(world.jobs().count(), JOBS_MAX);
        assert_eq!(world.numbers.len(), JOBS_MAX);
        assert!(world.find(&Key::V3("0".into())).is_none());
        assert!(world.find(&Key::V3("1".into())).is_some());
    }

    #[test]
    fn enrolment_counts_from_the_decision() {
        let mut world = World::default();
        world.enrol("u-1", BootTime::from_millis(5));
        assert!(!world.is_enrolled("u-1", BootTime::from_millis(4)));
        assert!(world.is_enrolled("u-1", BootTime::from_millis(5)));
        assert!(!job("j").is_decided(BootTime::from_millis(4)));
    }

    #[test]
    fn debug_does_not_tell_who() {
        assert!(!format!("{:?}", job("j").seen).contains("u-secret"));
    }
}
