//! The service's words and codes, and the verdict of each: tables, exact match, everything else is unknown
//! (door-rules 4).

use crate::access::{Product, Verdict};

/// The verdict of a finished v3 job. The status gives no reason, so every `block` counts as a possible spoof
/// (door-rules 13); `attention` has passed but a person must look.
pub fn of_status_word(word: &str) -> Verdict {
    match word {
        "clear" => Verdict::Approved,
        "attention" => Verdict::Provisional,
        "block" => Verdict::Rejected { spoof: true },
        "error" => Verdict::Undecided,
        _ => Verdict::Unknown,
    }
}

/// The job type number of a product in v1.
pub fn job_type(product: Product) -> u8 {
    match product {
        Product::Authentication => 2,
        Product::Registration => 4,
    }
}

const REJECTED: Verdict = Verdict::Rejected { spoof: false };
const SPOOF: Verdict = Verdict::Rejected { spoof: true };

/// Result codes of v1 by job type. 0822, 0824, 0825, 0842 and 0844 are followed by a person's review, 0846 waits
/// for one. Codes that are not here are unknown and never approve, whatever their first digits.
const CODES: [(u8, &str, Verdict); 28] = [
    (2, "0820", Verdict::Approved),
    (2, "1220", Verdict::Approved),
    (4, "0840", Verdict::Approved),
    (4, "1240", Verdict::Approved),
    (2, "0822", Verdict::Provisional),
    (2, "0824", Verdict::Provisional),
    (2, "0825", Verdict::Provisional),
    (4, "0842", Verdict::Provisional),
    (4, "0844", Verdict::Provisional),
    (4, "0846", Verdict::Provisional),
    (2, "0821", REJECTED),
    (2, "0823", SPOOF),
    (2, "1221", REJECTED),
    (2, "1222", SPOOF),
    (4, "0841", REJECTED),
    (4, "0843", SPOOF),
    (4, "1241", REJECTED),
    (4, "1242", SPOOF),
    (2, "0907", SPOOF),
    (4, "0907", SPOOF),
    // The archive or its pictures could not be used: nothing was judged, so it counts as no denial (door-rules 13).
    (2, "0921", Verdict::Undecided),
    (2, "0922", Verdict::Undecided),
    (4, "0941", Verdict::Undecided),
    (4, "0942", Verdict::Undecided),
    (2, "0001", Verdict::Undecided),
    (4, "0001", Verdict::Undecided),
    (2, "0903", Verdict::Undecided),
    (4, "0903", Verdict::Undecided),
];

/// The verdict of a complete v1 job. An approving code approves only together with `job_success`; a failed job
/// with an approving code contradicts itself and is unknown.
pub fn of_result_code(product: Product, code: &str, success: bool) -> Verdict {
    let wanted = job_type(product);
    let found = CODES.iter().find(|(job_type, known, _)| *job_type == wanted && *known == code);
    match found.map(|(_, _, verdict)| *verdict) {
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
        assert_eq!(of_result_code(Product::Authentication, "0821", false), REJECTED);
    }

    #[test]
    fn no_code_is_in_the_table_twice() {
        for (index, (job_type, code, _)) in CODES.iter().enumerate() {
            let again = CODES[index + 1..].iter().any(|(t, c, _)| t == job_type && c == code);
            assert!(!again, "{job_type} {code}");
        }
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
