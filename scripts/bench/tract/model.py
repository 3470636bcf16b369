"""Writes the network that src/eyes has as ONNX, of the same weights, and the test picture as its input, for tract: its
reader of LiteRT files does not know half-precision weights (tract-tflite 0.23.9: DEQUANTIZE).

usage: model.py REPOSITORY DIRECTORY     writes network.onnx and input.f32
"""

import pathlib
import sys

import numpy
import onnx
from PIL import Image
from onnx import TensorProto, helper, numpy_helper

CHANNELS = [24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96]
HALVING = (3, 6, 12)  # blocks, counted from 1
FINE = 11  # the block before the first head

repository, directory = map(pathlib.Path, sys.argv[1:])
weights = numpy.frombuffer((repository / "src/eyes/blazeface_short.f16").read_bytes(), "<f2").astype(numpy.float32)
nodes, constants = [], []


def take(*shape):
    """The next weights of the file (src/eyes/NOTICE.md)."""
    global weights
    taken, weights = numpy.split(weights, [int(numpy.prod(shape))])
    return taken.reshape(shape)


def constant(value):
    constants.append(numpy_helper.from_array(numpy.ascontiguousarray(value), f"c{len(constants)}"))
    return constants[-1].name


def node(kind, *inputs, **attributes):
    nodes.append(helper.make_node(kind, list(inputs), [f"n{len(nodes)}"], **attributes))
    return nodes[-1].output[0]


def conv(value, kernel, bias, **attributes):
    """A kernel as the file has it: height, width, input, output."""
    return node("Conv", value, constant(kernel.transpose(3, 2, 0, 1)), constant(bias), **attributes)


value = node("Relu", conv("input", take(5, 5, 3, 24), take(24), strides=[2, 2], pads=[1, 1, 2, 2]))
for block, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:]), 1):
    halves = block in HALVING
    taps = take(3, 3, 1, inputs)
    wide = conv(value, taps, take(inputs), group=inputs, strides=[2, 2] if halves else [1, 1],
                pads=[0, 0, 1, 1] if halves else [1, 1, 1, 1])
    wide = conv(wide, take(1, 1, inputs, outputs), take(outputs))
    if halves:
        value = node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    if outputs > inputs:
        value = node("Pad", value, constant(numpy.array([0, 0, 0, 0, 0, outputs - inputs, 0, 0], numpy.int64)))
    value = node("Relu", node("Add", wide, value))
    if block == FINE:
        fine = value

for name, numbers in (("logits", 1), ("regressors", 16)):
    sides = []
    for picture, inputs, anchors in ((fine, 88, 2), (value, 96, 6)):
        out = conv(picture, take(1, 1, inputs, anchors * numbers), take(anchors * numbers))
        rows = node("Transpose", out, perm=[0, 2, 3, 1])
        sides.append(node("Reshape", rows, constant(numpy.array([1, -1, numbers], numpy.int64))))
    nodes.append(helper.make_node("Concat", sides, [name], axis=1))
assert weights.size == 0

graph = helper.make_graph(
    nodes, "blazeface", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 128, 128])],
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 896, numbers])
     for name, numbers in (("logits", 1), ("regressors", 16))], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, directory / "network.onnx")
picture = numpy.asarray(Image.open(repository / "tests/fixtures/astronaut_128.png").convert("RGB"), numpy.float32)
(directory / "input.f32").write_bytes((picture / 127.5 - 1).transpose(2, 0, 1).tobytes())
