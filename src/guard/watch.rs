//! The edges of an input line (a REX button, a door contact), for the day the door is wired. It requests inputs alone:
//! an output that became an input would let go of whatever it drives.

use super::chips::{self, Place};
use super::gpio::{refused, with_bias};
use super::line::LineError;
use crate::config::guard::{Bias, LineConfig};
use gpiocdev::line::{EdgeDetection, EdgeKind, Value};
use gpiocdev::request::{Config, Request};
use std::time::Duration;

/// What `gpioinfo` shows as the holder meanwhile.
pub const WATCH: &str = "latchd-watch";

/// An input line that this process holds.
#[derive(Debug)]
pub struct InputLine {
    request: Request,
    name: String,
}

/// A change of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputEdge {
    /// To active, after `active_low`; otherwise to inactive.
    pub active: bool,
    /// When, on the kernel's monotonic clock, in microseconds.
    pub monotonic_us: u64,
    /// The kernel's count of this line's edges; a gap means that some were lost.
    pub number: u32,
}

impl InputLine {
    /// Requests the line as an input with both edges.
    ///
    /// # Errors
    /// It is absent, ambiguous, busy (with its holder), an output, or refused by the kernel.
    pub fn open(line: &LineConfig) -> Result<Self, LineError> {
        let (place, facts) = chips::look(line)?;
        let LineConfig::Gpio { active_low, bias, .. } = line else {
            // Not reached: a recording has no place.
            return Err(LineError::Gpio { line: place.text, text: "it is a recording".into() });
        };
        if facts.used {
            return Err(LineError::Busy { line: place.text, holder: facts.holder() });
        }
        if facts.output {
            return Err(LineError::Output { line: place.text });
        }
        match Request::from_config(wanted(&place, *active_low, *bias)).with_consumer(WATCH).request() {
            Ok(request) => Ok(Self { request, name: place.text }),
            Err(error) => Err(refused(&error, place)),
        }
    }

    /// How the line is called in texts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is active now.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn is_active(&self) -> Result<bool, LineError> {
        self.request.lone_value().map(|value| value == Value::Active).map_err(|error| self.failed(&error))
    }

    /// Waits for an edge; `None` when none came.
    ///
    /// # Errors
    /// The kernel refused: the chip is gone.
    pub fn next(&self, at_most: Duration) -> Result<Option<InputEdge>, LineError> {
        if !self.request.wait_edge_event(at_most).map_err(|error| self.failed(&error))? {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(|error| self.failed(&error))?;
        Ok(Some(InputEdge {
            active: event.kind == EdgeKind::Rising,
            monotonic_us: event.timestamp_ns / 1000,
            number: event.line_seqno,
        }))
    }

    fn failed(&self, error: &gpiocdev::Error) -> LineError {
        LineError::Gpio { line: self.name.clone(), text: error.to_string() }
    }
}

fn wanted(place: &Place, active_low: bool, bias: Bias) -> Config {
    let mut config = Config::default();
    config.on_chip(&place.chip).with_line(place.offset).as_input();
    if active_low {
        config.as_active_low();
    }
    with_bias(&mut config, bias);
    config.with_edge_detection(EdgeDetection::BothEdges);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpiocdev::line::Direction;

    #[test]
    fn it_asks_for_an_input_and_never_for_a_level() {
        for active_low in [false, true] {
            let place = Place { chip: "/dev/gpiochip9".into(), offset: 4, text: "REX".into() };
            let config = wanted(&place, active_low, Bias::PullUp);
            let line = config.line_config(4).expect("the line is in the request");
            assert_eq!(line.direction, Some(Direction::Input));
            assert_eq!(line.value, None);
            assert_eq!(line.active_low, active_low);
            assert_eq!(line.edge_detection, Some(EdgeDetection::BothEdges));
            assert_eq!(line.bias, Some(gpiocdev::line::Bias::PullUp));
        }
    }
}
