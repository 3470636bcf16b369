#!/usr/bin/env python3
"""The vendor's own clients and its OpenAPI file against `latchd sandbox`, over TLS. See docs/sandbox.md.

usage: run.py LATCHD ENVIRONMENT     run by scripts/conformance.sh, which makes the environment
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import ssl
from pathlib import Path

from PIL import Image

import golden

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTNER, KEY = "1234", "conformance-key"
LIMIT = 180  # seconds for a driver; only a failed run meets it
SCENARIO = """
enrolled = ["v1-denied", "v1-spoof", "v1-spoof-not", "golden-theirs-authentication", "golden-ours-authentication"]

[default]
decide_after_ms = 100
""" + "".join(f"""
[[user]]
id = "{user}"
{rule}
""" for user, rule in [
    ("new-1", 'verdict = "clear"'),
    *((f"is-{word}", f'verdict = "{word}"') for word in ("clear", "block", "attention", "error")),
    ("v1-denied", 'verdict = "block"'),
    ("v1-spoof", 'result_code = "0823"'),
])
# The paths of the OpenAPI file that the sandbox plays.
PATHS = ["/v3/token", "/v3/registration", "/v3/authentication", "/v3/compare", "/v3/biometric_kyc", "/v3/document_verification",
         "/v3/enhanced_document_verification", "/v3/enhanced_kyc", "/v3/status/{jobId}", "/v3/replay/{job_id}", "/v3/services/bank_codes",
         "/v3/services/supported_id_types", "/v3/services/supported_documents"]
SEED = 20261125


def pictures(place):
    """A selfie and eight liveness images, as small as the service's rules for devices make them."""
    photograph = Image.open(ROOT / "tests/fixtures/astronaut.png").convert("RGB")
    photograph.resize((640, 640)).save(place / "selfie.jpg", quality=85)
    photograph.resize((640, 400)).save(place / "document.png")
    for number in range(8):
        photograph.resize((320, 320)).rotate(number).save(place / f"liveness-{number}.jpg", quality=80)


class Sandbox:
    def __init__(self, latchd, place):
        (place / "scenario.toml").write_text(SCENARIO)
        self.process = subprocess.Popen(
            [latchd, "sandbox", "--listen", "127.0.0.1:0", "--partner-id", PARTNER, "--api-key", KEY, "--tls-dir",
             place / "tls", "--scenario", place / "scenario.toml"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=(place / "sandbox.log").open("w"), text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"latchd sandbox does not start: {(place / 'sandbox.log').read_text()[-500:]}")
        said = json.loads(line)
        self.url, self.ca, self.tls = said["listening"], str(place / "tls/ca.pem"), place / "tls"
        self.partner, self.key = PARTNER, KEY

    def token(self):
        request = urllib.request.Request(f"{self.url}/v3/token", data=b"", headers={
            "smileid-partner-id": PARTNER, "smileid-api-key": KEY})
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca)) as answer:
            return json.load(answer)["token"]

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def drive(name, command, env):
    """Runs a driver; its cases, and one more if it did not come to its end."""
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=LIMIT, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not rows:
        rows.append({"sdk": name, "product": "-", "case": "runs to its end", "passed": False, "wanted": 0,
                     "got": (done.returncode, done.stderr[-800:])})
    return rows


def fuzz(sandbox, environment, place):
    """schemathesis: no server error, no answer that its schema does not have."""
    spec = ROOT / "tests/fixtures/openapi-edge-subset.yaml"
    command = [environment / "bin/schemathesis", "run", spec, "--url", sandbox.url, "--tls-verify", sandbox.ca,
               "--header", f"SmileID-Token: {sandbox.token()}", "--header", f"smileid-api-key: {KEY}",
               "--header", f"smileid-partner-id: {PARTNER}", "--seed", str(SEED), "--max-examples", "25",
               "--phases", "examples,coverage,fuzzing", "--no-color", "--generation-database", "none",
               # What the file cannot express: that a picture is a picture, that a token is one of ours.
               "--exclude-checks", "positive_data_acceptance,negative_data_rejection,ignored_auth",
               *(word for path in PATHS for word in ("--include-path", path))]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "pictures", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(list(map(str, command)), cwd=place, env=env, capture_output=True, text=True, timeout=LIMIT,
                          check=False)
    summary = re.search(r"(?m)^.*\d+ generated.*$", done.stdout[-1500:])
    (place / "schemathesis.log").write_text(done.stdout + done.stderr)
    return [{"sdk": "schemathesis 4.32", "product": f"{len(PATHS)} paths of v3", "case": "server errors, response schemas",
             "passed": done.returncode == 0, "wanted": 0,
             "got": summary[0].strip() if done.returncode == 0 and summary else done.stdout[-4000:]}]


def main():
    latchd, environment = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    began = time.monotonic()
    python = str(environment / "bin/python")
    with tempfile.TemporaryDirectory(prefix="latchd-conformance-") as name:
        place = Path(name)
        pictures(place)
        sandbox = Sandbox(latchd, place)
        try:
            tail = [sandbox.url, str(place), PARTNER, KEY]
            drivers = [
                ("usesmileid", [python, str(HERE / "v3.py"), *tail], {"SSL_CERT_FILE": sandbox.ca}),
                ("smile-id-core", [python, str(HERE / "v1.py"), *tail], {"REQUESTS_CA_BUNDLE": sandbox.ca}),
                ("smile-identity-core", ["node", str(HERE / "v1.js"), *tail],
                 {"NODE_EXTRA_CA_CERTS": sandbox.ca, "NODE_PATH": str(environment / "js/node_modules")}),
            ]
            # Most of a driver's time is its own waiting between two polls.
            with concurrent.futures.ThreadPoolExecutor() as pool:
                rows = [row for some in pool.map(lambda driver: drive(*driver), drivers) for row in some]
            rows += golden.compare(latchd, environment, place, sandbox)
            rows += fuzz(sandbox, environment, place)
        finally:
            sandbox.end()
    for row in rows:
        print(f"{'ok  ' if row['passed'] else 'FAIL'} {row['sdk']:<38} {row['product']:<31} {row['case']:<32} {row['got']}"
              + ("" if row["passed"] else f", wanted {row['wanted']}"))
    failed = sum(not row["passed"] for row in rows)
    print(f"conformance: {len(rows) - failed} passed, {failed} failed, 0 skipped in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
