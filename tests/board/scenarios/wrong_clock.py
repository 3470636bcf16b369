"""The board starts in 1970, as one without a clock battery: the job is held, and submitted once the clock is set."""

import time

from board import wait_for

NAME = "wrong_clock"


def run(lab):
    lab.power_on(clock="1970-01-01T00:00:00")
    board = lab.board
    year = int(board.run("date +%Y"))
    lab.check("the board's clock is wrong", year < 2026, year)
    user = lab.person()
    status, last = lab.attempt(user)
    lab.check("told: held", status in (4, 5) and last.get("outcome") in ("held", "offline"), (status, last))
    job = lab.queue().get(last.get("job"), {})
    lab.check("the job is held", job.get("state") == "held", job)
    lab.check("nothing was submitted", not lab.service.jobs_of(user), lab.service.jobs_of(user))
    lab.check("status says that the clock is not known", lab.status().get("clock") in ("unknown", None, False),
              lab.status().get("clock"))
    board.run(f"date -u -s @{time.time():.3f}")
    job = wait_for("the held job's verdict", 120, lambda: lab.queue()[last["job"]]["state"] == "decided")
    lab.check("submitted once", len(lab.service.jobs_of(user)) == 1, lab.service.jobs_of(user))
    known = [event for event in lab.events() if event["event"] == "clock_known"]
    lab.check("the audit says when the clock was set", len(known) == 1, known)
    lab.check("no edge", board.edges() == [], board.edges())
