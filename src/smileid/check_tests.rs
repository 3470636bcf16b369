use super::*;
use crate::access::words::sortable_id;
use crate::picture::{JPEG_MAGIC, PNG_MAGIC};

const JPEG: Picture<'static> = Picture::Bytes(&[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);
const PNG: Picture<'static> = Picture::Bytes(PNG_MAGIC);

fn form() -> CheckForm {
    CheckForm {
        given_names: "Amina Fatou".into(),
        last_name: "Clearwater".into(),
        email: Some("amina.clearwater@example.com".into()),
        consent: Some(ConsentForm {
            granted_at: "2026-01-02T03:04:05Z".into(),
            language: "EN".into(),
            policy_url: "https://example.com/privacy".into(),
        }),
        country: Some("NG".into()),
        id_type: Some("NIN_V2".into()),
        id_number: Some("00000000000".into()),
        ..CheckForm::default()
    }
}

type Bytes = Picture<'static>;

/// Everything that any check takes: a check is given what it needs of it.
fn pictures(check: Check) -> (Option<Bytes>, Vec<Bytes>, Vec<(PictureKind, Bytes)>) {
    let needs = needs(check);
    let selfie = needs.selfie.then_some(JPEG);
    let liveness = if needs.selfie { vec![JPEG; 8] } else { Vec::new() };
    let mut others = Vec::new();
    if needs.document {
        others.extend([(PictureKind::DocumentFront, PNG), (PictureKind::DocumentBack, JPEG)]);
    }
    if needs.comparison {
        others.push((PictureKind::Comparison, JPEG));
    }
    (selfie, liveness, others)
}

fn with<'a>(
    selfie: Option<Picture<'a>>,
    liveness: &'a [Picture<'a>],
    others: &'a [(PictureKind, Picture<'a>)],
) -> CheckPictures<'a> {
    CheckPictures { selfie, liveness, others }
}

fn field(check: Check, api: Api, form: &CheckForm, pictures: CheckPictures<'_>) -> Option<String> {
    let user = UserId::parse("emp-0042").unwrap();
    let job = JobId(sortable_id(1, [7; 16]));
    let params = BTreeMap::new();
    let device = Device { api, partner_params: &params, geo: None };
    let made = CheckSubmission::new(check, &user, job, form, pictures, device, Repeat::AsFirst);
    made.err().map(|bad| bad.field)
}

fn of(check: Check, form: &CheckForm) -> Option<String> {
    let api = if check == Check::UpdatePhoto { Api::V1 } else { Api::V3 };
    let (selfie, liveness, others) = pictures(check);
    field(check, api, form, with(selfie, &liveness, &others))
}

fn form_of(check: Check) -> CheckForm {
    let comparison = (check == Check::Compare).then_some(Comparison::IdPhoto);
    CheckForm { comparison, ..form() }
}

#[test]
fn every_check_is_understood_with_what_it_needs() {
    for check in Check::ALL {
        assert_eq!(of(check, &form_of(check)), None, "{check:?}");
    }
}

#[test]
fn without_consent_nothing_is_made() {
    for check in Check::ALL {
        let none = CheckForm { consent: None, ..form_of(check) };
        assert_eq!(of(check, &none).as_deref(), Some("consent"));
    }
}

#[test]
fn each_field_that_is_missing_or_wrong_is_named() {
    let one = |value: &str| Some(value.to_owned());
    for (wrong, name) in [
        (CheckForm { country: None, ..form() }, "country"),
        (CheckForm { country: one("ng"), ..form() }, "country"),
        (CheckForm { id_type: None, ..form() }, "id_type"),
        (CheckForm { id_number: None, ..form() }, "id_number"),
        (CheckForm { phone: one("+234 801 234 5678"), ..form() }, "phone_number"),
        (CheckForm { given_names: "n".repeat(1000), ..form() }, "given_names"),
        (CheckForm { last_name: "\u{202e}x".into(), ..form() }, "last_name"),
        (CheckForm { email: None, ..form() }, "email"),
        (CheckForm { use_enrolled_image: true, ..form() }, "use_enrolled_image"),
        (
            CheckForm { partner_params: BTreeMap::from([("job_id".into(), "x".into())]), ..form() },
            "partner_params",
        ),
    ] {
        assert_eq!(of(Check::BiometricKyc, &wrong).as_deref(), Some(name));
    }
}

#[test]
fn each_picture_that_is_missing_or_wrong_is_named() {
    let form = form();
    let front = [(PictureKind::DocumentFront, JPEG)];
    let (six, nine): ([Picture<'_>; 6], [Picture<'_>; 9]) = ([JPEG; 6], [JPEG; 9]);
    let document = |selfie, liveness, others| {
        field(Check::DocumentVerification, Api::V3, &form, with(selfie, liveness, others))
    };
    assert_eq!(document(Some(JPEG), &six, &front), None);
    assert_eq!(document(None, &[], &front).as_deref(), Some("selfie_image"));
    assert_eq!(document(None, &six, &front).as_deref(), Some("selfie_image"));
    assert_eq!(document(Some(JPEG), &nine, &front).as_deref(), Some("liveness_images"));
    assert_eq!(document(Some(JPEG), &six, &[]).as_deref(), Some("document"));
    assert_eq!(document(Some(PNG), &six, &front).as_deref(), Some("selfie_image"));
    let back = [(PictureKind::DocumentBack, JPEG)];
    assert_eq!(document(Some(JPEG), &six, &back).as_deref(), Some("document"));
    let text = [(PictureKind::DocumentFront, Picture::Bytes(b"text"))];
    assert_eq!(document(Some(JPEG), &six, &text).as_deref(), Some("document_front"));
    let large = vec![0xff; 4_500_000];
    let mut large = large;
    large[..3].copy_from_slice(JPEG_MAGIC);
    let large = [(PictureKind::DocumentFront, Picture::Bytes(&large))];
    assert_eq!(document(Some(JPEG), &six, &large).as_deref(), Some("the pictures"));
    // A PNG to compare with, and pictures where only a number is asked about.
    let portrait = [(PictureKind::Comparison, PNG)];
    let compare = CheckForm { comparison: Some(Comparison::Portrait), ..form.clone() };
    let png = field(Check::Compare, Api::V3, &compare, with(Some(JPEG), &[], &portrait));
    assert_eq!(png.as_deref(), Some("comparison"));
    let number = field(Check::EnhancedKyc, Api::V3, &form, with(Some(JPEG), &six, &[]));
    assert_eq!(number.as_deref(), Some("selfie_image"));
}

#[test]
fn a_protocol_without_the_call_is_named_with_one_that_has_it() {
    for (check, api) in [
        (Check::Compare, Api::V1),
        (Check::UpdatePhoto, Api::V3),
        (Check::DocumentVerification, Api::V2),
        (Check::EnhancedKyc, Api::V2),
    ] {
        let (selfie, liveness, others) = pictures(check);
        let name = field(check, api, &form_of(check), with(selfie, &liveness, &others));
        assert_eq!(name.as_deref(), Some(check.name()));
    }
}

#[test]
fn the_enrolled_face_stands_in_only_where_nothing_is_enrolled() {
    let front = [(PictureKind::DocumentFront, JPEG)];
    let on_file = CheckForm { use_enrolled_image: true, ..form() };
    let document = Check::DocumentVerification;
    assert_eq!(field(document, Api::V1, &on_file, with(None, &[], &front)), None);
    assert_eq!(
        field(document, Api::V3, &on_file, with(None, &[], &front)).as_deref(),
        Some("use_enrolled_image")
    );
    assert_eq!(field(Check::Authentication, Api::V3, &on_file, with(None, &[], &[])), None);
    for check in [Check::Registration, Check::BiometricKyc, Check::UpdatePhoto] {
        let named = field(check, Api::V1, &on_file, with(None, &[], &[]));
        assert_eq!(named.as_deref(), Some("use_enrolled_image"), "{check:?}");
    }
}

#[test]
fn a_comparison_names_nobody_unless_asked_to() {
    let user = UserId::parse("emp-0042").unwrap();
    let params = BTreeMap::new();
    let device = Device { api: Api::V3, partner_params: &params, geo: None };
    let portrait = [(PictureKind::Comparison, JPEG)];
    for named in [false, true] {
        let form = CheckForm { names_user: named, ..form_of(Check::Compare) };
        let job = JobId([1; 16]);
        let pictures = with(Some(JPEG), &[], &portrait);
        let made = CheckSubmission::new(Check::Compare, &user, job, &form, pictures, device, Repeat::AsFirst);
        assert_eq!(made.unwrap().wire().names_user, named);
    }
}

#[test]
fn debug_output_shows_nobody() {
    let text = format!("{:?} {:?}", form(), form().consent);
    assert!(!text.contains("Amina") && !text.contains("0000") && !text.contains("example"));
}
