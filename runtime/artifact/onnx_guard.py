"""Refuse an ONNX file that holds anything but a plain network, before onnxruntime reads a byte.

ONNX files carry no checksum and can do much: nested functions hang the library at load, a Loop
hangs it at run time, external data open other files, and unknown fields hide edits. cfzoo's
exporter writes a small, regular subset of the format, and the guard accepts that subset alone:
every field must be listed in the tables below, and occurs at most as often as they say. The onnx
library cannot check this, since its parser forgives unknown and duplicate fields; hence the strict
reader of the wire format in `protobuf`. What the nodes do is checked in `graph`: their operators,
operands, shapes, and the memory and time that they need.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ArtifactError
from .graph import (
    BATCH,
    MAX_NODES,
    Cost,
    Graph,
    Tensor,
    Value,
    describe,
    find_operator,
    read_weight,
)
from .protobuf import (
    BYTES,
    FIXED32,
    PACKED,
    VARINT,
    Fields,
    Message,
    Reader,
    decode,
    read_text,
    signed,
)

IR_VERSION = 10
OPSET = 18
MAX_BYTES = 2**31 - 1  # protobuf's own limit

# Field number -> (wire type, the most that a message has), from onnx.proto3. Attributes hold
# numbers and text alone: no tensor, no graph.
MODEL: Fields = {
    1: (VARINT, 1),  # ir_version
    2: (BYTES, 1),  # producer_name
    3: (BYTES, 1),  # producer_version
    7: (BYTES, 1),  # graph
    8: (BYTES, 1),  # opset_import: one domain, the standard one
    14: (BYTES, 16),  # metadata_props
}
_OPSET: Fields = {1: (BYTES, 1), 2: (VARINT, 1)}
_ENTRY: Fields = {1: (BYTES, 1), 2: (BYTES, 1)}
GRAPH: Fields = {
    1: (BYTES, MAX_NODES),  # node
    2: (BYTES, 1),  # name
    5: (BYTES, MAX_NODES),  # initializer
    11: (BYTES, 1),  # input
    12: (BYTES, 8),  # output
}
NODE: Fields = {
    1: (BYTES, 64),  # input
    2: (BYTES, 64),  # output
    3: (BYTES, 1),  # name
    4: (BYTES, 1),  # op_type
    5: (BYTES, 16),  # attribute
    7: (BYTES, 1),  # domain
}
_ATTRIBUTE: Fields = {
    1: (BYTES, 1),  # name
    2: (FIXED32, 1),  # f
    3: (VARINT, 1),  # i
    4: (BYTES, 1),  # s
    8: (PACKED, 64),  # ints
    20: (VARINT, 1),  # type
}
TENSOR: Fields = {
    1: (PACKED, 64),  # dims
    2: (VARINT, 1),  # data_type
    8: (BYTES, 1),  # name
    9: (BYTES, 1),  # raw_data
}
VALUE: Fields = {1: (BYTES, 1), 2: (BYTES, 1)}
_TYPE: Fields = {1: (BYTES, 1)}
_TENSOR_TYPE: Fields = {1: (VARINT, 1), 2: (BYTES, 1)}
_SHAPE: Fields = {1: (BYTES, 8)}
_DIM: Fields = {1: (VARINT, 1), 2: (BYTES, 1)}
_VALUE_FIELDS = {1: 2, 2: 3, 3: 4, 7: 8}  # AttributeProto.type -> the field that holds its value


@dataclass(frozen=True)
class Outline:
    """The outline of a model: enough to read the card and check it against the network.

    Attributes
    ----------
    metadata : mapping of str to memoryview
        Bytes of each entry, UTF-8 unless it was damaged; see `text`.
    inputs, outputs : mapping of str to shape
        Shapes as tuples of int, or str for a symbolic dimension.
    operators : mapping of str to int
        Number of nodes of each operator.
    parameters : int
        Number of elements in the floating-point initializers.
    cost : Cost
        Memory and work for one cube.
    """

    metadata: Mapping[str, memoryview]
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    operators: Mapping[str, int]
    parameters: int
    cost: Cost

    def text(self, key: str, limit: int) -> str:
        """Return a metadata entry, "" if it is absent.

        Raises
        ------
        ArtifactError
            It has more than ``limit`` bytes or is not UTF-8.
        """
        return decode(self.metadata.get(key, memoryview(b"")), f"metadata {key}", limit)


def inspect_model(data: bytes) -> Outline:
    """Check a serialised ONNX model and return its outline.

    Raises
    ------
    ArtifactError
        The data are not an ONNX model, or hold anything outside the accepted subset.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(
            f"The model has {len(data)} bytes; an ONNX file has at most {MAX_BYTES}."
        )
    reader = Reader()
    model = reader.read_message(memoryview(data), MODEL, "file")
    if not {1, 7, 8} <= model.keys():
        raise ArtifactError("This is not an ONNX model: it lacks a version or a graph.")
    if model[1][0] != IR_VERSION:
        raise ArtifactError(
            f"The model has ONNX IR version {model[1][0]}; cfzoo runs {IR_VERSION}. "
            "Export it again with cfzoo."
        )
    opset = reader.read_message(model[8][0], _OPSET, "opset")
    if read_text(opset, 1, "opset domain"):
        raise ArtifactError("The model uses operators of a custom domain, which cfzoo refuses.")
    version = opset.get(2, [0])[0]
    if version != OPSET:
        raise ArtifactError(
            f"The model uses opset {version}; cfzoo runs {OPSET}. Export it again with cfzoo."
        )
    for field in (2, 3):
        read_text(model, field, "producer")
    return _outline(reader, model[7][0], _read_metadata(reader, model))


def _read_metadata(reader: Reader, model: Message) -> dict[str, memoryview]:
    metadata: dict[str, memoryview] = {}
    for raw in model.get(14, []):
        entry = reader.read_message(raw, _ENTRY, "metadata")
        key = read_text(entry, 1, "metadata key")
        if key in metadata:
            raise ArtifactError(f"The model's metadata has {key!r:.80} twice; which one holds?")
        metadata[key] = entry.get(2, [memoryview(b"")])[0]
    return metadata


def _outline(reader: Reader, raw: memoryview, metadata: Mapping[str, memoryview]) -> Outline:
    fields = reader.read_message(raw, GRAPH, "graph")
    read_text(fields, 2, "graph name")
    graph = Graph()
    parameters = 0
    for raw_tensor in fields.get(5, []):
        tensor = _read_tensor(reader, raw_tensor, graph)
        parameters += tensor.elements if tensor.kind == "float32" else 0
    inputs = _read_values(reader, fields.get(11, []), "input")
    for name, shape in inputs.items():
        if len(shape) < 2 or not (isinstance(shape[0], str) and _are_sizes(shape[1:])):
            raise ArtifactError(
                f"The model's inputs are {dict(inputs)}; expected one of (batch, sizes)."
            )
        graph.define(name, Tensor("float32", _as_computed(shape)))
    for raw_node in fields.get(1, []):
        _add_node(reader, raw_node, graph)
    outputs = _read_values(reader, fields.get(12, []), "output")
    cost = graph.close(outputs)
    for name, shape in outputs.items():
        tensor = graph.tensors[name]
        if not shape or not isinstance(shape[0], str):
            raise ArtifactError(f"The model's outputs are {dict(outputs)}; expected (batch, ...).")
        if (tensor.kind, tensor.shape) != ("float32", _as_computed(shape)):
            raise ArtifactError(
                f"The model's outputs are {dict(outputs)}, but its nodes compute {name!r:.80} as "
                f"{tensor.kind} of {describe(tensor.shape)}."
            )
    return Outline(metadata, inputs, outputs, graph.operators, parameters, cost)


def _are_sizes(shape: tuple[int | str, ...]) -> bool:
    return all(isinstance(side, int) and 1 <= side < 2**26 for side in shape)


def _as_computed(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """Return a shape with `BATCH` for its first axis, and 0, which nothing has, for other names."""
    return (BATCH, *(side if isinstance(side, int) else 0 for side in shape[1:]))


def _add_node(reader: Reader, raw: memoryview, graph: Graph) -> None:
    node = reader.read_message(raw, NODE, "node")
    operator = read_text(node, 4, "operator")
    if read_text(node, 7, "node domain"):
        raise ArtifactError(f"The model's operator {operator} is of a custom domain; refused.")
    find_operator(operator)
    read_text(node, 3, "node name")
    attributes: dict[str, Value] = {}
    for raw_attribute in node.get(5, []):
        fields = reader.read_message(raw_attribute, _ATTRIBUTE, f"{operator}'s attribute")
        name = read_text(fields, 1, "attribute name")
        if name in attributes:
            raise ArtifactError(f"The model's {operator} has an attribute {name!r:.40} twice.")
        attributes[name] = _read_attribute(reader, fields, f"{operator}'s attribute {name:.40}")
    inputs = [decode(name, "input name") for name in node.get(1, [])]
    outputs = [decode(name, "output name") for name in node.get(2, [])]
    graph.add(operator, inputs, outputs, attributes)


def _read_attribute(reader: Reader, fields: Message, subject: str) -> Value:
    """Return the value of an attribute, which must be of the type that it declares and no other."""
    field = _VALUE_FIELDS.get(fields.get(20, [0])[0])
    values = fields.keys() - {1, 20}
    if field is None or not values <= {field}:
        raise ArtifactError(f"The model's {subject} is not of the type that it declares; refused.")
    if field == 2:
        return struct.unpack("<f", fields.get(2, [bytes(4)])[0])[0]
    if field == 3:
        return signed(fields.get(3, [0])[0])
    if field == 4:
        return read_text(fields, 4, subject)
    return tuple(reader.read_integers(fields, 8))


def _read_tensor(reader: Reader, raw: memoryview, graph: Graph) -> Tensor:
    """Add an initializer to a graph."""
    fields = reader.read_message(raw, TENSOR, "weight tensor")
    name = read_text(fields, 8, "weight name")
    dims, numbers = reader.read_integers(fields, 1), fields.get(9, [memoryview(b"")])[0]
    tensor = read_weight(fields.get(2, [0])[0], dims, numbers, name)
    graph.define(name, tensor)
    return tensor


def _read_values(
    reader: Reader, raws: list[memoryview], kind: str
) -> dict[str, tuple[int | str, ...]]:
    """Return the shapes of the graph's inputs or outputs, by name; they must be float32 tensors."""
    values: dict[str, tuple[int | str, ...]] = {}
    for raw in raws:
        value = reader.read_message(raw, VALUE, kind)
        name = read_text(value, 1, f"{kind} name")
        if name in values:
            raise ArtifactError(f"The model has two {kind}s named {name!r:.80}.")
        value_type = reader.read_message(value.get(2, [memoryview(b"")])[0], _TYPE, kind)
        inner = value_type.get(1, [memoryview(b"")])[0]
        tensor = reader.read_message(inner, _TENSOR_TYPE, kind)
        if tensor.get(1, [0])[0] != 1 or 2 not in tensor:
            raise ArtifactError(
                f"The model's {kind} {name!r:.80} is not a float32 tensor with a shape."
            )
        dims: list[int | str] = []
        for dim in reader.read_message(tensor[2][0], _SHAPE, kind).get(1, []):
            fields = reader.read_message(dim, _DIM, kind)
            if len(fields) != 1:
                raise ArtifactError(f"The model's {kind} {name!r:.80} has an ambiguous dimension.")
            dims.append(fields[1][0] if 1 in fields else read_text(fields, 2, "dimension"))
        values[name] = tuple(dims)
    return values
