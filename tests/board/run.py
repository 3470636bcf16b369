#!/usr/bin/python3
"""Runs latchd on an emulated ARM64 board. See docs/building.md."""

import argparse
import fcntl
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from host import CACHE, ROOT, Unavailable, ensure_packages, say, sha256  # noqa: E402

SCENARIOS = ["power_on", "photograph", "face", "coming", "no_edge", "kills", "power_cuts", "camera_faults", "wrong_clock", "full_disk",
             "package", "environment", "plain_init", "bad_setup", "doctor", "pulses", "idle"]


def arguments():
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the long counts, in parts that resume")
    parser.add_argument("--cuts", type=int, help="with --full: how many power cuts")
    parser.add_argument("--latchd", type=Path, default=target / "release/latchd",
                        help="this machine's latchd, with the sandbox")
    parser.add_argument("--deb", type=Path, help="the board's package (default: the newest latchd_*_arm64.deb built)")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; default: all")
    chosen = parser.parse_args()
    if chosen.cuts is not None and not (chosen.full and chosen.cuts > 0):
        parser.error("--cuts is a count from 1, and goes with --full")
    unknown = set(chosen.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if chosen.deb is None:
        built = sorted(target.glob("**/latchd_*_arm64.deb"), key=lambda path: path.stat().st_mtime)
        if not built:
            parser.error(f"no latchd_*_arm64.deb below {target}: run make deb first, or name one with --deb")
        chosen.deb = built[-1]
    for file in (chosen.latchd, chosen.deb):
        if not file.exists():
            parser.error(f"{file} does not exist")
    return chosen


def run_one(lab, module):
    """One scenario with its own end: a board that misbehaves fails it and leaves the others alone."""
    lab.scenario = module.NAME
    first, since, boots = len(lab.checks), time.monotonic(), lab.board.boots
    say(f"{module.NAME}: {module.__doc__.splitlines()[0]}")
    try:
        module.run(lab)
    except Exception as error:  # whatever it is, it is this scenario's failure and is told
        lab.check("runs to its end", False, f"{type(error).__name__}: {error}")
        traceback.print_exc()
        serial = lab.board.place / "serial.log"
        if serial.exists():
            say(f"the board's console ends with: {serial.read_text(errors='replace')[-400:]!r}")
    if len(lab.checks) == first:
        lab.check("checks something", False, "it ended without a check")
    edges = sum(len(lab.board.edges(boot=boot)) for boot in range(boots + 1, lab.board.boots + 1))
    checks = lab.checks[first:]
    if lab.board.running():
        lab.board.cut()
    return module.NAME, len(checks), sum(1 for check in checks if not check[2]), edges, time.monotonic() - since


def table(rows):
    print(f"\n{'scenario':<16} {'checks':>6} {'failed':>6} {'edges':>6} {'seconds':>8}")
    for name, checks, failed, edges, seconds in rows:
        print(f"{name:<16} {checks:>6} {failed:>6} {edges:>6} {seconds:>8.0f}")


def main():
    chosen = arguments()
    started = time.monotonic()
    wanted = [name for name in SCENARIOS if not chosen.scenarios or name in chosen.scenarios]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("board: another run uses the board's cache; wait for its end")
        try:
            ensure_packages()
            import image
            place = image.image()
        except Unavailable as error:
            print(f"\nboard: SKIPPED, NOTHING WAS TESTED: {error}\n", file=sys.stderr)
            print(f"board: 0 passed, 0 failed, {len(wanted)} skipped in {time.monotonic() - started:.0f} s")
            return 0
        return run(chosen, wanted, place, started)


def run(chosen, wanted, image, started):
    import product
    from board import Board
    from lab import Lab, key_of
    from service import Service
    board = Board(image, CACHE / "run")
    service = Service(chosen.latchd, CACHE / "service")
    rows, lab, interrupted = [], None, False
    try:
        service.start(product.scenario())
        golden, played = product.golden(board, service, chosen.deb)
        # What is kept of long runs counts for this package, this image and these tests, and for no other.
        key = key_of(image.name, sha256(chosen.deb), *(sha256(path) for path in sorted(Path(__file__).parent.rglob("*.py"))))
        lab = Lab(board, service, golden, played, chosen.deb, chosen.full, chosen.cuts, key)
        say(f"ready after {time.monotonic() - started:.0f} s; seed {lab.seed}; load of this machine "
            f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for name in wanted:
            rows.append(run_one(lab, importlib.import_module(f"scenarios.{name}")))
        # An agent that starves its own heartbeat would be seen here.
        lab.scenario = "all"
        lab.check("of the attempts at most a tenth, or two, were repeated", lab.repeated <= max(2, lab.visits // 10),
                  f"{lab.repeated} of {lab.visits}")
    except KeyboardInterrupt:
        if lab is None:
            raise
        interrupted = True
    finally:
        if board.running():
            board.cut()
        service.end()
    table(rows)
    for scenario, text in lab.notes:
        print(f"  {scenario}: {text}")
    for scenario, name, passed, detail in lab.checks:
        if not passed:
            print(f"  FAILED {scenario}: {name}: {detail}")
    failed = sum(not check[2] for check in lab.checks)
    passed = len(lab.checks) - failed
    if interrupted:
        print(f"board: interrupted; {'the next run goes on from here' if chosen.full else 'nothing is kept'}")
        return 130
    print(f"board: {passed} passed, {failed} failed, 0 skipped in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)  # a time limit ends a run as a hand does: it is told what is done
    try:
        sys.exit(main())
    except (RuntimeError, subprocess.SubprocessError) as error:
        sys.exit(f"board: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
