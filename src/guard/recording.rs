//! A line that moves no strike but writes each edge to a file, for machines without GPIO, for tests and the
//! demonstration.
//!
//! It behaves as a GPIO line does where it matters: one owner at a time (an exclusive `flock` is its EBUSY), and the
//! level survives the owner's death (the file's last word is the level). One edge is one line:
//! `<CLOCK_BOOTTIME seconds, 6 decimals> locked|unlocked pid=<pid>`. A new file is a locked line without an edge.

use super::line::{Line, LineError};
use crate::clock::{BootTime, Clock};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The level of a line in the words of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Level {
    /// Shut.
    Locked,
    /// Open.
    Unlocked,
}

impl Level {
    /// The word in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
        }
    }
}

/// One recorded edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// When.
    pub at: BootTime,
    /// The new level.
    pub level: Level,
    /// The process that made it.
    pub pid: u32,
}

/// All edges of the recording at `path`, oldest first. A file that does not exist has none.
///
/// # Errors
/// The file cannot be read, or holds a line that is not an edge.
pub fn edges(path: &Path) -> io::Result<Vec<Edge>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    text.lines()
        .map(|line| {
            parse(line).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: not an edge: {line:?}", path.display()),
                )
            })
        })
        .collect()
}

fn parse(line: &str) -> Option<Edge> {
    let (stamp, rest) = line.split_once(' ')?;
    let (word, pid) = rest.split_once(" pid=")?;
    let (seconds, micros) = stamp.split_once('.')?;
    let level = [Level::Locked, Level::Unlocked].into_iter().find(|level| level.name() == word)?;
    if micros.len() != 6 {
        return None;
    }
    let total = seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?;
    Some(Edge { at: BootTime::from_micros(total), level, pid: pid.parse().ok()? })
}

/// A held recording.
#[derive(Debug)]
pub struct RecordingLine {
    file: File,
    path: PathBuf,
    level: Level,
    /// Room for one line of text, so that an edge allocates nothing.
    text: [u8; 64],
}

impl RecordingLine {
    /// Takes the recording at `path` and locks it: an edge only if the level was unlocked.
    ///
    /// # Errors
    /// [`LineError::Busy`] when another holds it; otherwise what the file system said.
    pub fn request(path: &Path, clock: &dyn Clock) -> Result<Self, LineError> {
        let failed = |source: io::Error| LineError::Recording { file: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let holder = String::from("another process (flock)");
                return Err(LineError::Busy { line: path.display().to_string(), holder });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        let level = level_of(&mut file).map_err(failed)?;
        let mut line =
            Self { file, path: path.to_owned(), level: level.unwrap_or(Level::Unlocked), text: [0; 64] };
        if level.is_none() {
            // A torn last line (power cut): closed, so that the edge below stands on a line of its own.
            line.file.write_all(b"\n").map_err(failed)?;
        }
        line.set(Level::Locked, clock)?;
        Ok(line)
    }

    fn set(&mut self, level: Level, clock: &dyn Clock) -> Result<BootTime, LineError> {
        let at = clock.boot();
        if self.level == level {
            return Ok(at);
        }
        self.write(at, level).map_err(|source| LineError::Recording { file: self.path.clone(), source })?;
        self.level = level;
        Ok(at)
    }

    fn write(&mut self, at: BootTime, level: Level) -> io::Result<()> {
        let (seconds, micros) = (at.as_micros() / 1_000_000, at.as_micros() % 1_000_000);
        let mut rest: &mut [u8] = &mut self.text;
        writeln!(rest, "{seconds}.{micros:06} {} pid={}", level.name(), std::process::id())?;
        let unused = rest.len();
        let used = self.text.len() - unused;
        // One write, so that a reader sees a whole line or none.
        self.file.write_all(self.text.get(..used).unwrap_or_default())
    }
}

/// The file's last word; locked when it is empty, `None` when its last line is torn or not an edge.
fn level_of(file: &mut File) -> io::Result<Option<Level>> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(Some(Level::Locked));
    }
    file.seek(SeekFrom::Start(length.saturating_sub(128)))?;
    let mut tail = Vec::with_capacity(128);
    Read::take(file, 128).read_to_end(&mut tail)?;
    let text = String::from_utf8_lossy(&tail);
    let Some(whole) = text.strip_suffix('\n') else { return Ok(None) };
    let last = whole.rsplit('\n').next().unwrap_or_default();
    Ok(parse(last).map(|edge| edge.level))
}

impl Line for RecordingLine {
    fn unlock(&mut self, clock: &dyn Clock) -> Result<BootTime, LineError> {
        self.set(Level::Unlocked, clock)
    }

    fn lock(&mut self, clock: &dyn Clock) -> Result<BootTime, LineError> {
        self.set(Level::Locked, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Wall};
    use std::time::Duration;

    fn clock() -> ManualClock {
        ManualClock::new(BootTime::from_micros(5_000_042), Wall::Unknown)
    }

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edges");
        (dir, path)
    }

    #[test]
    fn a_new_file_is_locked_without_an_edge_and_so_is_each_silent_start() {
        let (_dir, path) = scratch();
        for _ in 0..3 {
            drop(RecordingLine::request(&path, &clock()).unwrap());
        }
        assert_eq!(edges(&path).unwrap(), []);
    }

    #[test]
    fn a_pulse_is_two_lines() {
        let (_dir, path) = scratch();
        let clock = clock();
        let mut line = RecordingLine::request(&path, &clock).unwrap();
        line.unlock(&clock).unwrap();
        clock.advance(Duration::from_millis(1500));
        line.lock(&clock).unwrap();
        line.lock(&clock).unwrap();
        let pid = std::process::id();
        let expected = format!("5.000042 unlocked pid={pid}\n6.500042 locked pid={pid}\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(edges(&path).unwrap()[1].at, BootTime::from_micros(6_500_042));
    }

    #[test]
    fn one_owner_at_a_time() {
        let (_dir, path) = scratch();
        let held = RecordingLine::request(&path, &clock()).unwrap();
        let error = RecordingLine::request(&path, &clock()).expect_err("held");
        assert!(error.is_busy());
        drop(held);
        RecordingLine::request(&path, &clock()).unwrap();
    }

    #[test]
    fn the_level_survives_its_owner_and_the_next_locks_it() {
        let (_dir, path) = scratch();
        let mut line = RecordingLine::request(&path, &clock()).unwrap();
        line.unlock(&clock()).unwrap();
        drop(line);
        drop(RecordingLine::request(&path, &clock()).unwrap());
        let levels: Vec<_> = edges(&path).unwrap().iter().map(|edge| edge.level).collect();
        assert_eq!(levels, [Level::Unlocked, Level::Locked]);
    }

    #[test]
    fn a_torn_or_foreign_last_line_counts_as_unlocked() {
        for text in ["5.0000", "5.000000 open pid=1\n"] {
            let (_dir, path) = scratch();
            std::fs::write(&path, text).unwrap();
            drop(RecordingLine::request(&path, &clock()).unwrap());
            let after = std::fs::read_to_string(&path).unwrap();
            let last = after.lines().last().and_then(parse).unwrap();
            assert_eq!(last.level, Level::Locked, "{after:?}");
            assert!(edges(&path).is_err(), "{after:?}");
        }
    }
}
