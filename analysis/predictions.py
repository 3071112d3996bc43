"""Predictions: the table of answers to labelled candidates that all measures come from."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..runtime.errors import InputError
from ..runtime.files import atomic_write
from .measures import measure

_RUN = re.compile(r":\d+$")
_FIXED = ("dataset", "x", "y", "z", "edge", "label")


@dataclass(frozen=True)
class Predictions:
    """Labelled candidates of one or more data sets, and each model's answers to them.

    Attributes
    ----------
    names : tuple of str
        Names of the data sets.
    dataset : (N,) int64
        Index into ``names``.
    zyx : (N, 3) float64, z y x, voxels
    edge : (N,) bool
        The candidate lies near a face; its cube is padded.
    labels : (N,) int64
        1 cell, 0 no cell.
    margin : mapping of str to (R, N) float64
        Model -> logit of a cell less that of no cell, for each of its R runs (trainings with
        different seeds; one for an artifact).
    """

    names: tuple[str, ...]
    dataset: np.ndarray
    zyx: np.ndarray
    edge: np.ndarray
    labels: np.ndarray
    margin: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, name: str) -> np.ndarray:
        """Return the indices of the candidates of a data set, (n,) int64."""
        return np.flatnonzero(self.dataset == self.names.index(name))

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Return data set -> number of ``cells`` and of ``no_cells``."""
        return {
            name: {"cells": int((part == 1).sum()), "no_cells": int((part == 0).sum())}
            for name in self.names
            for part in [self.labels[self.rows(name)]]
        }

    def can_leave_one_out(self) -> bool:
        """Return whether both classes remain, whichever of several data sets is left out."""
        groups = np.unique(self.dataset)
        parts = [self.labels[self.dataset != group] for group in groups]
        return len(groups) > 1 and all(0 < part.sum() < len(part) for part in parts)

    def mean_measures(
        self, margin: np.ndarray, threshold: float, measures: Iterable[str]
    ) -> dict[str, float]:
        """Average measures of some margins over the data sets that have them.

        Parameters
        ----------
        margin : (N,) float
            Logit of a cell less that of no cell.
        threshold : float
            Probability from which a candidate is a cell.
        measures : iterable of str
            Names in `cfzoo.analysis.measures.MEASURES`; one that no data set has is left out.
        """
        rows = [
            measure(self.labels[part], margin[part], threshold)
            for part in map(self.rows, self.names)
        ]
        values = {key: [row[key] for row in rows if key in row] for key in measures}
        return {key: float(np.mean(column)) for key, column in values.items() if column}


def check_classes(predictions: Predictions) -> None:
    """Check that there are both cells and no cells; raise an `InputError` otherwise."""
    cells = int(predictions.labels.sum())
    if not 0 < cells < len(predictions):
        raise InputError(
            f"The data have {cells} cells and {len(predictions) - cells} no cells; expected at "
            "least one of each."
        )


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write a CSV table: dataset, x, y, z, edge, label, and a column ``MODEL:RUN`` for each run.

    Coordinates (voxels) and margins (logits) are rounded to six digits.
    """
    columns = {
        f"{name}:{run}": margin
        for name, runs in predictions.margin.items()
        for run, margin in enumerate(runs)
    }
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_FIXED, *columns])
        for i, (z, y, x) in enumerate(predictions.zyx):
            fixed = [predictions.names[predictions.dataset[i]], f"{x:g}", f"{y:g}", f"{z:g}"]
            fixed += [int(predictions.edge[i]), int(predictions.labels[i])]
            writer.writerow([*fixed, *(f"{margin[i]:.6g}" for margin in columns.values())])


def read_predictions(path: str | Path) -> Predictions:
    """Read a table that `write_predictions` or another program wrote.

    Raises
    ------
    InputError
        The file is not such a table.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The predictions {str(path)!r} cannot be read ({error}).") from None
    if tuple(header[:6]) != _FIXED or len(header) < 7 or not lines:
        raise InputError(
            f"{path} begins with {','.join(header)!r:.80}; expected {','.join(_FIXED)} and then "
            "columns MODEL:RUN, with a line for each candidate."
        )
    if repeated := [title for title in header if header.count(title) > 1]:
        raise InputError(f"{path} has two columns {repeated[0]!r}; expected each once.")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise InputError(
                f"{path}, line {number} has {len(line)} values; expected {len(header)}."
            )
    names = tuple(dict.fromkeys(line[0] for line in lines))
    try:
        numbers = np.array([line[1:] for line in lines], np.float64)
    except ValueError as error:
        raise InputError(
            f"{path} holds a value that is not a number ({error}); expected numbers in all columns "
            "but the first."
        ) from None
    if not np.isin(numbers[:, 3:5], (0, 1)).all() or not np.isfinite(numbers).all():
        raise InputError(
            f"{path} has an edge or label that is not 0 or 1, or a missing or infinite number; "
            "expected 0 or 1 for edge and label, and finite numbers."
        )
    margin: dict[str, list[np.ndarray]] = {}
    for column, title in enumerate(header[6:], 5):
        margin.setdefault(_RUN.sub("", title), []).append(numbers[:, column])
    return Predictions(
        names=names,
        dataset=np.array([names.index(line[0]) for line in lines]),
        zyx=np.ascontiguousarray(numbers[:, 2::-1]),
        edge=numbers[:, 3] == 1,
        labels=numbers[:, 4].astype(np.int64),
        margin={name: np.stack(runs) for name, runs in margin.items()},
    )
