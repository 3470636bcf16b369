"""The power fails at random moments with jobs in flight: nothing accepted is lost, doubled or opened."""

import contextlib
import json
import subprocess

import product
from board import wait_for

NAME = "power_cuts"
UNFINISHED = {"new", "sending", "accepted"}


def run(lab):
    for number in range(1, lab.count("power cuts") + 1):
        lab.part(f"cut {number}", lambda n=number: cut(lab, n))


def cut(lab, number):
    board, service = lab.board, lab.service
    lab.fresh()
    service.offline()
    waiting = [lab.person() for _ in range(2)]
    accepted = {lab.attempt(user)[1].get("job"): user for user in waiting}
    service.online()
    live = lab.person()
    talk = lab.claim(live)
    if number % 3 == 1:
        # In the pulse, where an intent to unlock is open.
        board.wait_for_edges(1, 90)
        moment = lab.between(0, product.PULSE_MS / 1000 - 0.2)
    else:
        moment = lab.between(0, 7)
    with contextlib.suppress(subprocess.TimeoutExpired):
        talk.process.wait(timeout=moment)  # not a wait for its end: this is the random moment
    high = not lab.locked()
    board.cut()
    for _, line in talk.lines:
        step = json.loads(line) if line.startswith("{") else {}
        if step.get("step") == "stored":
            accepted[step["job"]] = live
    lab.power_on(new_disk=False)
    wait_for("latchd after the power cut", 120, lab.ready)
    verified = lab.latchd("events --verify")[-1]
    queue = lab.queue()
    lost = [job for job in accepted if job not in queue]
    wait_for("the queue's drain after the power cut", 120,
             lambda: not any(job["state"] in UNFINISHED for job in lab.queue().values()))
    taken = {user: len(service.jobs_of(user)) for user in [*waiting, live]}
    sent = [user for user in waiting if taken[user] == 1]
    unclear = [job for job in lab.queue().values() if job["state"] == "unknown_outcome"]
    ends = [event["event"] for event in lab.events()
            if event["event"] in ("unlock_intent", "unlock_done", "unlock_interrupted")]
    open_intents = ends.count("unlock_intent") - ends.count("unlock_done") - ends.count("unlock_interrupted")
    again = board.run("dmesg | grep -c 'EXT4-fs error' || true").strip()
    return {"checks": [
        ("no accepted job is lost", not lost and None not in accepted, (lost, list(accepted))),
        ("none was submitted twice", all(count <= 1 for count in taken.values()), taken),
        ("all that waited were submitted or are known as unclear", len(sent) + len(unclear) >= len(waiting),
         (taken, len(unclear))),
        ("the audit's chain is whole", verified.get("whole") is True, verified),
        ("no intent is left open", open_intents == 0, ends),
        ("a cut pulse is recorded as interrupted", not high or "unlock_interrupted" in ends, ends),
        ("no edge after the power is back", board.edges() == [], board.edges()),
        ("the file system is whole", again == "0", again),
    ], "moment": moment, "high": high}
