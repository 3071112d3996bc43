"""Maps of a network's reasons in a cube: Grad-CAM, HiResCAM, relevance, guided backpropagation.

All maps explain the margin, the logit of a cell less that of no cell, which alone decides:
evidence for a cell is evidence against no cell. A map is therefore signed. Its positive part is
the Grad-CAM of a cell; its negative part, negated, is that of no cell.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ...runtime.errors import InputError
from ..models import ExplainedLayer, Resize, middle_half

# The functions, called by modules in the end, whose gradients guided backpropagation changes.
ACTIVATIONS = {
    F.relu: F.relu,
    torch.relu: F.relu,
    torch.Tensor.relu: F.relu,
    F.gelu: F.gelu,
    F.silu: F.silu,
}


class Maps(nn.Module):
    """A network's logits and the maps of its reasons, on the cube's grid.

    Grad-CAM: with A the output of a layer and m the margin, sum_k a_k A_k, where a_k is the mean
    over space of dm / dA_k (Selvaraju et al. 2017, ICCV). Their ReLU is left to the reader of the
    map, since the map of the margin holds both classes. For a network that ends in a mean over
    space and a linear layer, this is the map of Zhou et al. (2016) divided by the number of
    voxels.

    HiResCAM, for a layer that is explained ``by_voxel``: sum_k (dm / dA_k) A_k voxel by voxel
    (Draelos and Carin 2020, arXiv:2011.08891). It keeps the position of a weight, which Grad-CAM's
    mean loses if the head reads every voxel of a map, as in the networks of the zoo.

    Relevance: the same product at a layer on the cube's grid that holds deviations from the cube's
    mean. This is gradient times input (Shrikumar et al. 2016, arXiv:1605.01713).

    Parameters
    ----------
    network : module
        (n, C, z, y, x) normalised cubes to logits (n, 2); put into evaluation mode.
    explained_layer : ExplainedLayer
    channels : int
        Channels of the cubes.
    cube_shape : (z, y, x), voxels

    Raises
    ------
    InputError
        The network has no such layer, or its output is not (n, k, z, y, x).
    """

    def __init__(
        self,
        network: nn.Module,
        explained_layer: ExplainedLayer,
        channels: int,
        cube_shape: Sequence[int],
    ):
        super().__init__()
        self.by_voxel = explained_layer.by_voxel
        names = [name for name, _ in network.named_modules() if name]
        layers = explained_layer.layer, explained_layer.relevance_layer
        self.layers = list(dict.fromkeys(filter(None, layers)))
        for layer in self.layers:
            if layer not in names:
                modules = ", ".join(name for name in names if "." not in name)
                raise InputError(
                    f"The network has no layer {layer!r}; it has {modules}, and their submodules."
                )
        self.network = network.eval()  # training mode would update the statistics of its norms
        outputs = self._differentiate(torch.zeros(1, channels, *cube_shape))[1]
        self.upsample = Upsample(
            outputs[0].shape[2:],
            cube_shape,
            explained_layer.offset,
            explained_layer.stride,
            explained_layer.middle,
        )

    def forward(self, cubes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map (n, C, z, y, x) to logits (n, 2), then the maps, (n, z, y, x) each.

        The maps are Grad-CAM or HiResCAM, and relevance if there is a layer for it.
        """
        logits, outputs, gradients = self._differentiate(cubes)
        weights = gradients[0]
        if not self.by_voxel:
            weights = weights.mean(dim=(2, 3, 4), keepdim=True)
        maps = [self.upsample((weights * outputs[0]).sum(1))]
        maps += [(g * a).sum(1) for a, g in zip(outputs[1:], gradients[1:], strict=True)]
        return logits, *maps

    def _differentiate(self, cubes: torch.Tensor) -> tuple[torch.Tensor, list, list]:
        """Return the logits, each layer's output, and the margin's gradient at each layer."""
        outputs_by_layer: dict[str, torch.Tensor] = {}

        def record(layer: str, module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
            if (
                layer in outputs_by_layer
                or not isinstance(output, torch.Tensor)
                or output.ndim != 5
            ):
                raise InputError(
                    f"The layer {layer!r} does not give (n, k, z, y, x) once per cube. "
                    "Name another."
                )
            # If no earlier tensor needs a gradient, backpropagation ends at this layer.
            output = output if output.requires_grad else output.detach().requires_grad_()
            outputs_by_layer[layer] = output
            return output

        handles = [
            self.network.get_submodule(layer).register_forward_hook(partial(record, layer))
            for layer in self.layers
        ]
        try:
            with torch.enable_grad():
                logits = self.network(cubes)
                outputs = [outputs_by_layer[layer] for layer in self.layers]
                gradients = torch.autograd.grad(logits, outputs, margin_gradient(logits))
        finally:
            for handle in handles:
                handle.remove()
        return logits.detach(), [output.detach() for output in outputs], list(gradients)


def guided_backprop(network: nn.Module, cubes: torch.Tensor, cell: bool = True) -> torch.Tensor:
    """Backpropagate the margin to the voxels through guided activations.

    At each activation a gradient passes only where it and the activation's output are positive
    (Springenberg et al. 2015, ICLR workshop). For ReLU that is the published rule. GELU and SiLU,
    whose derivative is not 0 or 1, have no published rule; by convention, the same gate acts on
    their true gradient. Other functions pass their gradient unchanged.

    Parameters
    ----------
    network : module
        Maps cubes to logits (n, 2); in evaluation mode.
    cubes : (n, C, z, y, x) float32
        Normalised.
    cell : bool
        True for the evidence for a cell, False for that for no cell.

    Returns
    -------
    (n, C, z, y, x) float32

    Notes
    -----
    It fails the test of random weights (Adebayo et al. 2018, NeurIPS): much of the map is the edges
    of the image, whatever the network learnt. Interpret it together with Grad-CAM.
    """
    voxels = cubes.detach().clone().requires_grad_()
    with torch.enable_grad(), _GuidedActivations():
        logits = network(voxels)
    (gradient,) = torch.autograd.grad(logits, voxels, margin_gradient(logits) * (1 if cell else -1))
    return gradient


class _GuidedActivations(TorchFunctionMode, AbstractContextManager):
    """Context in which the gradients of activations are gated."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func in ACTIVATIONS and output.requires_grad:
            gate = (output > 0).detach()
            # The hook sees the gradient of the output, before the activation's own derivative.
            output.register_hook(lambda gradient: gradient.clamp(min=0) * gate)
        return output


def margin_gradient(logits: torch.Tensor) -> torch.Tensor:
    """Return the margin's gradient at the logits: -1 for no cell and 1 for cell, a row per cube."""
    return 0 * logits.detach() + torch.tensor([-1.0, 1.0])  # zeros_like exports to Expand


class Upsample(nn.Module):
    """Linear interpolation of a layer's maps to the cube's grid.

    Parameters
    ----------
    shape, cube_shape : (z, y, x), voxels
    offset, stride : (z, y, x), voxels of the cube, optional
        Position of the layer's first voxel in the cube, and distance between its voxels. The
        first voxel of a convolution padded by half its kernel lies at 0, not at the centre of its
        stride; without the offset, maps would be off by up to half a stride. By default the
        voxels are spread evenly.
    middle : bool
        The maps are of the middle half of the cube; they are 0 around it.
    """

    def __init__(
        self,
        shape: Sequence[int],
        cube_shape: Sequence[int],
        offset: Sequence[float] | None = None,
        stride: Sequence[float] | None = None,
        middle: bool = False,
    ):
        super().__init__()
        region = middle_half(cube_shape) if middle else [slice(0, n) for n in cube_shape]
        sides = [part.stop - part.start for part in region]
        stride = stride or [n / m for n, m in zip(sides, shape, strict=True)]
        offset = offset or [(s - 1) / 2 for s in stride]
        matrices = []
        for axis, part in enumerate(region):
            matrix = torch.zeros(cube_shape[axis], shape[axis])
            matrix[part] = interpolation_matrix(
                shape[axis], sides[axis], offset[axis], stride[axis]
            )
            matrices.append(matrix)
        self.resize = Resize(shape, cube_shape, matrices)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (n, *shape) to (n, *cube_shape)."""
        return self.resize(maps[:, None])[:, 0]


def interpolation_matrix(old: int, new: int, offset: float, stride: float) -> torch.Tensor:
    """Return the (new, old) weights of linear interpolation at 0, 1, ..., with repeated ends.

    For ``offset`` and ``stride`` see `Upsample`.
    """
    position = ((torch.arange(new) - offset) / stride).clamp(0, old - 1)
    return (1 - (position[:, None] - torch.arange(old)).abs()).clamp(min=0)
