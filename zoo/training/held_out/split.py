"""Folds of the training candidates: whole data sets, or parts of the only one."""

from collections.abc import Sequence

import numpy as np

from ...data import LabelledCubes


def split_folds(cubes: Sequence[LabelledCubes], count: int) -> list[np.ndarray]:
    """Assign each candidate to a fold.

    Several data sets are never divided: cubes of one brain resemble each other more than those of
    the next. The only data set is cut into slabs along its longest axis, for each class apart, so
    that every fold has both and few neighbours lie in different ones.

    Parameters
    ----------
    cubes : sequence of LabelledCubes
        With cells and no cells among them.
    count : int
        Number of folds; fewer if there are fewer data sets, or fewer candidates of a class.

    Returns
    -------
    list of (N,) int64
        Fold of each candidate, from 0, an array per data set. All are in fold 0 if the rest of
        every other division would lack a class.
    """
    if len(cubes) > 1:
        folds = [np.full(len(c), i % count) for i, c in enumerate(cubes)]
        if _all_can_train(cubes, folds):
            return folds
    # Data sets that cannot be left out whole, such as one of cells alone, are cut as the only one.
    smallest = min(np.bincount(np.concatenate([c.labels for c in cubes]), minlength=2))
    parts = min(count, int(smallest))
    if parts < 2:
        return [np.zeros(len(c), np.int64) for c in cubes]
    return [_cut_slabs(c, parts) for c in cubes]


def _all_can_train(cubes: Sequence[LabelledCubes], folds: Sequence[np.ndarray]) -> bool:
    labels, fold = np.concatenate([c.labels for c in cubes]), np.concatenate(folds)
    rest = [labels[fold != number] for number in range(fold.max() + 1)]
    return len(rest) > 1 and all(0 < part.sum() < len(part) for part in rest)


def _cut_slabs(cubes: LabelledCubes, count: int) -> np.ndarray:
    extents = np.ptp(cubes.zyx, axis=0) * cubes.voxel_size
    position = cubes.zyx[:, int(np.argmax(extents))]
    folds = np.zeros(len(cubes), np.int64)
    for label in (0, 1):
        rows = np.flatnonzero(cubes.labels == label)
        rows = rows[np.argsort(position[rows], kind="stable")]
        folds[rows] = np.arange(len(rows)) * count // max(len(rows), 1)
    return folds
