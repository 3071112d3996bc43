"""Candidates with known labels, as a detector with a low threshold would report them."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.spatial import KDTree

from .fields import blur, expand_blocks, reduce_blocks, to_blocks
from .parameters import VolumeParameters
from .somata import Somata

_SURROUND_UM = 25.0  # blocks of the local mean and deviation
_JITTER_UM = 2.0
_NEAR_UM, _NEAR_RADII = 3.0, 0.6
_FAR_UM, _FAR_RADII = 2.0, 1.3


def detect_candidates(
    rng: np.random.Generator, voxels: np.ndarray, parameters: VolumeParameters
) -> np.ndarray:
    """Find local maxima of the smoothed volume above a low local threshold, and misplace them.

    Parameters
    ----------
    rng : numpy.random.Generator
    voxels : (Z, Y, X) array
        Raw intensities.
    parameters : VolumeParameters

    Returns
    -------
    (N, 3) float64, z y x, voxels
        Whole voxels inside the volume, each once.
    """
    size = np.array(parameters.voxel_size)
    sigma = parameters.detection_sigma * parameters.radius
    smooth = blur(voxels.astype(np.float32), sigma / size)
    block = to_blocks(_SURROUND_UM, size)
    deviation = smooth - expand_blocks(reduce_blocks(smooth, block), smooth.shape, block)
    spread = np.sqrt(reduce_blocks(deviation**2, block))
    # A detector has one threshold for a plane: in empty parts it finds little.
    spread = np.maximum(spread, 0.6 * np.quantile(spread, 0.7))
    limit = expand_blocks(spread, smooth.shape, block) * np.float32(parameters.detection_z)
    reach = 2 * np.maximum(np.rint(1.2 * sigma / size), 1).astype(int) + 1
    # Few voxels are above the threshold, so few need to be compared with their neighbours.
    peaks = np.flatnonzero(
        (smooth == maximum_filter(smooth, tuple(reach.tolist()))) & (deviation > limit)
    )
    zyx = np.stack(np.unravel_index(peaks, smooth.shape), axis=1).astype(np.float64)
    shift = rng.standard_normal(zyx.shape)
    shift *= _JITTER_UM * rng.random((len(zyx), 1)) / np.linalg.norm(shift, axis=1, keepdims=True)
    zyx = np.rint(zyx + shift / size)
    return np.unique(np.clip(zyx, 0, np.array(smooth.shape) - 1), axis=0)


def label_candidates(
    zyx: np.ndarray, somata: Somata, is_visible: np.ndarray, voxel_size: Sequence[float]
) -> np.ndarray:
    """Label candidates by the somata around them.

    A candidate within 3 um or 0.6 radii of a visible soma, whichever is more, is a cell. Whole
    planes and pixels cannot be nearer than half a voxel, which is not counted. One farther than
    1.3 radii and 2 um from every soma, visible or not, is no cell.

    Parameters
    ----------
    zyx : (N, 3) float, z y x, voxels
    somata : Somata
    is_visible : (M,) bool
    voxel_size : z, y, x, um

    Returns
    -------
    (N,) int8
        1 cell, 0 no cell, -1 neither for certain.
    """
    size = np.array(voxel_size)
    um = zyx * size
    near = np.maximum(_NEAR_UM, _NEAR_RADII * somata.radius)
    far = _FAR_UM + _FAR_RADII * somata.radius
    labels = np.zeros(len(zyx), np.int8)
    if not len(zyx) or not len(somata):
        return labels
    reach = max(far.max(), near.max() + float(np.linalg.norm(size)) / 2)
    pairs = KDTree(um).query_ball_tree(KDTree(somata.um), reach)
    rows = np.repeat(np.arange(len(um)), [len(p) for p in pairs])
    cells = np.concatenate([np.asarray(p, int) for p in pairs])
    gap = np.abs(um[rows] - somata.um[cells])
    is_close = np.linalg.norm(gap, axis=1) <= far[cells]
    labels[rows[is_close]] = -1
    rest = np.linalg.norm(np.maximum(gap - size / 2, 0), axis=1)
    is_cell = (rest <= near[cells]) & is_visible[cells]
    labels[rows[is_cell]] = 1
    return labels


def find_visible(
    voxels: np.ndarray, somata: Somata, gain: np.ndarray, parameters: VolumeParameters
) -> np.ndarray:
    """Find the somata that stand out from the noise of camera and tissue around them.

    Parameters
    ----------
    voxels : (Z, Y, X) uint16
    somata : Somata
    gain : float32, broadcastable to (Z, Y, X)
        Intensity of light of brightness 1.
    parameters : VolumeParameters

    Returns
    -------
    (N,) bool
    """
    size, psf = np.array(parameters.voxel_size), np.array(parameters.psf)
    detector = np.full(3, parameters.detection_sigma * parameters.radius)
    block = to_blocks(_SURROUND_UM, size)
    # Cells are few voxels of a block, or its darker half lies between them.
    level = expand_blocks(reduce_blocks(voxels, block, np.median), voxels.shape, block)
    index = tuple(np.rint(somata.um / size).astype(int).T)
    around = np.maximum(level[index] - parameters.offset, 0)
    blurred = np.sqrt(detector**2 + psf**2)
    height = somata.brightness * np.broadcast_to(gain, voxels.shape)[index]
    height = height * (1 - parameters.haze) * (1 - parameters.halo) * somata.seen_share(blurred)
    # Smoothing averages the noise of so many voxels.
    averaged = np.prod(np.maximum(2 * np.sqrt(np.pi) * detector / size, 1))
    camera = (parameters.shot * around + parameters.read**2 + 0.1) / averaged
    texture = around * np.hypot(0.7 * parameters.texture[2], 0.35 * parameters.texture[3])
    return height > 3.0 * np.sqrt(camera + texture**2)
