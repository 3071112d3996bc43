"""Shapes of operators that take parts of a tensor or add a margin: slice, split, gather, pad."""

from .layout import ANY
from .node import Node
from .tensor import Tensor

TO_THE_END = 2**63 - 1  # as exporters write the open end of a slice


def _with_side(tensor: Tensor, axis: int, side: int) -> Tensor:
    return Tensor(tensor.kind, (*tensor.shape[:axis], side, *tensor.shape[axis + 1 :]))


def cut(node: Node) -> list[Tensor]:
    """Return the shape after a Slice; forwards, from and to places within the tensor."""
    tensor = node.computed(*ANY)
    axes = node.axes(3, len(tensor.shape))
    starts, ends = node.integers(1) or (), node.integers(2) or ()
    steps = node.integers(4) or (1,) * len(axes)
    node.require(
        len(starts) == len(ends) == len(steps) == len(axes),
        f"has {len(starts)} starts, {len(ends)} ends and {len(steps)} steps for {len(axes)} axes",
    )
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        side = tensor.shape[axis]
        node.require(
            -side <= start < side and (-side <= end <= side or end == TO_THE_END),
            f"goes from {start} to {end} on an axis of {side}",
        )
        node.require(1 <= step <= side, f"has a step of {step}; expected 1 to {side}")
        first, last = start % side, side if end >= side else end % side
        node.require(first < last, f"goes from {start} to {end}, which is empty")
        tensor = _with_side(tensor, axis, (last - first + step - 1) // step)
    return [tensor]


def split(node: Node) -> list[Tensor]:
    """Return the shapes of the parts along attribute ``axis``, equal or of constant sizes."""
    tensor = node.computed(*ANY)
    axis = node.axis(node.attribute("axis", 0), len(tensor.shape))
    side, count = tensor.shape[axis], node.n_outputs
    sizes, number = node.integers(1), node.attribute("num_outputs")
    if sizes is None:
        node.require(
            number == count and side % count == 0,
            f"splits {side} into {number} equal parts for {count} outputs",
        )
        sizes = (side // count,) * count
    node.require(
        number in (None, count) and len(sizes) == count and min(sizes) >= 1 and sum(sizes) == side,
        f"splits {side} into {list(sizes[:9])} for {count} outputs",
    )
    return [_with_side(tensor, axis, size) for size in sizes]


def gather(node: Node) -> list[Tensor]:
    """Return the shape after taking the places that a constant lists along attribute ``axis``."""
    tensor, places = node.computed(*ANY), node.constant(1, "int64")
    numbers = node.integers(1, ranks=(0, 1))
    if places is None or numbers is None:
        raise node.error("lacks its places")
    axis = node.axis(node.attribute("axis", 0), len(tensor.shape))
    side = tensor.shape[axis]
    node.require(
        all(-side <= number < side for number in numbers), f"takes places beyond an axis of {side}"
    )
    shape = (*tensor.shape[:axis], *places.shape, *tensor.shape[axis + 1 :])
    return [Tensor(tensor.kind, shape)]


def pad(node: Node) -> list[Tensor]:
    """Return the shape with a margin, which a constant lists: before all axes, then after.

    A negative margin, which would crop, is refused: OpenVINO reads beyond the tensor.
    """
    tensor, mode = node.computed(), node.attribute("mode", "constant")
    rank = len(tensor.shape)
    axes = node.axes(3, rank) if len(node.inputs) > 3 else tuple(range(rank))
    pads = node.integers(1) or ()
    node.scalar(2)
    node.require(
        len(pads) == 2 * len(axes), f"has {len(pads)} margins for {len(axes)} axes, twice as many"
    )
    before, after = pads[: len(axes)], pads[len(axes) :]
    for axis, *margins in zip(axes, before, after, strict=True):
        side = tensor.shape[axis]
        # Elements that are repeated or mirrored must exist; zeros at most triple a side, and more.
        most = 0 if axis == 0 else min(side - 1, 256) if mode == "reflect" else 256
        node.require(
            min(margins) >= 0 and max(margins) <= most,
            f"adds a margin of {margins} to axis {axis} of {side}; expected 0 to {most}",
        )
        tensor = _with_side(tensor, axis, side + sum(margins))
    return [tensor]
