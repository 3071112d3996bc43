"""Shapes of operators that summarise or normalise over axes."""

import numpy as np

from .node import Node
from .tensor import Tensor


def reduce(node: Node) -> list[Tensor]:
    """Return the shape without the axes that a constant lists, or with 1 in their place."""
    kinds = ("float32", "int64") if node.operator == "ReduceSum" else ("float32",)
    tensor = node.computed(*kinds)
    axes = node.axes(1, len(tensor.shape))
    keep = node.attribute("keepdims", 1)
    shape = tuple(
        1 if i in axes else n for i, n in enumerate(tensor.shape) if keep or i not in axes
    )
    return [Tensor(tensor.kind, shape)]


def softmax(node: Node) -> list[Tensor]:
    """Return the shape of the input, normalised along attribute ``axis``."""
    tensor = node.computed()
    node.axis(node.attribute("axis", -1), len(tensor.shape))
    return [Tensor("float32", tensor.shape)]


def batch_normalisation(node: Node) -> list[Tensor]:
    """Return the shape of the input; its statistics are constants of one per channel."""
    tensor = node.computed()
    node.require(2 <= len(tensor.shape) <= 5, f"takes {len(tensor.shape)} axes; expected 2 to 5")
    weights = [node.weight(position) for position in range(1, 5)]
    node.require(
        all(weight.shape == (tensor.shape[1],) for weight in weights),
        f"has statistics of another shape than its {tensor.shape[1]} channels",
    )
    assert weights[3].numbers is not None
    variance = np.frombuffer(weights[3].numbers, "<f4")
    node.require(bool(variance.min() >= 0), "has a negative variance, whose root is NaN")
    return [Tensor("float32", tensor.shape)]


def layer_normalisation(node: Node) -> list[Tensor]:
    """Return the shape of the input; scale and bias have the shape from attribute ``axis`` on."""
    tensor = node.computed()
    axis = node.axis(node.attribute("axis", -1), len(tensor.shape))
    scale, bias = node.weight(1), node.constant(2)
    node.require(
        scale.shape == tensor.shape[axis:] and (bias is None or bias.shape == scale.shape),
        f"has a scale or bias of another shape than {tensor.shape[axis:]}",
    )
    return [Tensor("float32", tensor.shape)]


def largest(node: Node) -> list[Tensor]:
    """Return the shapes of the largest or smallest values along an axis, and of their places."""
    tensor, counts = node.computed(), node.integers(1)
    axis = node.axis(node.attribute("axis", -1), len(tensor.shape))
    side = tensor.shape[axis]
    if counts is None or len(counts) != 1 or not 1 <= counts[0] <= side:
        raise node.error(f"takes {counts} values of an axis of {side}; expected 1 to {side}")
    node.require(node.n_outputs == 2, f"has {node.n_outputs} outputs; expected values and places")
    shape = (*tensor.shape[:axis], counts[0], *tensor.shape[axis + 1 :])
    return [Tensor("float32", shape), Tensor("int64", shape)]


def largest_scratch(node: Node) -> int:
    """Return the bytes for one cube in which a library sorts: each value with its place."""
    return 12 * node.computed().elements
