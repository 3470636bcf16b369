//! Reads the job that will probably be sent next while another one is on its way, so that the drain waits for the service
//! or for the disk, but not for the one after the other. A thread without a will of its own: what it read is used only if
//! the drain then comes to that very job.

use super::drain;
use super::job::{Sendable, load};
use super::shared::Shared;
use crate::access::JobId;
use crate::queue::policy::Turn;
use crossbeam_channel::{Receiver, Sender};

/// A job that was read.
pub type Read = Option<(JobId, Sendable)>;

/// Who reads ahead for the drain.
pub trait Ahead {
    /// Begins to read whichever job is next by this turn.
    fn ask(&self, turn: Turn);

    /// What was read since the last [`Ahead::ask`]; nothing, if nobody asked.
    fn take(&self) -> Read;
}

/// The thread that [`run`] is.
pub struct Reader {
    /// One order may wait: the drain takes the answer before it gives another.
    pub orders: Sender<Turn>,
    /// One answer for each order.
    pub answers: Receiver<Read>,
    /// Whether an answer is owed.
    pub asked: std::cell::Cell<bool>,
}

impl Ahead for Reader {
    fn ask(&self, turn: Turn) {
        drop(self.take());
        self.asked.set(self.orders.try_send(turn).is_ok());
    }

    fn take(&self) -> Read {
        if self.asked.take() { self.answers.recv().ok().flatten() } else { None }
    }
}

/// Runs until the orders end.
pub fn run(shared: &Shared, orders: &Receiver<Turn>, answers: &Sender<Read>) {
    for turn in orders {
        if answers.send(read(shared, turn)).is_err() {
            return;
        }
    }
}

/// Reads the job whose turn it is. What cannot be read now is read again, and its error told, when it is sent.
pub fn read(shared: &Shared, turn: Turn) -> Read {
    let job = drain::next_submission(shared, turn).ok().flatten()?;
    Some((job, load(shared, job).ok()?))
}
