"""Nobody at the door: nothing is written, hardly anything wakes up, little memory is used."""

import json

from board import wait_for

NAME = "idle"
WAKES_A_SECOND = 3


def run(lab):
    lab.fresh()
    board, seconds = lab.board, lab.count("idle seconds")
    # One attempt first: what it leaves behind (a warm connection) is part of being idle. Within a minute its erased
    # pictures leave the disk with the database's log; from then on nothing is written.
    lab.attempt()
    board.wait_for_edges(2)
    wait_for("the database's log to be emptied", 90,
             lambda: board.run("stat -c %s /var/lib/latchd/latchd.db-wal").strip() == "0")
    board.run("systemctl stop board-camera.service; sync; touch /run/idle-since")
    told = [json.loads(line) for line in board.run(f"board-hand rest {seconds}", seconds=seconds + 120).splitlines()]
    touched = board.run("find / -xdev -type f -newer /run/idle-since -not -path '/var/log/journal/*'").split()
    lab.check("no file changed outside the journal", not touched, touched)
    for one in told:
        lab.check(f"{one['process']}: no byte written to disk", one["written"] == 0, f"{one['written']} in {one['seconds']} s")
        lab.check(f"{one['process']}: at most {WAKES_A_SECOND} wake-ups a second", one["wakes"] <= WAKES_A_SECOND, one)
        lab.note(f"{one['process']}: {one['wakes']} wake-ups a second {one['threads']}, RSS {one['rss_kib'] / 1024:.1f} MiB, "
                 f"peak {one['peak_kib'] / 1024:.1f} MiB, after one attempt and {one['seconds']:.0f} s idle")
    lab.check("one pulse and no other", len(board.edges()) == 2, board.edges())
