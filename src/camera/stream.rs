//! The buffer queue between the driver and us, without a system call in it: who owns which buffer, which frame is
//! given, what is done about damaged ones, when to give up.
//!
//! The kernel's documentation (`Documentation/userspace-api/media/v4l/mmap.rst`) asks for this order: all buffers
//! are queued, the stream is started, a filled buffer is taken out, read, and queued again, at once or when the next
//! frame is asked for. Everything the driver answers is checked, because a wrong index must not become a wrong memory
//! access.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::clock::Clock;

/// A buffer that the driver filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filled {
    /// Which buffer.
    pub index: u32,
    /// Bytes of payload the driver claims.
    pub bytes_used: u32,
    /// The driver flags the payload as damaged.
    pub damaged: bool,
    /// The driver's count of frames.
    pub sequence: u32,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// A buffer can be taken.
    Ready,
    /// The driver reports an error condition; taking a buffer tells which.
    Error,
    /// The time passed.
    Timeout,
}

/// The driver: the kernel's on a device, one that can be made to fail in tests.
pub(super) trait Driver: Send {
    /// How many buffers there are.
    fn count(&self) -> u32;
    /// Gives a buffer to the driver.
    fn queue(&mut self, index: u32) -> io::Result<()>;
    /// Takes a filled buffer, `None` when there is none.
    fn dequeue(&mut self) -> io::Result<Option<Filled>>;
    /// Waits for a filled buffer.
    fn wait(&mut self, at_most: Duration) -> io::Result<Woken>;
    /// Starts streaming.
    fn start(&mut self) -> io::Result<()>;
    /// Stops streaming; all buffers are ours again.
    fn stop(&mut self) -> io::Result<()>;
    /// The payload of a buffer that is ours; `None` when there is no such buffer or it is smaller.
    fn payload(&self, index: u32, bytes_used: u32) -> Option<&[u8]>;
}

/// Why the stream gives no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("{call}: {source}")]
    Call { call: &'static str, source: io::Error },
    #[error("{0}")]
    BadAnswer(String),
    #[error("timeout")]
    Timeout,
    #[error("{0}")]
    Damaged(Damage),
}

/// Frames that came and could not be used, by what was wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// Flagged by the driver: lost packets, usually.
    pub flagged: u32,
    /// Without a byte in them.
    pub empty: u32,
    /// Too short for their format, or no JPEG.
    pub unreadable: u32,
    /// What was wrong with the last unreadable one.
    pub last: String,
}

impl Damage {
    fn is_none(&self) -> bool {
        self.flagged == 0 && self.empty == 0 && self.unreadable == 0
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = Vec::new();
        for (count, kind) in [(self.flagged, "flagged by the driver"), (self.empty, "empty")] {
            if count > 0 {
                kinds.push(format!("{count} {kind}"));
            }
        }
        if self.unreadable > 0 {
            kinds.push(format!("{} unreadable, the last: {}", self.unreadable, self.last));
        }
        f.write_str(&kinds.join(", "))
    }
}

/// Which buffers the driver has.
#[derive(Debug)]
pub(super) struct Ledger {
    queued: Vec<bool>,
}

impl Ledger {
    fn new(count: u32) -> Self {
        Self { queued: vec![false; usize::try_from(count).unwrap_or(0)] }
    }

    fn slot(&mut self, index: u32) -> Option<&mut bool> {
        usize::try_from(index).ok().and_then(|index| self.queued.get_mut(index))
    }

    /// The driver gets the buffer.
    fn give(&mut self, index: u32) -> Result<(), StreamError> {
        match self.slot(index) {
            Some(slot) if !*slot => {
                *slot = true;
                Ok(())
            }
            Some(_) => Err(StreamError::BadAnswer(format!("buffer {index} is already queued"))),
            None => Err(StreamError::BadAnswer(format!("there is no buffer {index}"))),
        }
    }

    /// The driver says that it gives the buffer back.
    fn take(&mut self, index: u32) -> Result<(), StreamError> {
        match self.slot(index) {
            Some(slot) if *slot => {
                *slot = false;
                Ok(())
            }
            Some(_) => Err(StreamError::BadAnswer(format!("buffer {index} given back twice"))),
            None => Err(StreamError::BadAnswer(format!("buffer {index} given back, which does not exist"))),
        }
    }

    fn take_all(&mut self) {
        self.queued.fill(false);
    }
}

/// What becomes of the buffer of a frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loan {
    /// The driver gets it at once.
    GiveBack,
    /// It can be looked at ([`Stream::lent`]) until the next frame is asked for.
    Keep,
}

/// A running stream over a driver.
pub(super) struct Stream<D: Driver> {
    driver: D,
    ledger: Ledger,
    /// The buffer that is ours between two calls.
    lent: Option<Filled>,
}

/// Wake-ups without a frame, one after the other, that are borne before the driver is called broken.
const IDLE_WAKES_MAX: u32 = 64;

impl<D: Driver> Stream<D> {
    /// Queues all buffers and starts.
    pub fn start(driver: D) -> Result<Self, StreamError> {
        let ledger = Ledger::new(driver.count());
        let mut stream = Self { driver, ledger, lent: None };
        stream.fill_and_start()?;
        Ok(stream)
    }

    fn fill_and_start(&mut self) -> Result<(), StreamError> {
        for index in 0..self.driver.count() {
            self.give(index)?;
        }
        self.driver.start().map_err(|source| StreamError::Call { call: "VIDIOC_STREAMON", source })
    }

    fn give(&mut self, index: u32) -> Result<(), StreamError> {
        self.ledger.give(index)?;
        self.driver.queue(index).map_err(|source| StreamError::Call { call: "VIDIOC_QBUF", source })
    }

    /// Gives `read` the newest good frame and hands out what it makes of it, with the driver's sequence number.
    /// Older frames that wait are dropped, so that the moment a frame is stamped with is true. A frame that is
    /// flagged, empty or that `read` refuses is dropped too, and the next one waited for.
    pub fn next<T, E: fmt::Display>(
        &mut self,
        clock: &dyn Clock,
        at_most: Duration,
        loan: Loan,
        mut read: impl FnMut(&[u8]) -> Result<T, E>,
    ) -> Result<(T, u32), StreamError> {
        if let Some(lent) = self.lent.take() {
            self.give(lent.index)?;
        }
        let deadline = clock.boot().plus(at_most);
        let mut damage = Damage::default();
        let mut restarted = false;
        let mut idle = 0;
        loop {
            let left = deadline.since(clock.boot());
            if left.is_zero() {
                let timeout = damage.is_none();
                return Err(if timeout { StreamError::Timeout } else { StreamError::Damaged(damage) });
            }
            let woken =
                self.driver.wait(left).map_err(|source| StreamError::Call { call: "poll", source })?;
            if woken == Woken::Timeout {
                continue;
            }
            let newest = match self.newest(&mut damage) {
                // "Can also indicate temporary problems like signal loss" (VIDIOC_DQBUF): which buffers the
                // driver kept is unknown, so all are taken back. Once.
                Err(StreamError::Call { source, .. }) if is_io_error(&source) && !restarted => {
                    restarted = true;
                    self.restart()?;
                    continue;
                }
                newest => newest?,
            };
            let Some(filled) = newest else {
                idle += 1;
                if woken == Woken::Error || idle > IDLE_WAKES_MAX {
                    return Err(StreamError::BadAnswer("poll wakes without a frame".into()));
                }
                continue;
            };
            idle = 0;
            let got = match self.driver.payload(filled.index, filled.bytes_used) {
                Some(bytes) => read(bytes).map_err(|error| error.to_string()),
                None => Err(format!("{} bytes claimed, more than the buffer holds", filled.bytes_used)),
            };
            if got.is_ok() && loan == Loan::Keep {
                self.lent = Some(filled);
            } else {
                self.give(filled.index)?;
            }
            match got {
                Ok(got) => return Ok((got, filled.sequence)),
                Err(why) => {
                    damage.unreadable = damage.unreadable.saturating_add(1);
                    damage.last = why;
                }
            }
        }
    }

    /// The frame that was read last and kept.
    pub fn lent(&self) -> Option<&[u8]> {
        self.lent.and_then(|lent| self.driver.payload(lent.index, lent.bytes_used))
    }

    /// Takes out all that is filled, at most once around; gives back all but the newest good one.
    fn newest(&mut self, damage: &mut Damage) -> Result<Option<Filled>, StreamError> {
        let mut newest: Option<Filled> = None;
        for _ in 0..self.driver.count() {
            let taken =
                self.driver.dequeue().map_err(|source| StreamError::Call { call: "VIDIOC_DQBUF", source });
            let filled = match (taken, newest) {
                (Ok(Some(filled)), _) => filled,
                (Ok(None), _) => break,
                // What was taken is still good; the next call meets the fault again.
                (Err(_), Some(_)) => break,
                (Err(error), None) => return Err(error),
            };
            self.ledger.take(filled.index)?;
            if filled.damaged || filled.bytes_used == 0 {
                let count = if filled.damaged { &mut damage.flagged } else { &mut damage.empty };
                *count = count.saturating_add(1);
                self.give(filled.index)?;
            } else if let Some(older) = newest.replace(filled) {
                self.give(older.index)?;
            }
        }
        Ok(newest)
    }

    fn restart(&mut self) -> Result<(), StreamError> {
        self.driver.stop().map_err(|source| StreamError::Call { call: "VIDIOC_STREAMOFF", source })?;
        self.ledger.take_all();
        self.fill_and_start()
    }
}

impl<D: Driver> Drop for Stream<D> {
    fn drop(&mut self) {
        // An unplugged device answers ENODEV; closing the file frees everything anyway.
        if let Err(error) = self.driver.stop() {
            log::debug!("camera stream not stopped: {error}");
        }
    }
}

fn is_io_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
