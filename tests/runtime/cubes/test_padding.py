"""Cubes that leave the volume: its faces repeated, or zeros; one plane for 2D."""

import numpy as np
import pytest

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.cubes import CubeSpec, Grid, read_batches
from cfzoo.runtime.volume import open_volume

SHAPE = (9, 12, 14)
VOLUME = np.random.default_rng(0).integers(1, 999, SHAPE).astype(np.uint16)


def read_cubes(card, points):
    grid = Grid.of(card, card.voxel_size)
    with open_volume(VOLUME) as volume:
        spec = CubeSpec(grid, grid.starts(points))
        (batch,) = read_batches([volume], [spec], np.arange(len(points)), len(points))
    cubes = np.empty((len(points), *card.cube_shape), np.float32)
    cubes[batch.index] = batch.network_cubes()[0][:, 0]
    return cubes


@pytest.mark.parametrize(("padding", "mode"), [("edge", "edge"), ("zero", "constant")])
def test_voxels_outside_the_volume(padding, mode):
    card = Card(
        name="m",
        version="1.0.0",
        cube_shape=(6, 4, 8),
        voxel_size=(5, 2, 2),
        channels=("signal",),
        normalisation="none",
        padding=padding,
    )
    points = np.random.default_rng(1).integers(-1, np.array(SHAPE) + 1, (60, 3)).astype(float)
    points[:2] = (0, 0, 0), np.array(SHAPE) - 1.0
    padded = np.pad(VOLUME, 20, mode=mode)
    for cube, point in zip(read_cubes(card, points), points.astype(int), strict=True):
        # From half a cube before the point; along z rounded towards zero, which is the same here.
        z, y, x = point + 20 - (3, 2, 4)
        np.testing.assert_array_equal(cube, padded[z : z + 6, y : y + 4, x : x + 8])


@pytest.mark.parametrize("z_size", [0.7, 3.9, 40.0])
def test_a_cube_of_one_plane_is_the_plane_of_the_point(z_size):
    """As cellfinder's 2D models see it, whatever the distance of the planes."""
    card = Card(
        name="m",
        version="1.0.0",
        cube_shape=(1, 4, 4),
        voxel_size=(5, 2, 2),
        channels=("signal",),
        normalisation="none",
    )
    grid = Grid.of(card, (z_size, 2, 2))
    assert grid.data_shape == (1, 4, 4)
    assert grid.starts(np.array([[5.0, 6, 7]])).tolist() == [[5, 4, 5]]
    cubes = read_cubes(card, np.array([[5.0, 6, 7]]))
    np.testing.assert_array_equal(cubes[0, 0], VOLUME[5, 4:8, 5:9])
