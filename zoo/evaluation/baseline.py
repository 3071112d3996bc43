"""Local contrast, the trivial score that a network must beat.

(smoothed signal - local mean) / local mean at the candidate. The score uses no labels, so it
needs no training and cannot overfit to the brains of a training set.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter1d

SMOOTH_UM = (5.0, 2.0, 2.0)  # Gaussian sigma, z y x: a nucleus, smeared along z by the optics
SURROUND_UM = (30.0, 34.0, 34.0)  # z y x: sides of the box of the local mean


def local_contrast(block: np.ndarray, zyx: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Score every point by its local contrast; larger is more like a cell.

    Parameters
    ----------
    block : (Z, Y, X) array, raw intensities
        The whole volume.
    zyx : (N, 3) float, z y x, voxels of ``block``
    voxel_size : z y x, um

    Returns
    -------
    (N,) float32
    """
    smooth = surround = np.asarray(block, np.float32)
    for axis, size in enumerate(voxel_size):
        sigma = SMOOTH_UM[axis] / size
        smooth = gaussian_filter1d(
            smooth, sigma, axis, mode="nearest", radius=max(1, round(4 * sigma))
        )
        width = max(1, 2 * round((SURROUND_UM[axis] / size - 1) / 2) + 1)
        # A running sum would spread one NaN through the volume.
        surround = correlate1d(surround, np.full(width, 1 / width), axis, mode="nearest")
    nearest = np.rint(zyx).astype(np.int64)
    z, y, x = np.clip(nearest, 0, np.array(block.shape) - 1).T
    return ((smooth - surround) / np.maximum(surround, 1))[z, y, x]
