//! A process that is killed in the middle of making jobs durable loses none that it said it had, and leaves no half one.
//! `make disk` kills five hundred times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use latchd::access::PictureKind;
use latchd::clock::{BootTime, ManualClock, Wall};
use latchd::queue::{self, Api, Born, Filter, QueueError, State};
use latchd::store::{Opening, Store};

#[path = "support/desk.rs"]
mod desk;
use desk::*;

const PLACE: &str = "LATCHD_TEST_KILLED_AT";
const FIRST: &str = "LATCHD_TEST_KILLED_FROM";

fn open(dir: &Path) -> (Store, Opening) {
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(1), Wall::Unknown));
    Store::open(settings(&dir.join("latchd.db"), clock)).unwrap()
}

/// Makes one job after another until it is killed, and says which are durable.
fn victim(dir: &Path, first: u8) {
    let (store, _) = open(dir);
    for number in first..=u8::MAX {
        store.write(|tx| enqueue(tx, &key(), id(number), Api::V3, Born::New)).unwrap();
        println!("durable {number}");
    }
}

#[test]
fn what_was_said_to_be_durable_is_there_whenever_the_process_is_killed() {
    if let Some(dir) = std::env::var_os(PLACE) {
        return victim(Path::new(&dir), std::env::var(FIRST).unwrap().parse().unwrap());
    }
    let kills: u64 = std::env::var("LATCHD_KILLS").map_or(25, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut seed, mut promised) = (1_u8, 7_u64, 0_u32);
    for kill in 0..kills {
        // Ids are a byte: a database holds some kills' jobs, then another begins.
        if first > 200 {
            std::fs::read_dir(dir.path())
                .unwrap()
                .for_each(|entry| std::fs::remove_file(entry.unwrap().path()).unwrap());
            first = 1;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "what_was_said_to_be_durable_is_there_whenever_the_process_is_killed",
                "--nocapture",
            ])
            .env(PLACE, dir.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = usize::try_from(seed >> 33).unwrap() % 6 + 1;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed right after a promise: the next commit is under way, wherever it is.
        let seen =
            lines.by_ref().map_while(Result::ok).filter(|line| line.contains("durable")).take(wanted).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, wanted, "kill {kill}: the child ended early");
        let rest = lines.map_while(Result::ok).filter(|line| line.contains("durable")).count();
        let said = u8::try_from(seen + rest).unwrap();

        let (store, opening) = open(dir.path());
        assert_eq!(opening, Opening::Existing, "kill {kill}");
        let rows = store.read(|tx| queue::list(tx, &Filter::default())).unwrap();
        for number in first..first + said {
            assert!(
                rows.iter().any(|row| row.id == id(number)),
                "kill {kill}: job {number} was promised and is lost"
            );
        }
        for row in &rows {
            let whole: Result<_, QueueError> = store.read(|tx| queue::load(tx, &key(), row.id));
            assert_eq!(
                whole.unwrap().pictures_of(PictureKind::Liveness).count(),
                8,
                "kill {kill}: half a job"
            );
            assert_eq!(row.state, State::New);
        }
        let last = rows.iter().map(|row| row.id.0[0]).max().unwrap();
        assert!(last <= first + said, "kill {kill}: more than one job that nobody was told of");
        first = last + 1;
        promised += u32::from(said);
    }
    println!("{kills} kills, {promised} promises kept");
}
