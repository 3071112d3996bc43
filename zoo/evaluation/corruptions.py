"""Corruptions: what an unseen microscope, stain or candidate detection may do to a brain.

They act on the data's own voxels in physical units, before the step to a network's grid, so that
models with different grids meet the same corruption.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..data import LabelledCubes

NOISE_UM = 20.0  # side of the central box whose deviation scales the noise


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes
    ----------
    unit : str
        Unit of the levels.
    levels : tuple of float
    apply : callable
        ``apply(crops, cubes, level, rng)`` returns the corrupted crops, (N, C, z, y, x) float32;
        it may overwrite those that it receives.
    """

    unit: str
    levels: tuple[float, ...]
    apply: Callable[[np.ndarray, LabelledCubes, float, np.random.Generator], np.ndarray]


def corrupt(cubes: LabelledCubes, kind: str, level: float, seed: int = 0) -> LabelledCubes:
    """Return the same candidates in a corrupted brain.

    Parameters
    ----------
    cubes : LabelledCubes
    kind : str
        Key of `CORRUPTIONS`.
    level : float
        Strength, in the unit of the kind; see `list_corruptions`.
    seed : int
        Seed of the noise and of the directions of shifts.

    Returns
    -------
    LabelledCubes
        The crops are float32, so that a gain does not saturate at the largest integer.
    """
    rng = np.random.default_rng(seed)
    crops = CORRUPTIONS[kind].apply(cubes.crops.astype(np.float32), cubes, level, rng)
    return dataclasses.replace(cubes, crops=crops)


def list_corruptions(cubes: LabelledCubes) -> list[tuple[str, float]]:
    """List the kinds and levels that the cubes allow: a shift must fit into their margin."""
    _, y, x = cubes.voxel_size
    largest_shift = min(cubes.margin[1] * y, cubes.margin[2] * x)
    return [
        (kind, level)
        for kind, corruption in CORRUPTIONS.items()
        for level in corruption.levels
        if kind != "shift" or level <= largest_shift
    ]


def subsample(cubes: LabelledCubes, count: int) -> LabelledCubes:
    """Select at most ``count`` candidates, evenly spaced over the file.

    Each corruption costs a prediction of all candidates.
    """
    if len(cubes) <= count:
        return cubes
    return cubes.select(np.linspace(0, len(cubes) - 1, count).astype(int))


def _gain(crops, cubes, level, rng):
    return crops * np.float32(level)


def _offset(crops, cubes, level, rng):
    return crops + np.float32(level)


def _noise(crops, cubes, level, rng):
    centre = [slice(None), slice(None)]
    for size, um in zip(crops.shape[2:], cubes.voxel_size, strict=True):
        half = max(1, round(NOISE_UM / um / 2))
        centre.append(slice(max(0, size // 2 - half), size // 2 + half + 1))
    # One value per channel for the whole data set: camera noise does not depend on the candidate.
    sigma = np.median(crops[tuple(centre)].std(axis=(2, 3, 4)), axis=0)
    noise = rng.standard_normal(crops.shape, np.float32)
    return crops + np.float32(level) * sigma.astype(np.float32)[:, None, None, None] * noise


def _blur(crops, cubes, level, rng):
    _, y, x = cubes.voxel_size
    for crop in crops:
        gaussian_filter(crop, (0, 0, level / y, level / x), output=crop, mode="nearest")
    return crops


def _shift(crops, cubes, level, rng):
    _, y, x = cubes.voxel_size
    angle = rng.uniform(0, 2 * np.pi, len(crops))
    steps = np.rint(np.stack([np.sin(angle) * level / y, np.cos(angle) * level / x], 1))
    for crop, step in zip(crops, steps.astype(int), strict=True):
        crop[:] = np.roll(crop, tuple(step), (2, 3))  # what wraps around stays in the margin
    return crops


def _planes(crops, cubes, level, rng):
    centre, last, step = crops.shape[2] // 2, crops.shape[2] - 1, int(level)
    taken = np.arange(centre % step, last + 1, step)
    for plane in np.setdiff1d(np.arange(last + 1), taken):
        below, above = taken[taken < plane], taken[taken > plane]
        if not len(below) or not len(above):  # beyond the outermost plane that was taken
            crops[:, :, plane] = crops[:, :, (above if len(above) else below[::-1])[0]]
        else:
            share = np.float32((plane - below[-1]) / (above[0] - below[-1]))
            crops[:, :, plane] = (
                crops[:, :, below[-1]] * (1 - share) + crops[:, :, above[0]] * share
            )
    return crops


CORRUPTIONS = {
    "gain": Corruption("times", (0.25, 0.5, 2, 4), _gain),
    "offset": Corruption("counts", (100, 500, 2000), _offset),
    "noise": Corruption("times the deviation around a candidate", (0.3, 1, 2), _noise),
    "blur": Corruption("um, sigma in the plane", (1, 2, 4), _blur),
    "shift": Corruption("um in the plane", (2, 4, 6), _shift),
    "planes": Corruption("times their distance, interpolated", (2, 3), _planes),
}
