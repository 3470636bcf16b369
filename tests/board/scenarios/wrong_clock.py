"""The board's clock stands in 1970 when latchd starts: the job is held, and submitted once the clock is set."""

import time

from board import wait_for

NAME = "wrong_clock"


def run(lab):
    lab.power_on(clock="1970-01-01T00:00:00")
    board = lab.board
    # systemd moves a clock that is behind its own release to that; other inits do not.
    lab.note(f"this board's systemd starts without a clock in {board.run('date +%Y-%m').strip()}; set to 1970 by hand")
    board.run("systemctl stop latchd.service; date -u -s @1000 >/dev/null; systemctl start latchd.service")
    wait_for("latchd in 1970", 60, lab.ready)
    year = int(board.run("date +%Y"))
    lab.check("the board's clock is wrong", year == 1970, year)
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
