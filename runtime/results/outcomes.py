"""Outcomes of points, row by row: what the files of a run hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..feature_statistics import FeatureStatistics
from ..points import CELL, NO_CELL, Columns
from ..shift import FeatureCounts, Shift
from .flag import CLASSIFIED, UNCLASSIFIED

_CHUNK = 1 << 14  # points formatted at a time
_Coordinates = list[int] | list[str]
# x, y, z, type, probability (text), flag, uncertainty (text; "" if there is none).
Chunk = tuple[_Coordinates, _Coordinates, _Coordinates, list[int], list[str], list[int], list[str]]


@dataclass(frozen=True)
class Outcomes:
    """The rows of `Results`, whose attributes these are, without its methods."""

    zyx: np.ndarray
    types: np.ndarray
    probability: np.ndarray
    flags: np.ndarray
    uncertainty: np.ndarray | None = None
    columns: Columns | None = None
    notes: tuple[str, ...] = ()
    statistics: Mapping[str, FeatureStatistics | FeatureCounts] = field(
        default_factory=dict[str, FeatureStatistics | FeatureCounts]
    )
    shifts: Mapping[str, Shift] = field(default_factory=dict[str, Shift])

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
        if self.columns is not None and len(self.columns) != n:
            raise ValueError(f"columns have {len(self.columns)} rows; expected {n}")
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

    def format_chunks(self, rows: np.ndarray) -> Iterator[Chunk]:
        """Yield the columns of some rows as the files hold them, a chunk of rows at a time."""
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            z, y, x = (_format_coordinates(axis) for axis in self.zyx[chunk].T)
            # str of a float32 is the shortest text that reads back as the same number.
            probability = [str(p) for p in self.probability[chunk]]
            uncertainty = [""] * len(chunk)
            if self.uncertainty is not None:
                uncertainty = [str(u) for u in self.uncertainty[chunk]]
            types, flags = self.types[chunk].tolist(), self.flags[chunk].tolist()
            yield x, y, z, types, probability, flags, uncertainty


def _format_coordinates(values: np.ndarray) -> _Coordinates:
    """Return coordinates as they are written: whole numbers as ints, as cellfinder does."""
    if np.all(values == np.trunc(values)) and np.all(np.abs(values) < 2**53):
        return values.astype(np.int64).tolist()  # ten times as fast
    return [repr(v).removesuffix(".0") for v in (values + 0.0).tolist()]  # + 0.0 for -0.0
