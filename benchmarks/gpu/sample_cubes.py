"""Candidates of the synthetic brain, and their cubes as a network takes them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import tifffile

from cfzoo.runtime.artifact import Artifact, read_artifact
from cfzoo.runtime.cubes import CubeSpec, Grid, read_batches
from cfzoo.runtime.sample import VOXEL_SIZE, Sample, make_sample
from cfzoo.runtime.volume import open_volume


@cache
def draw_sample() -> Sample:
    """Draw the synthetic brain, once in a process."""
    return make_sample()


@dataclass(frozen=True)
class Candidates:
    """Candidates of an artifact.

    Attributes
    ----------
    artifact : Artifact
    cubes : (n, C, z, y, x) float32
    is_cell : (n,) bool
        The truth.
    """

    artifact: Artifact
    cubes: np.ndarray
    is_cell: np.ndarray


def read_candidates(model: str, count: int) -> Candidates:
    """Cut the cubes of some candidates, moved by up to a voxel so that no two are the same."""
    artifact, sample = read_artifact(model), draw_sample()
    rows = np.resize(np.arange(len(sample.zyx)), count)
    zyx = inside(sample.zyx[rows] + np.random.default_rng(0).integers(-1, 2, (count, 3)))
    channels = [sample.signal, sample.background][: len(artifact.card.channels)]
    grid = Grid.of(artifact.card, VOXEL_SIZE)
    spec = CubeSpec(grid, grid.starts(zyx), len(channels))
    volumes = [open_volume(channel) for channel in channels]
    cubes = np.empty((count, *artifact.test_cube.shape[1:]), np.float32)
    for batch in read_batches(volumes, [spec], np.arange(count), 64):
        cubes[batch.index] = batch.network_cubes()[0]
    return Candidates(artifact, cubes, sample.types[rows] == 2)


def write_planes(folder: Path) -> tuple[tuple[Path, Path], np.ndarray]:
    """Write the synthetic brain as planes; return the folders, and candidates z y x in voxels."""
    sample = draw_sample()
    folders = folder / "signal", folder / "background"
    for path, volume in zip(folders, (sample.signal, sample.background), strict=True):
        path.mkdir(parents=True, exist_ok=True)
        for z, plane in enumerate(volume):
            tifffile.imwrite(path / f"{z:03}.tif", plane)
    return folders, inside(sample.zyx)


def inside(zyx: np.ndarray) -> np.ndarray:
    """Move points to where the cubes of all models lie in the volume."""
    return np.clip(np.round(zyx), (11, 14, 14), (48, 285, 285))
