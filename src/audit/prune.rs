//! Events that had their time go, from the oldest on, and an anchor stays in their place: the place and the link of the last
//! of them, signed with the key of the events. The chain is checked from there on, so what is kept proves what it proved.
//!
//! A device's clock may be wrong, so three things bound what that can do. Age is counted to the earlier of the device's clock
//! and the service's, and not at all while one of them is not known. A few events go at once, and only in order. The newest
//! stay whatever their age. What bounds the number of events asks no clock.

use std::time::Duration;

use super::chain::{COLUMNS, Walk};
use super::rotate::forget_keys;
use super::{AuditError, Breach};
use crate::clock::{Wall, WallTime};
use crate::config::model::{Queue, Retention};
use crate::store::seal::mac;
use crate::store::{AuditKey, Transaction};

/// How many events are kept, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// After this long they go; `None`: never for their age.
    pub age: Option<Duration>,
    /// More than these are not kept, whatever their age.
    pub most: i64,
    /// So many of the newest stay, whatever their age.
    pub least: i64,
    /// So many go at once, and never fewer: each time costs a commit and an event that says so.
    pub at_once: i64,
}

impl Rule {
    /// [`Rule::least`], unless [`Rule::most`] is smaller than any configuration has it.
    const LEAST: i64 = 1000;
    /// [`Rule::at_once`], likewise. With a round a minute, 184,320 a day.
    const AT_ONCE: i64 = 128;
    /// An event takes some 200 bytes: so they fill a fifth of the room that the queue's pictures have, and stay clear of the
    /// limit of the file.
    const OF_A_MIB: i64 = 1024;

    /// As configured.
    pub fn of(retention: &Retention, queue: &Queue) -> Self {
        let days = u64::from(retention.events_days);
        let most = i64::from(retention.events_max).min(i64::from(queue.max_mib) * Self::OF_A_MIB);
        Self {
            age: (days > 0).then(|| Duration::from_secs(days * 24 * 3600)),
            most,
            least: Self::LEAST.min(most / 8),
            at_once: Self::AT_ONCE.min(most / 16).max(1),
        }
    }
}

/// The earlier of the device's clock and the service's, the day that ages are counted to: a clock that runs ahead makes
/// nothing old, and neither does one that nobody has compared.
pub fn today(own: Wall, service: Option<WallTime>) -> Wall {
    match (own, service) {
        (own, _) if planted!(OwnClockPrunes) => own,
        (Wall::Known(own), Some(service)) => Wall::Known(own.min(service)),
        _ => Wall::Unknown,
    }
}

/// Why events went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// They were old enough.
    Age,
    /// There were too many.
    Count,
}

impl Why {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Count => "count",
        }
    }
}

/// Events that went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pruned {
    /// The first of them.
    pub from: i64,
    /// What stands for them, and for those before.
    pub anchor: Anchor,
    /// Why.
    pub why: Why,
}

/// What stands for the events that went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// The last of them. They are numbered from 1 without gaps, so this is also how many went.
    pub last: i64,
    /// Its link, to which the first event that is kept is chained.
    pub mac: [u8; 32],
    /// The last of their times that was known.
    pub until: Wall,
    signature: [u8; 32],
}

impl Anchor {
    /// Under this key.
    pub(super) fn signed(mut self, key: &AuditKey) -> Self {
        self.signature = self.sign(key);
        self
    }

    pub(super) fn is_signed_by(&self, key: &AuditKey) -> bool {
        self.signature == self.sign(key)
    }

    /// The first words are those of no link: that begins with a length.
    fn sign(&self, key: &AuditKey) -> [u8; 32] {
        let until = self.until.known().map(|time| time.as_unix_millis().to_be_bytes());
        let until: &[u8] = until.as_ref().map_or(b"", <[u8; 8]>::as_slice);
        mac(key.secret(), &[b"latchd events anchor 1", &self.last.to_be_bytes(), &self.mac, until])
    }

    pub(super) fn write(&self, tx: &Transaction<'_>) -> Result<(), AuditError> {
        let until = self.until.known().map(WallTime::as_unix_millis);
        tx.execute(
            "INSERT INTO events_anchor (only, seq, mac, wall_ms, signature) VALUES (1, ?1, ?2, ?3, ?4)
             ON CONFLICT (only) DO UPDATE
             SET seq = excluded.seq, mac = excluded.mac, wall_ms = excluded.wall_ms, signature = excluded.signature",
            (self.last, self.mac, until, self.signature),
        )?;
        Ok(())
    }
}

/// What stands for the events that went, if any have. Nobody has looked at its signature: [`super::verify`] does.
pub fn anchor(tx: &Transaction<'_>) -> Result<Option<Anchor>, AuditError> {
    Ok(tx.one("SELECT seq, mac, wall_ms, signature FROM events_anchor", [], |row| {
        let until = row.get::<_, Option<i64>>(2)?;
        let until = until.map_or(Wall::Unknown, |millis| Wall::Known(WallTime::from_unix_millis(millis)));
        Ok(Anchor { last: row.get(0)?, mac: row.get(1)?, until, signature: row.get(3)? })
    })?)
}

/// Removes the oldest events if they had their time by `today` (see [`today`]) or are too many: [`Rule::at_once`] of them or
/// none. `needed` is the first event that something still reads back; those of open intents are known here. Writes nothing
/// when nothing is due.
///
/// # Errors
/// The oldest are not as they were written: then they stay ([`AuditError::NotWhole`]).
pub fn prune(
    tx: &Transaction<'_>,
    key: &AuditKey,
    rule: &Rule,
    today: Wall,
    needed: Option<u64>,
) -> Result<Option<Pruned>, AuditError> {
    let ends = "SELECT first, last FROM (SELECT (SELECT min(seq) FROM events) AS first,
                (SELECT max(seq) FROM events) AS last) WHERE first NOT NULL";
    let Some((first, last)) = tx.one(ends, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
    else {
        return Ok(None);
    };
    let to = first.saturating_add(rule.at_once - 1);
    let needed =
        needed.and_then(|seq| i64::try_from(seq).ok()).into_iter().chain(first_open_intent(tx)?).min();
    if to > last.saturating_sub(rule.least) || needed.is_some_and(|needed| needed <= to) {
        return Ok(None);
    }
    let why = if last.saturating_sub(first) >= rule.most + rule.at_once - 1 {
        Why::Count
    } else if are_old(tx, rule.age, today, (to, last))? {
        Why::Age
    } else {
        return Ok(None);
    };
    let anchor = follow(tx, key, to)?.signed(key);
    anchor.write(tx)?;
    let gone = if planted!(AnchorAhead) { anchor.last - 1 } else { anchor.last };
    tx.execute("DELETE FROM events WHERE seq <= ?1", [gone])?;
    forget_keys(tx, anchor.last)?;
    Ok(Some(Pruned { from: first, anchor, why }))
}

/// The chain up to `to`, in order: removing what was changed would hide it.
fn follow(tx: &Transaction<'_>, key: &AuditKey, to: i64) -> Result<Anchor, AuditError> {
    let mut walk = Walk::begin(tx, key)?;
    let mut until = walk.anchor.as_ref().map_or(Wall::Unknown, |anchor| anchor.until);
    let mut breach = walk.breach_of_anchor();
    let sql = format!("SELECT {COLUMNS} FROM events WHERE seq <= ?1 ORDER BY seq");
    tx.each(&sql, [to], |row| {
        breach = breach.or_else(|| walk.step(row).err());
        if let Some(millis) = row.get::<_, Option<i64>>("wall_ms")? {
            until = Wall::Known(WallTime::from_unix_millis(millis));
        }
        Ok(breach.is_none())
    })?;
    let breach = breach.or((walk.next - 1 != to).then_some(Breach::Missing));
    match breach {
        Some(breach) => Err(AuditError::NotWhole { at: walk.next, breach }),
        None => Ok(Anchor { last: to, mac: walk.head, until, signature: [0; 32] }),
    }
}

/// The first intent that has no end yet.
fn first_open_intent(tx: &Transaction<'_>) -> Result<Option<i64>, AuditError> {
    if planted!(OpenIntentGoes) {
        tx.execute("DELETE FROM open_intents", [])?;
    }
    Ok(tx.one("SELECT min(event) FROM open_intents", [], |row| row.get(0))?.flatten())
}

/// A time that is so much later than today is not yet to come: `today` may be the clock that lags.
const SLACK_MILLIS: i64 = 24 * 3600 * 1000;

/// Whether all events up to `to` are old: by their own time, and where that is unknown or lies ahead because a later one is.
fn are_old(
    tx: &Transaction<'_>,
    age: Option<Duration>,
    today: Wall,
    (to, last): (i64, i64),
) -> Result<bool, AuditError> {
    let (Some(age), Wall::Known(today)) = (age, today) else { return Ok(false) };
    let today = today.as_unix_millis();
    let is_old =
        |millis: i64| millis <= today.saturating_sub_unsigned(age.as_millis().try_into().unwrap_or(u64::MAX));
    let believed = today.saturating_add(SLACK_MILLIS);
    let told = "SELECT max(wall_ms), max(seq) FROM events WHERE seq <= ?1 AND wall_ms <= ?2";
    let (newest, at) = tx
        .one(told, [to, believed], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?
        .unwrap_or_default();
    if newest.is_some_and(|newest| !is_old(newest)) || at == Some(to) {
        return Ok(newest.is_some_and(is_old));
    }
    // However many follow without a time, few are looked at: what is missed so is found later, when more are old.
    let later = "SELECT wall_ms FROM events WHERE seq BETWEEN ?1 AND ?1 + 15 AND wall_ms <= ?2 ORDER BY seq";
    let mut ahead = 1_i64;
    while to.saturating_add(ahead) <= last {
        if let Some(later) = tx.one(later, [to + ahead, believed], |row| row.get(0))? {
            return Ok(is_old(later));
        }
        ahead = ahead.saturating_mul(2);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, append};
    use crate::clock::{BootTime, ManualClock};
    use crate::store::DeviceKey;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const DAY: i64 = 24 * 3600 * 1000;

    fn day(number: i64) -> Wall {
        Wall::Known(WallTime::from_unix_millis(number * DAY))
    }

    #[test]
    fn a_clock_that_runs_ahead_makes_nothing_old() {
        let service = day(100).known();
        for (own, service, expected) in [
            (day(100), service, day(100)),
            (day(465), service, day(100)),
            (day(7), service, day(7)),
            (Wall::Unknown, service, Wall::Unknown),
            (day(465), None, Wall::Unknown),
        ] {
            assert_eq!(today(own, service), expected, "{own:?}");
        }
    }

    #[test]
    fn the_rule_is_the_configured_one_within_the_room_of_the_queue() {
        let of = |events_days, events_max, max_mib| {
            let retention = Retention { events_days, events_max, ..Retention::default() };
            Rule::of(&retention, &Queue { max_mib, ..Queue::default() })
        };
        let two_days = Some(Duration::from_secs(2 * 24 * 3600));
        let expected = Rule { age: two_days, most: 20_000, least: 1000, at_once: 128 };
        assert_eq!(of(2, 20_000, 2048), expected);
        assert_eq!(of(0, 100_000_000, 16), Rule { age: None, most: 16_384, ..expected });
        assert_eq!(of(2, 10_000, 16), Rule { most: 10_000, ..expected });
    }

    /// Whether four events of these days, or of none, may go on day 100 when they are kept for 30 days.
    fn go(days: &[Option<i64>], today: Wall) -> bool {
        let clock = Arc::new(ManualClock::new(BootTime::default(), day(0)));
        let (store, _dir) = crate::store::scratch(clock.clone());
        let key = DeviceKey::from_bytes(&[9; 32]).unwrap().audit();
        let (door, fields) = ("door", BTreeMap::new());
        let event = Event { kind: "claim", door, attempt: None, job: None, subject: None, fields };
        for same in days.chunk_by(|one, next| one == next) {
            clock.set_wall(same[0].map_or(Wall::Unknown, day));
            store.write(|tx| same.iter().try_for_each(|_| append(tx, &key, &event).map(drop))).unwrap();
        }
        let age = Some(Duration::from_secs(30 * 24 * 3600));
        let rule = Rule { age, most: 1000, least: 0, at_once: 4 };
        store.write(|tx| prune(tx, &key, &rule, today, None)).unwrap().is_some()
    }

    #[test]
    fn an_event_goes_for_its_own_age_or_its_place_and_never_for_want_of_a_time() {
        let (old, edge, young, ahead) = (Some(10), Some(70), Some(71), Some(900));
        let today = day(100);
        assert!(go(&[old, old, old, edge], today));
        assert!(!go(&[old, old, old], today), "fewer than go at once");
        assert!(!go(&[old, old, old, young], today));
        assert!(!go(&[young, old, old, old, old], today), "in order only");
        assert!(!go(&[old; 4], Wall::Unknown));
        assert!(!go(&[old; 4], day(39)) && go(&[old; 4], day(40)));
        // Without a time, or with one that is yet to come: as old as what came later.
        assert!(!go(&[None; 40], today) && !go(&[ahead; 40], today));
        assert!(go(&[None, ahead, None, old], today) && !go(&[None, ahead, None, young], today));
        assert!(!go(&[old, Some(101), None, old, old], today), "a clock may lag a little");
        assert!(!go(&[old, old, old, None], today) && !go(&[old, old, old, ahead, young], today));
        assert!(go(&[old, old, old, None, old], today) && go(&[None, None, None, None, ahead, old], today));
        let far = |last| [vec![None; 300], vec![last; 300]].concat();
        assert!(go(&far(old), today) && !go(&far(young), today));
    }
}
