"""Constants worked out when a graph is exported, since the runtime refuses to do so at load.

PyTorch's exporter works out small ones alone, and leaves, for instance, the transposed weights of a
linear layer on a large map to whoever loads the file.
"""

from math import prod
from typing import Any

import numpy as np
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


def fix_reshapes(graph: onnx.GraphProto) -> None:
    """Write the shape of each Reshape as numbers, -1 for the cubes, in place.

    Networks that ask for the number of their cubes compute such shapes, which the runtime refuses.
    An Expand that changes nothing but the axes becomes a Reshape. Nodes that nothing needs any
    longer are left out.
    """
    constants = {tensor.name for tensor in graph.initializer}
    sides = {v.name: _sides(v) for v in graph.value_info if _sides(v)}
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Reshape"}
    for node in graph.node:
        shape, source = sides.get(node.output[0]), node.input[0] if node.input else ""
        if node.op_type not in ("Reshape", "Expand") or node.input[1] in constants or not shape:
            continue
        if node.op_type == "Expand":
            source = source if source in sides else sources.get(source, "")
            if source not in sides or prod(sides[source]) != prod(shape):
                continue
            node.op_type, node.input[0] = "Reshape", source
        name = f"{node.output[0]}.shape"
        graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape]), name))
        node.input[1] = name
    used, remaining = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if used & set(node.output):
            used |= set(node.input)
            remaining.insert(0, node)
    del graph.node[:]
    graph.node.extend(remaining)


def _sides(value: onnx.ValueInfoProto) -> list[int]:
    """Return the sides of a tensor after that of the cubes; none if they are not all known."""
    first, *others = value.type.tensor_type.shape.dim or [None]
    is_known = first is not None and first.dim_param and all(dim.dim_value for dim in others)
    return [dim.dim_value for dim in others] if is_known else []


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
