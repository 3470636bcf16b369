use super::*;
use crate::clock::{BootTime, ManualClock, Wall};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

const EIO: i32 = 5;
const ENODEV: i32 = 19;

/// What the scripted driver does at one wake-up.
#[derive(Debug, Clone)]
enum Act {
    /// Fills a queued buffer with this byte.
    Fill(u8),
    Flagged,
    Empty,
    /// Claims more bytes than the buffer has.
    TooMuch,
    /// Gives back an index of its own invention.
    Invent(u32),
    Fail(i32),
    /// Wakes with nothing.
    Nothing,
    PollError,
    Late,
}

struct Scripted {
    clock: Arc<ManualClock>,
    acts: VecDeque<Act>,
    queued: VecDeque<u32>,
    memory: Vec<[u8; 4]>,
    ready: VecDeque<io::Result<Filled>>,
    sequence: u32,
    log: Arc<Mutex<Vec<String>>>,
    /// Wake-ups whose acts are seen in one go.
    burst: usize,
}

fn errno<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}

impl Scripted {
    fn act(&mut self, act: Act) {
        let filled = |index, bytes_used, damaged, sequence| Filled { index, bytes_used, damaged, sequence };
        self.sequence += 1;
        let sequence = self.sequence;
        match act {
            Act::Invent(index) => self.ready.push_back(Ok(filled(index, 4, false, sequence))),
            Act::Fail(code) => self.ready.push_back(errno(code)),
            Act::Nothing | Act::PollError | Act::Late => {}
            Act::Fill(_) | Act::Flagged | Act::Empty | Act::TooMuch => {
                let Some(index) = self.queued.pop_front() else { return };
                let (used, damaged) = match act {
                    Act::Flagged => (4, true),
                    Act::Empty => (0, false),
                    Act::TooMuch => (5, false),
                    _ => (4, false),
                };
                if let Act::Fill(byte) = act {
                    self.memory[index as usize] = [byte; 4];
                }
                self.ready.push_back(Ok(filled(index, used, damaged, sequence)));
            }
        }
    }
}

impl Driver for Scripted {
    fn count(&self) -> u32 {
        self.memory.len() as u32
    }
    fn queue(&mut self, index: u32) -> io::Result<()> {
        assert!(!self.queued.contains(&index), "buffer {index} queued twice");
        assert!((index as usize) < self.memory.len());
        self.queued.push_back(index);
        Ok(())
    }
    fn dequeue(&mut self) -> io::Result<Option<Filled>> {
        let given = self.ready.pop_front().transpose()?;
        // An invented index that the driver does have cannot be told from an honest answer: it is given.
        self.queued.retain(|queued| given.is_none_or(|given| given.index != *queued));
        Ok(given)
    }
    fn wait(&mut self, at_most: Duration) -> io::Result<Woken> {
        if !self.ready.is_empty() {
            return Ok(Woken::Ready);
        }
        for _ in 0..self.burst {
            match self.acts.pop_front() {
                None | Some(Act::Late) => {
                    self.clock.advance(at_most);
                    return Ok(Woken::Timeout);
                }
                Some(Act::PollError) => return Ok(Woken::Error),
                Some(act) => self.act(act),
            }
        }
        self.clock.advance(Duration::from_millis(10).min(at_most));
        Ok(Woken::Ready)
    }
    fn start(&mut self) -> io::Result<()> {
        self.log.lock().unwrap().push(format!("start with {}", self.queued.len()));
        Ok(())
    }
    fn stop(&mut self) -> io::Result<()> {
        self.log.lock().unwrap().push("stop".into());
        self.queued.clear();
        self.ready.clear();
        Ok(())
    }
    fn payload(&self, index: u32, bytes_used: u32) -> Option<&[u8]> {
        assert!(!self.queued.contains(&index), "buffer {index} read while the driver has it");
        self.memory.get(index as usize)?.get(..bytes_used as usize)
    }
}

struct Bench {
    stream: Stream<Scripted>,
    clock: Arc<ManualClock>,
    log: Arc<Mutex<Vec<String>>>,
}

fn bench(acts: impl IntoIterator<Item = Act>, burst: usize) -> Bench {
    let clock = Arc::new(ManualClock::new(BootTime::from_millis(1000), Wall::Unknown));
    let log = Arc::new(Mutex::new(Vec::new()));
    let driver = Scripted {
        clock: clock.clone(),
        acts: acts.into_iter().collect(),
        queued: VecDeque::new(),
        memory: vec![[0; 4]; 3],
        ready: VecDeque::new(),
        sequence: 0,
        log: log.clone(),
        burst,
    };
    Bench { stream: Stream::start(driver).unwrap(), clock, log }
}

impl Bench {
    fn next(&mut self) -> Result<(u8, u32), StreamError> {
        self.next_on(Loan::GiveBack)
    }

    fn next_on(&mut self, loan: Loan) -> Result<(u8, u32), StreamError> {
        self.stream.next(&*self.clock, Duration::from_millis(500), loan, |bytes| {
            if bytes[0] == 0 { Err("a frame of zeros") } else { Ok(bytes[0]) }
        })
    }
}

#[test]
fn frames_come_in_order_and_their_buffers_go_back() {
    let mut bench = bench((1..=20).map(Act::Fill), 1);
    for number in 1..=20u8 {
        assert_eq!(bench.next().unwrap(), (number, u32::from(number)));
    }
    assert!(matches!(bench.next(), Err(StreamError::Timeout)));
    assert_eq!(*bench.log.lock().unwrap(), ["start with 3"]);
}

#[test]
fn a_frame_that_is_kept_stays_ours_until_the_next_is_asked_for() {
    let mut bench = bench((1..=20).map(Act::Fill), 1);
    assert_eq!(bench.stream.lent(), None);
    for number in 1..=20u8 {
        assert_eq!(bench.next_on(Loan::Keep).unwrap().0, number);
        // The scripted driver fails when a buffer is read that it has.
        assert_eq!(bench.stream.lent(), Some(&[number; 4][..]));
    }
    assert!(bench.next_on(Loan::Keep).is_err());
    assert_eq!(bench.stream.lent(), None);
}

#[test]
fn after_a_restart_the_kept_buffer_is_the_drivers_too() {
    let mut bench = bench([Act::Fill(1), Act::Fail(EIO), Act::Fill(4)], 1);
    assert_eq!(bench.next_on(Loan::Keep).unwrap().0, 1);
    assert_eq!(bench.next_on(Loan::Keep).unwrap().0, 4);
    assert_eq!(*bench.log.lock().unwrap(), ["start with 3", "stop", "start with 3"]);
}

#[test]
fn of_frames_that_waited_only_the_newest_is_given() {
    let mut bench = bench([Act::Fill(1), Act::Fill(2), Act::Fill(3), Act::Fill(4)], 3);
    assert_eq!(bench.next().unwrap(), (3, 3));
}

#[test]
fn a_good_frame_wins_over_a_newer_damaged_one() {
    let mut bench = bench([Act::Fill(1), Act::Flagged, Act::Empty], 3);
    assert_eq!(bench.next().unwrap(), (1, 1));
}

#[test]
fn damaged_frames_are_passed_over_and_counted_when_nothing_else_comes() {
    let mut bench = bench([Act::Flagged, Act::Empty, Act::TooMuch, Act::Fill(0), Act::Fill(7)], 1);
    assert_eq!(bench.next().unwrap(), (7, 5));
    let mut bench = self::bench([Act::Flagged, Act::Empty, Act::TooMuch, Act::Fill(0)], 1);
    let error = bench.next().unwrap_err();
    // Told apart.
    assert_eq!(
        error.to_string(),
        "1 flagged by the driver, 1 empty, 2 unreadable, the last: a frame of zeros"
    );
}

#[test]
fn a_timeout_does_not_end_the_stream() {
    let mut bench = bench([Act::Late, Act::Fill(9)], 1);
    assert!(matches!(bench.next(), Err(StreamError::Timeout)));
    assert_eq!(bench.next().unwrap().0, 9);
}

#[test]
fn an_unplugged_camera_is_an_error_at_once() {
    let mut bench = bench([Act::Fill(1), Act::Fail(ENODEV)], 1);
    bench.next().unwrap();
    let before = bench.clock.boot();
    let error = bench.next().unwrap_err();
    assert!(
        matches!(&error, StreamError::Call { source, .. } if source.raw_os_error() == Some(ENODEV)),
        "{error}"
    );
    assert!(bench.clock.boot().since(before) < Duration::from_millis(100));
}

#[test]
fn an_input_error_restarts_the_stream_once() {
    let mut bench = bench([Act::Fail(EIO), Act::Fill(4), Act::Fail(EIO), Act::Fail(EIO)], 1);
    assert_eq!(bench.next().unwrap().0, 4);
    assert_eq!(*bench.log.lock().unwrap(), ["start with 3", "stop", "start with 3"]);
    let error = bench.next().unwrap_err();
    assert!(matches!(&error, StreamError::Call { call: "VIDIOC_DQBUF", .. }), "{error}");
}

#[test]
fn an_index_that_is_not_the_drivers_to_give_is_refused() {
    for act in [Act::Invent(3), Act::Invent(u32::MAX)] {
        let error = bench([act], 1).next().unwrap_err();
        assert!(matches!(&error, StreamError::BadAnswer(_)), "{error}");
    }
    // The same buffer twice in one go: the second time it is ours.
    let error = bench([Act::Fill(1), Act::Invent(0)], 2).next().unwrap_err();
    assert!(matches!(&error, StreamError::BadAnswer(what) if what.contains("twice")), "{error}");
}

#[test]
fn a_driver_that_wakes_for_nothing_does_not_spin_for_ever() {
    let error = bench([Act::PollError], 1).next().unwrap_err();
    assert!(matches!(error, StreamError::BadAnswer(_)), "{error}");
    let mut idle = bench(std::iter::repeat_n(Act::Nothing, 49), 1);
    assert!(matches!(idle.next(), Err(StreamError::Timeout)));
}

#[test]
fn dropping_stops_the_stream() {
    let bench = bench([], 1);
    let log = bench.log.clone();
    drop(bench);
    assert_eq!(log.lock().unwrap().last().map(String::as_str), Some("stop"));
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u8..).prop_map(Act::Fill),
        1 => Just(Act::Fill(0)),
        1 => Just(Act::Flagged),
        1 => Just(Act::Empty),
        1 => Just(Act::TooMuch),
        1 => (0u32..5).prop_map(Act::Invent),
        1 => prop_oneof![Just(EIO), Just(ENODEV), Just(11)].prop_map(Act::Fail),
        1 => Just(Act::Nothing),
        1 => Just(Act::PollError),
        1 => Just(Act::Late),
    ]
}

proptest! {
    // The scripted driver itself asserts that no buffer is queued twice or read while the driver has it.
    #[test]
    fn whatever_the_driver_does_no_buffer_is_in_two_hands(
        acts in prop::collection::vec(any_act(), 0..60), burst in 1usize..4, keep: bool,
    ) {
        let mut bench = bench(acts, burst);
        for _ in 0..60 {
            match bench.next_on(if keep { Loan::Keep } else { Loan::GiveBack }) {
                Ok((byte, _)) => {
                    prop_assert_ne!(byte, 0);
                    prop_assert_eq!(bench.stream.lent().map(|lent| lent[0]), keep.then_some(byte));
                }
                Err(StreamError::Timeout | StreamError::Damaged(_)) => {}
                // The source is dropped after these.
                Err(StreamError::BadAnswer(_) | StreamError::Call { .. }) => break,
            }
        }
    }
}
