"""Small sealed artifacts, which are mutated: one of three nodes, one of most operators."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.artifact import CARD_KEY, INPUT, OUTPUT, TEST_KEY, Card, encode_test, seal

SHAPE = (1, 4, 6, 8)


def read_seeds() -> list[bytes]:
    """Return two sealed artifacts: one of three nodes, one of most operators."""
    return [_artifact(*_linear()), _artifact(*_network())]


def _artifact(nodes: list, weights: dict) -> bytes:
    card = Card("fuzz", "1.0.0", SHAPE[1:], (5, 2, 2), ("signal",), "none")
    graph = helper.make_graph(
        nodes,
        "cfzoo",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *SHAPE])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    test = encode_test(np.zeros((1, *SHAPE), np.uint16), np.array([[0.5, 0.5]], np.float32))
    helper.set_model_props(model, {CARD_KEY: card.to_json(), TEST_KEY: test})
    return seal(model.SerializeToString(deterministic=True))


def _linear() -> tuple[list, dict]:
    nodes = [
        helper.make_node("Reshape", [INPUT, "s"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]
    return nodes, {"s": np.array([-1, 192]), "w": np.full((192, 2), 1e-4, np.float32)}


def _network() -> tuple[list, dict]:
    node = helper.make_node
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(0, 0.1, shape).astype(np.float32)

    weights = {
        "axes": np.array([2, 3, 4]),
        "tiny": np.float32(1e-3),
        "one": np.float32(1),
        "conv.w": draw(3, 1, 2, 3, 3),
        "conv.b": draw(3),
        "bn.s": np.ones(3, np.float32),
        "bn.b": draw(3),
        "bn.v": np.ones(3, np.float32),
        "up.w": draw(3, 2, 2, 2, 2),
        "pads": np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1]),
        "from": np.array([1]),
        "to": np.array([5]),
        "axis": np.array([3]),
        "parts": np.array([1, 1]),
        "rows": np.array([-1, 8]),
        "mix": draw(8, 4),
        "flat": np.array([-1, 60]),
        "places": np.array([0, 2, 5, -1]),
        "fc.w": draw(4, 2),
        "fc.b": draw(2),
    }
    nodes = [
        node("ReduceMean", [INPUT, "axes"], ["mean"], keepdims=1),
        node("Sub", [INPUT, "mean"], ["centred"]),
        node("Conv", ["centred", "conv.w", "conv.b"], ["conv"], kernel_shape=[2, 3, 3],
             pads=[1, 1, 1, 0, 1, 1], strides=[1, 1, 1], dilations=[1, 1, 1], group=1),
        node("BatchNormalization", ["conv", "bn.s", "bn.b", "bn.b", "bn.v"], ["norm"]),
        node("Relu", ["norm"], ["relu"]),
        node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
        node("ConvTranspose", ["pool", "up.w"], ["up"], strides=[2, 2, 2], kernel_shape=[2, 2, 2]),
        node("AveragePool", ["up"], ["smooth"], kernel_shape=[2, 2, 1], strides=[2, 1, 1]),
        node("Pad", ["smooth", "pads", "tiny"], ["padded"], mode="constant"),
        node("Slice", ["padded", "from", "to", "axis"], ["cut"]),
        node("Transpose", ["cut"], ["turned"], perm=[0, 1, 4, 2, 3]),
        node("Split", ["turned", "parts"], ["left", "right"], axis=1),
        node("Concat", ["left", "right"], ["joined"], axis=2),
        node("LessOrEqual", ["joined", "tiny"], ["small"]),
        node("Where", ["small", "one", "joined"], ["chosen"]),
        node("Reshape", ["chosen", "rows"], ["rows8"]),
        node("MatMul", ["rows8", "mix"], ["mixed"]),
        node("Clip", ["mixed", "tiny", "one"], ["clipped"]),
        node("Pow", ["clipped", "one"], ["power"]),
        node("Cast", ["small"], ["numbers"], to=1),
        node("ReduceMax", ["numbers", "axes"], ["most"], keepdims=0),
        node("Unsqueeze", ["most", "from"], ["wide"]),
        node("GlobalAveragePool", ["up"], ["global"]),
        node("Flatten", ["global"], ["two"], axis=1),
        node("Flatten", ["centred"], ["long"], axis=1),
        node("Gather", ["long", "places"], ["four"], axis=1),
        node("Gemm", ["four", "fc.w", "fc.b"], ["fc"], transB=0),
        node("Add", ["fc", "two"], ["logits"]),
        node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]  # fmt: skip
    return nodes, weights
