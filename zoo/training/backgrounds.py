"""Extreme backgrounds for training on two channels: equal to the signal, and empty.

No lab labels them, yet a network meets them: a channel that is given twice, or one without
autofluorescence. Where the background equals the signal, nothing is a cell, however bright; where
it is empty, the signal alone decides.
"""

import torch

from ..recipe import Augmentation

_GAIN = 2.0  # of an equal background, at most, and its inverse
_NOISE = 0.2  # of it, standard deviations of the crop
_EMPTY_NOISE = 0.05  # of an empty one, shares of its level


def replace_backgrounds(
    crops: torch.Tensor, labels: torch.Tensor, strength: Augmentation, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace the background of some crops by their signal, and of others by an empty one.

    Parameters
    ----------
    crops : (n, C, z, y, x) float32
        Raw intensities. With one channel nothing is changed, and no random number is drawn.
    labels : (n,) int64
    strength : Augmentation
        Its ``same_background`` and ``empty_background``.
    rng : torch.Generator
        On the device of ``crops``.

    Returns
    -------
    crops : (n, C, z, y, x) float32
    labels : (n,) int64
        0, no cell, where the background is the signal, times a gain and with noise of its own.
        Unchanged where it is empty: in half of the crops 0 in every voxel, in the others a
        constant up to twice the signal's mean, with noise.
    """
    if crops.shape[1] < 2 or not (strength.same_background or strength.empty_background):
        return crops, labels
    n, device = len(crops), crops.device
    chance = torch.rand(n, generator=rng, device=device)
    is_same = chance < strength.same_background
    is_empty = ~is_same & (chance < strength.same_background + strength.empty_background)
    crops, labels = crops.clone(), labels.masked_fill(is_same, 0)
    for mask, draw in ((is_same, _draw_same), (is_empty, _draw_empty)):
        rows = mask.nonzero()[:, 0]
        if len(rows):
            crops[rows, 1] = draw(crops[rows, 0], rng).clamp(min=0)
    return crops, labels


def _uniform(n: int, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    return torch.rand(n, 1, 1, 1, generator=rng, device=like.device)


def _draw_same(signal: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    n = len(signal)
    gain = _GAIN ** (2 * _uniform(n, signal, rng) - 1)
    noise = torch.randn(signal.shape, generator=rng, device=signal.device)
    # Mostly weak, since one channel given twice has no noise of its own at all.
    level = _NOISE * _uniform(n, signal, rng) ** 2 * signal.std((1, 2, 3), keepdim=True)
    return gain * (signal + level * noise)


def _draw_empty(signal: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    n = len(signal)
    level = (4 * _uniform(n, signal, rng) - 2).clamp(min=0) * signal.mean((1, 2, 3), keepdim=True)
    noise = torch.randn(signal.shape, generator=rng, device=signal.device)
    return level * (1 + _EMPTY_NOISE * _uniform(n, signal, rng) * noise)
