"""How much memory a daemon needs above idle to send a job of 4 MB. Part of run.py.

usage: stream.py LATCHD     prints one JSON object
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

LATCHD = str(pathlib.Path(sys.argv[1]).resolve())
PICTURE = 3_900_000
CONFIG = """
[device]
state_dir = "{place}"
run_dir = "{place}"
device_key_file = "{place}/device.key"
[smile]
base_url = "{url}"
ca_file = "{place}/tls/ca.pem"
partner_id = "1234"
api_key_file = "{place}/api-key"
callback_url = "https://example.com/callback"
[camera]
source = "file"
file = "{place}/small.png"
[door]
name = "bench"
guard_config = "{place}/guard.toml"
guard_socket = "{place}/guard.sock"
[queue]
min_free_mib = 0
backoff_min_ms = 500
backoff_max_ms = 1000
"""
FORM = {"given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com", "country": "NG",
        "consent": {"granted_at": "2026-01-02T03:04:05Z", "language": "EN", "policy_url": "https://example.com/privacy"}}


def memory(pid, field):
    return int(re.search(rf"{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit("stream.py: the job did not come to its end")
        time.sleep(0.1)


# The large job is refused before its pictures a few times.
LATER = """
[[fault]]
endpoint = "v3/document_verification"
kind = "drop-before-body"
calls = [1, 2, 3, 4, 5, 6]
"""


def sandbox(place, port=0):
    (place / "later.toml").write_text(LATER)
    child = subprocess.Popen([LATCHD, "sandbox", "--listen", f"127.0.0.1:{port}", "--partner-id", "1234", "--api-key", "bench-key",
                              "--tls-dir", place / "tls", "--scenario", place / "later.toml"], stdout=subprocess.PIPE, text=True)
    return child, json.loads(child.stdout.readline())["listening"]


def main():
    from PIL import Image
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        place.chmod(0o700)
        service, url = sandbox(place)
        service.terminate()
        service.wait()
        Image.effect_noise((320, 320), 60).convert("RGB").save(place / "small.png")
        # Noise that as PNG has about the wanted size.
        side = int((PICTURE / 3) ** 0.5)
        Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(place / "document.png", compress_level=0)
        for file, text in {"api-key": "bench-key", "form.json": json.dumps(FORM), "people.json": "[]",
                           "guard.toml": f'lock = "fail-secure"\n[line]\nkind = "recording"\nfile = "{place}/line.edges"\n',
                           "latchd.toml": CONFIG.format(place=place, url=url)}.items():
            (place / file).write_text(text)
            (place / file).chmod(0o600)
        call = lambda *words: subprocess.run([LATCHD, *words, "--json", "--config", place / "latchd.toml"], capture_output=True,
                                             text=True, check=True)
        call("people", "import", place / "people.json")
        small = ["--image", place / "small.png", *(word for _ in range(6) for word in ("--liveness", place / "small.png"))]
        call("submit", "document", "--form", place / "form.json", *small, "--document", place / "document.png", "--no-wait")
        number = ["--country", "NG", "--id-type", "NIN_V2", "--id-number", "00000000000"]
        daemon = subprocess.Popen([LATCHD, "run", "--config", place / "latchd.toml"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        first = lambda: json.loads(call("queue", "list").stdout.splitlines()[0])
        try:
            # Idle is a daemon that has sent something small before: with its trust store, a connection and a token behind it.
            until(lambda: (place / "read.sock").exists())
            service, _ = sandbox(place, url.rsplit(":", 1)[1])
            until(lambda: first()["state"] == "new" and first()["tries"] > 2)
            call("submit", "enhanced-kyc", "--form", place / "form.json", *number)
            idle = memory(daemon.pid, "VmRSS")
            pathlib.Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")
            until(lambda: first()["state"] == "decided")
            print(json.dumps({"picture_bytes": (place / "document.png").stat().st_size, "idle_kib": idle,
                              "above_idle_kib": memory(daemon.pid, "VmHWM") - idle}))
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
            service.terminate()
            service.wait()


main()
