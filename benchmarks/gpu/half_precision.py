"""A network whose layers compute in half precision.

onnxruntime's own converter (onnxruntime.transformers.float16) also rounds the constants of nodes
that it is told to leave alone, to at least 1e-7 and at most 10,000: normalisations then differ.
"""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Operators all of whose inputs are numbers that may be rounded; sums over many voxels are not here.
LAYERS = ("Add", "AveragePool", "Concat", "Conv", "MaxPool", "Mul", "Relu", "Sigmoid")


def convert_to_half(model: bytes) -> bytes:
    """Convert what lies between the first convolution and the last one of a network.

    Before, raw intensities are normalised, and after, probabilities are made of sums: numbers
    beyond 65,504 or below 6e-8 have no half-precision number.
    """
    network = onnx.ModelProto.FromString(model)
    graph = network.graph
    layers = _find_layers(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    halves = {name for i in layers for name in graph.node[i].output}
    casts: dict[tuple[str, int], str] = {}
    nodes = []

    def cast(name: str, kind: int) -> str:
        """Return the name of a value in another precision, made when first asked for."""
        if (name, kind) not in casts:
            casts[name, kind] = f"{name}/{TensorProto.DataType.Name(kind)}"
            if name in weights:
                numbers = numpy_helper.to_array(weights[name]).astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(numbers, casts[name, kind]))
            else:
                nodes.append(helper.make_node("Cast", [name], [casts[name, kind]], to=kind))
        return casts[name, kind]

    for number, node in enumerate(graph.node):
        for i, name in enumerate(node.input):
            if number in layers and name and name not in halves:
                node.input[i] = cast(name, TensorProto.FLOAT16)
            elif number not in layers and name in halves:
                node.input[i] = cast(name, TensorProto.FLOAT)
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    rest = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(rest)
    return network.SerializeToString()


def _find_layers(graph: onnx.GraphProto) -> Collection[int]:
    """Return the numbers of the nodes after a convolution, or one, and before a convolution."""
    after: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv" or after.intersection(node.input):
            after.update(node.output)
    before: set[str] = set()
    layers: set[int] = set()
    for number, node in reversed(list(enumerate(graph.node))):
        leads = bool(before.intersection(node.output))
        if node.op_type == "Conv" or leads:
            before.update(node.input)
        if leads and after.intersection(node.output) and node.op_type in LAYERS:
            layers.add(number)
    return layers
