"""Smooth fields on the voxels of a volume, from values on a coarse grid.

Cubic B-splines along one axis after the other, so that a field costs three products of matrices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], period: Sequence[float]
) -> np.ndarray:
    """Draw Gaussian noise of variance 1 with structures of about ``period`` voxels.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : z, y, x, voxels
    period : z, y, x, voxels
        Distance of the independent values; below 1 it counts as 1.

    Returns
    -------
    (Z, Y, X) float32
    """
    steps = [max(1.0, p) for p in period]
    matrices = [_spline_matrix(n, step, rng.random()) for n, step in zip(shape, steps, strict=True)]
    coarse = rng.standard_normal([m.shape[1] for m in matrices], np.float32)
    variance = np.prod([float((m**2).sum(axis=1).mean()) for m in matrices])
    return _expand(coarse / np.float32(np.sqrt(variance)), matrices)


def reduce_blocks(
    volume: np.ndarray, block: Sequence[int], function: Callable[..., Any] = np.mean
) -> np.ndarray:
    """Reduce every block of voxels to one value; the volume's last faces are repeated.

    Parameters
    ----------
    volume : (Z, Y, X) array
    block : z, y, x, voxels
    function : callable
        Takes an array and ``axis``, as `numpy.mean` does.

    Returns
    -------
    (z, y, x) float32
    """
    shape = np.array(volume.shape)
    size = np.array(block)
    counts = -(-shape // size)
    missing = counts * size - shape
    if missing.any():
        volume = np.pad(volume, [(0, m) for m in missing], mode="edge")
    split = volume.reshape(np.stack([counts, size], axis=1).ravel())
    return np.asarray(function(split, axis=(1, 3, 5)), np.float32)


def expand_blocks(coarse: np.ndarray, shape: Sequence[int], block: Sequence[int]) -> np.ndarray:
    """Interpolate the values of `reduce_blocks`, linearly, on the voxels of the volume.

    Parameters
    ----------
    coarse : (z, y, x) array
    shape : z, y, x, voxels
    block : z, y, x, voxels

    Returns
    -------
    (Z, Y, X) float32
    """
    matrices: list[np.ndarray] = []
    for count, n, size in zip(coarse.shape, shape, block, strict=True):
        position = np.clip((np.arange(n) - (size - 1) / 2) / size, 0, count - 1)
        distance = np.abs(position[:, None] - np.arange(count))
        matrices.append(np.maximum(0, 1 - distance).astype(np.float32))
    return _expand(np.asarray(coarse, np.float32), matrices)


def blur(volume: np.ndarray, sigma: Sequence[float] | np.ndarray) -> np.ndarray:
    """Blur by a Gaussian of ``sigma`` (z, y, x, voxels); below 0.2 voxels an axis stays sharp."""
    for axis, width in enumerate(sigma):
        if width >= 0.2:
            volume = gaussian_filter1d(volume, width, axis, mode="nearest", truncate=3)
    return volume


def to_blocks(size_um: float, voxel_size: Sequence[float] | np.ndarray) -> tuple[int, int, int]:
    """Return the z y x (voxels) of a cube with sides of about ``size_um``."""
    z, y, x = (max(1, round(size_um / size)) for size in voxel_size)
    return z, y, x


def _expand(coarse: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply each axis of ``coarse`` by its matrix, (voxels, values): the last axis last."""
    z, y, x = matrices
    fine = np.tensordot(z, coarse, (1, 0))
    return np.matmul(y, fine) @ x.T


def _spline_matrix(n: int, step: float, phase: float) -> np.ndarray:
    """Return the weights, (n, values), of cubic B-splines whose centres lie ``step`` apart."""
    position = np.arange(n) / step + 1 + phase
    distance = np.abs(position[:, None] - np.arange(int(position[-1]) + 3))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(0, 2 - distance) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)
