"""What a batch holds: rows drawn at random for training, all in order for validation.

A batch depends on the seed, the epoch, the step and the process alone, never on what was drawn
before, so that a training that was killed goes on as if it had not been.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from ..data import LabelledCubes
from ..recipe import Recipe

Batch = list[tuple[torch.Tensor, torch.Tensor]]


class Batches(Dataset):
    """One epoch of batches.

    Item ``step`` holds, per data set, the crops (n, C, z, y, x) float32 with their margin, raw
    intensities, and the labels (n,) int64 of the rows drawn from it.

    Parameters
    ----------
    cubes : sequence of LabelledCubes
    recipe : Recipe
        See its ``share``, ``batch_size`` and ``cell_fraction``.
    key : tuple of int
        Seed, epoch, process.
    """

    def __init__(self, cubes: Sequence[LabelledCubes], recipe: Recipe, key: tuple[int, ...]):
        self.cubes, self.recipe, self.key = cubes, recipe, key

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((*self.key, step))
        if self.recipe.share == "volume":
            n = self.recipe.batch_size // len(self.cubes)
            rows = [self._draw(rng, c.labels, n) for c in self.cubes]
        else:
            pool = np.concatenate([c.labels for c in self.cubes])
            drawn = self._draw(rng, pool, self.recipe.batch_size)
            ends = np.cumsum([len(c) for c in self.cubes])
            which = np.searchsorted(ends, drawn, side="right")
            rows = [
                drawn[which == i] - (end - len(c))
                for i, (c, end) in enumerate(zip(self.cubes, ends, strict=True))
            ]
        return [_take(c, r) for c, r in zip(self.cubes, rows, strict=True)]

    def _draw(self, rng: np.random.Generator, labels: np.ndarray, n: int) -> np.ndarray:
        rows = rng.integers(len(labels), size=n)
        cells, others = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        if self.recipe.cell_fraction is not None and len(cells) and len(others):
            take = rng.random(n) < self.recipe.cell_fraction
            rows = np.where(take, rng.choice(cells, n), rng.choice(others, n))
        return rows


class InOrder(Dataset):
    """All cubes of several data sets as the runtime cuts them, none augmented.

    An item holds the number of its data set, cubes (n, C, z, y, x) float32 on the network's
    grid, raw intensities, and labels (n,) int64.
    """

    def __init__(self, cubes: Sequence[LabelledCubes], batch_size: int):
        self.cubes = cubes
        self.places = [
            (i, slice(start, start + batch_size))
            for i, c in enumerate(cubes)
            for start in range(0, len(c), batch_size)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> tuple[int, torch.Tensor, torch.Tensor]:
        i, rows = self.places[place]
        cubes = self.cubes[i]
        return i, torch.from_numpy(cubes.cubes(rows)), torch.from_numpy(cubes.labels[rows])


def _take(cubes: LabelledCubes, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    crops = torch.from_numpy(cubes.crops[rows].astype(np.float32))
    return crops, torch.from_numpy(cubes.labels[rows])
