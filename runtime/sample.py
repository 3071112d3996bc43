"""A seeded synthetic brain crop to try cfzoo on: nothing in it was measured, all of it is drawn.

It has what makes candidates hard: uneven autofluorescence in both channels, vessels, debris that is
bright in both channels, cells from bright to faint, light lost and noise gained with depth.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from .cubes import resampling_matrix
from .errors import InputError
from .files import atomic_write
from .results import Results, write_xml

VOXEL_SIZE = (5.0, 2.0, 2.0)  # z y x, um
SHAPE = (60, 300, 300)
NAMES = ("signal.tif", "background.tif", "candidates.xml", "truth.xml")


@dataclass(frozen=True)
class Sample:
    """A crop with its candidates.

    Attributes
    ----------
    signal, background : (z, y, x) uint16
        Raw intensities.
    zyx : (N, 3) float64, voxels
        Candidates, as a detector would give them.
    types : (N,) int8
        The truth: 2 cell, 1 no cell.
    """

    signal: np.ndarray
    background: np.ndarray
    zyx: np.ndarray
    types: np.ndarray


def make_sample(seed: int = 0, n_cells: int = 150, n_debris: int = 60) -> Sample:
    """Draw a crop of 60 x 300 x 300 voxels of 5 x 2 x 2 um.

    Candidates are about nine in ten of the cells, the debris, and as many spots on vessels and on
    bright noise, without those within 14 um of a cell; all positions are jittered by a voxel, as
    detection does.
    """
    random = np.random.RandomState(seed)  # its streams are frozen by NumPy (NEP 19)
    tissue = 300 * np.exp(0.1 * _smooth_field(random, 12) + 0.3 * _smooth_field(random, 60))
    walls, lumen, vessel_points = _vessels(random)
    tissue *= 1 - 0.6 * lumen
    signal, background = tissue + 250 * walls, 1.3 * tissue + 300 * walls
    cells = _places(random, n_cells)
    for place in cells:
        height = 400 * np.exp(random.normal(1.2, 0.5))
        _blob(signal, place, random.uniform(4, 6.5), height, random, 0.15)
    debris = _places(random, n_debris)
    for place in debris:
        height = 400 * np.exp(random.normal(1.2, 0.6))
        radius = random.choice([random.uniform(1.5, 3), random.uniform(8, 12)])
        # One shape drawn into both channels: the same seed for its roughness.
        roughness = random.randint(2**31 - 1)
        for channel, share in ((signal, 1.0), (background, random.uniform(0.7, 1.3))):
            _blob(channel, place, radius, share * height, np.random.RandomState(roughness), 0.5)
    depth = np.linspace(0, 1, SHAPE[0])[:, None, None]
    seen, seen_background = (
        _microscope(random, channel * np.exp(-0.7 * depth), 4 + 10 * depth)
        for channel in (signal, background)
    )
    spots = np.argwhere(seen > np.quantile(seen, 0.98)).astype(float)
    spots = spots[random.choice(len(spots), n_debris, replace=False)]
    spots = spots[_apart(spots, cells)]
    vessels = vessel_points[random.choice(len(vessel_points), n_debris, replace=False)]
    vessels = vessels[_apart(vessels, cells)]
    found = cells[random.uniform(size=n_cells) < 0.9]
    zyx = np.concatenate([found, debris[_apart(debris, cells)], vessels, spots])
    types = np.where(np.arange(len(zyx)) < len(found), 2, 1).astype(np.int8)
    order = random.permutation(len(zyx))
    zyx = np.rint(zyx[order] + random.uniform(-0.7, 0.7, zyx.shape))
    zyx = np.clip(zyx, 0, np.array(SHAPE) - 1)
    return Sample(seen, seen_background, zyx, types[order])


def write_sample(folder: Path, seed: int = 0, overwrite: bool = False) -> Sample:
    """Write signal.tif, background.tif, candidates.xml and truth.xml.

    The TIFFs state their voxel size, as ImageJ does; same seed, same bytes.

    Raises
    ------
    InputError
        The folder holds such files already, or cannot be written to.
    EnvironmentProblem
        The disk is full, or fails.
    """
    there = [name for name in NAMES if (folder / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{folder} already holds {', '.join(there)}: give another, or --overwrite."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}.") from None
    sample = make_sample(seed)
    for name, volume in zip(NAMES, (sample.signal, sample.background), strict=False):
        with atomic_write(folder / name, "wb") as file:
            tifffile.imwrite(
                file,
                volume,
                imagej=True,
                resolution=(1 / VOXEL_SIZE[2], 1 / VOXEL_SIZE[1]),
                metadata={"axes": "ZYX", "spacing": VOXEL_SIZE[0], "unit": "um"},
            )
    n = len(sample.zyx)
    for name, types in (("candidates.xml", np.ones(n, np.int8)), ("truth.xml", sample.types)):
        sure = np.ones(n, np.float32)
        write_xml(folder / name, Results(sample.zyx, types, sure, np.zeros(n, np.uint8)))
    return sample


def _smooth_field(random: np.random.RandomState, period: float) -> np.ndarray:
    """Gaussian noise of unit variance with structures of about ``period`` voxels in plane."""
    field = random.normal(size=[max(2, int(n / period)) for n in SHAPE])
    for axis, n in enumerate(SHAPE):
        field = np.moveaxis(field, axis, -1) @ resampling_matrix(field.shape[axis], n).T
        field = np.moveaxis(field, -1, axis)
    return (field - field.mean()) / field.std()


def _places(random: np.random.RandomState, count: int) -> np.ndarray:
    """(count, 3) positions, faces included."""
    return random.uniform(0, 1, (count, 3)) * (np.array(SHAPE) - 1)


def _apart(points: np.ndarray, cells: np.ndarray, distance: float = 14) -> np.ndarray:
    """Which points are farther than ``distance`` um from every cell."""
    gaps = (points[:, None] - cells[None]) * VOXEL_SIZE
    return (gaps**2).sum(-1).min(axis=1) > distance**2


def _blob(volume, place, radius: float, height: float, random, roughness: float) -> None:
    """Add a soft ellipsoid of about ``radius`` um in place."""
    axes = radius * np.exp(random.normal(0, roughness, 3))
    reach = np.ceil(3 * axes / VOXEL_SIZE).astype(int)
    low = np.maximum(np.rint(place).astype(int) - reach, 0)
    high = np.minimum(np.rint(place).astype(int) + reach + 1, SHAPE)
    grids = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    distance = sum(
        ((grid - centre) * voxel / axis) ** 2
        for grid, centre, voxel, axis in zip(grids, place, VOXEL_SIZE, axes, strict=True)
    )
    # Flat inside and soft at the rim, the profile of a filled soma under a microscope.
    volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] += height / (
        1 + np.exp(4 * (distance - 1))
    )


def _vessels(random: np.random.RandomState, count: int = 12):
    """Tubes along random walks: their walls, their lumen (both 0 to 1), and points on the walls."""
    walls, lumen = np.zeros(SHAPE), np.zeros(SHAPE)
    points = []
    for _ in range(count):
        place = _places(random, 1)[0] * VOXEL_SIZE
        direction = random.normal(size=3)
        radius = random.uniform(3, 9)
        for step in range(150):
            direction += random.normal(0, 0.25, 3)
            direction /= np.linalg.norm(direction)
            place = place + 3 * direction
            voxel = place / VOXEL_SIZE
            if np.any(voxel < 0) or np.any(voxel >= SHAPE):
                break
            _blob(walls, voxel, radius + 2, 1, random, 0)
            _blob(lumen, voxel, radius, 1, random, 0)
            if step % 3 == 0:
                side = np.cross(direction, random.normal(size=3))
                points.append((place + radius * side / np.linalg.norm(side)) / VOXEL_SIZE)
    walls, lumen = np.clip(walls, 0, 1), np.clip(lumen, 0, 1)
    inside = np.array(points)
    inside = inside[np.all((inside >= 0) & (inside <= np.array(SHAPE) - 1), axis=1)]
    return np.clip(walls - lumen, 0, 1), lumen, inside


def _microscope(random, light: np.ndarray, read_noise: np.ndarray) -> np.ndarray:
    """Blur by a small kernel, shot and read noise, an offset, 16 bit."""
    for axis in range(3):
        light = (np.roll(light, 1, axis) + 2 * light + np.roll(light, -1, axis)) / 4
    noisy = light + np.sqrt(light) * random.normal(0, 1.5, SHAPE)
    noisy += read_noise * random.normal(0, 1, SHAPE)
    return np.clip(np.rint(noisy + 100), 0, 65535).astype(np.uint16)
