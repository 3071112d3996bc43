"""Results of a run: the class of each point, or the reason for none.

The CSV file holds every point. The XML and YAML files are for cellfinder, brainmapper and napari,
where a point needs a type; they leave out the points that were not classified.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EnvironmentProblem, InputError
from ..points import CELL, NO_CELL, Points
from .csv_file import write_csv
from .flag import UNCLASSIFIED, Flag
from .outcomes import Outcomes
from .xml_file import write_xml
from .yaml_file import write_yaml

_WRITERS = {".csv": write_csv, ".xml": write_xml, ".yml": write_yaml, ".yaml": write_yaml}


class Results(Outcomes):
    """Classified points, one row per point in the order of the input.

    Attributes
    ----------
    zyx : (N, 3) float64, z y x, voxels
        Positions.
    types : (N,) int8
        2 for a cell, 1 for no cell, 0 if not classified.
    probability : (N,) float32
        Probability of a cell, from 0 to 1; NaN if not classified.
    flags : (N,) uint8
        Values of `Flag`.
    uncertainty : (N,) float32, optional
        Weighted standard deviation of the probabilities of an ensemble's members; NaN if not
        classified.
    columns : Columns, optional
        Further columns of the CSV file that the points come from, N rows.
    notes : tuple of str
        Signs that the model does not suit the volume, a sentence or two each.
    statistics : dict of str to FeatureStatistics or FeatureCounts
        By the digest of each artifact that standardised its features by the volume, the statistics
        that it used; of each that has intercepts, the counts that chose one. Given to `prepare`,
        they give the same answers for any part of the points.
    shifts : dict of str to Shift
        By the digest of each artifact whose card describes the features of its training, how unlike
        that training the points are.

    Raises
    ------
    ValueError
        The arrays' shapes or types do not match, or a point has neither a class nor a reason.
    """

    def to_points(self) -> Points:
        """Return the classified points with their types, in order."""
        rows = np.flatnonzero(self.types)
        return Points(self.zyx[rows], self.types[rows].astype(np.int16), "the results")

    def to_cells(self) -> list[Any]:
        """Return the classified points as brainglobe-utils' ``Cell`` objects, in order.

        Their positions are whole voxels. Their ``metadata`` hold the ``probability``, and the
        ``uncertainty`` and ``flag`` if there are any.

        Raises
        ------
        EnvironmentProblem
            brainglobe-utils is not installed.
        """
        try:
            from brainglobe_utils.cells.cells import (  # pyright: ignore[reportMissingTypeStubs]  # untyped
                Cell,
            )
        except ImportError as error:
            raise EnvironmentProblem(f"{error}: pip install brainglobe-utils.") from None
        rows = np.flatnonzero(self.types).tolist()
        return [
            Cell(self.zyx[row, ::-1].tolist(), int(self.types[row]), self.metadata(row))
            for row in rows
        ]

    def metadata(self, row: int) -> dict[str, Any]:
        """Return the probability, uncertainty and flag of a point, as metadata of a cell."""
        metadata: dict[str, Any] = {}
        if self.types[row]:
            metadata["probability"] = float(self.probability[row])
            if self.uncertainty is not None:
                metadata["uncertainty"] = float(self.uncertainty[row])
        if flag := Flag(self.flags[row]).text:
            metadata["flag"] = flag
        return metadata

    def save(self, path: str | Path) -> None:
        """Write the results to a file, in the format of its suffix.

        A .csv file holds all points; .xml and .yml files hold the classified ones.

        Raises
        ------
        InputError, EnvironmentProblem
            The suffix is not supported, or see `cfzoo.runtime.files.atomic_write`.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in _WRITERS:
            raise InputError(f"{str(path)!r} has an unknown suffix; expected .csv, .xml or .yml.")
        _WRITERS[suffix](path, self)

    def counts(self) -> dict[str, int]:
        """Count the points by outcome; cells + no_cells + not_classified = points."""
        counts = {
            "points": len(self.types),
            "cells": int(np.sum(self.types == CELL)),
            "no_cells": int(np.sum(self.types == NO_CELL)),
            "not_classified": int(np.sum(self.types == 0)),
        }
        for flag in (Flag.EDGE, *UNCLASSIFIED):
            counts[flag.text] = int(np.sum(self.flags == flag))
        return counts
