"""What the measuring scripts share: pictures of a wanted size, a sandbox, a guard, a daemon, its sockets."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

CONFIG = """
[device]
state_dir = "{state}"
run_dir = "{place}"
device_key_file = "{place}/device.key"
[smile]
base_url = "{url}"
ca_file = "{place}/tls/ca.pem"
partner_id = "1234"
api_key_file = "{place}/api-key"
callback_url = "https://example.com/callback"
[camera]
source = "file"
file = "{place}/face.jpg"
[door]
name = "bench"
guard_config = "{place}/guard.toml"
guard_socket = "{place}/guard.sock"
[queue]
min_free_mib = 0
{queue}
"""
FORM = {"given_names": "Amina Fatou", "last_name": "Clearwater", "email": "amina.clearwater@example.com",
        "consent": {"granted_at": "2026-01-02T03:04:05Z", "language": "EN", "policy_url": "https://example.com/privacy"}}


def jpeg(size):
    """A JPEG of about that many bytes that says 320x320 and is otherwise noise: nobody here decodes it."""
    segment = lambda marker, body: bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
    head = b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    tail = (segment(0xDB, b"\0" + b"\x10" * 64) + segment(0xC0, b"\x08\x01\x40\x01\x40\x01\x01\x11\x00")
            + segment(0xC4, b"\0" + b"\0\1" + b"\0" * 14 + b"\5") + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\0" * 16 + b"\xff\xd9")
    filling = b""
    while len(head) + len(filling) + len(tail) + 4 < size:
        filling += segment(0xFE, os.urandom(min(60_000, size - len(head) - len(filling) - len(tail) - 4)))
    return head + filling + tail


def full_size(place):
    """A selfie of 60 kB and eight liveness pictures of 20 kB, where `bench submit` and `bench floor` look for them."""
    (place / "selfie.jpg").write_bytes(jpeg(60_000))
    for number in range(8):
        (place / f"liveness_{number}.jpg").write_bytes(jpeg(20_000))


def private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


class Site:
    """A directory with all that a daemon needs, and the processes that run in it."""

    def __init__(self, latchd, place, state=None, queue="", scenario=""):
        self.latchd, self.place, self.running = latchd, pathlib.Path(place), []
        self.place.chmod(0o700)
        self.scenario = ["--scenario", private(self.place / "scenario.toml", scenario)] if scenario else []
        self.taken = open(self.place / "taken.log", "w+")
        self.serve()
        self.state, self.queue = state or self.place, queue
        (self.place / "face.jpg").write_bytes(jpeg(20_000))
        private(self.place / "api-key", "bench-key")
        private(self.place / "people.json", "[]")
        private(self.place / "guard.toml",
                f'lock = "fail-secure"\n[line]\nkind = "recording"\nfile = "{self.place}/line.edges"\n')
        self.configure(self.url)

    def serve(self, port=0):
        self.sandbox = self.start([self.latchd, "sandbox", "--verbose", "--listen", f"127.0.0.1:{port}", "--partner-id", "1234",
                                   "--api-key", "bench-key", "--tls-dir", self.place / "tls", *self.scenario],
                                  stdout=subprocess.PIPE, stderr=self.taken, text=True)
        self.url = json.loads(self.sandbox.stdout.readline())["listening"]

    def configure(self, url):
        self.config = private(self.place / "latchd.toml",
                              CONFIG.format(place=self.place, state=self.state, url=url, queue=self.queue))

    def start(self, words, **options):
        child = subprocess.Popen(words, **options)
        self.running.append(child)
        return child

    def end(self, *children):
        for child in children or tuple(reversed(self.running)):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                child.wait()

    def command(self, *words):
        out = subprocess.run([self.latchd, *words, "--json", "--config", self.config], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def guard(self):
        return self.start([self.latchd + "-guard", "--config", self.place / "guard.toml", "--socket", self.place / "guard.sock"],
                          stderr=subprocess.DEVNULL)

    def daemon(self):
        """Starts it and waits for READY."""
        path = self.place / "notify"
        path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(path))
        notify.settimeout(60)
        self.log = open(self.place / "daemon.log", "a")
        daemon = self.start([self.latchd, "run", "--config", self.config], stderr=self.log,
                            env=dict(os.environ, NOTIFY_SOCKET=str(path)))
        while "READY=1" not in notify.recv(4096).decode().split("\n"):
            pass
        return daemon

    def ask(self, name, **words):
        """One request on a socket of the daemon; gives all lines of its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(60)
            stream.connect(str(self.place / name))
            stream.sendall(json.dumps(words).encode() + b"\n")
            answer = b""
            while chunk := stream.recv(1 << 16):
                answer += chunk
        return [json.loads(line) for line in answer.splitlines()]

    def jobs(self, state=None):
        return [row["object"] for row in self.ask("read.sock", ask="queue-list", state=state) if "object" in row and "job" in row["object"]]


def memory(pid, field="VmRSS"):
    return int(re.search(rf"{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def load():
    return open("/proc/loadavg").read().split()[0]


def until(what, seconds=60, pause=0.1):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
