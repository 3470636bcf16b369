"""Without systemd: busybox init starts both processes from the example that the package brings (docs/without-systemd.md)."""

from board import wait_for
from lab import ended

NAME = "plain_init"


def run(lab):
    lab.fresh()
    board = lab.board
    board.run("systemctl stop latchd.service latchd-guard.service latchd-guard.socket && "
              "chown latchd: /etc/latchd/smile-api-key && rm -rf /run/latchd /run/latchd-guard && "
              "cp /usr/share/latchd/plain-init/inittab /etc/inittab && "
              "systemd-run --quiet --unit=plain-init --property=KillMode=control-group "
              "unshare --pid --fork --mount-proc busybox init")
    # A process outside busybox's PID namespace has no number in it that the daemon could be told.
    pid = board.run("pgrep -x -f 'busybox init'").split()[0]
    board.run("printf '#!/bin/sh\\nexec nsenter -t %s -p /usr/bin/latchd \"$@\"\\n' "
              f"{pid} >/usr/local/bin/latchd && chmod 755 /usr/local/bin/latchd")
    wait_for("both processes", 60, lab.ready)
    modes = board.run("stat -c '%a %G' /run/latchd/read.sock /run/latchd/operator.sock").split()
    lab.check("the sockets are for the groups", modes == ["660", "latchd", "660", "latchd-operator"], modes)
    owners = board.run("ps -o user=,args= -C latchd-guard,latchd").splitlines()
    lab.check("neither is root", owners and not any(line.startswith("root") for line in owners), owners)
    status, last = lab.attempt()
    lab.check("granted", status == 0 and last.get("outcome") == "granted", (status, last))
    board.wait_for_edges(2)
    lab.visits += 1
    for _ in range(3):
        talk = lab.claim(lab.person())
        if lab.edge_or_end(talk, 3) or not lab.disturbed(ended(talk)[1]):
            break
    board.run("pkill -KILL -f '[-]-under-warden'")
    edges = board.wait_for_edges(4)
    length = edges[3][0] - edges[2][0]
    lab.check("the guard killed in mid-pulse: locked before the pulse's end", length < 1.3, f"{length:.3f} s")
    talk.end()
    wait_for("both processes again", 60, lab.ready)
    board.run("pkill -KILL -f '[l]atchd-guard .*--socket'; pkill -KILL -x latchd")
    wait_for("init's restart of both", 60, lab.ready)
    status, last = lab.attempt()
    lab.check("granted after init started both again", status == 0 and last.get("outcome") == "granted", (status, last))
    board.wait_for_edges(6)
    lab.check("three pulses and no other edge", len(board.edges()) == 6, board.edges())
