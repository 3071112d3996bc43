"""The labelling session: labels of one volume's candidates, and what a model learns from them.

Whoever shows candidates to a person needs no more: a session says which to show, takes the answer,
and then has the probabilities of all candidates, the estimate of their quality and whether the
labels are enough. Its learner, selection and estimate are those of `cfzoo adapt`, so the artifact
that it makes is the one that the command makes of the same labels.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..adapt import (
    LEAST_PER_CLASS,
    Adaptation,
    Embedding,
    Estimate,
    Labels,
    choose_next,
    estimate_quality,
    logistic,
    make_adaptation,
    make_pool,
)
from ..artifact import Artifact
from ..errors import InputError
from ..files import atomic_write
from ..points import CELL, NO_CELL
from .history import History, Step
from .quality import Verdict, judge

RETRACED = 10  # points of the curve of labels that came all at once
AHEAD = 20  # candidates to look for one that may be chosen


class LabellingSession:
    """Labels of candidates, one after the other, and the head that they teach.

    Parameters
    ----------
    artifact : Artifact
        The model to teach, with a head.
    embedding : Embedding
        Of one volume.
    history : History
        The labels so far; each answer is kept by it before anything else happens.
    zyx : (N, 3) float64, z y x, voxels
        Positions of the candidates, for files.
    name : str
        Of the volume, for the card of an artifact.

    Attributes
    ----------
    lesson : Lesson
        The head that the labels have taught.
    margins : (N,) float32
        Its logits of all candidates; NaN for those without features.
    curve : dict of int to Estimate
        The estimates by the number of labels behind them, rising.
    """

    def __init__(
        self,
        artifact: Artifact,
        embedding: Embedding,
        history: History,
        zyx: np.ndarray,
        name: str = "",
    ):
        self.artifact, self.embedding, self.history = artifact, embedding, history
        self.zyx, self.name = zyx, name
        self._standard = embedding.tables[0]
        self._has_features = np.asarray(np.isfinite(self._standard).all(axis=1))
        self._pool = make_pool(self._standard, embedding.scale)
        self.curve: dict[int, Estimate] = {}
        self._labels = Labels(np.zeros(0, np.int64), np.zeros(0, bool), "")
        self.refresh()

    def refresh(self) -> None:
        """Fit the head again, if the history has changed: here or through another session."""
        before = len(self._labels.rows)
        self._revision = self.history.revision
        self._types, labels = self.history.types(), self.history.labels()
        is_usable: np.ndarray = self._has_features[labels.rows]  # another model may have had more
        self._labels = Labels(labels.rows[is_usable], labels.cells[is_usable], labels.source)
        self.lesson = self.embedding.fit([self._labels])
        self.margins = self.lesson.margin(self._standard)
        self._assess(before)

    @property
    def is_current(self) -> bool:
        """Whether the history is the one that the head was fitted to."""
        return self._revision == self.history.revision

    @property
    def labels(self) -> Labels:
        """The labels so far, without the skipped, in the order of their first steps."""
        return self._labels

    @property
    def types(self) -> dict[int, int]:
        """The last answer to each candidate: 2 cell, 1 no cell, 0 skipped."""
        return self._types

    @property
    def probability(self) -> np.ndarray:
        """Probability of a cell of each candidate, (N,) float32; NaN without features."""
        return logistic(self.margins)

    @property
    def estimate(self) -> Estimate | None:
        """What to expect on the other candidates; None with fewer than two labels of a class."""
        return self.curve.get(len(self._labels.rows))

    @property
    def verdict(self) -> Verdict:
        """Whether the labels are enough."""
        counts = self._labels.counts()
        return judge(list(self.curve.values()), counts["cells"], counts["no_cells"])

    def answer(self, rows: Iterable[int], kind: int) -> None:
        """Take the answer to some candidates, and fit the head again.

        Parameters
        ----------
        rows : iterable of int
            Candidates with features.
        kind : int
            2 cell, 1 no cell, 0 skipped.

        Raises
        ------
        InputError, EnvironmentProblem
            A candidate has no features, or the answer could not be written; nothing has changed
            then.
        """
        rows = [int(row) for row in rows]
        for row in rows:
            if not self._has_features[row]:
                raise InputError(
                    f"Candidate {row + 1} was not classified, so its label would teach nothing. "
                    "Label another one."
                )
        self.history.add(rows, int(kind))
        self.refresh()

    def take(self, steps: Sequence[Step]) -> int:
        """Take steps of another session that change something, as one; return how many do.

        Raises
        ------
        InputError, EnvironmentProblem
            As for `answer`.
        """
        last = {row: kind for row, kind in steps if self._has_features[row]}
        new = [(row, kind) for row, kind in last.items() if self._types.get(row) != kind]
        self.history.extend(new)
        self.refresh()
        return len(new)

    def undo(self) -> list[int]:
        """Take the last answer back; return its candidates, an empty list if there is none."""
        rows = self.history.undo()
        if rows:
            self.refresh()
        return rows

    def suggest(self, among: np.ndarray | None = None) -> int | None:
        """Return the candidate whose label helps most; None if all have an answer.

        Parameters
        ----------
        among : (N,) bool, optional
            Mask of the candidates to choose from.
        """
        done = list(self._types)
        for count in (1,) if among is None else (1, AHEAD):
            ranked = choose_next(
                self._pool, self._standard, self.lesson, done, self._labels.cells, count
            )
            if among is not None:
                ranked = ranked[among[ranked]]
            if len(ranked):
                return int(ranked[0])
        # The pool is smaller than the volume: the most doubtful of the others.
        is_open = self._has_features.copy()
        is_open[done] = False
        if among is not None:
            is_open &= among
        rows = np.flatnonzero(is_open)
        return int(rows[np.argmin(np.abs(self.margins[rows]))]) if len(rows) else None

    def save_labels(self, path: str | Path) -> None:
        """Write the labels as a table that `cfzoo adapt --labels` reads.

        Raises
        ------
        InputError, EnvironmentProblem
            See `cfzoo.runtime.files.atomic_write`.
        """
        with atomic_write(path) as file:
            file.write("x,y,z,type,number\n")
            for row, is_cell in zip(self._labels.rows, self._labels.cells, strict=True):
                xyz: list[float] = self.zyx[row, ::-1].tolist()
                position = ",".join(str(int(v)) if v.is_integer() else repr(v) for v in xyz)
                file.write(f"{position},{CELL if is_cell else NO_CELL},{row + 1}\n")

    def adapt(self, name: str = "", version: str = "", source: str = "") -> Adaptation:
        """Make the artifact that the labels have taught; see `cfzoo.runtime.adapt.adapt`.

        It may run in another thread: what it needs is taken at once.

        Raises
        ------
        InputError
            There are fewer than two labels of a class.
        EnvironmentProblem
            The new artifact cannot be run on this computer.
        """
        return make_adaptation(
            self.artifact,
            self.embedding,
            [self._labels],
            [self.name],
            name=name,
            version=version,
            source=source,
        )

    def _assess(self, before: int) -> None:
        """Add the estimate of the head to the curve, and forget those of labels taken back.

        Where many labels have come at once, such as those of an earlier visit, the curve is drawn
        again at a few points.
        """
        n = len(self._labels.rows)
        self.curve = {count: each for count, each in self.curve.items() if count < n}
        if not self.curve and n > before + 1:
            for part in range(1, RETRACED):
                self._add_estimate(part * n // RETRACED)
        self._add_estimate(n)

    def _add_estimate(self, count: int) -> None:
        rows, cells = self._labels.rows[:count], self._labels.cells[:count]
        if min(cells.sum(), (~cells).sum()) < LEAST_PER_CLASS:
            return
        lesson, margins = self.lesson, self.margins
        if count < len(self._labels.rows):
            lesson = self.embedding.fit([Labels(rows, cells, "")])
            margins = lesson.margin(self._standard)
        prior, scale = self.embedding.prior, self.embedding.scale
        estimate = estimate_quality(lesson, self._standard[rows], cells, prior, scale, margins)
        assert estimate is not None  # as the counts are
        self.curve[count] = estimate
