//! The database and the disk under it.

use super::{Finding, Patient};
use crate::agent::{database_path, free_space, open_store};
use crate::queue::{self, FreeSpace, Pause, StateName, Totals};
use crate::store::Mode;
use std::path::Path;

pub(super) fn examine(patient: &Patient<'_>, each: &mut dyn FnMut(Finding)) {
    let config = patient.config;
    let free = free_space(&config.device.state_dir);
    each(disk(&config.device.state_dir, free, config.queue.min_free_mib));
    let path = database_path(config);
    if !path.exists() {
        return each(Finding::ok("queue", "no database yet; the first start makes it"));
    }
    let store = match open_store(config, Mode::ReadOnly, patient.clock, patient.random) {
        Ok((store, _)) => store,
        Err(error) => return each(Finding::failure("queue", error.to_string(), error.remedy())),
    };
    let read = store.read(|tx| {
        let room = queue::room(tx, &config.queue, free)?;
        Ok::<_, queue::QueueError>((queue::totals(tx)?, queue::paused(tx)?, room))
    });
    each(match read {
        Ok((totals, pause, room)) => {
            jobs(&totals, pause.as_ref(), room.err().map(|full| (full.to_string(), full.remedy())))
        }
        Err(error) => Finding::failure("queue", format!("{}: {error}", path.display()), error.remedy()),
    });
}

fn disk(path: &Path, free: FreeSpace, least_mib: u32) -> Finding {
    let mib = free.bytes / (1024 * 1024);
    let seen = format!("{mib} MiB free in {}", path.display());
    let least = u64::from(least_mib);
    if mib < least || free.inodes.is_some_and(|inodes| inodes < queue::INODES_MIN) {
        let seen = match free.inodes {
            Some(inodes) => format!("{seen}, {inodes} inodes"),
            None => seen,
        };
        return Finding::failure(
            "disk",
            seen,
            format!("make room: below queue.min_free_mib ({least}) no picture is taken"),
        );
    }
    if mib < 4 * least {
        return Finding::warning(
            "disk",
            seen,
            format!("make room before it falls to queue.min_free_mib ({least})"),
        );
    }
    Finding::ok("disk", seen)
}

fn jobs(totals: &Totals, pause: Option<&Pause>, full: Option<(String, &'static str)>) -> Finding {
    let states: Vec<_> = totals.by_state.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let seen = if states.is_empty() { "empty".to_owned() } else { states.join(", ") };
    if let Some((why, remedy)) = full {
        return Finding::failure("queue", format!("{seen}; full: {why}"), remedy);
    }
    if let Some(pause) = pause {
        let remedy = "mend what the service's finding names, then `latchd queue retry`";
        return Finding::failure("queue", format!("{seen}; paused: {}", pause.reason.name()), remedy);
    }
    let stuck = [StateName::Held, StateName::DeadLetter, StateName::UnknownOutcome].map(StateName::name);
    if totals.by_state.iter().any(|(state, count)| *count > 0 && stuck.contains(&state.as_str())) {
        return Finding::warning(
            "queue",
            seen,
            "look at them: `latchd queue list`, then `retry`, `export` or `drop`",
        );
    }
    Finding::ok("queue", seen)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_disk_is_judged_by_the_configured_floor() {
        let of = |mib: u64, inodes| {
            disk(Path::new("/x"), FreeSpace { bytes: mib * 1024 * 1024, inodes }, 64).level
        };
        assert_eq!(of(1000, Some(100_000)), Level::Ok);
        assert_eq!(of(1000, None), Level::Ok);
        assert_eq!(of(100, None), Level::Warning);
        assert_eq!(of(63, None), Level::Failure);
        assert_eq!(of(1000, Some(1)), Level::Failure);
    }

    #[test]
    fn what_waits_for_a_person_is_a_warning() {
        let of = |state: &str, full: Option<(String, &'static str)>| {
            let by_state = BTreeMap::from([(state.to_owned(), 2)]);
            jobs(&Totals { unfinished: 2, by_state }, None, full).level
        };
        assert_eq!(of("new", None), Level::Ok);
        for state in ["held", "dead_letter", "unknown_outcome"] {
            assert_eq!(of(state, None), Level::Warning, "{state}");
        }
        assert_eq!(of("new", Some(("too many".into(), "wait"))), Level::Failure);
    }
}
