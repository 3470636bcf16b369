"""A person before the real V4L2 camera is let in: their picture is the one that was played, and there is one pulse."""

import json

import pictures
import product
from service import part

NAME = "photograph"


def run(lab):
    lab.fresh()
    user, talk, status, last = lab.visit()
    lab.check("granted", status == 0 and last.get("outcome") == "granted", last)
    edges = lab.board.wait_for_edges(2)
    lab.check("exactly one pulse", len(edges) == 2, edges)
    seconds = edges[1][0] - edges[0][0]
    wanted = product.PULSE_MS / 1000
    lab.check("of the configured length", wanted - 0.01 <= seconds <= wanted + 1.0, f"{seconds:.3f} s for {wanted} s")
    bodies = lab.service.submissions_of(user)
    lab.check("submitted once", len(bodies) == 1, len(bodies))
    number, best, second = pictures.closest(part(bodies[0], "selfie_image"), lab.played)
    lab.check("the selfie is a played frame (PSNR >= 30 dB)", best >= 30, f"{best:.1f} dB with frame {number}")
    lab.check("and no other (6 dB better)", best - second >= 6, f"{best:.1f} and {second:.1f} dB")
    lab.note(f"selfie: frame {number}, {best:.1f} dB; the next best frame {second:.1f} dB; pulse {seconds * 1000:.0f} ms")
    events = {}
    for event in lab.events():
        events.setdefault(event["event"], []).append(event)
    order = [events.get(kind, [{"seq": 0}])[-1]["seq"] for kind in ("unlock_intent", "granted", "unlock_done")]
    lab.check("intent, grant and end in the audit", 0 < order[0] < min(order[1:]), order)
    steps = [(at, json.loads(line)) for at, line in talk.lines]
    first = {}
    for at, step in steps:
        first.setdefault(step.get("step"), at)
    if "capture" in first and "picture" in first:
        lab.note(f"camera to first accepted picture: {first['picture'] - first['capture']:.2f} s; claim to edge "
                 f"{(last['times'].get('edge_us') or 0) / 1e6:.2f} s, of it verdict to edge "
                 f"{(last['times'].get('verdict_to_edge_us') or 0) / 1000:.0f} ms")
    lab.check("locked", lab.locked())
