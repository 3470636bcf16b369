//! Who comes to the door and how the service judges them, the two configuration files, and pictures.

use std::sync::OnceLock;
use std::time::Duration;

use super::chance::Chance;
use crate::access::UserId;
use crate::agent::shared::Shared;
use crate::camera::CameraError;
use crate::capture::{CameraCapture, CaptureError, CaptureSet, Origin};
use crate::clock::{BootTime, Wall};
use crate::config::model::{Api, FaceCheck, UnknownOutcome};
use crate::config::{Config, GuardConfig};
use crate::people::{self, Consent, Contact, NewPerson, OnExisting, PeopleError};
use crate::picture::Jpeg;
use crate::sandbox::{Rule, Scenario};

pub const PARTNER: &str = "1234";
/// Events are kept so long; a clock may be wrong by more.
pub const EVENTS_DAYS: u32 = 300;

/// Somebody, as the door's list knows them.
pub struct Somebody {
    pub user: &'static str,
    pub listed: bool,
    pub may_open: bool,
    pub consent: bool,
    /// The service's words for them.
    pub words: &'static [&'static str],
}

const fn somebody(
    user: &'static str,
    rights: (bool, bool, bool),
    words: &'static [&'static str],
) -> Somebody {
    Somebody { user, listed: rights.0, may_open: rights.1, consent: rights.2, words }
}

const ALL: (bool, bool, bool) = (true, true, true);

/// Everybody who comes.
pub const PEOPLE: [Somebody; 7] = [
    somebody("ada", ALL, &["clear"]),
    somebody("ben", ALL, &["clear", "clear", "clear", "block"]),
    somebody("cyd", ALL, &["block"]),
    somebody("dot", ALL, &["attention", "provisional", "error", "excellent", "clear"]),
    somebody("eve", (true, false, true), &["clear"]),
    somebody("fay", (true, true, false), &["clear"]),
    somebody("gus", (false, false, false), &["clear"]),
];

/// The service knows everybody's face.
pub fn scenario() -> Scenario {
    Scenario { enrolled: PEOPLE.iter().map(|one| one.user.to_owned()).collect(), ..Scenario::default() }
}

/// How the service will judge the next job of this person.
pub fn rule(chance: &mut Chance, who: usize) -> Rule {
    let word = *chance.pick(PEOPLE[who].words);
    let millis = match chance.below(10) {
        0..=5 => chance.micros(100, 2000),
        6 | 7 => chance.micros(2000, 6000),
        _ => chance.micros(6000, 40_000),
    };
    Rule { verdict: Some(word.to_owned()), decide_after: Duration::from_millis(millis), ..Rule::default() }
}

pub fn guard_config(chance: &mut Chance) -> GuardConfig {
    let window = *chance.pick(&[6000, 15_000]);
    let text = format!(
        "lock = \"fail-secure\"\npulse_max_ms = 5000\nwindow_max_ms = {window}\nheartbeat_timeout_ms = 80\n\
         [line]\nkind = \"recording\"\nfile = \"/nowhere\"\n"
    );
    toml::from_str(&text).unwrap()
}

pub fn config(chance: &mut Chance, base_url: &str) -> Config {
    let mut config: Config = toml::from_str("").unwrap();
    base_url.clone_into(config.smile.base_url.get_or_insert_default());
    PARTNER.clone_into(&mut config.smile.partner_id);
    config.smile.callback_url = Some("https://example.test/callback".into());
    config.smile.api = *chance.pick(&[Api::V3, Api::V3, Api::V1, Api::V2]);
    "sim".clone_into(&mut config.door.name);
    config.door.window_ms = *chance.pick(&[4000, 6000]);
    config.door.unlock_ms = *chance.pick(&[500, 3000]);
    (config.lockout.denials, config.lockout.minutes) = (3, 2);
    config.queue.backoff_min_ms = 500;
    config.queue.backoff_max_ms = 60_000;
    config.queue.min_free_mib = 0;
    // No event of a history is so old.
    config.retention.events_days = EVENTS_DAYS;
    config.retention.events_max = *chance.pick(&[48, 160]);
    config.capture.face = FaceCheck::Required;
    change(&mut config, chance);
    config
}

/// What an operator may change from one day to the next.
pub fn change(config: &mut Config, chance: &mut Chance) {
    config.queue.unknown_outcome =
        *chance.pick(&[UnknownOutcome::Hold, UnknownOutcome::Hold, UnknownOutcome::ResubmitOnce]);
    config.queue.max_jobs = *chance.pick(&[5, 200]);
}

/// Fills the door's own list.
pub fn list(shared: &Shared) -> Result<(), PeopleError> {
    shared.store.write(|tx| {
        for one in PEOPLE.iter().filter(|one| one.listed) {
            let Ok(user_id) = UserId::parse(one.user) else { continue };
            let Wall::Known(now) = tx.now().wall else { continue };
            let consent = one.consent.then(|| Consent {
                granted_at: now,
                language: "EN".into(),
                policy_url: "https://example.test/privacy".into(),
            });
            let contact = Contact {
                given_names: one.user.to_owned(),
                last_name: "Test".into(),
                email: Some(format!("{}@example.test", one.user)),
                phone: None,
            };
            let person = NewPerson { user_id, may_open: one.may_open, contact, consent };
            people::add(tx, &shared.keys.people, &person, OnExisting::Replace)?;
        }
        Ok(())
    })
}

fn picture() -> &'static [u8] {
    static PICTURE: OnceLock<Vec<u8>> = OnceLock::new();
    PICTURE.get_or_init(|| {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        encoder.encode(&[90; 192], 8, 8, image::ColorType::Rgb8.into()).unwrap();
        bytes
    })
}

/// Length of the first claim's selfie.
pub fn selfie_bytes() -> usize {
    picture().len()
}

/// A capture: pictures that the service takes for pictures, the selfie so many bytes longer.
pub fn capture(now: BootTime, number: usize) -> CameraCapture {
    let picture = picture().to_vec();
    CameraCapture::simulated(CaptureSet {
        selfie: Jpeg([picture.as_slice(), &vec![0; number]].concat()),
        liveness: vec![Jpeg(picture); 8],
        first: now,
        taken: now,
        origin: Origin::Camera,
    })
}

pub fn camera_lost() -> CaptureError {
    CaptureError::Camera(CameraError::Unplugged { path: "/dev/video0".into() })
}
