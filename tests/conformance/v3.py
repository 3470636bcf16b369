"""The official Python client for v3 against a service. Prints one JSON object a case.

usage: SSL_CERT_FILE=CA v3.py URL PICTURES PARTNER_ID API_KEY
"""

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import usesmileid
from usesmileid import errors

URL, PICTURES, PARTNER, KEY = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
SELFIE = (PICTURES / "selfie.jpg").read_bytes()
LIVENESS = [(PICTURES / f"liveness-{number}.jpg").read_bytes() for number in range(8)]
DOCUMENT = (PICTURES / "document.png").read_bytes()
DETAILS = {"given_names": "Ada", "last_name": "Example", "email": "ada.example@example.com"}
KNOWN = {"given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com"}
CONSENT = usesmileid.Consent.granted(granted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
                                     notice_language="EN",
                                     notice_privacy_policy_url="https://example.com/privacy")


def client(key=KEY):
    return usesmileid.Client(partner_id=PARTNER, api_key=key, base_url=URL)


def case(product, name, wanted, work):
    """`wanted` is what the client is to understand: a status word, or an error's class."""
    try:
        got = work()
    except errors.SmileIDError as error:
        got = f"{type(error).__name__}"
    print(json.dumps({"sdk": "usesmileid (Python, v3)", "product": product, "case": name, "passed": got == wanted,
                      "got": got, "wanted": wanted}), flush=True)


def pictures(details=DETAILS):
    return {"selfie_image": SELFIE, "liveness_images": LIVENESS, "user_details": details, "consent": CONSENT,
            "callback_url": "https://example.com/callback"}


def about(user, **more):
    """What every check but authentication and registration is given besides its pictures."""
    return {"user_id": user, "user_details": DETAILS, "consent": CONSENT, "country": "NG",
            "callback_url": "https://example.com/callback", **more}


def faces():
    return {"selfie_image": SELFIE, "liveness_images": LIVENESS}


def ended(service, accepted):
    return service.verifications.wait_until_complete(accepted.job_id, interval=0.1, timeout=20).status


def main():
    service = client()

    def enrol(user, **more):
        return lambda: ended(service, service.biometric.enroll(user_id=user, **pictures(), **more))

    def authenticate(user, details=DETAILS):
        return lambda: ended(service, service.biometric.authenticate(user_id=user, **pictures(details)))

    case("registration", "approved", "clear", enrol("new-1"))
    case("registration", "enrolled already", "block", enrol("new-1"))
    case("registration", "enrolled already, replaced", "clear", enrol("new-1", allow_new_enroll=True))
    for word in ("clear", "block", "attention", "error"):
        case("authentication", f"decided: {word}", word, authenticate(f"is-{word}"))
    case("authentication", "a published test identity", "clear", authenticate("anybody", KNOWN))
    case("authentication", "nobody's identity", "InvalidRequestError", authenticate("nobody"))
    case("authentication", "another API key", "AuthenticationError", lambda: client("another-key").biometric.authenticate(
        user_id="is-clear", **pictures()))
    for word in ("clear", "block"):
        user = f"is-{word}"
        number = {"id_type": "NIN_V2", "id_number": "00000000000"}
        case("biometric_kyc", f"decided: {word}", word, lambda user=user: ended(service, service.biometric_kyc.verify(
            **about(user, **faces(), **number))))
        case("document_verification", f"decided: {word}", word, lambda user=user: ended(service, service.documents.verify(
            **about(user, **faces(), document=DOCUMENT, document_back=SELFIE))))
        case("enhanced_document_verification", f"decided: {word}", word,
             lambda user=user: ended(service, service.documents.verify_enhanced(
                 **about(user, **faces(), document=SELFIE, id_type="PASSPORT"))))
        case("enhanced_kyc", f"decided: {word}", word, lambda user=user: ended(service, service.enhanced_kyc.verify(
            **about(user, **number, bank_code="044"))))
        compared = {key: value for key, value in about(user).items() if key != "country"}
        case("compare", f"decided: {word}", word, lambda compared=compared: ended(service, service.biometric.compare(
            selfie_image=SELFIE, comparison_image=SELFIE, comparison_image_type="ID_PHOTO", **compared)))
    case("biometric_kyc", "lower-case country", "InvalidRequestError", lambda: service.biometric_kyc.verify(
        **{**about("is-clear", **faces(), **number), "country": "ng"}))
    case("authentication", "by the picture on file", "clear", lambda: ended(service, service.biometric.authenticate(
        user_id="golden-ours-authentication", use_enrolled_image=True, user_details=KNOWN, consent=CONSENT,
        callback_url="https://example.com/callback")))
    case("services", "id types of a country", ["NATIONAL_ID"], lambda: [
        entry.type for entry in service.services.supported_id_types(country="KE").id_types])
    case("services", "documents", 2, lambda: len(service.services.supported_documents().valid_documents))
    case("services", "bank codes", 2, lambda: len(service.services.bank_codes().bank_codes))
    def replay(job):
        return lambda: service.verifications.replay(job).status

    finished = service.biometric.authenticate(user_id="is-clear", **pictures())
    ended(service, finished)
    case("replay", "of a finished job", "accepted", replay(finished.job_id))
    case("replay", "of no job", "NotFoundError", replay("job_" + "0" * 26))
    case("status", "of no job", "not_found", lambda: service.verifications.retrieve("job_" + "0" * 26).status)


main()
