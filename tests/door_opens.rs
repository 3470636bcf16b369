//! Who is approved gets in, once; nobody else does.

#[path = "support/site.rs"]
mod site;

use serde_json::json;
use site::{Options, Site, person};

/// door-rules 3, 4, 6, 9 and 10, seen from outside.
#[test]
fn one_approval_is_one_pulse_and_locked_after() {
    let site = Site::open(&Options::default());
    assert!(site.edges().is_empty(), "start is silent");
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (0, "granted"), "{answer:?}\n{}", site.logs());
    assert_eq!(site.openings(), 1, "granted is said after the edge");
    assert!(answer.last["commits_to_edge"].as_u64().unwrap() <= 3, "{answer:?}");
    site.wait("the strike to fall back", Site::is_locked);
    let edges = site.edges();
    let [open, shut] = edges.as_slice() else { panic!("{edges:?}") };
    let open_ms = shut.at.since(open.at).as_millis();
    assert!((300..1000).contains(&open_ms), "{open_ms} ms");
    site.wait("the result of the intent", |site| site.has_event("unlock_done"));
    let order: Vec<String> = site
        .events()
        .iter()
        .filter_map(|event| event["event"].as_str().map(str::to_owned))
        .filter(|kind| ["unlock_intent", "granted", "unlock_done"].contains(&kind.as_str()))
        .collect();
    assert_eq!(order, ["unlock_intent", "granted", "unlock_done"]);
}

#[test]
fn v1_opens_too_and_only_for_an_approval() {
    let scenario =
        "enrolled = [\"approved\", \"denied\"]\n[[user]]\nid = \"denied\"\nresult_code = \"0821\"\n";
    let site = Site::open(&Options { scenario, api: "v1", ..Options::default() });
    let answer = site.authenticate("denied");
    assert_eq!((answer.exit, answer.word("outcome")), (3, "denied"), "{answer:?}\n{}", site.logs());
    assert!(site.edges().is_empty());
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (0, "granted"), "{answer:?}\n{}", site.logs());
    assert_eq!(site.openings(), 1);
}

/// door-rules 15 and 16: before any picture is taken.
#[test]
fn who_is_not_permitted_is_turned_away_before_any_picture() {
    let mut guest = person("guest", "Amina Fatou", "Clearwater");
    guest["may_open"] = json!(false);
    let mut silent = person("silent", "Amina Fatou", "Clearwater");
    for key in ["consent_granted_at", "consent_language", "consent_policy_url"] {
        silent.as_object_mut().unwrap().remove(key);
    }
    let site = Site::open(&Options { people: json!([guest, silent]), ..Options::default() });
    for (user, outcome) in [("nobody", "not_permitted"), ("guest", "not_permitted"), ("silent", "no_consent")]
    {
        let answer = site.authenticate(user);
        assert_eq!((answer.exit, answer.word("outcome")), (3, outcome), "{answer:?}");
        assert_eq!(answer.last["pictures"], 0);
    }
    assert!(site.edges().is_empty());
    assert!(!site.has_event("captured"));
    assert!(site.jobs().is_empty(), "an attempt that made no job leaves none");
    assert!(site.sandbox.as_ref().unwrap().jobs().is_empty());
}

/// door-rules 4: enrolment never touches the door.
#[test]
fn an_enrolment_enrols_and_opens_nothing() {
    let site = Site::open(&Options::default());
    let answer = site.latchd(&["enroll", "--user-id", "approved"]);
    assert_eq!((answer.exit, answer.word("outcome")), (0, "enrolled"), "{answer:?}\n{}", site.logs());
    assert!(site.edges().is_empty());
}

/// door-rules 13: durable, and an operator can lift it.
#[test]
fn repeated_denials_lock_out_over_a_restart_until_an_operator_lifts_it() {
    let config = [("[queue]", "[lockout]\ndenials = 2\n\n[queue]")];
    let mut site = Site::open(&Options { config: &config, ..Options::default() });
    for _ in 0..2 {
        assert_eq!(site.authenticate("denied").word("outcome"), "denied");
    }
    assert!(site.has_event("locked_out"));
    site.stop_daemon();
    site.start_daemon();
    let answer = site.authenticate("denied");
    assert_eq!((answer.exit, answer.word("outcome")), (3, "locked_out"), "{answer:?}");
    // Both denials came from one user of the socket, who counts as one reader: it is locked out for everybody.
    let reader = format!("socket:{}", rustix::process::getuid().as_raw());
    let status = site.latchd(&["status"]);
    let locked_out = &status.last["locked_out_readers"];
    assert_eq!(locked_out[0]["reader"], reader.as_str(), "{locked_out}");
    assert_eq!(site.authenticate("approved").word("outcome"), "locked_out");
    assert_eq!(site.latchd(&["people", "unlock-out", "--reader", &reader]).exit, 0);
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    assert_eq!(site.authenticate("denied").word("outcome"), "locked_out");
    assert_eq!(site.latchd(&["people", "unlock-out", "--user-id", "denied"]).exit, 0);
    assert_eq!(site.authenticate("denied").word("outcome"), "denied");
}

/// door-rules 1 and 14.
#[test]
fn the_effective_values_are_audited_and_a_late_approval_is_expired() {
    let scenario = "[[user]]\nid = \"approved\"\ndecide_after_ms = 1500\n";
    let config = [("window_ms = 8000", "window_ms = 1000")];
    let site = Site::open(&Options { scenario, config: &config, ..Options::default() });
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (5, "expired"), "{answer:?}");
    site.wait("the late verdict", |site| site.has_event("late_verdict"));
    assert!(site.edges().is_empty());
    let events = site.events();
    let started = events.iter().find(|event| event["event"] == "started").unwrap();
    assert_eq!(started["fields"]["window_ms"], "1000");
    assert_eq!(started["fields"]["unlock_ms"], "300");
    let up = events.iter().find(|event| event["event"] == "lock_up").unwrap();
    assert_eq!(up["fields"]["effective"], started["fields"]["guard_effective"]);
}

#[test]
fn without_a_lock_no_attempt_begins_and_the_reason_is_said() {
    let mut site = Site::open(&Options::default());
    site.stop_guard();
    site.wait("the loss of the lock", |site| site.status()["lock"]["state"] == "down");
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (1, "lock_not_ready"), "{answer:?}");
    assert_eq!(answer.last["pictures"], 0);
}

/// Nothing extends a pulse, and nobody who was approved is sent away because the door is open already.
#[test]
fn who_is_approved_while_the_door_is_open_gets_a_pulse_of_their_own() {
    let config = [("unlock_ms = 300", "unlock_ms = 4000")];
    let site = Site::open(&Options { config: &config, ..Options::default() });
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    let answer = site.authenticate("approved");
    assert_eq!((answer.exit, answer.word("outcome")), (0, "granted"), "{answer:?}\n{}", site.logs());
    site.wait("both pulses to end", |site| site.edges().len() == 4 && site.is_locked());
    let edges = site.edges();
    assert!(edges[2].at >= edges[1].at, "the second opens after the first has ended: {edges:?}");
    assert!(edges[1].at.since(edges[0].at).as_millis() >= 4000, "the first was not cut short");
}

/// door-rules 9: an end on purpose is no crash.
#[test]
fn a_clean_stop_with_the_door_open_locks_it_and_closes_the_intent() {
    let config = [("unlock_ms = 300", "unlock_ms = 5000")];
    let mut site = Site::open(&Options { config: &config, ..Options::default() });
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    site.stop_daemon();
    site.wait("the lock", Site::is_locked);
    let events = site.events();
    let done = events.iter().find(|event| event["event"] == "unlock_done").unwrap();
    assert_eq!(done["fields"]["cause"], "command", "{done}");
    site.start_daemon();
    assert!(!site.has_event("unlock_interrupted"));
}

/// door-rules 13: walking away before the answer does not save a denied person from being counted.
#[test]
fn a_denial_that_comes_late_counts_too() {
    let scenario = "[[user]]\nid = \"denied\"\nverdict = \"block\"\ndecide_after_ms = 1500\n";
    let config = [("window_ms = 8000", "window_ms = 1000"), ("[queue]", "[lockout]\ndenials = 1\n\n[queue]")];
    let site = Site::open(&Options { scenario, config: &config, ..Options::default() });
    assert_eq!(site.authenticate("denied").word("outcome"), "expired");
    site.wait("the lock-out", |site| site.has_event("locked_out"));
    assert_eq!(site.authenticate("denied").word("outcome"), "locked_out");
    assert_eq!(site.authenticate("approved").word("outcome"), "granted", "the reader is not blamed for it");
}

/// door-rules 4: nobody who reads the audit later may take a commissioning for a person's approval.
#[test]
fn while_commissioning_every_row_of_an_attempt_says_so() {
    let config = [("[door]", "[door]\nsandbox_unlock = \"commissioning\"")];
    let mut site = Site::open(&Options { config: &config, ..Options::default() });
    let answer = site.authenticate("approved");
    assert_eq!(answer.word("outcome"), "granted", "{answer:?}");
    site.wait("the door to be open no more", |site| site.has_event("unlock_done"));
    assert_eq!(site.authenticate("approved").word("outcome"), "granted");
    site.kill_daemon();
    site.start_daemon();
    let events = site.events();
    let of_attempts: Vec<_> = events.iter().filter(|event| !event["attempt"].is_null()).collect();
    for kind in ["unlock_intent", "granted", "unlock_done", "unlock_interrupted"] {
        assert!(of_attempts.iter().any(|event| event["event"] == kind), "{kind}: {events:?}");
    }
    for event in of_attempts {
        assert_eq!(event["fields"]["sandbox_unlock"], "commissioning", "{event}");
    }
}
