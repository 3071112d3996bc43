"""Whether maps say something of the network: random weights, deletion, insertion, pointing.

A picture that pleases the eye proves nothing (Adebayo et al. 2018, Sanity checks for saliency
maps, NeurIPS); these figures go into the model cards.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import auc
from torch import nn

from ..models import NUCLEUS_UM, distances

STEPS = 20  # of a deletion or insertion, from none of the voxels to all
NEAR_UM = 8.0  # a peak so near to the candidate points at it
Explain = Callable[[nn.Module], np.ndarray]  # of a network, on fixed cubes: (n, z, y, x)


def randomised(network: nn.Module, maps: Explain, seed: int = 0) -> list[tuple[str, float]]:
    """Rank correlation of the maps with those of the network with random weights, from the top.

    Layer after layer, from the last one on and all of them in the end, weights are shuffled
    among themselves: their sizes stay, what was learnt goes.

    Returns
    -------
    list of (name, float)
        Of the last layer shuffled, and Spearman's correlation, mean over the cubes.
    """
    generator = torch.Generator().manual_seed(seed)
    shaken, original = copy.deepcopy(network), maps(network)
    found = []
    for name, module in reversed(list(shaken.named_modules())):
        mine = [p for p in module.parameters(recurse=False) if p.numel() > 1]
        if not mine:
            continue
        with torch.no_grad():
            for values in mine:
                order = torch.randperm(values.numel(), generator=generator)
                values.copy_(values.flatten()[order].reshape(values.shape))
        found.append((name, _rank_correlation(original, maps(shaken))))
    return found


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, mean over the cubes; a constant map is like none, 0."""
    found = np.zeros(len(one))
    for row, (a, b) in enumerate(zip(one, other, strict=True)):
        if np.ptp(a) * np.ptp(b):
            correlation: Any = spearmanr(a.ravel(), b.ravel())  # scipy has no types
            found[row] = correlation.statistic
    return float(found.mean())


@torch.inference_mode()
def deletion(
    margin: Callable[[torch.Tensor], torch.Tensor],
    cubes: torch.Tensor,
    maps: np.ndarray,
    insert: bool = False,
) -> float:
    """Area under the probability while voxels go, those with the largest map first.

    What goes is replaced by the median of its channel, so that no new edge is brighter than the
    tissue. The smaller the area, the more of the decision lies where the map says. With
    ``insert`` the voxels come in that order, to a cube of medians: the larger, the better
    (Petsiuk et al. 2018, RISE, BMVC).

    Parameters
    ----------
    margin : callable
        (n, C, z, y, x) normalised cubes to (n,) logits of the class that the maps explain, less
        that of the other.
    cubes : (n, C, z, y, x) float32
        Normalised.
    maps : (n, z, y, x) float

    Returns
    -------
    float
        0 to 1, mean over the cubes.
    """
    n, channels = cubes.shape[:2]
    flat = cubes.reshape(n, channels, -1)
    empty = flat.median(dim=2, keepdim=True).values.expand_as(flat)
    order = torch.from_numpy(np.argsort(-maps.reshape(n, -1), axis=1, kind="stable"))
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand(n, -1))
    shares = np.linspace(0, 1, STEPS + 1)
    found = []
    for share in shares:
        first = (rank < round(share * order.shape[1]))[:, None]
        kept = torch.where(first, flat, empty) if insert else torch.where(first, empty, flat)
        found.append(torch.sigmoid(margin(kept.reshape(cubes.shape))).mean().item())
    return float(auc(shares, found))


def pointing(
    maps: np.ndarray, voxel_size: Sequence[float], near_um: float = NEAR_UM
) -> tuple[float, float]:
    """Share of maps whose largest voxel lies near the candidate, and that of a random voxel.

    The pointing game (Zhang et al. 2018, IJCV 126), with the candidate's centre for the object.

    Parameters
    ----------
    maps : (n, z, y, x)
    voxel_size : (z, y, x), um
    near_um : float
        Largest distance, um.

    Returns
    -------
    two float, 0 to 1
    """
    near = (distance_from_centre(maps.shape[1:], voxel_size) <= near_um).reshape(-1)
    hits = near[maps.reshape(len(maps), -1).argmax(axis=1)]
    return float(hits.mean()), float(near.mean())


def distance_from_centre(shape: Sequence[int], voxel_size: Sequence[float]) -> np.ndarray:
    """Distance of each voxel of a cube from its candidate, (z, y, x) float32, um.

    Parameters
    ----------
    shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    """
    z, y, x = distances(shape, voxel_size)
    return torch.sqrt(z**2 + y**2 + x**2).numpy()


def centred_gaussian(shape: Sequence[int], voxel_size: Sequence[float]) -> np.ndarray:
    """A nucleus at the candidate, whatever is there: the map that knows nothing of the network.

    (z, y, x) float32, 0 to 1; for the parameters see `distance_from_centre`.
    """
    z, y, x = (d / s for d, s in zip(distances(shape, voxel_size), NUCLEUS_UM, strict=True))
    return torch.exp(-0.5 * (z**2 + y**2 + x**2)).numpy()
