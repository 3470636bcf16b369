"""The service's side, on this machine: `latchd sandbox`, and between it and the board a recorder.

The recorder ends the board's TLS with the sandbox's own certificate and speaks TLS to the sandbox itself, so what the
board sent can be looked at, and the network can be taken away.
"""

import contextlib
import json
import re
import select
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from board import BoardError, _die_with_parent, wait_for

PARTNER = "1234"
API_KEY = "board-test-key"
GUEST_VIEW = "10.0.2.2"  # this machine's loopback address as the guest sees it
KEEP_BYTES = 64 << 20


class Service:
    """A sandbox that plays `scenario` (TOML text), reachable by the board at `base_url` while online."""

    def __init__(self, latchd, place):
        self.latchd = latchd
        self.place = Path(place)
        self.place.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.listener = None
        self.requests = []   # (product, body) of each submission that the board sent in full
        self.taken = []      # what the sandbox says of each job, a line a job
        self._open = set()
        self._lock = threading.Lock()
        self.port = self._stable_port()

    @property
    def base_url(self):
        return f"https://{GUEST_VIEW}:{self.port}"

    @property
    def ca(self):
        return self.place / "tls/ca.pem"

    def _stable_port(self):
        """The same port at each run where it is free: it stands in the snapshot's configuration."""
        kept = self.place / "port"
        for wanted in ([int(kept.read_text())] if kept.exists() else []) + [0]:
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", wanted))
                port = probe.getsockname()[1]
                kept.write_text(str(port))
                return port
        raise BoardError("no port for the service")

    def start(self, scenario):
        """(Re)starts the sandbox; its authority stays, its jobs do not."""
        self.end()
        script = self.place / "scenario.toml"
        script.write_text(scenario)
        command = [self.latchd, "sandbox", "--listen", "127.0.0.1:0", "--partner-id", PARTNER, "--api-key", API_KEY,
                   "--tls-dir", str(self.place / "tls"), "--name", GUEST_VIEW, "--scenario", str(script), "--verbose"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=_die_with_parent)
        line = self.process.stdout.readline()
        if not line:
            raise BoardError(f"latchd sandbox does not start: {self.process.stderr.read()[-500:]}")
        self.upstream = int(json.loads(line)["listening"].rsplit(":", 1)[1])
        self.requests, self.taken = [], []
        threading.Thread(target=self._note_jobs, args=(self.process.stderr, self.taken), daemon=True).start()
        self.online()

    @staticmethod
    def _note_jobs(stream, taken):
        for line in stream:
            taken.append(line.strip())

    def end(self):
        self.offline()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    def offline(self):
        """Connections are refused, and those there were are cut."""
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def online(self):
        if self.listener is None:
            self.listener = wait_for("the service's port", 30, self._listen)
            threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _listen(self):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", self.port), backlog=64)

    def _accept(self, listener):
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(self.place / "tls/server.pem", self.place / "tls/server.key")
        ours.set_alpn_protocols(["http/1.1"])
        theirs = ssl.create_default_context(cafile=str(self.ca))
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain, ours, theirs), daemon=True).start()

    def _serve(self, plain, ours, theirs):
        ends = [plain]
        try:
            # The handshake with the sandbox comes first: a sandbox that is gone is a service that is gone.
            up = theirs.wrap_socket(socket.create_connection(("127.0.0.1", self.upstream), timeout=30),
                                    server_hostname="127.0.0.1")
            ends.append(up)
            up.settimeout(None)
            self._note(ends)
            down = ours.wrap_socket(plain, server_side=True)
            ends.append(down)
            self._note(ends)
            self._relay(down, up)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.difference_update(ends)
            for end in ends:
                end.close()

    def _note(self, ends):
        """Remembers these ends of a connection, so that `offline` can cut them; too late for that: cuts them here."""
        with self._lock:
            self._open.update(ends)
            if self.listener is None:
                raise OSError("offline")

    def _relay(self, down, up):
        """Both ways in one thread, for a TLS connection is not for two at once; until one end is done."""
        record = bytearray()
        for end in (down, up):
            end.setblocking(False)
        while True:
            for end in [end for end in (down, up) if end.pending()] or select.select((down, up), (), ())[0]:
                try:
                    chunk = end.recv(65536)
                except ssl.SSLWantReadError:
                    continue  # a record that carries nothing, or half of one
                if not chunk:
                    return
                if end is down and len(record) < KEEP_BYTES:
                    record += chunk
                    self._take_requests(record)
                other = up if end is down else down
                other.setblocking(True)
                other.sendall(chunk)
                other.setblocking(False)

    def _take_requests(self, record):
        """Cuts whole requests off the front of a connection's bytes; keeps the submissions."""
        while (head_end := record.find(b"\r\n\r\n")) >= 0:
            head = bytes(record[:head_end]).decode("latin-1")
            length = re.search(r"(?im)^content-length: *(\d+)", head)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(record) < end:
                return
            submission = re.match(r"POST /v3/(authentication|registration) ", head)
            if submission:
                with self._lock:
                    self.requests.append((submission[1], bytes(record[head_end + 4:end])))
            del record[:end]

    # ---------------------------------------------------------------- what was seen

    def submissions_of(self, user):
        """The bodies in which the board named this user."""
        wanted = user.encode()
        with self._lock:
            return [body for _, body in self.requests if part(body, "user_id") == wanted]

    def jobs_of(self, user):
        """The sandbox's lines about jobs of this user that it took."""
        return [line for line in self.taken if f" user={user} " in line]


def part(body, name):
    """The first part of that name in a multipart body."""
    at = body.find(b'name="' + name.encode() + b'"')
    if at < 0:
        return None
    start = body.find(b"\r\n\r\n", at) + 4
    boundary = body[:body.find(b"\r\n")]
    return body[start:body.find(b"\r\n" + boundary, start)]
