"""latchd on the board: installed from its package as docs/install.md says, set up for the scenarios, and snapshotted."""

import json
import shutil

import pictures
from board import STRIKE
from host import CACHE, HERE, ROOT, say, sha256
from service import API_KEY, PARTNER

PULSE_MS = 1500
WINDOW_MS = 12000
UNITS = "latchd-guard.socket latchd-guard.service latchd.service"

GUARD_TOML = f"""# The board's strike: line {STRIKE} of the emulated board's GPIO chip.
lock = "fail-secure"
egress = "hard-wired"
pulse_max_ms = 10000
window_max_ms = 15000
heartbeat_timeout_ms = 80
peer_user = "latchd"

[line]
kind = "gpio"
chip = "9030000.pl061"
offset = {STRIKE}
"""


def latchd_toml(base_url, environment="production", more_door=""):
    return f"""[smile]
environment = "{environment}"
base_url = "{base_url}"
ca_file = "/etc/latchd/board-ca.pem"
partner_id = "{PARTNER}"
poll_interval_ms = 200

[camera]
device = "/dev/video0"
width = {pictures.WIDTH}
height = {pictures.HEIGHT}
fps = {pictures.FPS}

[capture]
liveness_count = 6
# A look takes this emulated processor a quarter to half a second, and a burst some five.
give_up_ms = 45000

[door]
name = "board"
unlock_ms = {PULSE_MS}
window_ms = {WINDOW_MS}
{more_door}
[lockout]
denials = 100

[queue]
backoff_min_ms = 500
backoff_max_ms = 4000
"""


# Who comes to the door, and what the service says of them.
PEOPLE = {"emp": (700, "clear", 300), "deny": (20, "block", 300), "odd": (20, "sideways", 300),
          "slow": (20, "clear", WINDOW_MS + 3000)}


def people():
    return [(f"{kind}-{number:04}", word, delay)
            for kind, (count, word, delay) in PEOPLE.items() for number in range(1, count + 1)]


def scenario(extra=""):
    """The sandbox's script; `extra`: faults to add."""
    rules = [f'[[user]]\nid = "{user}"\nverdict = "{word}"\ndecide_after_ms = {delay}\n'
             for user, word, delay in people()]
    return "\n".join(["", *rules, extra])


def people_csv():
    head = ("user_id,may_open,given_names,last_name,email,phone,consent_granted_at,consent_language,"
            "consent_policy_url")
    return "\n".join([head, *(f"{user},true,Ada,Example,{user}@example.com,,2026-01-02T09:30:00Z,EN,"
                              "https://example.com/privacy" for user, _, _ in people())]) + "\n"


def frames():
    """The played frames, and as bytes for the board's camera."""
    played = pictures.frames(ROOT / "tests/fixtures/astronaut.png")
    return played, b"".join(map(pictures.to_yuyv, played))


def golden(board, service, deb):
    """A snapshot of the board with latchd installed, configured and running; made when there is none that fits."""
    played, raw = frames()
    size = f"{pictures.WIDTH} {pictures.HEIGHT} {pictures.FPS} {pictures.PACE}\n"
    config = latchd_toml(service.base_url)
    made_of = [board.image.name, deb, config, GUARD_TOML, people_csv(), service.ca, sha256(raw), size,
               HERE / "product.py"]
    place = CACHE / f"installed-{sha256(*made_of)[:16]}"
    if place.exists():
        return place, played
    say("installing latchd on the board")
    board.start(base=board.image)
    board.push(raw, "/var/lib/board/frames.yuyv")
    board.push(size, "/var/lib/board/frames.size")
    board.run("systemctl start board-camera.service")
    board.push(deb, "/tmp/latchd.deb")
    board.run("dpkg -i /tmp/latchd.deb && rm /tmp/latchd.deb", seconds=300)
    configure(board, service, config)
    board.run(f"systemctl enable --now {UNITS}", seconds=120)
    board.push(people_csv(), "/tmp/people.csv", mode="0600")
    board.run("latchd people import /tmp/people.csv", seconds=300)
    status = json.loads(board.run("latchd status --json").splitlines()[-1])
    if status.get("lock", {}).get("state") != "locked":
        raise RuntimeError(f"latchd is installed but its lock is not ready: {status}")
    for old in CACHE.glob("installed-*"):
        shutil.rmtree(old)
    board.snapshot(place)
    board.cut()
    return place, played


def configure(board, service, config, guard=GUARD_TOML):
    """The files that docs/install.md asks for, with the owners and modes that tmpfiles.d gives them."""
    board.push(guard, "/etc/latchd/guard.toml", mode="0640")
    board.push(config, "/etc/latchd/latchd.toml")
    board.push(API_KEY, "/etc/latchd/smile-api-key", mode="0600")
    board.push(service.ca, "/etc/latchd/board-ca.pem")
    board.run("systemd-tmpfiles --create latchd.conf && latchd config check")
