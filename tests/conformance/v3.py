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
    case("status", "of no job", "not_found", lambda: service.verifications.retrieve("job_" + "0" * 26).status)


main()
