//! The multipart body of the entry calls: which parts there may be, how often, and in what form.

use http_body_util::{BodyDataStream, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::Value;

use super::boundary;
use crate::access::Check;
use crate::sandbox::answer::Answer;
use crate::sandbox::picture::{is_jpeg, is_jpeg_or_png};

/// The parts of an entry call, each checked by itself.
#[derive(Default)]
pub(in crate::sandbox) struct Form {
    pub selfie: Option<Bytes>,
    pub liveness: Vec<Bytes>,
    pub user_id: Option<String>,
    pub callback_url: Option<String>,
    pub sandbox_result: Option<String>,
    pub use_enrolled_image: Option<bool>,
    pub allow_new_enroll: Option<bool>,
    pub consent: Option<Value>,
    pub user_details: Option<Value>,
    pub partner_params: Option<Value>,
    pub metadata: Option<Value>,
    pub document: Option<Bytes>,
    pub document_back: Option<Bytes>,
    pub comparison: Option<Bytes>,
    pub comparison_type: Option<String>,
    pub country: Option<String>,
    pub id_type: Option<String>,
    pub id_number: Option<String>,
    pub bank_code: Option<String>,
    pub operator: Option<String>,
    pub body_bytes: usize,
}

/// Liveness pictures that a job has.
const LIVENESS: std::ops::RangeInclusive<usize> = 6..=8;
/// A part that is no picture.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Reads and checks the body of an entry call.
pub(in crate::sandbox) async fn read_form(
    product: Check,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Form, Answer> {
    let boundary = boundary(headers)?;
    let mut form = Form { body_bytes: body.len(), ..Form::default() };
    let limit = [
        "user_id",
        "callback_url",
        "sandbox_result",
        "consent",
        "user_details",
        "partner_params",
        "metadata",
        "comparison_image_type",
        "country",
        "id_type",
        "id_number",
        "bank_code",
        "operator",
    ]
    .into_iter()
    .fold(SizeLimit::new(), |limit, name| limit.for_field(name, TEXT_BYTES_MAX));
    let stream = BodyDataStream::new(Full::new(body));
    let mut parts = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(limit));
    let malformed = || Answer::refusal(400, "The multipart body is malformed.");
    while let Some(part) = parts.next_field().await.map_err(|_| malformed())? {
        let name = part.name().unwrap_or_default().to_owned();
        let wrong = || Answer::field(&name);
        if !allowed(product, &name) {
            return Err(wrong());
        }
        match name.as_str() {
            "selfie_image" => once(&mut form.selfie, picture(part).await).ok_or_else(wrong)?,
            "liveness_images" => {
                form.liveness.push(picture(part).await.ok_or_else(wrong)?);
                if form.liveness.len() > *LIVENESS.end() {
                    return Err(wrong());
                }
            }
            "consent" => once(&mut form.consent, json(part).await).ok_or_else(wrong)?,
            "user_details" => once(&mut form.user_details, json(part).await).ok_or_else(wrong)?,
            "partner_params" => once(&mut form.partner_params, json(part).await).ok_or_else(wrong)?,
            "metadata" => once(&mut form.metadata, json(part).await).ok_or_else(wrong)?,
            "user_id" => once(&mut form.user_id, text(part).await).ok_or_else(wrong)?,
            "callback_url" => once(&mut form.callback_url, text(part).await).ok_or_else(wrong)?,
            "sandbox_result" => once(&mut form.sandbox_result, text(part).await).ok_or_else(wrong)?,
            "use_enrolled_image" => {
                once(&mut form.use_enrolled_image, truth(part).await).ok_or_else(wrong)?
            }
            "allow_new_enroll" => once(&mut form.allow_new_enroll, truth(part).await).ok_or_else(wrong)?,
            "document" => once(&mut form.document, document(part).await).ok_or_else(wrong)?,
            "document_back" => once(&mut form.document_back, document(part).await).ok_or_else(wrong)?,
            "comparison_image" => once(&mut form.comparison, picture(part).await).ok_or_else(wrong)?,
            "comparison_image_type" => {
                once(&mut form.comparison_type, text(part).await).ok_or_else(wrong)?;
            }
            "country" => once(&mut form.country, text(part).await).ok_or_else(wrong)?,
            "id_type" => once(&mut form.id_type, text(part).await).ok_or_else(wrong)?,
            "id_number" => once(&mut form.id_number, text(part).await).ok_or_else(wrong)?,
            "bank_code" => once(&mut form.bank_code, text(part).await).ok_or_else(wrong)?,
            "operator" => once(&mut form.operator, text(part).await).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        }
    }
    pictures_complete(product, &form)?;
    fields_complete(product, &form)?;
    Ok(form)
}

/// Which parts a call takes besides those that every call takes.
fn allowed(product: Check, name: &str) -> bool {
    use Check::{
        Authentication, BiometricKyc, Compare, EnhancedDocumentVerification, EnhancedKyc, Registration,
    };
    let document = matches!(product, Check::DocumentVerification | EnhancedDocumentVerification);
    match name {
        "selfie_image" | "liveness_images" => product != EnhancedKyc,
        "use_enrolled_image" => product == Authentication,
        "allow_new_enroll" => matches!(product, Registration | Compare),
        "sandbox_result" => matches!(product, Authentication | Registration | BiometricKyc | Compare),
        "document" | "document_back" => document,
        "comparison_image" | "comparison_image_type" => product == Compare,
        "country" | "id_type" => document || matches!(product, BiometricKyc | EnhancedKyc),
        "id_number" => matches!(product, BiometricKyc | EnhancedKyc),
        "bank_code" | "operator" => product == EnhancedKyc,
        _ => true,
    }
}

fn pictures_complete(product: Check, form: &Form) -> Result<(), Answer> {
    if form.use_enrolled_image == Some(true) || product == Check::EnhancedKyc {
        return Ok(());
    }
    if form.selfie.is_none() {
        return Err(Answer::field("selfie_image"));
    }
    let alone = product == Check::Compare && form.liveness.is_empty();
    if !alone && !LIVENESS.contains(&form.liveness.len()) {
        return Err(Answer::field("liveness_images"));
    }
    if allowed(product, "document") && form.document.is_none() {
        return Err(Answer::field("document"));
    }
    if product == Check::Compare && form.comparison.is_none() {
        return Err(Answer::field("comparison_image"));
    }
    Ok(())
}

fn fields_complete(product: Check, form: &Form) -> Result<(), Answer> {
    let is_country = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    if allowed(product, "country") && !form.country.as_deref().is_some_and(is_country) {
        return Err(Answer::field("country"));
    }
    let typed = allowed(product, "id_type") && product != Check::DocumentVerification;
    if typed && form.id_type.is_none() {
        return Err(Answer::field("id_type"));
    }
    if allowed(product, "id_number") && form.id_number.is_none() {
        return Err(Answer::field("id_number"));
    }
    let known = ["DOCUMENT", "ID_PHOTO", "PORTRAIT"];
    let compared = form.comparison_type.as_deref().is_some_and(|word| known.contains(&word));
    if product == Check::Compare && !compared {
        return Err(Answer::field("comparison_image_type"));
    }
    Ok(())
}

/// Fills an empty place with something; a second part of one name is refused.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}

async fn picture(part: Field<'_>) -> Option<Bytes> {
    if !is_typed(&part, "image/jpeg") || part.file_name().is_none_or(str::is_empty) {
        return None;
    }
    whole(part).await.filter(|bytes| is_jpeg(bytes))
}

async fn document(part: Field<'_>) -> Option<Bytes> {
    let typed = is_typed(&part, "image/jpeg") || is_typed(&part, "image/png");
    if !typed || part.file_name().is_none_or(str::is_empty) {
        return None;
    }
    whole(part).await.filter(|bytes| is_jpeg_or_png(bytes))
}

async fn json(part: Field<'_>) -> Option<Value> {
    if !is_typed(&part, "application/json") || part.file_name().is_some() {
        return None;
    }
    serde_json::from_slice(&whole(part).await?).ok()
}

async fn text(part: Field<'_>) -> Option<String> {
    let plain = part.content_type().is_none_or(|kind| kind.essence_str() == "text/plain");
    if !plain || part.file_name().is_some() {
        return None;
    }
    let text = String::from_utf8(whole(part).await?.to_vec()).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

async fn truth(part: Field<'_>) -> Option<bool> {
    match text(part).await?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn is_typed(part: &Field<'_>, kind: &str) -> bool {
    part.content_type().is_some_and(|found| found.essence_str() == kind)
}

/// The part's bytes. The body lies in memory whole, so that a part is one piece of it and nothing is copied.
async fn whole(mut part: Field<'_>) -> Option<Bytes> {
    let first = part.chunk().await.ok()?.unwrap_or_default();
    match part.chunk().await.ok()? {
        None => Some(first),
        Some(second) => {
            let mut all = [first, second].concat();
            while let Some(next) = part.chunk().await.ok()? {
                all.extend_from_slice(&next);
            }
            Some(all.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &[u8]) -> Result<Form, Answer> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "multipart/form-data; boundary=x".parse().unwrap());
        let body = Bytes::copy_from_slice(body);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(read_form(
            Check::Authentication,
            &headers,
            body,
        ))
    }

    fn part(name: &str, value: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    proptest! {
        /// Any scalar comes out as it went in; any damage is refused with 400 or leaves a form, never a panic.
        #[test]
        fn a_form_is_read_or_refused(user in "[A-Za-z0-9 _.-]{1,40}", at in any::<prop::sample::Index>(), byte: u8) {
            let whole = format!("{}{}--x--\r\n", part("user_id", &user), part("use_enrolled_image", "true"));
            let Ok(form) = read(whole.as_bytes()) else { panic!("refused") };
            prop_assert_eq!(form.user_id.as_deref(), Some(user.as_str()));
            let mut damaged = whole.into_bytes();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            if let Err(answer) = read(&damaged) {
                prop_assert_eq!(answer.status, 400);
            }
        }
    }

    #[test]
    fn a_text_part_is_bounded() {
        let most = usize::try_from(TEXT_BYTES_MAX).unwrap();
        let form = |length: usize| {
            read(
                format!(
                    "{}{}--x--\r\n",
                    part("use_enrolled_image", "true"),
                    part("user_id", &"a".repeat(length))
                )
                .as_bytes(),
            )
        };
        assert!(form(most).is_ok());
        assert!(form(most + 1).is_err());
    }
}
