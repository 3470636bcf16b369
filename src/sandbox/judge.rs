//! How jobs end: by script, by the client's own `sandbox_result`, by the published test identity. Never by a face.

use super::identities;
use super::scenario::{Rule, Scenario, UnknownIdentity};
use crate::access::Check;

/// What a v3 job says about itself that decides it when no rule does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed<'form> {
    pub given_names: &'form str,
    pub last_name: &'form str,
    pub email: Option<&'form str>,
    pub sandbox_result: Option<&'form str>,
}

/// A person who may not be named in a sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotATestIdentity;

/// The v3 status word that a job ends with.
pub(super) fn v3_word(
    scenario: &Scenario,
    user_id: &str,
    claimed: Claimed<'_>,
) -> Result<String, NotATestIdentity> {
    if let Some(word) = &scenario.rule(user_id).verdict {
        return Ok(word.clone());
    }
    let by_name = identities::verdict(claimed.given_names, claimed.last_name, claimed.email);
    if by_name.is_none() && scenario.unknown_identity == UnknownIdentity::Refuse {
        return Err(NotATestIdentity);
    }
    let by_request = claimed.sandbox_result.and_then(word_of_result);
    Ok(by_request.or(by_name).unwrap_or("block").to_owned())
}

/// The word for a v3 `sandbox_result`, which the documents show as a result code and integrators as 0, 1 and 2. It is a
/// number, and some clients write `1220.0`.
pub(super) fn word_of_result(number: &str) -> Option<&'static str> {
    let whole = number.strip_suffix(".0").unwrap_or(number);
    match whole {
        "0" | "810" | "820" | "840" | "1220" | "1240" => Some("clear"),
        "1" | "811" | "821" | "823" | "841" | "843" | "1221" | "1222" | "1241" | "1242" => Some("block"),
        "2" | "822" | "824" | "825" | "842" | "844" | "846" => Some("attention"),
        _ => None,
    }
}

/// How a v1 job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub code: String,
    pub text: String,
}

impl Ending {
    pub(super) fn new(code: &str, text: &str) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// Whether the user counts as matched or enrolled: `job_success`.
    ///
    /// A provisional code does too, so that a client that looks at `job_success` alone is found out.
    pub(super) fn is_success(&self) -> bool {
        self.is_approval() || self.is_provisional()
    }

    /// Whether the code is an approval.
    pub(super) fn is_approval(&self) -> bool {
        matches!(self.code.as_str(), "0810" | "0820" | "0840" | "1012" | "1020" | "1021" | "1220" | "1240")
    }

    /// Whether a person at the service has still to look.
    pub(super) fn is_provisional(&self) -> bool {
        matches!(self.code.as_str(), "0822" | "0824" | "0825" | "0842" | "0844" | "0846")
    }
}

/// How a v1 or v2 job ends, by the rule's code, the rule's v3 word, the job's `sandbox_result`, or well.
pub(super) fn v1_ending(rule: &Rule, check: Check, sandbox_result: Option<&str>) -> Ending {
    let word = match (&rule.result_code, &rule.verdict) {
        (Some(code), _) => code.as_str(),
        (None, Some(word)) => word.as_str(),
        (None, None) => match sandbox_result {
            Some("1") => "block",
            Some("2") => "attention",
            _ => "clear",
        },
    };
    let code = code_of(word, check).unwrap_or(word);
    Ending::new(code, rule.result_text.as_deref().unwrap_or_else(|| text_of(code)))
}

/// The code that stands for a v3 word; `None` for any other text, which is a code itself.
fn code_of(word: &str, check: Check) -> Option<&'static str> {
    let [clear, block, attention, error] = match check {
        Check::Authentication => ["0820", "0821", "0822", "0922"],
        Check::Registration => ["0840", "0841", "0842", "0942"],
        Check::BiometricKyc => ["0810", "0811", "0812", "0912"],
        Check::EnhancedKyc => ["1012", "1013", "1014", "1015"],
        Check::BasicKyc => ["1020", "1022", "1021", "1015"],
        // How a photograph's update ends is published nowhere: played as a document's check.
        Check::DocumentVerification
        | Check::EnhancedDocumentVerification
        | Check::UpdatePhoto
        | Check::Compare => ["0810", "0811", "0812", "0001"],
    };
    Some(match word {
        "clear" => clear,
        "block" => block,
        "attention" => attention,
        "error" => error,
        _ => return None,
    })
}

/// How a number's check ends when no rule says: by the number's last digit, as the service's test data do.
pub(super) fn number_ending(rule: &Rule, check: Check, sandbox_result: Option<&str>, number: &str) -> Ending {
    let scripted = rule.result_code.is_some() || rule.verdict.is_some() || sandbox_result.is_some();
    let code = match number.chars().next_back() {
        Some('1') => "1013",
        Some('2') => "1014",
        Some('3') => "1015",
        _ => return v1_ending(rule, check, sandbox_result),
    };
    if scripted { v1_ending(rule, check, sandbox_result) } else { Ending::new(code, text_of(code)) }
}

fn text_of(code: &str) -> &'static str {
    match code {
        "0810" => "Verified",
        "0811" => "Not Verified",
        "1012" => "ID Number Validated",
        "1013" => "ID Not Found",
        "1014" => "ID Number Format Not Supported",
        "1015" => "ID Authority Unavailable",
        "1020" => "Exact Match",
        "1021" => "Partial Match",
        "1022" => "No Match",
        "0820" | "1220" => "Authenticated",
        "0840" | "1240" => "Enroll User",
        "0821" | "1221" => "Failed Authentication",
        "0841" => "Failed Enrollment - Face Already Known",
        "0822" | "0825" => "Provisional Authentication - Under Review",
        "0842" => "Provisional Enrollment - Under Review",
        "0823" | "0824" | "0843" | "0844" | "0846" | "1222" | "1242" => "Possible Spoof",
        "0922" | "0942" | "1241" => "Image Quality Too Poor",
        "0921" | "0941" => "No Face Found",
        _ => "Scripted Result",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(sandbox_result: Option<&'static str>) -> Claimed<'static> {
        Claimed {
            given_names: "Amina Fatou",
            last_name: "Clearwater",
            email: Some("amina.clearwater@example.com"),
            sandbox_result,
        }
    }

    #[test]
    fn the_script_wins_over_the_request_and_the_request_over_the_name() {
        let mut scenario = Scenario::default();
        assert_eq!(v3_word(&scenario, "u", claimed(None)).unwrap(), "clear");
        assert_eq!(v3_word(&scenario, "u", claimed(Some("1"))).unwrap(), "block");
        assert_eq!(v3_word(&scenario, "u", claimed(Some("1220.0"))).unwrap(), "clear");
        scenario.users.insert("u".into(), Rule { verdict: Some("sideways".into()), ..Rule::default() });
        assert_eq!(v3_word(&scenario, "u", claimed(Some("1"))).unwrap(), "sideways");
    }

    #[test]
    fn an_unknown_person_is_refused_or_blocked() {
        let mut scenario = Scenario::default();
        let unknown = Claimed { last_name: "Nobody", ..claimed(None) };
        assert_eq!(v3_word(&scenario, "u", unknown), Err(NotATestIdentity));
        scenario.unknown_identity = UnknownIdentity::Block;
        assert_eq!(v3_word(&scenario, "u", unknown).unwrap(), "block");
    }

    #[test]
    fn v1_codes_follow_the_product() {
        let none = Rule::default();
        let code = |rule: &Rule, product, result| v1_ending(rule, product, result).code;
        assert_eq!(code(&none, Check::Authentication, None), "0820");
        assert_eq!(code(&none, Check::Registration, Some("0")), "0840");
        assert_eq!(code(&none, Check::Authentication, Some("1")), "0821");
        assert_eq!(code(&none, Check::Registration, Some("2")), "0842");
        let word = Rule { verdict: Some("error".into()), ..Rule::default() };
        assert_eq!(code(&word, Check::Registration, None), "0942");
        let scripted =
            Rule { result_code: Some("0813".into()), verdict: Some("clear".into()), ..Rule::default() };
        let ending = v1_ending(&scripted, Check::Authentication, None);
        assert_eq!((ending.code.as_str(), ending.is_success()), ("0813", false));
    }
}
