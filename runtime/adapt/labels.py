"""Labels: which candidates of a volume a person has called cells, and which not."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..points import CELL, NO_CELL, Points, format_position

UNLABELLED = 0  # type of a point without one


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the candidates of one volume, in the order of their file.

    Attributes
    ----------
    rows : (n,) int64
        Rows of the labelled candidates, each once.
    cells : (n,) bool
        Whether each is a cell.
    source : str
    """

    rows: np.ndarray
    cells: np.ndarray
    source: str

    def counts(self) -> dict[str, int]:
        """Return the numbers of labels of each class."""
        cells = int(self.cells.sum())
        return {"cells": cells, "no_cells": len(self.cells) - cells}


def match_labels(candidates: Points, labels: Points | None = None) -> Labels:
    """Find the candidate of each label.

    Parameters
    ----------
    candidates : Points
    labels : Points, optional
        Points of type 2, a cell, or 1, no cell, at the positions of candidates; by default the
        candidates with these types. Those without a type are no labels.

    Returns
    -------
    Labels

    Raises
    ------
    InputError
        A label has another type or lies at no candidate, or a position has both.
    """
    points = candidates if labels is None else labels
    typed = np.flatnonzero(points.types != UNLABELLED)
    types = points.types[typed]
    if (others := ~np.isin(types, (CELL, NO_CELL))).any():
        row = typed[int(np.argmax(others))]
        raise InputError(
            f"{points.source}: point {row + 1} has the type {points.types[row]}; expected "
            f"{NO_CELL} for no cell, {CELL} for a cell, or none."
        )
    positions: list[list[float]] = candidates.zyx.tolist()
    row_of: dict[tuple[float, ...], int] = {}
    for row, position in enumerate(positions):
        row_of.setdefault(tuple(position), row)  # the first of several at one place
    places: list[tuple[float, ...]] = [tuple(zyx) for zyx in points.zyx[typed].tolist()]
    if missing := [i for i, place in enumerate(places) if place not in row_of]:
        raise InputError(
            f"{len(missing)} of {len(places)} labels in {points.source} lie at no candidate of "
            f"{candidates.source}; the first is number {typed[missing[0]] + 1}, "
            f"{format_position(points.zyx[typed[missing[0]]])}. Expected the positions of "
            "candidates, exactly: label points of this very file, and do not move them."
        )
    type_of: dict[int, int] = {}
    for number, place in enumerate(places):
        kind = int(types[number])
        row = row_of[place]
        if type_of.setdefault(row, kind) != kind:
            raise InputError(
                f"{points.source}: point {typed[number] + 1}, {format_position(np.array(place))}, "
                "is labelled as a cell and as no cell. Remove one of the two labels."
            )
    rows = np.array(list(type_of), np.int64)
    cells = np.array([kind == CELL for kind in type_of.values()], bool)
    return Labels(rows, cells, points.source)
