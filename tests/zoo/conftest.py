"""Synthetic labelled cubes, with or without a bright blob at the centre."""

import numpy as np
import pytest
import torch

from cfzoo.runtime.cubes import Grid
from cfzoo.zoo.data import LabelledCubes
from cfzoo.zoo.recipe import Recipe

VOXEL = (6.0, 1.62, 1.62)


def labelled_cubes(
    recipe: Recipe, n: int = 16, seed: int = 0, name: str = "synthetic"
) -> LabelledCubes:
    """Return cubes of noise around 1000, every second one with a bright centre of 10 um."""
    rng = np.random.default_rng(seed)
    grid, margin = Grid.of(recipe.card(), VOXEL), (2, 8, 8)
    shape = tuple(a + 2 * m for a, m in zip(grid.data_shape, margin, strict=True))
    crops = rng.normal(1000, 100, (n, 1, *shape))
    labels = np.arange(n) % 2
    axes = [(np.arange(a) - (a - 1) / 2) * s for a, s in zip(shape, VOXEL, strict=True)]
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    crops[labels == 1] += 800 * np.exp(-((distance / 6) ** 2))
    return LabelledCubes(
        name=name,
        crops=crops.clip(0, 65535).astype(np.uint16),
        labels=labels.astype(np.int64),
        zyx=np.zeros((n, 3)),
        inside=np.ones(n, bool),
        grid=grid,
        margin=margin,
        voxel_size=VOXEL,
    )


@pytest.fixture(name="labelled_cubes", scope="session")
def _labelled_cubes():
    return labelled_cubes


@pytest.fixture(autouse=True)
def _own_random_numbers():
    """Random networks and cubes of a test do not depend on the tests before it."""
    torch.manual_seed(0)


class ZeroContrast(torch.nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 2)


@pytest.fixture
def zero_contrast():
    """Replace a network's ``contrast`` by this module to test its trained layers alone."""
    return ZeroContrast()
