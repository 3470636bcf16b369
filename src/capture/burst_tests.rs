use super::*;
use crate::eyes::Overview;
use proptest::prelude::*;

fn plan() -> Plan {
    Plan::from(&model::Capture { face: model::FaceCheck::NotLookedAt, ..Default::default() })
}

fn overview(luma_mean: f32, sharpness: f32) -> Option<Overview> {
    Some(Overview { luma_mean, brightest: 200.0, sharpness })
}

/// Good frame `number` at `millis`.
fn good(number: u32, millis: u64) -> Measures {
    Measures {
        width: 640,
        height: 480,
        overview: overview(120.0, 0.03),
        digest: u64::from(number) + 1,
        sequence: number,
        taken: BootTime::from_millis(millis),
        sight: None,
    }
}

fn start() -> Burst {
    Burst::new(plan(), BootTime::from_millis(0))
}

/// Shows a frame each `period` ms until the burst ends; what was taken, with its time.
fn play(burst: &mut Burst, period: u64, of: impl Fn(u32, u64) -> Measures) -> (Vec<(Step, u64)>, u64) {
    let mut steps = Vec::new();
    for number in 0.. {
        let millis = (u64::from(number) + 1) * period;
        let step = burst.step(&of(number, millis));
        if step != Step::Wait {
            steps.push((step, millis));
        }
        if burst.is_complete() || matches!(step, Step::Failed(_)) {
            return (steps, millis);
        }
        assert!(millis < 200_000, "the burst neither ends nor fails");
    }
    unreachable!()
}

fn liveness(steps: &[(Step, u64)]) -> Vec<u64> {
    steps
        .iter()
        .filter(|(step, _)| matches!(step, Step::TakeLiveness(_)))
        .map(|(_, millis)| *millis)
        .collect()
}

#[test]
fn the_selfie_comes_first_or_last_as_configured() {
    for (order, first) in [(Order::SelfieFirst, true), (Order::LivenessFirst, false)] {
        let mut burst = Burst::new(Plan { order, liveness_count: 6, ..plan() }, BootTime::from_millis(0));
        let (steps, _) = play(&mut burst, 66, good);
        let (at, others): (Vec<_>, Vec<_>) =
            steps.iter().enumerate().partition(|(_, (step, _))| *step == Step::TakeSelfie);
        assert_eq!((at.len(), others.len()), (1, 6), "{steps:?}");
        assert_eq!(at[0].0, if first { 0 } else { 6 }, "{steps:?}");
    }
}

#[test]
fn eight_liveness_pictures_at_least_350_ms_apart_and_one_selfie() {
    let mut burst = start();
    let (steps, end) = play(&mut burst, 66, good);
    let moments = liveness(&steps);
    assert_eq!(moments.len(), 8);
    assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 350), "{moments:?}");
    assert_eq!(moments.last(), Some(&end));
    assert_eq!(end, 66 + 7 * 396);
    assert_eq!(steps.iter().filter(|(step, _)| *step == Step::TakeSelfie).count(), 1);
    let numbers: Vec<_> = steps
        .iter()
        .filter_map(|(step, _)| match step {
            Step::TakeLiveness(number) => Some(*number),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
}

#[test]
fn the_interval_is_kept_to_the_millisecond() {
    let mut burst = start();
    assert_eq!(burst.step(&good(0, 1000)), Step::TakeLiveness(0));
    assert_eq!(burst.step(&good(1, 1349)), Step::TakeSelfie);
    assert_eq!(burst.step(&good(2, 1350)), Step::TakeLiveness(1));
    // A frame from the past is no liveness picture either.
    assert_eq!(burst.step(&good(3, 900)), Step::Wait);
}

#[test]
fn the_sharpest_frame_between_the_shots_becomes_the_selfie_before_the_last_shot() {
    let mut burst = start();
    let sharp = |number: u32, millis| {
        let sharpness = match number {
            10 => 0.2,
            20 => 0.1,
            42 => 0.9,
            _ => 0.03,
        };
        Measures { overview: overview(120.0, sharpness), ..good(number, millis) }
    };
    let (steps, _) = play(&mut burst, 66, sharp);
    let selfies: Vec<_> =
        steps.iter().filter(|(step, _)| *step == Step::TakeSelfie).map(|(_, at)| *at).collect();
    // The first candidate, then frame 10. Frame 42 is the last shot itself (43 * 66 ms).
    assert_eq!(selfies, [132, 11 * 66]);
    assert_eq!(steps.last(), Some(&(Step::TakeLiveness(7), 43 * 66)));
}

#[test]
fn the_selfie_is_settled_once_one_liveness_picture_is_left() {
    let mut burst = start();
    for number in 0..200 {
        if burst.is_complete() {
            break;
        }
        burst.step(&good(number, u64::from(number) * 66));
        assert_eq!(burst.selfie_is_settled(), burst.liveness >= 7, "{burst:?}");
    }
    assert!(burst.is_complete());
}

#[test]
fn a_camera_slower_than_the_interval_gives_a_selfie_too() {
    let mut burst = start();
    let (steps, _) = play(&mut burst, 400, good);
    assert_eq!(liveness(&steps).len(), 8);
    assert_eq!(steps.last().map(|(step, _)| *step), Some(Step::TakeSelfie));
}

#[test]
fn the_reason_for_giving_up_is_what_was_wrong_with_the_last_frame() {
    let dark = |number, millis| Measures { overview: overview(10.0, 0.03), ..good(number, millis) };
    let (steps, end) = play(&mut start(), 66, dark);
    assert_eq!(steps, [(Step::Failed(Failure::Refused(Reason::TooDark)), end)]);
    assert!((30_000..30_066).contains(&end), "{end}");
    let mut burst = start();
    burst.step(&good(0, 100));
    assert_eq!(burst.overdue(BootTime::from_millis(29_999)), None);
    assert_eq!(burst.overdue(BootTime::from_millis(30_000)), Some(Failure::TooSlow));
}

#[test]
fn bad_frames_between_good_ones_delay_and_do_not_spoil() {
    let mut burst = start();
    let every_third = |number: u32, millis| {
        let sharpness = if number.is_multiple_of(3) { 0.0001 } else { 0.03 };
        Measures { overview: overview(120.0, sharpness), ..good(number, millis) }
    };
    let (steps, _) = play(&mut burst, 66, every_third);
    assert_eq!(liveness(&steps).len(), 8);
    assert!(steps.iter().all(|(_, millis)| (millis / 66 - 1) % 3 != 0), "a blurred frame was taken");
}

#[test]
fn a_camera_that_repeats_its_picture_is_frozen_after_a_second() {
    let still = |number, millis| Measures { digest: 77, ..good(number, millis) };
    let (steps, end) = play(&mut start(), 66, still);
    assert_eq!(steps, [(Step::TakeLiveness(0), 66), (Step::Failed(Failure::Frozen), end)]);
    assert!((1066..1200).contains(&end), "{end}");
}

#[test]
fn a_sequence_number_that_stands_still_is_frozen() {
    let stuck = |number, millis| Measures { sequence: 5, ..good(number, millis) };
    let (steps, end) = play(&mut start(), 66, stuck);
    assert_eq!(steps.last(), Some(&(Step::Failed(Failure::Frozen), end)));
    // A second of standing still, and another without anything that counts as new.
    assert!((2000..2300).contains(&end), "{end}");
    assert!(liveness(&steps).len() < 8);
}

#[test]
fn a_loop_of_a_few_frames_is_no_burst() {
    let short_loop = |number: u32, millis| Measures { digest: u64::from(number % 4), ..good(number, millis) };
    let (steps, _) = play(&mut start(), 66, short_loop);
    assert!(matches!(steps.last(), Some((Step::Failed(Failure::Frozen), _))), "{steps:?}");
    assert!(liveness(&steps).len() <= 4);
}

#[test]
fn a_hint_stays_long_enough_to_be_read() {
    let mut burst = start();
    let dim = |number, millis| Measures { overview: overview(40.0, 0.03), ..good(number, millis) };
    let blurred = |number, millis| Measures { overview: overview(120.0, 0.0), ..good(number, millis) };
    burst.step(&dim(0, 100));
    assert_eq!(burst.hint(), Some(Hint::MoreLight));
    burst.step(&blurred(1, 200));
    assert_eq!(burst.hint(), Some(Hint::MoreLight));
    burst.step(&blurred(2, 1100));
    assert_eq!(burst.hint(), Some(Hint::HoldStill));
    burst.step(&good(3, 1200));
    assert_eq!(burst.hint(), Some(Hint::HoldStill));
    burst.step(&good(4, 2100));
    assert_eq!(burst.hint(), None);
}

proptest! {
    #[test]
    fn whatever_comes_a_burst_ends_and_keeps_its_promises(
        frames in prop::collection::vec((1u64..900, 0u64..40, 0.0f32..0.01, 0.0f32..100.0, 0u32..30), 1..400),
    ) {
        let mut burst = start();
        let (mut at, mut shots, mut digests, mut selfie) = (0, Vec::new(), Vec::new(), None);
        for (pause, digest, sharpness, luminance_mean, sequence) in frames {
            at += pause;
            let shown = Measures { digest, overview: overview(luminance_mean, sharpness), sequence, ..good(0, at) };
            let step = burst.step(&shown);
            match step {
                Step::TakeLiveness(number) => {
                    prop_assert_eq!(number as usize, shots.len());
                    shots.push(at);
                    digests.push(digest);
                }
                Step::TakeSelfie => selfie = Some(digest),
                Step::Failed(_) => return Ok(()),
                Step::Wait | Step::Restart => {}
            }
            if matches!(step, Step::TakeLiveness(_) | Step::TakeSelfie) {
                prop_assert!(sharpness >= 0.002 && luminance_mean >= 20.0);
            }
            prop_assert!(at < 30_000 || burst.is_complete() || step != Step::Wait);
            if burst.is_complete() {
                break;
            }
        }
        prop_assert!(shots.windows(2).all(|pair| pair[1] - pair[0] >= 350));
        prop_assert!(shots.len() <= 8);
        digests.extend(selfie);
        let all = digests.len();
        digests.sort_unstable();
        digests.dedup();
        prop_assert_eq!(digests.len(), all);
    }
}
