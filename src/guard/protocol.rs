//! The words between agent and guard. Every request is answered by exactly one report that carries its sequence
//! number, but [`Request::Heartbeat`], which is not answered. Reports nobody asked for carry the sequence number of
//! the request that led to them, or 0.

use super::effective::Effective;
use crate::access::AttemptId;
use crate::clock::BootTime;

/// An enum with a stable byte on the wire and a stable word in logs.
macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal, $word:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The byte on the wire.
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The reverse of [`Self::code`].
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The stable name in logs, JSON and audit rows.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

coded! {
    /// Why the guard refused a request. None of them made an edge.
    Refusal {
        /// The attempt was never armed in this guard's life (also: the guard was restarted since).
        NotArmed = 1, "not-armed";
        /// The window of the arm is over (door-rules 1).
        Expired = 2, "expired";
        /// A newer arm took this one's place (door-rules 1).
        Superseded = 3, "superseded";
        /// The attempt was granted, or armed, before (door-rules 1, 3).
        AlreadyUsed = 4, "already-used";
        /// The arm was dropped by command, hang-up or a missing heartbeat.
        Disarmed = 5, "disarmed";
        /// The pulse is longer than the guard's maximum. The arm is gone.
        PulseTooLong = 6, "pulse-too-long";
        /// The window is longer than the guard's maximum.
        WindowTooLong = 7, "window-too-long";
        /// Somebody else holds the line.
        LineNotHeld = 8, "line-not-held";
        /// A pulse is under way; nothing extends it. The arm is kept: the same grant is taken once that pulse's
        /// [`Report::Locked`] was sent, if the arm's window is still open then.
        Busy = 9, "busy";
        /// The frame is not one of ours. The guard closes the connection.
        Malformed = 10, "malformed";
        /// The first request of a connection must be a hello.
        NoHello = 11, "no-hello";
        /// Nobody would notice if the guard were stopped during the pulse. The arm is gone.
        Unsupervised = 12, "unsupervised";
        /// The kernel refused to move the line. The arm is gone and the line was locked again.
        LineFailed = 13, "line-failed";
    }
}

coded! {
    /// Why the line was locked.
    LockCause {
        /// The pulse was over.
        PulseEnd = 1, "pulse-end";
        /// The peer's connection ended.
        HangUp = 2, "hang-up";
        /// The peer's heartbeat was late.
        HeartbeatLost = 3, "heartbeat-lost";
        /// The peer said lock.
        Command = 4, "command";
        /// The guard is being stopped.
        Shutdown = 5, "shutdown";
        /// Moving the line failed, so it was locked again.
        LineFailed = 6, "line-failed";
    }
}

coded! {
    /// Why an arm ended without a grant.
    DisarmCause {
        /// Its window is over.
        Expired = 1, "expired";
        /// The peer said disarm or lock.
        Command = 2, "command";
        /// A newer arm took its place.
        Superseded = 3, "superseded";
        /// The peer's heartbeat was late.
        HeartbeatLost = 4, "heartbeat-lost";
        /// The guard is being stopped.
        Shutdown = 5, "shutdown";
        /// The guard lost the line.
        LineLost = 6, "line-lost";
    }
}

coded! {
    /// Whether the guard holds its line.
    LineState {
        /// The guard holds it.
        Held = 1, "held";
        /// Somebody else does; the guard tries again every 10 ms and refuses every arm.
        NotHeld = 2, "not-held";
    }
}

coded! {
    /// What the guard is doing.
    Activity {
        /// Locked, no arm.
        Idle = 1, "idle";
        /// Locked, an arm waits for its grant.
        Armed = 2, "armed";
        /// A pulse is under way.
        Pulsing = 3, "pulsing";
    }
}

/// Agent to guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Who are you? The first request of each connection.
    Hello,
    /// Expect a grant for this attempt within the window, which runs from now on the guard's own clock (door-rules 1).
    Arm {
        /// The attempt; each may be armed once.
        attempt: AttemptId,
        /// Length of the window in milliseconds, at least 1.
        window_ms: u32,
    },
    /// Unlock for one pulse. Consumes the arm (door-rules 3).
    Grant {
        /// The armed attempt.
        attempt: AttemptId,
        /// Length of the pulse in milliseconds, at least 1.
        pulse_ms: u32,
    },
    /// Drop this attempt's arm, if it is the one that waits.
    Disarm {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Lock at once and drop any arm.
    Lock,
    /// I am alive. Not answered.
    Heartbeat,
    /// What are you doing?
    Status,
}

/// What the guard says of itself at the start of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The values the guard goes by (door-rules 14).
    pub effective: Effective,
    /// Whether it holds the line.
    pub line: LineState,
    /// Its process id.
    pub pid: u32,
}

/// Guard to agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// Answer to a hello.
    Hello(Hello),
    /// The guard has taken the line; it is locked.
    LineHeld,
    /// The kernel would not lock the line; the guard let go of it and requests it again every 10 ms.
    LineLost {
        /// The attempt whose pulse it was, or all zeroes.
        attempt: AttemptId,
    },
    /// The arm waits.
    Armed {
        /// The attempt.
        attempt: AttemptId,
        /// A grant from this moment on is too late.
        deadline: BootTime,
    },
    /// The arm is gone.
    Disarmed {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        cause: DisarmCause,
    },
    /// The edge to unlocked was made (door-rules 10).
    Unlocked {
        /// The attempt.
        attempt: AttemptId,
        /// When.
        at: BootTime,
    },
    /// The line is locked.
    Locked {
        /// The attempt whose pulse ended, or all zeroes when there was none.
        attempt: AttemptId,
        /// When.
        at: BootTime,
        /// Why.
        cause: LockCause,
    },
    /// No.
    Refused {
        /// The attempt of the request, or all zeroes.
        attempt: AttemptId,
        /// Why.
        reason: Refusal,
    },
    /// Answer to a status request.
    Status {
        /// Whether the guard holds the line.
        line: LineState,
        /// What it is doing.
        activity: Activity,
        /// End of the window or of the pulse; zero when idle.
        until: BootTime,
    },
}

/// The attempt id of a report that is about none.
pub const NO_ATTEMPT: AttemptId = AttemptId([0; 16]);
