//! Bugs that the simulation must find. Each is a line at its place that only a test build has, switched on for one thread
//! and the fibers it starts.

use std::cell::Cell;

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// A bug that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug { $($(#[$doc])* $name,)+ }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What it does.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

bugs! {
    /// guard/machine.rs
    GrantKeepsArm = "the guard does not consume the arm with the grant";
    /// guard/machine.rs
    ArmWithoutEnd = "the guard does not judge the arm's deadline";
    /// guard/machine.rs
    ArmSurvivesHangUp = "the guard keeps the arm when its peer hangs up";
    /// guard/machine.rs
    PulseSurvivesHangUp = "the guard ends no pulse when its peer hangs up";
    /// guard/machine.rs
    HeartbeatIgnored = "the guard does not miss its peer's heartbeat";
    /// guard/machine.rs
    PulseWithoutEnd = "the guard ends no pulse by time";
    /// access/machine
    LateApprovalOpens = "the agent does not judge the window's end";
    /// access/machine
    LeaversOpen = "the agent does not miss the face before the verdict";
    /// access/machine
    OpensBeforeIntent = "the grant goes out before verdict and intent are durable";
    /// access/machine
    GrantedBeforeEdge = "\"granted\" is said when the grant is sent";
    /// access/decide.rs
    AnyPerson = "an approval for another person or job counts";
    /// access/decide.rs
    ProvisionalOpens = "a provisional verdict counts as an approval";
    /// access/admit.rs
    AnybodyMayOpen = "the door's own list is not asked";
    /// agent/drain.rs
    SentBeforeCommit = "the drain sends before the state `sending` is durable";
    /// queue/policy.rs
    UnknownIsRetried = "a lost answer is treated as a certain refusal";
    /// queue/jobs.rs
    SendingIsRetried = "a job found in `sending` at start goes back to `new`";
    /// queue/jobs.rs
    SendingIsForgotten = "a job found in `sending` at start stays there";
    /// queue/jobs.rs
    ErasedWhenSent = "the pictures are erased when the submission begins";
    /// queue/jobs.rs
    KeysAreKept = "the erase leaves pictures and key";
    /// store/open.rs
    NoSync = "commits are not synced";
    /// audit/intents.rs
    IntentStaysOpen = "an interrupted intent is not closed at start";
    /// audit/chain.rs
    ChainSkips = "an event is not chained to the one before it";
    /// audit/prune.rs
    AnchorAhead = "an event stays that the anchor says is gone";
    /// audit/prune.rs
    OpenIntentGoes = "an intent is forgotten so that its event may go";
    /// audit/prune.rs
    OwnClockPrunes = "an event's age is counted to the device's own clock";
    /// agent/records
    DenialsForgotten = "denials are not counted";
    /// access/machine
    OverAttemptOpens = "an approval for an attempt that is over is granted";
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in this thread, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// The bug of this thread.
pub fn current() -> Option<Bug> {
    PLANTED.get()
}

/// Whether this one is planted.
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
