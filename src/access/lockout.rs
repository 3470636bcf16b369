//! The lock-out rule (door-rules 13): so many denials in a span of time, and the subject waits.

use std::time::Duration;

/// How many denials in which span lock out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutRule {
    /// Denials that lock out, at least 1.
    pub denials: u32,
    /// The span in which they count.
    pub within: Duration,
    /// How long the lock-out lasts.
    pub lasts: Duration,
}

impl LockoutRule {
    /// The lock-out that the newest denial causes, given how many there now are within [`LockoutRule::within`],
    /// the newest included.
    pub fn after_denial(&self, denials_within: u32) -> Option<Duration> {
        (denials_within >= self.denials.max(1)).then_some(self.lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// door-rules 13.
    #[test]
    fn the_nth_denial_locks_out() {
        let rule =
            LockoutRule { denials: 5, within: Duration::from_secs(600), lasts: Duration::from_secs(600) };
        assert_eq!(rule.after_denial(4), None);
        assert_eq!(rule.after_denial(5), Some(Duration::from_secs(600)));
        assert_eq!(rule.after_denial(6), Some(Duration::from_secs(600)));
    }

    #[test]
    fn a_rule_of_zero_is_a_rule_of_one() {
        let rule = LockoutRule { denials: 0, within: Duration::from_secs(1), lasts: Duration::from_secs(1) };
        assert_eq!(rule.after_denial(0), None);
        assert!(rule.after_denial(1).is_some());
    }
}
