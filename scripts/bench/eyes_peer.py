"""The same network over the same weights by LiteRT with XNNPACK on one thread, beside `latchd bench eyes`.

usage: eyes_peer.py MODEL     prints one JSON object
"""

import json
import sys
import time

import numpy
from ai_edge_litert.interpreter import Interpreter

RUNS = 31
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
picture = numpy.random.default_rng(1).uniform(-1, 1, (1, 128, 128, 3)).astype(numpy.float32)
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
micros = []
for _ in range(RUNS):
    begin = time.perf_counter()
    interpreter.invoke()
    micros.append((time.perf_counter() - begin) * 1e6)
print(json.dumps({"network_us": sorted(micros)[RUNS // 2], "network_least_us": min(micros)}))
