"""Live curation: the model learns from each label, and the labels are on the disk at once."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.labelling import SKIPPED, LabellingSession
from ...runtime.points import CELL, NO_CELL
from ...runtime.results import Results
from ..curation import Curation


class LiveCuration(Curation):
    """A curation whose probabilities are those that the labels so far have taught.

    The labels belong to the candidates, not to a layer: copies of it, and whoever classifies the
    same candidates again, share them.

    Parameters
    ----------
    results : Results
        The model's answers without any label.
    threshold : float
        The model's own, until there is an estimate.
    volumes, voxel_size
        As for `Curation`.
    session : LabellingSession
    """

    def __init__(
        self,
        results: Results,
        threshold: float,
        volumes: Sequence[Any],
        voxel_size: tuple[float, float, float],
        session: LabellingSession,
    ):
        super().__init__(results, threshold, volumes, voxel_size)
        self.session = session
        self._untaught, self._own_threshold = results, threshold
        self._follows = True  # whether the threshold is the estimate's
        self._take_over()

    def copy(self) -> "LiveCuration":
        """Return a curation with its own threshold and the same labels."""
        duplicate = LiveCuration(
            self._untaught, self._own_threshold, self.volumes, self.voxel_size, self.session
        )
        duplicate.threshold, duplicate._follows = self.threshold, self._follows
        return duplicate

    def move_threshold(self, threshold: float) -> None:
        """Move the threshold, which then no longer follows the estimate."""
        super().move_threshold(threshold)
        self._follows = False

    def refresh(self) -> None:
        """Take over labels that another layer has given."""
        if not self.session.is_current:
            self.session.refresh()
            self._take_over()

    def next(self, current: int | None = None, among: np.ndarray | None = None) -> int | None:
        """Return the candidate whose label helps most; ``current`` is skipped for good."""
        if current is not None and current not in self.session.types:
            self.session.answer([current], SKIPPED)
        return self.session.suggest(None if among is None or among.all() else among)

    def mark(self, rows: Sequence[int], label: int) -> int:
        """Label classified candidates, and teach the model; see `Curation.mark`.

        Raises
        ------
        InputError, EnvironmentProblem
            The labels could not be written; nothing has changed then.
        """
        index = [row for row in sorted(rows) if self.classified[row]]
        self.session.answer(index, label)
        self._take_over()
        return len(index)

    def undo(self) -> list[int]:
        """Undo the last `mark` or skip, also of an earlier visit, and return its candidates."""
        rows = self.session.undo()
        if rows:
            self._take_over()
        return rows

    def take(self, steps: Sequence[tuple[int, int]]) -> int:
        """Take the labels of a file; see `LabellingSession.take`."""
        count = self.session.take(steps)
        self._take_over()
        return count

    def remarks(self) -> list[str]:
        """Return what to say of the results, and that labels have come back."""
        history = self.session.history
        remarks = super().remarks()
        if history.steps:
            count = len(self.session.labels.rows)
            remarks.append(f"Your {count} labels of an earlier visit are back.")
        return remarks

    def _take_over(self) -> None:
        """Take labels, probabilities and threshold from the session."""
        session, before = self.session, self._untaught
        self.labels = np.zeros(len(before.types), np.int8)
        for row, kind in session.types.items():
            self.labels[row] = kind
        self.labels[before.types == 0] = 0
        estimate = session.estimate
        if self._follows:
            self.threshold = round(estimate.threshold, 3) if estimate else self._own_threshold
        self.results = before
        if len(session.labels.rows):
            probability = np.where(before.types != 0, session.probability, np.float32(np.nan))
            types = np.where(probability >= float(self.threshold), CELL, NO_CELL)
            types = np.where(before.types != 0, types, 0).astype(np.int8)
            self.results = dataclasses.replace(before, probability=probability, types=types)
