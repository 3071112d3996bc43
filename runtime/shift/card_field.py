"""The card's field ``features``: `TrainingFeatures` as JSON.

The numbers of a feature are one text, such as "40 251 498 752 950", since a card lists values line
by line: five edges for each feature, then for each block the thousandths of its cells and of its no
cells at or below these edges, and its intercept if any block has one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ..errors import ArtifactError
from .training_block import PER_MILLE, ClassProfile, TrainingBlock
from .training_features import TrainingFeatures, count_blocks

MOST_FEATURES = 4096  # those of a head
_MOST_EDGES = 32
_MOST_CANDIDATES = 10**9
_LARGEST = float(np.finfo(np.float32).max)
_MOST_INTERCEPT = 100.0
_EXPECTED = "as `cfzoo train` writes it"


def describe_training(features: TrainingFeatures) -> dict[str, Any]:
    """Return training features as JSON; `read_training` gives them back."""

    def write_shares(profile: ClassProfile) -> list[str]:
        return [_join(row) for row in np.rint(profile.shares * PER_MILLE).astype(int).tolist()]

    return {
        "edges": [_join(f"{edge:.6g}" for edge in row) for row in features.edges.tolist()],
        "blocks": [
            {
                "name": block.name,
                "cells": block.cells.candidates,
                "no_cells": block.no_cells.candidates,
                "distance": block.distance,
                "cells_below": write_shares(block.cells),
                "no_cells_below": write_shares(block.no_cells),
                **({"intercept": block.intercept} if features.has_intercepts else {}),
            }
            for block in features.blocks
        ],
        **({"learnt": features.learnt} if features.learnt else {}),
    }


def read_training(field: Mapping[str, Any]) -> TrainingFeatures:
    """Read training features from a card of unknown origin.

    Raises
    ------
    ArtifactError
        A value is missing, has another type or size, or is out of order or range.
    """
    rows = _read_list(field, "edges", MOST_FEATURES)
    count = len(rows[0].split(" ")) if isinstance(rows[0], str) else 0
    if not 2 <= count <= _MOST_EDGES:
        raise _error("edges", rows[0], f"texts of 2 to {_MOST_EDGES} numbers, {_EXPECTED}")
    shape = len(rows), count
    edges = _read_rows(rows, "edges", shape, float, -_LARGEST, _LARGEST).astype(np.float32)
    blocks = _read_list(field, "blocks", count_blocks(len(rows)))
    learnt: Any = field.get("learnt", 0)
    if type(learnt) is not int or not 0 <= learnt <= MOST_FEATURES:
        raise _error("number of learnt features", learnt, f"0 to {MOST_FEATURES}")
    return TrainingFeatures(edges, tuple(_read_block(block, shape) for block in blocks), learnt)


def _read_block(block: Any, shape: tuple[int, int]) -> TrainingBlock:
    if not isinstance(block, Mapping):
        raise _error("blocks", block, f"a mapping for each block, {_EXPECTED}")
    fields = cast(Mapping[str, Any], block)
    name: Any = fields.get("name")
    distance: Any = fields.get("distance")
    if not isinstance(name, str) or not 1 <= len(name) <= 1000:
        raise _error("block name", name, "text")
    if type(distance) not in (int, float) or not 0 <= distance <= 1:
        raise _error("block distance", distance, "a number from 0 to 1")
    intercept: Any = fields.get("intercept", 0.0)
    if type(intercept) not in (int, float) or not abs(intercept) <= _MOST_INTERCEPT:
        expected = f"a number from {-_MOST_INTERCEPT:g} to {_MOST_INTERCEPT:g}"
        raise _error("block intercept", intercept, expected)
    profiles: list[ClassProfile] = []
    for kind in ("cells", "no_cells"):
        candidates: Any = fields.get(kind)
        key = f"{kind}_below"
        if type(candidates) is not int or not 0 <= candidates <= _MOST_CANDIDATES:
            raise _error(f"number of {kind}", candidates, f"0 to {_MOST_CANDIDATES}")
        rows = _read_list(fields, key, shape[0])
        shares = _read_rows(rows, key, shape, int, 0, PER_MILLE) / PER_MILLE
        profiles.append(ClassProfile(candidates, shares))
    cells, no_cells = profiles
    if not cells.candidates + no_cells.candidates:
        raise _error("numbers of candidates", 0, f"some of either class in {name!r:.60}")
    return TrainingBlock(name, cells, no_cells, float(distance), float(intercept))


def _read_list(field: Mapping[str, Any], key: str, most: int) -> Sequence[Any]:
    value: Any = field.get(key)
    if not isinstance(value, (list, tuple)) or not 1 <= len(cast(Sequence[Any], value)) <= most:
        raise _error(key, cast(object, value), f"a list of 1 to {most} values, {_EXPECTED}")
    return cast(Sequence[Any], value)


def _read_rows(
    rows: Sequence[Any],
    key: str,
    shape: tuple[int, int],
    parse: Callable[[str], float],
    low: float,
    high: float,
) -> np.ndarray:
    """Read texts of numbers, which do not fall from left to right."""
    if len(rows) != shape[0]:
        raise _error(key, f"{len(rows)} texts", f"{shape[0]}, one for each feature")
    values = np.empty(shape)
    for place, row in zip(values, rows, strict=True):
        try:
            numbers = [parse(word) for word in row.split(" ")] if len(row) < 1000 else []
            place[:] = numbers if len(numbers) == len(place) else np.nan
        except (ValueError, AttributeError, TypeError, OverflowError):  # not a text of numbers
            place[:] = np.nan
        # NaN compares as false.
        if not (np.all(place >= low) and np.all(place <= high) and np.all(np.diff(place) >= 0)):
            raise _error(key, row, f"{shape[1]} rising numbers from {low:.4g} to {high:.4g}")
    return values


def _join(values: Any) -> str:
    return " ".join(map(str, values))


def _error(name: str, value: object, expected: str) -> ArtifactError:
    return ArtifactError(
        f"The model card's features: {name} is {value!r:.200}; expected {expected}."
    )
