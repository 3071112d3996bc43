"""Networks of other people, in torch or keras, as artifacts."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from ..runtime.artifact import Artifact, Card
from ..runtime.errors import InputError
from .graph import export_artifact

ANSWERS = ("logits", "probabilities", "probability")
SMALLEST = float(np.finfo(np.float32).tiny)


class ForeignNetwork(nn.Module):
    """Another network, as the zoo calls its own: cubes (n, C, z, y, x) to logits (n, 2).

    Parameters
    ----------
    network : nn.Module
        A torch module in evaluation mode, or a keras model whose backend is torch.
    axes : str
        The network's axes after that of the cubes, the letters of ``czyx`` in its own order:
        ``yxzc`` for cellfinder's.
    answer : str
        ``logits`` or ``probabilities`` (n, 2) of no cell and cell, or ``probability`` (n, 1) or
        (n,) of a cell.

    Raises
    ------
    InputError
        ``axes`` or ``answer`` is none of these.
    """

    def __init__(self, network: Any, axes: str = "czyx", answer: str = "logits"):
        super().__init__()
        if sorted(axes) != sorted("czyx"):
            raise InputError(
                f"The axes are {axes!r}; expected the letters c, z, y and x, each once."
            )
        if answer not in ANSWERS:
            raise InputError(f"The answer is {answer!r}; expected one of {', '.join(ANSWERS)}.")
        is_torch = any(isinstance(module, nn.GroupNorm) for module in network.modules())
        self.network = _with_plain_norms(network) if is_torch else network
        self.answer = answer
        self.order = [0, *("czyx".index(axis) + 1 for axis in axes)]
        self.is_keras = type(network).__module__.split(".")[0] == "keras"

    def forward(self, cubes: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x), normalised as the card says, to (n, 2)."""
        cubes = cubes.permute(self.order)
        answer = self.network(cubes, training=False) if self.is_keras else self.network(cubes)
        if self.answer == "logits":
            return answer
        if self.answer == "probability":
            cell = answer.reshape(-1, 1)
            answer = torch.cat([1 - cell, cell], dim=1)
        return torch.log(answer.clamp(min=SMALLEST))


class PlainGroupNorm(nn.Module):
    """A `nn.GroupNorm` of (n, c, z, y, x) as plain operators, since ONNX has none of its own."""

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, c, ...) to the same shape."""
        groups = x.unflatten(1, (self.norm.num_groups, -1))
        axes = tuple(range(2, groups.ndim))
        groups = groups - groups.mean(axes, keepdim=True)
        variance = (groups * groups).mean(axes, keepdim=True)
        x = (groups / torch.sqrt(variance + self.norm.eps)).flatten(1, 2)
        if self.norm.affine:
            shape = (-1, *(1 for _ in axes[1:]))
            x = x * self.norm.weight.reshape(shape) + self.norm.bias.reshape(shape)
        return x


def _with_plain_norms(network: nn.Module) -> nn.Module:
    """Return a copy whose group normalisations are plain operators."""
    network = copy.deepcopy(network)
    names = [name for name, module in network.named_modules() if isinstance(module, nn.GroupNorm)]
    for name in names:
        network.set_submodule(name, PlainGroupNorm(network.get_submodule(name)))
    return network


def import_network(
    network: Any,
    card: Card,
    axes: str = "czyx",
    answer: str = "logits",
    cubes: np.ndarray | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Turn a network that cfzoo has not made into a verified artifact.

    Parameters
    ----------
    network, axes, answer
        See `ForeignNetwork`.
    card : Card
        Cube, voxel size, channels, padding and normalisation that the network was trained with.
    cubes : (N, C, z, y, x) float32, optional
        Raw intensities on which torch and onnxruntime must also agree.
    tolerance : float, optional
        See `export_artifact`.

    Returns
    -------
    Artifact
        Write its ``model`` to ``card.file_name``.

    Raises
    ------
    InputError
        The network does not take the card's cubes, or gives no such answers.
    ArtifactError
        The graph fails the checks.
    """
    foreign = ForeignNetwork(network, axes, answer).eval()
    shape = (2, len(card.channels), *card.cube_shape)
    try:
        with torch.inference_mode():
            logits = foreign(torch.zeros(shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"The network does not take cubes of {shape[1:]} (c z y x) as {axes}: {reason:.200}. "
            "Check the axes, and the card's cube and channels."
        ) from None
    if tuple(logits.shape) != (2, 2):
        raise InputError(
            f"The network answers two cubes with {tuple(logits.shape)} numbers; expected (2, 2), "
            "for no cell and cell."
        )
    return export_artifact(foreign, card, cubes, tolerance=tolerance, split=True)
