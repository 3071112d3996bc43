"""What a model and a person make of candidates: probabilities, a threshold, labels by hand."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runtime.points import CELL, NO_CELL, Points
from ..runtime.results import Results


class Curation:
    """Types of candidates under a threshold that may move, and labels that win over it.

    Parameters
    ----------
    results : Results
        As the model gave them; they stay as they are.
    threshold : float
        A candidate is a cell from this probability on, between 0 and 1.
    volumes : sequence of arrays (z, y, x)
        Signal, and background where the model took it: where cubes are cut from.
    voxel_size : (z, y, x), um

    Attributes
    ----------
    labels : (N,) int8
        By hand: 2 cell, 1 no cell, 0 none.
    """

    def __init__(
        self,
        results: Results,
        threshold: float,
        volumes: Sequence[Any] = (),
        voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ):
        self.results = results
        self.threshold = threshold
        self.volumes = tuple(volumes)
        self.voxel_size = voxel_size
        self.labels = np.zeros(len(results.types), np.int8)
        self._skipped = np.zeros(len(results.types), bool)
        self._history: list[tuple[np.ndarray, np.ndarray]] = []

    def copy(self) -> "Curation":
        """One with labels and a threshold of its own, of the same results."""
        other = Curation(self.results, self.threshold, self.volumes, self.voxel_size)
        other.labels, other._skipped = self.labels.copy(), self._skipped.copy()
        other._history = list(self._history)  # what it holds is never changed
        return other

    @property
    def classified(self) -> np.ndarray:
        """(N,) bool: which candidates have a probability; only they can have a label."""
        return self.results.types != 0

    @property
    def types(self) -> np.ndarray:
        """(N,) int8: 2 cell, 1 no cell, 0 not classified, by label or else by threshold."""
        # float, since an np.float64 would widen the comparison and differ from the runtime's.
        cell = self.results.probability >= float(self.threshold)
        decided = np.where(cell, CELL, NO_CELL)
        decided = np.where(self.labels > 0, self.labels, decided)
        return np.where(self.classified, decided, 0).astype(np.int8)

    def to_results(self) -> Results:
        """The results with these types, for files."""
        return dataclasses.replace(self.results, types=self.types)

    def to_points(self, curated_only: bool, source: str) -> Points:
        """The labelled candidates, or all that are classified, with their types."""
        rows = np.flatnonzero(self.labels if curated_only else self.types)
        return Points(self.results.zyx[rows], self.types[rows].astype(np.int16), source)

    def next(self, current: int | None = None, among: np.ndarray | None = None) -> int | None:
        """The candidate without a label whose probability is nearest the threshold.

        Parameters
        ----------
        current : int, optional
            One that is passed over; such come again when there is no other.
        among : (N,) bool, optional
            Only of these.

        Returns
        -------
        int, or None when all have labels
        """
        open_ = self.classified & (self.labels == 0)
        if among is not None:
            open_ &= among
        if current is not None:
            self._skipped[current] = True
        if not np.any(open_ & ~self._skipped):
            self._skipped[:] = False
        rows = np.flatnonzero(open_ & ~self._skipped)
        if not len(rows):
            return None
        distance = np.abs(self.results.probability[rows] - self.threshold)
        return int(rows[np.argmin(distance)])

    def mark(self, rows: Sequence[int], label: int) -> int:
        """Label candidates by hand, 2 cell or 1 no cell; the number of those that could be."""
        chosen = np.array(sorted(rows), np.int64)
        chosen = chosen[self.classified[chosen]]
        if len(chosen):
            self._history.append((chosen, self.labels[chosen]))
            self.labels[chosen] = label
        return len(chosen)

    def undo(self) -> list[int]:
        """Take the last `mark` back; the candidates that it was about, none when there is none."""
        if not self._history:
            return []
        rows, before = self._history.pop()
        self.labels[rows] = before
        self._skipped[rows] = False
        return rows.tolist()
