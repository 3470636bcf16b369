//! PURE. How long to wait before the next look at a job that somebody waits for: often while a verdict is likely, ever
//! more seldom afterwards, so that it is known soon and asked for few times.

use std::time::Duration;

/// The first looks are this far apart.
const FIRST: Duration = Duration::from_millis(200);
/// A job older than this has no usual verdict any more.
const USUAL: Duration = Duration::from_secs(4);
/// The longest pause, of whatever age.
const LONGEST: Duration = Duration::from_secs(2);

/// The pause before the next look at a job that the service took `age` ago: a quarter of its age, between 0.2 s and
/// `longest` (`[smile] poll_interval_ms`); of an old job a tenth, up to 2 s. `random` is any random number and moves the
/// pause by up to a tenth, so that a fleet that came back together does not ask together.
pub fn pause(age: Duration, longest: Duration, random: u64) -> Duration {
    let young = (age / 4).clamp(FIRST.min(longest), longest);
    let wanted = if age > USUAL { young.max((age / 10).min(LONGEST)) } else { young };
    let millis = u64::try_from(wanted.as_millis()).unwrap_or(u64::MAX);
    let tenth = millis / 10;
    Duration::from_millis(millis - tenth + random % (2 * tenth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that decides after `decides`, asked at this pace: how late it is known, and after how many looks.
    fn asked(decides: Duration, longest: Duration, mut random: u64) -> (Duration, u32) {
        let (mut age, mut looks) = (Duration::ZERO, 0);
        while age < decides || looks == 0 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            age += pause(age, longest, random >> 33);
            looks += 1;
        }
        (age - decides, looks)
    }

    /// Issue: p50 at most 200 ms, p99 at most 600 ms, at most 15 looks, for services of any usual speed.
    #[test]
    fn a_verdict_is_known_soon_and_asked_for_few_times() {
        for decides in (100..=4000).step_by(100) {
            let mut late = Vec::new();
            for seed in 0..500 {
                let (lag, looks) = asked(Duration::from_millis(decides), Duration::from_millis(350), seed);
                assert!(looks <= 15, "{decides} ms: {looks} looks");
                late.push(lag);
            }
            late.sort_unstable();
            assert!(
                late[late.len() * 99 / 100] <= Duration::from_millis(400),
                "{decides} ms: {:?}",
                late.last()
            );
        }
        for decides in [300, 1500, 4000] {
            let mut late: Vec<_> = (0..500)
                .map(|seed| asked(Duration::from_millis(decides), Duration::from_millis(350), seed).0)
                .collect();
            late.sort_unstable();
            assert!(late[late.len() / 2] <= Duration::from_millis(200), "{decides} ms: {:?}", late[250]);
        }
    }

    #[test]
    fn old_jobs_are_asked_for_ever_more_seldom_and_never_less_than_every_two_seconds() {
        let longest = Duration::from_millis(350);
        let at = |seconds| pause(Duration::from_secs(seconds), longest, 0);
        assert!(at(5) < at(10) && at(10) < at(20));
        assert!(at(3600) <= LONGEST);
        // Whoever wants it faster gets it, within the first seconds.
        assert!(pause(Duration::ZERO, Duration::from_millis(50), 99) <= Duration::from_millis(55));
    }
}
