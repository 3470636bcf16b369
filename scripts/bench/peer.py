"""The official Python client doing what `latchd bench submit` does: N authentications over one kept connection.

usage: SSL_CERT_FILE=CA peer.py URL IMAGES JOBS PARTNER_ID API_KEY     prints one JSON object
"""

import json
import os
import resource
import sys
import time
from datetime import datetime, timezone

import usesmileid

url, images, jobs, partner, key = sys.argv[1:6]


def picture(name):
    with open(os.path.join(images, name), "rb") as file:
        return file.read()


selfie = picture("selfie.jpg")
liveness = [picture(f"liveness_{index}.jpg") for index in range(8)]
client = usesmileid.Client(partner_id=partner.lstrip("0"), api_key=key, base_url=url)
consent = usesmileid.Consent.granted(
    granted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    notice_language="EN",
    notice_privacy_policy_url="https://example.com/privacy",
)
details = {
    "given_names": "Amina Fatou",
    "last_name": "Clearwater",
    "email": "amina.clearwater@example.com",
}


def authenticate():
    accepted = client.biometric.authenticate(
        user_id="bench",
        selfie_image=selfie,
        liveness_images=liveness,
        user_details=details,
        consent=consent,
        callback_url="https://example.com/callback",
    )
    assert accepted.job_id, accepted
    return accepted.job_id


# As the peer waits for a verdict by itself: how long after `after` seconds from the acceptance it knows.
if len(sys.argv) > 6:
    after, late = float(sys.argv[6]), []
    for _ in range(int(jobs)):
        job = authenticate()
        begin = time.perf_counter()
        client.verifications.wait_until_complete(job)
        late.append(max(0, int((time.perf_counter() - begin - after) * 1e6)))
    late.sort()
    print(json.dumps({"late_us_p50": late[len(late) // 2], "late_us_p99": late[-1]}))
    sys.exit(0)

# Token and connection, as the peer does before its first measured job.
if int(jobs) > 1:
    authenticate()
begin = resource.getrusage(resource.RUSAGE_SELF)
wall = []
for _ in range(int(jobs)):
    start = time.perf_counter()
    authenticate()
    wall.append(int((time.perf_counter() - start) * 1e6))
end = resource.getrusage(resource.RUSAGE_SELF)
cpu = (end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime) * 1e6 / len(wall)
print(json.dumps({
    "jobs": len(wall),
    "wall_us_median": sorted(wall)[len(wall) // 2],
    "cpu_us_per_job": int(cpu),
    "peak_rss_kib": end.ru_maxrss,
}))
