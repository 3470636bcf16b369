"""The package upgraded, removed and installed again under load: the door stays locked and the queue is kept."""

import re
import tempfile
from pathlib import Path

import product
from board import wait_for
from host import call

NAME = "package"


def newer(deb, place):
    """The same package with a higher version."""
    tree = Path(place) / "tree"
    call("dpkg-deb", "-R", deb, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+board1", control.read_text()))
    made = Path(place) / "newer.deb"
    call("dpkg-deb", "--root-owner-group", "-b", tree, made)
    return made


def run(lab):
    lab.fresh()
    board, service = lab.board, lab.service
    version = board.run("dpkg-query -W -f '${Version}' latchd")
    service.offline()
    kept = {lab.attempt()[1].get("job") for _ in range(2)}
    with tempfile.TemporaryDirectory() as place:
        deb = newer(lab.deb, place)
        board.push(deb, "/tmp/newer.deb")
    board.push(lab.deb, "/tmp/latchd.deb")
    load = lab.claim(lab.person())
    load.wait(lambda line: '"picture"' in line, 60)
    board.run("dpkg -i /tmp/newer.deb", seconds=300)
    load.end(120)
    wait_for("latchd after the upgrade", 120, lab.ready)
    now = board.run("dpkg-query -W -f '${Version}' latchd")
    lab.check("upgraded", now != version and now.endswith("+board1"), now)
    lab.check("the queue is kept", kept <= set(lab.queue()), (kept, list(lab.queue())))
    lab.check("upgrade: no edge", board.edges() == [], board.edges())
    load = lab.claim(lab.person())
    load.wait(lambda line: '"picture"' in line, 60)
    board.run("dpkg -r latchd", seconds=300)
    load.end(120)
    lab.check("removed: no process is left", not board.run("pgrep -x 'latchd|latchd-guard' || true").strip())
    lab.check("removed: no edge", board.edges() == [], board.edges())
    lab.check("removed: the database is kept", board.run("ls /var/lib/latchd").strip() != "")
    lab.check("removed: the configuration is kept", board.ask("test -s /etc/latchd/latchd.toml")[0] == 0)
    board.run("dpkg -i /tmp/latchd.deb", seconds=300)
    board.run(f"systemctl enable --now {product.UNITS}")
    wait_for("latchd after the new installation", 120, lab.ready)
    lab.check("installed again: the queue is kept", kept <= set(lab.queue()), (kept, list(lab.queue())))
    service.online()
    wait_for("the queue's drain", 120, lambda: all(lab.queue()[job]["state"] == "decided" for job in kept))
    lab.check("drained: no edge", board.edges() == [], board.edges())
    status, last = lab.attempt()
    lab.check("and the door opens", status == 0 and last.get("outcome") == "granted", (status, last))
    board.wait_for_edges(2)
