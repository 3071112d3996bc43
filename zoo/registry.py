"""The zoo: a table of architectures by name, and the networks built from it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..runtime.artifact import Card
from ..runtime.errors import InputError
from .filter_objectives import CorrectionObjective, FilterObjective
from .models import (
    NO_OFFSET,
    Attention3d,
    ExplainedLayer,
    Filters3d,
    PipNet3d,
    Plain3d,
    Pyramid3d,
    ResNet3D,
    WaveMix3d,
)
from .objectives import LabelObjective, PrototypeObjective
from .recipe import Recipe


def _label_objective(recipe: Recipe) -> LabelObjective:
    return LabelObjective(recipe.label_smoothing, recipe.robust)


@dataclass(frozen=True)
class Architecture:
    """An architecture of the zoo.

    Attributes
    ----------
    build : callable
        Makes, from a card, a module with random weights from (n, C, z, y, x) float32,
        normalised as the card says, to logits (n, 2).
    summary : str
    explained_layer : ExplainedLayer or None
        Layer that explains the network's answers, see `cfzoo.zoo.explain`; None if it has no maps.
    objective : callable
        Makes, from a recipe, the objective that training minimises.
    """

    build: Callable[[Card], nn.Module]
    summary: str
    explained_layer: ExplainedLayer | None
    objective: Callable[[Recipe], LabelObjective] = _label_objective


def _resnet(depth: int) -> Architecture:
    return Architecture(
        lambda card: ResNet3D(depth, len(card.channels), card.cube_shape[0], card.cube_shape[2]),
        f"cellfinder's ResNet-{depth}",
        # The last unit has 1 x 2 x 2 voxels. The first unit pools from voxels 2 y + 2 (y and x)
        # and 4 z - 1, since the convolution before it is padded by 3 along z too; the next halves.
        ExplainedLayer("resunit3", offset=(-1, 2, 2), stride=(8, 8, 8)),
    )


def _attention(*widths: int) -> Architecture:
    return Architecture(
        lambda card: Attention3d(len(card.channels), card.cube_shape, card.voxel_size, widths),
        f"EfficientNet-style 3D CNN with attention gates, {widths[0]} to {widths[-1]} channels",
        ExplainedLayer("gate2.weighted", NO_OFFSET, (2, 4, 4), "maps"),
    )


MODELS: dict[str, Architecture] = {
    "attention3d": _attention(16, 32, 64),
    "attention3d-small": _attention(8, 16, 32),
    "attention3d-tiny": _attention(4, 8, 16),
    "wavemix3d": Architecture(
        lambda card: WaveMix3d(len(card.channels), card.cube_shape, card.voxel_size),
        "3D WaveMix: token mixing by a Haar wavelet transform",
        # Behind the blocks, whose transposed convolutions leave a grid. The head has weights for
        # every voxel, which a mean over the voxels would lose.
        ExplainedLayer("down.0", NO_OFFSET, (2, 4, 4), "maps", by_voxel=True),
    ),
    "pipnet3d": Architecture(
        lambda card: PipNet3d(len(card.channels), card.cube_shape, card.voxel_size),
        "3D PIP-Net: prototypes and a scoring sheet",
        ExplainedLayer("near", NO_OFFSET, (2, 2, 2), "maps"),
        lambda recipe: PrototypeObjective(recipe.label_smoothing, recipe.robust),
    ),
    "pyramid3d": Architecture(
        lambda card: Pyramid3d(len(card.channels), card.cube_shape, card.voxel_size),
        "blob filters and attention-gated trunks of the cell and of its surround",
        ExplainedLayer("near.gate2.weighted", NO_OFFSET, (2, 4, 4), "maps", middle=True),
        lambda recipe: CorrectionObjective(recipe.label_smoothing, recipe.robust),
    ),
    "filters3d": Architecture(
        lambda card: Filters3d(len(card.channels), card.cube_shape, card.voxel_size),
        "blob filters over scales with a linear head",
        None,  # it reads filters at the candidate alone, which no map of the cube would show
        lambda recipe: FilterObjective(recipe.label_smoothing, recipe.robust),
    ),
    "plain3d": Architecture(
        lambda card: Plain3d(len(card.channels), card.cube_shape, card.voxel_size),
        "small plain 3D CNN",
        ExplainedLayer("features", NO_OFFSET, (4, 8, 8), "maps"),
    ),
    **{f"resnet{depth}": _resnet(depth) for depth in (18, 34, 50, 101, 152)},
}


def build(card: Card) -> nn.Module:
    """Build the network of ``card.architecture``, untrained.

    Raises
    ------
    InputError
        The architecture is not in the zoo.
    """
    if card.architecture not in MODELS:
        raise InputError(
            f"There is no architecture {card.architecture!r}; the zoo has {', '.join(MODELS)}."
        )
    return MODELS[card.architecture].build(card)
