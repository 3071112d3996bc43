"""Shapes of operators that work on one element at a time, or on pairs of them."""

from .node import Node
from .tensor import Tensor, describe

Shape = tuple[int, ...]


def broadcast(node: Node, *shapes: Shape) -> Shape:
    """Return the common shape of several, aligned at their last axes; sides of 1 stretch.

    Raises
    ------
    ArtifactError
        Two sides differ and neither is 1.
    """
    common = shapes[0]
    for shape in shapes[1:]:
        if shape == common:
            continue
        rank = max(len(common), len(shape))
        pairs = list(
            zip(
                (1,) * (rank - len(common)) + common,
                (1,) * (rank - len(shape)) + shape,
                strict=True,
            )
        )
        if not all(a == b or 1 in (a, b) for a, b in pairs):
            raise node.error(f"combines {describe(common)} and {describe(shape)}, which do not fit")
        common = tuple(b if a == 1 else a for a, b in pairs)
    return common


def unary(node: Node) -> list[Tensor]:
    """Return the shape of the input, float32."""
    return [Tensor("float32", node.computed().shape)]


def identity(node: Node) -> list[Tensor]:
    """Return the shape and type of the input."""
    tensor = node.computed("float32", "int64", "bool")
    return [Tensor(tensor.kind, tensor.shape)]


def _inputs(node: Node, *kinds: str) -> list[Tensor]:
    """Return the inputs, which must be of one type and not all constant."""
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    types = {tensor.kind for tensor in tensors}
    node.require(
        len(types) == 1 and types <= set(kinds),
        f"takes {' and '.join(sorted(types))}; expected one type, {' or '.join(kinds)}",
    )
    return tensors


def arithmetic(node: Node) -> list[Tensor]:
    """Return the common shape of float32 inputs.

    Integers are refused: a division of integers by 0 would end the process.
    """
    tensors = _inputs(node, "float32")
    return [Tensor("float32", broadcast(node, *(tensor.shape for tensor in tensors)))]


def comparison(node: Node) -> list[Tensor]:
    """Return the common shape of two inputs of one type; bool."""
    tensors = _inputs(node, "float32", "int64")
    return [Tensor("bool", broadcast(node, *(tensor.shape for tensor in tensors)))]


def logic(node: Node) -> list[Tensor]:
    """Return the common shape of inputs of bool."""
    tensors = _inputs(node, "bool")
    return [Tensor("bool", broadcast(node, *(tensor.shape for tensor in tensors)))]


def where(node: Node) -> list[Tensor]:
    """Return the common shape of a computed condition and two inputs of one type."""
    condition = node.computed("bool")
    _, first, second = node.inputs
    assert first is not None and second is not None
    node.require(
        first.kind == second.kind != "bool",
        f"chooses between {first.kind} and {second.kind}; expected one type",
    )
    return [Tensor(first.kind, broadcast(node, condition.shape, first.shape, second.shape))]


def cast(node: Node) -> list[Tensor]:
    """Return the shape of the input and the type of attribute ``to``."""
    kinds = {1: "float32", 7: "int64", 9: "bool"}
    to = node.attribute("to")
    node.require(to in kinds, f"converts to ONNX type {to}; expected one of {sorted(kinds)}")
    return [Tensor(kinds[to], node.computed("float32", "int64", "bool").shape)]


def clip(node: Node) -> list[Tensor]:
    """Return the shape of the input; the bounds are single numbers in ascending order."""
    low, high = node.scalar(1), node.scalar(2)
    if low is not None and high is not None:
        node.require(low <= high, f"limits to {low:g}..{high:g}, which is empty")
    return unary(node)


def slopes(node: Node) -> list[Tensor]:
    """Return the shape of the input of a PRelu; its slopes are constants of one per channel."""
    tensor, slope = node.computed(), node.weight(1)
    channels = tensor.shape[1] if len(tensor.shape) > 1 else 0
    rank = len(tensor.shape) - 1
    node.require(
        slope.shape in ((1,), (1,) * rank, (channels, *(1,) * (rank - 1))),
        f"has slopes of {slope.shape}; expected one for each of {channels} channels",
    )
    return [Tensor("float32", tensor.shape)]
