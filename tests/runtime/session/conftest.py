"""Models for trials: raw ONNX, as if the guard had not refused it, and processes that misbehave."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.session import Settings
from cfzoo.runtime.session.trial import Trial

SHAPE = (1, 2, 3, 4)


def build(*nodes, weights=(), output="last"):
    """A network that takes cubes of `SHAPE`; nodes, then a reduction to two probabilities.

    A node is (operator, inputs, output, attributes).
    """
    arrays = {"half": np.full((1, 2), 0.5, np.float32), "zero": np.zeros(1, np.float32)}
    arrays["axes"] = np.array([1, 2, 3, 4])
    arrays |= {name: np.asarray(value) for name, value in weights}
    tail = [
        ("ReduceMean", [output, "axes"], "mean", {"keepdims": 0}),
        ("Unsqueeze", ["mean", "one"], "column", {}),
        ("Mul", ["column", "zero"], "nothing", {}),
        ("Add", ["nothing", "half"], "probability", {}),
    ]
    arrays["one"] = np.array([1])
    graph_nodes = [helper.make_node(o, i, [name], **a) for o, i, name, a in (*nodes, *tail)]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        graph_nodes,
        "g",
        [tensor("cubes", TensorProto.FLOAT, ["b", *SHAPE])],
        [tensor("probability", TensorProto.FLOAT, ["b", 2])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString(deterministic=True)


def doubling(times, *more):
    """A network that makes 2^times numbers of its shape alone, which is constant."""
    nodes = [("Shape", ["cubes"], "s0", {}), ("Cast", ["s0"], "d0", {"to": TensorProto.FLOAT})]
    nodes += [("Concat", [f"d{n}"] * 2, f"d{n + 1}", {"axis": 0}) for n in range(times)]
    nodes += [
        *more,
        ("ReduceMax", [f"d{times}"], "top", {"keepdims": 0}),
        ("Mul", ["top", "zero"], "none", {}),
        ("Add", ["cubes", "none"], "last", {}),
    ]
    return build(*nodes)


def working(count):
    """A network that works for long on little memory: a large matrix squared again and again."""
    nodes = [
        ("Reshape", ["cubes", "flat"], "row", {}),
        ("MatMul", ["row", "wide"], "w", {}),
        ("Transpose", ["w"], "t", {"perm": [1, 0]}),
        ("MatMul", ["t", "w"], "m0", {}),
    ]
    nodes += [("MatMul", [f"m{n}"] * 2, f"m{n + 1}", {}) for n in range(count)]
    nodes += [
        ("ReduceMax", [f"m{count}"], "top", {"keepdims": 0}),
        ("Mul", ["top", "zero"], "none", {}),
        ("Add", ["cubes", "none"], "last", {}),
    ]
    wide = np.zeros((24, 1500), np.float32)
    return build(*nodes, weights=[("flat", np.array([-1, 24])), ("wide", wide)])


@pytest.fixture(scope="session")
def build_model():
    """`build`, for tests."""
    return build


@pytest.fixture(scope="session")
def good():
    return build(("Relu", ["cubes"], "last", {}))


@pytest.fixture(scope="session")
def hostile():
    """Raw ONNX by name."""
    pads = np.array([0, 0, 0, 0, -5, 0, 0, 0, 0, 5])
    return {
        "a missing input": build(("Max", ["cubes", ""], "last", {})),
        "negative pads": build(("Pad", ["cubes", "pads"], "last", {}), weights=[("pads", pads)]),
        "constant memory": doubling(32),
        "work": working(2000),
        "another rank": build(("ReduceMean", ["cubes"], "last", {"keepdims": 0})),
        "nonsense": b"\x08\x0a\x3a\x03nil",
    }


@pytest.fixture
def make_trial():
    """Call it with raw ONNX, a backend and settings for a `Trial`."""

    def make(model, backend="onnxruntime", output=(0.5, 0.5), threads=1, streams=1, batch_size=4):
        cube = np.zeros((1, *SHAPE), np.float32)
        settings = Settings("cpu", threads, streams, batch_size)
        expected = np.array([output], np.float32)
        return Trial("model.onnx", model, cube, expected, (), backend, settings)

    return make
