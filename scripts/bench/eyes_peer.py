"""The same network over the same weights by LiteRT with XNNPACK on one thread, and a JPEG by libjpeg-turbo, beside
`latchd bench eyes`.

usage: eyes_peer.py MODEL FRAME.jpg             prints one JSON object
       eyes_peer.py --make PICTURE FRAME.jpg    a frame as cameras send it: 1280x720, 4:2:2, with noise
"""

import json
import sys
import time

import numpy

RUNS = 31


def make(picture, frame):
    """Enlarges the middle of a picture; noise makes the frame as large as a camera's (some 160 KB)."""
    from PIL import Image

    image = Image.open(picture).convert("RGB")
    width, height = image.size
    image = image.resize((1280, 720), Image.Resampling.BICUBIC, box=(0, 0, width, width * 9 // 16))
    noise = numpy.random.default_rng(1).normal(0, 5, (720, 1280, 1))
    noisy = numpy.clip(numpy.asarray(image) + noise, 0, 255).astype(numpy.uint8)
    Image.fromarray(noisy).save(frame, "JPEG", quality=85, subsampling="4:2:2")


def timed(call):
    micros = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        call()
        micros.append((time.perf_counter() - begin) * 1e6)
    return sorted(micros)[RUNS // 2], min(micros)


def measure(model, frame):
    from ai_edge_litert.interpreter import Interpreter
    import simplejpeg

    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    picture = numpy.random.default_rng(1).uniform(-1, 1, (1, 128, 128, 3)).astype(numpy.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    data = open(frame, "rb").read()

    def both():
        # Its usual settings: the accurate DCT, chroma interpolated, colours made.
        simplejpeg.decode_jpeg(data, "RGB")
        interpreter.invoke()

    network, decode, track = timed(interpreter.invoke), timed(lambda: simplejpeg.decode_jpeg(data, "RGB")), timed(both)
    print(json.dumps({"network_us": network[0], "network_least_us": network[1], "decode_us": decode[0],
                      "track_us": track[0], "jpeg_bytes": len(data)}))


if sys.argv[1] == "--make":
    make(*sys.argv[2:])
else:
    measure(*sys.argv[1:])
