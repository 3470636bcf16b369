"""Bytes that reach the block device: of a job's life, for each way to write it, and of an idle hour. Part of wear.sh.

usage: wear.py LATCHD table MOUNT DEVICE JOBS
       wear.py LATCHD idle MOUNT DEVICE MINUTES     each prints a table and, as its last line, one JSON object
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from desk import Site, jpeg, load

PAGES, CHECKPOINTS = (1024, 4096, 8192), (100, 1000)
SECTOR = 512  # /proc/diskstats counts in these, whatever the device has


def written(device):
    """Bytes written to the device so far, with all that the kernel still held back."""
    os.sync()
    name = os.path.basename(device)
    fields = next(line.split() for line in open("/proc/diskstats") if line.split()[2] == name)
    return int(fields[9]) * SECTOR


def one(latchd, mount, device, jobs, how, page, checkpoint, settle):
    place = pathlib.Path(mount) / "run"
    place.mkdir()
    before = written(device)
    out = subprocess.run([latchd, "bench", "wear", "--json", "--directory", place, "--how", how, "--jobs", str(jobs), "--page-size",
                          str(page), "--autocheckpoint", str(checkpoint), "--settle-every", str(settle)],
                         check=True, capture_output=True, text=True)
    after = written(device)
    told = json.loads(out.stdout)
    shutil.rmtree(place)
    os.sync()
    return (after - before) / jobs, told["payload_bytes"]


def table(latchd, mount, device, jobs):
    print(f"Bytes to the device for a job from enqueueing to verdict, pictures erased; {jobs} jobs a row (load average {load()})")
    print(f"  {'who':<15} {'page':>5} {'checkpoint':>10} {'log emptied':>12} {'KiB a job':>10} {'x payload':>10}")
    rows = []

    def row(how, page, checkpoint, settle):
        per_job, payload = one(latchd, mount, device, jobs, how, page, checkpoint, settle)
        emptied = "-" if how == "plain-rollback" else "each job" if settle == 1 else f"each {settle}" if settle else "at the end"
        shown = "-" if how == "plain-rollback" else checkpoint
        print(f"  {how:<15} {page:>5} {shown:>10} {emptied:>12} {per_job / 1024:>10.1f} {per_job / payload:>10.2f}", flush=True)
        rows.append({"how": how, "page": page, "checkpoint": checkpoint, "settle_every": settle,
                     "bytes_per_job": round(per_job), "amplification": round(per_job / payload, 3)})

    for page in PAGES:
        for settle in (1, 0):
            for checkpoint in CHECKPOINTS:
                row("latchd", page, checkpoint, settle)
                row("plain-wal", page, checkpoint, settle)
        row("plain-rollback", page, 0, 0)
    print(json.dumps({"jobs": jobs, "rows": rows}))


def idle(latchd, mount, device, minutes):
    with tempfile.TemporaryDirectory() as directory:
        state = pathlib.Path(mount) / "state"
        state.mkdir(mode=0o700)
        site = Site(latchd, directory, state=state)
        try:
            site.command("people", "import", site.place / "people.json")
            site.guard()
            site.daemon()
            from soak import submit
            before = written(device)
            assert submit(site, "idle-1", [jpeg(20_000) for _ in range(9)]), "the daemon takes no job"
            end = time.monotonic() + 60
            while site.jobs()[0]["state"] != "decided" and time.monotonic() < end:
                time.sleep(0.2)
            assert site.jobs()[0]["state"] == "decided", site.jobs()
            # Past the round of the housekeeper that empties the log after this job.
            time.sleep(130)
            quiet = written(device)
            time.sleep(minutes * 60)
            after = written(device)
        finally:
            site.end()
    print(f"One job and then {minutes:g} minutes of an idle daemon (load average {load()})")
    print(f"  start's first rows and one job, with the log emptied: {(quiet - before) / 1024:.1f} KiB")
    print(f"  idle: {after - quiet} bytes")
    print(json.dumps({"minutes": minutes, "job_bytes": quiet - before, "idle_bytes": after - quiet}))
    return 0 if after == quiet else 1


if __name__ == "__main__":
    latchd, part, mount, device, count = sys.argv[1:6]
    latchd = str(pathlib.Path(latchd).resolve())
    sys.exit(table(latchd, mount, device, int(count)) if part == "table" else idle(latchd, mount, device, float(count)))
