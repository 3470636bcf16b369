//! From the service's report to the door's decision (door-rules 4): an approval counts only for this product,
//! this person and this job; everything else keeps the door shut.

use super::words::{Product, Report, UserId, Verdict};

/// What a report must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The product that was submitted.
    pub product: Product,
    /// The person who claimed the identity.
    pub user: &'a UserId,
    /// The job as the service knows it.
    pub remote_job: &'a str,
}

/// What follows from a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The service knows this person in these pictures. For a door only with [`Product::Authentication`].
    Approve,
    /// Refused, final.
    Deny {
        /// A spoof is named, or cannot be excluded.
        spoof: bool,
    },
    /// Somebody has to look at it.
    Hold,
    /// The service finished without deciding.
    Undecided,
    /// The answer is about another job, person or product.
    Mismatch,
    /// A word that is in no table.
    Unknown,
}

impl Decision {
    /// The stable name in events and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Deny { .. } => "denied",
            Self::Hold => "held",
            Self::Undecided => "undecided",
            Self::Mismatch => "mismatch",
            Self::Unknown => "unknown",
        }
    }
}

/// Compares the report with what was expected, then reads its verdict.
pub fn decide(expected: Expected<'_>, report: &Report) -> Decision {
    let same = report.product == expected.product
        && report.user_id == expected.user.as_str()
        && report.remote_job == expected.remote_job
        && !expected.remote_job.is_empty();
    if !same && !planted!(AnyPerson) {
        return Decision::Mismatch;
    }
    match report.verdict {
        Verdict::Approved => Decision::Approve,
        Verdict::Provisional if planted!(ProvisionalOpens) => Decision::Approve,
        Verdict::Provisional => Decision::Hold,
        Verdict::Rejected { spoof } => Decision::Deny { spoof },
        Verdict::Undecided => Decision::Undecided,
        Verdict::Unknown => Decision::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(verdict: Verdict) -> Report {
        Report {
            verdict,
            product: Product::Authentication,
            user_id: "u-1".into(),
            remote_job: "job_1".into(),
            code: "clear".into(),
            text: String::new(),
        }
    }

    fn decision(report: &Report) -> Decision {
        let user = UserId::parse("u-1").unwrap();
        decide(Expected { product: Product::Authentication, user: &user, remote_job: "job_1" }, report)
    }

    /// door-rules 4: each part of the match is needed.
    #[test]
    fn an_approval_counts_only_for_this_job_person_and_product() {
        let good = report(Verdict::Approved);
        assert_eq!(decision(&good), Decision::Approve);
        assert_eq!(decision(&Report { user_id: "u-2".into(), ..good.clone() }), Decision::Mismatch);
        assert_eq!(decision(&Report { remote_job: "job_2".into(), ..good.clone() }), Decision::Mismatch);
        assert_eq!(decision(&Report { product: Product::Registration, ..good }), Decision::Mismatch);
    }

    #[test]
    fn an_empty_job_matches_nothing() {
        let user = UserId::parse("u-1").unwrap();
        let expected = Expected { product: Product::Authentication, user: &user, remote_job: "" };
        let empty = Report { remote_job: String::new(), ..report(Verdict::Approved) };
        assert_eq!(decide(expected, &empty), Decision::Mismatch);
    }

    #[test]
    fn no_other_verdict_approves() {
        for verdict in [
            Verdict::Provisional,
            Verdict::Rejected { spoof: false },
            Verdict::Rejected { spoof: true },
            Verdict::Undecided,
            Verdict::Unknown,
        ] {
            assert_ne!(decision(&report(verdict)), Decision::Approve, "{verdict:?}");
        }
    }

    proptest! {
        #[test]
        fn any_other_name_is_a_mismatch(user in ".{0,12}", job in ".{0,12}") {
            let approved = Report { user_id: user.clone(), remote_job: job.clone(), ..report(Verdict::Approved) };
            prop_assert_eq!(decision(&approved) == Decision::Approve, user == "u-1" && job == "job_1");
        }
    }
}
