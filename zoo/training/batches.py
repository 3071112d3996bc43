"""Random batches for training and ordered batches for validation.

A training batch depends on the seed, the epoch, the step and the process alone, never on earlier
batches, so a training that was killed continues as if it had not been.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from ..data import LabelledCubes
from ..recipe import Recipe

Batch = list[tuple[torch.Tensor, torch.Tensor]]


class TrainingBatches(Dataset):
    """Random batches of one epoch.

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
            rows = [self._draw_rows(rng, c.labels, n) for c in self.cubes]
        else:
            pool = np.concatenate([c.labels for c in self.cubes])
            pool_rows = self._draw_rows(rng, pool, self.recipe.batch_size)
            ends = np.cumsum([len(c) for c in self.cubes])
            dataset = np.searchsorted(ends, pool_rows, side="right")
            rows = [
                pool_rows[dataset == i] - (end - len(c))
                for i, (c, end) in enumerate(zip(self.cubes, ends, strict=True))
            ]
        return [_take_rows(c, r) for c, r in zip(self.cubes, rows, strict=True)]

    def _draw_rows(self, rng: np.random.Generator, labels: np.ndarray, n: int) -> np.ndarray:
        rows = rng.integers(len(labels), size=n)
        cells, no_cells = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        if self.recipe.cell_fraction is not None and len(cells) and len(no_cells):
            is_cell = rng.random(n) < self.recipe.cell_fraction
            rows = np.where(is_cell, rng.choice(cells, n), rng.choice(no_cells, n))
        return rows


class ValidationBatches(Dataset):
    """Cubes of several data sets in order, cut as the runtime cuts them, not augmented.

    An item holds the index of its data set, cubes (n, C, z, y, x) float32 on the network's
    grid, raw intensities, and labels (n,) int64.

    Parameters
    ----------
    cubes : sequence of LabelledCubes
        Of each, all cubes are taken.
    batch_size : int
    samples : sequence of LabelledCubes
        Further data sets, of each of which at most ``limit`` cubes are taken, evenly spread.
    limit : int
    """

    def __init__(
        self,
        cubes: Sequence[LabelledCubes],
        batch_size: int,
        samples: Sequence[LabelledCubes] = (),
        limit: int = 0,
    ):
        self.cubes = [*cubes, *samples]
        counts = [*map(len, cubes), *(min(len(c), limit) for c in samples)]
        self.batches = []
        for dataset, (c, count) in enumerate(zip(self.cubes, counts, strict=True)):
            rows = np.linspace(0, len(c) - 1, count).astype(np.int64)
            parts = range(0, count, batch_size)
            self.batches += [(dataset, rows[start : start + batch_size]) for start in parts]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor, torch.Tensor]:
        dataset, rows = self.batches[index]
        cubes = self.cubes[dataset]
        return dataset, torch.from_numpy(cubes.cubes(rows)), torch.from_numpy(cubes.labels[rows])


def _take_rows(cubes: LabelledCubes, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    crops = torch.from_numpy(cubes.crops[rows].astype(np.float32))
    return crops, torch.from_numpy(cubes.labels[rows])
