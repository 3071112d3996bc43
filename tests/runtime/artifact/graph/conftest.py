"""One node, as the guard sees it and as onnxruntime runs it."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.artifact.graph import BATCH, Graph, Tensor, read_weight

KINDS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}


def split_kind(value):
    """The type and shape of a computed input: ``(4, 3)``, or ``("bool", (4, 3))``."""
    return value if value and isinstance(value[0], str) else ("float32", value)


def infer(operator, inputs, attributes=(), outputs=1):
    """The guard's outputs of one node, as a list of (type, shape); "n" in place of the cubes.

    An input is an array (a constant), a tuple (the shape of a computed one, without the axis of
    the cubes; a type may precede it) or None (left out).
    """
    graph, names = Graph(), []
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"i{i}")
        if isinstance(value, np.ndarray):
            kind = {"f": 1, "i": 7}[value.dtype.kind]
            raw = memoryview(np.ascontiguousarray(value).tobytes())
            graph.define(names[-1], read_weight(kind, value.shape, raw, names[-1]))
        elif value is not None:
            kind, shape = split_kind(value)
            graph.define(names[-1], Tensor(kind, (BATCH, *shape)))
    results = [f"o{i}" for i in range(outputs)]
    values = {name: value for name, value in dict(attributes).items()}
    graph.add(operator, names, results, values)
    graph.close(results)
    return [(graph.tensors[name].kind, graph.tensors[name].shape) for name in results]


def at_batch(outputs, batch):
    """The outputs of `infer` for a number of cubes."""
    return [(kind, (shape[0] // BATCH * batch, *shape[1:])) for kind, shape in outputs]


def make_model(operator, inputs, attributes=(), outputs=1):
    """The same node as an ONNX model."""
    names, values, weights = [], [], []
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"i{i}")
        if isinstance(value, np.ndarray):
            weights.append(numpy_helper.from_array(value, names[-1]))
        elif value is not None:
            kind, shape = split_kind(value)
            values.append(helper.make_tensor_value_info(names[-1], KINDS[kind], ["n", *shape]))
    results = [f"o{i}" for i in range(outputs)]
    node = helper.make_node(operator, names, results, **dict(attributes))
    ends = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph([node], "g", values, ends, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(operator, inputs, attributes=(), outputs=1, batch=3):
    """The types and shapes that onnxruntime computes for a number of cubes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    model = make_model(operator, inputs, attributes, outputs).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rng, feed = np.random.default_rng(0), {}
    for i, value in enumerate(inputs):
        if value is not None and not isinstance(value, np.ndarray):
            kind, shape = split_kind(value)
            feed[f"i{i}"] = rng.normal(0, 2, (batch, *shape)).astype(kind)
    return [(str(answer.dtype), answer.shape) for answer in session.run(None, feed)]


@pytest.fixture(scope="session")
def node_tools():
    return {"infer": infer, "run": run, "at_batch": at_batch, "make_model": make_model}
