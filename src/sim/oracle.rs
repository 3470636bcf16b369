//! Whether a history kept the rules: separate, simple code that knows nothing of how latchd decides. It sees what a bystander
//! sees (claims, replies, edges, what the service took) and, at the end, the database's rows.

use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags};

use super::chance::Chance;
use super::events::Events;
use super::lock::{Guard, Line, Seen};
use super::people::PEOPLE;
use super::vfs::{self, Mounted};
use super::world::{MILLI, SECOND};
use crate::access::{AttemptId, Check, Product};
use crate::clock::BootTime;
use crate::config::Config;
use crate::config::model::UnknownOutcome;
use crate::control::Reply;
use crate::sandbox::{JobSeen, Protocol};

/// After the end of either process, or of its heartbeat, the line is locked within this time (door-rules 5).
const RELOCK: u64 = 100 * MILLI;
/// A stopped guard is killed by its watchdog and its line taken within this time (door-rules 5).
const RELOCK_STOPPED: u64 = 500 * MILLI;

/// Nobody enters who was not seen for so long (door-rules 12).
const AWAY_MAX: u64 = 2 * SECOND;

/// What is known of one claim.
#[derive(Debug)]
struct Known {
    /// Its place among all claims; so many bytes longer is its selfie, by which the service's jobs are told apart.
    number: usize,
    who: usize,
    product: Product,
    captured: Option<u64>,
    /// When the face was seen last.
    seen: u64,
    armed: Option<(u64, u64)>,
    granted: u32,
    intent: bool,
    job: Option<String>,
    edges: u32,
    ended: Option<&'static str>,
}

/// All that was seen.
pub struct Oracle {
    window: u64,
    unlock: u64,
    resubmits: bool,
    claims: BTreeMap<AttemptId, Known>,
    /// Jobs that somebody was told are saved.
    promised: BTreeMap<String, AttemptId>,
    retried: BTreeMap<String, usize>,
    /// Since when the line is unlocked.
    open_since: Option<u64>,
    must_lock_by: Option<u64>,
    violation: Option<String>,
    pub edges: u64,
    pub events: Events,
    hash: u64,
    lines: Vec<String>,
    keep_lines: bool,
}

impl Oracle {
    pub fn new(config: &Config) -> Self {
        let mut oracle = Self {
            window: 0,
            unlock: 0,
            resubmits: false,
            claims: BTreeMap::new(),
            promised: BTreeMap::new(),
            retried: BTreeMap::new(),
            open_since: None,
            must_lock_by: None,
            violation: None,
            edges: 0,
            events: Events::default(),
            hash: 0xcbf2_9ce4_8422_2325,
            lines: Vec::new(),
            keep_lines: std::env::var_os("LATCHD_SIM_TRACE").is_some(),
        };
        oracle.configured(config);
        oracle
    }

    /// What applies from now on.
    pub fn configured(&mut self, config: &Config) {
        self.window = u64::from(config.door.window_ms) * MILLI;
        self.unlock = u64::from(config.door.unlock_ms) * MILLI;
        self.resubmits |= config.queue.unknown_outcome == UnknownOutcome::ResubmitOnce;
    }

    pub fn trace(&mut self, now: u64, text: impl FnOnce() -> String) {
        let line = format!("{:>10}.{:06} {}", now / SECOND, now % SECOND, text());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.keep_lines {
            self.lines.push(line);
        }
    }

    /// Names this history: two runs of a seed have the same.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    pub fn violated(&mut self, what: &str) {
        if self.violation.is_none() {
            self.violation = Some(what.to_owned());
        }
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violated(&what());
        }
    }

    pub fn is_violated(&self) -> bool {
        self.violation.is_some()
    }

    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Claims, and jobs that were promised.
    pub fn counts(&self) -> (usize, usize) {
        (self.claims.len(), self.promised.len())
    }

    // ------------------------------------------------------------------ what is seen

    pub fn claimed(&mut self, attempt: AttemptId, who: usize, product: Product) {
        let known = Known {
            number: self.claims.len(),
            who,
            product,
            captured: None,
            seen: 0,
            armed: None,
            granted: 0,
            intent: false,
            job: None,
            edges: 0,
            ended: None,
        };
        self.claims.insert(attempt, known);
    }

    /// Gives the attempt's number.
    pub fn captured(&mut self, now: u64, attempt: AttemptId) -> usize {
        self.claims.get_mut(&attempt).map_or(0, |known| {
            known.captured.get_or_insert(now);
            known.seen = now;
            known.number
        })
    }

    pub fn seen(&mut self, now: u64, attempt: AttemptId) {
        if let Some(known) = self.claims.get_mut(&attempt) {
            known.seen = now;
        }
    }

    pub fn armed(&mut self, now: u64, attempt: AttemptId, guard_life: u64) {
        if let Some(known) = self.claims.get_mut(&attempt) {
            known.armed = Some((now, guard_life));
        }
    }

    pub fn grant_sent(&mut self, now: u64, attempt: AttemptId, intent: bool) {
        self.require(intent, || format!("door-rules 9: a grant for {attempt} without a durable intent"));
        let window = self.window;
        let Some(known) = self.claims.get_mut(&attempt) else {
            return self.violated("door-rules 1: a grant for nobody's attempt");
        };
        known.granted += 1;
        known.intent = intent;
        let (granted, captured, ended) = (known.granted, known.captured, known.ended);
        let away = now.saturating_sub(known.seen);
        self.require(away <= AWAY_MAX, || {
            format!("door-rules 12: a grant for {attempt}, who was away for {away} us")
        });
        self.require(granted == 1, || format!("door-rules 3: {attempt} is granted {granted} times"));
        self.require(captured.is_some_and(|at| now <= at + window), || {
            format!("door-rules 1: a grant for {attempt} after its window")
        });
        self.require(ended.is_none(), || format!("door-rules 2: a grant for {attempt}, which had ended"));
    }

    /// door-rules 1 to 4, 9, 15 and 16, at each edge.
    pub fn edge(&mut self, seen: Seen, jobs: &[(JobSeen, Option<BootTime>)], guard_life: u64) {
        if !seen.unlocked {
            if let Some(since) = self.open_since.take() {
                let open = seen.at - since;
                let most = self.unlock + RELOCK_STOPPED;
                self.require(open <= most, || format!("door-rules 5: the line was unlocked for {open} us"));
            }
            if let Some(by) = self.must_lock_by.take() {
                let late = seen.at.saturating_sub(by);
                self.require(late == 0, || format!("door-rules 5: locked {late} us too late"));
            }
            return;
        }
        self.edges += 1;
        self.open_since = Some(seen.at);
        let window = self.window;
        let found =
            seen.attempt.and_then(|attempt| self.claims.get_mut(&attempt).map(|known| (attempt, known)));
        let Some((attempt, known)) = found else {
            return self.violated("door-rules 1: an edge without a grant");
        };
        known.edges += 1;
        let edges = known.edges;
        let in_time = known.armed.is_some_and(|(at, life)| life == guard_life && seen.at <= at + window);
        let permitted = PEOPLE[known.who].listed && PEOPLE[known.who].may_open;
        let consent = PEOPLE[known.who].consent;
        let user = PEOPLE[known.who].user;
        let number = known.number;
        let approved = jobs.iter().any(|(job, decided_at)| {
            number_of(job) == Some(number)
                && job.user_id == user
                && job.product == Check::Authentication
                && is_approval(job)
                && decided_at.is_some_and(|at| at.as_micros() <= seen.at)
        });
        let (for_door, intent, ended) = (known.product == Product::Authentication, known.intent, known.ended);
        self.require(edges == 1, || format!("door-rules 3: {attempt} made {edges} edges"));
        self.require(in_time, || format!("door-rules 1: an edge for {attempt} without a living arm"));
        self.require(approved, || {
            format!("door-rules 4: an edge for {attempt} ({user}) without its approval")
        });
        self.require(for_door, || format!("door-rules 4: an enrolment made an edge ({attempt})"));
        self.require(permitted, || format!("door-rules 15: {user} may not open this door"));
        self.require(consent, || format!("door-rules 16: {user} has not consented"));
        self.require(intent, || format!("door-rules 9: an edge for {attempt} without a durable intent"));
        self.require(ended.is_none() || ended == Some("granted"), || {
            format!("door-rules 2: an edge for {attempt}, which had ended as {ended:?}")
        });
    }

    pub fn told(&mut self, now: u64, attempt: AttemptId, reply: &Reply) {
        let Some(known) = self.claims.get_mut(&attempt) else { return };
        match reply {
            Reply::Progress { object, .. } => {
                if let Some(job) = object.get("job").and_then(|job| job.as_str()) {
                    known.job = Some(job.to_owned());
                    self.promised.insert(job.to_owned(), attempt);
                }
            }
            Reply::Done { object, .. } => {
                let outcome = object.get("outcome").and_then(|word| word.as_str()).unwrap_or("");
                let edges = known.edges;
                if outcome != "stored" {
                    known.ended.get_or_insert(if outcome == "granted" { "granted" } else { "otherwise" });
                }
                let outcome = outcome.to_owned();
                let why = object.get("answer").and_then(|word| word.as_str()).unwrap_or("").to_owned();
                self.trace(now, || format!("{attempt} ends: {outcome} {why}"));
                self.require(outcome != "granted" || edges > 0, || {
                    format!("door-rules 10: {attempt} was told granted before its edge")
                });
            }
            _ => {}
        }
    }

    /// A guard without a peer holds no arm, and nothing is unlocked.
    pub fn hung_up(&mut self, guard: &Option<Guard>) {
        let busy = guard.as_ref().is_some_and(|guard| guard.machine.deadline().is_some());
        self.require(!busy, || "door-rules 1 and 5: an arm or a pulse outlives the connection".into());
    }

    pub fn agent_died(&mut self, now: u64, line: &Line, guard_stopped_until: u64) {
        if line.unlocked && guard_stopped_until <= now {
            self.lock_by(now + RELOCK);
        }
    }

    pub fn agent_stopped(&mut self, now: u64, line: &Line, guard_stopped: bool) {
        if line.unlocked && !guard_stopped {
            self.lock_by(now + RELOCK);
        }
    }

    pub fn guard_died(&mut self, now: u64, line: &Line) {
        if line.unlocked {
            self.lock_by(now + RELOCK);
        }
    }

    pub fn guard_stopped(&mut self, now: u64, line: &Line) {
        if line.unlocked {
            self.lock_by(now + RELOCK_STOPPED);
        }
    }

    fn lock_by(&mut self, at: u64) {
        self.must_lock_by.get_or_insert(at);
    }

    /// Time passes: what should have been locked is.
    pub fn passes(&mut self, now: u64, line: &Line) {
        let most = self.unlock + RELOCK_STOPPED;
        let stays = line.unlocked && self.open_since.is_some_and(|since| now > since + most);
        let late = line.unlocked && self.must_lock_by.is_some_and(|by| now > by);
        self.require(!stays, || "door-rules 5: the line stays unlocked".into());
        self.require(!late, || "door-rules 5: nobody locks the line".into());
        if !line.unlocked {
            self.must_lock_by = None;
        }
    }

    pub fn some_job(&self, chance: &mut Chance) -> Option<String> {
        let jobs: Vec<&String> = self.promised.keys().collect();
        (!jobs.is_empty()).then(|| (*chance.pick(&jobs)).clone())
    }

    pub fn retried(&mut self, job: &str) {
        *self.retried.entry(job.to_owned()).or_default() += 2;
    }

    // ------------------------------------------------------------------ the end

    /// Before a round in which events may go, and at the end; `now` is true time in Unix milliseconds.
    pub fn read_events(&mut self, mounted: &Mounted, now: i64, config: &Config) {
        match look(mounted).and_then(|db| self.events.read(&db, now, config)) {
            Ok(Some(wrong)) => self.violated(&wrong),
            Ok(None) => {}
            Err(error) => self.violated(&format!("the events cannot be read: {error}")),
        }
    }

    /// Queue promises 1, 2 and 10, and the audit, when all is calm again. The events were read.
    pub fn judge_end(&mut self, mounted: &Mounted, jobs: &[(JobSeen, Option<BootTime>)], config: &Config) {
        let connection = match look(mounted) {
            Ok(connection) => connection,
            Err(error) => return self.violated(&format!("the database cannot be read at the end: {error}")),
        };
        if let Err(error) = self.judge_rows(&connection, config) {
            self.violated(&format!("the database's rows cannot be read: {error}"));
        }
        self.judge_submissions(jobs);
        let bytes = mounted.disk().bytes();
        self.require(bytes < 24 << 20, || format!("the disk holds {bytes} bytes at the end"));
    }

    fn judge_rows(&mut self, db: &Connection, config: &Config) -> rusqlite::Result<()> {
        let states = rows(db, "SELECT lower(hex(id)), state, coalesce(reason, '') FROM jobs", |row| {
            Ok((row.get::<_, String>(0)?, (row.get::<_, String>(1)?, row.get::<_, String>(2)?)))
        })?;
        let states: BTreeMap<String, (String, String)> = states.into_iter().collect();
        // A clock that was wrong by a year may have a finished job forgotten before its time; its events say what became of it.
        let told = self.events.jobs(&["verdict", "late_verdict", "job_dropped", "job_expired", "job_failed"]);
        for job in self.promised.keys().cloned().collect::<Vec<_>>() {
            let bare = job.replace('-', "");
            match states.get(&bare).map(|(state, reason)| (state.as_str(), reason.as_str())) {
                None if told.contains(&bare) => {}
                None => self.violated(&format!("queue 1: job {job} was promised and is lost")),
                Some(("decided" | "expired" | "dropped" | "unknown_outcome", _)) => {}
                Some(("dead_letter" | "held", reason)) => {
                    self.require(!reason.is_empty(), || {
                        format!("queue 2: job {job} is stuck without a reason")
                    });
                }
                Some((state, _)) => {
                    self.violated(&format!("liveness: job {job} is {state} when all is calm"))
                }
            }
        }
        let left: i64 = db.query_row(
            "SELECT (SELECT count(*) FROM images JOIN jobs ON seq = job WHERE state IN ('decided', 'expired', 'dropped'))
                  + (SELECT count(*) FROM job_keys JOIN jobs ON seq = job WHERE state IN ('decided', 'expired', 'dropped'))
                  + (SELECT count(*) FROM images JOIN jobs ON seq = job WHERE state = 'accepted' AND api <> 'v1')",
            [],
            |row| row.get(0),
        )?;
        self.require(left == 0, || format!("queue 10: {left} pictures or keys are kept without need"));
        // A job that may still be sent has its pictures.
        let robbed: i64 = db.query_row(
            "SELECT count(*) FROM jobs WHERE state IN ('new', 'sending') AND images = 0",
            [],
            |row| row.get(0),
        )?;
        self.require(robbed == 0, || format!("queue 10: {robbed} jobs lost pictures that they need"));
        // A dead letter keeps its pictures for an operator, until they had their time.
        let erased = self.events.jobs(&["job_erased"]);
        let sql = "SELECT lower(hex(id)) FROM jobs WHERE state = 'dead_letter' AND images = 0 AND remote_id IS NULL";
        let bare = rows(db, sql, |row| row.get::<_, String>(0))?;
        let bare = bare.iter().filter(|job| !erased.contains(*job)).count();
        self.require(bare == 0, || format!("queue 10: {bare} dead letters lost their pictures"));
        self.judge_audit(db)?;
        let locks_out = self.events.lock_out(config);
        self.require(locks_out, || "door-rules 13: denials without a lock-out".into());
        Ok(())
    }

    /// Queue promise 2: once, where the protocol allows to know.
    fn judge_submissions(&mut self, jobs: &[(JobSeen, Option<BootTime>)]) {
        for (attempt, known) in &self.claims {
            let count = jobs.iter().filter(|(job, _)| number_of(job) == Some(known.number)).count();
            let allowed = 1
                + usize::from(self.resubmits)
                + if known.product == Product::Registration { 3 } else { 0 }
                + known.job.as_ref().and_then(|job| self.retried.get(job)).copied().unwrap_or(0);
            if count > allowed {
                let text = format!("queue 2: {attempt} was submitted {count} times, {allowed} are allowed");
                self.violation.get_or_insert(text);
            }
        }
    }

    /// The chain is whole, each edge has its intent, and each intent has an end.
    fn judge_audit(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let open: i64 = db.query_row("SELECT count(*) FROM open_intents", [], |row| row.get(0))?;
        self.require(open == 0, || format!("door-rules 9: {open} intents without an end"));
        self.require(self.events.gapless(), || "audit: events are missing".into());
        let count = |kind: &str, attempt: &AttemptId| self.events.count(kind, attempt);
        let mut wrong = Vec::new();
        for (attempt, known) in &self.claims {
            let intents = count("unlock_intent", attempt);
            let ends = count("unlock_done", attempt) + count("unlock_interrupted", attempt);
            if known.edges > 0 && intents != 1 {
                wrong.push(format!("door-rules 9: {attempt} made an edge and has {intents} intents"));
            }
            if intents != ends {
                wrong.push(format!("door-rules 9: {attempt} has {intents} intents and {ends} ends"));
            }
            if count("granted", attempt) > 0 && known.edges == 0 && known.product == Product::Authentication {
                wrong.push(format!("door-rules 10: the audit says granted of {attempt} without an edge"));
            }
        }
        for text in wrong {
            self.violated(&text);
        }
        Ok(())
    }
}

/// Which claim a job's selfie belongs to.
fn number_of(job: &JobSeen) -> Option<usize> {
    job.image_bytes.first()?.checked_sub(super::people::selfie_bytes())
}

/// The words that open, by the service's own documents.
fn is_approval(job: &JobSeen) -> bool {
    match job.protocol {
        Protocol::V3 => job.decision == "clear",
        _ => matches!(job.decision.as_str(), "0820" | "1220"),
    }
}

/// All rows.
pub fn rows<T>(
    db: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare(sql)?.query_map([], read)?.collect()
}

fn look(mounted: &Mounted) -> rusqlite::Result<Connection> {
    Connection::open_with_flags_and_vfs(mounted.path(), OpenFlags::SQLITE_OPEN_READ_WRITE, vfs::NAME)
}

/// Whether the database on this disk has the intent to unlock for this attempt.
pub fn has_intent(mounted: &Mounted, attempt: AttemptId) -> bool {
    let sql = "SELECT count(*) FROM events WHERE kind = 'unlock_intent' AND attempt = ?1";
    look(mounted)
        .and_then(|db| db.query_row(sql, [attempt.0], |row| row.get::<_, i64>(0)))
        .is_ok_and(|count| count > 0)
}
