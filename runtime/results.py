"""Results of a run: the class of each point, or the reason for none, and the files that hold them.

The CSV file holds every point. The XML and YAML files are for cellfinder, brainmapper and napari,
where a point needs a type; they leave out the points that were not classified.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from .errors import EnvironmentProblem, InputError
from .files import atomic_write
from .points import CELL, NO_CELL, Points

_CHUNK = 1 << 14  # points formatted at a time
_Coordinates = list[int] | list[str]
# x, y, z, type, probability (text), flag, uncertainty (text; "" if there is none).
_Columns = tuple[
    _Coordinates, _Coordinates, _Coordinates, list[int], list[str], list[int], list[str]
]


class Flag(IntEnum):
    """Outcome of a point: classified normally or at an edge, or the reason why it was not."""

    OK = 0
    EDGE = 1
    """Classified on a cube that extends beyond the volume and is padded by repeating its faces."""
    DROPPED = 2
    """Not classified: its cube extends beyond the volume; cellfinder drops such points as well."""
    OUTSIDE = 3
    """Not classified: the point lies outside the volume."""
    NAN = 4
    """Not classified: its cube holds NaN or infinite voxels."""
    ABSENT = 5
    """Not classified: no file holds the voxel at the point, such as a missing chunk of a zarr, or
    the cube reaches into such voxels although the data beside them go on."""

    @property
    def text(self) -> str:
        """Text of the flag in files: ``""`` for OK, otherwise the name in lower case."""
        return "" if self is Flag.OK else self.name.lower()


CLASSIFIED = (Flag.OK, Flag.EDGE)
UNCLASSIFIED = (Flag.DROPPED, Flag.OUTSIDE, Flag.NAN, Flag.ABSENT)


@dataclass(frozen=True)
class Results:
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
    notes : tuple of str
        Signs that the model does not suit the volume, a sentence or two each.

    Raises
    ------
    ValueError
        The arrays' shapes or types do not match, or a point has neither a class nor a reason.
    """

    zyx: np.ndarray
    types: np.ndarray
    probability: np.ndarray
    flags: np.ndarray
    uncertainty: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.zyx)
        layout: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "zyx": ((n, 3), np.float64),
            "types": ((n,), np.int8),
            "probability": ((n,), np.float32),
            "flags": ((n,), np.uint8),
        }
        if self.uncertainty is not None:
            layout["uncertainty"] = ((n,), np.float32)
        for name, (shape, dtype) in layout.items():
            array: np.ndarray = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {dtype} {shape}")
        classified = np.isin(self.types, (NO_CELL, CELL)) & np.isin(self.flags, CLASSIFIED)
        classified &= (self.probability >= 0) & (self.probability <= 1)
        unclassified = (self.types == 0) & np.isin(self.flags, UNCLASSIFIED)
        unclassified &= np.isnan(self.probability)
        if not (is_valid := classified | unclassified).all():
            i = int(np.argmin(is_valid))
            raise ValueError(
                f"point {i} has type {self.types[i]}, probability {self.probability[i]}, flag "
                f"{self.flags[i]}; expected a class with its probability, or a reason for none"
            )

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
        writers = {".csv": write_csv, ".xml": write_xml, ".yml": write_yaml, ".yaml": write_yaml}
        suffix = Path(path).suffix.lower()
        if suffix not in writers:
            raise InputError(f"{str(path)!r} has an unknown suffix; expected .csv, .xml or .yml.")
        writers[suffix](path, self)

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


def write_csv(path: str | Path, results: Results) -> None:
    """Write all points, in order, to a CSV file.

    Its columns are ``x,y,z,type,probability,flag``, and ``uncertainty`` for an ensemble. Type,
    probability and uncertainty of a point that was not classified are empty. Coordinates (voxels)
    and probabilities are the shortest texts that read back as the same float64 and float32.

    Parameters
    ----------
    path : str or Path
    results : Results

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    types = {0: "", NO_CELL: str(NO_CELL), CELL: str(CELL)}
    flags = {int(flag): flag.text for flag in Flag}
    with atomic_write(path) as file:
        has_uncertainty = results.uncertainty is not None
        file.write(f"x,y,z,type,probability,flag{',uncertainty' if has_uncertainty else ''}\n")
        for columns in _chunks(results, np.arange(len(results.types))):
            file.writelines(
                f"{a},{b},{c},{types[t]},{p if t else ''},{flags[f]}"
                + (f",{u if t else ''}\n" if has_uncertainty else "\n")
                for a, b, c, t, p, f, u in zip(*columns, strict=True)
            )


def write_xml(path: str | Path, results: Results) -> None:
    """Write the classified points as cellfinder's XML: first no cells, then cells, each in order.

    brainglobe-utils writes coordinates below 1 as 1; this function keeps them, and
    brainglobe-utils can read them. Fractions are kept too; brainglobe-utils and cellfinder
    truncate them on reading.

    Parameters
    ----------
    path : str or Path
    results : Results

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    with atomic_write(path) as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            "<CellCounter_Marker_File>\n"
            "  <Image_Properties>\n"
            "    <Image_Filename>placeholder.tif</Image_Filename>\n"
            "  </Image_Properties>\n"
            "  <Marker_Data>\n"
            "    <Current_Type>1</Current_Type>\n"
        )
        for point_type in (NO_CELL, CELL):
            rows = np.flatnonzero(results.types == point_type)
            if not len(rows):
                continue
            file.write(f"    <Marker_Type>\n      <Type>{point_type}</Type>\n")
            for x, y, z, *_ in _chunks(results, rows):
                file.writelines(
                    "      <Marker>\n"
                    f"        <MarkerX>{a}</MarkerX>\n"
                    f"        <MarkerY>{b}</MarkerY>\n"
                    f"        <MarkerZ>{c}</MarkerZ>\n"
                    "      </Marker>\n"
                    for a, b, c in zip(x, y, z, strict=True)
                )
            file.write("    </Marker_Type>\n")
        file.write("  </Marker_Data>\n</CellCounter_Marker_File>\n")


def write_yaml(path: str | Path, results: Results) -> None:
    """Write the classified points as brainglobe-utils' YAML, in order.

    The ``metadata`` of a point hold its probability, and its uncertainty and flag if it has any.
    brainglobe-napari-io shows them as features of the layer.

    Parameters
    ----------
    path : str or Path
    results : Results

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    rows = np.flatnonzero(results.types)
    flags = {int(flag): f"      flag: {flag.text}\n" if flag else "" for flag in Flag}
    with atomic_write(path) as file:
        file.write(f"CellCounter_Marker_File: true\nnum_candidates: {len(rows)}\n")
        file.write("candidate_cells:\n" if len(rows) else "candidate_cells: []\n")
        uncertainty = "" if results.uncertainty is None else "      uncertainty: {}\n"
        for columns in _chunks(results, rows):
            file.writelines(
                f"  - x: {a}\n    y: {b}\n    z: {c}\n    type: {t}\n    metadata:\n"
                f"      probability: {p}\n{uncertainty.format(u)}{flags[f]}"
                for a, b, c, t, p, f, u in zip(*columns, strict=True)
            )


def _chunks(results: Results, rows: np.ndarray) -> Iterator[_Columns]:
    """Yield the columns of some rows, a chunk of rows at a time."""
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        z, y, x = (_format_coordinates(axis) for axis in results.zyx[chunk].T)
        # str of a float32 is the shortest text that reads back as the same number.
        probability = [str(p) for p in results.probability[chunk]]
        uncertainty = [""] * len(chunk)
        if results.uncertainty is not None:
            uncertainty = [str(u) for u in results.uncertainty[chunk]]
        types, flags = results.types[chunk].tolist(), results.flags[chunk].tolist()
        yield x, y, z, types, probability, flags, uncertainty


def _format_coordinates(values: np.ndarray) -> _Coordinates:
    """Return coordinates as they are written: whole numbers as ints, as cellfinder does."""
    if np.all(values == np.trunc(values)) and np.all(np.abs(values) < 2**53):
        return values.astype(np.int64).tolist()  # ten times as fast
    return [repr(v).removesuffix(".0") for v in (values + 0.0).tolist()]  # + 0.0 for -0.0
