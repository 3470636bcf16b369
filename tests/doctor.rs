//! The doctor names what is missing, with its remedy, and changes nothing.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/site.rs"]
mod site;

use serde_json::Value;
use site::{Answer, Options, Site};

fn finding<'a>(answer: &'a Answer, check: &str) -> &'a Value {
    let found = answer.lines.iter().find(|line| line["check"] == check);
    found.unwrap_or_else(|| panic!("nothing about {check}: {answer:?}"))
}

fn level<'a>(answer: &'a Answer, check: &str) -> &'a str {
    finding(answer, check)["level"].as_str().unwrap()
}

#[test]
fn a_door_that_works_has_no_failure_and_the_stand_ins_are_named() {
    for api in ["v3", "v1"] {
        let site = Site::open(&Options { api, ..Options::default() });
        std::fs::set_permissions(site.directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        let before = (site.events().len(), site.jobs().len(), site.edges().len());
        let answer = site.latchd(&["doctor"]);
        assert_eq!(answer.exit, 0, "{answer:?}");
        for check in [
            "kernel",
            "configuration",
            "permissions",
            "daemon",
            "lock",
            "light",
            "face",
            "queue",
            "disk",
            "clock",
            "service",
        ] {
            assert_eq!(level(&answer, check), "ok", "{:?}", finding(&answer, check));
        }
        // A file for a camera and a recording for a strike: fine for a demonstration, and said.
        assert_eq!((level(&answer, "camera"), level(&answer, "line")), ("warning", "warning"));
        assert_eq!((answer.last["failures"].as_u64(), answer.last["warnings"].as_u64()), (Some(0), Some(2)));
        assert_eq!(before, (site.events().len(), site.jobs().len(), site.edges().len()));
    }
}

#[test]
fn without_daemon_guard_and_service_each_is_named_with_a_remedy() {
    let mut site = Site::build(&Options::default());
    site.import_people();
    site.stop_sandbox();
    let answer = site.latchd(&["doctor"]);
    assert_eq!(answer.exit, 1, "{answer:?}");
    for check in ["daemon", "service"] {
        assert_eq!(level(&answer, check), "failure");
        assert!(!finding(&answer, check)["remedy"].as_str().unwrap().is_empty());
    }
    assert_eq!(level(&answer, "lock"), "warning");
}

#[test]
fn a_key_that_the_service_refuses_is_a_failure() {
    for api in ["v3", "v1"] {
        let site = Site::build(&Options { api, ..Options::default() });
        std::fs::write(site.path("api-key"), "another-key").unwrap();
        let answer = site.latchd(&["doctor"]);
        let service = finding(&answer, "service");
        assert_eq!(service["level"], "failure", "{answer:?}");
        assert!(service["remedy"].as_str().unwrap().contains("API key"), "{service}");
        assert!(!answer.stdout.contains("another-key"));
    }
}

#[test]
fn a_camera_that_is_not_there_and_a_certificate_of_somebody_else_are_failures() {
    let config = [("photograph.png", "absent.png"), ("tls/ca.pem", "other.pem")];
    let site = Site::build(&Options { config: &config, ..Options::default() });
    let other = rcgen::generate_simple_self_signed(vec!["elsewhere".into()]).unwrap();
    std::fs::write(site.path("other.pem"), other.cert.pem()).unwrap();
    let answer = site.latchd(&["doctor"]);
    assert_eq!(answer.exit, 1, "{answer:?}");
    assert_eq!(level(&answer, "camera"), "failure", "{answer:?}");
    let service = finding(&answer, "service");
    assert!(service["seen"].as_str().unwrap().contains("certificate"), "{service}");
}

#[test]
fn nobody_before_the_camera_is_a_warning_and_so_is_a_gate_that_is_off() {
    let site = Site::build(&Options::default());
    let face = |answer: &Answer| finding(answer, "face").clone();
    let seen = face(&site.latchd(&["doctor"]));
    assert_eq!(seen["level"], "ok", "{seen}");
    for word in ["a face is seen", "% of the frame", "mean luminance", "a look takes"] {
        assert!(seen["seen"].as_str().unwrap().contains(word), "{seen}");
    }
    let wall =
        image::RgbImage::from_fn(160, 120, |x, y| image::Rgb([90 + 60 * ((x / 20 + y / 20) % 2) as u8; 3]));
    wall.save(site.path("photograph.png")).unwrap();
    let answer = site.latchd(&["doctor"]);
    let seen = face(&answer);
    assert_eq!((&seen["level"], level(&answer, "light")), (&"warning".into(), "ok"), "{answer:?}");
    assert!(seen["seen"].as_str().unwrap().contains("no face is seen"), "{seen}");
    assert!(seen["remedy"].as_str().unwrap().contains("before the camera"), "{seen}");

    let off = [("[capture]", "[capture]\nface = \"not-looked-at\"")];
    let seen = face(&Site::build(&Options { config: &off, ..Options::default() }).latchd(&["doctor"]));
    assert_eq!(seen["level"], "warning", "{seen}");
    assert!(seen["remedy"].as_str().unwrap().contains("required"), "{seen}");
}

#[test]
fn a_configuration_with_a_typo_is_the_first_failure_and_exit_2() {
    let site = Site::build(&Options { config: &[("window_ms", "windowms")], ..Options::default() });
    let answer = site.latchd(&["doctor"]);
    assert_eq!(answer.exit, 2, "{answer:?}");
    assert!(finding(&answer, "configuration")["seen"].as_str().unwrap().contains("windowms"), "{answer:?}");
}
