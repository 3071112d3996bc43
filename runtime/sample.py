"""A synthetic brain crop, drawn from a seed, on which to try cfzoo.

It has the features that make candidates hard to classify: uneven autofluorescence in both channels,
vessels, debris that is bright in both channels, cells from bright to faint, light that fades and
noise that grows with depth.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from .claim import claim_folder
from .cubes import resampling_matrix
from .files import atomic_write
from .results import Results, write_xml

VOXEL_SIZE = (5.0, 2.0, 2.0)  # z y x, um
SHAPE = (60, 300, 300)
NAMES = ("signal.tif", "background.tif", "candidates.xml", "truth.xml")


@dataclass(frozen=True)
class Sample:
    """A synthetic crop with its candidates.

    Attributes
    ----------
    signal, background : (z, y, x) uint16
        Raw intensities.
    zyx : (N, 3) float64, voxels
        Positions of the candidates, as a detector would report them.
    types : (N,) int8
        True types: 2 for a cell, 1 for no cell.
    is_debris : (N,) bool
        Which candidates are debris, bright in both channels.
    """

    signal: np.ndarray
    background: np.ndarray
    zyx: np.ndarray
    types: np.ndarray
    is_debris: np.ndarray


def make_sample(seed: int = 0, n_cells: int = 150, n_debris: int = 60) -> Sample:
    """Draw a crop of 60 x 300 x 300 voxels of 5 x 2 x 2 um.

    The candidates are about nine in ten of the cells, the debris, and as many spots on vessels and
    on bright noise, except those within 14 um of a cell. All positions are jittered by up to a
    voxel, as by a detector.

    Parameters
    ----------
    seed : int
        Seed of the random numbers.
    n_cells, n_debris : int
        Numbers of cells and of pieces of debris.

    Returns
    -------
    Sample
    """
    random = np.random.RandomState(seed)  # its streams are frozen by NumPy (NEP 19)
    tissue = 300 * np.exp(0.1 * _draw_field(random, 12) + 0.3 * _draw_field(random, 60))
    walls, lumen, vessel_points = _draw_vessels(random)
    tissue *= 1 - 0.6 * lumen
    signal, background = tissue + 250 * walls, 1.3 * tissue + 300 * walls
    cells = _draw_positions(random, n_cells)
    for position in cells:
        height = 400 * np.exp(random.normal(1.2, 0.5))
        _add_blob(signal, position, random.uniform(4, 6.5), height, random, 0.15)
    debris = _draw_positions(random, n_debris)
    for position in debris:
        height = 400 * np.exp(random.normal(1.2, 0.6))
        radius = random.choice([random.uniform(1.5, 3), random.uniform(8, 12)])
        # The same seed in both channels gives the same shape.
        shape_seed = int(random.randint(2**31 - 1))  # pyright: ignore[reportUnknownArgumentType]  # by NumPy's stub
        for channel, share in ((signal, 1.0), (background, random.uniform(0.7, 1.3))):
            shape_random = np.random.RandomState(shape_seed)
            _add_blob(channel, position, radius, share * height, shape_random, 0.5)
    depth = np.linspace(0, 1, SHAPE[0])[:, None, None]
    signal_image, background_image = (
        _take_image(random, channel * np.exp(-0.7 * depth), 4 + 10 * depth)
        for channel in (signal, background)
    )
    spots = np.argwhere(signal_image > np.quantile(signal_image, 0.98)).astype(float)
    spots = spots[random.choice(len(spots), n_debris, replace=False)]
    spots = spots[_is_apart(spots, cells)]
    vessels = vessel_points[random.choice(len(vessel_points), n_debris, replace=False)]
    vessels = vessels[_is_apart(vessels, cells)]
    detections = cells[random.uniform(size=n_cells) < 0.9]
    debris = debris[_is_apart(debris, cells)]
    zyx = np.concatenate([detections, debris, vessels, spots])
    number = np.arange(len(zyx))
    types = np.where(number < len(detections), 2, 1).astype(np.int8)
    is_debris = (number >= len(detections)) & (number < len(detections) + len(debris))
    order = random.permutation(len(zyx))
    zyx = np.rint(zyx[order] + random.uniform(-0.7, 0.7, zyx.shape))
    zyx = np.clip(zyx, 0, np.array(SHAPE) - 1)
    return Sample(signal_image, background_image, zyx, types[order], is_debris[order])


def write_sample(folder: Path, seed: int = 0, overwrite: bool = False) -> Sample:
    """Write signal.tif, background.tif, candidates.xml and truth.xml.

    The TIFFs state their voxel size as ImageJ does. The same seed gives the same bytes.

    Raises
    ------
    InputError
        The folder already holds one of these files, or cannot be written to.
    EnvironmentProblem
        The disk is full or fails.
    """
    with claim_folder(folder, NAMES, overwrite) as claim:
        sample = make_sample(seed)
        _write_files(claim.open_part(), sample)
        claim.publish()
    return sample


def _write_files(folder: Path, sample: Sample) -> None:
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
        probability = np.ones(n, np.float32)  # the XML does not hold it
        write_xml(folder / name, Results(sample.zyx, types, probability, np.zeros(n, np.uint8)))


def _draw_field(random: np.random.RandomState, period: float) -> np.ndarray:
    """Draw Gaussian noise of unit variance with structures of about ``period`` voxels."""
    field = random.normal(size=[max(2, int(n / period)) for n in SHAPE])
    for axis, n in enumerate(SHAPE):
        field = np.moveaxis(field, axis, -1) @ resampling_matrix(field.shape[axis], n).T
        field = np.moveaxis(field, -1, axis)
    return (field - field.mean()) / field.std()


def _draw_positions(random: np.random.RandomState, count: int) -> np.ndarray:
    """Draw positions (count, 3), z y x, voxels; they may lie on the faces."""
    return random.uniform(0, 1, (count, 3)) * (np.array(SHAPE) - 1)


def _is_apart(points: np.ndarray, cells: np.ndarray, distance: float = 14) -> np.ndarray:
    """Return (N,) bool: whether a point is farther than ``distance`` um from every cell."""
    gaps = (points[:, None] - cells[None]) * VOXEL_SIZE
    return (gaps**2).sum(-1).min(axis=1) > distance**2


def _add_blob(
    volume: np.ndarray,
    position: np.ndarray,
    radius: float,
    height: float,
    random: np.random.RandomState,
    roughness: float,
) -> None:
    """Add a soft ellipsoid with half axes of about ``radius`` um to a volume, in place."""
    axes = radius * np.exp(random.normal(0, roughness, 3))
    reach = np.ceil(3 * axes / VOXEL_SIZE).astype(int)
    low = np.maximum(np.rint(position).astype(int) - reach, 0)
    high = np.minimum(np.rint(position).astype(int) + reach + 1, SHAPE)
    grids = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    distance = sum(
        ((grid - centre) * voxel / axis) ** 2
        for grid, centre, voxel, axis in zip(grids, position, VOXEL_SIZE, axes, strict=True)
    )
    # Flat inside and soft at the rim, as a filled soma is under a microscope.
    volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] += height / (
        1 + np.exp(4 * (distance - 1))
    )


def _draw_vessels(
    random: np.random.RandomState, count: int = 12
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw tubes along random walks; return walls and lumen (0 to 1), and points on the walls."""
    walls, lumen = np.zeros(SHAPE), np.zeros(SHAPE)
    points: list[np.ndarray] = []
    for _ in range(count):
        position = _draw_positions(random, 1)[0] * VOXEL_SIZE
        direction = random.normal(size=3)
        radius = random.uniform(3, 9)
        for step in range(150):
            direction += random.normal(0, 0.25, 3)
            direction /= np.linalg.norm(direction)
            position = position + 3 * direction
            voxel = position / VOXEL_SIZE
            if np.any(voxel < 0) or np.any(voxel >= SHAPE):
                break
            _add_blob(walls, voxel, radius + 2, 1, random, 0)
            _add_blob(lumen, voxel, radius, 1, random, 0)
            if step % 3 == 0:
                side = np.cross(direction, random.normal(size=3))
                points.append((position + radius * side / np.linalg.norm(side)) / VOXEL_SIZE)
    walls, lumen = np.clip(walls, 0, 1), np.clip(lumen, 0, 1)
    zyx = np.array(points)
    zyx = zyx[np.all((zyx >= 0) & (zyx <= np.array(SHAPE) - 1), axis=1)]
    return np.clip(walls - lumen, 0, 1), lumen, zyx


def _take_image(
    random: np.random.RandomState, light: np.ndarray, read_noise: np.ndarray
) -> np.ndarray:
    """Blur light by a small kernel, add shot noise, read noise and an offset; return uint16."""
    for axis in range(3):
        light = (np.roll(light, 1, axis) + 2 * light + np.roll(light, -1, axis)) / 4
    noisy = light + np.sqrt(light) * random.normal(0, 1.5, SHAPE)
    noisy += read_noise * random.normal(0, 1, SHAPE)
    return np.clip(np.rint(noisy + 100), 0, 65535).astype(np.uint16)
