"""Points in a CSV file with a header."""

import csv
from array import array
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import InputError
from .limits import check_count, parse_coordinate, parse_type, read_lines

_MAX_LINES = 100  # of one CSV record
_COLUMNS = ("x", "y", "z", "type")


def read_csv(file: BinaryIO, source: str) -> "tuple[array[float], array[int]]":
    """Read the rows of a CSV file with columns x, y, z and maybe type.

    Parameters
    ----------
    file : binary file
    source : str
        Name of the file, for messages.

    Returns
    -------
    xyz : array of float64
        Coordinates x y z x y z ..., voxels.
    types : array of int16
        0 where a row has none.

    Raises
    ------
    InputError
        The file is not such a table, or a point in it is not usable.
    """
    xyz, types = array("d"), array("h")
    lines = read_lines(file, source, "")
    header, delimiter = _read_header(next(lines, ""), source)
    axis_columns = [(axis, header.index(axis)) for axis in "xyz"]
    type_column = header.index("type") if "type" in header else None
    parsed = 1  # lines of the header and of complete rows

    def row_lines() -> Iterator[str]:
        for number, line in enumerate(lines, 2):
            if number - parsed > _MAX_LINES:
                raise ValueError(f"a quoted text is longer than {_MAX_LINES} lines.")
            yield line

    rows = csv.reader(row_lines(), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            parsed = rows.line_num + 1
            if not row:
                continue
            if len(row) != len(header):
                # A decimal comma would otherwise shift the coordinates.
                raise ValueError(f"got {len(row)} fields; expected {len(header)} as the header.")
            xyz.extend([parse_coordinate(axis, row[column]) for axis, column in axis_columns])
            type_text = "" if type_column is None else row[type_column]
            types.append(parse_type(type_text) if type_text.strip() else 0)
            check_count(xyz, source)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{source!r}, line {rows.line_num + 1}: {error}") from None
    return xyz, types


def _read_header(line: str, source: str) -> tuple[list[str], str]:
    """Return the names of the columns, in lower case, and their delimiter."""
    for delimiter in ",;\t":
        fields = next(csv.reader([line], delimiter=delimiter), list[str]())
        header = [field.strip().lower() for field in fields]
        if not {"x", "y", "z"} <= set(header):
            continue
        for name in _COLUMNS:
            if header.count(name) > 1:
                raise InputError(f"{source!r}: two columns are named {name}; expected one.")
        return header, delimiter
    raise InputError(f"{source!r}: the header is {line!r:.100}; expected columns x, y and z.")
