"""The zoo as one table: architecture name -> how to build it from a card."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..runtime.card import Card
from ..runtime.errors import InputError
from .models.attention3d import Attention3d
from .models.pipnet3d import PipNet3d
from .models.plain3d import Plain3d
from .models.resnet3d import ResNet3D
from .models.wavemix3d import WaveMix3d
from .objectives import Labels, Prototypes
from .recipe import Recipe


def _labels(recipe: Recipe) -> Labels:
    return Labels(recipe.label_smoothing, recipe.robust)


@dataclass(frozen=True)
class Entry:
    """One architecture.

    Attributes
    ----------
    build : callable
        Card -> module from (n, C, z, y, x) float32, normalised as the card says, to logits
        (n, 2); its weights are random.
    summary : str
    objective : callable
        Recipe -> what training minimises.
    """

    build: Callable[[Card], nn.Module]
    summary: str
    objective: Callable[[Recipe], Labels] = _labels


def _resnet(depth: int) -> Entry:
    return Entry(
        lambda card: ResNet3D(depth, len(card.channels), card.cube_shape[0]),
        f"cellfinder's 3D ResNet-{depth}",
    )


MODELS: dict[str, Entry] = {
    "attention3d": Entry(
        lambda card: Attention3d(len(card.channels), card.cube_shape, card.voxel_size),
        "EfficientNet-style 3D CNN with attention gates",
    ),
    "wavemix3d": Entry(
        lambda card: WaveMix3d(len(card.channels), card.cube_shape, card.voxel_size),
        "3D WaveMix: token mixing by a Haar wavelet transform",
    ),
    "pipnet3d": Entry(
        lambda card: PipNet3d(len(card.channels), card.cube_shape, card.voxel_size),
        "3D PIP-Net: prototypes and a scoring sheet",
        lambda recipe: Prototypes(recipe.label_smoothing, recipe.robust),
    ),
    "plain3d": Entry(
        lambda card: Plain3d(len(card.channels), card.cube_shape, card.voxel_size),
        "small plain 3D CNN",
    ),
    **{f"resnet{depth}": _resnet(depth) for depth in (18, 34, 50, 101, 152)},
}


def build(card: Card) -> nn.Module:
    """The network of ``card.architecture``, untrained.

    Raises
    ------
    InputError
        It is not in the zoo; the message lists what is.
    """
    if card.architecture not in MODELS:
        raise InputError(
            f"There is no architecture {card.architecture!r}; the zoo has {', '.join(MODELS)}."
        )
    return MODELS[card.architecture].build(card)
