"""What goes wrong at an installation: each is told with its remedy, opens nothing, and is over once it is mended."""

import product
from board import wait_for

NAME = "bad_setup"
CONFIG = "/etc/latchd/latchd.toml"


def run(lab):
    lab.fresh()
    board = lab.board
    reload(lab)
    held_line(lab)
    trouble(lab, "no rights on the chip", "chmod 0600 /dev/gpiochip0", "chmod 0660 /dev/gpiochip0", "latchd-guard",
            "permission", starts=True)
    trouble(lab, "no API key", "mv /etc/latchd/smile-api-key /var/tmp/key", "mv /var/tmp/key /etc/latchd/smile-api-key",
            "latchd", "smile-api-key", exits="243", journal="credentials")
    trouble(lab, "an API key that others may read", "chmod 0644 /etc/latchd/smile-api-key",
            "chmod 0600 /etc/latchd/smile-api-key", None, "smile-api-key")
    trouble(lab, "guard.toml that the guard may not read", "chmod 0600 /etc/latchd/guard.toml",
            "chmod 0640 /etc/latchd/guard.toml", "latchd-guard", "guard.toml", exits="2")
    trouble(lab, "no such camera", f"sed -i s,/dev/video0,/dev/video9, {CONFIG}", f"sed -i s,/dev/video9,/dev/video0, {CONFIG}",
            None, "video9", starts=True)
    trouble(lab, "an output as camera", f"sed -i s,/dev/video0,/dev/video1, {CONFIG}",
            f"sed -i s,/dev/video1,/dev/video0, {CONFIG}", None, "video1", starts=True)
    version = "python3 -c \"import sqlite3; d = sqlite3.connect('/var/lib/latchd/latchd.db'); v = d.execute('PRAGMA " \
              "user_version').fetchone()[0]; d.execute(f'PRAGMA user_version = {v + %d}'); d.close()\" && " \
              "chown latchd: /var/lib/latchd/*"
    trouble(lab, "a database of a newer latchd", version % 1, version % -1, "latchd", "newer", exits="2")
    sealed_key(lab)
    lab.check("no edge but the reload's", len(board.edges()) == 4, board.edges())


def reload(lab):
    board = lab.board
    pid = board.run("systemctl show -P MainPID latchd.service").strip()
    board.run(f"cp {CONFIG} /var/tmp/old.toml && sed -i 's/^unlock_ms/unlock_msec/' {CONFIG}")
    status, out, err = board.ask("systemctl reload latchd.service")
    told = board.run("journalctl -u latchd.service -o cat -n 20")
    lab.check("reload with a typo: refused", status != 0, (status, out + err))
    lab.check("reload with a typo: the journal names key and line", "unlock_msec" in told and "line" in told, told)
    # A supervisor that sends the signal alone is told the same.
    board.run("systemctl kill -s HUP latchd.service")
    wait_for("the daemon's own word", 30, lambda: "the old one stays" in board.run(
        "journalctl -u latchd.service -o cat -n 20"))
    # The commands read the file too, so it is put right before the next attempt; the daemon has not seen that.
    board.run(f"cp /var/tmp/old.toml {CONFIG}")
    pulse(lab, product.PULSE_MS, "reload with a typo: the old one stays")
    board.run(f"sed 's/^unlock_ms = .*/unlock_ms = 700/' /var/tmp/old.toml >{CONFIG} && systemctl reload latchd.service")
    wait_for("the new configuration", 60, lambda: "unlock_ms = 700" in board.run("latchd config show") and lab.ready() and
             [event["event"] for event in lab.events()].count("started") == 2)
    pulse(lab, 700, "reload")
    now = board.run("systemctl show -P MainPID -P NRestarts latchd.service").split()
    lab.check("reload: the same process, not restarted", now == [pid, "0"], (pid, now))
    board.run(f"cp /var/tmp/old.toml {CONFIG} && systemctl reload latchd.service")


def sealed_key(lab):
    """Not wrong, but an installer's choice that can go wrong: the API key sealed to this machine, as latchd.service says."""
    board = lab.board
    board.run("cd /etc/latchd && systemd-creds encrypt --with-key=host --name=smile-api-key smile-api-key smile-api-key.cred && "
              "mv smile-api-key /var/tmp/key && mkdir -p /etc/systemd/system/latchd.service.d && printf '[Service]\\n"
              "LoadCredential=\\nLoadCredentialEncrypted=smile-api-key:/etc/latchd/smile-api-key.cred\\n' "
              ">/etc/systemd/system/latchd.service.d/sealed.conf && systemctl daemon-reload && systemctl restart latchd")
    wait_for("latchd with a sealed key", 60, lab.ready)
    plain = board.ask("grep -rlsF board-test-key /etc/latchd /var/lib/latchd")[1].split()
    lab.check("a sealed key: it is in no file of latchd's", plain == [], plain)
    status, last = lab.attempt(lab.person("deny"))
    lab.check("a sealed key: the service takes it", status == 3 and last.get("outcome") == "denied", (status, last))


def pulse(lab, ms, what):
    status, last = lab.attempt()
    if not lab.check(f"{what}: granted", status == 0, (status, last)):
        return
    wait_for("the pulse's end", 30, lambda: len(lab.board.edges()) % 2 == 0 and lab.locked())
    length = (lab.board.edges()[-1][0] - lab.board.edges()[-2][0]) * 1000
    lab.check(f"{what}: a pulse of {ms} ms", abs(length - ms) < 150, length)


def held_line(lab):
    board = lab.board
    board.run("systemctl stop latchd.service latchd-guard.socket latchd-guard.service")
    board.run("systemd-run --quiet --unit=holder gpioset --mode=signal gpiochip0 5=0")
    board.run("systemctl start latchd.service")
    told = wait_for("the guard's word", 30, lambda: "gpioset" in board.run(
        "journalctl -u latchd-guard.service -o cat -n 30") and board.run("journalctl -u latchd-guard.service -o cat -n 30"))
    lab.check("a line held by another: the guard names the holder", "gpioset" in told, told)
    lab.check("a line held by another: doctor names the holder", "gpioset" in str(lab.latchd("doctor", 120)), "")
    board.run("systemctl stop holder.service")
    wait_for("the lock after the holder is gone", 60, lab.ready)


def trouble(lab, name, break_it, mend_it, unit, word, exits=None, starts=False, journal=None):
    """Breaks something, starts latchd, and looks what the unit and the doctor say; then mends it."""
    board = lab.board
    board.run("systemctl stop latchd.service latchd-guard.socket latchd-guard.service")
    board.run(break_it)
    board.run("systemctl start latchd.service", check=False)
    if exits:
        shown = wait_for("the unit's end", 60, lambda: board.run(
            f"systemctl show -P Result {unit}.service").strip() == "exit-code" and board.run(
            f"systemctl show -p ExecMainStatus -p NRestarts {unit}.service").split())
        lab.check(f"{name}: {unit} ends with {exits} and is not tried again",
                  sorted(shown) == [f"ExecMainStatus={exits}", "NRestarts=0"], shown)
    if unit:
        lab.check(f"{name}: the journal says so", (journal or word) in board.run(f"journalctl -u {unit}.service -o cat -n 30").lower(),
                  board.run(f"journalctl -u {unit}.service -o cat -n 8"))
    doctor = [one for one in lab.latchd("doctor", 120) if one["kind"] in ("item", "failed") and one.get("level") != "ok"]
    lab.check(f"{name}: doctor says so, with a remedy", any(word in str(one) and one.get("remedy") for one in doctor), doctor)
    if starts:
        lab.check(f"{name}: status still answers", lab.status()["kind"] == "done")
    board.run(mend_it)
    board.run("systemctl reset-failed; systemctl restart latchd-guard.service latchd.service")
    wait_for(f"latchd after: {name}", 60, lab.ready)
