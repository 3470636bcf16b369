"""What a scenario works with: the board, the service, counts for this kind of run, and a place for its findings."""

import hashlib
import json
import random
import time

from board import Talk, wait_for
from host import CACHE, say

# How often each thing is done: as a rule, and with --full.
COUNTS = {
    "late approvals": (3, 100),
    "kills": (2, 50),
    "power cuts": (3, 30),
    "pulses": (20, 200),
    "idle seconds": (60, 600),
}


class Lab:
    """One run. Checks are collected; a failed one ends nothing."""

    def __init__(self, board, service, golden, played, deb, full, cuts, key):
        self.board, self.service, self.golden, self.played, self.deb = board, service, golden, played, deb
        self.full, self.cuts = full, cuts
        self.results = CACHE / "results" / key
        self.checks = []      # (scenario, name, passed, detail)
        self.notes = []       # measured things for the report: (scenario, text)
        self.scenario = ""
        self.visits, self.repeated = 0, 0
        self.edges_before = 0
        self.seed = int(time.time())
        self._random = random.Random(self.seed)
        self._people = {}

    def count(self, what):
        if what == "power cuts" and self.cuts:
            return self.cuts
        return COUNTS[what][1 if self.full else 0]

    def check(self, name, passed, detail=""):
        self.checks.append((self.scenario, name, bool(passed), str(detail)))
        if not passed:
            say(f"FAIL {self.scenario}: {name}: {detail}")
        return bool(passed)

    def note(self, text):
        self.notes.append((self.scenario, text))
        say(f"     {text}")

    def between(self, least, most):
        return self._random.uniform(least, most)

    def part(self, name, work):
        """A part of a long run: done once, its outcome kept in a file, so that an interrupted run goes on after it.

        `work` gives a dictionary with "checks": [(name, passed, detail)] and whatever else is to be told; a part with a
        failed check is done again by the next run, and its failure stays on record. Short runs keep nothing.
        """
        file = self.results / f"{self.scenario}.{name}.json"
        if self.full and file.exists():
            outcome = {**json.loads(file.read_text()), "kept": True}
        else:
            try:
                outcome = work()
            except Exception as error:  # told by whoever ends the scenario; here it is only kept
                self._keep(file, {"checks": [("runs to its end", False, f"{type(error).__name__}: {error}")]})
                raise
            self._keep(file, outcome)
        for check in outcome["checks"]:
            self.check(f"{name}: {check[0]}", *check[1:])
        return outcome

    def _keep(self, file, outcome):
        if not self.full:
            return
        if not all(passed for _, passed, _ in outcome["checks"]):
            file = file.with_suffix(f".{time.time_ns()}.failed")
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(outcome))
        part.rename(file)

    def record(self):
        """The outcomes of all parts of this scenario, of all long runs with this package and these tests; failed ones too."""
        files = [*self.results.glob(f"{self.scenario}.*.json"), *self.results.glob(f"{self.scenario}.*.failed")]
        return [json.loads(file.read_text()) for file in files]

    # ---------------------------------------------------------------- the board

    def fresh(self, snapshot=None):
        """A board with latchd installed and running, as it was right after the installation or when `snapshot` was taken."""
        self.off()
        self.board.start(base=snapshot or self.golden, restore=True)
        self.service.online()

    def gives_up_after(self, ms):
        """A burst has so many milliseconds, where this board has 45,000."""
        config = "/etc/latchd/latchd.toml"
        self.board.run(f"sed -i 's/^give_up_ms = .*/give_up_ms = {ms}/' {config} && systemctl reload latchd.service")
        wait_for("the new configuration", 60, lambda: self.ready() and
                 [event["event"] for event in self.events()].count("started") == 2)

    def power_on(self, clock=None, new_disk=True):
        """A cold boot of that board, or with `new_disk` false of the disk as it is."""
        self.off()
        self.board.start(base=self.golden if new_disk else None, clock=clock)
        self.service.online()

    def off(self):
        if self.board.running():
            self.board.cut()

    def person(self, kind="emp"):
        """Somebody who was not at the door before in this run."""
        self._people[kind] = self._people.get(kind, 0) + 1
        return f"{kind}-{self._people[kind]:04}"

    def claim(self, user, more=""):
        """Starts an attempt in the guest; a `Talk`."""
        return Talk(self.board, f"latchd authenticate --json {more} --user-id {user}")

    def attempt(self, user=None, seconds=180):
        """One attempt to its end: (exit status, the last object); without `user`, of a `visit`."""
        return ended(self.claim(user), seconds) if user else self.visit(seconds)[2:]

    def visit(self, seconds=180):
        """An attempt of somebody new, and again of somebody new while the guard missed the agent's heartbeat, up to twice:
        (user, talk, exit status, the last object)."""
        self.visits += 1
        for _ in range(3):
            user = self.person()
            talk = self.claim(user)
            status, last = ended(talk, seconds)
            if not self.disturbed(last):
                break
        return user, talk, status, last

    def disturbed(self, last):
        """Whether the guard took the agent for dead, and rightly dropped the arm of this attempt; it is told and counted."""
        word = f"disarmed attempt={last.get('attempt')} cause=heartbeat-lost"
        missed = last.get("outcome") == "lock_failed" and \
            self.board.ask(f"journalctl -b -o cat | grep -qF '{word}'")[0] == 0
        if missed:
            self.repeated += 1
            self.note("the guard missed the agent's heartbeat: an attempt counts no more")
        return missed

    def edge_or_end(self, talk, count):
        """Waits until the strike's line has changed `count` times, or the attempt is over without that; which it was."""
        wait_for(f"edge {count} or the attempt's end", 120,
                 lambda: len(self.board.edges()) >= count or talk.process.poll() is not None)
        return len(self.board.edges()) >= count

    def latchd(self, command, seconds=60):
        """The objects that `latchd COMMAND --json` prints, whatever its exit status."""
        _, out, err = self.board.ask(f"latchd {command} --json", seconds)
        objects = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        if not objects:
            raise RuntimeError(f"latchd {command} printed nothing: {err.strip()[-300:]}")
        return objects

    def status(self):
        return self.latchd("status")[-1]

    def queue(self):
        return {item["job"]: item for item in self.latchd("queue list") if item["kind"] == "item"}

    def events(self):
        return [item for item in self.latchd("events") if item["kind"] == "item"]

    def reason(self, last):
        """Why an attempt that ended like this did, by the audit; empty when it needs no reason."""
        ends = [event for event in self.events()
                if event["event"] == "attempt_ended" and event.get("attempt") == last.get("attempt")]
        return str(ends[-1]["fields"].get("reason", "")) if ends else ""

    def ready(self):
        """Whether the lock answers, holds its line and is locked."""
        _, out, _ = self.board.ask("latchd status --json")
        return '"state":"locked"' in out.replace(" ", "")

    def locked(self):
        """Whether the strike's line is low, as seen from outside."""
        edges = self.board.edges()
        return not edges or edges[-1][1] == 0

    def open_times(self):
        """Seconds of each pulse since power-on, as seen from outside; an unfinished one is None."""
        edges = self.board.edges()
        ups = [at for at, level in edges if level]
        downs = [at for at, level in edges if not level]
        return [down - up for up, down in zip(ups, downs)] + [None] * (len(ups) - len(downs))


def ended(talk, seconds=180):
    """The end of an attempt: (exit status, the last object it printed)."""
    status, lines, err = talk.end(seconds)
    objects = [json.loads(line) for line in lines if line.startswith("{")]
    return status, objects[-1] if objects else {"cause": err.strip()[-300:]}


def key_of(*parts):
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
