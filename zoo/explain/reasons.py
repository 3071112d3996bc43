"""All that torch can say of a network's reasons: maps of every kind, and shares of the margin."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...runtime.artifact import Card
from ...runtime.errors import InputError
from ..models import FAINT, START, Attention3d, CubeNorm, ExplainedLayer, PipNet3d
from ..registry import MODELS, build
from ..weights import find_weights, load_weights, read_weights
from .gradcam import Maps, Upsample, guided_backprop

HITS = 3  # prototypes named for a point


@dataclass(frozen=True)
class Reasons:
    """Why a network decided as it did on some cubes.

    Attributes
    ----------
    probability : (n,) float32
        Of being a cell, 0 to 1.
    maps : dict of (n, z, y, x) float32
        On the cube's grid. ``grad_cam`` and ``relevance`` as `cfzoo.zoo.explain.Maps`;
        ``guided_backprop`` and ``guided_grad_cam`` of the class that was decided on, summed over
        the channels, positive for it; ``attention_fine``, ``attention_coarse``: the gates of an
        attention3d; ``prototypes``: of a pipnet3d, the weights for a cell less those for no cell
        times the prototypes found.
    parts : dict of (n,) float32, logits
        ``contrast`` and ``learned``: what the fixed contrast at the centre and the trained
        layers add to the logit of ``probability`` (temperature and offset included, the offset in
        the second). The maps show the second alone.
    notes : list of n texts
        What a pipnet3d found, by number; "" for others.
    """

    probability: np.ndarray
    maps: Mapping[str, np.ndarray]
    parts: Mapping[str, np.ndarray]
    notes: list[str]


def load_network(model: str | os.PathLike) -> tuple[nn.Module, Card]:
    """Network and card of a bundled name, X.safetensors, or X.onnx with those beside it.

    Raises
    ------
    InputError
        There are no weights that torch could load.
    ArtifactError
        Their card is none, or they are of another network.
    """
    path = find_weights(model)
    state, card = read_weights(path)
    network = build(card)
    load_weights(network, state, path.name)
    return network.eval(), card


def find_reasons(
    network: nn.Module, card: Card, cubes: np.ndarray, layer: str | None = None
) -> Reasons:
    """Maps of a network on cubes.

    Parameters
    ----------
    network : module
        Of `load_network`.
    card : Card
        Of the artifact whose answers are explained: its temperature, offset and threshold.
    cubes : (n, C, z, y, x) float32
        As the runtime cuts them: raw intensities on the card's grid, or normalised over the volume
        where the card says ``dataset``.
    layer : str, optional
        Of the Grad-CAM, by its name in the network; the zoo's choice for the architecture when
        None. The voxels of another are spread evenly, so its map may be off by half a stride.

    Raises
    ------
    InputError
        There is no such layer, or its output is no (n, k, z, y, x).
    """
    look = MODELS[card.architecture].look
    if layer and layer != look.layer:
        look = ExplainedLayer(layer, fine=look.fine)
    given = torch.from_numpy(cubes)
    if card.normalisation == "cube":
        given = CubeNorm()(given)
    logits, *found = Maps(network, look, len(card.channels), card.cube_shape)(given)
    maps: dict[str, torch.Tensor] = dict(zip(("grad_cam", "relevance"), found, strict=False))
    margin = logits[:, 1] - logits[:, 0]
    tempered = margin / card.temperature + card.offset
    probability = torch.sigmoid(tempered)
    cell = probability >= card.threshold
    learned = without_contrast(network)
    guided = torch.empty_like(given)
    for which in (True, False):
        rows = cell == which
        if rows.any():
            guided[rows] = guided_backprop(learned, given[rows], cell=which)
    maps["guided_backprop"] = guided.sum(1)
    towards = torch.where(cell, 1.0, -1.0)[:, None, None, None]
    maps["guided_grad_cam"] = maps["guided_backprop"] * (towards * maps["grad_cam"]).clamp(min=0)
    notes = [""] * len(cubes)
    parts: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        if isinstance(contrast := getattr(network, "contrast", None), nn.Module):
            both = contrast(given)
            parts["contrast"] = (both[:, 1] - both[:, 0]) / card.temperature
            parts["learned"] = tempered - parts["contrast"]
        if isinstance(network, Attention3d):
            steps = {"attention_fine": (1, 2, 2), "attention_coarse": (2, 4, 4)}
            for (name, step), map_ in zip(steps.items(), network.attention(given), strict=True):
                maps[name] = Upsample(map_.shape[1:], card.cube_shape, START, step)(map_)
        if isinstance(network, PipNet3d):
            maps["prototypes"], notes = _prototypes(network, given, card)
    return Reasons(
        probability=probability.numpy().astype(np.float32),
        maps={name: values.detach().numpy().astype(np.float32) for name, values in maps.items()},
        parts={name: values.numpy().astype(np.float32) for name, values in parts.items()},
        notes=notes,
    )


class _Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 2)


def without_contrast(network: nn.Module) -> nn.Module:
    """The same layers, without the fixed contrast, which would drown them in a map of voxels."""
    bare = copy.copy(network)
    bare._modules = dict(network._modules)
    if "contrast" in bare._modules:
        bare._modules["contrast"] = _Nothing()
    return bare


def _prototypes(net: PipNet3d, cubes: torch.Tensor, card: Card) -> tuple[torch.Tensor, list[str]]:
    """Where a PIP-Net finds what speaks for or against a cell, and the weightiest in words."""
    shares = net.prototypes(cubes)
    weight = net.sheet[1] - net.sheet[0]
    seen = (shares * net.window * (shares >= FAINT) * weight[:, None, None, None]).sum(1)
    present = net.presence(shares)
    present = present * (present >= FAINT)
    notes = []
    for row in present * weight:
        hits = row.abs().topk(HITS).indices.tolist()
        notes.append(", ".join(f"prototype {p} {row[p]:+.2f}" for p in hits if row[p]))
    spread = Upsample(seen.shape[1:], card.cube_shape, START, (2, 2, 2))
    return spread(seen), notes


def check_same_model(found: Reasons, probability: np.ndarray, source: str) -> None:
    """See that the weights are those of the artifact, by its probabilities, (n,).

    Raises
    ------
    InputError
        They differ by more than 1e-3.
    """
    error = float(np.abs(found.probability - probability).max())
    if not error <= 1e-3:
        raise InputError(
            f"The weights give probabilities {error:.2g} away from those of {source}: they are of "
            "another model. Give its own with --weights, or leave them out with --no-torch."
        )
