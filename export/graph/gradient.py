"""Gradients of maps as plain operators, so that an artifact explains itself without torch.

ONNX has no gradients: they are written out when the graph is traced, and operators unknown to the
exporter are expressed by those that it knows.
"""

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import fx, nn
from torch._decomp import get_decompositions
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

aten = torch.ops.aten
_ELEMENTWISE = {
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.mul.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
    aten.where.self,
}


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Copy a network, folding each batch norm into the convolution or linear layer before it.

    The exporter would fold them as well, but the gradient's convolutions would then need separate
    weights, which would double the file.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in network.modules():
        children = list(module.named_children())
        for (before, conv), (after, norm) in pairwise(children):
            if type(norm) is nn.BatchNorm3d and isinstance(conv, (nn.Conv3d, nn.ConvTranspose3d)):
                up = isinstance(conv, nn.ConvTranspose3d)
                fused: nn.Module = nn.utils.fusion.fuse_conv_bn_eval(conv, norm, transpose=up)  # type: ignore[arg-type]
            elif type(norm) is nn.BatchNorm1d and isinstance(conv, nn.Linear):
                fused = nn.utils.fusion.fuse_linear_bn_eval(conv, norm)
            else:
                continue
            setattr(module, before, fused.requires_grad_(False))
            setattr(module, after, nn.Identity())
    return network


def gradients_as_operators(graph: nn.Module, cubes: torch.Tensor) -> nn.Module:
    """Trace a graph that takes gradients into one in which they are plain operators.

    Parameters
    ----------
    graph : module
        Its parameters do not require gradients.
    cubes : (n, C, z, y, x) float32
        Two or more examples; the result takes any number of cubes.
    """
    rules: Any = get_decompositions(
        [
            aten.threshold_backward,
            aten.gelu_backward,
            aten.silu_backward,
            aten.sigmoid_backward,
            aten._softmax_backward_data,
        ]
    )
    rules[aten.convolution_backward.default] = _convolution_backward
    rules[aten.slice_backward.default] = _slice_backward
    rules[aten.constant_pad_nd.default] = _pad
    # Only the number of cubes is a symbol; channels and voxels must not share it.
    sizes = StatelessSymbolicContext([DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * 4)
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)  # the weights
    trace = make_fx(graph, tracing_mode="fake", decomposition_table=rules)
    with enable_python_dispatcher():  # without it some operators turn the symbol into a number
        module = trace(mode.from_tensor(cubes, symbolic_context=sizes))
    _drop_expansions(module.graph)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _convolution_backward(
    gradient,
    cubes,
    weight,
    bias_sizes,
    stride,
    padding,
    dilation,
    transposed,
    output_padding,
    groups,
    output_mask,
):
    """Return the gradient of the input alone, by the transposed convolution or vice versa."""
    if output_mask[1] or output_mask[2]:
        raise NotImplementedError("the gradient of weights")
    if transposed:
        back = aten.convolution(
            gradient, weight, None, stride, padding, dilation, False, [0, 0, 0], groups
        )
        return back, None, None
    # Rows at the end that the stride skipped are restored as well.
    rest = [
        int(cubes.shape[2 + i])
        - (int(gradient.shape[2 + i]) - 1) * stride[i]
        + 2 * padding[i]
        - dilation[i] * (int(weight.shape[2 + i]) - 1)
        - 1
        for i in range(3)
    ]
    back = aten.convolution(gradient, weight, None, stride, padding, dilation, True, rest, groups)
    return back, None, None


def _slice_backward(gradient, sizes, axis, start, stop, step):
    """Return the gradient of a slice: zeros where the input was cut off."""
    if step != 1:
        raise NotImplementedError("the gradient of a slice with steps")
    if gradient.shape[axis] == sizes[axis]:
        return gradient
    pads = [0] * 2 * (gradient.ndim - axis)  # from the last axis on
    pads[-2:] = [start, sizes[axis] - start - gradient.shape[axis]]
    return aten.constant_pad_nd(gradient, pads, 0.0)


def _pad(values, pads, fill=0.0):
    """Return a margin, and slices in place of a negative one.

    Negative pads, as in the gradient of a padding, are refused by the runtime, since OpenVINO reads
    beyond the tensor.
    """
    if min(pads) >= 0:
        return NotImplemented
    for number in range(len(pads) // 2):  # from the last axis on
        before, after = pads[2 * number : 2 * number + 2]
        axis = values.ndim - 1 - number
        if min(before, after) < 0:
            end = values.shape[axis] + min(after, 0)
            values = aten.slice.Tensor(values, axis, max(-before, 0), end)
    margins = [max(pad, 0) for pad in pads]
    return aten.constant_pad_nd(values, margins, fill) if any(margins) else values


def _drop_expansions(graph: fx.Graph) -> None:
    """Drop expansions, such as in the gradient of a mean, where operators broadcast anyway.

    The runtime refuses ``Expand``, which can turn a few bytes into gigabytes.
    """
    for node in list(graph.nodes):
        if node.target is aten.expand.default:
            small: Any = node.args[0]
            if _is_broadcast(node, _shape(small)):
                node.replace_all_uses_with(small)


def _is_broadcast(node: fx.Node, small: tuple) -> bool:
    """Return whether every user of a node would keep its shape if the node had shape ``small``."""
    full = _shape(node)
    small = (1,) * (len(full) - len(small)) + small
    for user in node.users:
        if user.target is aten.mean.dim:
            expanded = {axis for axis, n in enumerate(full) if small[axis] != n}
            axes: Any = user.args[1]
            if not expanded <= set(axes):  # the mean of copies is the mean of one of them
                return False
            continue
        if user.target not in _ELEMENTWISE:
            return False
        operands = [arg for arg in user.args if isinstance(arg, fx.Node) and arg is not node]
        shapes = [small, *map(_shape, operands)]
        expected = _shape(user)
        keeps_shape = all(
            any(len(shape) >= axis and shape[-axis] == expected[-axis] for shape in shapes)
            for axis in range(1, len(expected) + 1)
        )
        if not keeps_shape and (operands or not _is_broadcast(user, small)):
            return False
    return True


def _shape(node: fx.Node) -> tuple:
    return tuple(node.meta["val"].shape)
