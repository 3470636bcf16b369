"""What the vendor's clients send and what latchd sends for the same job, part by part.

Each difference must stand in a table of docs/protocol.md with its reason, and nothing else may stand there.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from recorder import Recorder

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/protocol.md"
# Of no meaning between two programs: the connection's own headers, and what each names itself.
HEADERS_LEFT_OUT = {"host", "connection", "content-length", "content-type", "accept", "accept-encoding", "accept-language",
                    "user-agent", "smileid-token"}
PRODUCTS = ["registration", "authentication", "biometric_kyc", "document", "enhanced_kyc", "compare"]
PERSON = {"may_open": True, "given_names": "Amina Fatou", "last_name": "Clearwater",
          "email": "amina.clearwater@example.com", "consent_granted_at": "2026-01-02T03:04:05Z", "consent_language": "EN",
          "consent_policy_url": "https://example.com/privacy"}
LATCHD = """
[device]
state_dir = "{place}"
run_dir = "{place}"
device_key_file = "{place}/device.key"
[smile]
api = "{api}"
base_url = "{url}"
ca_file = "{ca}"
partner_id = "{partner}"
api_key_file = "{place}/api-key"
callback_url = "https://example.com/callback"
poll_interval_ms = 100
[camera]
source = "file"
file = "{selfie}"
[door]
name = "golden"
guard_config = "{place}/guard.toml"
guard_socket = "{place}/guard.sock"
[queue]
min_free_mib = 0
"""
# A value that is made anew for each job or moment, and the free names of files: that it is there is what counts.
MADE_ANEW = re.compile(r"(timestamp|signature|granted_at|job_id|upload_url|smile_job_id|server_information|granted_date|"
                       r"images\[\d+\]\.file_name)$")


def latchd(program, place, pictures, recorder, sandbox, api, product, user):
    """The job as `latchd` sends it: from files, without a daemon."""
    place.mkdir()
    place.chmod(0o700)
    files = {"api-key": sandbox.key, "people.json": json.dumps([{"user_id": user, **PERSON}]),
             "guard.toml": f'lock = "fail-secure"\n[line]\nkind = "recording"\nfile = "{place}/line.edges"\n',
             "latchd.toml": LATCHD.format(place=place, api=api, url=recorder.url, ca=sandbox.ca, partner=sandbox.partner,
                                          selfie=pictures / "selfie.jpg")}
    for name, text in files.items():
        (place / name).write_text(text)
        (place / name).chmod(0o600)
    call = lambda *words: subprocess.run([program, *words, "--config", place / "latchd.toml"], capture_output=True,
                                         text=True, timeout=60, check=False)
    call("people", "import", place / "people.json")
    recorder.take()
    done = call(*command(product, user, pictures, api))
    return recorder.take(), (done.stdout + done.stderr).strip()[-300:]


def command(product, user, pictures, api):
    """latchd's words for a product."""
    selfie = ["--image", pictures / "selfie.jpg"]
    faces = [*selfie, *(word for number in range(8) for word in ("--liveness", pictures / f"liveness-{number}.jpg"))]
    number = ["--country", "NG", "--id-type", "NIN_V2", "--id-number", "00000000000"]
    # Of v1 the older rule: documents are JPEG.
    front = pictures / ("document.png" if api == "v3" else "selfie.jpg")
    return {
        "authentication": ["authenticate", "--user-id", user, *faces],
        "registration": ["enroll", "--user-id", user, *faces],
        "compare": ["submit", "compare", "--user-id", user, *selfie, "--comparison", pictures / "liveness-0.jpg",
                    "--comparison-type", "id-photo"],
        "biometric_kyc": ["submit", "biometric-kyc", "--user-id", user, *faces, *number],
        "document": ["submit", "document", "--user-id", user, *faces, "--country", "NG", "--document", front,
                     "--document-back", pictures / "selfie.jpg"],
        "enhanced_kyc": ["submit", "enhanced-kyc", "--user-id", user, *number],
    }[product]


def vendor(environment, pictures, recorder, sandbox, api, product, user):
    """The same job as the vendor's client sends it."""
    script = Path(__file__).with_name(f"golden_{api}.py")
    done = subprocess.run([environment / "bin/python", script, recorder.url, pictures, sandbox.partner, sandbox.key, product, user],
                          env={"SSL_CERT_FILE": sandbox.ca, "REQUESTS_CA_BUNDLE": sandbox.ca, "PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, timeout=60, check=False)
    return recorder.take(), done.stderr.strip()[-300:]


def facts(requests, user):
    """{(call, where): value} of a job's requests; of calls that are repeated the first."""
    found = {}
    for request in requests:
        call = f"{request.method} {request.path}"
        rows = {f"header {name}": value for name, value in request.headers.items() if name not in HEADERS_LEFT_OUT}
        rows.update(request.parts)
        for where, value in rows.items():
            found.setdefault((call, where), "(made anew)" if MADE_ANEW.search(where) else
                             value.replace(user, "USER"))
    return found


def differences(theirs, ours):
    """`call: where`, or for a header that all calls have `where`, with both values."""
    found = {}
    for call, where in sorted(set(theirs) | set(ours)):
        values = (theirs.get((call, where), "-"), ours.get((call, where), "-"))
        # How a part is written that only one of them sends is no difference of its own.
        about_form = where.endswith((" type", " file name")) and "-" in values
        if values[0] != values[1] and not about_form:
            found[where if where.startswith("header") else f"{call}: {where}"] = values
    return found


def explained():
    """The rows of the page's table."""
    text = PAGE.read_text()
    table = text[text.index("<!-- golden:begin -->"):text.index("<!-- golden:end -->")]
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", table))


def compare(program, environment, place, sandbox):
    """A row for each job, and one for what the page explains in vain."""
    rows, seen = [], set()
    recorder = Recorder(sandbox)
    try:
        for api in ("v1", "v3"):
            for product in PRODUCTS:
                if (api, product) == ("v1", "compare"):
                    continue
                # Two people, so that each is new to the service; for an authentication v1 must know them already.
                users = [f"golden-{who}-{product}" for who in ("theirs", "ours")]
                theirs, told = vendor(environment, place, recorder, sandbox, api, product, users[0])
                ours, said = latchd(program, place / f"golden-{api}-{product}", place, recorder, sandbox, api, product,
                                    users[1])
                found = {f"{api} {key}": values
                         for key, values in differences(facts(theirs, users[0]), facts(ours, users[1])).items()}
                seen |= set(found)
                new = {key: values for key, values in found.items() if key not in explained()}
                # A number's check in v1 is one call.
                least = 1 if (api, product) == ("v1", "enhanced_kyc") else 2
                complete = len(theirs) >= least and len(ours) >= least
                rows.append({"sdk": f"golden {api}", "product": product, "case": "the vendor's client and latchd",
                             "passed": complete and not new, "wanted": "no unexplained difference",
                             "got": f"{len(found)} differences, all explained" if complete and not new else
                             json.dumps(new, indent=1) if complete else (told, said)})
    finally:
        recorder.end()
    stale = sorted(explained() - seen)
    rows.append({"sdk": "golden", "product": "docs/protocol.md", "case": "nothing explained in vain", "passed": not stale,
                 "got": stale or "none", "wanted": "none"})
    return rows


if __name__ == "__main__":
    sys.exit("run by run.py")
