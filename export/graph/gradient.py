"""A Grad-CAM as plain operators, so that an artifact explains itself without torch.

ONNX has no gradients: they are written out when the graph is traced, and what the exporter has
no operator for is put in terms of what it has.
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
    """A copy whose convolutions hold the batch norms that follow them.

    The exporter folds them, too, but then the gradient's convolutions would need weights of
    their own: the file would double.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in network.modules():
        children = list(module.named_children())
        for (before, conv), (after, norm) in pairwise(children):
            if type(norm) is nn.BatchNorm3d and isinstance(conv, (nn.Conv3d, nn.ConvTranspose3d)):
                up = isinstance(conv, nn.ConvTranspose3d)
                fused: Any = nn.utils.fusion.fuse_conv_bn_eval(conv, norm, transpose=up)  # type: ignore[arg-type]
                setattr(module, before, fused.requires_grad_(False))
                setattr(module, after, nn.Identity())
    return network


def gradients_as_operators(graph: nn.Module, cubes: torch.Tensor) -> nn.Module:
    """The same function of (n, C, z, y, x), with every gradient that it takes as operators.

    Parameters
    ----------
    graph : module
        Of parameters without gradients.
    cubes : (n, C, z, y, x) float32
        Two or more; the result takes any number.
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
    # The number of cubes alone is a symbol; they must not share it with channels or voxels.
    sizes = StatelessSymbolicContext([DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * 4)
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)  # the weights
    trace = make_fx(graph, tracing_mode="fake", decomposition_table=rules)
    with enable_python_dispatcher():  # without it some operators make a number of the symbol
        module = trace(mode.from_tensor(cubes, symbolic_context=sizes))
    _drop_expansions(module.graph)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _convolution_backward(
    gradient, given, weight, bias_sizes, stride, padding, dilation, transposed, more, groups, wanted
):
    """With respect to the input alone: a convolution becomes a transposed one, and vice versa."""
    if wanted[1] or wanted[2]:
        raise NotImplementedError("the gradient of weights")
    if transposed:
        back = aten.convolution(
            gradient, weight, None, stride, padding, dilation, False, [0, 0, 0], groups
        )
        return back, None, None
    # Rows that a stride left over at the end come back as well.
    left = [
        int(given.shape[2 + i])
        - (int(gradient.shape[2 + i]) - 1) * stride[i]
        + 2 * padding[i]
        - dilation[i] * (int(weight.shape[2 + i]) - 1)
        - 1
        for i in range(3)
    ]
    back = aten.convolution(gradient, weight, None, stride, padding, dilation, True, left, groups)
    return back, None, None


def _slice_backward(gradient, sizes, axis, start, stop, step):
    """What was cut off gets none: zeros beside the rest."""
    if step != 1:
        raise NotImplementedError("the gradient of a slice with steps")
    if gradient.shape[axis] == sizes[axis]:
        return gradient
    pads = [0] * 2 * (gradient.ndim - axis)  # from the last axis on
    pads[-2:] = [start, sizes[axis] - start - gradient.shape[axis]]
    return aten.constant_pad_nd(gradient, pads, 0.0)


def _drop_expansions(graph: fx.Graph) -> None:
    """Let operators broadcast what the gradient of a mean spreads out first.

    The runtime refuses ``Expand``, which makes gigabytes of a few bytes.
    """
    for node in list(graph.nodes):
        if node.target is aten.expand.default:
            small: Any = node.args[0]
            if _spread_anyway(node, _shape(small)):
                node.replace_all_uses_with(small)


def _spread_anyway(node: fx.Node, small: tuple) -> bool:
    """Whether every user of a node would have the shape it has, were the node ``small``."""
    full = _shape(node)
    small = (1,) * (len(full) - len(small)) + small
    for user in node.users:
        if user.target is aten.mean.dim:
            spread = {axis for axis, n in enumerate(full) if small[axis] != n}
            axes: Any = user.args[1]
            if not spread <= set(axes):  # a mean of copies is that of one
                return False
            continue
        if user.target not in _ELEMENTWISE:
            return False
        others = [arg for arg in user.args if isinstance(arg, fx.Node) and arg is not node]
        shapes = [small, *(_shape(other) for other in others)]
        wanted = _shape(user)
        reached = all(
            any(len(shape) >= axis and shape[-axis] == wanted[-axis] for shape in shapes)
            for axis in range(1, len(wanted) + 1)
        )
        if not reached and (others or not _spread_anyway(user, small)):
            return False
    return True


def _shape(node: fx.Node) -> tuple:
    return tuple(node.meta["val"].shape)
