"""Constants worked out when a graph is exported, since the runtime refuses to do so at load.

PyTorch's exporter works out small ones alone, and leaves, for instance, the transposed weights of a
linear layer on a large map to whoever loads the file.
"""

from typing import Any

import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ...runtime.artifact import OPSET


def fold_constants(graph: onnx.GraphProto) -> None:
    """Replace each node that has constant inputs alone by its values, in place.

    Constants that no node takes any longer are left out.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    remaining = []
    for node in graph.node:  # each comes after those that it takes values from
        names = [name for name in node.input if name]
        if not constants.keys() >= set(names):
            remaining.append(node)
            continue
        for name, value in _compute(node, [constants[name] for name in names]).items():
            constants[name] = value
    used = {name for node in remaining for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(remaining)
    graph.initializer.extend(tensor for name, tensor in constants.items() if name in used)


def _compute(node: onnx.NodeProto, inputs: list[onnx.TensorProto]) -> dict[str, onnx.TensorProto]:
    """Run one node by the reference implementation of onnx."""
    results = [name for name in node.output if name]
    graph = helper.make_graph(
        [node], "constants", [], [onnx.ValueInfoProto(name=name) for name in results], inputs
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    values: Any = ReferenceEvaluator(model).run(None, {})  # arrays, in a list
    return {
        name: numpy_helper.from_array(value, name)
        for name, value in zip(results, values, strict=True)
    }
