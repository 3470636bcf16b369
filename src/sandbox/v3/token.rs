//! `POST /v3/token`, and the token on every other call.

use http_body_util::{BodyDataStream, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use multer::Multipart;
use serde_json::json;

use super::boundary;
use crate::sandbox::answer::Answer;
use crate::sandbox::seal::{self, Claims};
use crate::sandbox::service::Service;

/// Products a token can be bound to.
const PRODUCTS: [&str; 12] = [
    "aml",
    "basic_kyc",
    "one_time_aml",
    "biometric_kyc",
    "address_verification",
    "document_verification",
    "enhanced_document_verification",
    "enhanced_kyc",
    "phone_number_verification",
    "smart_selfie_authentication",
    "smart_selfie_registration",
    "smart_selfie_compare",
];

/// Issues a token for partner id and API key.
pub(in crate::sandbox) async fn issue(service: &Service, headers: &HeaderMap, body: Bytes) -> Answer {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| Answer::refusal(400, format!("{name} header is required.")))
    };
    let (partner_id, api_key) = match (header("smileid-partner-id"), header("smileid-api-key")) {
        (Ok(partner_id), Ok(api_key)) => (partner_id, api_key),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    if partner_id.starts_with('0') || partner_id.is_empty() || !partner_id.bytes().all(|b| b.is_ascii_digit())
    {
        return Answer::field("smileid-partner-id");
    }
    // Both are compared, whatever the first says.
    let known = seal::same_secret(service.v3_partner_id(), partner_id);
    if !(seal::same_secret(service.key(), api_key) & known) {
        return Answer::refusal(401, "Invalid authentication credentials.");
    }
    let bound = match bindings(headers, body).await {
        Ok(bound) => bound,
        Err(answer) => return answer,
    };
    let issued = service.wall().as_unix_millis().div_euclid(1000);
    let life = i64::from(service.world().scenario.token_seconds);
    let claims = Claims {
        issued,
        expires: issued.saturating_add(life),
        partner_id: partner_id.to_owned(),
        api_url: api_url(service),
        user_id: bound.user_id,
        product: bound.product,
    };
    Answer::json(200, json!({ "token": seal::mint_token(service.key(), &claims) }))
}

#[derive(Default)]
struct Bound {
    user_id: Option<String>,
    product: Option<String>,
}

/// The optional body: what the token is bound to.
async fn bindings(headers: &HeaderMap, body: Bytes) -> Result<Bound, Answer> {
    let mut bound = Bound::default();
    if body.is_empty() {
        return Ok(bound);
    }
    let malformed = |_| Answer::refusal(400, "The multipart body is malformed.");
    let mut parts = Multipart::new(BodyDataStream::new(Full::new(body)), boundary(headers)?);
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        let name = part.name().unwrap_or_default().to_owned();
        let text = part.text().await.map_err(malformed)?;
        match name.as_str() {
            "user_id" if bound.user_id.is_none() && !text.is_empty() => bound.user_id = Some(text),
            "product" if bound.product.is_none() && PRODUCTS.contains(&text.as_str()) => {
                bound.product = Some(text);
            }
            "partner_params"
                if serde_json::from_str::<std::collections::BTreeMap<String, String>>(&text).is_ok() => {}
            "payload" => {
                return Err(Answer::refusal(
                    400,
                    "This sandbox does not play fields bound into a token: payload.",
                ));
            }
            _ => return Err(Answer::field(&name)),
        }
    }
    Ok(bound)
}

/// What the token of this call says; the gateway's 401 when it has none that is live and ours.
pub(in crate::sandbox) fn check_token(service: &Service, headers: &HeaderMap) -> Result<Claims, Answer> {
    let now = service.wall().as_unix_millis().div_euclid(1000);
    headers
        .get("smileid-token")
        .and_then(|value| value.to_str().ok())
        .and_then(|token| seal::read_token(service.key(), token))
        .filter(|claims| claims.partner_id == service.v3_partner_id() && claims.api_url == api_url(service))
        .filter(|claims| claims.issued <= now.saturating_add(CLOCK_STEP_S) && now < claims.expires)
        .ok_or_else(|| Answer::gateway(401))
}

/// A wall clock that is set back between two calls does not make a token foreign.
const CLOCK_STEP_S: i64 = 60;

fn api_url(service: &Service) -> String {
    format!("{}/v3", service.base_url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::answer::Content;
    use crate::sandbox::scenario::Scenario;
    use crate::sandbox::service::tests::service;
    use std::time::Duration;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn token(answer: Answer) -> String {
        let Content::Json(body) = answer.content else { panic!("no JSON") };
        body["token"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_token_lives_its_seconds_and_no_longer() {
        let (service, clock) = service(Scenario { token_seconds: 10, ..Scenario::default() });
        let ask = headers(&[("smileid-partner-id", "85"), ("smileid-api-key", "test-key")]);
        let token = token(run(issue(&service, &ask, Bytes::new())));
        let with = headers(&[("smileid-token", &token)]);
        assert_eq!(check_token(&service, &with).unwrap().partner_id, "85");
        clock.advance(Duration::from_millis(9_999));
        assert!(check_token(&service, &with).is_ok());
        clock.advance(Duration::from_millis(1));
        assert_eq!(check_token(&service, &with).unwrap_err().status, 401);
    }

    #[test]
    fn wrong_credentials_get_no_token() {
        let (service, _) = service(Scenario::default());
        for (partner, key, status) in
            [("85", "other", 401), ("86", "test-key", 401), ("085", "test-key", 400), ("", "test-key", 400)]
        {
            let ask = headers(&[("smileid-partner-id", partner), ("smileid-api-key", key)]);
            assert_eq!(run(issue(&service, &ask, Bytes::new())).status, status, "{partner} {key}");
        }
        let ask = headers(&[("smileid-partner-id", "85")]);
        assert_eq!(run(issue(&service, &ask, Bytes::new())).status, 400);
    }

    #[test]
    fn a_token_of_another_host_is_foreign() {
        let (here, _) = service(Scenario::default());
        let (mut there, _) = service(Scenario::default());
        there.base_url = "https://127.0.0.1:2".into();
        let ask = headers(&[("smileid-partner-id", "85"), ("smileid-api-key", "test-key")]);
        let token = token(run(issue(&there, &ask, Bytes::new())));
        assert_eq!(check_token(&here, &headers(&[("smileid-token", &token)])).unwrap_err().status, 401);
        assert_eq!(check_token(&here, &HeaderMap::new()).unwrap_err().status, 401);
    }
}
