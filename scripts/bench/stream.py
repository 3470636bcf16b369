"""How much memory a daemon needs above idle to send a job of 4 MB. Part of run.py.

usage: stream.py LATCHD     prints one JSON object
"""

import json
import os
import pathlib
import sys
import tempfile

from desk import FORM, Site, memory, private, until

LATCHD = str(pathlib.Path(sys.argv[1]).resolve())
PICTURE = 3_900_000
# The large job is refused before its pictures a few times.
LATER = """
[[fault]]
endpoint = "v3/document_verification"
kind = "drop-before-body"
calls = [1, 2, 3, 4, 5, 6]
"""


def wait(what):
    if not until(what):
        raise SystemExit("stream.py: the job did not come to its end")


def main():
    from PIL import Image
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        site = Site(LATCHD, place, queue="backoff_min_ms = 500\nbackoff_max_ms = 1000", scenario=LATER)
        site.end(site.sandbox)
        Image.effect_noise((320, 320), 60).convert("RGB").save(place / "small.png")
        # Noise that as PNG has about the wanted size.
        side = int((PICTURE / 3) ** 0.5)
        Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(place / "document.png", compress_level=0)
        form = private(place / "form.json", json.dumps({**FORM, "country": "NG"}))
        site.command("people", "import", place / "people.json")
        small = ["--image", place / "small.png", *(word for _ in range(6) for word in ("--liveness", place / "small.png"))]
        site.command("submit", "document", "--form", form, *small, "--document", place / "document.png", "--no-wait")
        daemon = site.daemon()
        first = lambda: site.jobs()[0]
        try:
            # Idle is a daemon that has sent something small before: with its trust store, a connection and a token behind it.
            site.serve(site.url.rsplit(":", 1)[1])
            wait(lambda: first()["state"] == "new" and first()["tries"] > 2)
            site.command("submit", "enhanced-kyc", "--form", form, "--country", "NG", "--id-type", "NIN_V2", "--id-number", "00000000000")
            idle = memory(daemon.pid)
            pathlib.Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")
            wait(lambda: first()["state"] == "decided")
            print(json.dumps({"picture_bytes": (place / "document.png").stat().st_size, "idle_kib": idle,
                              "above_idle_kib": memory(daemon.pid, "VmHWM") - idle}))
        finally:
            site.end()


main()
