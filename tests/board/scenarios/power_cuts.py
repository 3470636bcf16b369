"""The power fails at random moments with jobs in flight: nothing accepted is lost, doubled or opened."""

import contextlib
import functools
import json
import subprocess
import time

import product
from board import wait_for
from host import call
from lab import ended

NAME = "power_cuts"
UNFINISHED = {"new", "sending", "accepted"}
WAITING, LIVE = ("emp-0001", "emp-0002"), "emp-0003"
INTENT, DONE, INTERRUPTED = "unlock_intent", "unlock_done", "unlock_interrupted"


def run(lab):
    # Made once, and only where a cut is still to be done.
    begin = functools.cache(lambda: offline_attempts(lab))
    try:
        for number in range(1, lab.count("power cuts") + 1):
            lab.part(f"cut {number}", lambda n=number: cut(lab, n, *begin()))
    finally:
        if lab.full:
            tell(lab, lab.record())


def tell(lab, cuts):
    """The account over all runs with this package; a cut that failed once stays in it."""
    checks = [passed for one in cuts for _, passed, _ in one["checks"]]
    whole = [one for one in cuts if "moment" in one]
    lab.note(f"all runs of this package: {len(cuts)} cuts, {sum(one['high'] for one in whole)} of them with the strike open; "
             f"{len(checks)} checks, {checks.count(False)} failed; {sum(one['edges'] for one in whole)} edges before the "
             f"cuts, {sum(one['edges_after'] for one in whole)} after; {sum(one['jobs'] for one in whole)} accepted jobs, "
             f"{sum(one['unclear'] for one in whole)} of them of unknown outcome; "
             f"{sum(one['interrupted'] for one in whole)} intents interrupted")
    if whole:
        seconds = sorted(one["seconds"] for one in whole)
        lab.note(f"a cut took {seconds[len(seconds) // 2]:.1f} s (p50), {seconds[-1]:.1f} s at most")
    lab.check("no cut of any run of this package failed", all(checks), f"{checks.count(False)} checks; see {lab.results}")


def offline_attempts(lab):
    """(snapshot, jobs) of a board with two jobs that wait for the network."""
    place = lab.board.place / "waiting"
    call("rm", "-rf", place)
    lab.fresh()
    lab.service.offline()
    jobs = {lab.attempt(user)[1].get("job"): user for user in WAITING}
    # Not synced: what these jobs' durability owes to the guest's cache must stay open to a cut.
    lab.board.snapshot(place, sync=False)
    return place, jobs


def cut(lab, number, snapshot, jobs):
    board, service, accepted = lab.board, lab.service, dict(jobs)
    began = time.monotonic()
    service.start(product.scenario())  # it forgets who came: the same people come to each cut
    lab.fresh(snapshot)
    talk = lab.claim(LIVE)
    opens = True
    if number % 3 == 1:
        # In the pulse, where an intent to unlock is open; there is none when the guard missed the agent's heartbeat.
        lab.visits += 1
        opens = lab.edge_or_end(talk, 1) or lab.disturbed(ended(talk)[1])
        moment = lab.between(0, product.PULSE_MS / 1000 - 0.2)
    else:
        moment = lab.between(0, 14)
    with contextlib.suppress(subprocess.TimeoutExpired):
        talk.process.wait(timeout=moment)  # not a wait for its end: this is the random moment
    board.cut()
    edges = board.edges()
    high = bool(edges) and edges[-1][1] == 1
    talk.end()
    for _, line in talk.lines:
        with contextlib.suppress(ValueError):  # the last line may be half of one
            step = json.loads(line)
            if step.get("step") == "stored":
                accepted[step["job"]] = LIVE
    lab.power_on(new_disk=False)
    wait_for("latchd after the power cut", 120, lab.ready)
    verified = lab.latchd("events --verify")[-1]
    lost = [job for job in accepted if job not in lab.queue()]
    wait_for("the queue's drain after the power cut", 120,
             lambda: not any(job["state"] in UNFINISHED for job in lab.queue().values()))
    taken = {user: len(service.jobs_of(user)) for user in (*WAITING, LIVE)}
    states = {job: item["state"] for job, item in lab.queue().items()}
    unclear = [job for job in accepted if states.get(job) == "unknown_outcome"]
    adrift = {job: states.get(job) for job, user in accepted.items() if taken[user] != 1 and job not in unclear}
    ends = [event["event"] for event in lab.events() if event["event"] in (INTENT, DONE, INTERRUPTED)]
    again = board.run("dmesg | grep -c 'EXT4-fs error' || true").strip()
    after = board.edges()
    return {"checks": [
        ("no accepted job is lost", not lost and None not in accepted, (lost, list(accepted))),
        ("none was submitted twice", all(count <= 1 for count in taken.values()), taken),
        ("each accepted one was submitted or is known as unclear", not adrift, (adrift, taken)),
        ("the audit's chain is whole", verified.get("whole") is True, verified),
        ("no intent is left open", ends.count(INTENT) == ends.count(DONE) + ends.count(INTERRUPTED), ends),
        ("a cut pulse is recorded as interrupted", not high or ends[-1:] == [INTERRUPTED], ends),
        ("who is cut off in the pulse was let in", opens, talk.lines[-1:]),
        ("one pulse at most before the cut", len(edges) <= 2, edges),
        ("no edge after the power is back", after == [], after),
        ("the file system is whole", again == "0", again),
    ], "moment": moment, "high": high, "edges": len(edges), "edges_after": len(after), "jobs": len(accepted),
        "unclear": len(unclear), "interrupted": ends.count(INTERRUPTED), "seconds": time.monotonic() - began}
