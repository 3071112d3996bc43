"""What an unseen microscope, stain or candidate detection may do to a brain.

Changes are made to the data's own voxels and in physical units, before the step to a network's
grid, so that models with different grids are shaken by the same thing.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..data import LabelledCubes

NOISE_UM = 20.0  # the noise is measured against the middle of the cube, this wide


@dataclass(frozen=True)
class Corruption:
    """A kind of change, its levels and their unit; ``apply(crops, cubes, level, rng)``.

    The last takes crops (N, C, z, y, x) float32, which it may change, and gives such.
    """

    unit: str
    levels: tuple[float, ...]
    apply: Callable[[np.ndarray, LabelledCubes, float, np.random.Generator], np.ndarray]


def corrupt(cubes: LabelledCubes, kind: str, level: float, seed: int = 0) -> LabelledCubes:
    """The same candidates in a changed brain.

    Parameters
    ----------
    cubes : LabelledCubes
    kind : str
        Of `CORRUPTIONS`.
    level : float
        In the kind's unit; see `levels`.
    seed : int
        Of noise and of the directions of shifts.

    Returns
    -------
    LabelledCubes
        Its crops are float32: a gain must not end at the largest integer.
    """
    rng = np.random.default_rng(seed)
    crops = CORRUPTIONS[kind].apply(cubes.crops.astype(np.float32), cubes, level, rng)
    return dataclasses.replace(cubes, crops=crops)


def levels(cubes: LabelledCubes) -> list[tuple[str, float]]:
    """Kinds and levels, in their units, that these cubes allow: a shift must fit their margin."""
    _, y, x = cubes.voxel_size
    room = min(cubes.margin[1] * y, cubes.margin[2] * x)
    return [
        (kind, level)
        for kind, corruption in CORRUPTIONS.items()
        for level in corruption.levels
        if kind != "shift" or level <= room
    ]


def subsample(cubes: LabelledCubes, most: int) -> LabelledCubes:
    """At most ``most`` of the candidates, evenly over the file: a corruption costs a prediction."""
    if len(cubes) <= most:
        return cubes
    rows = np.linspace(0, len(cubes) - 1, most).astype(int)
    fields = ("crops", "labels", "zyx", "inside")
    return dataclasses.replace(cubes, **{name: getattr(cubes, name)[rows] for name in fields})


def _gain(crops, cubes, level, rng):
    return crops * np.float32(level)


def _offset(crops, cubes, level, rng):
    return crops + np.float32(level)


def _noise(crops, cubes, level, rng):
    middle = [slice(None), slice(None)]
    for size, um in zip(crops.shape[2:], cubes.voxel_size, strict=True):
        half = max(1, round(NOISE_UM / um / 2))
        middle.append(slice(max(0, size // 2 - half), size // 2 + half + 1))
    # One value a channel for the whole data set: the camera does not know the candidate.
    sigma = np.median(crops[tuple(middle)].std(axis=(2, 3, 4)), axis=0)
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
        crop[:] = np.roll(crop, tuple(step), (2, 3))  # what rolls in stays within the margin
    return crops


CORRUPTIONS = {
    "gain": Corruption("times", (0.25, 0.5, 2, 4), _gain),
    "offset": Corruption("counts", (100, 500, 2000), _offset),
    "noise": Corruption("times the deviation around a candidate", (0.3, 1, 2), _noise),
    "blur": Corruption("um, sigma in the plane", (1, 2, 4), _blur),
    "shift": Corruption("um in the plane", (2, 4, 6), _shift),
}
