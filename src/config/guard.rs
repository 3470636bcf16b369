//! `guard.toml`: the lock's own file, root-owned. `latchd` reads it too and never writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The lock: its line, its polarity, its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardConfig {
    /// The line that moves the strike.
    pub line: LineConfig,
    /// How the lock fails: `fail-secure` needs power to open, `fail-safe` needs power to stay locked.
    pub lock: LockType,
    /// The installer's statement that egress and fire release are hard-wired past this device. A real line needs it (door-rules 7).
    #[serde(default)]
    pub egress: Option<Egress>,
    /// Longest pulse the guard will ever give, in milliseconds (100 to 60000).
    #[serde(default = "default_pulse_max")]
    pub pulse_max_ms: u32,
    /// Longest window an arm may ask for, in milliseconds (1000 to 30000).
    #[serde(default = "default_window_max")]
    pub window_max_ms: u32,
    /// Without a heartbeat for this long while armed or pulsing the guard relocks, in milliseconds (40 to 100).
    #[serde(default = "default_heartbeat")]
    pub heartbeat_timeout_ms: u32,
    /// The user whose process may speak to the guard; by default the guard's own user.
    #[serde(default)]
    pub peer_user: Option<String>,
}

fn default_pulse_max() -> u32 {
    10_000
}
fn default_window_max() -> u32 {
    15_000
}
fn default_heartbeat() -> u32 {
    80
}

/// A GPIO line of the kernel's character device, or a file that records edges for machines without GPIO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LineConfig {
    /// A line of a GPIO chip.
    Gpio {
        /// The line's name, as `gpioinfo` shows it. Either this or `chip` and `offset`.
        #[serde(default)]
        name: Option<String>,
        /// The chip's label or path.
        #[serde(default)]
        chip: Option<String>,
        /// The line's offset on the chip.
        #[serde(default)]
        offset: Option<u32>,
        /// The line is active when low.
        #[serde(default)]
        active_low: bool,
        /// Bias of the line.
        #[serde(default)]
        bias: Bias,
        /// Drive of the line.
        #[serde(default)]
        drive: Drive,
    },
    /// A file of timestamped edges. Moves no strike: for demonstration and tests.
    Recording {
        /// The file the edges are appended to.
        file: PathBuf,
    },
}

/// How the lock behaves without power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LockType {
    /// Power opens (most strikes).
    FailSecure,
    /// Power holds shut (magnets): a power loss releases the door.
    FailSafe,
}

/// How people get out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// By wires that do not pass through this device.
    HardWired,
}

/// Pull resistor of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// Leave as it is.
    #[default]
    AsIs,
    /// Pull up.
    PullUp,
    /// Pull down.
    PullDown,
    /// No pull.
    Disabled,
}

/// Drive of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// Drives both levels.
    #[default]
    PushPull,
    /// Drives low only.
    OpenDrain,
    /// Drives high only.
    OpenSource,
}

mod load;

pub use load::GuardConfigError;
