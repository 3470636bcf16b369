"""The service's sandbox judges names: alone it opens no real door, and while commissioning it says so everywhere."""

import product
from board import wait_for

NAME = "environment"


def run(lab):
    lab.fresh()
    board, service = lab.board, lab.service
    board.push(product.latchd_toml(service.base_url, environment="sandbox"), "/etc/latchd/latchd.toml")
    status, out, err = board.ask("latchd config check")
    lab.check("alone: config check exits 2 and names the key", status == 2 and "sandbox_unlock" in out + err,
              (status, out + err))
    board.run("systemctl restart latchd.service", check=False)
    shown = wait_for("the unit's end", 60, lambda: "failed" in board.run(
        "systemctl show -P ActiveState latchd.service") and board.run(
        "systemctl show -p ExecMainStatus -p NRestarts latchd.service").split())
    lab.check("alone: the daemon exits 2 and is not tried again",
              sorted(shown) == ["ExecMainStatus=2", "NRestarts=0"], shown)
    lab.check("alone: no edge", board.edges() == [], board.edges())
    board.push(product.latchd_toml(service.base_url, environment="sandbox",
                                   more_door='sandbox_unlock = "commissioning"'), "/etc/latchd/latchd.toml")
    board.run("systemctl reset-failed latchd.service; systemctl restart latchd.service")
    wait_for("latchd while commissioning", 90, lab.ready)
    status, last = lab.attempt()
    lab.check("commissioning: it opens", status == 0 and last.get("outcome") == "granted", (status, last))
    board.wait_for_edges(2)
    status, out, err = board.ask("latchd status")
    lab.check("commissioning: status warns and exits 1", status == 1 and "commission" in (out + err).lower(),
              (status, out + err))
    rows = [event for event in lab.events() if event.get("attempt") == last.get("attempt")]
    started = [event for event in lab.events() if event["event"] == "started"][-1]
    lab.check("commissioning: the audit says so at the start and in each row of the attempt",
              "commissioning" in str(started) and rows and all("commissioning" in str(row) for row in rows),
              (started, rows))
