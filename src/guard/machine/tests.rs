use super::*;

const A: AttemptId = AttemptId([0xa; 16]);
const B: AttemptId = AttemptId([0xb; 16]);

const LIMITS: Limits = Limits {
    pulse_max: Duration::from_secs(10),
    window_max: Duration::from_secs(15),
    heartbeat_timeout: Duration::from_millis(80),
};

/// A machine with a line that obeys, and what it did.
struct Bench {
    machine: Machine,
    edges: Vec<(u64, Edge)>,
    reports: Vec<(u32, Report)>,
    sequence: u32,
}

fn ms(millis: u64) -> BootTime {
    BootTime::from_millis(millis)
}

impl Bench {
    /// Line held, peer greeted, at time 0.
    fn new() -> Self {
        let machine = Machine::new(LIMITS);
        let mut bench = Self { machine, edges: Vec::new(), reports: Vec::new(), sequence: 0 };
        bench.feed(0, Input::LineHeld);
        bench.ask(0, Request::Hello);
        bench.reports.clear();
        bench
    }

    fn feed(&mut self, at: u64, input: Input) {
        let mut out = self.machine.apply(ms(at), input);
        loop {
            self.reports.extend(out.reports());
            let Some(edge) = out.edge else { return };
            self.edges.push((at, edge));
            let outcome = match edge {
                Edge::Unlock => Input::EdgeMade(ms(at)),
                Edge::Lock => Input::Locked(ms(at)),
            };
            out = self.machine.apply(ms(at), outcome);
        }
    }

    /// Sends a request, gives the last report it led to.
    fn ask(&mut self, at: u64, request: Request) -> Option<Report> {
        self.sequence += 1;
        let before = self.reports.len();
        self.feed(at, Input::Request(self.sequence, request));
        self.reports.get(before..).and_then(|new| new.last()).map(|(_, report)| *report)
    }

    fn arm(&mut self, at: u64, attempt: AttemptId, window_ms: u32) -> Option<Report> {
        self.ask(at, Request::Arm { attempt, window_ms })
    }

    fn grant(&mut self, at: u64, attempt: AttemptId, pulse_ms: u32) -> Option<Report> {
        self.ask(at, Request::Grant { attempt, pulse_ms })
    }

    /// Time goes on from `from` to `to` with a heartbeat and a tick every 20 ms.
    fn live(&mut self, from: u64, to: u64) {
        for at in (from..=to).step_by(20) {
            self.ask(at, Request::Heartbeat);
            self.feed(at, Input::Tick);
        }
    }
}

fn refused(attempt: AttemptId, reason: Refusal) -> Option<Report> {
    Some(Report::Refused { attempt, reason })
}

#[test]
fn arm_and_grant_make_one_pulse_of_its_length() {
    let mut bench = Bench::new();
    assert_eq!(bench.arm(100, A, 15_000), Some(Report::Armed { attempt: A, deadline: ms(15_100) }));
    assert_eq!(bench.grant(120, A, 3_000), Some(Report::Unlocked { attempt: A, at: ms(120) }));
    assert_eq!(bench.reports.last().map(|(sequence, _)| *sequence), Some(3));
    bench.live(140, 3_080);
    assert_eq!(bench.machine.deadline(), Some(ms(3_120)));
    bench.live(3_100, 5_000);
    assert_eq!(bench.edges, [(120, Edge::Unlock), (3_120, Edge::Lock)]);
    let locked = Report::Locked { attempt: A, at: ms(3_120), cause: LockCause::PulseEnd };
    assert_eq!(bench.reports.last(), Some(&(3, locked)));
    assert!(!bench.machine.pulsing());
    assert_eq!(bench.machine.deadline(), None, "an idle machine wakes nobody");
}

/// door-rules 1: T-0.1 s, T, T+0.1 s, for several windows and with and without ticks in between.
#[test]
fn a_grant_is_good_before_the_window_ends_and_expired_from_then_on() {
    for window in [1_000_u32, 5_000, 15_000] {
        for (offset, good) in [(-100_i64, true), (-1, true), (0, false), (100, false), (100_000, false)] {
            for ticks in [false, true] {
                let mut bench = Bench::new();
                bench.arm(0, A, window);
                let at = u64::try_from(i64::from(window) + offset).unwrap();
                if ticks {
                    bench.live(0, at.saturating_sub(1));
                }
                let answer = bench.grant(at, A, 500);
                let case = format!("window {window} offset {offset} ticks {ticks}");
                if good {
                    assert_eq!(answer, Some(Report::Unlocked { attempt: A, at: ms(at) }), "{case}");
                } else {
                    assert_eq!(answer, refused(A, Refusal::Expired), "{case}");
                    assert_eq!(bench.edges, [], "{case}");
                }
            }
        }
    }
}

#[test]
fn the_end_of_a_window_is_reported_without_being_asked() {
    let mut bench = Bench::new();
    bench.arm(0, A, 1_000);
    bench.live(0, 1_000);
    let gone = Report::Disarmed { attempt: A, cause: DisarmCause::Expired };
    assert_eq!(bench.reports.last(), Some(&(2, gone)));
}

#[test]
fn a_newer_arm_supersedes_and_nothing_extends() {
    let mut bench = Bench::new();
    bench.arm(0, A, 1_000);
    bench.arm(10, B, 1_000);
    let gone = Report::Disarmed { attempt: A, cause: DisarmCause::Superseded };
    assert!(bench.reports.contains(&(2, gone)));
    assert_eq!(bench.grant(20, A, 500), refused(A, Refusal::Superseded));
    assert_eq!(bench.arm(30, B, 15_000), refused(B, Refusal::AlreadyUsed), "arming again would extend");
    assert_eq!(bench.arm(30, A, 15_000), refused(A, Refusal::AlreadyUsed), "once per attempt");
    bench.live(40, 980);
    assert_eq!(bench.grant(1_010, B, 500), refused(B, Refusal::Expired));
    assert_eq!(bench.edges, []);
}

/// door-rules 3: one verdict delivered 100 times.
#[test]
fn a_hundred_grants_make_one_pulse() {
    let mut bench = Bench::new();
    bench.arm(0, A, 15_000);
    bench.grant(0, A, 100);
    for n in 1..100 {
        bench.grant(n * 10, A, 100);
    }
    let again = Report::Refused { attempt: A, reason: Refusal::AlreadyUsed };
    assert_eq!(bench.reports.iter().filter(|(_, report)| *report == again).count(), 99);
    assert_eq!(bench.edges, [(0, Edge::Unlock), (100, Edge::Lock)]);
}

#[test]
fn what_was_never_armed_makes_no_edge() {
    let mut bench = Bench::new();
    assert_eq!(bench.grant(0, A, 500), refused(A, Refusal::NotArmed));
    bench.arm(0, A, 1_000);
    assert_eq!(bench.grant(0, B, 500), refused(B, Refusal::NotArmed));
    assert_eq!(bench.edges, []);
    assert!(matches!(bench.grant(1, A, 500), Some(Report::Unlocked { .. })), "A's arm was not touched");
}

#[test]
fn ceilings_hold() {
    let mut bench = Bench::new();
    assert_eq!(bench.arm(0, A, 15_001), refused(A, Refusal::WindowTooLong));
    assert!(matches!(bench.arm(0, A, 15_000), Some(Report::Armed { .. })));
    assert_eq!(bench.grant(0, A, 3_600_000), refused(A, Refusal::PulseTooLong));
    assert_eq!(bench.grant(1, A, 500), refused(A, Refusal::AlreadyUsed), "its arm is gone");
    bench.arm(2, B, 15_000);
    assert!(matches!(bench.grant(3, B, 10_000), Some(Report::Unlocked { .. })));
    assert_eq!(bench.edges, [(3, Edge::Unlock)]);
}

#[test]
fn a_grant_during_a_pulse_neither_extends_it_nor_uses_its_arm() {
    let mut bench = Bench::new();
    bench.arm(0, A, 15_000);
    bench.grant(0, A, 1_000);
    bench.arm(10, B, 15_000);
    assert_eq!(bench.grant(20, B, 5_000), refused(B, Refusal::Busy));
    bench.live(40, 1_000);
    assert_eq!(bench.edges, [(0, Edge::Unlock), (1_000, Edge::Lock)]);
    assert!(matches!(bench.grant(1_010, B, 500), Some(Report::Unlocked { .. })));
}

/// The second of two people is not sent away because the first one's door is still open: the arm waits, and its window
/// is what ends it.
#[test]
fn an_arm_waits_for_the_end_of_another_attempts_pulse() {
    for (window, good) in [(15_000, true), (901, true), (900, false), (500, false)] {
        let mut bench = Bench::new();
        bench.arm(0, A, 15_000);
        bench.grant(0, A, 1_000);
        bench.arm(100, B, window);
        for at in [120, 240, 360] {
            assert_eq!(bench.grant(at, B, 500), refused(B, Refusal::Busy), "window {window}");
        }
        bench.live(380, 980);
        bench.feed(1_000, Input::Tick);
        let locked = Report::Locked { attempt: A, at: ms(1_000), cause: LockCause::PulseEnd };
        assert!(bench.reports.contains(&(3, locked)), "nothing extended it, window {window}");
        let answer = bench.grant(1_000, B, 500);
        let again = bench.grant(1_001, B, 500);
        if good {
            assert_eq!(answer, Some(Report::Unlocked { attempt: B, at: ms(1_000) }), "window {window}");
            assert_eq!(again, refused(B, Refusal::AlreadyUsed));
        } else {
            assert_eq!((answer, again), (refused(B, Refusal::Expired), refused(B, Refusal::Expired)));
            assert_eq!(bench.edges, [(0, Edge::Unlock), (1_000, Edge::Lock)], "window {window}");
        }
    }
}

/// door-rules 5: a silent peer.
#[test]
fn a_late_heartbeat_locks_and_disarms() {
    for (silence, kept) in [(79, true), (80, false), (81, false), (10_000, false)] {
        let mut bench = Bench::new();
        bench.arm(0, A, 15_000);
        bench.grant(0, A, 10_000);
        bench.arm(100, B, 15_000);
        bench.live(100, 200);
        bench.feed(200 + silence, Input::Tick);
        assert_eq!(bench.machine.pulsing(), kept, "silence {silence}");
        assert_eq!(bench.edges.len(), if kept { 1 } else { 2 }, "silence {silence}");
        if !kept && silence < 9_000 {
            let lost = Report::Locked { attempt: A, at: ms(200 + silence), cause: LockCause::HeartbeatLost };
            assert!(bench.reports.contains(&(3, lost)));
            assert_eq!(bench.grant(300, B, 500), refused(B, Refusal::Disarmed));
        }
    }
}

#[test]
fn the_heartbeat_is_judged_by_a_tick_only() {
    let mut bench = Bench::new();
    bench.arm(0, A, 15_000);
    // 500 ms later its frames are found waiting in the socket: it was the guard that was late.
    assert!(matches!(bench.grant(500, A, 1_000), Some(Report::Unlocked { .. })));
}

#[test]
fn an_idle_peer_may_be_silent() {
    let mut bench = Bench::new();
    bench.feed(3_600_000, Input::Tick);
    assert_eq!((bench.edges.len(), bench.reports.len()), (0, 0));
}

#[test]
fn a_hang_up_locks_and_forgets_the_arm_for_good() {
    let mut bench = Bench::new();
    bench.arm(0, A, 15_000);
    bench.grant(0, A, 10_000);
    bench.arm(10, B, 15_000);
    bench.feed(20, Input::HangUp);
    assert_eq!(bench.edges, [(0, Edge::Unlock), (20, Edge::Lock)]);
    assert_eq!(bench.grant(30, B, 500), refused(B, Refusal::NoHello));
    bench.ask(40, Request::Hello);
    assert_eq!(bench.grant(50, B, 500), refused(B, Refusal::Disarmed));
    assert_eq!(bench.arm(60, B, 500), refused(B, Refusal::AlreadyUsed));
}

#[test]
fn lock_ends_a_pulse_and_any_arm() {
    let mut bench = Bench::new();
    bench.arm(0, A, 15_000);
    bench.grant(0, A, 10_000);
    bench.arm(10, B, 15_000);
    let locked = Report::Locked { attempt: A, at: ms(20), cause: LockCause::Command };
    assert_eq!(bench.ask(20, Request::Lock), Some(locked));
    assert_eq!(bench.grant(30, B, 500), refused(B, Refusal::Disarmed));
    let idle = Report::Locked { attempt: NO_ATTEMPT, at: ms(40), cause: LockCause::Command };
    assert_eq!(bench.ask(40, Request::Lock), Some(idle));
    assert_eq!(bench.edges, [(0, Edge::Unlock), (20, Edge::Lock)]);
}

#[test]
fn disarm_touches_its_own_attempt_only() {
    let mut bench = Bench::new();
    bench.arm(0, A, 15_000);
    assert_eq!(bench.ask(1, Request::Disarm { attempt: B }), refused(B, Refusal::NotArmed));
    let gone = Report::Disarmed { attempt: A, cause: DisarmCause::Command };
    assert_eq!(bench.ask(2, Request::Disarm { attempt: A }), Some(gone));
    assert_eq!(bench.grant(3, A, 500), refused(A, Refusal::Disarmed));
}

#[test]
fn without_the_line_nothing_is_armed() {
    let mut machine = Machine::new(LIMITS);
    machine.apply(ms(0), Input::Request(1, Request::Hello));
    let out = machine.apply(ms(0), Input::Request(2, Request::Arm { attempt: A, window_ms: 1_000 }));
    let answers: Vec<_> = out.reports().collect();
    assert_eq!(answers, [(2, Report::Refused { attempt: A, reason: Refusal::LineNotHeld })]);
}

#[test]
fn without_a_hello_nothing_is_done() {
    let mut machine = Machine::new(LIMITS);
    machine.apply(ms(0), Input::LineHeld);
    let arm = Request::Arm { attempt: A, window_ms: 1_000 };
    for request in [arm, Request::Grant { attempt: A, pulse_ms: 1 }, Request::Lock, Request::Status] {
        let out = machine.apply(ms(0), Input::Request(7, request));
        assert!(out.edge.is_none());
        let attempt = attempt_of(&request);
        let answers: Vec<_> = out.reports().collect();
        assert_eq!(answers, [(7, Report::Refused { attempt, reason: Refusal::NoHello })]);
    }
}

fn opening() -> Machine {
    let mut machine = Machine::new(LIMITS);
    machine.apply(ms(0), Input::LineHeld);
    machine.apply(ms(0), Input::Request(1, Request::Hello));
    machine.apply(ms(0), Input::Request(2, Request::Arm { attempt: A, window_ms: 1_000 }));
    let out = machine.apply(ms(0), Input::Request(3, Request::Grant { attempt: A, pulse_ms: 500 }));
    assert_eq!((out.edge, out.reports().count()), (Some(Edge::Unlock), 0), "nothing is confirmed yet");
    machine
}

#[test]
fn an_edge_that_fails_is_refused_and_taken_back() {
    let mut machine = opening();
    let out = machine.apply(ms(1), Input::EdgeFailed);
    assert_eq!(out.edge, Some(Edge::Lock));
    assert_eq!(out.reports().next(), Some((3, Report::Refused { attempt: A, reason: Refusal::LineFailed })));
    let out = machine.apply(ms(2), Input::Locked(ms(2)));
    let locked = Report::Locked { attempt: A, at: ms(2), cause: LockCause::LineFailed };
    assert_eq!(out.reports().next(), Some((3, locked)));
}

#[test]
fn an_edge_nobody_supervises_is_not_made() {
    let mut machine = opening();
    let out = machine.apply(ms(1), Input::EdgeRefused);
    assert_eq!(out.edge, None);
    assert_eq!(
        out.reports().next(),
        Some((3, Report::Refused { attempt: A, reason: Refusal::Unsupervised }))
    );
    assert!(!machine.pulsing());
}

#[test]
fn a_line_that_cannot_be_locked_is_lost_and_arms_nobody() {
    let mut machine = opening();
    machine.apply(ms(1), Input::EdgeMade(ms(1)));
    assert_eq!(machine.apply(ms(501), Input::Tick).edge, Some(Edge::Lock));
    let out = machine.apply(ms(501), Input::LineLost);
    assert_eq!(out.reports().next(), Some((3, Report::LineLost { attempt: A })));
    let out = machine.apply(ms(502), Input::Request(4, Request::Arm { attempt: B, window_ms: 1_000 }));
    let no = Report::Refused { attempt: B, reason: Refusal::LineNotHeld };
    assert_eq!(out.reports().next(), Some((4, no)));
    let out = machine.apply(ms(503), Input::LineHeld);
    assert_eq!(out.reports().next(), Some((0, Report::LineHeld)));
}

#[test]
fn status_tells_what_goes_on() {
    let mut bench = Bench::new();
    let status = |activity, until| Some(Report::Status { line: LineState::Held, activity, until: ms(until) });
    assert_eq!(bench.ask(0, Request::Status), status(Activity::Idle, 0));
    bench.arm(0, A, 1_000);
    assert_eq!(bench.ask(0, Request::Status), status(Activity::Armed, 1_000));
    bench.grant(0, A, 500);
    assert_eq!(bench.ask(0, Request::Status), status(Activity::Pulsing, 500));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn input() -> impl Strategy<Value = (u64, Input)> {
        let attempt = prop::sample::select(vec![A, B, AttemptId([3; 16])]);
        let request = prop_oneof![
            (attempt.clone(), 1..20_000_u32)
                .prop_map(|(attempt, window_ms)| Request::Arm { attempt, window_ms }),
            (attempt.clone(), 1..12_000_u32)
                .prop_map(|(attempt, pulse_ms)| Request::Grant { attempt, pulse_ms }),
            attempt.prop_map(|attempt| Request::Disarm { attempt }),
            Just(Request::Hello),
            Just(Request::Lock),
            Just(Request::Heartbeat),
        ];
        let input = prop_oneof![
            8 => request.prop_map(|request| Input::Request(1, request)),
            3 => Just(Input::Tick),
            1 => Just(Input::HangUp),
        ];
        (0..3_000_u64, input)
    }

    proptest! {
        /// Whatever comes in whatever order: each unlock belongs to an attempt armed before within its window, no attempt
        /// unlocks twice, no pulse is longer than its grant, edges alternate, silence and hang-up end it.
        #[test]
        fn no_sequence_of_inputs_opens_what_it_should_not(inputs in prop::collection::vec(input(), 1..60)) {
            let mut bench = Bench::new();
            let mut now = 0;
            let mut armed: Option<(AttemptId, u64)> = None;
            let mut used = Vec::new();
            let mut open_since: Option<(u64, u64)> = None;
            // As the agent sees it: by the reports alone.
            let mut told_open = None;
            for (pause, input) in inputs {
                now += pause;
                let (edges, reports) = (bench.edges.len(), bench.reports.len());
                bench.feed(now, input);
                for (_, report) in bench.reports[reports..].iter().copied() {
                    match report {
                        Report::Unlocked { attempt, .. } => prop_assert!(told_open.replace(attempt).is_none()),
                        Report::Locked { attempt, .. } if attempt != NO_ATTEMPT => {
                            prop_assert_eq!(told_open.take(), Some(attempt));
                        }
                        _ => {}
                    }
                    if let Report::Armed { attempt, deadline } = report {
                        prop_assert!(!used.contains(&attempt));
                        used.push(attempt);
                        armed = Some((attempt, deadline.as_millis()));
                    }
                }
                for (at, edge) in bench.edges[edges..].iter().copied() {
                    match edge {
                        Edge::Unlock => {
                            let Input::Request(_, Request::Grant { attempt, pulse_ms }) = input else {
                                return Err(TestCaseError::fail("unlocked without a grant"));
                            };
                            let (expected, deadline) = armed.take().unwrap();
                            prop_assert_eq!(attempt, expected);
                            prop_assert!(at < deadline && pulse_ms <= 10_000 && open_since.is_none());
                            open_since = Some((at, u64::from(pulse_ms)));
                        }
                        Edge::Lock => prop_assert!(open_since.take().is_some()),
                    }
                }
                if let Some((since, length)) = open_since {
                    prop_assert!(now < since + length && input != Input::HangUp);
                }
                prop_assert_eq!(bench.machine.pulsing(), open_since.is_some());
                prop_assert_eq!(told_open.is_some(), open_since.is_some());
            }
        }
    }
}
