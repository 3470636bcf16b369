//! PURE. What to do after each kind of answer, and when (door-rules, queue 2 and 4). Randomness is passed in.

use std::time::Duration;

use super::states::{Api, HeldReason, Move};
use crate::access::{Product, Task};
use crate::config::model::{Queue, UnknownOutcome};

/// How a submission failed, in the queue's own words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The service surely does not have it: no connection, body not fully sent, 429, 503 with Retry-After, or a
    /// gateway's answer with `job_id: null`.
    RefusedForCertain {
        /// What the service asked for, if it did.
        retry_after: Option<Duration>,
        /// The service said it, and not the network.
        answered: bool,
    },
    /// The body was sent and no whole answer came, or another 5xx.
    PerhapsTaken {
        /// An answer came.
        answered: bool,
    },
    /// A second 401 with a new token; v1 2205 or 2405.
    Unauthorised,
    /// 402: the wallet is empty.
    Unpaid,
    /// 403 about product, address, callback domain or SDK.
    NotPermitted,
    /// 400, 415, or 403 about this user: this job's own fault.
    RejectedJob {
        /// Why, in words for an operator.
        reason: String,
        /// The service's own sentence.
        answer: Option<String>,
    },
    /// Submissions are signed with the time, and it is not known.
    ClockUnknown,
    /// The service says that it has this job already (v1 2215).
    Duplicate,
}

/// What the policy looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The job's protocol.
    pub api: Api,
    /// What is asked about the person.
    pub task: Task,
    /// Registration only: whether an already enrolled person may be enrolled anew.
    pub allow_new_enroll: bool,
    /// Tries so far, this one not counted.
    pub tries: u32,
    /// Second submissions after lost answers so far.
    pub resubmits: u32,
}

/// Why the whole queue stands still.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PauseReason {
    /// The service does not accept the credentials.
    Unauthorised,
    /// The wallet is empty.
    Unpaid,
    /// The service refuses product, address, callback domain or SDK.
    NotPermitted,
    /// An operator wants it so.
    Operator,
}

impl PauseReason {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Unauthorised, Self::Unpaid, Self::NotPermitted, Self::Operator];

    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthorised => "unauthorised",
            Self::Unpaid => "unpaid",
            Self::NotPermitted => "not_permitted",
            Self::Operator => "operator",
        }
    }

    /// The reverse of [`PauseReason::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// Which line a job waits in. Who stands at the door waits in none: their job is sent ahead of all (door-rules, queue 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// An operator wants it tried now.
    Retried,
    /// It was made at the door.
    Door,
    /// A check that is about no door.
    Check,
}

impl Class {
    /// Each of them, the first served first.
    pub const ALL: [Self; 3] = [Self::Retried, Self::Door, Self::Check];

    /// The line that a new job joins.
    pub fn of(task: Task) -> Self {
        match task {
            Task::Door(_) => Self::Door,
            Task::Check(_) => Self::Check,
        }
    }

    /// The number in the database: smaller is sooner.
    pub fn number(self) -> i64 {
        match self {
            Self::Retried => 0,
            Self::Door => 1,
            Self::Check => 2,
        }
    }

    /// The reverse of [`Class::number`].
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }

    /// The stable name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Door => "door",
            Self::Check => "check",
        }
    }
}

/// How long a job may wait to be submitted: what is asked at a door is worthless sooner than an enrolment in the field.
pub fn time_to_live(task: Task, config: &Queue) -> Duration {
    let hours = match task {
        Task::Door(Product::Authentication) => config.authentication_hours,
        Task::Door(Product::Registration) => config.registration_hours,
        Task::Check(_) => config.check_hours,
    };
    Duration::from_secs(u64::from(hours.min(config.time_to_live_hours)) * 3600)
}

/// Each so many submissions one goes to who has waited longest, of whichever class.
pub const FAIR_TURN: u64 = 4;

/// Who is submitted next, of the `first` of each class that may be: the sooner class, and at each fourth turn the one that
/// is due longest, so that no class can starve another. `turn` counts the submissions so far.
pub fn pick<T: Ord>(first: impl IntoIterator<Item = (Class, T)>, turn: u64) -> Option<T> {
    let first = first.into_iter();
    if turn % FAIR_TURN == FAIR_TURN - 1 {
        return first.map(|(_, since)| since).min();
    }
    first.min_by_key(|(class, _)| class.number()).map(|(_, since)| since)
}

/// What to do with the job, when, and whether the others wait too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Course {
    /// The job's next step.
    pub step: Move,
    /// Not before this long from now.
    pub delay: Duration,
    /// The service answered: a network that comes back does not end the wait.
    pub asked: bool,
    /// Stop the queue for this reason and probe after [`PROBE_EVERY`].
    pub pause: Option<PauseReason>,
}

/// Between two probes of a paused queue.
pub const PROBE_EVERY: Duration = Duration::from_secs(30 * 60);

/// Most second submissions of a registration that cannot do harm twice.
pub const REGISTRATION_RESUBMITS_MAX: u32 = 3;

/// What the drain looks for first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// A job to be submitted.
    Submission,
    /// A verdict or a look-up.
    Verdict,
}

/// The drain's turns, over and over: thousands of jobs that wait for their verdict must not hold up those that wait to be
/// sent, nor the other way round.
pub fn turn(number: u32) -> Turn {
    if number % 4 == 3 { Turn::Verdict } else { Turn::Submission }
}

/// What follows from a failed submission. `random` is any random number.
pub fn after_failure(answer: &Answer, facts: &Facts, config: &Queue, random: u64) -> Course {
    let pause = backoff(facts.tries, config, random);
    let plain = |step, delay| Course { step, delay, asked: false, pause: None };
    let stop =
        |reason| Course { step: Move::NotSent, delay: Duration::ZERO, asked: false, pause: Some(reason) };
    match answer {
        Answer::RefusedForCertain { retry_after, answered } => {
            let asked = retry_after.unwrap_or_default().min(longest(config));
            Course { asked: *answered, ..plain(Move::NotSent, pause.max(asked)) }
        }
        Answer::PerhapsTaken { answered } if may_resubmit(facts, config) => {
            Course { asked: *answered, ..plain(Move::Resubmit, pause) }
        }
        Answer::PerhapsTaken { .. } if planted!(UnknownIsRetried) => plain(Move::NotSent, pause),
        Answer::PerhapsTaken { .. } => plain(Move::LoseAnswer, pause),
        // Looked up at once the first time; a job that comes back to this waits.
        Answer::Duplicate if facts.tries == 0 => plain(Move::LoseAnswer, Duration::ZERO),
        Answer::Duplicate => plain(Move::LoseAnswer, pause),
        Answer::Unauthorised => stop(PauseReason::Unauthorised),
        Answer::Unpaid => stop(PauseReason::Unpaid),
        Answer::NotPermitted => stop(PauseReason::NotPermitted),
        Answer::RejectedJob { reason, answer } => {
            plain(Move::DeadLetter { reason: reason.clone(), answer: answer.clone() }, Duration::ZERO)
        }
        Answer::ClockUnknown => plain(Move::Hold(HeldReason::Clock), Duration::ZERO),
    }
}

/// Whether a job with a lost answer may be submitted again although the service may have it.
///
/// v1 never: there it is looked up. A registration over v2 or v3 with `allow_new_enroll = false` cannot do harm twice, and
/// may be repeated a few times; everything else once, and only when configured.
pub fn may_resubmit(facts: &Facts, config: &Queue) -> bool {
    if facts.api == Api::V1 {
        return false;
    }
    if facts.task.enrols() && !facts.allow_new_enroll {
        return facts.resubmits < REGISTRATION_RESUBMITS_MAX;
    }
    config.unknown_outcome == UnknownOutcome::ResubmitOnce && facts.resubmits == 0
}

/// Full jitter: anything between the least pause and a ceiling that doubles with each try, up to the longest.
pub fn backoff(tries: u32, config: &Queue, random: u64) -> Duration {
    let least = u64::from(config.backoff_min_ms);
    let ceiling = least.saturating_mul(2_u64.saturating_pow(tries.saturating_add(1)));
    let ceiling = ceiling.min(u64::from(config.backoff_max_ms)).max(least);
    Duration::from_millis(least + random % (ceiling - least + 1))
}

fn longest(config: &Queue) -> Duration {
    Duration::from_millis(u64::from(config.backoff_max_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Check;
    use proptest::prelude::*;

    fn facts(api: Api, product: Product, allow_new_enroll: bool, resubmits: u32) -> Facts {
        Facts { api, task: Task::Door(product), allow_new_enroll, tries: 2, resubmits }
    }

    fn authentication() -> Facts {
        facts(Api::V3, Product::Authentication, false, 0)
    }

    proptest! {
        #[test]
        fn a_pause_lies_between_least_and_ceiling(
            tries in any::<u32>(), random in any::<u64>(), min in 50u32..600_000, max in 1_000u32..86_400_000
        ) {
            let config = Queue { backoff_min_ms: min, backoff_max_ms: max, ..Queue::default() };
            let pause = backoff(tries, &config, random).as_millis();
            prop_assert!(pause >= u128::from(min));
            prop_assert!(pause <= u128::from(max.max(min)));
            prop_assert!(pause <= u128::from(min) << tries.saturating_add(1).min(90));
        }

        #[test]
        fn retry_after_is_honoured_and_capped(asked in 0u64..1_000_000, random in any::<u64>()) {
            let config = Queue::default();
            let answer = Answer::RefusedForCertain { retry_after: Some(Duration::from_secs(asked)), answered: true };
            let course = after_failure(&answer, &authentication(), &config, random);
            prop_assert_eq!(course.step, Move::NotSent);
            prop_assert!(course.delay >= Duration::from_secs(asked.min(1800)));
            prop_assert!(course.delay <= Duration::from_secs(1800));
        }
    }

    /// Queue promise 3.
    #[test]
    fn nothing_starves_in_the_order_of_turns() {
        for start in [0, 1, 2, 3, u32::MAX - 3] {
            let turns: Vec<Turn> = (0..4).map(|number: u32| turn(start.wrapping_add(number))).collect();
            for wanted in [Turn::Submission, Turn::Verdict] {
                assert!(turns.contains(&wanted), "{wanted:?} has no turn in four");
            }
        }
    }

    #[test]
    fn the_sooner_class_goes_first_and_each_fourth_turn_is_the_longest_waits() {
        let (retried, door, check) = ((Class::Retried, 9), (Class::Door, 5), (Class::Check, 1));
        for (waiting, in_turn, at_fourth) in [
            (vec![], None, None),
            (vec![check], Some(1), Some(1)),
            (vec![door, check], Some(5), Some(1)),
            (vec![retried, door, check], Some(9), Some(1)),
            (vec![(Class::Door, 1), (Class::Check, 5)], Some(1), Some(1)),
            (vec![retried, door], Some(9), Some(5)),
        ] {
            for turn in 0..9 {
                let expected = if turn % 4 == 3 { at_fourth } else { in_turn };
                assert_eq!(pick(waiting.iter().copied(), turn), expected, "{waiting:?} at {turn}");
            }
        }
        assert!(Class::ALL.into_iter().all(|class| Class::from_number(class.number()) == Some(class)));
    }

    #[test]
    fn each_kind_has_its_time_to_live_and_none_outlives_that_of_all() {
        let (door, check) = (Task::Door(Product::Authentication), Task::Check(Check::Authentication));
        let (enrolment, registration) = (Task::Door(Product::Registration), Task::Check(Check::Registration));
        for (all, hours) in [(8_760, [24, 168, 72, 72]), (48, [24, 48, 48, 48]), (1, [1; 4])] {
            let config = Queue { time_to_live_hours: all, ..Queue::default() };
            let lives =
                [door, enrolment, check, registration].map(|task| time_to_live(task, &config).as_secs());
            assert_eq!(lives, hours.map(|hours: u64| hours * 3600), "of at most {all} hours");
        }
        let own =
            Queue { authentication_hours: 2, registration_hours: 3, check_hours: 4, ..Queue::default() };
        let lives =
            [door, enrolment, check, registration].map(|task| time_to_live(task, &own).as_secs() / 3600);
        assert_eq!(lives, [2, 3, 4, 4]);
    }

    #[test]
    fn jitter_reaches_both_ends_and_the_ceiling_doubles() {
        let config = Queue::default();
        let ceiling = |tries| backoff(tries, &config, u64::MAX / 2).max(reach(tries, &config));
        assert_eq!(backoff(3, &config, 0), Duration::from_secs(5));
        assert_eq!([ceiling(0), ceiling(1), ceiling(2)].map(|d| d.as_secs()), [10, 20, 40]);
        assert_eq!(ceiling(60), Duration::from_secs(1800));
    }

    fn reach(tries: u32, config: &Queue) -> Duration {
        let span = (5_000 << (tries + 1).min(20)).min(1_800_000) - 5_000;
        backoff(tries, config, span)
    }

    #[test]
    fn what_may_have_been_taken_is_not_repeated_blindly() {
        let hold = Queue::default();
        let once = Queue { unknown_outcome: UnknownOutcome::ResubmitOnce, ..Queue::default() };
        let step = |facts: Facts, config: &Queue| {
            after_failure(&Answer::PerhapsTaken { answered: true }, &facts, config, 1).step
        };
        assert_eq!(step(authentication(), &hold), Move::LoseAnswer);
        assert_eq!(step(authentication(), &once), Move::Resubmit);
        assert_eq!(step(facts(Api::V3, Product::Authentication, false, 1), &once), Move::LoseAnswer);
        assert_eq!(step(facts(Api::V3, Product::Registration, true, 0), &hold), Move::LoseAnswer);
        assert_eq!(step(facts(Api::V3, Product::Registration, false, 2), &hold), Move::Resubmit);
        assert_eq!(step(facts(Api::V3, Product::Registration, false, 3), &once), Move::LoseAnswer);
        assert_eq!(step(facts(Api::V1, Product::Registration, false, 0), &once), Move::LoseAnswer);
    }

    #[test]
    fn only_answers_about_the_account_stop_the_queue() {
        for (answer, step, pause) in [
            (Answer::Unauthorised, "not_sent", Some(PauseReason::Unauthorised)),
            (Answer::Unpaid, "not_sent", Some(PauseReason::Unpaid)),
            (Answer::NotPermitted, "not_sent", Some(PauseReason::NotPermitted)),
            (Answer::RejectedJob { reason: "user unknown".into(), answer: None }, "dead_letter", None),
            (Answer::ClockUnknown, "hold", None),
            (Answer::Duplicate, "lose_answer", None),
            (Answer::RefusedForCertain { retry_after: None, answered: false }, "not_sent", None),
        ] {
            let course = after_failure(&answer, &authentication(), &Queue::default(), 7);
            assert_eq!((course.step.name(), course.pause), (step, pause), "{answer:?}");
        }
    }
}
