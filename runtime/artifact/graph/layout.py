"""Shapes of operators that arrange elements anew: reshape, transpose, join."""

from math import prod

from .node import Node
from .tensor import Tensor, describe

ANY = ("float32", "int64", "bool")


def reshape(node: Node) -> list[Tensor]:
    """Return the shape that a constant states: -1 for the rest, 0 for the input's own side."""
    tensor, sides = node.computed(*ANY), node.integers(1)
    if not sides or len(sides) > 8:
        raise node.error("does not state a shape of 1 to 8 axes")
    if not node.attribute("allowzero", 0):
        node.require(
            all(side != 0 or i < len(tensor.shape) for i, side in enumerate(sides)),
            "keeps a side that its input does not have",
        )
        sides = tuple(tensor.shape[i] if side == 0 else side for i, side in enumerate(sides))
    node.require(
        all(side >= 1 or side == -1 for side in sides) and sides.count(-1) <= 1,
        f"states the shape {list(sides)}; expected sides from 1, and -1 at most once",
    )
    total, known = prod(tensor.shape), prod(side for side in sides if side != -1)
    shape = tuple(total // known if side == -1 else side for side in sides)
    node.require(
        prod(shape) == total, "states a shape of another number of elements than its input"
    )
    return [Tensor(tensor.kind, shape)]


def flatten(node: Node) -> list[Tensor]:
    """Return the shape of two axes, split before attribute ``axis``."""
    tensor = node.computed(*ANY)
    rank, axis = len(tensor.shape), node.attribute("axis", 1)
    axis = axis + rank if axis < 0 else axis
    node.require(1 <= axis <= rank, f"splits {rank} axes before axis {axis}")
    return [Tensor(tensor.kind, (prod(tensor.shape[:axis]), prod(tensor.shape[axis:])))]


def transpose(node: Node) -> list[Tensor]:
    """Return the shape with its axes in another order; that of the cubes stays first."""
    tensor = node.computed(*ANY)
    order: tuple[int, ...] = node.attribute("perm")
    node.require(
        sorted(order) == list(range(len(tensor.shape))) and order[0] == 0,
        f"orders {len(tensor.shape)} axes as {list(order)}; expected each once, and 0 first",
    )
    return [Tensor(tensor.kind, tuple(tensor.shape[axis] for axis in order))]


def unsqueeze(node: Node) -> list[Tensor]:
    """Return the shape with new axes of 1, whose places in the result a constant lists."""
    tensor, numbers = node.computed(*ANY), node.integers(1)
    rank = len(tensor.shape) + len(numbers or ())
    axes = node.axes(1, rank)
    sides = iter(tensor.shape)
    return [Tensor(tensor.kind, tuple(1 if i in axes else next(sides) for i in range(rank)))]


def squeeze(node: Node) -> list[Tensor]:
    """Return the shape without the axes that a constant lists, all of 1."""
    tensor = node.computed(*ANY)
    axes = node.axes(1, len(tensor.shape))
    node.require(
        all(tensor.shape[axis] == 1 for axis in axes), "drops an axis that is longer than 1"
    )
    return [Tensor(tensor.kind, tuple(n for i, n in enumerate(tensor.shape) if i not in axes))]


def concat(node: Node) -> list[Tensor]:
    """Return the shape of computed tensors laid end to end along attribute ``axis``."""
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    first = node.computed(*ANY)
    axis = node.axis(node.attribute("axis"), len(first.shape))
    side = 0
    for tensor in tensors:
        node.require(
            tensor.kind == first.kind
            and len(tensor.shape) == len(first.shape)
            and tensor.shape[:axis] == first.shape[:axis]
            and tensor.shape[axis + 1 :] == first.shape[axis + 1 :],
            f"joins {describe(first.shape)} and {describe(tensor.shape)} along axis {axis}, whose "
            "other sides or types differ",
        )
        side += tensor.shape[axis]
    return [Tensor(first.kind, (*first.shape[:axis], side, *first.shape[axis + 1 :]))]
