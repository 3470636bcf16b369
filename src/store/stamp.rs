//! The moment of a transaction, and how it is written into a row.

use std::fmt;
use std::time::Duration;

use rusqlite::Row;

use crate::clock::{BootId, BootTime, Wall, WallTime};

/// One moment by both clocks. Two stamps of one boot are compared by boot time alone, which never steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Which boot.
    pub boot_id: BootId,
    /// Since that boot.
    pub boot: BootTime,
    /// By the wall clock, if it was believed.
    pub wall: Wall,
}

impl Stamp {
    /// Time from `earlier` to this stamp: by boot time within one boot, else by the wall clock if both knew it
    /// and it did not go backwards, else unknown.
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        if self.boot_id == earlier.boot_id {
            return Some(self.boot.since(earlier.boot));
        }
        let millis =
            self.wall.known()?.as_unix_millis().checked_sub(earlier.wall.known()?.as_unix_millis())?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }

    /// This stamp for the columns `boot_id BLOB, boot_us INTEGER, wall_ms INTEGER NULL`.
    pub fn columns(&self) -> ([u8; 16], i64, Option<i64>) {
        (self.boot_id.0, boot_us(self.boot), self.wall.known().map(WallTime::as_unix_millis))
    }

    /// Reads the three columns from index `first` on.
    pub fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let boot = row.get::<_, i64>(first + 1)?;
        let wall = row.get::<_, Option<i64>>(first + 2)?;
        Ok(Self {
            boot_id: BootId(row.get(first)?),
            boot: BootTime::from_micros(u64::try_from(boot).unwrap_or(0)),
            wall: wall.map_or(Wall::Unknown, |millis| Wall::Known(WallTime::from_unix_millis(millis))),
        })
    }
}

/// Boot time as SQLite's integer.
pub(crate) fn boot_us(time: BootTime) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A random name of a person for the audit; forgetting whose it is makes the rows anonymous and keeps the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pseudonym(pub [u8; 16]);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: u8, secs: u64, wall: Option<i64>) -> Stamp {
        Stamp {
            boot_id: BootId([boot; 16]),
            boot: BootTime::from_millis(secs * 1000),
            wall: wall.map_or(Wall::Unknown, |secs| Wall::Known(WallTime::from_unix_millis(secs * 1000))),
        }
    }

    #[test]
    fn within_a_boot_the_wall_clock_has_no_say() {
        assert_eq!(stamp(1, 9, Some(0)).since(&stamp(1, 4, Some(5000))), Some(Duration::from_secs(5)));
    }

    #[test]
    fn across_boots_only_a_known_wall_clock_that_went_forward_counts() {
        assert_eq!(stamp(2, 0, Some(160)).since(&stamp(1, 4, Some(100))), Some(Duration::from_secs(60)));
        assert_eq!(stamp(2, 0, Some(90)).since(&stamp(1, 4, Some(100))), None);
        assert_eq!(stamp(2, 0, None).since(&stamp(1, 4, Some(100))), None);
        assert_eq!(stamp(2, 0, Some(100)).since(&stamp(1, 4, None)), None);
    }
}
