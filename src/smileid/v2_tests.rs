use super::*;
use crate::access::{JobId, Product, Task, UserId};
use crate::clock::WallTime;
use crate::smileid::submission::{Consent, Details, Repeat};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What `answer` is for a submission of `product` about `u`.
fn judged(product: Product, answer: &Value) -> Result<Verdict, &'static str> {
    let user = UserId::parse("u").unwrap();
    let details = Details { given_names: "A".into(), last_name: "B".into(), email: None, phone: None };
    let consent = Consent {
        granted_at: WallTime::from_unix_millis(0),
        language: "EN".into(),
        policy_url: "https://example.com".into(),
    };
    let none = BTreeMap::new();
    let wire = Wire {
        task: Task::Door(product),
        user_id: &user,
        names_user: true,
        job: JobId([1; 16]),
        details: &details,
        consent: &consent,
        selfie: None,
        liveness: &[],
        others: &[],
        comparison: None,
        id_info: None,
        partner_params: &none,
        metadata: &none,
        geo: None,
        enrolment: Enrolment::OnlyNew,
        repeat: Repeat::AsFirst,
        use_enrolled_image: false,
        sandbox_result: None,
    };
    let object = answer.as_object().ok_or("no object")?;
    read(object, &wire).map(|taken| taken.told.map_or(Verdict::Unknown, |told| told.verdict))
}

proptest! {
    /// Objects that nearly are an approval: only the exact form is one.
    #[test]
    fn only_the_exact_form_approves(
        status in prop::sample::select(vec![json!("approved"), json!("Approved"), json!("pending"), json!("rejected"),
            json!(true), json!(null), json!("")]),
        code in prop::sample::select(vec![json!("0820"), json!(820), json!("0840"), json!("0821"), json!("0820 "),
            json!("1220"), json!(null)]),
        user in prop::sample::select(vec![json!("u"), json!("v"), json!(""), json!(null)]),
        job in prop::sample::select(vec![json!("job_1"), json!(""), json!(null)]),
    ) {
        let answer = json!({ "status": status, "code": code, "user_id": user, "job_id": job });
        let approved = judged(Product::Authentication, &answer) == Ok(Verdict::Approved);
        let exact = status == json!("approved")
            && (code == json!("0820") || code == json!("1220"))
            && user == json!("u")
            && job == json!("job_1");
        prop_assert_eq!(approved, exact);
    }
}

#[test]
fn words_and_codes_must_agree() {
    let of = |product, status: &str, code: &str| {
        judged(product, &json!({ "status": status, "code": code, "user_id": "u", "job_id": "j" })).unwrap()
    };
    let authentication = Product::Authentication;
    assert_eq!(of(authentication, "approved", "0821"), Verdict::Unknown);
    assert_eq!(of(authentication, "pending", "0820"), Verdict::Provisional);
    assert_eq!(of(authentication, "rejected", "0821"), Verdict::Rejected { spoof: false });
    assert_eq!(of(authentication, "rejected", "0820"), Verdict::Rejected { spoof: true });
    assert_eq!(of(authentication, "rejected", "9999"), Verdict::Rejected { spoof: true });
    assert_eq!(of(authentication, "rejected", "0922"), Verdict::Undecided);
    assert_eq!(of(authentication, "other", "0820"), Verdict::Unknown);
    assert_eq!(of(Product::Registration, "approved", "0840"), Verdict::Approved);
    assert_eq!(of(Product::Registration, "approved", "0820"), Verdict::Unknown);
}
