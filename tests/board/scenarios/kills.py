"""Either process killed, stopped or restarted at random moments of a pulse: the door locks (door-rules 5)."""

import json

import product
from board import MARKER, Talk, wait_for

NAME = "kills"
# Door-rules 5 says 100 ms, and 500 ms for a stopped guard. Here one core of the guest is an emulator's thread on a busy
# machine, and systemctl alone takes a tenth of a second: what is seen is reported, and these are the bounds it must keep.
LIMITS = {("guard", "kill"): 1.0, ("guard", "stop"): 1.5, ("guard", "restart"): 1.5,
          ("agent", "kill"): 1.0, ("agent", "stop"): 1.0, ("agent", "restart"): 1.5}
UNITS = {"guard": "latchd-guard.service", "agent": "latchd.service"}


def run(lab):
    lab.fresh()
    for process, kind in LIMITS:
        seen = [lab.part(f"{process} {kind} {number}", lambda p=process, k=kind, n=number: undisturbed(lab, p, k, n))
                for number in range(1, lab.count("kills") + 1)]
        repeated = sum(one.get("repeated", 0) for one in seen)
        lab.check(f"{process} {kind}: at most 10 % were repeated", repeated <= max(1, len(seen) // 10), repeated)
        if repeated:
            lab.note(f"{process} {kind}: {repeated} repeated: the machine was busy, and the guard missed the agent's heartbeat")
        delays = sorted(one["delay"] for one in seen if one.get("delay") is not None)
        if delays:
            lab.note(f"{process} {kind}: locked {quantile(delays, 0.5) * 1000:.0f} ms after (p50), "
                     f"{delays[-1] * 1000:.0f} ms at most, {len(delays)} times in the pulse")
    lab.check("locked", lab.locked())


def undisturbed(lab, process, kind, number):
    """A strike; one more when the emulator was not given its time, so that the guard rightly took the agent for dead."""
    for repeated in range(3):
        got = strike(lab, process, kind, number)
        if not got.get("disturbed"):
            break
    return {**got, "repeated": repeated}


def quantile(ordered, part):
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def strike(lab, process, kind, number):
    board, limit = lab.board, LIMITS[process, kind]
    wait_for("both processes", 90, lab.ready)
    before, marks = len(board.edges()), len(board.edges(MARKER))
    wait_ms = lab.between(0, product.PULSE_MS - 300)
    talk = Talk(board, f"board-hand strike {wait_ms:.0f} {process} {kind} latchd authenticate --json "
                       f"--user-id {lab.person()}")
    hit = talk.wait(lambda line: '"granted"' in line, 90)
    if hit is None:
        _, lines, err = talk.end()
        return {"disturbed": any('"lock_failed"' in line for line in lines),
                "checks": [("granted", False, (lines[-2:], err[-200:]))]}
    edges = board.wait_for_edges(before + 2, 60)[before:]
    mark = board.wait_for_edges(marks + 1, 60, MARKER)[marks][0]
    if kind == "stop" and not (process == "agent" and number == 1):
        # systemd's watchdog ends a stopped process too, in its own time: the first stop of the agent waits for that.
        board.run(f"systemctl kill -s KILL {UNITS[process]}")
    _, lines, err = talk.end(90)
    hand = next((json.loads(line) for line in reversed(lines) if '"hand"' in line), {"err": err[-200:]})
    wait_for("both processes again", 90, lambda: renewed(lab, process, hand.get("pid")))
    after = board.edges()[before:]
    down = edges[1][0]
    late, length = down - mark, down - edges[0][0]
    return {"delay": late if late > 0 else None, "length": length, "checks": [
        ("the process was hit", hand.get("hit"), hand),
        ("one pulse and no edge after it", [level for _, level in after] == [1, 0], after),
        ("locked in time", late <= limit, f"{late * 1000:.0f} ms after the hit, at most {limit * 1000:.0f}"),
        ("never longer than the pulse", length <= product.PULSE_MS / 1000 + 1.0, f"{length:.3f} s"),
    ]}


def renewed(lab, process, old):
    """Another process does the work of the one that was hit, and both know each other."""
    main = {unit: int(lab.board.run(f"systemctl show -P MainPID {UNITS[unit]}")) for unit in UNITS}
    if main[process] in (0, old):
        return False
    lock = lab.status().get("lock", {})
    return lock.get("state") == "locked" and lock.get("pid") == main["guard"]
