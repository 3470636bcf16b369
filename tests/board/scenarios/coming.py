"""Somebody comes, too near at first, with a second person, and leaves before the verdict: told what to do, in order."""

import json
import time

import pictures
from board import wait_for
from host import ROOT
from lab import ended

NAME = "coming"
PLACE = "/var/lib/board/frames.yuyv"
# What is asked of them, in this order, whatever is asked in between.
HINTS = ["no_face", "come_closer", "step_back", "one_person"]
NODE = "/dev/video0"
STAYS = 4  # seconds, twice what counts as having left


def run(lab):
    lab.fresh()
    board = lab.board
    lab.gives_up_after(120000)
    made, first, then = pictures.coming(ROOT / "tests/fixtures/astronaut.png")
    board.push(b"".join(map(pictures.to_yuyv, made)), PLACE)
    board.push("\n".join(" ".join(map(str, order)) for order in (first, then)) + "\n", PLACE + ".order")
    board.run("systemctl restart board-camera.service")
    # The service takes longer than anybody waits.
    user = lab.person("slow")
    talk = lab.claim(user)
    stored = talk.wait(lambda line: '"accepted"' in line, 150)
    time.sleep(STAYS)
    lab.check("who stays is waited for", talk.process.poll() is None)
    board.run("pkill -USR1 -f '[b]oard-play'")
    status, last = ended(talk)
    hints = [json.loads(line).get("hint") for _, line in talk.lines if '"hint"' in line]
    lab.note(f"asked: {', '.join(filter(None, hints))}")
    rest = iter(hints)
    lab.check("asked for what was missing, in order", all(hint in rest for hint in HINTS), hints)
    lab.check("the pictures were taken when one stood there", stored is not None and len(lab.service.submissions_of(user)) == 1,
              (stored, last))
    lab.check("who leaves before the verdict does not open", last.get("outcome") == "left", (status, lab.reason(last), last))
    lab.check("no edge", board.edges() == [], board.edges())
    board.run(f"rm {PLACE}.order")
    dark(lab)


def dark(lab):
    """In the dark the camera is asked for more light, and put back; what does not come is the scenario's failure."""
    board = lab.board
    brightness = lambda: int(board.run(f"v4l2-ctl -d {NODE} --get-ctrl brightness").split(":")[1])
    before = brightness()
    board.push(b"".join(pictures.to_yuyv(picture // 5) for picture in lab.played), PLACE)
    board.run("systemctl restart board-camera.service")
    talk = lab.claim(lab.person())
    wait_for("more light", 60, lambda: brightness() > before)
    _, last = ended(talk, 150)
    asked = board.run("journalctl -o cat -u latchd.service --grep 'not well lit'")
    lab.note(f"in the dark: {last.get('outcome')} {lab.reason(last)}; {asked.strip().splitlines()[-1]}")
    wait_for("the camera as it was", 30, lambda: brightness() == before)
