//! Appending to the chain and checking it.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::AuditError;
use super::prune::{Anchor, anchor};
use super::rotate::older_keys;
use crate::access::{AttemptId, JobId};
use crate::clock::{BootId, Wall, WallTime};
use crate::store::seal::mac;
use crate::store::{AuditKey, Pseudonym, StoreError, Transaction};

/// Something to be recorded. Nothing in it may be a user id, a name or a contact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// What happened, a stable word of the documentation.
    pub kind: &'static str,
    /// The door's configured name.
    pub door: &'a str,
    /// The attempt it belongs to.
    pub attempt: Option<AttemptId>,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// The person, as a pseudonym.
    pub subject: Option<Pseudonym>,
    /// More, by stable names. Values over 500 characters are cut: an event is never lost for its length.
    pub fields: BTreeMap<&'static str, String>,
}

/// A recorded event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its place in the chain, from 1 without gaps.
    pub seq: u64,
    /// What happened.
    pub kind: String,
    /// The door's name.
    pub door: String,
    /// The attempt it belongs to.
    pub attempt: Option<AttemptId>,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// The person, as a pseudonym.
    pub subject: Option<Pseudonym>,
    /// More, by stable names; `clock=unsynced` when the wall clock was not known (door-rules, queue 7).
    pub fields: BTreeMap<String, String>,
    /// Which boot.
    pub boot_id: BootId,
    /// Milliseconds since that boot.
    pub boot_ms: u64,
    /// Wall time, if it was known.
    pub wall: Wall,
    /// This row's link of the chain.
    pub mac: [u8; 32],
}

/// What checking the chain found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// Rows that are in order, up to the first that is not.
    pub rows: u64,
    /// The last good link; [`Verification::GENESIS`] for an empty table.
    pub head: [u8; 32],
    /// What stands for the events that had their time, if any have.
    pub anchor: Option<Anchor>,
    /// The first place where the chain is not whole, and how.
    pub broken_at: Option<(u64, Breach)>,
}

impl Verification {
    /// What the first event of all is chained to.
    pub const GENESIS: [u8; 32] = [0; 32];
}

/// How a chain is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breach {
    /// The row was changed, or was made under another key.
    Changed,
    /// The row that belongs here is missing.
    Missing,
    /// What stands for the events that had their time was not written by the holder of this key, or they are still there.
    AnchorWrong,
    /// The noted head is in no row: the tail was cut off or written anew.
    HeadNotFound,
    /// The noted head is in no row that is kept: it had its time, or the tail was cut off or written anew.
    HeadNotKept,
}

impl Breach {
    /// What it is, in a few words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::AnchorWrong => "anchor wrong: what stands for the events before it was changed",
            Self::HeadNotFound => "head not found: the tail was cut off or written anew",
            Self::HeadNotKept => {
                "head not kept: it is older than the first event that is kept, or the tail was cut off or written anew"
            }
        }
    }
}

const FIELD_CHARS_MAX: usize = 500;
/// As [`Link::from_row`] reads them.
pub(super) const COLUMNS: &str =
    "seq, kind, door, attempt, job, subject, fields, boot_id, boot_ms, wall_ms, mac";

/// Appends one event, stamped with this transaction's moment; gives its place in the chain.
pub fn append(tx: &Transaction<'_>, key: &AuditKey, event: &Event<'_>) -> Result<u64, AuditError> {
    let now = tx.now();
    let last = last(tx)?;
    let seq = last.map_or(1, |(seq, _)| seq.saturating_add(1));
    let previous = last.filter(|_| !planted!(ChainSkips)).map_or(Verification::GENESIS, |(_, mac)| mac);
    let cut = |text: &String| text.chars().take(FIELD_CHARS_MAX).collect::<String>();
    let mut fields: BTreeMap<&str, String> =
        event.fields.iter().map(|(name, value)| (*name, cut(value))).collect();
    if now.wall == Wall::Unknown {
        fields.insert("clock", "unsynced".into());
    }
    let fields = serde_json::to_string(&fields).map_err(|_| StoreError::Row { what: "events.fields" })?;
    let mut link = Link {
        seq,
        kind: event.kind.into(),
        door: event.door.into(),
        attempt: event.attempt.map(|id| id.0),
        job: event.job.map(|id| id.0),
        subject: event.subject.map(|name| name.0),
        fields,
        boot_id: now.boot_id.0,
        boot_ms: i64::try_from(now.boot.as_millis()).unwrap_or(i64::MAX),
        wall_ms: now.wall.known().map(WallTime::as_unix_millis),
        mac: [0; 32],
    };
    link.mac = link.sign(key, &previous);
    tx.execute(
        "INSERT INTO events (seq, kind, door, attempt, job, subject, fields, boot_id, boot_ms, wall_ms, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        rusqlite::params![
            link.seq,
            link.kind,
            link.door,
            link.attempt,
            link.job,
            link.subject,
            link.fields,
            link.boot_id,
            link.boot_ms,
            link.wall_ms,
            link.mac
        ],
    )?;
    place(seq)
}

/// The chain's last link, to be noted elsewhere; `None` before the first event.
pub fn head(tx: &Transaction<'_>) -> Result<Option<(u64, [u8; 32])>, AuditError> {
    last(tx)?.map(|(seq, mac)| Ok((place(seq)?, mac))).transpose()
}

/// Events after `after` in their order, at most `limit`.
pub fn list(tx: &Transaction<'_>, after: u64, limit: u32) -> Result<Vec<Stored>, AuditError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let sql = format!("SELECT {COLUMNS} FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let links = tx.all(&sql, (after, limit), Link::from_row)?;
    links.into_iter().map(Link::stored).collect()
}

/// The newest event of a kind. The kind stands in the statement itself: only so SQLite sees that an index on some
/// kinds answers it.
pub fn latest(tx: &Transaction<'_>, kind: &'static str) -> Result<Option<Stored>, AuditError> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE kind = '{kind}' ORDER BY seq DESC LIMIT 1");
    let link = tx.one(&sql, [], Link::from_row)?;
    link.map(Link::stored).transpose()
}

/// Follows the whole chain from its anchor on, over changes of its key. With `noted`, a head written down earlier, a cut tail
/// is seen too.
pub fn verify(
    tx: &Transaction<'_>,
    key: &AuditKey,
    noted: Option<[u8; 32]>,
) -> Result<Verification, AuditError> {
    let mut walk = Walk::begin(tx, key)?;
    let (begun, mut broken) = (walk.next, walk.breach_of_anchor());
    let mut noted_seen = noted.is_none_or(|noted| noted == walk.head);
    let sql = format!("SELECT {COLUMNS} FROM events ORDER BY seq");
    tx.each(&sql, [], |row| {
        broken = broken.or_else(|| walk.step(row).err());
        noted_seen |= noted == Some(walk.head);
        Ok(broken.is_none())
    })?;
    if !noted_seen {
        let unfound = if walk.anchor.is_some() { Breach::HeadNotKept } else { Breach::HeadNotFound };
        broken = broken.or(Some(unfound));
    }
    Ok(Verification {
        rows: u64::try_from(walk.next - begun).unwrap_or(0),
        head: walk.head,
        broken_at: broken.map(|breach| (u64::try_from(walk.next).unwrap_or(0), breach)),
        anchor: walk.anchor,
    })
}

/// On the way along the chain: what was passed is in order.
pub(super) struct Walk<'k> {
    key: &'k AuditKey,
    older: Vec<(i64, AuditKey)>,
    /// What stands before the first row.
    pub anchor: Option<Anchor>,
    /// The place of the next row.
    pub next: i64,
    /// The last link.
    pub head: [u8; 32],
}

impl<'k> Walk<'k> {
    /// At the anchor, or before the first event of all.
    pub fn begin(tx: &Transaction<'_>, key: &'k AuditKey) -> Result<Self, AuditError> {
        let (anchor, older) = (anchor(tx)?, older_keys(tx, key)?);
        let (last, head) =
            anchor.as_ref().map_or((0, Verification::GENESIS), |anchor| (anchor.last, anchor.mac));
        Ok(Self { key, older, anchor, next: last.saturating_add(1), head })
    }

    /// An anchor that nobody with the key wrote: then nothing is known of what follows it.
    pub fn breach_of_anchor(&self) -> Option<Breach> {
        let genuine = self.anchor.as_ref().is_none_or(|anchor| anchor.is_signed_by(self.key));
        (!genuine).then_some(Breach::AnchorWrong)
    }

    /// One row further.
    pub fn step(&mut self, row: &Row<'_>) -> Result<(), Breach> {
        let link = Link::from_row(row).map_err(|_| Breach::Changed)?;
        match link.seq {
            seq if seq > self.next => return Err(Breach::Missing),
            // Of a row before the anchor it says that it is gone.
            seq if seq < self.next => return Err(Breach::AnchorWrong),
            _ => {}
        }
        let older = self.older.iter().find(|(until, _)| link.seq <= *until);
        if link.mac != link.sign(older.map_or(self.key, |(_, older)| older), &self.head) {
            return Err(Breach::Changed);
        }
        self.head = link.mac;
        self.next += 1;
        Ok(())
    }
}

/// The last event, or what stands for it when all had their time: numbers and chain go on.
fn last(tx: &Transaction<'_>) -> Result<Option<(i64, [u8; 32])>, AuditError> {
    let sql = "SELECT seq, mac FROM events ORDER BY seq DESC LIMIT 1";
    match tx.one(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))? {
        Some(last) => Ok(Some(last)),
        None => Ok(anchor(tx)?.map(|anchor| (anchor.last, anchor.mac))),
    }
}

fn place(seq: i64) -> Result<u64, AuditError> {
    Ok(u64::try_from(seq).map_err(|_| StoreError::Row { what: "events.seq" })?)
}

/// A row exactly as it is stored and signed.
struct Link {
    seq: i64,
    kind: String,
    door: String,
    attempt: Option<[u8; 16]>,
    job: Option<[u8; 16]>,
    subject: Option<[u8; 16]>,
    fields: String,
    boot_id: [u8; 16],
    boot_ms: i64,
    wall_ms: Option<i64>,
    mac: [u8; 32],
}

impl Link {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            kind: row.get(1)?,
            door: row.get(2)?,
            attempt: row.get(3)?,
            job: row.get(4)?,
            subject: row.get(5)?,
            fields: row.get(6)?,
            boot_id: row.get(7)?,
            boot_ms: row.get(8)?,
            wall_ms: row.get(9)?,
            mac: row.get(10)?,
        })
    }

    /// Each part with its length before it, so that no two rows have the same bytes; an absent part has the
    /// length that no present one can have.
    fn sign(&self, key: &AuditKey, previous: &[u8; 32]) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(256 + self.fields.len());
        let mut part = |content: Option<&[u8]>| {
            let length = content.map_or(u64::MAX, |content| content.len() as u64);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(content.unwrap_or_default());
        };
        part(Some(previous));
        part(Some(&self.seq.to_be_bytes()));
        part(Some(self.kind.as_bytes()));
        part(Some(self.door.as_bytes()));
        part(self.attempt.as_ref().map(<[u8; 16]>::as_slice));
        part(self.job.as_ref().map(<[u8; 16]>::as_slice));
        part(self.subject.as_ref().map(<[u8; 16]>::as_slice));
        part(Some(self.fields.as_bytes()));
        part(Some(&self.boot_id));
        part(Some(&self.boot_ms.to_be_bytes()));
        part(self.wall_ms.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        mac(key.secret(), &[&bytes])
    }

    fn stored(self) -> Result<Stored, AuditError> {
        let fields =
            serde_json::from_str(&self.fields).map_err(|_| StoreError::Row { what: "events.fields" })?;
        Ok(Stored {
            seq: place(self.seq)?,
            kind: self.kind,
            door: self.door,
            attempt: self.attempt.map(AttemptId),
            job: self.job.map(JobId),
            subject: self.subject.map(Pseudonym),
            fields,
            boot_id: BootId(self.boot_id),
            boot_ms: u64::try_from(self.boot_ms).unwrap_or(0),
            wall: self.wall_ms.map_or(Wall::Unknown, |ms| Wall::Known(WallTime::from_unix_millis(ms))),
            mac: self.mac,
        })
    }
}
