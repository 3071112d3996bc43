"""Points in a CSV file with a header."""

import csv
from array import array
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import InputError
from .brainglobe_yaml import _ITEM
from .limits import bounded_lines, check_count, coordinate, point_type

_MAX_LINES = 100  # of one CSV record


def read_csv(file: BinaryIO, source: str) -> tuple[array, array]:
    """Rows of a CSV file with columns x, y, z and maybe type.

    Returns
    -------
    x y z x y z ..., float64, voxels, and the types, int16; 0 where it has none

    Raises
    ------
    InputError
        It is none, or a point in it is not usable.
    """
    xyz, types = array("d"), array("h")
    lines = bounded_lines(file, source, "")
    first = next(lines, "")
    delimiter = next((d for d in ",;\t" if {"x", "y", "z"} <= set(_header(first, d))), None)
    if delimiter is None:
        raise InputError(f"{source!r}: the header is {first!r:.100}; expected columns x, y and z.")
    header = _header(first, delimiter)
    if twice := [name for name in _ITEM[:4] if header.count(name) > 1]:
        raise InputError(f"{source!r}: two columns are named {twice[0]}; expected one.")
    columns = [(axis, header.index(axis)) for axis in "xyz"]
    kind = header.index("type") if "type" in header else None
    done = 1  # lines

    def bounded() -> Iterator[str]:
        for number, line in enumerate(lines, 2):
            if number - done > _MAX_LINES:
                raise ValueError(f"a quoted text is longer than {_MAX_LINES} lines.")
            yield line

    rows = csv.reader(bounded(), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            done = rows.line_num + 1
            if not row:
                continue
            if len(row) != len(header):
                # A decimal comma would otherwise shift the coordinates.
                raise ValueError(f"got {len(row)} fields; expected {len(header)} as the header.")
            xyz.extend([coordinate(axis, row[column]) for axis, column in columns])
            types.append(point_type(row[kind]) if kind is not None and row[kind].strip() else 0)
            check_count(xyz, source)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{source!r}, line {rows.line_num + 1}: {error}") from None
    return xyz, types


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]
