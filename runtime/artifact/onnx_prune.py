"""Reduce a model to the nodes and weights that some of its outputs need."""

from collections.abc import Iterator, Sequence

from .onnx_guard import GRAPH, MODEL, NODE, TENSOR, VALUE
from .protobuf import Fields, Reader, read_text, write_message

# Field numbers; see the tables of `onnx_guard`.
IR_VERSION, PROGRAM, OPSETS = 1, 7, 8  # of a model
NODES, WEIGHTS, OUTPUTS = 1, 5, 12  # of a graph
NODE_INPUTS, NODE_OUTPUTS = 1, 2  # of a node


def keep_outputs(model: bytes, outputs: Sequence[str]) -> bytes:
    """Return a model without the nodes and weights that only its remaining outputs need.

    onnxruntime computes every node of a graph, whichever outputs a caller requests.

    Parameters
    ----------
    model : bytes
        ONNX that `onnx_guard.inspect_model` accepts.
    outputs : sequence of str
        Names of the outputs that stay.

    Returns
    -------
    bytes
        ONNX without metadata: a model for onnxruntime, not an artifact.
    """
    reader = Reader()
    fields = reader.read_message(memoryview(model), MODEL, "file")
    graph = reader.read_message(fields[PROGRAM][0], GRAPH, "graph")
    names = set(outputs)
    nodes: list[memoryview] = []
    for raw in reversed(graph[NODES]):  # a node uses values of the nodes before it
        node = reader.read_message(raw, NODE, "node")
        if names.isdisjoint(_decode(node[NODE_OUTPUTS])):
            continue
        names.update(_decode(node.get(NODE_INPUTS, [])))
        nodes.append(raw)
    graph[NODES] = nodes[::-1]
    graph[WEIGHTS] = list(_select(reader, graph.get(WEIGHTS, []), TENSOR, 8, names))
    graph[OUTPUTS] = list(_select(reader, graph[OUTPUTS], VALUE, 1, set(outputs)))
    return write_message({IR_VERSION: fields[IR_VERSION], PROGRAM: [graph], OPSETS: fields[OPSETS]})


def _decode(values: list[memoryview]) -> set[str]:
    return {bytes(value).decode() for value in values}


def _select(
    reader: Reader, raws: list[memoryview], fields: Fields, name_field: int, names: set[str]
) -> Iterator[memoryview]:
    """Yield the messages whose name is one of ``names``."""
    for raw in raws:
        if read_text(reader.read_message(raw, fields, "value"), name_field, "name") in names:
            yield raw
