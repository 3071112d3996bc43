"""Where in a cube a network finds its reasons: Grad-CAM, relevance, guided backpropagation.

All explain the margin, the logit of a cell less that of no cell, which alone decides: what
speaks for a cell speaks against no cell. A map is therefore signed; its positive part is the
Grad-CAM of a cell, minus its negative part that of no cell.
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
from ..models import ExplainedLayer, Resize

# What guided backpropagation changes, by the functions that modules call in the end.
ACTIVATIONS = {
    F.relu: F.relu,
    torch.relu: F.relu,
    torch.Tensor.relu: F.relu,
    F.gelu: F.gelu,
    F.silu: F.silu,
}


class Maps(nn.Module):
    """A network's answers and maps of its reasons, on the cube's grid.

    Grad-CAM: with A the output of a layer and m the margin, sum_k a_k A_k, a_k being the mean
    over space of dm / dA_k (Selvaraju et al. 2017, ICCV, whose ReLU is left to the reader of the
    map, since that of the margin holds both classes). For a network that ends in a mean over
    space and a linear layer, this is the map of Zhou et al. (2016) divided by the number of
    voxels.

    Relevance: sum_k (dm / dA_k) A_k voxel by voxel, at a layer on the cube's grid that holds
    deviations from the cube's mean: gradient times input (Shrikumar et al. 2016,
    arXiv:1605.01713), or HiResCAM (Draelos and Carin 2020, arXiv:2011.08891) at that layer. It
    keeps the place of a weight, which Grad-CAM's mean loses where a network is read place by
    place, as those of the zoo are.

    Parameters
    ----------
    network : module
        (n, C, z, y, x) normalised cubes to logits (n, 2); put into evaluation mode.
    look : Look
    channels : int
        Of the cubes.
    cube_shape : (z, y, x), voxels

    Raises
    ------
    InputError
        There is no such layer, or its output is no (n, k, z, y, x).
    """

    def __init__(
        self, network: nn.Module, look: ExplainedLayer, channels: int, cube_shape: Sequence[int]
    ):
        super().__init__()
        names = [name for name, _ in network.named_modules() if name]
        self.layers = list(dict.fromkeys(filter(None, (look.layer, look.fine))))
        for layer in self.layers:
            if layer not in names:
                tops = ", ".join(name for name in names if "." not in name)
                raise InputError(
                    f"The network has no layer {layer!r}; it has {tops}, and their parts."
                )
        self.network = network.eval()  # or looking at it would change its statistics
        shape = self._seen(torch.zeros(1, channels, *cube_shape))[1][0].shape[2:]
        self.spread = Upsample(shape, cube_shape, look.first, look.step)

    def forward(self, cubes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(n, C, z, y, x) to logits (n, 2), Grad-CAM (n, z, y, x) and relevance, if any."""
        logits, outputs, gradients = self._seen(cubes)
        weights = gradients[0].mean(dim=(2, 3, 4), keepdim=True)
        maps = [self.spread((weights * outputs[0]).sum(1))]
        maps += [(g * a).sum(1) for a, g in zip(outputs[1:], gradients[1:], strict=True)]
        return logits, *maps

    def _seen(self, cubes: torch.Tensor) -> tuple[torch.Tensor, list, list]:
        """Logits, and of each layer its output and the margin's gradient there."""
        found: dict[str, torch.Tensor] = {}

        def keep(layer: str, module: nn.Module, given: Any, output: torch.Tensor) -> torch.Tensor:
            if layer in found or not isinstance(output, torch.Tensor) or output.ndim != 5:
                raise InputError(
                    f"The layer {layer!r} does not give (n, k, z, y, x) once a cube. Name another."
                )
            # Where nothing before asks for a gradient, none is taken farther back.
            output = output if output.requires_grad else output.detach().requires_grad_()
            found[layer] = output
            return output

        handles = [
            self.network.get_submodule(layer).register_forward_hook(partial(keep, layer))
            for layer in self.layers
        ]
        try:
            with torch.enable_grad():
                logits = self.network(cubes)
                outputs = [found[layer] for layer in self.layers]
                gradients = torch.autograd.grad(logits, outputs, margin_gradient(logits))
        finally:
            for handle in handles:
                handle.remove()
        return logits.detach(), [output.detach() for output in outputs], list(gradients)


def guided_backprop(network: nn.Module, cubes: torch.Tensor, cell: bool = True) -> torch.Tensor:
    """Guided backpropagation of the margin to the voxels.

    At each activation a gradient passes only where it and the activation's output are positive
    (Springenberg et al. 2015, ICLR workshop). For ReLU that is the published rule; for GELU and
    SiLU, whose derivative is not 0 or 1, the same gate on the true gradient: a convention,
    there is none published. Other functions pass theirs unchanged.

    Parameters
    ----------
    network : module
        Cubes to logits (n, 2), in evaluation mode.
    cubes : (n, C, z, y, x) float32
        Normalised.
    cell : bool
        What speaks for a cell; for no cell when False.

    Returns
    -------
    (n, C, z, y, x) float32

    Notes
    -----
    It fails the test of random weights (Adebayo et al. 2018, NeurIPS): much of it is the edges
    of the picture, whatever the network learnt. Look at it together with Grad-CAM.
    """
    voxels = cubes.detach().clone().requires_grad_()
    with torch.enable_grad(), _guided():
        logits = network(voxels)
    (gradient,) = torch.autograd.grad(logits, voxels, margin_gradient(logits) * (1 if cell else -1))
    return gradient


class _guided(TorchFunctionMode, AbstractContextManager):
    """Gate the gradients of activations that are computed within."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func in ACTIVATIONS and output.requires_grad:
            gate = (output > 0).detach()
            # The hook sees the gradient of the output, before the activation's own derivative.
            output.register_hook(lambda gradient: gradient.clamp(min=0) * gate)
        return output


def margin_gradient(logits: torch.Tensor) -> torch.Tensor:
    """Gradient of the margin in the logits: -1 for no cell and 1 for cell, one row a cube."""
    return 0 * logits.detach() + torch.tensor([-1.0, 1.0])  # no zeros_like: it exports to Expand


class Upsample(nn.Module):
    """Maps of a layer to the cube's grid, by linear interpolation between their voxels' places.

    Parameters
    ----------
    shape, cube_shape : (z, y, x), voxels
    first, step : (z, y, x), voxels of the cube
        Where the layer's first voxel looks, and how far apart they are. A convolution padded by
        half its kernel looks at 0, not at the middle of its stride: without this, maps would be
        off by up to half a stride. By default the voxels are spread evenly.
    """

    def __init__(
        self,
        shape: Sequence[int],
        cube_shape: Sequence[int],
        first: Sequence[float] | None = None,
        step: Sequence[float] | None = None,
    ):
        super().__init__()
        step = step or [n / m for n, m in zip(cube_shape, shape, strict=True)]
        first = first or [(s - 1) / 2 for s in step]
        lines = zip(shape, cube_shape, first, step, strict=True)
        self.resize = Resize(shape, cube_shape, [line(*each) for each in lines])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, *shape) to (n, *cube_shape)."""
        return self.resize(maps[:, None])[:, 0]


def line(old: int, new: int, first: float, step: float) -> torch.Tensor:
    """(new, old) weights of linear interpolation at 0, 1, ..., ends repeated; see `Upsample`."""
    place = ((torch.arange(new) - first) / step).clamp(0, old - 1)
    return (1 - (place[:, None] - torch.arange(old)).abs()).clamp(min=0)
