"""The trivial score that a network must beat: how far a candidate rises above its surround.

(smoothed signal - local mean) / local mean at the candidate. No labels are used, so it needs
no training and cannot fail on a new brain for having seen another.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

SMOOTH_UM = (5.0, 2.0, 2.0)  # gaussian sigma, z y x: a nucleus, smeared along z by the optics
SURROUND_UM = (30.0, 34.0, 34.0)  # side of the box of the local mean


def contrast(block: np.ndarray, zyx: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Score every point; larger is more like a cell.

    Parameters
    ----------
    block : (Z, Y, X) array, raw intensities
    zyx : (N, 3) float, voxels
    voxel_size : z y x, um

    Returns
    -------
    (N,) float32
    """
    x = torch.from_numpy(np.asarray(block, np.float32))
    smooth, surround = x, x
    for axis, size in enumerate(voxel_size):
        smooth = _along(smooth, _gaussian(SMOOTH_UM[axis] / size), axis)
        width = 2 * round((SURROUND_UM[axis] / size - 1) / 2) + 1
        surround = _along(surround, torch.full((max(width, 1),), 1 / max(width, 1)), axis)
    nearest = np.rint(zyx).astype(np.int64)
    z, y, x = np.clip(nearest, 0, np.array(block.shape) - 1).T
    return ((smooth - surround) / surround.clamp(min=1))[z, y, x].numpy()


def _gaussian(sigma: float) -> torch.Tensor:
    radius = max(1, round(4 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def _along(x: torch.Tensor, kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Correlate one axis with an odd kernel, faces repeated."""
    moved = x.movedim(axis, -1)
    rows = moved.reshape(-1, 1, moved.shape[-1])
    half = len(kernel) // 2
    rows = F.conv1d(F.pad(rows, (half, half), mode="replicate"), kernel[None, None])
    return rows.reshape(moved.shape).movedim(-1, axis)
