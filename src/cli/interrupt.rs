//! Ctrl-C while something is under way: the first one asks it to end and to say so, the second one ends the process.

use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user gave up.
pub struct Interrupt {
    seen: Arc<AtomicBool>,
    notice: UnixStream,
}

impl Interrupt {
    /// Listens to SIGINT for the rest of the process.
    ///
    /// # Errors
    /// The kernel gives no socket or no handler.
    pub fn watch() -> io::Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        let (notice, on_signal) = UnixStream::pair()?;
        // In this order: the default acts only from the second signal on.
        flag::register_conditional_default(SIGINT, Arc::clone(&seen))?;
        flag::register(SIGINT, Arc::clone(&seen))?;
        low_level::pipe::register(SIGINT, on_signal)?;
        Ok(Self { seen, notice })
    }

    /// Whether a signal came.
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }

    /// Can be read once a signal came.
    pub fn notice(&self) -> &UnixStream {
        &self.notice
    }
}
