"""The camera unplugged in mid-burst and plugged in again, and every fault its driver can play: told, and got over."""

import json

from board import wait_for
from lab import ended

NAME = "camera_faults"
NODE = "/dev/video0"
UNBIND, BIND = "echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind", "echo vivid.0 >/sys/bus/platform/drivers/vivid/bind"

# (name, control and value, its value afterwards, in mid-burst?, may the attempt end without a reason?)
FAULTS = [
    ("a frame flagged as damaged", "inject_v4l2_buf_flag_error=1", None, True),
    ("all frames dropped", "percentage_of_dropped_buffers=100", "percentage_of_dropped_buffers=0", True),
    ("half of the frames dropped", "percentage_of_dropped_buffers=50", "percentage_of_dropped_buffers=0", True),
    ("no buffers", "inject_vidioc_reqbufs_error=1", None, False),
    ("a queue error", "inject_vidioc_qbuf_error=1", None, True),
    ("no stream", "inject_vidioc_streamon_error=1", None, False),
    ("a fatal streaming error", "inject_fatal_streaming_error=1", None, True),
    ("disconnected", "disconnect=1", None, True),
]
REASONS = ("camera_", "gave_up", "frozen")
# These may end the player as well: then nobody is before the camera any more.
ENDS_PLAYER = ("a fatal streaming error", "disconnected")
# The driver's output has buffers too: while it plays, the error would be its own.
QUIET = "systemctl kill -s STOP board-camera.service"


def run(lab):
    lab.fresh()
    board = lab.board
    pid = board.run("systemctl show -P MainPID latchd.service").strip()
    offered = board.run(f"v4l2-ctl -d {NODE} --list-ctrls")
    expected = 0
    for name, control, undo, in_burst in FAULTS:
        if f" {control.split('=')[0]} " not in offered:
            lab.check(f"{name}: the driver offers it", False, control)
            continue
        status, last = fault(lab, f"v4l2-ctl -d {NODE} --set-ctrl {control}", in_burst)
        expected += judge(lab, name, status, last)
        if undo:
            board.run(f"v4l2-ctl -d {NODE} --set-ctrl {undo}")
        expected += again(lab, name)
    status, last = fault(lab, UNBIND, True)
    lab.check("unplugged: told so", status == 1 and lab.reason(last).startswith("camera_"), (status, last))
    status, last = lab.attempt()
    lab.check("while unplugged: told so", status == 1 and lab.reason(last).startswith("camera_"), (status, last))
    board.run(BIND)
    expected += again(lab, "unplugged")
    lab.check("latchd was not restarted", board.run("systemctl show -P MainPID latchd.service").strip() == pid)
    wait_for("the last pulse's end", 60, lab.locked)
    lab.check("one pulse for each granted attempt and no other", len(board.edges()) == 2 * expected,
              f"{len(board.edges())} edges, {expected} grants")


def fault(lab, command, in_burst):
    """An attempt into which the fault comes, in mid-burst or before it."""
    if not in_burst:
        lab.board.run(command)
        return lab.attempt()
    talk = lab.claim(lab.person())
    talk.wait(lambda line: line.startswith("{") and json.loads(line).get("step") == "picture", 60)
    lab.board.run(f"{QUIET} && {command}" if "qbuf" in command else command)
    return ended(talk)


def judge(lab, name, status, last):
    """The attempt was granted in spite of the fault, or ended with a camera's reason. 1 if granted."""
    if last.get("outcome") == "granted":
        lab.note(f"{name}: got over within the attempt")
        return 1
    why = lab.reason(last)
    told = why.startswith(REASONS) or name in ENDS_PLAYER and why == "no_face"
    lab.check(f"{name}: told so", status == 1 and told, (status, why, last))
    lab.note(f"{name}: {why}")
    return 0


def again(lab, name):
    # Whatever broke the camera may have broken the player, and an empty picture shows nobody.
    lab.board.run("systemctl restart board-camera.service")
    status, last = lab.attempt()
    good = status == 0 and last.get("outcome") == "granted"
    lab.check(f"{name}: the next attempt is granted", good, (status, lab.reason(last), last))
    return int(good)
