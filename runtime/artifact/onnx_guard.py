"""Refuse an ONNX file that holds anything but a plain network, before onnxruntime reads a byte.

ONNX files carry no checksum and can do much: nested functions hang the library at load, a Loop
hangs it at run time, external data open other files, and unknown fields hide edits. cfzoo's
exporter writes a small, regular subset of the format, and the guard accepts that subset alone:
every field must be listed in the tables below, and a field that is not repeated occurs at most
once. The onnx library cannot check this, since its parser forgives unknown and duplicate fields;
hence the strict reader of the wire format in `protobuf`.

The guard protects from accidents, from tampering that a parser would overlook and from every
construct that runs code. It does not protect from a file designed to need much memory or time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ArtifactError
from .protobuf import BYTES, FIXED32, PACKED, VARINT, Fields, read_integers, read_message, read_text

IR_VERSION = 10
OPSET = 18
MAX_BYTES = 2**31 - 1  # protobuf's own limit
MAX_METADATA = 64 * 2**20
MAX_ATTRIBUTE = 4096  # the largest magnitude of a kernel, stride, pad, axis or group

# The operators of convolutions, normalisations, gates, wavelets and prototypes.
# Left out on purpose: If, Loop, Scan (control flow), and ConstantOfShape, Expand, Tile, Range,
# OneHot, Resize, NonZero (a few bytes that become gigabytes).
_OPERATORS = """
    Abs Add AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose Div Elu Equal
    Erf Exp Flatten Gather Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid
    HardSwish Identity LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max
    MaxPool Mean Min Mul Neg Not Or And Pad Pow PRelu Reciprocal ReduceMax ReduceMean ReduceMin
    ReduceSum ReduceSumSquare ReduceL2 Relu Reshape Selu Shape Sigmoid Sign Slice Softmax Softplus
    Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())

# TensorProto.DataType -> bytes per element. Text, complex and sub-byte types are not accepted.
_ITEM_SIZE = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}

# Field number -> (wire type, whether it may repeat), from onnx.proto3. Attributes hold numbers and
# text alone: no tensor, no graph.
MODEL: Fields = {
    1: (VARINT, False),  # ir_version
    2: (BYTES, False),  # producer_name
    3: (BYTES, False),  # producer_version
    7: (BYTES, False),  # graph
    8: (BYTES, False),  # opset_import: one domain, the standard one
    14: (BYTES, True),  # metadata_props
}
_OPSET: Fields = {1: (BYTES, False), 2: (VARINT, False)}
_ENTRY: Fields = {1: (BYTES, False), 2: (BYTES, False)}
GRAPH: Fields = {
    1: (BYTES, True),  # node
    2: (BYTES, False),  # name
    5: (BYTES, True),  # initializer
    11: (BYTES, True),  # input
    12: (BYTES, True),  # output
}
NODE: Fields = {
    1: (BYTES, True),  # input
    2: (BYTES, True),  # output
    3: (BYTES, False),  # name
    4: (BYTES, False),  # op_type
    5: (BYTES, True),  # attribute
    7: (BYTES, False),  # domain
}
_ATTRIBUTE: Fields = {
    1: (BYTES, False),  # name
    2: (FIXED32, False),  # f
    3: (VARINT, False),  # i
    4: (BYTES, False),  # s
    7: (BYTES, True),  # floats, packed
    8: (PACKED, True),  # ints
    20: (VARINT, False),  # type
}
TENSOR: Fields = {
    1: (PACKED, True),  # dims
    2: (VARINT, False),  # data_type
    8: (BYTES, False),  # name
    9: (BYTES, False),  # raw_data
}
VALUE: Fields = {1: (BYTES, False), 2: (BYTES, False)}
_TYPE: Fields = {1: (BYTES, False)}
_TENSOR_TYPE: Fields = {1: (VARINT, False), 2: (BYTES, False)}
_SHAPE: Fields = {1: (BYTES, True)}
_DIM: Fields = {1: (VARINT, False), 2: (BYTES, False)}


@dataclass(frozen=True)
class Outline:
    """The outline of a model: enough to read the card and check it against the network.

    Attributes
    ----------
    metadata : mapping of str to str
    inputs, outputs : mapping of str to shape
        Shapes as tuples of int, or str for a symbolic dimension.
    operators : mapping of str to int
        Number of nodes of each operator.
    parameters : int
        Number of elements in the floating-point initializers.
    """

    metadata: Mapping[str, str]
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    operators: Mapping[str, int]
    parameters: int


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
    model = read_message(memoryview(data), MODEL, "file")
    if not {1, 7, 8} <= model.keys():
        raise ArtifactError("This is not an ONNX model: it lacks a version or a graph.")
    if model[1][0] != IR_VERSION:
        raise ArtifactError(
            f"The model has ONNX IR version {model[1][0]}; cfzoo runs {IR_VERSION}. "
            "Export it again with cfzoo."
        )
    opset = read_message(model[8][0], _OPSET, "opset")
    if read_text(opset, 1, "opset domain") not in ("", "ai.onnx"):
        raise ArtifactError("The model uses operators of a custom domain, which cfzoo refuses.")
    version = opset.get(2, [0])[0]
    if version != OPSET:
        raise ArtifactError(
            f"The model uses opset {version}; cfzoo runs {OPSET}. Export it again with cfzoo."
        )
    metadata: dict[str, str] = {}
    for raw in model.get(14, []):
        entry = read_message(raw, _ENTRY, "metadata")
        key = read_text(entry, 1, "metadata key")
        if key in metadata:
            raise ArtifactError(f"The model's metadata has {key!r} twice; which one holds?")
        metadata[key] = read_text(entry, 2, key, MAX_METADATA)
    return _outline_of_graph(model[7][0], metadata)


def _outline_of_graph(raw: memoryview, metadata: Mapping[str, str]) -> Outline:
    graph = read_message(raw, GRAPH, "graph")
    inputs = _read_values(graph.get(11, []), "input")
    parameters = 0
    constants: set[str] = set()
    for raw_tensor in graph.get(5, []):
        name, count = _read_tensor(raw_tensor)
        _define(name, constants)
        parameters += count
    # In the order of the file each value must be defined once and before its first use, so that
    # there are no cycles and no ambiguous names. onnxruntime would compute a node with constant
    # inputs alone at load, where nothing can interrupt it.
    names = set(constants)
    for name in inputs:
        _define(name, names)
    operators: dict[str, int] = {}
    for raw_node in graph.get(1, []):
        operator, input_names, output_names = _read_node(raw_node)
        if not set(input_names) <= names:
            raise ArtifactError(
                f"The model's {operator} uses a value that nothing before it defines. Get the file "
                "again."
            )
        if set(input_names) <= constants:
            raise ArtifactError(
                f"The model's {operator} has constant inputs alone; refused, since it would run "
                "when the model is loaded. Export it again with cfzoo."
            )
        for name in output_names:
            _define(name, names)
        operators[operator] = operators.get(operator, 0) + 1
    outputs = _read_values(graph.get(12, []), "output")
    if not set(outputs) <= names - constants - set(inputs):
        raise ArtifactError("The model's outputs do not come from its nodes. Get the file again.")
    return Outline(metadata, inputs, outputs, operators, parameters)


def _define(name: str, names: set[str]) -> None:
    if not name or name in names:
        raise ArtifactError(f"The model defines {name!r:.80} twice, or a value without a name.")
    names.add(name)


def _read_node(raw: memoryview) -> tuple[str, list[str], list[str]]:
    """Return a node's operator, the names of its inputs (without empty ones) and its outputs."""
    node = read_message(raw, NODE, "node")
    operator = read_text(node, 4, "operator")
    if read_text(node, 7, "node domain") not in ("", "ai.onnx"):
        raise ArtifactError(f"The model's operator {operator} is of a custom domain; refused.")
    if operator not in OPERATORS:
        raise ArtifactError(
            f"The model uses the operator {operator!r}, which cfzoo does not run. "
            "Control flow, and operators that make gigabytes of a few bytes, are refused."
        )
    for attribute in node.get(5, []):
        fields = read_message(attribute, _ATTRIBUTE, f"{operator}'s attribute")
        for number in (*read_integers(fields, 8), *fields.get(3, [])):
            signed = number - 2**64 if number >= 2**63 else number
            # The huge ends of a Slice are inputs, not attributes.
            if abs(signed) > MAX_ATTRIBUTE:
                raise ArtifactError(
                    f"The model's {operator} has an attribute of {signed}; "
                    f"cfzoo accepts up to {MAX_ATTRIBUTE}."
                )
    inputs = [read_text({1: [name]}, 1, "input name") for name in node.get(1, [])]
    outputs = [read_text({1: [name]}, 1, "output name") for name in node.get(2, [])]
    return operator, list(filter(None, inputs)), list(filter(None, outputs))


def _read_tensor(raw: memoryview) -> tuple[str, int]:
    """Return an initializer's name and, if it is floating-point, its number of elements, else 0."""
    tensor = read_message(raw, TENSOR, "weight tensor")
    kind = tensor.get(2, [0])[0]
    if kind not in _ITEM_SIZE:
        raise ArtifactError(f"A weight tensor of the model has ONNX type {kind}; refused.")
    count = 1
    for size in read_integers(tensor, 1):
        count *= size  # Python's integers do not overflow; sizes are bounded by the next test
        if count > MAX_BYTES:
            break
    n_bytes = len(tensor.get(9, [b""])[0])
    if count * _ITEM_SIZE[kind] != n_bytes:
        raise ArtifactError(
            f"A weight tensor of the model declares {count} numbers and stores {n_bytes} bytes. "
            "Weights outside the file, or in another form than raw data, are refused."
        )
    return read_text(tensor, 8, "weight name"), count if kind in (1, 10, 11) else 0


def _read_values(raws: list[memoryview], kind: str) -> dict[str, tuple[int | str, ...]]:
    """Return the shapes of the graph's inputs or outputs, by name; they must be float32 tensors."""
    values: dict[str, tuple[int | str, ...]] = {}
    for raw in raws:
        value = read_message(raw, VALUE, kind)
        name = read_text(value, 1, f"{kind} name")
        if name in values:
            raise ArtifactError(f"The model has two {kind}s named {name!r:.80}.")
        value_type = read_message(value.get(2, [memoryview(b"")])[0], _TYPE, kind)
        tensor = read_message(value_type.get(1, [memoryview(b"")])[0], _TENSOR_TYPE, kind)
        if tensor.get(1, [0])[0] != 1 or 2 not in tensor:
            raise ArtifactError(
                f"The model's {kind} {name!r} is not a float32 tensor with a shape."
            )
        dims: list[int | str] = []
        for dim in read_message(tensor[2][0], _SHAPE, kind).get(1, []):
            fields = read_message(dim, _DIM, kind)
            if len(fields) != 1:
                raise ArtifactError(f"The model's {kind} {name!r} has an ambiguous dimension.")
            dims.append(fields[1][0] if 1 in fields else read_text(fields, 2, "dimension"))
        values[name] = tuple(dims)
    return values
