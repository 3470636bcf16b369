"""One job by the official Python client for v3.

usage: SSL_CERT_FILE=CA golden_v3.py URL PICTURES PARTNER_ID API_KEY PRODUCT USER
"""

import sys
from datetime import datetime, timezone
from pathlib import Path

import usesmileid

URL, PICTURES, PARTNER, KEY, PRODUCT, USER = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:7]
client = usesmileid.Client(partner_id=PARTNER, api_key=KEY, base_url=URL)
SELFIE = (PICTURES / "selfie.jpg").read_bytes()
FACES = {"selfie_image": SELFIE, "liveness_images": [(PICTURES / f"liveness-{number}.jpg").read_bytes() for number in range(8)]}
NUMBER = {"country": "NG", "id_type": "NIN_V2", "id_number": "00000000000"}
submit, more = {
    "registration": (client.biometric.enroll, FACES),
    "authentication": (client.biometric.authenticate, FACES),
    "compare": (client.biometric.compare, {"selfie_image": SELFIE, "comparison_image": (PICTURES / "liveness-0.jpg").read_bytes(),
                                           "comparison_image_type": "ID_PHOTO"}),
    "biometric_kyc": (client.biometric_kyc.verify, {**FACES, **NUMBER}),
    "document": (client.documents.verify, {**FACES, "country": "NG", "document": (PICTURES / "document.png").read_bytes(),
                                           "document_back": SELFIE}),
    "enhanced_kyc": (client.enhanced_kyc.verify, NUMBER),
}[PRODUCT]
accepted = submit(
    **more,
    user_id=USER,
    user_details={"given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com"},
    consent=usesmileid.Consent.granted(granted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), notice_language="EN",
                                       notice_privacy_policy_url="https://example.com/privacy"),
    callback_url="https://example.com/callback",
)
client.verifications.wait_until_complete(accepted.job_id, interval=0.1, timeout=20)
