"""Curation of classified candidates: a threshold that can move, and labels by hand."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runtime.points import CELL, NO_CELL, Points
from ..runtime.results import Results


class Curation:
    """Types of candidates by a movable threshold, and labels that take precedence over it.

    Parameters
    ----------
    results : Results
        The model's answers, which are never changed.
    threshold : float
        A candidate is a cell from this probability on, between 0 and 1.
    volumes : sequence of arrays (z, y, x)
        Signal, and background if the model used it; training cubes are cut from these.
    voxel_size : (z, y, x), um
    hint : str
        Why labels do not teach the model, if there is more to say than that it has no head.

    Attributes
    ----------
    labels : (N,) int8
        Labels by hand: 2 cell, 1 no cell, 0 none.
    """

    def __init__(
        self,
        results: Results,
        threshold: float,
        volumes: Sequence[Any] = (),
        voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0),
        hint: str = "",
    ):
        self.results = results
        self.threshold = threshold
        self.volumes = tuple(volumes)
        self.voxel_size = voxel_size
        self.hint = hint
        self.labels = np.zeros(len(results.types), np.int8)
        self._skipped = np.zeros(len(results.types), bool)
        self._history: list[tuple[np.ndarray, np.ndarray]] = []

    def copy(self) -> "Curation":
        """Return a curation of the same results with its own labels and threshold."""
        duplicate = Curation(self.results, self.threshold, self.volumes, self.voxel_size, self.hint)
        duplicate.labels, duplicate._skipped = self.labels.copy(), self._skipped.copy()
        duplicate._history = list(self._history)  # its entries are never changed
        return duplicate

    @property
    def classified(self) -> np.ndarray:
        """Mask (N,) bool of the candidates with a probability; only these can have a label."""
        return self.results.types != 0

    @property
    def types(self) -> np.ndarray:
        """Types (N,) int8 by label or else by threshold: 2 cell, 1 no cell, 0 not classified."""
        # float, since np.float64 would widen the comparison, unlike in the runtime.
        cell = self.results.probability >= float(self.threshold)
        decided = np.where(cell, CELL, NO_CELL)
        decided = np.where(self.labels > 0, self.labels, decided)
        return np.where(self.classified, decided, 0).astype(np.int8)

    def to_results(self) -> Results:
        """Return the results with these types, for files."""
        return dataclasses.replace(self.results, types=self.types)

    def to_points(self, curated_only: bool, source: str) -> Points:
        """Return the labelled, or all classified, candidates with their types."""
        rows = np.flatnonzero(self.labels if curated_only else self.types)
        return Points(self.results.zyx[rows], self.types[rows].astype(np.int16), source)

    def move_threshold(self, threshold: float) -> None:
        """Move the threshold, to three digits."""
        self.threshold = round(threshold, 3)

    def refresh(self) -> None:
        """Take over what another layer has changed: nothing, as labels are a layer's own."""

    def remarks(self) -> list[str]:
        """Return what to say of the results, a sentence or two each."""
        results = self.results
        shifts = [shift.sentence for shift in results.shifts.values()]
        return [*shifts, *results.notes, *filter(None, [self.hint])]

    def next(self, current: int | None = None, among: np.ndarray | None = None) -> int | None:
        """Return the candidate without a label whose probability is nearest the threshold.

        Parameters
        ----------
        current : int, optional
            Candidate to skip; skipped candidates return when no others remain.
        among : (N,) bool, optional
            Mask of the candidates to choose from.

        Returns
        -------
        int, or None if all have labels
        """
        unlabelled = self.classified & (self.labels == 0)
        if among is not None:
            unlabelled &= among
        if current is not None:
            self._skipped[current] = True
        if not np.any(unlabelled & ~self._skipped):
            self._skipped[:] = False
        rows = np.flatnonzero(unlabelled & ~self._skipped)
        if not len(rows):
            return None
        distance = np.abs(self.results.probability[rows] - self.threshold)
        return int(rows[np.argmin(distance)])

    def mark(self, rows: Sequence[int], label: int) -> int:
        """Label classified candidates 2 (cell) or 1 (no cell); return how many were labelled."""
        index = np.array(sorted(rows), np.int64)
        index = index[self.classified[index]]
        if len(index):
            self._history.append((index, self.labels[index]))
            self.labels[index] = label
        return len(index)

    def undo(self) -> list[int]:
        """Undo the last `mark` and return its candidates; an empty list if there is none."""
        if not self._history:
            return []
        rows, before = self._history.pop()
        self.labels[rows] = before
        self._skipped[rows] = False
        return rows.tolist()
