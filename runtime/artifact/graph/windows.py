"""Shapes of operators that move a window over the cube: convolutions and pools."""

from math import prod

from .attributes import MAX_WINDOW
from .node import Node
from .tensor import Tensor

Shape = tuple[int, ...]


def _window(node: Node, kernel: Shape) -> tuple[Shape, Shape, Shape, Shape]:
    """Return strides, reach of the kernel, and pads before and after, one for each axis."""
    rank = len(kernel)
    strides = node.attribute("strides", (1,) * rank)
    dilations = node.attribute("dilations", (1,) * rank)
    pads = node.attribute("pads", (0,) * 2 * rank)
    node.require(
        len(strides) == len(dilations) == rank and len(pads) == 2 * rank,
        f"has strides, dilations or pads for another number of axes than {rank}",
    )
    node.require(
        node.attribute("kernel_shape", kernel) == kernel,
        f"has the kernel shape {node.attribute('kernel_shape')} and weights of {kernel}",
    )
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    node.require(
        max(reach) <= MAX_WINDOW
        and all(pad <= r for pad, r in zip(pads, reach * 2, strict=True))
        and all(s <= max(r, 4) for s, r in zip(strides, reach, strict=True)),
        f"has pads {list(pads)} or strides {list(strides)} beyond its kernel of {list(reach)}",
    )
    before, after = pads[:rank], pads[rank:]
    return strides, reach, before, after


def _voxels(node: Node, rank: int) -> tuple[Tensor, Shape]:
    """Return the input, with a cube and channel axis before ``rank`` others, and those others."""
    tensor = node.computed()
    node.require(
        1 <= rank <= 3 and len(tensor.shape) == rank + 2,
        f"takes shapes of {len(tensor.shape)} axes with a kernel of {rank}",
    )
    return tensor, tensor.shape[2:]


def _check_bias(node: Node, channels: int) -> None:
    bias = node.constant(2)
    node.require(
        bias is None or bias.shape == (channels,),
        f"has a bias of another shape than its {channels} channels",
    )


def convolution(node: Node) -> list[Tensor]:
    """Return the shape after a Conv."""
    weight = node.weight(1)
    tensor, sides = _voxels(node, len(weight.shape) - 2)
    n_out, n_in, *_ = weight.shape
    kernel, group = weight.shape[2:], node.attribute("group", 1)
    node.require(
        tensor.shape[1] == n_in * group and n_out % group == 0,
        f"has weights of {weight.shape} in {group} groups for {tensor.shape[1]} channels",
    )
    _check_bias(node, n_out)
    strides, reach, before, after = _window(node, kernel)
    return [
        Tensor("float32", (tensor.shape[0], n_out, *_slide(sides, strides, reach, before, after)))
    ]


def _slide(sides: Shape, strides: Shape, reach: Shape, before: Shape, after: Shape) -> Shape:
    """Return the number of places of a window on each axis; 0 or less if it does not fit."""
    return tuple(
        (n + b + a - r) // s + 1
        for n, s, r, b, a in zip(sides, strides, reach, before, after, strict=True)
    )


def transposed_convolution(node: Node) -> list[Tensor]:
    """Return the shape after a ConvTranspose."""
    weight = node.weight(1)
    tensor, sides = _voxels(node, len(weight.shape) - 2)
    n_in, n_out, *_ = weight.shape
    kernel, group = weight.shape[2:], node.attribute("group", 1)
    node.require(
        tensor.shape[1] == n_in and n_in % group == 0,
        f"has weights of {weight.shape} in {group} groups for {tensor.shape[1]} channels",
    )
    _check_bias(node, n_out * group)
    strides, reach, before, after = _window(node, kernel)
    rest = node.attribute("output_padding", (0,) * len(kernel))
    node.require(
        len(rest) == len(kernel) and all(r < s for r, s in zip(rest, strides, strict=True)),
        f"has the output padding {list(rest)}; expected less than the strides {list(strides)}",
    )
    shape = tuple(
        (n - 1) * s + extra + r - b - a
        for n, s, extra, r, b, a in zip(sides, strides, rest, reach, before, after, strict=True)
    )
    return [Tensor("float32", (tensor.shape[0], n_out * group, *shape))]


def pool(node: Node) -> list[Tensor]:
    """Return the shape after a MaxPool or AveragePool."""
    kernel = node.attribute("kernel_shape")
    tensor, sides = _voxels(node, len(kernel))
    strides, reach, before, after = _window(node, kernel)
    # A window may not lie on padding alone, whose mean and maximum are undefined.
    node.require(
        all(pad < r for pad, r in zip(before + after, reach * 2, strict=True)),
        f"has pads {list(before + after)} that reach beyond its kernel of {list(kernel)}",
    )
    shape = _slide(sides, strides, reach, before, after)
    return [Tensor("float32", (*tensor.shape[:2], *shape))]


def global_pool(node: Node) -> list[Tensor]:
    """Return the shape after a pool over all voxels."""
    tensor, sides = _voxels(node, len(node.computed().shape) - 2)
    return [Tensor("float32", (*tensor.shape[:2], *(1,) * len(sides)))]


def convolution_work(node: Node, outputs: list[Tensor]) -> int:
    """Return the multiply-adds of a Conv for one cube."""
    _, *taps = node.weight(1).shape
    return _grouped(node) * outputs[0].elements * prod(taps)


def transposed_work(node: Node, outputs: list[Tensor]) -> int:
    """Return the multiply-adds of a ConvTranspose for one cube."""
    weight = node.weight(1)
    _, *taps = weight.shape
    products = _grouped(node) * node.computed().elements * prod(taps)
    # OpenVINO has no fast way where strides leave gaps: a microsecond for each element.
    strides = node.attribute("strides", (1,))
    has_gaps = any(s > n for s, n in zip(strides, weight.shape[2:], strict=False))
    return products + (1000 if has_gaps else 10) * outputs[0].elements


def _grouped(node: Node) -> int:
    """Return how many times slower than one large convolution the groups of a node are."""
    return 10 if node.attribute("group", 1) > 1 else 1


def transposed_scratch(node: Node) -> int:
    """Return the bytes that onnxruntime needs besides the output of a ConvTranspose.

    It computes the product with each tap of the kernel first and sums them later.
    """
    _, *taps = node.weight(1).shape
    tensor = node.computed()
    return 4 * prod(taps) * (tensor.elements // tensor.shape[1])


def pool_work(node: Node, outputs: list[Tensor]) -> int:
    """Return the comparisons or sums of a pool for one cube, counted as `elementwise` work."""
    return 10 * outputs[0].elements * prod(node.attribute("kernel_shape"))
