"""What is no living face is refused on the board: a photograph held before the camera, and a room with nobody in it."""

import pictures
from host import ROOT

NAME = "face"
GIVE_UP_MS = 20000
PLACE = "/var/lib/board/frames.yuyv"


def run(lab):
    lab.fresh()
    board = lab.board
    pid = board.run("systemctl show -P MainPID latchd.service").strip()
    lab.gives_up_after(GIVE_UP_MS)
    board.run(f"cp {PLACE} /var/tmp/person.yuyv")
    photograph = ROOT / "tests/fixtures/astronaut.png"
    for what, word, made in [("a photograph held before the camera", "held_still", pictures.frames(photograph, turning=False)),
                             ("nobody before the camera", "no_face", pictures.empty_room())]:
        board.push(b"".join(map(pictures.to_yuyv, made)), PLACE)
        board.run("systemctl restart board-camera.service")
        user, jobs = lab.person(), len(lab.queue())
        status, last = lab.attempt(user)
        lab.check(f"{what}: refused, {word}", status == 1 and last.get("outcome") == "capture_failed" and
                  lab.reason(last) == word, (status, lab.reason(last), last))
        lab.check(f"{what}: nothing is stored or sent", len(lab.queue()) == jobs and not lab.service.submissions_of(user))
        lab.check(f"{what}: no edge", board.edges() == [], board.edges())
        faces = [one for one in lab.latchd("doctor", 120) if one.get("check") == "face"]
        lab.note(f"{what}: doctor says: {faces[0]['seen'] if faces else faces}")
    board.run(f"mv /var/tmp/person.yuyv {PLACE} && systemctl restart board-camera.service")
    # In so little time not every burst sees both sides of the head.
    for _ in range(5):
        status, last = lab.attempt()
        if lab.reason(last) != "held_still":
            break
    lab.check("a person again: granted", status == 0 and last.get("outcome") == "granted", (status, lab.reason(last), last))
    board.wait_for_edges(2)
    lab.check("latchd was not restarted", board.run("systemctl show -P MainPID latchd.service").strip() == pid)
