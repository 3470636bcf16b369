//! The verdict of the service's words and codes ([`super::codes`]): exact match, everything else is unknown (door-rules 4).

use super::codes;
use crate::access::{Check, Product, Task, Verdict};

/// The verdict of a finished v3 job. The status gives no reason, so every `block` counts as a possible spoof
/// (door-rules 13); `attention` has passed but a person must look.
pub fn of_status_word(word: &str) -> Verdict {
    codes::of_status(word).unwrap_or(Verdict::Unknown)
}

/// The job type number of a product in v1.
pub fn job_type(product: Product) -> u8 {
    match product {
        Product::Authentication => 2,
        Product::Registration => 4,
    }
}

/// The job type number of a task, where v1 has one.
pub fn job_type_of(task: Task) -> Option<u8> {
    Some(match task {
        Task::Door(product) => job_type(product),
        Task::Check(Check::BiometricKyc) => 1,
        Task::Check(Check::Authentication) => 2,
        Task::Check(Check::Registration) => 4,
        Task::Check(Check::EnhancedKyc | Check::BasicKyc) => 5,
        Task::Check(Check::DocumentVerification) => 6,
        Task::Check(Check::UpdatePhoto) => 8,
        Task::Check(Check::EnhancedDocumentVerification) => 11,
        Task::Check(Check::Compare) => return None,
    })
}

/// The verdict of a complete v1 job of a product; see [`of_code`].
pub fn of_result_code(product: Product, code: &str, success: bool) -> Verdict {
    of_code(job_type(product), code, success)
}

/// The verdict of a complete v1 job. An approving code approves only together with `job_success`; a failed job
/// with an approving code contradicts itself and is unknown.
pub fn of_code(job_type: u8, code: &str, success: bool) -> Verdict {
    match codes::of_result(job_type, code) {
        Some(Verdict::Approved) if !success => Verdict::Unknown,
        Some(verdict) => verdict,
        None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_exact_word_clear_approves() {
        assert_eq!(of_status_word("clear"), Verdict::Approved);
        assert_eq!(of_status_word("attention"), Verdict::Provisional);
        assert_eq!(of_status_word("block"), Verdict::Rejected { spoof: true });
        assert_eq!(of_status_word("error"), Verdict::Undecided);
        for word in ["Clear", "CLEAR", "clear ", "cleared", "approved", "", "passed", "сlear"] {
            assert_eq!(of_status_word(word), Verdict::Unknown, "{word}");
        }
    }

    #[test]
    fn a_code_approves_only_its_own_job_type_and_only_with_success() {
        for (product, code) in [
            (Product::Authentication, "0820"),
            (Product::Authentication, "1220"),
            (Product::Registration, "0840"),
            (Product::Registration, "1240"),
        ] {
            assert_eq!(of_result_code(product, code, true), Verdict::Approved);
            assert_eq!(of_result_code(product, code, false), Verdict::Unknown);
            let other = match product {
                Product::Authentication => Product::Registration,
                Product::Registration => Product::Authentication,
            };
            assert_eq!(of_result_code(other, code, true), Verdict::Unknown);
        }
    }

    #[test]
    fn spoof_codes_are_marked() {
        for (product, code) in [
            (Product::Authentication, "0823"),
            (Product::Authentication, "1222"),
            (Product::Registration, "0843"),
            (Product::Registration, "1242"),
            (Product::Authentication, "0907"),
        ] {
            assert_eq!(of_result_code(product, code, false), Verdict::Rejected { spoof: true });
        }
        let refused = of_result_code(Product::Authentication, "0821", false);
        assert_eq!(refused, Verdict::Rejected { spoof: false });
    }

    proptest! {
        #[test]
        fn no_other_code_approves(code in "[0-9]{3,5}|.{0,6}", success: bool, auth: bool) {
            let product = if auth { Product::Authentication } else { Product::Registration };
            let listed = match product {
                Product::Authentication => ["0820", "1220"],
                Product::Registration => ["0840", "1240"],
            };
            let approved = of_result_code(product, &code, success) == Verdict::Approved;
            prop_assert_eq!(approved, success && listed.contains(&code.as_str()));
        }
    }
}
