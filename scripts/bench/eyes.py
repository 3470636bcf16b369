"""The eyes beside LiteRT, libjpeg-turbo and tract: a part of run.py."""

import json
import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 9


def tract(peer_python, directory):
    """The command that times tract, built into the cache beside the other peers; none where it cannot be built."""
    project = os.path.join(HERE, "tract")
    repository = os.path.realpath(os.path.join(HERE, "..", ".."))
    built = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(peer_python)))), "bench-tract")
    build = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", os.path.join(project, "Cargo.toml")]
    if not shutil.which("cargo") or subprocess.run(build, env=dict(os.environ, CARGO_TARGET_DIR=built), check=False).returncode:
        print("!! SKIPPED: tract cannot be built here and was NOT compared")
        return None
    subprocess.run([peer_python, "-B", os.path.join(project, "model.py"), repository, directory], check=True)
    return [os.path.join(built, "release", "tract-peer"), directory,
            os.path.join(repository, "tests", "fixtures", "blazeface_vectors.json")]


def run(latchd, peer_python, table):
    fixtures = os.path.join(HERE, "..", "..", "tests", "fixtures")
    photograph, model = (os.path.join(fixtures, name) for name in ("astronaut.png", "face_detection_short_range.tflite"))
    peer_script = os.path.join(HERE, "eyes_peer.py")
    # Ours over which of the peer's, or of our own.
    compared = {
        "network over LiteRT": ("network_us", "peer", "network_us"),
        "network_baseline over LiteRT": ("network_baseline_us", "peer", "network_us"),
        "track_yuyv over network": ("track_yuyv_us", "ours", "network_us"),
        "frame_yuyv over network": ("frame_yuyv_us", "ours", "network_us"),
        "track_mjpg over libjpeg-turbo and LiteRT": ("track_mjpg_us", "peer", "track_us"),
        "frame_mjpg over libjpeg-turbo and LiteRT": ("frame_mjpg_us", "peer", "track_us"),
    }
    rows, ratios = {}, {}

    def told(*command):
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    with tempfile.TemporaryDirectory() as directory:
        frame = os.path.join(directory, "frame.jpg")
        subprocess.run([peer_python, peer_script, "--make", photograph, frame], check=True)
        other_peer = tract(peer_python, directory)
        if other_peer:
            compared["network over tract"] = ("network_us", "tract", "network_us")
        for _ in range(ROUNDS):
            ours = told(latchd, "bench", "eyes", "--json", "--image", photograph, "--mjpg", frame)["figures"]
            peer = told(peer_python, peer_script, model, frame)
            for name, micros in ours.items():
                if name.endswith("_us"):
                    rows.setdefault(f"{name[:-3]}, ms", []).append(micros / 1e3)
            for name in ("network", "decode", "track"):
                rows.setdefault(f"peer: {name}, ms", []).append(peer[f"{name}_us"] / 1e3)
            figures = {"ours": ours, "peer": peer}
            if other_peer:
                figures["tract"] = told(*other_peer)
                rows.setdefault("tract: network, ms", []).append(figures["tract"]["network_us"] / 1e3)
            for name, (mine, whose, other) in compared.items():
                ratios.setdefault(name, []).append(ours[mine] / figures[whose][other])
    print(f"\nA JPEG frame of {peer['jpeg_bytes']} bytes")
    table(f"Eyes, 1280x720, {ROUNDS} runs in turn", list(rows.items()) + list(ratios.items()))
