"""The head of a traced graph: its nodes and initializers as the runtime expects them.

See `cfzoo.runtime.artifact.head`. A tracer names initializers as it likes, and may leave out steps
that change nothing or share equal numbers between layers. So the graph is traced with other numbers
in the head, which occur nowhere else, and the true ones are written into the traced graph.
"""

import copy
from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from ...runtime.artifact import FEATURES, HEAD_NAMES, OUTPUT, PLACES
from ...runtime.errors import ArtifactError
from ...zoo.models import StandardisedHead

Numbers = Mapping[str, np.ndarray]  # name of an initializer -> values


def disguise_head(network: nn.Module) -> tuple[nn.Module, Numbers]:
    """Return a copy of a network with random numbers in its head, and the true numbers.

    A network without a `StandardisedHead` as ``head`` is returned as it is, with no numbers.
    """
    if not isinstance(getattr(network, "head", None), StandardisedHead):
        return network, {}
    disguised = copy.deepcopy(network)
    head, random = disguised.head, np.random.RandomState(0)
    assert isinstance(head, StandardisedHead)
    numbers: dict[str, np.ndarray] = {}
    with torch.no_grad():
        tensors = (head.weight, head.bias, head.centre, head.spread)
        for name, tensor in zip(HEAD_NAMES, tensors, strict=True):
            numbers[name] = tensor.numpy().astype(np.float32)
            values = random.uniform(1, 2, tuple(tensor.shape)).astype(np.float32)
            tensor.copy_(torch.from_numpy(values))
    return disguised, numbers


def write_head(model: onnx.ModelProto, numbers: Numbers) -> None:
    """Give the head of a traced graph its names and numbers, and the graph its output of features.

    The same initializers serve the gradients of maps, so that these follow a head that is replaced.

    Raises
    ------
    ArtifactError
        The graph does not end as that of a network with a `StandardisedHead`.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}

    def find(value: str, operator: str) -> onnx.NodeProto:
        node = producers.get(value)
        if node is None or node.op_type != operator:
            last = "nothing" if node is None else node.op_type
            raise ArtifactError(
                f"The traced network does not end in its standardised head: {value!r} comes from "
                f"{last}; expected {operator}. Its forward must be head(features(x))."
            )
        return node

    value = find(OUTPUT, "Softmax").input[0]
    while value in producers and producers[value].op_type in ("Div", "Add"):  # temperature, offset
        value = producers[value].input[0]
    places = find(value, "Mul")
    bias = find(places.input[0], "Add")
    total = find(bias.input[0], "ReduceSum")
    weight = find(total.input[0], "Mul")
    columns = find(weight.input[0], "Unsqueeze")
    spread = find(columns.input[0], "Div")
    centre = find(spread.input[0], "Sub")
    product = helper.make_node("MatMul", [columns.input[0], weight.input[1]], total.output)
    graph.node.insert(list(graph.node).index(total), product)
    graph.node.remove(total)
    for node in (weight, columns):  # which a gradient may use as well
        if not any(node.output[0] in other.input for other in graph.node):
            graph.node.remove(node)
    steps = (weight, bias, centre, spread, places)
    constants = zip((node.input[1] for node in steps), (*HEAD_NAMES, PLACES), strict=True)
    names = {centre.input[0]: FEATURES, **dict(constants)}
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
        if tensor.name in numbers:
            tensor.CopyFrom(numpy_helper.from_array(numbers[tensor.name], tensor.name))
    shape = ["batch", len(numbers["head.centre"])]
    features = helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, shape)
    graph.output.insert(1, features)
