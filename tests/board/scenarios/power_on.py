"""From no power to a door that is ready: no edge on the way."""

import re

NAME = "power_on"
EXPOSURE_MAX = 2.0


def run(lab):
    lab.power_on()
    board = lab.board
    lab.check("the lock is ready", lab.ready(), "latchd status does not say ready")
    lab.check("no edge", board.edges() == [], board.edges())
    failed = board.run("systemctl --failed --no-legend --plain").strip()
    lab.check("no unit failed", not failed, failed)
    seconds = {unit: int(board.run(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}")) / 1e6
               for unit in ("latchd-guard.service", "latchd.service")}
    lab.note(f"boot to ready, by the guest's clock since its kernel started: guard {seconds['latchd-guard.service']:.1f} s, "
             f"agent {seconds['latchd.service']:.1f} s; from power-on to the whole board up, by this machine's clock: "
             f"{board.up_after:.1f} s")
    for unit in ("latchd-guard.service", "latchd.service"):
        score = board.run(f"systemd-analyze security --no-pager {unit}").strip().splitlines()[-1]
        figure = re.search(r"(\d+\.\d+)", score)
        lab.check(f"{unit}: exposure at most {EXPOSURE_MAX}", figure and float(figure[1]) <= EXPOSURE_MAX, score)
        lab.note(f"{unit}: exposure {figure and figure[1]} by systemd-analyze on the board")
        # All scenarios run under these: what the filter refuses would fail them.
        kernel = dict(line.split(":\t") for line in board.run(
            f"grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/$(systemctl show -P MainPID {unit})/status").splitlines())
        lab.check(f"{unit}: the kernel filters its calls and gives it no capability",
                  kernel == {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16}, kernel)
    names = board.run("gpioinfo gpiochip0")
    mine = [line.strip() for line in names.splitlines() if f"line {5:3}:" in line]
    lab.check("the line is an output that names its holder", mine and "output" in mine[0] and "latchd" in mine[0], mine)
    board.stop()
    lab.check("no edge at a clean shutdown", board.edges() == [], board.edges())
