"""One job by the official Python client for v3.

usage: SSL_CERT_FILE=CA golden_v3.py URL PICTURES PARTNER_ID API_KEY registration|authentication USER
"""

import sys
from datetime import datetime, timezone
from pathlib import Path

import usesmileid

URL, PICTURES, PARTNER, KEY, PRODUCT, USER = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:7]
client = usesmileid.Client(partner_id=PARTNER, api_key=KEY, base_url=URL)
submit = {"registration": client.biometric.enroll, "authentication": client.biometric.authenticate}[PRODUCT]
accepted = submit(
    user_id=USER,
    selfie_image=(PICTURES / "selfie.jpg").read_bytes(),
    liveness_images=[(PICTURES / f"liveness-{number}.jpg").read_bytes() for number in range(8)],
    user_details={"given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com"},
    consent=usesmileid.Consent.granted(granted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), notice_language="EN",
                                       notice_privacy_policy_url="https://example.com/privacy"),
    callback_url="https://example.com/callback",
)
client.verifications.wait_until_complete(accepted.job_id, interval=0.1, timeout=20)
