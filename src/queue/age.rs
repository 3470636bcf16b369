//! How old a row is when the wall clock may not be known: time the device was on, summed over boots.

use std::time::Duration;

use super::QueueError;
use super::jobs::info;
use crate::access::JobId;
use crate::clock::BootId;
use crate::store::{Stamp, Transaction};

/// The boots seen so far, in their order, each with how long it was seen to last.
#[derive(Default)]
pub struct Boots(Vec<(BootId, Duration)>);

/// A boot that is noted is not noted again before that: a queue that is busy need not write it with each of its commits. By so
/// much less each boot may be thought to have lasted.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Notes that this boot lasted until now; gives its number in the order of boots. Part of commits that happen anyway, so that an
/// idle hour writes nothing.
pub fn mark_on(tx: &Transaction<'_>) -> Result<i64, QueueError> {
    let (boot_id, boot, _) = tx.now().columns();
    let noted = tx.one("SELECT seq, on_us FROM boots WHERE boot_id = ?1", [boot_id], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let again = i64::try_from(AGAIN_AFTER.as_micros()).unwrap_or(i64::MAX);
    if let Some((number, on)) = noted
        && boot < on.saturating_add(again)
    {
        return Ok(number);
    }
    let sql = "INSERT INTO boots (boot_id, on_us, turns)
         VALUES (?1, ?2, coalesce((SELECT turns FROM boots ORDER BY seq DESC LIMIT 1), 0))
         ON CONFLICT (boot_id) DO UPDATE SET on_us = excluded.on_us RETURNING seq";
    Ok(tx.one(sql, (boot_id, boot), |row| row.get(0))?.unwrap_or(i64::MAX))
}

/// This boot's number in the order of boots; `None` when nothing was noted in it yet.
pub fn number(tx: &Transaction<'_>) -> Result<Option<i64>, QueueError> {
    Ok(tx.one("SELECT seq FROM boots WHERE boot_id = ?1", [tx.now().boot_id.0], |row| row.get(0))?)
}

/// As [`number`], noting the boot if need be.
pub fn numbered(tx: &Transaction<'_>) -> Result<i64, QueueError> {
    number(tx)?.map_or_else(|| mark_on(tx), Ok)
}

/// Submissions of jobs that waited, over all boots.
pub fn turns(tx: &Transaction<'_>) -> Result<u64, QueueError> {
    let sql = "SELECT turns FROM boots ORDER BY seq DESC LIMIT 1";
    Ok(u64::try_from(tx.one(sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0)).unwrap_or(0))
}

/// One more of them. The boot must have been noted in this transaction.
pub fn count_turn(tx: &Transaction<'_>) -> Result<(), QueueError> {
    tx.execute("UPDATE boots SET turns = turns + 1 WHERE boot_id = ?1", [tx.now().boot_id.0])?;
    Ok(())
}

/// How long ago this boot was last noted.
pub fn unmarked(tx: &Transaction<'_>) -> Result<Duration, QueueError> {
    let now = tx.now();
    let noted = tx.one("SELECT on_us FROM boots WHERE boot_id = ?1", [now.boot_id.0], |row| row.get(0))?;
    Ok(now.boot.since(crate::clock::BootTime::default()).saturating_sub(micros(noted.unwrap_or(0))))
}

/// How long the job has been in its state: time the device was on, unless the wall clock knows of more.
pub fn age_in_state(tx: &Transaction<'_>, id: JobId) -> Result<Duration, QueueError> {
    let since = info(tx, id)?.since;
    Ok(Boots::read(tx)?.age(&since, &tx.now()))
}

/// Forgets the boots before the one in which the oldest job was made: no age reaches back to them.
pub fn forget_old(tx: &Transaction<'_>) -> Result<(), QueueError> {
    let (boot_id, ..) = tx.now().columns();
    tx.execute(
        "DELETE FROM boots WHERE seq < (SELECT seq FROM boots WHERE boot_id =
             coalesce((SELECT created_boot_id FROM jobs ORDER BY seq LIMIT 1), ?1))",
        [boot_id],
    )?;
    Ok(())
}

impl Boots {
    /// Reads them.
    pub fn read(tx: &Transaction<'_>) -> Result<Self, QueueError> {
        let boots = tx.all("SELECT boot_id, on_us FROM boots ORDER BY seq", [], |row| {
            Ok((BootId(row.get(0)?), micros(row.get(1)?)))
        })?;
        Ok(Self(boots))
    }

    /// Time from `then` to `now`: boot time within one boot; else the larger of the time the device was on and,
    /// when both moments know it, what the wall clock says.
    pub fn age(&self, then: &Stamp, now: &Stamp) -> Duration {
        if then.boot_id == now.boot_id {
            return now.boot.since(then.boot);
        }
        now.since(then).unwrap_or_default().max(self.on_time(then, now))
    }

    fn on_time(&self, then: &Stamp, now: &Stamp) -> Duration {
        let zero = crate::clock::BootTime::default();
        let mut total = now.boot.since(zero);
        let mut later = self.0.iter().skip_while(|(id, _)| *id != then.boot_id);
        if let Some((_, lasted)) = later.next() {
            total += lasted.saturating_sub(then.boot.since(zero));
        }
        total + later.filter(|(id, _)| *id != now.boot_id).map(|(_, lasted)| *lasted).sum::<Duration>()
    }
}

fn micros(value: i64) -> Duration {
    Duration::from_micros(u64::try_from(value).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootTime, Wall, WallTime};

    fn stamp(boot: u8, secs: u64, wall: Option<i64>) -> Stamp {
        let wall = wall.map_or(Wall::Unknown, |secs| Wall::Known(WallTime::from_unix_millis(secs * 1000)));
        Stamp { boot_id: BootId([boot; 16]), boot: BootTime::from_millis(secs * 1000), wall }
    }

    #[test]
    fn age_is_time_on_unless_the_wall_clock_knows_more() {
        let lasted = |boot, secs| (BootId([boot; 16]), Duration::from_secs(secs));
        let boots = Boots(vec![lasted(1, 100), lasted(2, 50), lasted(3, 7)]);
        let age = |then, now| boots.age(&then, &now).as_secs();
        assert_eq!(age(stamp(3, 4, Some(9)), stamp(3, 9, Some(9_999))), 5, "one boot: no wall clock");
        assert_eq!(age(stamp(1, 60, None), stamp(3, 9, Some(9_999))), 40 + 50 + 9);
        assert_eq!(age(stamp(1, 60, Some(1_000)), stamp(3, 9, Some(2_000))), 1_000);
        assert_eq!(age(stamp(1, 60, Some(2_000)), stamp(3, 9, Some(1_000))), 40 + 50 + 9, "stepped back");
        assert_eq!(age(stamp(9, 60, None), stamp(3, 9, None)), 9, "a boot nobody noted");
    }
}
