"""Pulses of 500 ms on the otherwise idle board: as long by the guard's own stamps, and all seen from outside."""

import json
import os

from board import Talk
from scenarios.kills import quantile

NAME = "pulses"
MS = 500
GAP_MS = 60  # a gap of the guest's 10 ms ticker beyond this: the machine was not given its time
BATCH = 20


def run(lab):
    lab.fresh()
    lab.board.run("systemctl stop latchd.service latchd-guard.socket latchd-guard.service board-camera.service")
    wanted = lab.count("pulses")
    own, outside, repeated = [], [], 0
    for number in range(1, wanted // BATCH + 1):
        got = lab.part(f"batch {number}", lambda: batch(lab, min(BATCH, wanted)))
        own += got["own"]
        outside += got["outside"]
        repeated += got["repeated"]
    if not own:
        return
    own.sort()
    outside.sort()
    off = sorted(abs(ms - MS) for ms in own)
    lab.check("by the guard's stamps at most 10 ms off at p95", quantile(off, 0.95) <= 10, f"{quantile(off, 0.95)} ms")
    lab.check("at most 10 % were repeated", repeated <= wanted // 10, f"{repeated} of {wanted}")
    lab.note(f"{len(own)} pulses of {MS} ms; guard's stamps off by p50 {quantile(off, 0.5)} p95 {quantile(off, 0.95)} max "
             f"{off[-1]} ms; seen from outside p50 {quantile(outside, 0.5):.1f} p95 {quantile(outside, 0.95):.1f} p99 "
             f"{quantile(outside, 0.99):.1f} ms; {repeated} repeated; this machine's load {os.getloadavg()[0]:.1f}")


def batch(lab, wanted):
    """`wanted` pulses that the emulator did not disturb, and what was seen of them."""
    board = lab.board
    own, outside, repeated = [], [], 0
    strange = []
    while len(own) < wanted and repeated <= wanted:
        before = len(board.edges())
        status, lines, err = Talk(board, f"board-hand pulses {wanted - len(own)} {MS}").end(300)
        told = [json.loads(line) for line in lines]
        edges = board.wait_for_edges(before + 2 * len(told), 30)[before:]
        if status or len(edges) != 2 * len(told) or any(one["exit"] for one in told):
            strange.append((status, err[-200:], len(edges), told[-1:]))
            break
        for one, up, down in zip(told, edges[0::2], edges[1::2]):
            if one["gap_ms"] > GAP_MS:
                repeated += 1
                continue
            own.append(one["ms"])
            outside.append((down[0] - up[0]) * 1000)
    return {"own": own, "outside": outside, "repeated": repeated, "checks": [
        ("each pulse was seen from outside, and no other", not strange, strange),
        ("as many as wanted", len(own) == wanted, f"{len(own)} of {wanted}, {repeated} repeated"),
        ("none shorter than 490 ms or longer than 1.5 s", all(490 <= ms <= 1500 for ms in outside),
         [round(min(outside, default=0)), round(max(outside, default=0))]),
    ]}
