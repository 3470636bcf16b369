"""Runs the benchmarks of docs/benchmarks.md and prints their tables. Called by scripts/bench.sh.

usage: run.py LATCHD PEER_PYTHON [submit|verdict|stream|edge|path|start|capture|eyes|queue|drain]…
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import eyes

ROUNDS, JOBS = 5, 50
HERE = os.path.dirname(os.path.abspath(__file__))
latchd, peer_python = sys.argv[1:3]
parts = sys.argv[3:] or ["submit", "verdict", "stream", "edge", "path", "start", "capture", "eyes", "queue", "drain"]


# Where databases are measured: a memory file system would sync nothing.
DISK = os.environ.get("BENCH_DIR", "/var/tmp")


def load():
    return open("/proc/loadavg").read().split()[0]


def spread(values):
    return f"{statistics.median(values):10.2f}  ({min(values):.2f} to {max(values):.2f})"


def table(title, rows):
    print(f"\n{title} (load average {load()})")
    for name, values in rows:
        print(f"  {name:<44} {spread(values)}")


# ---------------------------------------------------------------------- the server and its pictures

def start_sandbox(directory, key, *more):
    child = subprocess.Popen(
        [latchd, "sandbox", "--listen", "127.0.0.1:0", "--partner-id", "1234", "--api-key", key,
         "--tls-dir", os.path.join(directory, "tls"), *more],
        stdout=subprocess.PIPE, text=True)
    ready = json.loads(child.stdout.readline())
    return child, ready["listening"], ready["ca"]


def make_pictures(directory):
    """A selfie of about 60 KB and eight liveness pictures of about 20 KB, noise cut to size by quality."""
    script = """
import io, os, sys
from PIL import Image
def picture(side, wanted, seed):
    noise = Image.effect_noise((side, side), 60 + seed).convert("RGB")
    best = None
    for quality in range(1, 96):
        out = io.BytesIO(); noise.save(out, "JPEG", quality=quality)
        if best is None or abs(len(out.getvalue()) - wanted) < abs(len(best) - wanted):
            best = out.getvalue()
    return best
open(os.path.join(sys.argv[1], "selfie.jpg"), "wb").write(picture(480, 60_000, 0))
for n in range(8):
    open(os.path.join(sys.argv[1], f"liveness_{n}.jpg"), "wb").write(picture(320, 20_000, n))
"""
    subprocess.run([peer_python, "-c", script, directory], check=True)


# ---------------------------------------------------------------------- the protocol client

def floor(url, ca, images, key):
    """A prepared request on a raw TLS socket: what server and kernel take without any client."""
    host, port = url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=ca)
    raw = socket.create_connection((host, int(port)))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = context.wrap_socket(raw, server_hostname=host)

    def answer():
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length"))
        while len(body) < length:
            body += connection.recv(65536)
        return int(head.split()[1]), body

    connection.sendall(f"POST /v3/token HTTP/1.1\r\nHost: {host}\r\nsmileid-partner-id: 1234\r\n"
                       f"smileid-api-key: {key}\r\nContent-Length: 0\r\n\r\n".encode())
    status, body = answer()
    assert status == 200, body
    token = json.loads(body)["token"]
    boundary = "floor"
    body = b""

    def part(head, content):
        return f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"

    as_json = "\"\r\nContent-Type: application/json"
    body += part('name="user_id"', b"bench")
    body += part('name="callback_url"', b"https://example.com/callback")
    body += part(f'name="consent{as_json}', json.dumps({
        "granted": True, "granted_at": "2026-01-02T03:04:05Z", "notice_language": "EN",
        "notice_privacy_policy_url": "https://example.com/privacy"}).encode())
    body += part(f'name="user_details{as_json}', json.dumps({
        "given_names": "Amina Fatou", "last_name": "Clearwater",
        "email": "amina.clearwater@example.com"}).encode())
    for name, file in [("selfie_image", "selfie.jpg")] + [("liveness_images", f"liveness_{n}.jpg") for n in range(8)]:
        content = open(os.path.join(images, file), "rb").read()
        body += part(f'name="{name}"; filename="{file}"\r\nContent-Type: image/jpeg', content)
    body += f"--{boundary}--\r\n".encode()
    request = (f"POST /v3/authentication HTTP/1.1\r\nHost: {host}\r\nSmileID-Token: {token}\r\n"
               f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    wall = []
    for _ in range(JOBS):
        begin = time.perf_counter()
        connection.sendall(request)
        status, body = answer()
        wall.append((time.perf_counter() - begin) * 1e6)
        assert status == 202, body
    return statistics.median(wall)


def submit():
    key = "bench-key"
    with tempfile.TemporaryDirectory() as directory:
        make_pictures(directory)
        sandbox, url, ca = start_sandbox(directory, key)
        ours = [latchd, "bench", "submit", "--json", "--url", url, "--ca", ca, "--images", directory,
                "--partner-id", "1234", "--api-key", key, "--jobs"]
        peer = [peer_python, os.path.join(HERE, "peer.py"), url, directory]
        environment = dict(os.environ, SSL_CERT_FILE=ca)
        rows = {name: [] for name in ("floor", "our wall", "peer wall", "our cpu", "peer cpu", "our rss",
                                      "peer rss", "our cold", "peer cold")}

        def run(command, environment=None):
            begin = time.perf_counter()
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            return json.loads(out.stdout), (time.perf_counter() - begin) * 1e3

        try:
            for _ in range(ROUNDS):
                rows["floor"].append(floor(url, ca, directory, key) / 1e3)
                for who, command, env in (("our", ours, None), ("peer", peer, environment)):
                    tail = ["1234", key] if who == "peer" else []
                    warm, _ = run(command + [str(JOBS)] + tail, env)
                    rows[f"{who} wall"].append(warm["wall_us_median"] / 1e3)
                    rows[f"{who} cpu"].append(warm["cpu_us_per_job"] / 1e3)
                    rows[f"{who} rss"].append(warm["peak_rss_kib"] / 1024)
                    _, cold = run(command + ["1"] + tail, env)
                    rows[f"{who} cold"].append(cold)
        finally:
            sandbox.terminate()
            sandbox.wait()
        table(f"Protocol client, {JOBS} jobs a run, {ROUNDS} runs in turn", [
            ("floor: prepared request, ms", rows["floor"]),
            ("latchd, wall of a job, ms", rows["our wall"]),
            ("official Python client, wall of a job, ms", rows["peer wall"]),
            ("latchd, CPU of a job, ms", rows["our cpu"]),
            ("official Python client, CPU of a job, ms", rows["peer cpu"]),
            ("latchd, peak memory, MiB", rows["our rss"]),
            ("official Python client, peak memory, MiB", rows["peer rss"]),
            ("latchd, cold process with one job, ms", rows["our cold"]),
            ("official Python client, cold process, ms", rows["peer cold"]),
        ])
        median = {name: statistics.median(values) for name, values in rows.items()}
        above = lambda who: median[f"{who} wall"] - median["floor"]
        print(f"  ratios: cpu {median['our cpu'] / median['peer cpu']:.2f}, memory "
              f"{median['our rss'] / median['peer rss']:.2f}, wall above the floor "
              f"{above('our') / above('peer'):.2f}, cold {median['our cold'] / median['peer cold']:.3f}")


# ---------------------------------------------------------------------- how soon a verdict is known

def verdict():
    key, rows = "bench-key", {}
    for after in (300, 1500, 4000):
        with tempfile.TemporaryDirectory() as directory:
            make_pictures(directory)
            scenario = write(directory, "scenario.toml", f"[default]\ndecide_after_ms = {after}\n")
            sandbox, url, ca = start_sandbox(directory, key, "--scenario", scenario)
            ours = [latchd, "bench", "verdict", "--json", "--url", url, "--ca", ca, "--images", directory,
                    "--partner-id", "1234", "--api-key", key, "--jobs", "80", "--after-ms", str(after)]
            peer = [peer_python, os.path.join(HERE, "peer.py"), url, directory, "3", "1234", key, str(after / 1000)]
            try:
                for _ in range(ROUNDS):
                    for who, command in (("latchd", ours), ("official Python client", peer)):
                        out = subprocess.run(command, check=True, capture_output=True, text=True,
                                             env=dict(os.environ, SSL_CERT_FILE=ca))
                        figures = json.loads(out.stdout)
                        for name, value in figures.items():
                            if name.startswith("late_us"):
                                rows.setdefault(f"{after} ms: {who}, {name[-3:]} ms late", []).append(value / 1e3)
                            elif name == "looks_max":
                                rows.setdefault(f"{after} ms: {who}, most status calls", []).append(value)
            finally:
                sandbox.terminate()
                sandbox.wait()
    table(f"From the service's decision to the client's knowledge, 80 jobs (peer: 3) a run, {ROUNDS} runs in turn",
          list(rows.items()))


# ---------------------------------------------------------------------- memory of a large job

def stream():
    rows = {}
    for _ in range(ROUNDS):
        out = subprocess.run([peer_python, os.path.join(HERE, "stream.py"), latchd], check=True, capture_output=True, text=True)
        for name, value in json.loads(out.stdout).items():
            rows.setdefault(name.replace("_", " "), []).append(value)
    table(f"A document in the sealed queue, sent by the daemon, {ROUNDS} runs", list(rows.items()))


# ---------------------------------------------------------------------- the lock

def edge():
    rows = {}
    for _ in range(ROUNDS):
        out = subprocess.run([latchd, "bench", "edge", "--json"], check=True, capture_output=True, text=True)
        figures = json.loads(out.stdout)
        del figures["kind"]
        for name, values in figures.items():
            rows.setdefault(f"{name}, median ms", []).append(values["median_us"] / 1e3)
            rows.setdefault(f"{name}, p99 ms", []).append(values["p99_us"] / 1e3)
    table(f"Lock, 1000 grants a run, {ROUNDS} runs", sorted(rows.items()))


# ---------------------------------------------------------------------- start and idle

def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in open(f"/proc/{pid}/task/{task}/status"):
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def memory(pid):
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")) / 1024


def children(pid):
    return [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def make_site(directory, url):
    """The demo's configuration and a guard on a recording line."""
    template = open(os.path.join(os.path.dirname(os.path.dirname(HERE)), "config", "demo.toml")).read()
    write(directory, "api-key", "bench-key")
    config = (template.replace("@DIR@", directory).replace("@BASE_URL@", url).replace("@WINDOW_MS@", "8000")
              .replace("@UNLOCK_MS@", "100").replace("@LIVENESS@", "6"))
    config = write(directory, "latchd.toml", config)
    write(directory, "guard.toml",
          f'lock = "fail-secure"\n\n[line]\nkind = "recording"\nfile = "{directory}/line.edges"\n')
    guard = subprocess.Popen([latchd + "-guard", "--config", f"{directory}/guard.toml", "--socket",
                              f"{directory}/guard.sock"], stderr=subprocess.DEVNULL)
    return config, guard


def run_daemon(directory, config):
    """Starts the daemon; gives it and the milliseconds until it said READY."""
    path = os.path.join(directory, "notify")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if os.path.exists(path):
        os.unlink(path)
    notify.bind(path)
    notify.settimeout(10)
    begin = time.perf_counter()
    daemon = subprocess.Popen([latchd, "run", "--config", config], env=dict(os.environ, NOTIFY_SOCKET=path),
                              stderr=subprocess.DEVNULL)
    while "READY=1" not in notify.recv(4096).decode().split("\n"):
        pass
    return daemon, (time.perf_counter() - begin) * 1e3


def end(*children):
    for child in children:
        child.send_signal(signal.SIGTERM)
        child.wait()


def start():
    with tempfile.TemporaryDirectory() as directory:
        sandbox, url, _ = start_sandbox(directory, "bench-key")
        config, guard = make_site(directory, url)
        rows = []

        def ready(name):
            values = []
            for _ in range(ROUNDS):
                daemon, ms = run_daemon(directory, config)
                values.append(ms)
                end(daemon)
            rows.append((name, values))

        try:
            ready("ready with an empty queue, ms")
            daemon, _ = run_daemon(directory, config)
            # Past the start's own work, then a span that is long beside the heartbeat's 2 s.
            time.sleep(5)
            pids = {"latchd": daemon.pid, "guard's parent": guard.pid, "guard": children(guard.pid)[0]}
            before = {name: switches(pid) for name, pid in pids.items()}
            time.sleep(20)
            for name, pid in pids.items():
                rows.append((f"{name}: idle wake-ups a second", [(switches(pid) - before[name]) / 20]))
                rows.append((f"{name}: idle memory, MiB", [memory(pid)]))
            end(daemon)
            subprocess.run([latchd, "bench", "fill", "--config", config, "--jobs", "10000"], check=True,
                           stdout=subprocess.DEVNULL)
            ready("ready with 10,000 queued jobs, ms")
            table("Start and idle", rows)
        finally:
            end(sandbox, guard)


# ---------------------------------------------------------------------- the whole path

PERSON = {"user_id": "bench", "may_open": True, "given_names": "Amina Fatou", "last_name": "Clearwater",
          "email": "amina.clearwater@example.com", "consent_granted_at": "2026-01-02T03:04:05Z",
          "consent_language": "EN", "consent_policy_url": "https://example.com/privacy"}
STEPS = [("burst: claim to the last picture", None, "captured_us"),
         ("encode the last picture, hand over", "captured_us", "encoded_us"),
         ("commit 1: job and pictures, sealed", "encoded_us", "stored_us"),
         ("submit, acceptance parsed", "stored_us", "accepted_us"),
         ("commit 2: acceptance; first status call", "accepted_us", "verdict_us"),
         ("commit 3: verdict and intent", "verdict_us", "intended_us"),
         ("grant to edge", "granted_us", "edge_us"),
         ("verdict received to edge", "verdict_us", "edge_us"),
         ("claim to edge", None, "edge_us")]


def path():
    image = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "fixtures", "astronaut.png")
    with tempfile.TemporaryDirectory() as directory:
        sandbox, url, _ = start_sandbox(directory, "bench-key")
        config, guard = make_site(directory, url)
        shutil.copy(image, os.path.join(directory, "photograph.png"))
        people = write(directory, "people.json", json.dumps([PERSON]))
        subprocess.run([latchd, "people", "import", people, "--config", config], check=True,
                       stdout=subprocess.DEVNULL)
        daemon, _ = run_daemon(directory, config)
        bare = sqlite3.connect(os.path.join(directory, "bare.db"), isolation_level=None)
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        bare.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT)")
        rows = {name: [] for name, _, _ in STEPS}
        rows["one bare durable SQLite commit"] = []
        commits = set()
        try:
            for _ in range(ROUNDS * 4):
                begin = time.perf_counter()
                bare.execute("INSERT INTO row (text) VALUES ('a row of the size of an event: some hundred bytes')")
                rows["one bare durable SQLite commit"].append((time.perf_counter() - begin) * 1e3)
                out = subprocess.run([latchd, "authenticate", "--user-id", "bench", "--json", "--config", config],
                                     check=True, capture_output=True, text=True)
                done = json.loads(out.stdout.splitlines()[-1])
                assert done["outcome"] == "granted", done
                commits.add(done["commits_to_edge"])
                times = done["times"]
                # The end of this pulse is a commit too, and must not be counted with the next attempt's.
                time.sleep(0.5)
                for name, since, until in STEPS:
                    rows[name].append((times[until] - (times[since] if since else 0)) / 1e3)
            table(f"The whole path, {ROUNDS * 4} attempts, ms", list(rows.items()))
            print(f"  durable commits from claim to edge: {sorted(commits)}")
        finally:
            end(daemon, sandbox, guard)


def capture():
    image = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "fixtures", "astronaut.png")
    rows = {}
    for _ in range(ROUNDS):
        out = subprocess.run([latchd, "bench", "capture", "--json", "--image", image], check=True,
                             capture_output=True, text=True)
        for line in out.stdout.splitlines():
            size = json.loads(line)
            for name, micros in size["figures"].items():
                rows.setdefault(f"{size['width']}x{size['height']} {name[:-3]}, ms", []).append(micros / 1e3)
    table(f"Capture, {ROUNDS} runs", list(rows.items()))


# ---------------------------------------------------------------------- the queue

def queue():
    out = subprocess.run([latchd, "bench", "queue", "--json", "--directory", DISK], check=True, capture_output=True, text=True)
    found = json.loads(out.stdout)
    enqueue, sides = found["enqueue"], {"latchd": found["enqueue"]["latchd"], "bare SQLite": found["enqueue"]["bare"]}
    rows = []
    for name, side in sides.items():
        rows.append((f"{name}: captures made durable a second", side["per_second"]))
        rows += [(f"{name}: {share}, ms", [side[f"{share}_us"] / 1e3]) for share in ("p50", "p99")]
    rows.append(("latchd: of it sealing, ms", [enqueue["seal_us"] / 1e3]))
    table(f"Enqueue, {enqueue['payload_bytes']} bytes, {enqueue['rounds']} rounds of {enqueue['jobs']} in turn", rows)
    print(f"  ratios: rate {enqueue['rate_ratio']:.2f}, p99 {enqueue['p99_ratio']:.2f}")
    depths = found["depth"]["depths"]
    print(f"\nA queue of some depth, nine pictures of 1 kB a job, median ms (load average {load()})")
    print(f"  {'jobs':<44}" + "".join(f"{depth['depth']:>12,}" for depth in depths))
    for part in ("next_job", "whole_turn", "none_due", "next_wake", "room"):
        print(f"  {part.replace('_', ' '):<44}" + "".join(f"{depth[part]['p50_us'] / 1e3:>12.3f}" for depth in depths))
    for kind in ("warm", "cold"):
        # Only root may have the disk's pages forgotten.
        for part in depths[0][f"start_{kind}"] or {}:
            print(f"  {kind + ' start, ' + part[:-3].replace('_', ' '):<44}"
                  + "".join(f"{depth[f'start_{kind}'][part] / 1e3:>12.2f}" for depth in depths))
    for name, plan in found["depth"]["plans"].items():
        print(f"  plan of {name}: {plan}")


# ---------------------------------------------------------------------- the drain

DRAINED, DRAIN_ROUNDS = 2000, 3


def drain():
    import pathlib
    import desk
    rows = {name: [] for name in ("drain to accepted, jobs a second", "bare loop, jobs a second", "jobs in sending at once, most",
                                 "status calls meanwhile, a job", "ratio of the round")}
    for _ in range(DRAIN_ROUNDS):
        with tempfile.TemporaryDirectory(dir=DISK) as directory:
            # Nothing is decided while the others are handed over, so that acceptance alone is measured.
            site = desk.Site(latchd, directory, scenario="[default]\ndecide_after_ms = 3600000\n")
            try:
                desk.full_size(site.place)
                subprocess.run([latchd, "bench", "fill", "--config", site.config, "--jobs", str(DRAINED), "--images",
                                site.place], check=True, stdout=subprocess.DEVNULL)
                site.guard()
                daemon = site.daemon()
                seen = lambda: sum(1 for line in open(site.place / "taken.log") if "job=" in line) >= DRAINED
                assert desk.until(seen, 300), "the drain did not come to its end"
                time.sleep(1)
                site.end(daemon)
                database = sqlite3.connect(pathlib.Path(site.state) / "latchd.db")
                times = database.execute(
                    "SELECT min(boot_us) FILTER (WHERE state = 'sending'), max(boot_us) FILTER (WHERE state = 'accepted')"
                    " FROM job_times GROUP BY job ORDER BY 1").fetchall()
                looks = database.execute("SELECT sum(tries) FROM jobs").fetchone()[0]
                rows["status calls meanwhile, a job"].append(looks / DRAINED)
                database.close()
                assert len(times) == DRAINED and all(start and end for start, end in times), times[:3]
                seconds = (max(end for _, end in times) - times[0][0]) / 1e6
                rows["drain to accepted, jobs a second"].append(DRAINED / seconds)
                over = 1 + sum(1 for before, after in zip(times, times[1:]) if after[0] < before[1])
                rows["jobs in sending at once, most"].append(over)
                out = subprocess.run([latchd, "bench", "floor", "--json", "--url", site.url, "--ca", site.place / "tls/ca.pem",
                                      "--images", site.place, "--partner-id", "1234", "--api-key", "bench-key", "--jobs",
                                      str(DRAINED), "--directory", DISK], check=True, capture_output=True, text=True)
                rows["bare loop, jobs a second"].append(json.loads(out.stdout)["per_second"])
                rows["ratio of the round"].append(rows["drain to accepted, jobs a second"][-1] / rows["bare loop, jobs a second"][-1])
            finally:
                site.end()
    table(f"Drain of {DRAINED} jobs of 220 kB to accepted, {DRAIN_ROUNDS} rounds in turn", list(rows.items()))


for part in parts:
    {"submit": submit, "verdict": verdict, "stream": stream, "edge": edge, "path": path, "start": start, "capture": capture,
     "eyes": lambda: eyes.run(latchd, peer_python, table), "queue": queue, "drain": drain}[part]()
