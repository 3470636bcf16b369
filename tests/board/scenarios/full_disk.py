"""The disk is full: new captures are refused aloud, nothing exits, and it goes on when there is room."""

from board import wait_for

NAME = "full_disk"
FILLER = "/var/filler"


def run(lab):
    lab.fresh()
    board = lab.board
    pid = board.run("systemctl show -P MainPID latchd.service").strip()
    free = int(board.run("stat -f -c '%a %S' / | { read -r a s; echo $((a * s / 1048576)); }"))
    # First down to less than the room that latchd leaves to others (64 MiB), then to the last block.
    board.run(f"fallocate -l {free - 40}M {FILLER}")
    status, last = lab.attempt()
    lab.check("less than the room for others: refused", status == 1 and last.get("outcome") == "queue_full", (status, last))
    board.run(f"dd if=/dev/zero of={FILLER}.2 bs=64k conv=fsync 2>/dev/null; true")
    status, last = lab.attempt()
    lab.check("not a byte left: refused", status == 1, (status, last))
    lab.check("it says why", last.get("outcome") in ("queue_full", "database_failed") or "space" in str(last), last)
    lab.check("status still answers", lab.status().get("kind") == "done")
    lab.check("no edge", board.edges() == [], board.edges())
    board.run(f"rm {FILLER} {FILLER}.2 && sync")
    status, last = lab.attempt()
    lab.check("with room again: granted", status == 0 and last.get("outcome") == "granted", (status, last))
    wait_for("the pulse's end", 60, lambda: len(board.edges()) == 2)
    lab.check("latchd was not restarted", board.run("systemctl show -P MainPID latchd.service").strip() == pid)
    lab.check("the audit's chain is whole", lab.latchd("events --verify")[-1].get("whole") is True)
