//! What every call needs: whose account this is, the time, chance, and the world behind its lock.

use secrecy::{ExposeSecret as _, SecretString};
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::answer::{Answer, Content};
use super::endpoint::Endpoint;
use super::world::{JobSeen, World};
use crate::access::words::sortable_id;
use crate::clock::{BootTime, Clock, Random, WALL_FLOOR, Wall, WallTime};

/// What every call needs.
pub(super) struct Service {
    pub partner_id: String,
    pub api_key: SecretString,
    /// `https://host:port`, as it stands in tokens and upload URLs.
    pub base_url: String,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub verbose: bool,
    pub world: Mutex<World>,
}

impl Service {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A world behind a poisoned lock is still the only one; the thread that fell is a test's own.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn key(&self) -> &str {
        self.api_key.expose_secret()
    }

    /// v3 writes partner ids without leading zeros; v1 takes them as they are.
    pub(super) fn v3_partner_id(&self) -> &str {
        self.partner_id.trim_start_matches('0')
    }

    pub(super) fn now(&self) -> BootTime {
        self.clock.boot()
    }

    /// The wall clock; where nobody set it, one that at least moves.
    pub(super) fn wall(&self) -> WallTime {
        match self.clock.wall() {
            Wall::Known(time) => time,
            Wall::Unknown => {
                let since_boot = i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX);
                WallTime::from_unix_millis(WALL_FLOOR.as_unix_millis().saturating_add(since_boot))
            }
        }
    }

    /// A fresh id as the service makes them: a prefix and 26 letters that sort by time.
    pub(super) fn type_id(&self, prefix: &str) -> String {
        let mut random = [0; 16];
        self.random.fill(&mut random);
        let millis = u64::try_from(self.wall().as_unix_millis()).unwrap_or(0);
        let number = u128::from_be_bytes(sortable_id(millis, random));
        let letters = (0..26).rev().map(|place| {
            let digit = usize::try_from((number >> (place * 5)) & 31).unwrap_or(0);
            char::from(ALPHABET.get(digit).copied().unwrap_or(b'0'))
        });
        format!("{prefix}_{}", letters.collect::<String>())
    }

    /// Random letters for a URL.
    pub(super) fn random_text(&self) -> String {
        let mut random = [0; 12];
        self.random.fill(&mut random);
        random.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `--verbose`: one line a call that was refused.
    pub(super) fn note_refusal(&self, endpoint: Endpoint, user: Option<&str>, answer: &Answer) {
        if self.verbose && answer.status >= 400 {
            let _ = writeln!(std::io::stderr().lock(), "{}", refusal_line(endpoint, user, answer));
        }
    }

    /// `--verbose`: one line a job, without pictures and names.
    pub(super) fn note(&self, job: &JobSeen) {
        if self.verbose {
            // A stderr that is gone must not stop the service.
            let _ = writeln!(
                std::io::stderr().lock(),
                "{} {} user={} images={} bytes={} decision={} job={}",
                job.protocol.name(),
                job.product.name(),
                printable(&job.user_id),
                job.images(),
                job.body_bytes,
                printable(&job.decision),
                printable(&job.job_id),
            );
        }
    }
}

fn refusal_line(endpoint: Endpoint, user: Option<&str>, answer: &Answer) -> String {
    let user = user.map(|user| format!(" user={}", printable(user))).unwrap_or_default();
    let why = match &answer.content {
        // v3 says message, v1 says error.
        Content::Json(body) => {
            body.get("message").or(body.get("error")).and_then(Value::as_str).unwrap_or_default()
        }
        Content::Text { text, .. } => text,
        Content::Empty => "",
    };
    format!("{}{user} refused={} {}", endpoint.name(), answer.status, printable(why)).trim_end().to_owned()
}

/// Foreign text on a terminal: no control characters, not endless.
fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Crockford's base 32 in small letters.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Whether a text has the form of a job id.
pub(super) fn is_job_id(text: &str) -> bool {
    text.strip_prefix("job_")
        .is_some_and(|letters| letters.len() == 26 && letters.bytes().all(|b| ALPHABET.contains(&b)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemRandom};
    use crate::sandbox::scenario::Scenario;

    /// A service on 2026-01-02T03:04:05Z whose clock moves by hand.
    pub(in crate::sandbox) fn service(scenario: Scenario) -> (Service, Arc<ManualClock>) {
        let wall = Wall::Known(WallTime::from_unix_millis(1_767_323_045_000));
        let clock = Arc::new(ManualClock::new(BootTime::from_millis(1000), wall));
        let service = Service {
            partner_id: "085".into(),
            api_key: SecretString::from("test-key"),
            base_url: "https://127.0.0.1:1".into(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            verbose: false,
            world: Mutex::new(World::new(scenario)),
        };
        (service, clock)
    }

    #[test]
    fn ids_have_the_services_form_and_differ() {
        let (service, _) = service(Scenario::default());
        let (one, two) = (service.type_id("job"), service.type_id("job"));
        assert!(is_job_id(&one), "{one}");
        assert_ne!(one, two);
        assert!(!is_job_id("job_"));
        assert!(!is_job_id(&one.replace("job_", "user_")));
        assert!(!is_job_id(&one.to_uppercase()));
    }

    #[test]
    fn notes_carry_no_control_characters() {
        assert_eq!(printable("a\n\u{1b}b"), "a??b");
    }

    #[test]
    fn a_refusal_is_one_line_without_control_characters() {
        let answer = Answer::refusal(400, "no\nname");
        let line = refusal_line(Endpoint::V3Authentication, Some("emp-3\u{7}"), &answer);
        assert_eq!(line, "v3/authentication user=emp-3? refused=400 no?name");
        assert_eq!(
            refusal_line(Endpoint::V1Upload, None, &Answer::v1("2204", "bad")),
            "v1/upload refused=400 bad"
        );
    }
}
