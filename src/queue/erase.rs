//! What a person's right to be forgotten leaves of their jobs: rows without a name, for the counting, and nothing else.

use super::jobs::{Left, erase, info, transition};
use super::{Move, QueueError, State};
use crate::access::{JobId, UserId};
use crate::store::Transaction;

/// What became of the jobs of one person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forgotten {
    /// How many there were.
    pub jobs: u64,
    /// How many of them were not at an end and were given up.
    pub dropped: u64,
    /// Those that the service has or may have, with its id of them: it must be asked to erase them there.
    pub at_service: Vec<(JobId, Option<String>)>,
}

/// Gives up what is unfinished, erases pictures, keys and details, and takes the user id and the service's words out of all
/// rows of this person. A job that is being sent refuses all of it: its pictures are on their way. Where `nobody_sends`,
/// such a job was left by a process that ended, and its answer is lost.
pub fn forget_person(
    tx: &Transaction<'_>,
    user: &UserId,
    by: &str,
    nobody_sends: bool,
) -> Result<Forgotten, QueueError> {
    let sql = "SELECT id FROM jobs WHERE user_id = ?1 ORDER BY seq";
    let jobs = tx.all(sql, [user.as_str()], |row| row.get(0).map(JobId))?;
    let mut done = Forgotten { jobs: u64::try_from(jobs.len()).unwrap_or(u64::MAX), ..Forgotten::default() };
    for id in jobs {
        let mut row = info(tx, id)?;
        if row.state == State::Sending {
            if !nobody_sends {
                return Err(QueueError::BeingSent(id));
            }
            transition(tx, id, &Move::LoseAnswer)?;
            row = info(tx, id)?;
        }
        if may_be_there(tx, row.seq)? {
            done.at_service.push((id, row.remote.clone()));
        }
        match row.state {
            State::Decided(_) | State::Expired | State::Dropped { .. } => {}
            _ => {
                transition(tx, id, &Move::Drop { by: by.to_owned() })?;
                done.dropped += 1;
            }
        }
        erase(tx, row.seq, Left::Zeros)?;
    }
    let sql = "UPDATE jobs SET user_id = ?2, remote_id = NULL, answer = NULL WHERE user_id = ?1";
    tx.execute(sql, (user.as_str(), UserId::ERASED))?;
    Ok(done)
}

/// Whether the service took it, or may have.
fn may_be_there(tx: &Transaction<'_>, seq: i64) -> Result<bool, QueueError> {
    let sql = "SELECT 1 FROM job_times WHERE job = ?1 AND (state IN ('accepted', 'unknown_outcome')
                   OR (state = 'held' AND reason <> 'clock')) LIMIT 1";
    Ok(tx.one(sql, [seq], |_| Ok(()))?.is_some())
}
