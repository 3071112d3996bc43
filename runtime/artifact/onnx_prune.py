"""The part of a model that some of its outputs need."""

from collections.abc import Iterator, Sequence

from .onnx_guard import GRAPH, MODEL, NODE, TENSOR, VALUE
from .protobuf import Fields, read_message, text, write_message

# Numbers of the fields; see `guard`.
IR, PROGRAM, OPSETS = 1, 7, 8  # of a model
NODES, WEIGHTS, OUTPUTS = 1, 5, 12  # of a graph
GIVEN, MADE = 1, 2  # of a node


def keep_outputs(model: bytes, outputs: Sequence[str]) -> bytes:
    """A model without the nodes and weights that only other outputs need.

    onnxruntime computes every node of a graph, also those whose outputs nobody asks for.

    Parameters
    ----------
    model : bytes
        As verified by `guard.inspect_model`.
    outputs : sequence of str
        Names of those that stay.

    Returns
    -------
    bytes
        ONNX, without metadata: no artifact, but what onnxruntime runs.
    """
    fields = read_message(memoryview(model), MODEL, "file")
    graph = read_message(fields[PROGRAM][0], GRAPH, "graph")
    needed, nodes = set(outputs), []
    for raw in reversed(graph[NODES]):  # in the order of the file, each uses those before it
        node = read_message(raw, NODE, "node")
        if needed.isdisjoint(_texts(node[MADE])):
            continue
        needed.update(_texts(node.get(GIVEN, [])))
        nodes.append(raw)
    graph[NODES] = nodes[::-1]
    graph[WEIGHTS] = list(_named(graph.get(WEIGHTS, []), TENSOR, 8, needed))
    graph[OUTPUTS] = list(_named(graph[OUTPUTS], VALUE, 1, set(outputs)))
    kept = {IR: fields[IR], PROGRAM: [graph], OPSETS: fields[OPSETS]}
    return write_message(kept)


def _texts(values: list[memoryview]) -> set[str]:
    return {bytes(value).decode() for value in values}


def _named(raws: list, kind: Fields, field: int, names: set[str]) -> Iterator[memoryview]:
    for raw in raws:
        if text(read_message(raw, kind, "value"), field, "name") in names:
            yield raw
