"""A network's reasons for its answers: maps of every kind, and additive parts of the margin."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...runtime.artifact import Card
from ...runtime.errors import InputError
from ..models import (
    MIN_PRESENCE,
    NO_OFFSET,
    Attention3d,
    ExplainedLayer,
    PipNet3d,
    make_input_norm,
)
from ..registry import MODELS, build
from ..weights import find_weights, load_weights, read_weights
from .gradcam import Maps, Upsample, guided_backprop

NOTED_PROTOTYPES = 3  # prototypes named per point


@dataclass(frozen=True)
class Reasons:
    """A network's reasons for its decisions on cubes.

    Attributes
    ----------
    probability : (n,) float32
        Probability of being a cell, 0 to 1.
    maps : dict of (n, z, y, x) float32
        Maps on the cube's grid. ``grad_cam`` or ``hires_cam``, and ``relevance``: see
        `cfzoo.zoo.explain.Maps`; ``guided_backprop``: evidence for the predicted class, summed over
        the channels; ``guided_grad_cam`` or ``guided_hires_cam``: its product with the first map;
        ``attention_fine`` and ``attention_coarse``: the gates of an attention3d; ``prototypes``:
        for a pipnet3d, the presence of the prototypes times their weights for a cell less those
        for no cell.
    parts : dict of (n,) float32, logits
        ``contrast`` and ``learned``: what the fixed contrast at the centre and the trained
        layers add to the logit of ``probability``. Both include the temperature; ``learned`` also
        includes the offset. The maps show ``learned`` alone.
    notes : list of n texts
        For a pipnet3d, the prototypes that matter most, by number; else "".
    """

    probability: np.ndarray
    maps: Mapping[str, np.ndarray]
    parts: Mapping[str, np.ndarray]
    notes: list[str]


def load_network(model: str | os.PathLike) -> tuple[nn.Module, Card]:
    """Load network and card of a bundled name, X.safetensors, or X.onnx with weights beside it.

    Raises
    ------
    InputError
        There are no weights that torch can load.
    ArtifactError
        The card is invalid, or the weights are of another network.
    """
    path = find_weights(model)
    state, card = read_weights(path)
    network = build(card)
    load_weights(network, state, path.name)
    return network.eval(), card


def find_reasons(
    network: nn.Module, card: Card, cubes: np.ndarray, layer: str | None = None
) -> Reasons:
    """Compute all maps of a network on cubes.

    Parameters
    ----------
    network : module
        Network from `load_network`.
    card : Card
        Card of the artifact whose answers are explained, with its temperature, offset and
        threshold.
    cubes : (n, C, z, y, x) float32
        Cubes as the runtime reads them: raw intensities on the card's grid, or normalised over
        the volume if the card's normalisation is ``dataset``.
    layer : str, optional
        Name of the layer for Grad-CAM; by default, the zoo's choice for the architecture. The
        voxels of any other layer are spread evenly, so its map may be off by half a stride.

    Raises
    ------
    InputError
        The network has no such layer, or its output is not (n, k, z, y, x), or the zoo has none
        that explains the architecture.
    """
    explained_layer = MODELS[card.architecture].explained_layer
    if explained_layer is None:
        raise InputError(
            f"{card.architecture} has no layer that a map could show: its few filters look at the "
            "candidate alone. Explain another model."
        )
    if layer and layer != explained_layer.layer:
        explained_layer = ExplainedLayer(layer, relevance_layer=explained_layer.relevance_layer)
    norm = make_input_norm(card.normalisation, card.percentiles)
    inputs = norm(torch.from_numpy(cubes))
    gradient_maps = Maps(network, explained_layer, len(card.channels), card.cube_shape)
    logits, *layer_maps = gradient_maps(inputs)
    names = explained_layer.map_names
    maps: dict[str, torch.Tensor] = dict(zip(names, layer_maps, strict=True))
    logit = (logits[:, 1] - logits[:, 0]) / card.temperature + card.offset
    probability = torch.sigmoid(logit)
    is_cell = probability >= card.threshold
    maps["guided_backprop"] = _guide_by_class(network, inputs, is_cell)
    sign = torch.where(is_cell, 1.0, -1.0)[:, None, None, None]
    maps[f"guided_{names[0]}"] = maps["guided_backprop"] * (sign * maps[names[0]]).clamp(min=0)
    notes = [""] * len(cubes)
    parts: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        if isinstance(contrast := getattr(network, "contrast", None), nn.Module):
            contrast_logits = contrast(inputs)
            contrast_margin = contrast_logits[:, 1] - contrast_logits[:, 0]
            parts["contrast"] = contrast_margin / card.temperature
            parts["learned"] = logit - parts["contrast"]
        if isinstance(network, Attention3d):
            strides = {"attention_fine": (1, 2, 2), "attention_coarse": (2, 4, 4)}
            attention = network.attention(inputs)
            for (name, stride), values in zip(strides.items(), attention, strict=True):
                maps[name] = Upsample(values.shape[1:], card.cube_shape, NO_OFFSET, stride)(values)
        if isinstance(network, PipNet3d):
            maps["prototypes"], notes = _map_prototypes(network, inputs, card)
    return Reasons(
        probability=probability.numpy().astype(np.float32),
        maps={name: values.detach().numpy().astype(np.float32) for name, values in maps.items()},
        parts={name: values.numpy().astype(np.float32) for name, values in parts.items()},
        notes=notes,
    )


def _guide_by_class(
    network: nn.Module, inputs: torch.Tensor, is_cell: torch.Tensor
) -> torch.Tensor:
    """Return guided backpropagation of each cube's own class, summed over the channels."""
    learned = remove_contrast(network)
    gradient = torch.empty_like(inputs)
    for cell in (True, False):
        rows = is_cell == cell
        if rows.any():
            gradient[rows] = guided_backprop(learned, inputs[rows], cell=cell)
    return gradient.sum(1)


class _ZeroContrast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 2)


def remove_contrast(network: nn.Module) -> nn.Module:
    """Return the same layers without the fixed contrast, which would dominate a map of voxels."""
    stripped = copy.copy(network)
    stripped._modules = dict(network._modules)
    if "contrast" in stripped._modules:
        stripped._modules["contrast"] = _ZeroContrast()
    return stripped


def _map_prototypes(
    network: PipNet3d, cubes: torch.Tensor, card: Card
) -> tuple[torch.Tensor, list[str]]:
    """Map a PIP-Net's evidence for or against a cell, and name the weightiest prototypes."""
    shares = network.prototypes(cubes)
    weight = network.sheet[1] - network.sheet[0]
    visible = shares * network.window * (shares >= MIN_PRESENCE)
    evidence = (visible * weight[:, None, None, None]).sum(1)
    presence = network.presence(shares)
    presence = presence * (presence >= MIN_PRESENCE)
    notes = []
    for row in presence * weight:
        numbers = row.abs().topk(NOTED_PROTOTYPES).indices.tolist()
        notes.append(", ".join(f"prototype {p} {row[p]:+.2f}" for p in numbers if row[p]))
    upsample = Upsample(evidence.shape[1:], card.cube_shape, NO_OFFSET, (2, 2, 2))
    return upsample(evidence), notes


def check_same_model(reasons: Reasons, probability: np.ndarray, source: str) -> None:
    """Check that the weights are those of the artifact, by its probabilities, (n,).

    Raises
    ------
    InputError
        The probabilities differ by more than 1e-3.
    """
    error = float(np.abs(reasons.probability - probability).max())
    if not error <= 1e-3:
        raise InputError(
            f"The probabilities from the weights differ by {error:.2g} from those of {source}: the "
            "weights are of another model. Give those of this model with --weights, or use "
            "--no-torch."
        )
