//! 64-byte frames, little-endian, no allocation, no panic on any input.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0 | version, [`VERSION`] |
//! | 1 | kind; requests below 0x80, reports from 0x80 |
//! | 2..4 | reserved, zero |
//! | 4..8 | sequence number |
//! | 8..24 | attempt id, zero where there is none |
//! | 24..64 | payload of the kind; what it does not use is zero |

use super::effective::{Effective, LineKind};
use super::protocol::{
    Activity, DisarmCause, Hello, LineState, LockCause, NO_ATTEMPT, Refusal, Report, Request,
};
use crate::access::AttemptId;
use crate::clock::BootTime;
use crate::config::guard::{Egress, LockType};

/// Length of every frame in bytes.
pub const FRAME_LEN: usize = 64;
/// The version both sides must speak.
pub const VERSION: u8 = 1;

/// One frame as it travels.
pub type Frame = [u8; FRAME_LEN];

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not 64 bytes.
    #[error("frame of {0} bytes, expected 64")]
    Length(usize),
    /// The other side speaks another version.
    #[error("frame of version {0}, expected 1")]
    Version(u8),
    /// No such kind in this direction.
    #[error("unknown frame kind {0:#04x}")]
    Kind(u8),
    /// A reserved or unused byte is set.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// A field holds what it cannot.
    #[error("impossible value in field {0}")]
    Field(&'static str),
}

impl FrameError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Version(_) => "install latchd and latchd-guard of the same release and restart both",
            _ => "only latchd may speak to the guard; find out which process connected",
        }
    }
}

struct Writer {
    frame: Frame,
    at: usize,
}

impl Writer {
    fn new(kind: u8, sequence: u32, attempt: AttemptId) -> Self {
        let mut writer = Self { frame: [0; FRAME_LEN], at: 0 };
        writer.put(&[VERSION, kind, 0, 0]);
        writer.put(&sequence.to_le_bytes());
        writer.put(&attempt.0);
        writer
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(place) = self.frame.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
    }

    fn u8(mut self, value: u8) -> Self {
        self.put(&[value]);
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.put(&value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.put(&value.to_le_bytes());
        self
    }

    fn time(self, value: BootTime) -> Self {
        self.u64(value.as_micros())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(FrameError::Field("payload"))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<BootTime, FrameError> {
        self.u64().map(BootTime::from_micros)
    }

    fn end(&self) -> Result<(), FrameError> {
        if self.rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(FrameError::Reserved) }
    }
}

/// Kind, sequence number, attempt, payload.
fn open(bytes: &[u8]) -> Result<(u8, u32, AttemptId, Reader<'_>), FrameError> {
    if bytes.len() != FRAME_LEN {
        return Err(FrameError::Length(bytes.len()));
    }
    let mut reader = Reader { rest: bytes };
    let [version, kind, low, high] = reader.bytes()?;
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if low != 0 || high != 0 {
        return Err(FrameError::Reserved);
    }
    let sequence = reader.u32()?;
    let attempt = AttemptId(reader.bytes()?);
    Ok((kind, sequence, attempt, reader))
}

fn some(attempt: AttemptId) -> Result<AttemptId, FrameError> {
    if attempt == NO_ATTEMPT { Err(FrameError::Field("attempt")) } else { Ok(attempt) }
}

fn none(attempt: AttemptId) -> Result<(), FrameError> {
    if attempt == NO_ATTEMPT { Ok(()) } else { Err(FrameError::Reserved) }
}

fn at_least_one(value: u32, field: &'static str) -> Result<u32, FrameError> {
    if value == 0 { Err(FrameError::Field(field)) } else { Ok(value) }
}

const HELLO: u8 = 0x01;
const ARM: u8 = 0x02;
const GRANT: u8 = 0x03;
const DISARM: u8 = 0x04;
const LOCK: u8 = 0x05;
const HEARTBEAT: u8 = 0x06;
const STATUS: u8 = 0x07;

/// A request as a frame.
pub fn encode_request(sequence: u32, request: &Request) -> Frame {
    match *request {
        Request::Hello => Writer::new(HELLO, sequence, NO_ATTEMPT),
        Request::Arm { attempt, window_ms } => Writer::new(ARM, sequence, attempt).u32(window_ms),
        Request::Grant { attempt, pulse_ms } => Writer::new(GRANT, sequence, attempt).u32(pulse_ms),
        Request::Disarm { attempt } => Writer::new(DISARM, sequence, attempt),
        Request::Lock => Writer::new(LOCK, sequence, NO_ATTEMPT),
        Request::Heartbeat => Writer::new(HEARTBEAT, sequence, NO_ATTEMPT),
        Request::Status => Writer::new(STATUS, sequence, NO_ATTEMPT),
    }
    .frame
}

/// The request in `bytes` and its sequence number.
///
/// # Errors
/// Anything that [`encode_request`] would not have written for a valid request.
pub fn decode_request(bytes: &[u8]) -> Result<(u32, Request), FrameError> {
    let (kind, sequence, attempt, mut payload) = open(bytes)?;
    let request = match kind {
        ARM => Request::Arm { attempt: some(attempt)?, window_ms: at_least_one(payload.u32()?, "window")? },
        GRANT => Request::Grant { attempt: some(attempt)?, pulse_ms: at_least_one(payload.u32()?, "pulse")? },
        DISARM => Request::Disarm { attempt: some(attempt)? },
        HELLO | LOCK | HEARTBEAT | STATUS => {
            none(attempt)?;
            match kind {
                HELLO => Request::Hello,
                LOCK => Request::Lock,
                HEARTBEAT => Request::Heartbeat,
                _ => Request::Status,
            }
        }
        other => return Err(FrameError::Kind(other)),
    };
    payload.end()?;
    Ok((sequence, request))
}

const R_HELLO: u8 = 0x81;
const R_LINE_HELD: u8 = 0x82;
const R_LINE_LOST: u8 = 0x83;
const R_ARMED: u8 = 0x84;
const R_DISARMED: u8 = 0x85;
const R_UNLOCKED: u8 = 0x86;
const R_LOCKED: u8 = 0x87;
const R_REFUSED: u8 = 0x88;
const R_STATUS: u8 = 0x89;

/// A report as a frame.
pub fn encode_report(sequence: u32, report: &Report) -> Frame {
    match *report {
        Report::Hello(hello) => write_hello(sequence, &hello),
        Report::LineHeld => Writer::new(R_LINE_HELD, sequence, NO_ATTEMPT),
        Report::LineLost { attempt } => Writer::new(R_LINE_LOST, sequence, attempt),
        Report::Armed { attempt, deadline } => Writer::new(R_ARMED, sequence, attempt).time(deadline),
        Report::Disarmed { attempt, cause } => Writer::new(R_DISARMED, sequence, attempt).u8(cause.code()),
        Report::Unlocked { attempt, at } => Writer::new(R_UNLOCKED, sequence, attempt).time(at),
        Report::Locked { attempt, at, cause } => {
            Writer::new(R_LOCKED, sequence, attempt).time(at).u8(cause.code())
        }
        Report::Refused { attempt, reason } => Writer::new(R_REFUSED, sequence, attempt).u8(reason.code()),
        Report::Status { line, activity, until } => {
            Writer::new(R_STATUS, sequence, NO_ATTEMPT).time(until).u8(line.code()).u8(activity.code())
        }
    }
    .frame
}

fn write_hello(sequence: u32, hello: &Hello) -> Writer {
    let effective = &hello.effective;
    Writer::new(R_HELLO, sequence, NO_ATTEMPT)
        .u32(effective.pulse_max_ms)
        .u32(effective.window_max_ms)
        .u32(effective.heartbeat_timeout_ms)
        .u64(effective.identity)
        .u32(hello.pid)
        .u8(u8::from(effective.active_low))
        .u8(match effective.lock {
            LockType::FailSecure => 1,
            LockType::FailSafe => 2,
        })
        .u8(effective.kind.code())
        .u8(match effective.egress {
            None => 0,
            Some(Egress::HardWired) => 1,
        })
        .u8(hello.line.code())
}

fn read_hello(payload: &mut Reader<'_>) -> Result<Hello, FrameError> {
    let (pulse_max_ms, window_max_ms) = (payload.u32()?, payload.u32()?);
    let heartbeat_timeout_ms = payload.u32()?;
    let identity = payload.u64()?;
    let pid = payload.u32()?;
    let active_low = match payload.u8()? {
        0 => false,
        1 => true,
        _ => return Err(FrameError::Field("active_low")),
    };
    let lock = match payload.u8()? {
        1 => LockType::FailSecure,
        2 => LockType::FailSafe,
        _ => return Err(FrameError::Field("lock")),
    };
    let kind = LineKind::from_code(payload.u8()?).ok_or(FrameError::Field("line kind"))?;
    let egress = match payload.u8()? {
        0 => None,
        1 => Some(Egress::HardWired),
        _ => return Err(FrameError::Field("egress")),
    };
    let line = LineState::from_code(payload.u8()?).ok_or(FrameError::Field("line"))?;
    let effective = Effective {
        pulse_max_ms,
        window_max_ms,
        heartbeat_timeout_ms,
        active_low,
        lock,
        kind,
        identity,
        egress,
    };
    Ok(Hello { effective, line, pid })
}

/// The report in `bytes` and the sequence number it answers.
///
/// # Errors
/// Anything that [`encode_report`] would not have written.
pub fn decode_report(bytes: &[u8]) -> Result<(u32, Report), FrameError> {
    let (kind, sequence, attempt, mut payload) = open(bytes)?;
    let report = match kind {
        R_HELLO => {
            none(attempt)?;
            Report::Hello(read_hello(&mut payload)?)
        }
        R_LINE_HELD => {
            none(attempt)?;
            Report::LineHeld
        }
        R_LINE_LOST => Report::LineLost { attempt },
        R_ARMED => Report::Armed { attempt: some(attempt)?, deadline: payload.time()? },
        R_DISARMED => {
            let cause = DisarmCause::from_code(payload.u8()?).ok_or(FrameError::Field("cause"))?;
            Report::Disarmed { attempt: some(attempt)?, cause }
        }
        R_UNLOCKED => Report::Unlocked { attempt: some(attempt)?, at: payload.time()? },
        R_LOCKED => {
            let at = payload.time()?;
            let cause = LockCause::from_code(payload.u8()?).ok_or(FrameError::Field("cause"))?;
            Report::Locked { attempt, at, cause }
        }
        R_REFUSED => {
            let reason = Refusal::from_code(payload.u8()?).ok_or(FrameError::Field("reason"))?;
            Report::Refused { attempt, reason }
        }
        R_STATUS => {
            none(attempt)?;
            let until = payload.time()?;
            let line = LineState::from_code(payload.u8()?).ok_or(FrameError::Field("line"))?;
            let activity = Activity::from_code(payload.u8()?).ok_or(FrameError::Field("activity"))?;
            Report::Status { line, activity, until }
        }
        other => return Err(FrameError::Kind(other)),
    };
    payload.end()?;
    Ok((sequence, report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempt() -> impl Strategy<Value = AttemptId> {
        any::<[u8; 16]>().prop_filter("not the empty id", |id| *id != [0; 16]).prop_map(AttemptId)
    }

    fn time() -> impl Strategy<Value = BootTime> {
        any::<u64>().prop_map(BootTime::from_micros)
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            Just(Request::Hello),
            (attempt(), 1..u32::MAX).prop_map(|(attempt, window_ms)| Request::Arm { attempt, window_ms }),
            (attempt(), 1..u32::MAX).prop_map(|(attempt, pulse_ms)| Request::Grant { attempt, pulse_ms }),
            attempt().prop_map(|attempt| Request::Disarm { attempt }),
            Just(Request::Lock),
            Just(Request::Heartbeat),
            Just(Request::Status),
        ]
    }

    fn hello() -> impl Strategy<Value = Report> {
        (any::<[u32; 4]>(), any::<u64>(), any::<[bool; 5]>()).prop_map(|(n, identity, b)| {
            let effective = Effective {
                pulse_max_ms: n[0],
                window_max_ms: n[1],
                heartbeat_timeout_ms: n[2],
                active_low: b[0],
                lock: if b[1] { LockType::FailSafe } else { LockType::FailSecure },
                kind: if b[2] { LineKind::Gpio } else { LineKind::Recording },
                identity,
                egress: b[3].then_some(Egress::HardWired),
            };
            let line = if b[4] { LineState::Held } else { LineState::NotHeld };
            Report::Hello(Hello { effective, line, pid: n[3] })
        })
    }

    fn report() -> impl Strategy<Value = Report> {
        let cause = prop::sample::select(LockCause::ALL);
        let disarm = prop::sample::select(DisarmCause::ALL);
        let reason = prop::sample::select(Refusal::ALL);
        let status = (prop::sample::select(LineState::ALL), prop::sample::select(Activity::ALL), time());
        prop_oneof![
            hello(),
            Just(Report::LineHeld),
            any::<[u8; 16]>().prop_map(|id| Report::LineLost { attempt: AttemptId(id) }),
            (attempt(), time()).prop_map(|(attempt, deadline)| Report::Armed { attempt, deadline }),
            (attempt(), disarm).prop_map(|(attempt, cause)| Report::Disarmed { attempt, cause }),
            (attempt(), time()).prop_map(|(attempt, at)| Report::Unlocked { attempt, at }),
            (any::<[u8; 16]>(), time(), cause).prop_map(|(id, at, cause)| Report::Locked {
                attempt: AttemptId(id),
                at,
                cause
            }),
            (any::<[u8; 16]>(), reason)
                .prop_map(|(id, reason)| Report::Refused { attempt: AttemptId(id), reason }),
            status.prop_map(|(line, activity, until)| Report::Status { line, activity, until }),
        ]
    }

    proptest! {
        #[test]
        fn ok_a_request_survives_the_wire(sequence: u32, request in request()) {
            prop_assert_eq!(decode_request(&encode_request(sequence, &request)), Ok((sequence, request)));
        }

        #[test]
        fn ok_a_report_survives_the_wire(sequence: u32, report in report()) {
            prop_assert_eq!(decode_report(&encode_report(sequence, &report)), Ok((sequence, report)));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(mut bytes in prop::array::uniform32(any::<u8>()), kind: u8) {
            // Mostly-valid frames: version and reserved bytes as they must be, the rest arbitrary.
            (bytes[0], bytes[1], bytes[2], bytes[3]) = (VERSION, kind, 0, 0);
            let mut frame = [0; FRAME_LEN];
            frame[..32].copy_from_slice(&bytes);
            if let Ok((sequence, request)) = decode_request(&frame) {
                prop_assert_eq!(encode_request(sequence, &request), frame);
            }
            if let Ok((sequence, report)) = decode_report(&frame) {
                prop_assert_eq!(encode_report(sequence, &report), frame);
            }
        }

        #[test]
        fn err_arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (request, report) = (decode_request(&bytes), decode_report(&bytes));
            if bytes.len() != FRAME_LEN {
                prop_assert_eq!(request, Err(FrameError::Length(bytes.len())));
                prop_assert_eq!(report, Err(FrameError::Length(bytes.len())));
            }
        }

        #[test]
        fn err_every_stray_byte_after_the_payload_is_seen(at in 28..FRAME_LEN, value in 1..=u8::MAX) {
            let arm = Request::Arm { attempt: AttemptId([7; 16]), window_ms: 15_000 };
            let mut frame = encode_request(1, &arm);
            frame[at] = value;
            prop_assert_eq!(decode_request(&frame), Err(FrameError::Reserved));
        }
    }

    #[test]
    fn err_each_defect_has_its_name() {
        let grant = encode_request(9, &Request::Grant { attempt: AttemptId([7; 16]), pulse_ms: 500 });
        let changed = |at: usize, value: u8| {
            let mut frame = grant;
            frame[at] = value;
            decode_request(&frame)
        };
        assert_eq!(changed(0, 2), Err(FrameError::Version(2)));
        assert_eq!(changed(1, 0x77), Err(FrameError::Kind(0x77)));
        assert_eq!(changed(1, R_UNLOCKED), Err(FrameError::Kind(R_UNLOCKED)));
        assert_eq!(changed(2, 1), Err(FrameError::Reserved));
        assert_eq!(decode_request(&grant[..63]), Err(FrameError::Length(63)));
        let no_pulse = encode_request(9, &Request::Grant { attempt: AttemptId([7; 16]), pulse_ms: 0 });
        assert_eq!(decode_request(&no_pulse), Err(FrameError::Field("pulse")));
        let nobody = encode_request(9, &Request::Disarm { attempt: NO_ATTEMPT });
        assert_eq!(decode_request(&nobody), Err(FrameError::Field("attempt")));
    }
}
