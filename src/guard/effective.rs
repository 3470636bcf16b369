//! The values a guard goes by, small enough for one frame. Both sides make them from `guard.toml`; the agent compares
//! what it read with what the guard says and never arms a guard that goes by other values (door-rules 14).

use crate::config::guard::{Bias, Drive, Egress, GuardConfig, LineConfig, LockType};
use std::fmt;

/// What sort of line the guard holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LineKind {
    /// A line of a GPIO chip.
    Gpio,
    /// A file of edges, moves no strike.
    Recording,
}

impl LineKind {
    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Gpio => 1,
            Self::Recording => 2,
        }
    }

    /// The reverse of [`LineKind::code`].
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Gpio),
            2 => Some(Self::Recording),
            _ => None,
        }
    }

    /// The word of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpio => "gpio",
            Self::Recording => "recording",
        }
    }
}

/// Limits, polarity and identity of the line as a guard goes by them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    /// Longest pulse, milliseconds.
    pub pulse_max_ms: u32,
    /// Longest window, milliseconds.
    pub window_max_ms: u32,
    /// Without a heartbeat for this long the guard relocks, milliseconds.
    pub heartbeat_timeout_ms: u32,
    /// The line is active when low.
    pub active_low: bool,
    /// How the lock fails.
    pub lock: LockType,
    /// What sort of line.
    pub kind: LineKind,
    /// A hash over everything that names the line and its electrics: equal for equal `[line]` sections.
    pub identity: u64,
    /// The installer's statement about egress.
    pub egress: Option<Egress>,
}

impl Effective {
    /// What a guard with this configuration goes by.
    pub fn of(config: &GuardConfig) -> Self {
        let (kind, active_low) = match &config.line {
            LineConfig::Gpio { active_low, .. } => (LineKind::Gpio, *active_low),
            LineConfig::Recording { .. } => (LineKind::Recording, false),
        };
        Self {
            pulse_max_ms: config.pulse_max_ms,
            window_max_ms: config.window_max_ms,
            heartbeat_timeout_ms: config.heartbeat_timeout_ms,
            active_low,
            lock: config.lock,
            kind,
            identity: identity(&config.line),
            egress: config.egress,
        }
    }

    /// The first field in which two guards differ, by its name in `guard.toml`.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("line.kind", self.kind != other.kind),
            ("line.active_low", self.active_low != other.active_low),
            ("line", self.identity != other.identity),
            ("lock", self.lock != other.lock),
            ("egress", self.egress != other.egress),
            ("pulse_max_ms", self.pulse_max_ms != other.pulse_max_ms),
            ("window_max_ms", self.window_max_ms != other.window_max_ms),
            ("heartbeat_timeout_ms", self.heartbeat_timeout_ms != other.heartbeat_timeout_ms),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line={} identity={:016x} active_low={} lock={} egress={} pulse_max_ms={} window_max_ms={} \
             heartbeat_timeout_ms={}",
            self.kind.name(),
            self.identity,
            self.active_low,
            match self.lock {
                LockType::FailSecure => "fail-secure",
                LockType::FailSafe => "fail-safe",
            },
            match self.egress {
                None => "unstated",
                Some(Egress::HardWired) => "hard-wired",
            },
            self.pulse_max_ms,
            self.window_max_ms,
            self.heartbeat_timeout_ms,
        )
    }
}

/// FNV-1a, 64 bits: two processes of different builds must agree, so no hasher of the standard library.
struct Fnv(u64);

impl Fnv {
    fn field(&mut self, bytes: &[u8]) {
        // The length first, so that "ab","c" and "a","bc" differ.
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

fn identity(line: &LineConfig) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    match line {
        LineConfig::Gpio { name, chip, offset, active_low, bias, drive } => {
            hash.field(b"gpio");
            hash.field(name.as_deref().unwrap_or_default().as_bytes());
            hash.field(chip.as_deref().unwrap_or_default().as_bytes());
            hash.field(offset.map(u32::to_le_bytes).as_ref().map_or(&[], |bytes| bytes.as_slice()));
            hash.field(&[u8::from(*active_low)]);
            hash.field(&[match bias {
                Bias::AsIs => 0,
                Bias::PullUp => 1,
                Bias::PullDown => 2,
                Bias::Disabled => 3,
            }]);
            hash.field(&[match drive {
                Drive::PushPull => 0,
                Drive::OpenDrain => 1,
                Drive::OpenSource => 2,
            }]);
        }
        LineConfig::Recording { file } => {
            hash.field(b"recording");
            hash.field(file.as_os_str().as_encoded_bytes());
        }
    }
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, offset: Option<u32>) -> GuardConfig {
        GuardConfig {
            line: LineConfig::Gpio {
                name: Some(name.into()),
                chip: None,
                offset,
                active_low: false,
                bias: Bias::AsIs,
                drive: Drive::PushPull,
            },
            lock: LockType::FailSecure,
            egress: Some(Egress::HardWired),
            pulse_max_ms: 10_000,
            window_max_ms: 15_000,
            heartbeat_timeout_ms: 80,
            peer_user: None,
        }
    }

    #[test]
    fn another_value_is_named_by_its_key() {
        let mine = config("STRIKE", None);
        let differs =
            |other: GuardConfig| Effective::of(&mine).difference(&Effective::of(&other)).unwrap_or("nothing");
        assert_eq!(differs(mine.clone()), "nothing");
        assert_eq!(differs(config("STRIKE2", None)), "line");
        assert_eq!(differs(config("STRIKE", Some(0))), "line");
        assert_eq!(differs(GuardConfig { pulse_max_ms: 10_001, ..mine.clone() }), "pulse_max_ms");
        assert_eq!(differs(GuardConfig { window_max_ms: 1, ..mine.clone() }), "window_max_ms");
        assert_eq!(differs(GuardConfig { heartbeat_timeout_ms: 1, ..mine.clone() }), "heartbeat_timeout_ms");
        assert_eq!(differs(GuardConfig { lock: LockType::FailSafe, ..mine.clone() }), "lock");
        assert_eq!(differs(GuardConfig { egress: None, ..mine.clone() }), "egress");
        let file = LineConfig::Recording { file: "edges".into() };
        assert_eq!(differs(GuardConfig { line: file, ..mine.clone() }), "line.kind");
    }
}
