"""Between a client and the sandbox: ends the client's TLS with the sandbox's own certificate and keeps each request."""

import contextlib
import email.parser
import io
import json
import re
import select
import socket
import ssl
import threading
import zipfile


class Request:
    """One request: method, path, headers (lower case), and its body as {where: value}."""

    def __init__(self, head, body):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, path, _ = first.split(" ", 2)
        # What differs from job to job is not in the name.
        self.path = re.sub(r"/(job_[0-9a-z]{26}|uploads/.*)$", lambda found: "/…", path)
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines if line)}
        try:
            self.parts = dict(_parts(self.headers.get("content-type", ""), body))
        except (ValueError, KeyError, zipfile.BadZipFile) as error:
            self.parts = {"body": f"not readable: {error}"}


def _json(where, text):
    """The leaves of a JSON value, each under its way."""
    def walk(where, value):
        if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from walk(f"{where}.{key}", item)
        elif isinstance(value, list) and value:
            for number, item in enumerate(value):
                yield from walk(f"{where}[{number}]", item)
        else:
            yield where, json.dumps(value)
    yield from walk(where, json.loads(text))


def _parts(kind, body):
    if kind.startswith("multipart/form-data"):
        message = email.parser.BytesParser().parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
        for part in message.get_payload():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            of = part.get("content-type", "none")
            yield f"{name} type", of
            yield f"{name} file name", "yes" if part.get_filename() else "no"
            if of.startswith("application/json"):
                yield from _json(name, content)
            elif not of.startswith("image/"):
                yield name, content.decode()
    elif kind.startswith("application/zip"):
        archive = zipfile.ZipFile(io.BytesIO(body))
        yield "zip pictures", str(len(archive.namelist()) - 1)
        yield from _json("info.json", archive.read("info.json"))
    elif body:
        yield from _json("body", body)


class Recorder:
    def __init__(self, sandbox):
        self.requests = []
        self._upstream = int(sandbox.url.rsplit(":", 1)[1])
        tls = sandbox.tls
        self._ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ours.load_cert_chain(tls / "server.pem", tls / "server.key")
        self._theirs = ssl.create_default_context(cafile=sandbox.ca)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self):
        """The requests since the last time, in order."""
        taken, self.requests = self.requests, []
        return taken

    def end(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        with contextlib.suppress(OSError), self._ours.wrap_socket(plain, server_side=True) as down, \
                self._theirs.wrap_socket(socket.create_connection(("127.0.0.1", self._upstream)),
                                         server_hostname="127.0.0.1") as up:
            # An upload address names the sandbox's own port; both ports have five digits.
            swap = (f":{self._upstream}/".encode(), f":{self.url.rsplit(':', 1)[1]}/".encode())
            kept = b""
            # One thread for both ways: a TLS connection is not for two at once.
            for end, chunk in _chunks(down, up):
                if end is down:
                    kept = self._keep(kept + chunk)
                    _send(up, chunk)
                else:
                    _send(down, chunk.replace(*swap))

    def _keep(self, kept):
        while (end := kept.find(b"\r\n\r\n")) >= 0:
            head, rest = kept[:end], kept[end + 4:]
            length = int((re.search(rb"(?im)^content-length: *(\d+)", head) or [0, b"0"])[1])
            if len(rest) < length:
                break
            self.requests.append(Request(head, rest[:length]))
            kept = rest[length:]
        return kept


def _chunks(*ends):
    """What comes from either end, as it comes, until one of them is done."""
    for end in ends:
        end.setblocking(False)
    while True:
        for end in [end for end in ends if end.pending()] or select.select(ends, (), ())[0]:
            try:
                chunk = end.recv(65536)
            except ssl.SSLWantReadError:
                continue  # a record that carries nothing, or half of one
            if not chunk:
                return
            yield end, chunk


def _send(end, chunk):
    end.setblocking(True)
    end.sendall(chunk)
    end.setblocking(False)
