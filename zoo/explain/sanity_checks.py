"""Sanity checks of maps: random weights, deletion and insertion, and the pointing game.

They measure whether a map depends on the network, which its appearance does not prove (Adebayo
et al. 2018, Sanity checks for saliency maps, NeurIPS). The model cards hold the figures.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..models import NUCLEUS_UM, axis_distances

STEPS = 20  # shares of voxels in a deletion or insertion, from none to all
NEAR_UM = 8.0  # a peak within this distance of the candidate is a hit
Explain = Callable[[nn.Module], np.ndarray]  # network to maps of fixed cubes, (n, z, y, x)


def randomisation_test(
    network: nn.Module, explain: Explain, seed: int = 0
) -> list[tuple[str, float]]:
    """Correlate a network's maps with those after its weights are shuffled layer by layer.

    The cascading randomisation of Adebayo et al. (2018): from the last layer to the first, the
    weights of each tensor are permuted, which keeps their distribution but destroys what the
    network has learnt.

    Returns
    -------
    list of (name, float)
        Name of the layer shuffled last, and Spearman's rank correlation, mean over the cubes.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled, original = copy.deepcopy(network), explain(network)
    correlations = []
    for name, module in reversed(list(shuffled.named_modules())):
        parameters = [p for p in module.parameters(recurse=False) if p.numel() > 1]
        if not parameters:
            continue
        with torch.no_grad():
            for values in parameters:
                order = torch.randperm(values.numel(), generator=generator)
                values.copy_(values.flatten()[order].reshape(values.shape))
        correlations.append((name, _rank_correlation(original, explain(shuffled))))
    return correlations


def _rank_correlation(maps_a: np.ndarray, maps_b: np.ndarray) -> float:
    """Return Spearman's correlation, mean over the cubes; 0 for a constant map."""
    from scipy.stats import spearmanr  # here, since exports import this room and wait for it

    correlations = np.zeros(len(maps_a))
    for row, (a, b) in enumerate(zip(maps_a, maps_b, strict=True)):
        if np.ptp(a) * np.ptp(b):
            correlation: Any = spearmanr(a.ravel(), b.ravel())  # scipy has no types
            correlations[row] = correlation.statistic
    return float(correlations.mean())


@torch.inference_mode()
def deletion_auc(
    margin: Callable[[torch.Tensor], torch.Tensor],
    cubes: torch.Tensor,
    maps: np.ndarray,
    insert: bool = False,
) -> float:
    """Measure the area under the probability while voxels are deleted, largest map value first.

    Deleted voxels take the median of their channel, so that no new edge is brighter than the
    tissue. The smaller the area, the more of the decision lies where the map is large. With
    ``insert`` the voxels are added in that order to a cube of medians, and a larger area is better
    (Petsiuk et al. 2018, RISE, BMVC).

    Parameters
    ----------
    margin : callable
        Maps (n, C, z, y, x) normalised cubes to (n,): the logit of the class that the maps
        explain, less that of the other class.
    cubes : (n, C, z, y, x) float32
        Normalised.
    maps : (n, z, y, x) float

    Returns
    -------
    float
        0 to 1, mean over the cubes.
    """
    from sklearn.metrics import auc  # see `_rank_correlation`

    n, channels = cubes.shape[:2]
    flat = cubes.reshape(n, channels, -1)
    medians = flat.median(dim=2, keepdim=True).values.expand_as(flat)
    order = torch.from_numpy(np.argsort(-maps.reshape(n, -1), axis=1, kind="stable"))
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand(n, -1))
    shares = np.linspace(0, 1, STEPS + 1)
    probabilities = []
    for share in shares:
        top = (rank < round(share * order.shape[1]))[:, None]
        voxels = torch.where(top, flat, medians) if insert else torch.where(top, medians, flat)
        probabilities.append(torch.sigmoid(margin(voxels.reshape(cubes.shape))).mean().item())
    return float(auc(shares, probabilities))


def pointing_game(
    maps: np.ndarray, voxel_size: Sequence[float], near_um: float = NEAR_UM
) -> tuple[float, float]:
    """Return the share of maps whose maximum lies near the candidate, and that expected by chance.

    The pointing game of Zhang et al. (2018, IJCV 126), with the candidate's centre as the object.

    Parameters
    ----------
    maps : (n, z, y, x)
    voxel_size : (z, y, x), um
    near_um : float
        Largest distance of a hit, um.

    Returns
    -------
    two floats, 0 to 1
    """
    near = (distance_from_centre(maps.shape[1:], voxel_size) <= near_um).reshape(-1)
    hits = near[maps.reshape(len(maps), -1).argmax(axis=1)]
    return float(hits.mean()), float(near.mean())


def distance_from_centre(shape: Sequence[int], voxel_size: Sequence[float]) -> np.ndarray:
    """Return the distance of each voxel of a cube from its candidate, (z, y, x) float32, um.

    Parameters
    ----------
    shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    """
    z, y, x = axis_distances(shape, voxel_size)
    return torch.sqrt(z**2 + y**2 + x**2).numpy()


def centred_gaussian(shape: Sequence[int], voxel_size: Sequence[float]) -> np.ndarray:
    """Return a nucleus-sized Gaussian at the candidate, a map that ignores the network.

    (z, y, x) float32, 0 to 1; for the parameters see `distance_from_centre`.
    """
    z, y, x = (d / s for d, s in zip(axis_distances(shape, voxel_size), NUCLEUS_UM, strict=True))
    return torch.exp(-0.5 * (z**2 + y**2 + x**2)).numpy()
