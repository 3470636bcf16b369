"""One emulated board: started, talked to, cut off, and its GPIO lines watched from outside.

The oracle is QEMU's own trace of the GPIO chip (PL061): a line for each write to an output, stamped by this machine's
clock. The guest has no say in it.
"""

import contextlib
import ctypes
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from host import call, sha256

STRIKE = 5    # the line that unlocks
MARKER = 4    # moved by the tests' own hand in the guest, to stamp a moment on the same clock
MEMORY_MIB = 512
CORES = 2
COMMAND_LINE = "console=ttyAMA0 root=/dev/vda rw quiet loglevel=4 net.ifnames=0 mitigations=off panic=5"
_EDGE = re.compile(r"\d+@(\d+\.\d+):pl061_set_output \S+ setting output (\d) to (\d)")


class BoardError(Exception):
    """The board does not do what a board does; not a finding about latchd."""


class Late(BoardError):
    """Something did not happen in its time."""


def wait_for(what, seconds, probe):
    """Polls `probe` until it gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Late(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no board outlives the run that started it


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Board:
    """A board whose disk, logs and sockets lie in `place`."""

    def __init__(self, image, place):
        self.image = Path(image)
        self.place = Path(place)
        self.place.mkdir(parents=True, exist_ok=True)
        self.disk = self.place / "disk.qcow2"
        self.base = None  # the disk that this one was made from
        self.qemu = None
        self.master = None
        self.boots = 0
        self.started = 0.0
        self._end_stale()
        for old in self.place.glob("edges.*.log"):
            old.unlink()

    # ---------------------------------------------------------------- power

    def start(self, base=None, restore=False, clock=None):
        """Power on: with the disk as it is, or with a new one made from the one in `base`.

        `restore`: memory and devices go on as they were when the snapshot `base` was taken. `clock`: what the real-time
        clock shows, as qemu reads it.
        """
        if self.running():
            raise BoardError("the board is running already")
        if base is not None:
            self.base = base / "disk.qcow2"
            call("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.base, "-F", "qcow2", self.disk)
        for name in ("shell.sock", "qmp.sock", "qtest.sock", "serial.log"):
            (self.place / name).unlink(missing_ok=True)
        self.boots += 1
        self.port = free_port()
        command = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-accel", "tcg,thread=multi",
            "-smp", str(CORES), "-m", str(MEMORY_MIB), "-display", "none", "-vga", "none", "-nodefaults",
            "-kernel", str(self.image / "vmlinuz"), "-initrd", str(self.image / "initrd.gz"),
            "-append", COMMAND_LINE, "-serial", "file:serial.log", "-global", "virtio-mmio.force-legacy=false",
            # Nothing that the guest flushed is in this machine's memory only, and nothing else is on the disk.
            "-drive", f"if=none,id=d0,file={self.disk},format=qcow2,cache=none,aio=threads",
            "-device", "virtio-blk-device,drive=d0",
            "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-device,netdev=n0",
            "-device", "virtio-rng-device", "-rtc", f"base={clock or 'utc'}",
            "-qmp", "unix:qmp.sock,server=on,wait=off", "-qtest", "unix:qtest.sock,server=on,wait=off",
            "-qtest-log", "none", "-msg", "timestamp=on", "-trace", "pl061_set_output",
            "-D", self._edge_log(self.boots).name,
        ]
        if restore:
            command += ["-incoming", f"exec:cat {shlex.quote(str(base / 'state'))}"]
        self.started = time.time()
        with (self.place / "qemu.log").open("ab") as log:
            self.qemu = subprocess.Popen(command, cwd=self.place, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         preexec_fn=_die_with_parent)
        (self.place / "qemu.pid").write_text(str(self.qemu.pid))
        if restore:
            wait_for("restoring the snapshot", 60, lambda: self._restored())
            self.qmp("cont")
        else:
            wait_for("the board's boot", 240, self._is_up)
            self.up_after = time.time() - self.started
        self._open_shell()
        if restore:
            # A restored guest has the clock and the random pool of the snapshot.
            self.run(f"date -u -s @{time.time():.3f} >/dev/null; head -c 64 /dev/hwrng >/dev/urandom")

    def _is_up(self):
        if not self.running():
            raise BoardError(f"qemu ended: {(self.place / 'qemu.log').read_text()[-500:]}")
        with contextlib.suppress(FileNotFoundError):
            return "BOARD UP" in (self.place / "serial.log").read_text(errors="replace")

    def _restored(self):
        if not self.running():
            raise BoardError(f"qemu ended: {(self.place / 'qemu.log').read_text()[-500:]}")
        with contextlib.suppress(OSError):
            return self.qmp("query-status")["status"] not in ("inmigrate", "prelaunch")

    def running(self):
        return self.qemu is not None and self.qemu.poll() is None

    def cut(self):
        """The power fails."""
        if self.qemu is not None:
            self.qemu.kill()
            self.qemu.wait()
        self._close_shell()
        (self.place / "qemu.pid").unlink(missing_ok=True)

    def stop(self):
        """A clean shutdown, then off."""
        self.run("systemctl start --no-block poweroff.target", check=False)
        try:
            self.qemu.wait(timeout=90)
        except subprocess.TimeoutExpired as error:
            raise Late("the board does not shut down within 90 s") from error
        finally:
            self.cut()

    def _end_stale(self):
        """Ends a board that an earlier run left here, and only that."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.place / "qemu.pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if any(str(self.disk).encode() in word for word in words):
                os.kill(pid, signal.SIGKILL)
        (self.place / "qemu.pid").unlink(missing_ok=True)

    def snapshot(self, place, sync=True):
        """Saves memory and disk of the running board into the new directory `place`; the board runs on.

        Without `sync`, what the guest has not yet written to its disk is in the memory alone, as it is on the board.
        """
        if sync:
            self.run("sync")
        self._close_shell()
        part = place.with_name(f"{place.name}.part")
        call("rm", "-rf", part)
        part.mkdir(parents=True)
        self.qmp("stop")
        self.qmp("migrate-set-parameters", {"max-bandwidth": 10**10})
        self.qmp("migrate", {"uri": f"exec:cat >{shlex.quote(str(part / 'state'))}"})
        saved = ("completed", "failed", "cancelled")
        state = wait_for("saving the memory", 120, lambda: self.qmp("query-migrate").get("status") in saved
                         and self.qmp("query-migrate")["status"])
        if state != "completed":
            raise BoardError(f"saving the memory: {state}")
        # After a migration qemu has let go of the disk, so this copy is of one moment.
        call("qemu-img", "convert", "-U", "-O", "qcow2", "-B", self.base, "-F", "qcow2", self.disk,
             part / "disk.qcow2")
        names = ("state", "disk.qcow2")
        (part / "SHA256SUMS").write_text("".join(f"{sha256(part / name)}  {name}\n" for name in names))
        self.qmp("cont")
        part.rename(place)
        self._open_shell()

    # ---------------------------------------------------------------- talking to the guest

    def _ssh(self, *options):
        return ["ssh", "-F", "none", "-i", str(self.image / "key"), "-p", str(self.port), "-S", "shell.sock",
                "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=30",
                "-T", *options, "root@127.0.0.1"]

    def _open_shell(self):
        self.master = subprocess.Popen(self._ssh("-M", "-N"), cwd=self.place, stdin=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        check = self._ssh("-O", "check")
        wait_for("a shell in the guest", 60, lambda: subprocess.run(
            check, cwd=self.place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0)

    def _close_shell(self):
        if self.master is not None:
            self.master.kill()
            self.master.wait()
            self.master = None
        (self.place / "shell.sock").unlink(missing_ok=True)

    def spawn(self, command, **more):
        """Starts a shell command in the guest; its pipes are the caller's."""
        return subprocess.Popen([*self._ssh(), command], cwd=self.place, text=True, preexec_fn=_die_with_parent,
                                stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **more)

    def ask(self, command, seconds=120, data=None):
        """(exit status, standard output, standard error) of a shell command in the guest."""
        try:
            done = subprocess.run([*self._ssh(), command], cwd=self.place, capture_output=True, timeout=seconds,
                                  check=False, input=data, **({} if data is not None else
                                                              {"stdin": subprocess.DEVNULL}))
        except subprocess.TimeoutExpired as error:
            raise Late(f"in the guest, {command[:80]!r}: not within {seconds} s") from error
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def run(self, command, seconds=120, check=True, data=None):
        """Standard output of a shell command in the guest, which must succeed unless `check` is false."""
        status, out, err = self.ask(command, seconds, data)
        if check and status:
            raise BoardError(f"in the guest, {command[:120]!r} ended with {status}: {(err or out).strip()[-600:]}")
        return out

    def push(self, content, path, mode="0644"):
        """Puts bytes, text or a file of the host at `path` in the guest."""
        data = content.read_bytes() if isinstance(content, Path) else content
        data = data.encode() if isinstance(data, str) else data
        name = shlex.quote(path)
        self.run(f"mkdir -p $(dirname {name}) && cat >{name}.part && chmod {mode} {name}.part && mv {name}.part {name}",
                 data=data)

    # ---------------------------------------------------------------- seen and done from outside

    def _edge_log(self, boot):
        return self.place / f"edges.{boot}.log"

    def edges(self, line=STRIKE, boot=None):
        """[(time of the host in s, level)] of the changes of a line since power-on; lines start low."""
        try:
            text = self._edge_log(boot or self.boots).read_text()
        except FileNotFoundError:
            return []
        level, changes = 0, []
        for stamp, number, value in _EDGE.findall(text):
            if int(number) == line and int(value) != level:
                level = int(value)
                changes.append((float(stamp), level))
        return changes

    def edges_of_all_boots(self, line=STRIKE):
        return [edge for boot in range(1, self.boots + 1) for edge in self.edges(line, boot)]

    def wait_for_edges(self, count, seconds=60, line=STRIKE):
        """Waits until the line has changed `count` times since power-on; gives all changes."""
        return wait_for(f"edge {count} of line {line}", seconds,
                        lambda: len(self.edges(line)) >= count and self.edges(line))

    def drive(self, line, level):
        """What is wired to an input line (exit button, door contact) changes its level."""
        device = re.search(r":pl061_set_output (\S+) ", self._edge_log(self.boots).read_text())
        if not device:
            raise BoardError("the GPIO chip has not shown its name yet")
        answer = self._say("qtest.sock", f"set_irq_in {device[1]} unnamed-gpio-in {line} {level}\n")
        if not answer.startswith("OK"):
            raise BoardError(f"driving line {line}: {answer}")

    def _say(self, name, *lines):
        with socket.socket(socket.AF_UNIX) as pipe:
            pipe.settimeout(60)
            here = os.open(self.place, os.O_RDONLY)  # a socket's path may be 108 bytes long
            try:
                pipe.connect(f"/proc/self/fd/{here}/{name}")
            finally:
                os.close(here)
            stream = pipe.makefile("rw")
            answer = stream.readline() if name == "qmp.sock" else ""
            for line in lines:
                stream.write(line)
                stream.flush()
                answer = stream.readline()
                while name == "qmp.sock" and '"event"' in answer:
                    answer = stream.readline()
            return answer

    def qmp(self, command, arguments=None):
        line = json.dumps({"execute": command, "arguments": arguments or {}}) + "\n"
        answer = json.loads(self._say("qmp.sock", '{"execute":"qmp_capabilities"}\n', line))
        if "error" in answer:
            raise BoardError(f"qemu, {command}: {answer['error']['desc']}")
        return answer["return"]


class Talk:
    """A command in the guest whose lines are read as they come, each stamped with this machine's time."""

    def __init__(self, board, command):
        self.lines = []
        self.process = board.spawn(command)
        self._new = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._new:
                self.lines.append((time.time(), line.rstrip("\n")))
                self._new.notify_all()
        with self._new:
            self._new.notify_all()

    def wait(self, wanted, seconds=60):
        """The first line for which `wanted(line)` is true; None when the command ended without it."""
        deadline, seen = time.monotonic() + seconds, 0
        with self._new:
            while True:
                for _, line in self.lines[seen:]:
                    if wanted(line):
                        return line
                seen = len(self.lines)
                if not self._reader.is_alive() and self.process.poll() is not None and seen == len(self.lines):
                    return None
                if time.monotonic() > deadline:
                    raise Late(f"a line of the guest's command: not within {seconds} s after {self.lines[-2:]}")
                self._new.wait(0.2)

    def end(self, seconds=60):
        """Waits for the command's end: (exit status, its lines, standard error)."""
        try:
            status = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise Late(f"the guest's command does not end: {self.lines[-3:]}") from error
        self._reader.join(timeout=10)
        return status, [line for _, line in self.lines], self.process.stderr.read()
