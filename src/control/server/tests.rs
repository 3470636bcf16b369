use super::*;
use crate::control::client;
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;

/// Answers each request with its name.
struct Echo;

impl Handler for Echo {
    fn handle(&self, _: Peer, request: Request, answer: &mut Answer) {
        let text = request.name().to_owned();
        answer.send(&Reply::Done { exit: 0, object: serde_json::Value::Null, text }).unwrap();
    }
}

fn served(path: &Path, may_act: bool) {
    let listener = bind(path, 0o600).unwrap();
    std::thread::spawn(move || serve(&listener, may_act, &(Arc::new(Echo) as Arc<dyn Handler>)));
}

/// The last line of the answer in words.
fn ask(path: &Path, request: &Request) -> String {
    let mut said = String::new();
    client::ask(path, request, &mut |reply| match reply {
        Reply::Done { text, .. } => said = text,
        Reply::Failed { cause, .. } => said = cause,
        Reply::Item { .. } | Reply::Progress { .. } => {}
    })
    .unwrap();
    said
}

#[test]
fn a_group_is_found_by_its_whole_name() {
    let groups = "root:x:0:\nlatchd:x:990:\nlatchd-operator:x:991:ada\nbroken\n";
    assert_eq!(group_id(groups, "latchd-operator"), Some(991));
    assert_eq!(group_id(groups, "latchd"), Some(990));
    assert_eq!(group_id(groups, "latch"), None);
    assert_eq!(group_id(groups, "broken"), None);
}

#[test]
fn a_client_that_half_closes_is_there_and_one_that_closes_is_not() {
    let (near, far) = UnixStream::pair().unwrap();
    let answer = Answer { stream: near };
    assert!(!answer.abandoned());
    far.shutdown(Shutdown::Write).unwrap();
    assert!(!answer.abandoned(), "it still reads");
    drop(far);
    assert!(answer.abandoned());
}

#[test]
fn a_long_request_to_a_reading_socket_is_told_so_while_it_is_still_being_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read.sock");
    served(&path, false);
    // Far more than the socket's buffer holds: the daemon closes in the middle of it.
    let long = Request::PeopleImport { format: "csv".into(), text: "x".repeat(3 * 1024 * 1024) };
    assert_eq!(ask(&path, &long), "the request is too long");
    assert_eq!(ask(&path, &Request::PeopleList), "this socket only answers questions");
    assert_eq!(ask(&path, &Request::Status), "status");
    let operators = dir.path().join("operator.sock");
    served(&operators, true);
    assert_eq!(ask(&operators, &long), "people-import");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read.sock");
    served(&path, false);
    let idle: Vec<_> =
        (0..crate::control::places::CONNECTIONS).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(ask(&path, &Request::Status), "too many connections are open");
    drop(idle);
    let end = SystemClock::new().boot().plus(PATIENCE);
    while ask(&path, &Request::Status) != "status" {
        assert!(SystemClock::new().boot() < end, "the places were never given back");
    }
}

#[test]
fn a_socket_is_opened_to_a_group_only_once_it_is_that_groups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("operator.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let _listener = bind_for_group(&path, "no-such-group-here").unwrap();
    assert_eq!(mode(&path), 0o600, "the group that made it must not get in instead");
    UnixStream::connect(&path).unwrap();

    let groups = std::fs::read_to_string("/etc/group").unwrap();
    let own = rustix::process::getegid().as_raw();
    let name = groups.lines().filter_map(|line| line.split(':').next());
    let name = name.clone().find(|name| group_id(&groups, name) == Some(own)).unwrap();
    let path = dir.path().join("second.sock");
    let _listener = bind_for_group(&path, name).unwrap();
    assert_eq!((mode(&path), std::fs::metadata(&path).unwrap().gid()), (0o660, own));
}
