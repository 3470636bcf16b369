"""A daemon under load while its link is cut again and again: memory, file and accounts. Part of soak.sh.

usage: soak.py LATCHD MINUTES RATE     ends with one JSON line; exit code 0 when all of it held
"""

import base64
import json
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time
from collections import Counter

from desk import FORM, Site, jpeg, load, memory, until

# Growth that the fit may show over the second half, in KiB; a leak of one picture a job would be a hundred times that.
MEMORY_GROWTH_MAX = 1024
# Rows and events of a job stay (retention); its pictures, 220 kB, must not.
FILE_GROWTH_MAX = 8 * 1024
QUEUE = "backoff_min_ms = 500\nbackoff_max_ms = 8000"


class Refused(Exception):
    """The daemon does not take a job, and why."""


def submit(site, user, pictures):
    """Hands one authentication to the daemon; gives the job's id once it is durable."""
    kinds = ["selfie"] + ["liveness"] * (len(pictures) - 1)
    told = site.ask("operator.sock", ask="submit", product="smart_selfie_authentication", user_id=user, form=json.dumps(FORM), wait=False,
                    pictures=[{"kind": kind, "bytes": base64.b64encode(bytes_).decode()} for kind, bytes_ in zip(kinds, pictures)])
    if not told or "object" not in told[-1]:
        raise Refused(told[-1].get("cause", "no answer") if told else "no answer")
    return told[-1]["object"]["job"]


class Link:
    """A TCP proxy that can be cut: idle, in the middle of a request's body, or before the answer."""

    def __init__(self, port):
        self.behind = port
        self.open, self.armed, self.cuts = True, None, Counter()
        self.lock, self.pairs = threading.Lock(), set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            if not self.open:
                self.reset(near)
                continue
            far = socket.create_connection(("127.0.0.1", self.behind))
            with self.lock:
                self.pairs.add((near, far))
            for source, target, up in ((near, far, True), (far, near, False)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(source, target, up), daemon=True).start()

    def pump(self, source, target, up):
        sent = 0
        try:
            while data := source.recv(16384):
                with self.lock:
                    armed = self.armed
                    if armed and armed[0] == ("body" if up else "answer"):
                        armed[1] -= len(data) if up else 1
                        if armed[1] <= 0:
                            # A part of it goes through; of an answer nothing.
                            data = data[:len(data) // 2] if up else b""
                            self.armed, self.open = None, False
                            self.cuts[armed[0]] += 1
                if data:
                    target.sendall(data)
                    sent += len(data)
                if not self.open:
                    break
        except OSError:
            pass
        for end in (source, target):
            self.reset(end)

    @staticmethod
    def reset(end):
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        except OSError:
            pass

    def cut(self, how):
        """Cuts now, or as soon as the wanted moment comes."""
        with self.lock:
            if how == "idle":
                self.open = False
                self.cuts[how] += 1
            else:
                # Somewhere in the 250 kB of the next request, or at the next answer.
                self.armed = [how, random.randrange(1, 240_000) if how == "body" else 1]
        if not until(lambda: not self.open, 20, 0.01):
            with self.lock:
                self.armed, self.open = None, False
                self.cuts["nothing was sent"] += 1
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def restore(self):
        self.open = True


def fit(samples):
    """Slope of the least squares, per second."""
    count = len(samples)
    mean_x, mean_y = sum(x for x, _ in samples) / count, sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def in_use(site):
    """Bytes of the database that are in use; freed pages are used again."""
    database = sqlite3.connect(f"file:{site.state}/latchd.db?mode=ro", uri=True)
    try:
        ask = lambda name: database.execute(f"PRAGMA {name}").fetchone()[0]
        return (ask("page_count") - ask("freelist_count")) * ask("page_size")
    finally:
        database.close()


def soak(site, minutes, rate):
    link = Link(int(site.url.rsplit(":", 1)[1]))
    site.configure(f"https://127.0.0.1:{link.port}")
    site.command("people", "import", site.place / "people.json")
    site.guard()
    daemon = site.daemon()
    pictures = [jpeg(60_000)] + [jpeg(20_000) for _ in range(8)]
    begun = time.monotonic()
    end = begun + minutes * 60
    handed, refused, dropped, stop = {}, [], set(), threading.Event()

    def feed():
        number, due = 0, time.monotonic()
        while time.monotonic() < end:
            user = f"soak-{number}"
            try:
                job = submit(site, user, pictures)
            except (OSError, Refused) as error:
                job = None
                refused.append(str(error))
            if job:
                handed[job] = user
            number, due = number + 1, due + 1 / rate
            time.sleep(max(0, due - time.monotonic()))

    def flap():
        for how in iter(lambda: random.choice(["idle", "body", "answer"]), None):
            if stop.wait(random.uniform(8, 20)) or time.monotonic() > end:
                return
            link.cut(how)
            stop.wait(random.uniform(2, 6))
            link.restore()

    def resolve():
        """Nobody asks v3 what became of a lost answer: a person drops such a job."""
        for row in site.jobs("unknown_outcome"):
            if site.ask("operator.sock", ask="queue-drop", job=row["job"])[-1].get("exit") == 0:
                dropped.add(row["job"])

    threads = [threading.Thread(target=target, daemon=True) for target in (feed, flap)]
    for thread in threads:
        thread.start()
    samples = []
    while threads[0].is_alive() and daemon.poll() is None:
        time.sleep(5)
        resolve()
        files = sum((pathlib.Path(site.state) / f"latchd.db{suffix}").stat().st_size for suffix in ("", "-wal"))
        samples.append((time.monotonic() - begun, memory(daemon.pid), files, len(handed)))
    stop.set()
    link.restore()
    alive = daemon.poll() is None

    def settled():
        resolve()
        return not any(site.jobs(state) for state in ("new", "sending", "accepted", "unknown_outcome"))

    ended = alive and until(settled, 180, 2)
    states = Counter()
    lost = dict(handed)
    for row in site.jobs() if alive else []:
        lost.pop(row["job"], None)
        states[row["state"]] += 1
    held = in_use(site)
    site.taken.flush()
    taken = Counter(line.split("user=")[1].split()[0] for line in open(site.place / "taken.log")
                    if line.startswith("v3 smart_selfie_authentication user=") and "job=" in line)
    half = [sample for sample in samples if sample[0] >= minutes * 30]
    slope = fit([(at, rss) for at, rss, _, _ in half]) if half else 0.0
    span = half[-1][0] - half[0][0] if half else 0.0
    jobs = half[-1][3] - half[0][3] if half else 0
    growth = (half[-1][2] - half[0][2]) / jobs if jobs else 0.0
    decided = {row["user_id"] for row in site.jobs("decided")} if alive else set()
    checks = {
        "daemon_alive": alive, "all_ended": ended, "none_refused": not refused, "none_lost": not lost,
        "only_known_ends": set(states) <= {"decided", "dropped"} and sum(states.values()) == len(handed),
        "none_taken_twice": max(taken.values(), default=0) <= 1,
        # What was decided was taken; what was dropped may have been.
        "accounts_match": decided <= set(taken) <= set(handed.values()),
        "memory_flat": slope * span <= MEMORY_GROWTH_MAX, "file_flat": growth <= FILE_GROWTH_MAX,
    }
    return {
        "minutes": minutes, "rate": rate, "load": load(), "jobs": len(handed), "refused": len(refused), "refusals": sorted(set(refused))[:3], "lost": len(lost),
        "states": dict(states), "taken": len(taken), "taken_twice": sum(count > 1 for count in taken.values()),
        "cuts": dict(link.cuts), "rss_first_kib": samples[0][1] if samples else None, "rss_last_kib": samples[-1][1] if samples else None,
        "rss_max_kib": max((sample[1] for sample in samples), default=None), "rss_slope_kib_per_hour": round(slope * 3600, 1),
        "rss_growth_fitted_kib": round(slope * span, 1), "file_max_bytes": max((sample[2] for sample in samples), default=None),
        "file_growth_per_job_second_half": round(growth), "in_use_bytes_per_job_at_end": round(held / max(1, len(handed))),
        "checks": checks, "held": all(checks.values()),
    }


def main():
    latchd, minutes, rate = str(pathlib.Path(sys.argv[1]).resolve()), float(sys.argv[2]), float(sys.argv[3])
    directory = tempfile.mkdtemp()
    site = Site(latchd, directory, queue=QUEUE)
    try:
        told = soak(site, minutes, rate)
    finally:
        site.end()
        if os.environ.get("SOAK_KEEP"):
            print(f"soak: kept {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory)
    print(json.dumps(told))
    return 0 if told["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
