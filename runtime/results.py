"""Results of a run: the class of each point or the reason for none, and their three files.

CSV holds every point. XML and YAML are what cellfinder, brainmapper and napari read; there a
point needs a type, so points that were not classified are left out.
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


class Flag(IntEnum):
    """What is special about a point."""

    OK = 0
    EDGE = 1
    """Classified on a cube that reaches out of the volume, padded by repeating its faces."""
    DROPPED = 2
    """Not classified: its cube reaches out of the volume, and such are dropped as by cellfinder."""
    OUTSIDE = 3
    """Not classified: the point lies outside the volume."""
    NAN = 4
    """Not classified: its cube holds NaN or infinite voxels."""

    @property
    def text(self) -> str:
        """As written to files: ``""`` for OK, else the name in lower case."""
        return "" if self is Flag.OK else self.name.lower()


@dataclass(frozen=True)
class Results:
    """One row for each point, in the order of the input.

    Attributes
    ----------
    zyx : (N, 3) float64, z y x, voxels
    types : (N,) int8
        2 cell, 1 no cell, 0 not classified.
    probability : (N,) float32
        Of being a cell, 0 to 1; NaN where not classified.
    flags : (N,) uint8
        Values of `Flag`.
    uncertainty : (N,) float32, optional
        Of an ensemble: weighted standard deviation of its members' probabilities; NaN where not
        classified.

    Raises
    ------
    ValueError
        The arrays do not fit together, or a point has neither a class nor a reason.
    """

    zyx: np.ndarray
    types: np.ndarray
    probability: np.ndarray
    flags: np.ndarray
    uncertainty: np.ndarray | None = None

    def __post_init__(self):
        n = len(self.zyx)
        expected = {
            "zyx": ((n, 3), np.float64),
            "types": ((n,), np.int8),
            "probability": ((n,), np.float32),
            "flags": ((n,), np.uint8),
        }
        if self.uncertainty is not None:
            expected["uncertainty"] = ((n,), np.float32)
        for name, (shape, dtype) in expected.items():
            got = getattr(self, name)
            if got.shape != shape or got.dtype != dtype:
                raise ValueError(f"{name} is {got.dtype} {got.shape}; expected {dtype} {shape}")
        classified = np.isin(self.types, (NO_CELL, CELL)) & np.isin(
            self.flags, (Flag.OK, Flag.EDGE)
        )
        classified &= (self.probability >= 0) & (self.probability <= 1)
        unclassified = (self.types == 0) & np.isin(
            self.flags, (Flag.DROPPED, Flag.OUTSIDE, Flag.NAN)
        )
        unclassified &= np.isnan(self.probability)
        if not (good := classified | unclassified).all():
            i = int(np.argmin(good))
            raise ValueError(
                f"point {i} has type {self.types[i]}, probability {self.probability[i]}, flag "
                f"{self.flags[i]}; expected a class with its probability, or a reason for none"
            )

    def to_points(self) -> Points:
        """The classified points with their types, in order."""
        rows = np.flatnonzero(self.types)
        return Points(self.zyx[rows], self.types[rows].astype(np.int16), "the results")

    def to_cells(self) -> list[Any]:
        """The classified points as cells of brainglobe-utils, in order.

        Whole voxels, as there; ``metadata`` holds ``probability``, and ``uncertainty`` and
        ``flag`` where there is one.

        Raises
        ------
        EnvironmentProblem
            brainglobe-utils is not installed.
        """
        try:
            from brainglobe_utils.cells.cells import Cell
        except ImportError as error:
            raise EnvironmentProblem(f"{error}: pip install brainglobe-utils.") from None
        rows = np.flatnonzero(self.types).tolist()
        return [
            Cell(self.zyx[row, ::-1].tolist(), int(self.types[row]), self.metadata(row))
            for row in rows
        ]

    def metadata(self, row: int) -> dict[str, Any]:
        """Return the probability, uncertainty and flag of a point, for the metadata of a cell."""
        metadata: dict[str, Any] = {}
        if self.types[row]:
            metadata["probability"] = float(self.probability[row])
            if self.uncertainty is not None:
                metadata["uncertainty"] = float(self.uncertainty[row])
        if flag := Flag(self.flags[row]).text:
            metadata["flag"] = flag
        return metadata

    def save(self, path: str | Path) -> None:
        """Write the results to a file; its suffix chooses the format.

        A .csv holds all points, a .xml or .yml the classified ones.

        Raises
        ------
        InputError, EnvironmentProblem
            The suffix is another, or see `cfzoo.runtime.files.atomic_write`.
        """
        writers = {".csv": write_csv, ".xml": write_xml, ".yml": write_yaml, ".yaml": write_yaml}
        suffix = Path(path).suffix.lower()
        if suffix not in writers:
            raise InputError(f"{str(path)!r} is of no known kind; expected .csv, .xml or .yml.")
        writers[suffix](path, self)

    def counts(self) -> dict[str, int]:
        """Number of points by outcome; cells + no_cells + not_classified = points."""
        counts = {
            "points": len(self.types),
            "cells": int(np.sum(self.types == CELL)),
            "no_cells": int(np.sum(self.types == NO_CELL)),
            "not_classified": int(np.sum(self.types == 0)),
        }
        for flag in (Flag.EDGE, Flag.DROPPED, Flag.OUTSIDE, Flag.NAN):
            counts[flag.text] = int(np.sum(self.flags == flag))
        return counts


def write_csv(path: str | Path, results: Results) -> None:
    """Write all points as ``x,y,z,type,probability,flag``, in order; then uncertainty, if any.

    Type, probability and uncertainty are empty where a point was not classified. Coordinates, in
    voxels, and probabilities are the shortest texts that read back as the same float64 and float32.

    Parameters
    ----------
    path : str or Path
    results : Results

    Raises
    ------
    InputError, EnvironmentProblem
        As `atomic_write`.
    """
    types = {0: "", NO_CELL: str(NO_CELL), CELL: str(CELL)}
    flags = {int(flag): flag.text for flag in Flag}
    with atomic_write(path) as file:
        more = results.uncertainty is not None
        file.write(f"x,y,z,type,probability,flag{',uncertainty' if more else ''}\n")
        for columns in _chunks(results, np.arange(len(results.types))):
            file.writelines(
                f"{a},{b},{c},{types[t]},{p if t else ''},{flags[f]}"
                + (f",{u if t else ''}\n" if more else "\n")
                for a, b, c, t, p, f, u in zip(*columns, strict=True)
            )


def write_xml(path: str | Path, results: Results) -> None:
    """Write the classified points as cellfinder's XML: no cells, then cells, each in order.

    brainglobe-utils would turn coordinates below 1 into 1; here they stay, and it reads them.
    Fractions stay too; it cuts them off on reading, as does cellfinder.

    Parameters
    ----------
    path : str or Path
    results : Results

    Raises
    ------
    InputError, EnvironmentProblem
        As `atomic_write`.
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
        for kind in (NO_CELL, CELL):
            rows = np.flatnonzero(results.types == kind)
            if not len(rows):
                continue
            file.write(f"    <Marker_Type>\n      <Type>{kind}</Type>\n")
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

    Each has ``metadata`` with its probability, and its uncertainty and flag where it has one;
    napari shows them as features of the layer (brainglobe-napari-io).

    Parameters
    ----------
    path : str or Path
    results : Results

    Raises
    ------
    InputError, EnvironmentProblem
        As `atomic_write`.
    """
    rows = np.flatnonzero(results.types)
    flags = {int(flag): f"      flag: {flag.text}\n" if flag else "" for flag in Flag}
    with atomic_write(path) as file:
        file.write(f"CellCounter_Marker_File: true\nnum_candidates: {len(rows)}\n")
        file.write("candidate_cells:\n" if len(rows) else "candidate_cells: []\n")
        doubts = "" if results.uncertainty is None else "      uncertainty: {}\n"
        for columns in _chunks(results, rows):
            file.writelines(
                f"  - x: {a}\n    y: {b}\n    z: {c}\n    type: {t}\n    metadata:\n"
                f"      probability: {p}\n{doubts.format(u)}{flags[f]}"
                for a, b, c, t, p, f, u in zip(*columns, strict=True)
            )


def _chunks(results: Results, rows: np.ndarray) -> Iterator[tuple[list, ...]]:
    """Yield the columns of the given rows, a chunk at a time.

    x, y, z (what is written), type (int), probability (text), flag (int), uncertainty (text, ""
    without).
    """
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        z, y, x = (_texts(axis) for axis in results.zyx[part].T)
        # str of a float32 is the shortest text that reads back as it.
        probability = [str(p) for p in results.probability[part]]
        doubt = [""] * len(part)
        if results.uncertainty is not None:
            doubt = [str(u) for u in results.uncertainty[part]]
        types, flags = results.types[part].tolist(), results.flags[part].tolist()
        yield x, y, z, types, probability, flags, doubt


def _texts(values: np.ndarray) -> list[str] | list[int]:
    """Return coordinates as they are written: whole ones as ints, as cellfinder does."""
    if np.all(values == np.trunc(values)) and np.all(np.abs(values) < 2**53):
        return values.astype(np.int64).tolist()  # ten times as fast
    return [repr(v).removesuffix(".0") for v in (values + 0.0).tolist()]  # + 0.0 for -0.0
