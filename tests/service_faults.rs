//! A service and a network that do everything wrong, one person after another: each job ends where it belongs, each is at
//! the service at most once, and no pulse is made.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/site.rs"]
mod site;

use serde_json::{Value, json};
use site::{Options, Site, person};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a fault is, and how the attempt of the person who meets it ends.
type Case = (&'static str, &'static str);

const LOST: &str = "unknown_outcome";
const KEPT: &str = "offline";
const BURIED: &str = "job_rejected";
const PASSED: &str = "approved";

/// Faults of the call that makes the job, whichever protocol's.
const ENTRY: &[Case] = &[
    ("kind = \"drop-after-body\"", LOST),
    ("kind = \"drop-answer\"", LOST),
    ("kind = \"half-answer\"", LOST),
    ("kind = \"truncated-json\"", LOST),
    ("kind = \"silence\"", LOST),
    ("kind = \"drip\"\ngap_ms = 1000", LOST),
    ("kind = \"huge-body\"\nbytes = 100000000", LOST),
    ("kind = \"wrong-content-type\"", LOST),
    ("kind = \"set-fields\"\nset = { status = 7 }", LOST),
    ("kind = \"set-fields\"\nset = { status = [\"clear\"] }", LOST),
    ("kind = \"set-fields\"\nset = { job_id = \"../../v1/x\" }", LOST),
    ("kind = \"missing-fields\"\nremove = [\"job_id\"]", LOST),
    ("kind = \"other-user\"", LOST),
    ("kind = \"redirect\"\nlocation = \"https://127.0.0.1:9/\"", LOST),
    ("kind = \"status\"\nstatus = 408", LOST),
    ("kind = \"status\"\nstatus = 500", LOST),
    ("kind = \"status\"\nstatus = 502\nbody = \"<html>\"\ncontent_type = \"text/html\"", LOST),
    ("kind = \"status\"\nstatus = 503", LOST),
    ("kind = \"status\"\nstatus = 504", LOST),
    ("kind = \"status\"\nstatus = 503\nretry_after = \"1\"\ncalls = [1]", KEPT),
    ("kind = \"status\"\nstatus = 429\nretry_after = \"1\"\ncalls = [1]", KEPT),
    ("kind = \"status\"\nstatus = 429\nretry_after_date_in_s = 1\ncalls = [1]", KEPT),
    ("kind = \"status\"\nstatus = 429\nretry_after = \"soon\"\ncalls = [1]", KEPT),
    ("kind = \"status\"\nstatus = 429\ncalls = [1]", KEPT),
    ("kind = \"status\"\nstatus = 400", BURIED),
    ("kind = \"status\"\nstatus = 413", BURIED),
    ("kind = \"status\"\nstatus = 415", BURIED),
    ("kind = \"late\"\ndelay_ms = 300", PASSED),
];

/// Faults that only v3 has.
const V3: &[Case] = &[
    // The token is refused once in mid-run: a new one, and the same job once more.
    ("kind = \"status\"\nstatus = 401\ncalls = [1]", PASSED),
    ("kind = \"status\"\nstatus = 500\ngateway = true\ncalls = [1]", KEPT),
    (
        "kind = \"status\"\nstatus = 403\nbody = '{\"message\":\"Token is not authorized for this user ID.\"}'",
        BURIED,
    ),
];

/// Faults of v3's status that are over after a while: the verdict is found all the same, once.
const STATUS: &[Case] = &[
    ("kind = \"truncated-json\"\ncalls = [1, 2]", PASSED),
    ("kind = \"drop-answer\"\ncalls = [1, 2]", PASSED),
    ("kind = \"huge-body\"\nbytes = 1000000\ncalls = [1]", PASSED),
    ("kind = \"status\"\nstatus = 500\ncalls = [1, 2, 3]", PASSED),
    ("kind = \"status\"\nstatus = 429\nretry_after = \"1\"\ncalls = [1]", PASSED),
    ("kind = \"status\"\nstatus = 401\ncalls = [1]", PASSED),
    ("kind = \"wrong-content-type\"\ncalls = [1]", PASSED),
    ("kind = \"set-fields\"\nset = { status = true }\ncalls = [1]", PASSED),
];

fn deep() -> String {
    let nested = "[".repeat(100_000) + &"]".repeat(100_000);
    format!("kind = \"status\"\nstatus = 202\nbody = '{{\"status\":{nested}}}'")
}

/// A job for everybody, each meeting the fault made for them: by the command that works without a daemon, so that no
/// camera takes its time.
fn a_job_for_everybody(api: &str, faults: &[(&str, String, &str)]) -> Site {
    let mut scenario = String::new();
    let mut people = Vec::new();
    for (number, (endpoint, fault, _)) in faults.iter().enumerate() {
        let user = format!("somebody-{number}");
        scenario.push_str(&format!("[[fault]]\nendpoint = \"{endpoint}\"\nuser = \"{user}\"\n{fault}\n"));
        let mut somebody = person(&user, "Amina Fatou", "Clearwater");
        somebody["user_id"] = json!(user);
        people.push(somebody);
    }
    let enrolled: Vec<_> = (0..faults.len()).map(|number| format!("\"somebody-{number}\"")).collect();
    let scenario = format!("enrolled = [{}]\n{scenario}", enrolled.join(", "));
    let config = [("[camera]", "answer_timeout_ms = 1000\nsend_timeout_ms = 2000\n\n[camera]")];
    let site =
        Site::build(&Options { api, scenario: &scenario, config: &config, people: Value::Array(people) });
    site.import_people();
    let picture = site.path("photograph.png").display().to_string();
    for (number, (endpoint, fault, outcome)) in faults.iter().enumerate() {
        let user = format!("somebody-{number}");
        let mut args = vec!["authenticate", "--user-id", &user, "--image", &picture];
        args.extend((0..6).flat_map(|_| ["--liveness", picture.as_str()]));
        let answer = site.latchd(&args);
        let shown: String = fault.chars().take(120).collect();
        assert_eq!(answer.word("outcome"), *outcome, "{api} {endpoint} {shown}: {answer:?}");
    }
    site
}

/// When the daemon has drained what was kept: nothing was handed in twice, nothing opened, the chain is whole.
fn all_is_well(site: &mut Site) {
    site.start_guard();
    site.start_daemon();
    site.wait("the drain", |site| {
        site.jobs()
            .iter()
            .all(|job| !["new", "sending", "accepted"].contains(&job["state"].as_str().unwrap()))
    });
    assert!(site.edges().is_empty(), "{:?}", site.edges());
    let seen = site.sandbox.as_ref().unwrap().jobs();
    let mut users: Vec<_> = seen.iter().map(|job| job.user_id.clone()).collect();
    users.sort();
    let jobs = users.len();
    users.dedup();
    assert_eq!(users.len(), jobs, "one job each");
    assert_eq!(site.latchd(&["events", "--verify"]).exit, 0);
}

fn of<'a>(
    endpoint: &'static str,
    cases: &'a [Case],
) -> impl Iterator<Item = (&'static str, String, &'static str)> + 'a {
    cases.iter().map(move |(fault, outcome)| (endpoint, (*fault).to_owned(), *outcome))
}

#[test]
fn whatever_v3_does_wrong_each_job_ends_where_it_belongs() {
    let mut faults: Vec<_> = of("v3/authentication", ENTRY).chain(of("v3/authentication", V3)).collect();
    faults.push(("v3/authentication", deep(), LOST));
    faults.extend(of("v3/status", STATUS));
    let mut site = a_job_for_everybody("v3", &faults);
    all_is_well(&mut site);
    for (outcome, state) in [(LOST, LOST), (BURIED, "dead_letter")] {
        let wanted = faults.iter().filter(|(_, _, ended)| *ended == outcome).count();
        let found = site.jobs().iter().filter(|job| job["state"] == state).count();
        assert_eq!(found, wanted, "{state}");
    }
}

#[test]
fn whatever_v2_does_wrong_each_job_ends_where_it_belongs() {
    let mut faults: Vec<_> = of("v2/smart-selfie-authentication", ENTRY).collect();
    faults.push(("v2/smart-selfie-authentication", deep(), LOST));
    all_is_well(&mut a_job_for_everybody("v2", &faults));
}

/// v1 has our own job id: whatever was lost is looked up, and found or sent again under the same id.
#[test]
fn whatever_v1_loses_is_looked_up_and_at_the_service_once() {
    let mut faults = Vec::new();
    for kind in ["drop-after-body", "drop-answer", "half-answer", "truncated-json"] {
        faults.push(("v1/upload", format!("kind = \"{kind}\"\ncalls = [1]"), LOST));
    }
    for kind in ["drop-after-body", "drop-answer"] {
        faults.push(("v1/put", format!("kind = \"{kind}\"\ncalls = [1]"), LOST));
    }
    let busy = |status| format!("kind = \"status\"\nstatus = {status}\nretry_after = \"1\"\ncalls = [1]");
    faults.extend([("v1/put", busy(503), KEPT), ("v1/upload", busy(429), KEPT)]);
    let forged = "kind = \"set-fields\"\nset = { signature = \"AAAA\" }\ncalls = [1]";
    let cut = "kind = \"truncated-json\"\ncalls = [1, 2]";
    faults.extend([("v1/job_status", cut.to_owned(), PASSED), ("v1/job_status", forged.to_owned(), PASSED)]);
    let mut site = a_job_for_everybody("v1", &faults);
    all_is_well(&mut site);
    site.wait("the look-ups", |site| site.jobs().iter().all(|job| job["state"] == "decided"));
    assert!(site.edges().is_empty(), "what was looked up opened nothing");
}

/// What a wire does to the bytes that go through it, the server being well.
#[derive(Clone, Copy)]
enum Wire {
    /// Cut when this many bytes of the client went through.
    CutAfter(usize),
    /// The answer comes a byte at a time.
    DripAnswers,
    /// The client's bytes go through, and nothing comes back.
    Swallow,
    /// Something else than TLS answers.
    Garbage,
    /// A fatal TLS alert (handshake_failure) is all that comes.
    Alert,
}

/// A proxy before the sandbox that does this to each connection.
fn proxy(to: SocketAddr, wire: Wire) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || serve(client, to, wire));
        }
    });
    (address, seen)
}

fn serve(mut client: TcpStream, to: SocketAddr, wire: Wire) {
    match wire {
        Wire::Garbage => drop(client.write_all(b"SSH-2.0-nothing\r\n")),
        Wire::Alert => drop(client.write_all(&[21, 3, 3, 0, 2, 2, 40])),
        _ => {
            let Ok(server) = TcpStream::connect(to) else { return };
            let (from, into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let passed = Arc::new(AtomicUsize::new(0));
            let sent = Arc::clone(&passed);
            let up = std::thread::spawn(move || pass_up(from, into, wire, &sent));
            pass_down(server, client, wire, &passed);
            let _ = up.join();
        }
    }
}

fn pass_up(mut client: TcpStream, mut server: TcpStream, wire: Wire, sent: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let passed = sent.fetch_add(count, Ordering::Relaxed) + count;
        if matches!(wire, Wire::CutAfter(most) if passed > most) {
            let _ = client.shutdown(Shutdown::Both);
            break;
        }
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

fn pass_down(mut server: TcpStream, mut client: TcpStream, wire: Wire, sent: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        // The handshake and the token's answer go through; what answers the pictures suffers.
        let suffers = sent.load(Ordering::Relaxed) > 20_000;
        let sent = match wire {
            Wire::DripAnswers if suffers => buffer[..count].iter().try_for_each(|byte| {
                std::thread::sleep(Duration::from_millis(200));
                client.write_all(&[*byte])
            }),
            Wire::Swallow if suffers => Ok(()),
            _ => client.write_all(&buffer[..count]),
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// The wire between a door and a well service. Nobody gets in by it, and the job is kept or held.
#[test]
fn whatever_the_wire_does_the_door_stays_shut() {
    for (wire, outcomes) in [
        (Wire::CutAfter(300), &[KEPT][..]),
        // In the body. All of it may lie in the sockets by then, and then nobody knows.
        (Wire::CutAfter(20_000), &[KEPT, LOST]),
        (Wire::Swallow, &[LOST, KEPT, "expired"]),
        (Wire::DripAnswers, &[LOST, KEPT, "expired"]),
        (Wire::Garbage, &[KEPT]),
        (Wire::Alert, &[KEPT]),
    ] {
        let mut site = Site::build(&Options {
            config: &[
                ("[camera]", "answer_timeout_ms = 1000\nsend_timeout_ms = 2000\n\n[camera]"),
                ("window_ms = 8000", "window_ms = 5000"),
            ],
            ..Options::default()
        });
        let to = site.sandbox.as_ref().unwrap().addr;
        let (address, connections) = proxy(to, wire);
        let config = std::fs::read_to_string(site.path("latchd.toml")).unwrap();
        std::fs::write(site.path("latchd.toml"), config.replace(&to.to_string(), &address.to_string()))
            .unwrap();
        site.import_people();
        site.start_guard();
        site.start_daemon();
        let answer = site.authenticate("approved");
        assert!(outcomes.contains(&answer.word("outcome")), "{answer:?}\n{}", site.logs());
        assert!(connections.load(Ordering::Relaxed) > 0);
        assert!(site.edges().is_empty());
        assert_eq!(site.jobs().len(), 1);
        let seen = site.sandbox.as_ref().unwrap().jobs();
        assert!(seen.len() <= 1, "{seen:?}");
    }
}
