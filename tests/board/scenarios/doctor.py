"""What an installer runs on the board: the doctor, the camera's and the line's commands; with the network taken away too."""

import json

from board import Talk, wait_for

NAME = "doctor"
INPUT = 3


def run(lab):
    lab.fresh()
    board, service = lab.board, lab.service
    found = findings(lab)
    lab.check("no failure on a board that is well", not named(found, "failure"), named(found, "failure"))
    seen = [one["seen"] for one in found if one["check"] == "face" and one["level"] == "ok"]
    lab.check("it sees the face before the camera", seen, named(found, "warning"))
    lab.note("face: " + "; ".join(seen))
    lab.note(f"{len(found)} findings, not ok: {named(found, 'warning')}")
    service.offline()
    found = findings(lab)
    lab.check("without the network: a failure that names its remedy",
              any(one["check"] in ("service", "tls") or "connect" in one["seen"] for one in named(found, "failure", whole=True))
              and all(one["remedy"] for one in named(found, "failure", whole=True)), named(found, "failure"))
    service.online()

    cameras = [one for one in lab.latchd("camera list") if one["kind"] == "item"]
    lab.check("camera list: names the board's camera by a stable name", "/dev/video0" in json.dumps(cameras) and
              "vivid" in json.dumps(cameras), cameras)
    probe = lab.latchd("camera probe")[-1]
    lab.check("camera probe: frames come", probe["kind"] == "done", probe)
    lab.note("camera probe: " + ", ".join(f"{key} {probe[key]}" for key in ("format", "width", "height", "fps_used", "luminance")))
    shot = lab.latchd("camera snapshot -o /tmp/shot.jpg")[-1]
    mode = board.run("stat -c %a /tmp/shot.jpg; head -c 3 /tmp/shot.jpg | od -An -tx1").split()
    lab.check("camera snapshot: a JPEG for its owner alone", shot["kind"] == "done" and mode == ["600", "ff", "d8", "ff"],
              (shot, mode))

    lines = [one for one in lab.latchd("gpio list") if one["kind"] == "item"]
    held = [one for one in lines if "latchd-guard" in json.dumps(one)]
    lab.check("gpio list: names the strike's line and its holder", len(held) == 1 and '"offset": 5' in json.dumps(held),
              held or lines[:3])
    status, out, err = board.ask("latchd gpio pulse 500")
    lab.check("gpio pulse: refused while the services run, and says which to stop",
              status and all(unit in out + err for unit in ("latchd.service", "latchd-guard")), (status, out + err))
    watch = Talk(board, f"latchd gpio watch --json --chip 9030000.pl061 --offset {INPUT} --count 2")
    wait_for("the watch", 30, lambda: "latchd" in board.run(f"gpioinfo gpiochip0 | grep 'line *{INPUT}:'"))
    board.drive(INPUT, 1)
    # One by one: the chip tells an edge and not its direction, so two edges within one interrupt are one.
    watch.wait(lambda line: '"item"' in line, 30)
    board.drive(INPUT, 0)
    status, seen, _ = watch.end(30)
    edges = [json.loads(line) for line in seen if '"item"' in line]
    lab.check("gpio watch: both edges of an input that was driven from outside", status == 0 and len(edges) == 2,
              (status, seen))
    lab.check("no edge of the strike", board.edges() == [], board.edges())


def findings(lab):
    return [one for one in lab.latchd("doctor", 120) if one["kind"] == "item"]


def named(found, level, whole=False):
    chosen = [one for one in found if one["level"] == level]
    return chosen if whole else [f"{one['check']}: {one['seen']}" for one in chosen]
