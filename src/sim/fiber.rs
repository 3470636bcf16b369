//! A thread of the daemon that runs only when the simulation lets it, and stops where it would wait: real code on
//! simulated time. One at a time runs, so a history is the same each time.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::planted;

/// What a fiber waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// This moment of true time.
    Time(u64),
    /// To be called, or this moment.
    Call(Option<u64>),
    /// Nothing any more: it has ended.
    Ended,
}

/// Why it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The moment has come.
    Time,
    /// It was called.
    Called,
    /// Its process is dead: it is to end, and nothing that it does counts.
    Dead,
}

struct Pause {
    yielded: SyncSender<Wait>,
    resume: Receiver<Woken>,
}

thread_local! {
    static PAUSE: RefCell<Option<Pause>> = const { RefCell::new(None) };
}

/// One fiber, from outside.
pub struct Fiber {
    waits: Wait,
    resume: SyncSender<Woken>,
    yielded: Receiver<Wait>,
    thread: Option<JoinHandle<()>>,
}

impl Fiber {
    /// Starts `body`; it runs to its first wait when it is resumed for the first time.
    pub fn new(name: &str, body: impl FnOnce() + Send + 'static) -> Self {
        let (resume, resumed) = sync_channel(1);
        let (yields, yielded) = sync_channel(1);
        let bug = planted::current();
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(1 << 20).spawn(move || {
            planted::plant(bug);
            PAUSE.with(|pause| *pause.borrow_mut() = Some(Pause { yielded: yields, resume: resumed }));
            // The first resume.
            wait(Wait::Call(None));
            body();
            PAUSE.with(|pause| {
                if let Some(pause) = pause.borrow_mut().take() {
                    let _ = pause.yielded.send(Wait::Ended);
                }
            });
        });
        let waits = yielded.recv().unwrap_or(Wait::Ended);
        Self { waits, resume, yielded, thread: thread.ok() }
    }

    pub fn waits(&self) -> Wait {
        self.waits
    }

    /// Lets it run until it waits again.
    pub fn run(&mut self, why: Woken) {
        if self.waits != Wait::Ended && self.resume.send(why).is_ok() {
            // A fiber that panicked has dropped its end: the panic shows when it is joined.
            self.waits = self.yielded.recv().unwrap_or(Wait::Ended);
        }
    }

    /// Its process is dead: it runs to its end, and nothing that it does counts.
    pub fn end(mut self) {
        let mut steps = 0;
        while self.waits != Wait::Ended {
            self.run(Woken::Dead);
            steps += 1;
            assert!(steps < 10_000, "a dead thread goes on waiting");
        }
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "a thread of the daemon panicked");
        }
    }
}

/// Called on a fiber's thread: waits there. Elsewhere nothing waits.
pub fn wait(what: Wait) -> Woken {
    PAUSE.with(|pause| match &*pause.borrow() {
        None => Woken::Time,
        Some(pause) => match pause.yielded.send(what) {
            Ok(()) => pause.resume.recv().unwrap_or(Woken::Dead),
            Err(_) => Woken::Dead,
        },
    })
}
